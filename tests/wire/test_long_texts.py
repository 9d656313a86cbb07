"""Pictures of many megabytes are read without holding the loop; other texts of that length are given up."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter import BadReply
from asyncrouter._wire.decoding.long_texts import MAX_REST_BYTES, SHORT_BYTES, LongTexts
from asyncrouter._wire.registry import wire_for
from tests.fuzz.check import PROVIDERS

if TYPE_CHECKING:
    from asyncrouter._types import Chunk

WIRES = sorted(PROVIDERS)
PIECE = 1 << 16
MEGABYTE = 1 << 20
PICTURE = "iVBORw0KGgo+/AbC_-19" * (5 * MEGABYTE // 20) + "=="


def body_of(wire: str, text: str) -> bytes:
    """An answer with this text."""
    return orjson.dumps({
        "openai": {"id": "x", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
        ]},
        "anthropic": {
            "type": "message", "id": "x", "role": "assistant", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
        },
        "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]},
        "responses": {"id": "x", "object": "response", "status": "completed", "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]},
        ]},
    }[wire])  # fmt: skip


def stream_of(wire: str, text: str) -> bytes:
    """A stream with one event that has this text."""
    if wire == "openai":
        events = [{"id": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}]
    elif wire == "anthropic":
        events = [
            {"type": "message_start", "message": {"type": "message", "id": "x", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ]  # fmt: skip
    elif wire == "gemini":
        events = [orjson.loads(body_of(wire, text))]
    else:
        events = [{"type": "response.completed", "response": orjson.loads(body_of(wire, text))}]
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


def read(wire: str, body: bytes, kind: str, size: int = PIECE) -> tuple[Any, BadReply | None, list[Chunk]]:
    """The reply, the error and the chunks of a body that comes in pieces of this size."""
    decoder = wire_for(PROVIDERS[wire], lambda: 0.0).decoder({"content-type": kind}, {})
    chunks: list[Chunk] = []
    for at in range(0, len(body), size):
        decoder.feed(body[at : at + size], chunks)
        if decoder.done:
            break
    error = decoder.close()
    return decoder.reply, error, chunks  # type: ignore[return-value]


KINDS = {"application/json": body_of, "text/event-stream": stream_of}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [PIECE, 16_384, 1_000_003, 64 * MEGABYTE])
def test_a_long_picture_is_read_whole(wire: str, kind: str, size: int) -> None:
    """In its message and in the chunks of its stream, whatever stands around it, wherever the body is cut."""
    text = f"Here it is: data:image/png;base64,{PICTURE} – und so weiter"
    reply, error, chunks = read(wire, KINDS[kind](wire, text), kind, size)

    assert error is None
    assert reply.text == text
    assert "".join(chunk.text for chunk in chunks) in {text, ""}


@pytest.mark.parametrize("wire", WIRES)
def test_a_document_under_the_content_type_of_events_is_read_whole(wire: str) -> None:
    """The first bytes decide, and what was set aside is put back there, too."""
    reply, error, _ = read(wire, body_of(wire, PICTURE), "text/event-stream")

    assert error is None
    assert reply.text == PICTURE


def test_arguments_of_a_tool_call_are_read_whole() -> None:
    """A document inside a text is JSON in its turn."""
    function = {"name": "f", "arguments": orjson.dumps({"a": PICTURE}).decode()}
    call = {"id": "c1", "type": "function", "function": function}
    choice = {"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    reply, error, _ = read("openai", orjson.dumps({"id": "x", "choices": [choice]}), "application/json")

    assert error is None
    assert orjson.loads(reply.tool_calls[0]['function']['arguments']) == {"a": PICTURE}


def call_of(wire: str, text: str) -> bytes:
    """An answer that calls a tool with this text."""
    function = {"name": "f", "arguments": orjson.dumps({"a": text}).decode()}
    call = {"id": "c1", "type": "function", "function": function}
    choice = {"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    block = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": text}}
    item = {"type": "function_call", "id": "i1", "call_id": "c1", **function}
    parts = [{"functionCall": {"name": "f", "args": {"a": text}}}]
    return orjson.dumps({
        "openai": {"id": "x", "choices": [choice]},
        "anthropic": {
            "type": "message", "id": "x", "role": "assistant", "content": [block], "stop_reason": "tool_use",
        },
        "gemini": {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]},
        "responses": {"id": "x", "object": "response", "status": "completed", "output": [item]},
    }[wire])  # fmt: skip


@pytest.mark.parametrize("wire", WIRES)
def test_endless_arguments_are_given_up(wire: str) -> None:
    """Those of nine MiB are none, on every wire; those of four are."""
    reply, error, _ = read(wire, call_of(wire, "A" * (4 * MEGABYTE)), "application/json")
    assert error is None
    assert len(reply.tool_calls[0]["function"]["arguments"]) == 4 * MEGABYTE + len('{"a":""}')

    _, error, _ = read(wire, call_of(wire, "A" * (9 * MEGABYTE)), "application/json")
    assert isinstance(error, BadReply)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_set_aside_is_put_back(seed: int) -> None:
    """Any document comes out as a reader of the whole reads it, cut into pieces of any sizes."""
    random = Random(seed)
    long = "".join(random.choices("AZaz09+/", k=5000))
    texts = ["", "a b", "=", '"', "é", long, f"{long} {long}", f"\n{long}\\", f"{long}\U0001f600{long}"]

    def value(depth: int = 0) -> object:
        kind = random.randrange(4 if depth < 3 else 2)
        if kind < 2:
            return random.choice([*texts, 1, -1.5, None, True])
        inner = [value(depth + 1) for _ in range(random.randrange(4))]
        return inner if kind == 2 else {f"k{index}": each for index, each in enumerate(inner)}

    document = {"x": value(), "y": [long, value()]}
    body = orjson.dumps(document)
    kept, read_bytes = LongTexts(), b""
    at = 0
    while at < len(body):
        size = random.choice([1, 3, 7, 300, 1000])
        read_bytes += kept.take(body[at : at + size])
        at += size

    assert kept.put_back(orjson.loads(read_bytes)) == document
    assert kept.size > 0


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_picture_is_read(wire: str, kind: str) -> None:
    """Sixty-three MiB, as many as a response may have by default."""
    text = "a" * PIECE * (63 * 16)
    reply, error, _ = read(wire, KINDS[kind](wire, text), kind)

    assert error is None
    assert reply.text == text


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["é", "a ", "\n", "\U0001f600", "1,"])
def test_other_texts_of_that_length_are_given_up(wire: str, kind: str, unit: str) -> None:
    """They are twenty times as long as the longest answer of any model."""
    body = KINDS[kind](wire, unit * (16 * MEGABYTE // len(unit.encode())))
    _, error, _ = read(wire, body, kind)

    assert isinstance(error, BadReply)
    assert error.message in {"more text in it than any answer has", "more values in it than any answer has"}


@pytest.mark.parametrize("wire", WIRES)
def test_a_long_prose_is_read(wire: str) -> None:
    """Six MiB, which are more than a million tokens, escaped and not, streamed and not."""
    prose = "It was – so to say – “the best of times”.\n" * (6 * MEGABYTE // 48)
    for kind, write in KINDS.items():
        reply, error, _ = read(wire, write(wire, prose), kind)

        assert error is None
        assert reply.text == prose


def test_a_stream_of_many_events_may_be_longer() -> None:
    """What is bounded is one event, not the stream."""
    event = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"word " * 2000)
    end = b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    count = 2 * MAX_REST_BYTES // len(event)
    reply, error, _ = read("openai", event * count + end, "text/event-stream", 10_000)

    assert error is None
    assert len(reply.text) == count * 10_000


def test_memory_is_bounded() -> None:
    """An answer that consists of a picture takes less than three times its bytes while it is read."""
    body = body_of("openai", PICTURE)
    tracemalloc.start()
    _, error, _ = read("openai", body, "application/json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert error is None
    assert peak < 3 * len(body)


def test_nobody_else_can_write_a_mark() -> None:
    """A text that looks like one of the marks stays as it is, and no text is put back twice."""
    kept = LongTexts()
    kept.take(b'"')
    mark = kept.take(b"A" * 300)
    other = LongTexts()
    other.take(b'"')
    other.take(b"B" * 300)

    assert other.put_back([mark.decode()]) == [mark.decode()]
    assert kept.put_back({"a": [f"x{mark.decode()}y"]}) == {"a": [f"x{'A' * 300}y"]}


def test_short_streams_set_nothing_aside() -> None:
    """Nothing is looked for in the first two MiB."""
    decoder = wire_for(PROVIDERS["openai"], lambda: 0.0).decoder({"content-type": "text/event-stream"}, {})
    decoder.feed(b"data: ")
    decoder.feed(b"A" * (SHORT_BYTES - 100))

    assert decoder._texts is None  # type: ignore[attr-defined]
