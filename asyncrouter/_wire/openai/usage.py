"""Reads the token counts of Chat Completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage
from asyncrouter._wire.fields import count_in

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_usage(usage: Mapping[str, object] | None) -> Usage | None:
    """The counts as `Usage`, `None` when there are none. DeepSeek counts cached tokens as `prompt_cache_hit_tokens`.

    A total that is more than its parts counts reasoning, which xAI leaves out of the completion, and bills as output.
    """
    if usage is None or not isinstance(usage.get("prompt_tokens"), (int, float)):
        return None
    prompt, completion = count_in(usage, "prompt_tokens"), count_in(usage, "completion_tokens")
    total = usage.get("total_tokens")
    shows_more = isinstance(total, (int, float)) and total > prompt + completion
    hidden = max(0, count_in(usage, "total_tokens") - prompt - completion) if shows_more else 0
    cached = count_in(usage.get("prompt_tokens_details"), "cached_tokens") or count_in(usage, "prompt_cache_hit_tokens")
    reasoning = count_in(usage.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(prompt, completion + hidden, cached, reasoning or hidden)
