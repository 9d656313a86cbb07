"""Every exchange on /v1/responses recorded from llama.cpp's server, which leaves out much of what OpenAI sends."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import BadReply, ContextTooLong, Rejected, ServerFailed
from asyncrouter._types import Chunk, Usage
from tests.helpers.captured import read, rows
from tests.helpers.decoding import decode, decode_bytewise, decode_cuts, state
from tests.helpers.responses_fixtures import LOOSE_WIRE

ROWS = rows("/v1/responses")
TWO_ANSWERS = {"llamacpp-responses/35-chat-only-fields", "llamacpp-responses/64-n2-stream"}
"""Requests with `n=2`, which this wire never sends."""

STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]


def documents_of(name: str) -> list[dict[str, object]]:
    """The JSON objects of a recorded answer: its events, or its one body."""
    _, headers, body, _ = read(name)
    if "event-stream" not in headers["content-type"]:
        return [orjson.loads(body)]
    return [orjson.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]


def test_there_are_captures_of_every_kind() -> None:
    """An index that lost its rows would let every test below pass."""
    assert (len(STREAMS), len(BODIES), len(FAILURES)) == (9, 25, 19)


@pytest.mark.parametrize("name", [name for name in (*STREAMS, *BODIES) if name not in TWO_ANSWERS])
def test_an_answer_is_read_as_it_was_given(name: str) -> None:
    """Text, calls and counts are those of the last document; an answer at the limit of tokens was cut."""
    _, headers, body, params = read(name)
    decoder = decode(LOOSE_WIRE, headers, body, params)
    last = documents_of(name)[-1]
    told = last.get("response", last)
    assert isinstance(told, dict)
    output, usage, reply = told["output"], told["usage"], decoder.reply
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]

    assert decoder.close() is None
    assert decoder.skipped == 0
    assert reply.text == "".join(part["text"] for part in parts)
    assert [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls] == [
        (item["call_id"], item["name"], item["arguments"]) for item in output if item["type"] == "function_call"]
    assert reply.usage == Usage(
        usage["input_tokens"], usage["output_tokens"], usage["input_tokens_details"]["cached_tokens"])
    assert (reply.finish_reason == "length") is (usage["output_tokens"] == params["max_output_tokens"])
    assert (reply.served_model, reply.raw["id"]) == ("smollm2", told["id"])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_anywhere_is_no_success(name: str) -> None:
    """At every byte an end is judged without an exception, and is no success before the last event is there."""
    _, headers, body, params = read(name)
    completed = body.find(b"data: ", body.find(b"event: response.completed"))
    whole = decode(LOOSE_WIRE, headers, body, params)
    for length, decoder in decode_cuts(LOOSE_WIRE, headers, body, params):
        assert isinstance(decoder.close(), BadReply | None)
        if decoder.close() is None:
            assert length > completed
            assert decoder.reply == whole.reply

    assert state(decode_bytewise(LOOSE_WIRE, headers, body, params)) == state(whole)


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in TWO_ANSWERS])
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """What a reader of the stream sees is the reply."""
    _, headers, body, params = read(name)
    chunks: list[Chunk] = []
    reply = decode(LOOSE_WIRE, headers, body, params, chunks).reply
    arguments: dict[int, str] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        arguments[delta["index"]] = arguments.get(delta["index"], "") + delta["function"]["arguments"]

    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert [arguments[n] for n in range(len(arguments))] == [c["function"]["arguments"] for c in reply.tool_calls]


def test_a_stream_and_a_body_give_the_same_reply() -> None:
    """The same prompt, asked both ways at temperature 0."""
    first, second = (decode(LOOSE_WIRE, headers, body, params).reply for _, headers, body, params in (
        read("llamacpp-responses/02-text-stream"), read("llamacpp-responses/01-text")))

    assert (first.text, first.finish_reason, first.served_model) == (second.text, second.finish_reason,
                                                                     second.served_model)
    assert (first.text, first.finish_reason) == ("Hi!", "stop")


@pytest.mark.parametrize("name", sorted(TWO_ANSWERS))
def test_two_answers_are_none(name: str) -> None:
    """A list of responses, or two streams in one: nobody asked for them, and they cannot be told apart."""
    _, headers, body, params = read(name)
    error = decode(LOOSE_WIRE, headers, body, params).close()

    assert (type(error), getattr(error, "message", "")) == (
        BadReply, "something was lost on the way: more than one response")


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_classified(name: str) -> None:
    """An error response of a real server is the error that its status and words say."""
    status, headers, body, _ = read(name)
    error = LOOSE_WIRE.failure(status, headers, body)
    kind = ContextTooLong if "context" in name else {400: Rejected, 500: ServerFailed}[status]

    assert (type(error), error.status, error.message) == (kind, status, error.message)
    assert orjson.loads(body)["error"]["message"].startswith(error.message[:60])
