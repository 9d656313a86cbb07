"""Translates the finish reasons of Chat Completions hosts into ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.ends import finish_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import FinishReason

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Our finish reason for each of the API's own. Hosts bring many others (Together: eos; Mistral: model_length)."""


def finish_reason(word: str) -> FinishReason:
    """Our finish reason for a host's word."""
    return FINISH.get(word) or finish_of(word)
