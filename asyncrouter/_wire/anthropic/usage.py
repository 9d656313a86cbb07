"""What Anthropic counts: tokens read fresh, from a cache and into one, each apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage
from asyncrouter._wire.openai.usage import count

if TYPE_CHECKING:
    from asyncrouter._types import Message


def whole_counts(counts: Message) -> bool:
    """Whether both ends are counted; half a count would make a wrong price."""
    return all(isinstance(counts.get(name), int) for name in ("input_tokens", "output_tokens"))


def read_counts(counts: Message) -> Usage:
    """In the router's words: the input is all three together."""
    cached, written = count(counts, "cache_read_input_tokens"), count(counts, "cache_creation_input_tokens")
    thought = count(counts.get("output_tokens_details"), "thinking_tokens")
    return Usage(count(counts, "input_tokens") + written + cached, count(counts, "output_tokens"), cached, thought)


def write_counts(counts: Message) -> Message:
    """In Chat Completions' words; `cache_write_tokens` is OpenRouter's."""
    usage = read_counts(counts)
    written = count(counts, "cache_creation_input_tokens")
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
