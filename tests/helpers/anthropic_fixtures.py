"""Answers of the Messages API, as its reference shows them ("Streaming messages", "Extended thinking", "Tool use")."""

from __future__ import annotations

import orjson


def stream_of(*events: dict[str, object]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), orjson.dumps(e)) for e in events)


def start(**usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 25, "output_tokens": 1, **usage}}}


def block(index: int, content: dict[str, object], *deltas: dict[str, object]) -> list[dict[str, object]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def stop(reason: str, **usage: object) -> list[dict[str, object]]:
    delta, counts = {"stop_reason": reason, "stop_sequence": None}, {"output_tokens": 15, **usage}
    return [{"type": "message_delta", "delta": delta, "usage": counts}, {"type": "message_stop"}]


def text(index: int, *pieces: str) -> list[dict[str, object]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


STREAMS = {
    "text": stream_of(start(), {"type": "ping"}, *text(0, "Hel", "lo!"), *stop("end_turn")),
    "cache": stream_of(start(cache_read_input_tokens=7, cache_creation_input_tokens=3), *text(0, "é🙂"),
                       *stop("stop_sequence", input_tokens=30, cache_read_input_tokens=8)),
    "tools": stream_of(
        start(), *text(0, "Let me see."),
        *block(1, {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
               {"type": "input_json_delta", "partial_json": ""},
               {"type": "input_json_delta", "partial_json": '{"city": "San'},
               {"type": "input_json_delta", "partial_json": ' Francisco"}'}),
        *block(2, {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}), *stop("tool_use")),
    "thinking": stream_of(
        start(),
        *block(0, {"type": "thinking", "thinking": "", "signature": ""},
               {"type": "thinking_delta", "thinking": "Let me "}, {"type": "thinking_delta", "thinking": "think."},
               {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}),
        *block(1, {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"}), *text(2, "Done."),
        *stop("end_turn", output_tokens_details={"thinking_tokens": 5})),
    "search": stream_of(
        start(),
        *block(0, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
               {"type": "input_json_delta", "partial_json": '{"query":"x"}'}),
        *block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
        *text(2, "So."), *stop("pause_turn")),
    "window": stream_of(start(), *text(0, "And"), *stop("model_context_window_exceeded")),
    "refusal": stream_of(start(), *text(0, "I"), *stop("refusal")),
    "unknown": stream_of(start(), {"type": "from_the_future", "x": 1}, *text(0, "a"), *stop("end_turn")),
}


def message(reason: str, *content: dict[str, object]) -> dict[str, object]:
    """A message in one piece."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": list(content)}
    return {**head, "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 25, "output_tokens": 15}}


BODIES = [
    message("end_turn", {"type": "text", "text": "Hello!"}),
    message(
        "tool_use",
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "San Francisco"}},
    ),
]
