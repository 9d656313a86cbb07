"""Every Messages API exchange recorded from llama.cpp's server, cut at every byte."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import AttemptError, BadReply, ContextTooLong, Rejected, ServerFailed, Unauthorized
from tests.helpers.anthropic_fixtures import WIRE
from tests.helpers.captured import read, rows
from tests.helpers.decoding import decode, decode_bytewise, decode_cuts, state

ROWS = rows("/v1/messages")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
ERROR = "llamacpp-tools-key-ping/12-tool-auto-midstream-error-anthropic-stream"


def test_there_are_captures_of_every_kind() -> None:
    """An index that lost its rows would let every test below pass."""
    assert (len(STREAMS), len(BODIES), len(FAILURES)) == (6, 4, 6)


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_stream_is_no_success_before_its_stop_reason(name: str) -> None:
    """Cut at any byte it is an error of ours, or a success whose stop reason has come."""
    _, headers, body, params = read(name)
    stopped = body.find(b'"stop_reason":"')

    for length, decoder in decode_cuts(WIRE, headers, body, params):
        error = decoder.close()
        assert error is None or isinstance(error, AttemptError)
        if error is None:
            assert stopped != -1
            assert length > stopped


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_byte_by_byte(name: str) -> None:
    """How the network cuts a stream changes nothing."""
    _, headers, body, params = read(name)
    decoder = decode_bytewise(WIRE, headers, body, params)

    assert state(decoder) == state(decode(WIRE, headers, body, params))
    assert type(decoder.close()) is (ServerFailed if name == ERROR else type(None))


@pytest.mark.parametrize("name", [name for name in STREAMS if name != ERROR])
def test_every_cut_that_is_a_success_is_the_whole_answer(name: str) -> None:
    """A stream that is cut after its stop reason has lost nothing but its last event."""
    _, headers, body, params = read(name)
    whole = decode(WIRE, headers, body, params).reply
    successes = [cut for _, cut in decode_cuts(WIRE, headers, body, params) if cut.close() is None]

    assert len(successes) > 20
    for cut in successes:
        last = cut.final()
        assert (cut.reply.text, cut.reply.tool_calls) == (whole.text, whole.tool_calls)
        assert (last.finish_reason, last.usage) == (whole.finish_reason, whole.usage)
        assert cut.reply.raw == whole.raw


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """A reader of the stream sees the reply piece by piece; finish reason and usage are on the last chunk."""
    _, headers, body, params = read(name)
    chunks = []
    decoder = decode(WIRE, headers, body, params, chunks)
    reply = decoder.reply
    calls: dict[int, str] = {}
    for delta in (call for chunk in chunks for call in chunk.tool_calls):
        calls[delta["index"]] = calls.get(delta["index"], "") + delta["function"]["arguments"]

    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert [calls[index] for index in range(len(calls))] == [c["function"]["arguments"] for c in reply.tool_calls]
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks)
    if decoder.close() is None:
        last = decoder.final()
        assert (last.text, last.tool_calls, last.finish_reason) == ("", (), reply.finish_reason)
        assert last.usage is not None
        assert last.usage is reply.usage


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON body that is cut anywhere is a `BadReply`; whole, it is the reply it holds."""
    _, headers, body, params = read(name)
    document = orjson.loads(body)
    *cut, (_, decoder) = decode_cuts(WIRE, headers, body, params)
    reply, blocks, usage = decoder.reply, document["content"], document["usage"]

    assert {type(each.close()) for _, each in cut} == {BadReply}
    assert decoder.close() is None
    assert decoder.content
    assert reply.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    inputs = [orjson.loads(call["function"]["arguments"]) for call in reply.tool_calls]
    assert inputs == [block["input"] for block in blocks if block["type"] == "tool_use"]
    assert reply.usage.input_tokens == usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert (reply.usage.output_tokens, reply.served_model) == (usage["output_tokens"], document["model"])


def test_a_stream_and_a_body_give_the_same_reply() -> None:
    """The same prompt, asked both ways at temperature 0, is the same reply, down to the raw choices."""
    replies = []
    for name in ("llamacpp-smollm2/61-anthropic-stream", "llamacpp-smollm2/60-anthropic-nonstream"):
        _, headers, body, params = read(name)
        decoder = decode(WIRE, headers, body, params)
        assert decoder.close() is None
        replies.append(decoder.reply)
    first, second = replies

    assert first.text == second.text == "The sea is a vast and mysterious realm that exists beneath the"
    assert first.finish_reason == second.finish_reason == "length"
    assert first.served_model == second.served_model
    assert first.raw["choices"] == second.raw["choices"]


FAILED = {400: Rejected, 401: Unauthorized, 500: ServerFailed, 503: ServerFailed}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_classified(name: str) -> None:
    """An error response of a real server is the error that its status and words say."""
    status, headers, body, _ = read(name)
    error = WIRE.failure(status, headers, body)

    assert type(error) is (ContextTooLong if "context" in name else FAILED[status])
    assert (error.status, error.message) == (status, orjson.loads(body)["error"]["message"])
