"""Answers that would become far more objects than bytes are given up early, on every wire, streamed and not."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import BadReply
from asyncrouter._wire.decoding.sse import EventParser
from asyncrouter._wire.decoding.weight import FREE_BYTES, MAX_WEIGHT, is_too_heavy, weight
from asyncrouter._wire.registry import wire_for
from tests.fuzz.check import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter._errors import AttemptError

WIRES = sorted(PROVIDERS)
PIECE = 1 << 16
SHAPES = [b"[],", b"{},", b'{"a":1},', b"1,", b'"",', b"[[[[]]]],", b"null,"]


def decode(wire: str, kind: str, pieces: Iterable[bytes]) -> tuple[AttemptError | None, int]:
    """The error of an answer in these pieces, and how many bytes were taken until the decoder had enough."""
    decoder = wire_for(PROVIDERS[wire], lambda: 0.0).decoder({"content-type": kind}, {})
    taken = 0
    for piece in pieces:
        decoder.feed(piece)
        taken += len(piece)
        if decoder.done:
            break
    return decoder.close(), taken


def repeated(begin: bytes, shape: bytes, end: bytes, size: int) -> list[bytes]:
    body = begin + shape * (size // len(shape)) + end
    return [body[at : at + PIECE] for at in range(0, len(body), PIECE)]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_of_too_many_values_is_given_up_early(wire: str, shape: bytes) -> None:
    """It is not read to its end, nor kept, and its memory is a fraction of what its objects would take."""
    pieces = repeated(b'{"x":[', shape, b"1]}", 16 << 20)
    tracemalloc.start()
    error, taken = decode(wire, "application/json", pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, BadReply)
    assert error.message == "more values in it than any answer has"
    assert taken < 6 << 20
    assert peak < 16 << 20


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("shape", [b"[],", b'{"a":1},', b"1,"])
def test_an_event_of_too_many_values_is_not_read(wire: str, shape: bytes) -> None:
    """One event, however it goes on, costs no more than its bytes a few times."""
    pieces = repeated(b'data: {"x":[', shape, b"1]}\n\n", 16 << 20)
    tracemalloc.start()
    error, _ = decode(wire, "text/event-stream", pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, BadReply)
    assert peak < 48 << 20


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_of_too_many_values_is_given_up(wire: str) -> None:
    """Also in events that are small."""
    event = b'data: {"x":[' + b"[]," * 40 + b"{}]}\n\n"
    error, taken = decode(wire, "text/event-stream", [event * 100] * 1000)
    assert isinstance(error, BadReply)
    assert taken < 2 * FREE_BYTES


@pytest.mark.parametrize(("kind", "envelope"), [
    ("text/event-stream", b"data: %b\n\n"), ("application/json", b"data: %b\n\n"), ("text/event-stream", b"[%b]"),
])
def test_numbers_of_choices_are_bounded(kind: str, envelope: bytes) -> None:
    """A choice beyond a thousand, or a tool call beyond ten thousand, is malformed, in a stream as in a body."""
    choice = {"index": 1000, "delta": {"content": "a"}, "finish_reason": "stop"}
    first = {**choice, "index": 0}
    document = orjson.dumps({"id": "x", "choices": [first, choice]})
    error, _ = decode("openai", kind, [envelope % document])
    assert error is not None
    assert error.message == "malformed: a choice's index"


def test_numbers_of_tool_calls_are_bounded() -> None:
    """Ten thousand calls are an answer, one more is none; nothing grows with the others."""

    def answer(count: int) -> AttemptError | None:
        calls = [
            {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            for number in range(count)
        ]
        choice = {"index": 0, "message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}
        return decode("openai", "application/json", [orjson.dumps({"id": "x", "choices": [choice]})])[0]

    assert answer(10_000) is None
    error = answer(10_001)
    assert error is not None
    assert error.message.startswith("malformed: a tool call")


# ── what is not too heavy ─────────────────────────────────────────────────────────────────────────────────────────────


def completion(**fields: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop", **fields}
    return orjson.dumps({"id": "x", "choices": [choice]})


def test_log_probabilities_of_a_long_answer_are_read() -> None:
    """4,096 tokens with the twenty likeliest others at each: the heaviest answer that an API gives."""
    one = {"token": "ab", "logprob": -0.25, "bytes": [97, 98]}
    content = [{**one, "top_logprobs": [one] * 20}] * 4096
    body = completion(logprobs={"content": content})
    assert 0.5 * MAX_WEIGHT < weight(body) < MAX_WEIGHT
    assert decode("openai", "application/json", [body])[0] is None


@pytest.mark.parametrize("text", ["a" * (20 << 20), "x,y;{}[" * 20_000, "é" * (1 << 20), "\n" * (1 << 20) + "a"])
def test_long_texts_are_read(text: str) -> None:
    """A picture of 20 MB, code of a hundred thousand signs, any other text."""
    message = {"role": "assistant", "content": text}
    assert decode("openai", "application/json", [completion(message=message)])[0] is None
    choice = {"index": 0, "delta": message, "finish_reason": "stop"}
    event = b"data: " + orjson.dumps({"id": "x", "choices": [choice]}) + b"\n\n"
    assert decode("openai", "text/event-stream", [event])[0] is None


@pytest.mark.parametrize("envelope", [
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1.5,"bytes":'
    b'[97],"top_logprobs":[{"token":"a","logprob":-1.5,"bytes":[97]},{"token":"b","logprob":-2.5,"bytes":[98]}]}]}}]}\n\n',
])
def test_long_streams_are_read(envelope: bytes) -> None:
    """A stream of 100,000 tokens, whatever its host writes around each."""
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    error, _ = decode("openai", "text/event-stream", [*[envelope * 200] * 500, end])
    assert error is None


def test_light_documents_are_not_weighed() -> None:
    """Up to 256 KiB a document is read whatever it holds."""
    assert not is_too_heavy(b"," * (1 << 18))
    assert not is_too_heavy(b"x" * (1 << 22))
    assert is_too_heavy(b"," * (1 << 22))


@pytest.mark.parametrize("line", [b"data: 1\n", b"data:\n", b"data\n"])
def test_an_event_of_many_lines_takes_little_more_than_its_bytes(line: bytes) -> None:
    """Its lines are joined now and then, and the event is what it would be otherwise."""
    parser, count = EventParser(), 300_000
    tracemalloc.start()
    for _ in range(count // 1000):
        assert parser.feed(line * 1000) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    value = b"1" if b"1" in line else b""
    assert parser.feed(b"\n") == [(b"", b"\n".join([value] * count))]
    if line != b"data\n":
        assert peak < 4 << 20


@pytest.mark.parametrize("begin", [b"[", b"{", b'{"a":'])
@pytest.mark.parametrize("wire", WIRES)
def test_a_large_document_that_is_none_is_not_read_again_as_events(wire: str, begin: bytes) -> None:
    """What begins like JSON and is none may be events after all; when it is long, reading it twice takes too long."""
    error, _ = decode(wire, "text/event-stream", [begin, *[b"\n" * PIECE] * 5])
    assert isinstance(error, BadReply)
    assert error.message == f"not whole JSON: {begin.decode()!r}"


@pytest.mark.parametrize("wire", WIRES)
def test_a_document_under_the_content_type_of_events_is_weighed(wire: str) -> None:
    """Whatever its content type, a document is given up when it has too many values."""
    error, _ = decode(wire, "text/event-stream", repeated(b"[", b"[],", b"1]", 3 << 20))
    assert error is not None
    assert error.message == "more values in it than any answer has"
