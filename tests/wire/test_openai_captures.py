"""Every Chat Completions exchange recorded from llama.cpp's server, fed byte by byte and asked at each byte."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._config.catalog import Provider
from asyncrouter._errors import AttemptError, BadReply, ContextTooLong, Rejected, ServerFailed, Unauthorized
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.captured import read, rows, state

ROWS = rows("/v1/chat/completions")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
CUT = {"llamacpp-process-faults/01-sigkill-mid-stream", "llamacpp-process-faults/06-sigterm-mid-stream"}
ERROR = "llamacpp-tools-key-ping/11-tool-auto-midstream-error-stream"
WIRE = OpenAI(Provider(name="local", base_url="http://127.0.0.1/v1"), wall=lambda: 0.0)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_no_success_before_its_finish_reason(name: str) -> None:
    """At every byte an end is judged without an exception, and is no success before the last finish reason is there."""
    _, headers, body, params = read(name)
    whole, feed = WIRE.decoder(headers, params), WIRE.decoder(headers, params)
    whole.feed(body)
    finished = body.rfind(b'"finish_reason":"')
    done = body.find(b"[DONE]")

    for at in range(len(body)):
        feed.feed(body[at : at + 1])
        error = feed.close()
        assert error is None or isinstance(error, AttemptError)
        if error is None:
            assert finished != -1
            assert at > min(finished, done)

    assert state(whole) == state(feed)
    expected = BadReply if name in CUT else ServerFailed if name == ERROR else type(None)
    assert expected is type(feed.close())


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """What a reader of the stream sees is the reply, piece by piece; finish reason and usage stand on the last one."""
    _, headers, body, params = read(name)
    decoder, chunks = WIRE.decoder(headers, params), []
    decoder.feed(body, chunks)
    reply = decoder.reply

    assert reply.text == "".join(chunk.text for chunk in chunks)
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks)
    if decoder.close() is None:
        last = decoder.final()
        assert ("", reply.finish_reason, reply.usage) == (last.text, last.finish_reason, last.usage)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON body that is cut anywhere is a `BadReply`; whole, it is the reply it holds."""
    _, headers, body, params = read(name)
    document = orjson.loads(body)
    decoder = WIRE.decoder(headers, params)
    for at in range(len(body)):
        assert isinstance(decoder.close(), BadReply)
        decoder.feed(body[at : at + 1])

    assert decoder.close() is None
    assert decoder.content == 1 + ("n2" in name)
    assert document == decoder.reply.raw
    assert document["choices"][0]["message"]["content"] in (decoder.reply.text, None)
    assert document["usage"]["completion_tokens"] == decoder.reply.usage.output_tokens


@pytest.mark.parametrize(
    ("streamed", "buffered"),
    [
        ("llamacpp-smollm2/04-chat-stream", "llamacpp-smollm2/03-chat-nonstream"),
        ("llamacpp-smollm2/05-chat-stream-include-usage", "llamacpp-smollm2/03-chat-nonstream"),
        ("llamacpp-smollm2/06-chat-stream-length", "llamacpp-smollm2/07-chat-nonstream-length"),
        ("llamacpp-smollm2/13-connection-close-stream", "llamacpp-smollm2/12-connection-close-nonstream"),
        ("llamacpp-smollm2/41-json-schema-stream", "llamacpp-smollm2/40-json-schema-nonstream"),
        ("llamacpp-tools-key-ping/02-tool-stream", "llamacpp-tools-key-ping/01-tool-nonstream"),
    ],
)
def test_a_stream_and_a_body_give_the_same_reply(streamed: str, buffered: str) -> None:
    """The same prompt, asked both ways at temperature 0, is the same reply, down to the raw choices."""
    replies = []
    for name in (streamed, buffered):
        _, headers, body, params = read(name)
        decoder = WIRE.decoder(headers, params)
        decoder.feed(body)
        assert decoder.close() is None
        replies.append(decoder.reply)
    first, second = replies

    assert first.text == second.text
    assert (first.finish_reason, first.served_model) == (second.finish_reason, second.served_model)
    assert [c["function"] for c in first.tool_calls] == [c["function"] for c in second.tool_calls]
    assert comparable(second.raw["choices"]) == comparable(first.raw["choices"])


def comparable(choices: list[dict]) -> list[dict]:
    """Ids are drawn at random, and beside a tool call this server writes no content as ""."""
    for choice in choices:
        choice["message"]["content"] = choice["message"]["content"] or None
        for call in choice["message"].get("tool_calls", ()):
            call.pop("id", None)
    return choices


FAILED = {400: Rejected, 401: Unauthorized, 404: Rejected, 500: ServerFailed, 503: ServerFailed}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_classified(name: str) -> None:
    """An error response of a real server is the error that its status and words say."""
    status, headers, body, _ = read(name)
    error = WIRE.failure(status, headers, body)

    assert (ContextTooLong if "context" in name else FAILED[status]) is type(error)
    assert status == error.status
    assert error.message
    assert orjson.loads(body)["error"]["message"] == error.message
