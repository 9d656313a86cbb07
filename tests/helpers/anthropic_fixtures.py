"""Messages API JSON as its reference shows it, and decoders of the Anthropic wire that were fed it.

The pages are "Streaming messages", "Extended thinking" and "Tool use".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.catalog import Provider
from asyncrouter._wire.anthropic.wire import Anthropic
from tests.helpers.decoding import JSON, SSE, decode

if TYPE_CHECKING:
    from asyncrouter._types import Chunk
    from asyncrouter._wire.api import Decoder

Json = dict[str, object]

PROVIDER = Provider(name="anthropic", base_url="https://api.anthropic.com/v1/", wire="anthropic")
WIRE = Anthropic(PROVIDER, wall=lambda: 1_700_000_000.5)
HEADERS = {"request-id": "req_1"}


def sse(*events: object) -> bytes:
    """Server-sent events as the API writes them, named by their type; bytes are sent as they are, without a name."""
    written = b""
    for event in events:
        if isinstance(event, dict):
            written += b"event: " + str(event.get("type", "message")).encode() + b"\n"
        written += b"data: " + (event if isinstance(event, bytes) else orjson.dumps(event)) + b"\n\n"
    return written


def message_start(**usage: object) -> Json:
    return {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1, **usage}}}


def block_start(index: int, kind: str, **fields: object) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def block_delta(index: int, kind: str, **fields: object) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def block_stop(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def message_delta(reason: str | None = "end_turn", usage: object = None, **fields: object) -> Json:
    """Why the message stopped, and its counts."""
    counts = {"output_tokens": 7} if usage is None else usage
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": counts}


MESSAGE_STOP: Json = {"type": "message_stop"}


def block(index: int, kind: str, *deltas: Json, **fields: object) -> list[Json]:
    """All events of a block."""
    written = ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
    return [block_start(index, kind, **fields), *written, block_stop(index)]


def text_block(index: int, *pieces: str) -> list[Json]:
    """All events of a block of text."""
    return block(index, "text", *({"type": "text_delta", "text": piece} for piece in pieces), text="")


def tool_block(index: int, identifier: str, name: str, *pieces: str) -> list[Json]:
    """All events of a tool call whose input comes in pieces of JSON."""
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, "tool_use", *deltas, id=identifier, name=name, input={})


def signed_thought(index: int, *pieces: str, signature: str) -> list[Json]:
    """All events of a block of thinking."""
    deltas = ({"type": "thinking_delta", "thinking": piece} for piece in pieces)
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, "thinking", *deltas, signed, thinking="", signature="")


def message(content: object, reason: str | None = "end_turn", **fields: object) -> Json:
    """A message in one piece."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": content,
            "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 7}, **fields}


def answer(*events: object, reason: str | None = "end_turn", **usage: object) -> list[object]:
    """All events of a message with these blocks; `usage` is that of its start."""
    return [message_start(**usage), *events, message_delta(reason), MESSAGE_STOP]


def stream(
    *events: object, params: dict[str, object] | None = None, chunks: list[Chunk] | None = None
) -> Decoder:
    """A decoder of a stream that was fed these events and closed."""
    return decode(WIRE, {**SSE, **HEADERS}, sse(*events), params, chunks)


def body(document: object, params: dict[str, object] | None = None) -> Decoder:
    """A decoder of a body that was fed this document and closed."""
    return decode(WIRE, {**JSON, **HEADERS}, document, params)


STREAMS = {
    "text": sse(*answer({"type": "ping"}, *text_block(0, "Hel", "lo!"))),
    "cache": sse(
        message_start(cache_read_input_tokens=7, cache_creation_input_tokens=3), *text_block(0, "é🙂"),
        message_delta("stop_sequence", {"output_tokens": 15, "input_tokens": 30, "cache_read_input_tokens": 8}),
        MESSAGE_STOP,
    ),
    "tools": sse(*answer(
        *text_block(0, "Let me see."),
        *tool_block(1, "toolu_1", "get_weather", "", '{"city": "San', ' Francisco"}'), *tool_block(2, "toolu_2", "now"),
        reason="tool_use",
    )),
    "thinking": sse(
        message_start(), *signed_thought(0, "Let me ", "think.", signature="EqQBCgIYAhIM"),
        *block(1, "redacted_thinking", data="EmwKAhgBEgy3"), *text_block(2, "Done."),
        message_delta("end_turn", {"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 5}}), MESSAGE_STOP,
    ),
    "search": sse(*answer(
        *block(0, "server_tool_use", {"type": "input_json_delta", "partial_json": '{"query":"x"}'},
               id="srvtoolu_1", name="web_search", input={}),
        *block(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[]), *text_block(2, "So."),
        reason="pause_turn",
    )),
    "window": sse(*answer(*text_block(0, "And"), reason="model_context_window_exceeded")),
    "refusal": sse(*answer(*text_block(0, "I"), reason="refusal")),
    "unknown": sse(*answer({"type": "from_the_future", "x": 1}, *text_block(0, "a"))),
}
BODIES = [
    message([{"type": "text", "text": "Hello!"}]),
    message([
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "San Francisco"}},
    ], "tool_use"),
]
