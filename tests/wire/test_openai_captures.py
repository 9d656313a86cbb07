"""Every Chat Completions exchange recorded from llama.cpp's server, cut at every byte."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import AttemptError, BadReply, ContextTooLong, Rejected, ServerFailed, Unauthorized
from tests.helpers.captured import read, rows
from tests.helpers.decoding import decode, decode_bytewise, decode_cuts, state
from tests.helpers.openai_fixtures import WIRE

ROWS = rows("/v1/chat/completions")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
CUT = {"llamacpp-process-faults/01-sigkill-mid-stream", "llamacpp-process-faults/06-sigterm-mid-stream"}
ERROR = "llamacpp-tools-key-ping/11-tool-auto-midstream-error-stream"


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_stream_is_no_success_before_its_finish_reason(name: str) -> None:
    """Cut at any byte it is an error of ours, or a success whose last finish reason or `[DONE]` has come."""
    _, headers, body, params = read(name)
    finished, done = body.rfind(b'"finish_reason":"'), body.find(b"[DONE]")

    for length, decoder in decode_cuts(WIRE, headers, body, params):
        error = decoder.close()
        assert error is None or isinstance(error, AttemptError)
        if error is None:
            assert finished != -1
            assert length > min(finished, done)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_byte_by_byte(name: str) -> None:
    """How the network cuts a stream changes nothing."""
    _, headers, body, params = read(name)
    decoder = decode_bytewise(WIRE, headers, body, params)

    assert state(decoder) == state(decode(WIRE, headers, body, params))
    assert type(decoder.close()) is (BadReply if name in CUT else ServerFailed if name == ERROR else type(None))


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """A reader of the stream sees the reply piece by piece; finish reason and usage are on the last chunk."""
    _, headers, body, params = read(name)
    chunks = []
    decoder = decode(WIRE, headers, body, params, chunks)
    reply = decoder.reply

    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks)
    if decoder.close() is None:
        last = decoder.final()
        assert (last.text, last.finish_reason, last.usage) == ("", reply.finish_reason, reply.usage)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON body that is cut anywhere is a `BadReply`; whole, it is the reply it holds."""
    _, headers, body, params = read(name)
    document = orjson.loads(body)
    *cut, (_, decoder) = decode_cuts(WIRE, headers, body, params)

    assert {type(each.close()) for _, each in cut} == {BadReply}
    assert decoder.close() is None
    assert decoder.content == 1 + ("n2" in name)
    assert decoder.reply.raw == document
    assert decoder.reply.text == (document["choices"][0]["message"]["content"] or "")
    assert decoder.reply.usage.output_tokens == document["usage"]["completion_tokens"]


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
        decoder = decode(WIRE, headers, body, params)
        assert decoder.close() is None
        replies.append(decoder.reply)
    first, second = replies

    assert first.text == second.text
    assert (first.finish_reason, first.served_model) == (second.finish_reason, second.served_model)
    assert [c["function"] for c in first.tool_calls] == [c["function"] for c in second.tool_calls]
    assert comparable(first.raw["choices"]) == comparable(second.raw["choices"])


def comparable(choices: list[dict]) -> list[dict]:
    """The choices without ids, which are drawn at random; and content beside a tool call may be null or ""."""
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

    assert type(error) is (ContextTooLong if "context" in name else FAILED[status])
    assert error.status == status
    assert error.message
    assert error.message == orjson.loads(body)["error"]["message"]
