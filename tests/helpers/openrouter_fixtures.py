"""Answers of OpenRouter, as its pages "Errors and debugging", "Streaming" and "API reference" show them."""

from __future__ import annotations

from tests.helpers import decoding
from tests.helpers.decoding import DONE

MODEL = "anthropic/claude-sonnet-5.5"


def chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    """A chunk with one choice, whose delta has these fields."""
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    head = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "provider": "Anthropic"}
    return {**head, "choices": [choice]}


def sse(*documents: dict[str, object]) -> bytes:
    """Server-sent events as OpenRouter writes them: comments while it waits, chunks, and `[DONE]`."""
    return b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + decoding.sse(*documents, DONE)


COUNTS = {
    "prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16, "cost": 0.00012,
    "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2},
}
HEAD = {"id": "gen-1", "object": "chat.completion", "created": 1, "model": MODEL, "system_fingerprint": None}
WHOLE = {**HEAD, "choices": [{
    "index": 0, "finish_reason": "stop", "native_finish_reason": "end_turn",
    "message": {"role": "assistant", "content": "Hello.", "reasoning": "Hm.", "refusal": None},
}], "usage": COUNTS}
FIRST = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
NEXT = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"city":', '"Ulm"}')]
STREAMS = {
    "text": [chunk(content=""), chunk(content="Hel"), chunk(content="lo."), chunk("stop", content="")],
    "reasoning": [chunk(reasoning="Hm."), chunk(content="Hello."), chunk("stop")],
    "tools": [chunk(tool_calls=[FIRST]), *(chunk(tool_calls=[piece]) for piece in NEXT), chunk("tool_calls")],
    "length": [chunk(content="Hel"), chunk("length")],
}


def error(code: int, message: str = "m", **metadata: object) -> dict[str, object]:
    """An error document with this metadata."""
    return {"error": {"code": code, "message": message, "metadata": metadata}}
