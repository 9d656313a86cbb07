"""Translates the stop reasons of the Messages API into finish reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.ends import finish_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import FinishReason

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "compaction": "stop",
    "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Our finish reason for each of the API's own stop reasons."""


def finish_reason(stop_reason: object, *, has_calls: bool) -> FinishReason:
    """Our finish reason; before a stop reason has come, what it will probably be."""
    if isinstance(stop_reason, str):
        return FINISH.get(stop_reason) or finish_of(stop_reason)
    return "tool_calls" if has_calls else "stop"
