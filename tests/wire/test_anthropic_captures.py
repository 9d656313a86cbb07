"""Every /v1/messages exchange recorded from llama.cpp's server, fed byte by byte and asked at each byte."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._config.catalog import Provider
from asyncrouter._errors import AttemptError, BadReply, ContextTooLong, Rejected, ServerFailed, Unauthorized
from asyncrouter._wire.anthropic.wire import Anthropic
from tests.helpers.captured import read, rows, state

ROWS = rows("/v1/messages")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
ERROR = "llamacpp-tools-key-ping/12-tool-auto-midstream-error-anthropic-stream"
WIRE = Anthropic(Provider(name="local", base_url="http://127.0.0.1/v1"), wall=lambda: 0.0)


def test_there_are_captures_of_every_kind() -> None:
    """An index that lost its rows would let every test below pass."""
    assert (len(STREAMS), len(BODIES), len(FAILURES)) == (6, 4, 6)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_no_success_before_its_stop_reason(name: str) -> None:
    """At every byte an end is judged without an exception, and is no success before the stop reason is there."""
    _, headers, body, params = read(name)
    whole, feed = WIRE.decoder(headers, params), WIRE.decoder(headers, params)
    whole.feed(body)
    stopped = body.find(b'"stop_reason":"')

    for at in range(len(body)):
        feed.feed(body[at : at + 1])
        error = feed.close()
        assert error is None or isinstance(error, AttemptError)
        if error is None:
            assert stopped != -1
            assert at > stopped

    assert state(whole) == state(feed)
    assert (ServerFailed if name == ERROR else type(None)) is type(feed.close())


@pytest.mark.parametrize("name", [name for name in STREAMS if name != ERROR])
def test_every_success_on_the_way_is_the_whole_answer(name: str) -> None:
    """A stream that is cut after its stop reason has lost nothing but its last event."""
    _, headers, body, params = read(name)
    whole = WIRE.decoder(headers, params)
    whole.feed(body)
    feed, successes = WIRE.decoder(headers, params), 0
    for at in range(len(body)):
        feed.feed(body[at : at + 1])
        if feed.close() is None:
            successes += 1
            said = feed.final()
            assert (whole.reply.text, whole.reply.tool_calls) == (feed.reply.text, feed.reply.tool_calls)
            assert (whole.reply.finish_reason, whole.reply.usage) == (said.finish_reason, said.usage)
            assert whole.reply.raw == feed.reply.raw

    assert successes > 20


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """What a reader of the stream sees is the reply, piece by piece; finish reason and usage stand on the last one."""
    _, headers, body, params = read(name)
    decoder, chunks = WIRE.decoder(headers, params), []
    decoder.feed(body, chunks)
    reply = decoder.reply
    calls: dict[int, str] = {}
    for delta in (call for chunk in chunks for call in chunk.tool_calls):
        calls[delta["index"]] = calls.get(delta["index"], "") + delta["function"]["arguments"]

    assert reply.text == "".join(chunk.text for chunk in chunks)
    assert [call["function"]["arguments"] for call in reply.tool_calls] == [calls[index] for index in range(len(calls))]
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks)
    if decoder.close() is None:
        last = decoder.final()
        assert ("", (), reply.finish_reason) == (last.text, last.tool_calls, last.finish_reason)
        assert reply.usage is last.usage is not None


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON body that is cut anywhere is a `BadReply`; whole, it is the reply it holds."""
    _, headers, body, params = read(name)
    document = orjson.loads(body)
    decoder = WIRE.decoder(headers, params)
    for at in range(len(body)):
        assert isinstance(decoder.close(), BadReply)
        decoder.feed(body[at : at + 1])

    reply = decoder.reply
    assert decoder.close() is None
    assert decoder.content
    blocks = document["content"]
    assert reply.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    inputs = [orjson.loads(call["function"]["arguments"]) for call in reply.tool_calls]
    assert inputs == [block["input"] for block in blocks if block["type"] == "tool_use"]
    usage = document["usage"]
    assert reply.usage.input_tokens == usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert (usage["output_tokens"], document["model"]) == (reply.usage.output_tokens, reply.served_model)


def test_a_stream_and_a_body_give_the_same_reply() -> None:
    """The same prompt, asked both ways at temperature 0, is the same reply, down to the raw choices."""
    replies = []
    for name in ("llamacpp-smollm2/61-anthropic-stream", "llamacpp-smollm2/60-anthropic-nonstream"):
        _, headers, body, params = read(name)
        decoder = WIRE.decoder(headers, params)
        decoder.feed(body)
        assert decoder.close() is None
        replies.append(decoder.reply)
    first, second = replies

    assert (first.text, first.finish_reason, first.served_model) == (second.text, second.finish_reason,
                                                                     second.served_model)
    assert first.raw["choices"] == second.raw["choices"]
    assert first.text == "The sea is a vast and mysterious realm that exists beneath the"
    assert first.finish_reason == "length"


FAILED = {400: Rejected, 401: Unauthorized, 500: ServerFailed, 503: ServerFailed}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_classified(name: str) -> None:
    """An error response of a real server is the error that its status and words say."""
    status, headers, body, _ = read(name)
    error = WIRE.failure(status, headers, body)

    assert (ContextTooLong if "context" in name else FAILED[status]) is type(error)
    assert (status, orjson.loads(body)["error"]["message"]) == (error.status, error.message)
