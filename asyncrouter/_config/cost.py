"""What an answer costs: prices times tokens, counted or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Call, Reply

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text (OpenAI, "What are tokens and how to count them")."""


def price(model: Model, usage: Usage) -> float | None:
    """US dollars for these tokens; `None` when the model's price is not known, never a silent 0.

    Tokens written into a cache count as input: their own price, a quarter more at Anthropic, is in no usage we have.
    """
    rates = model.usd_per_mtok
    if rates is None:
        return None
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    fresh = max(0, usage.input_tokens - usage.cached_tokens)
    return (fresh * rates.input + usage.cached_tokens * cached_rate + usage.output_tokens * rates.output) / 1e6


def estimate(model: Model, call: Call, reply: Reply | None) -> float | None:
    """US dollars an attempt without a usage report may have cost: its prompt, and what it wrote until it ended."""
    written = len(reply.text) + len(reply.reasoning) if reply is not None else 0
    return price(model, Usage(prompt_tokens(call), written // CHARACTERS_PER_TOKEN))


def prompt_tokens(call: Call) -> int:
    """The prompt's length in tokens, roughly."""
    return sum(_length(message.get("content")) for message in call.messages) // CHARACTERS_PER_TOKEN + 1


def _length(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list | tuple):
        return sum(_length(part.get("text")) for part in content if isinstance(part, dict))
    return 0
