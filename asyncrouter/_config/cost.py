"""The cost of an attempt: prices times tokens, as the provider counted them or as estimated from characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Call, Reply

CHARACTERS_PER_TOKEN = 4
"""Characters of English text in a token, on average (OpenAI, "What are tokens and how to count them")."""


def price(model: Model, usage: Usage) -> float | None:
    """US dollars for these tokens; `None` if the price of the model is unknown.

    Tokens written into a provider's cache count as plain input: their own price (Anthropic: a quarter more) applies to
    a number that no usage report we read has.
    """
    rates = model.usd_per_mtok
    if rates is None:
        return None
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    fresh = max(0, usage.input_tokens - usage.cached_tokens)
    return (fresh * rates.input + usage.cached_tokens * cached_rate + usage.output_tokens * rates.output) / 1e6


def estimate(model: Model, call: Call, reply: Reply | None) -> float | None:
    """US dollars that an attempt without a usage report may have cost: its prompt, and what was written until it ended.

    `None` if the price of the model is unknown.
    """
    written = len(reply.text) + len(reply.reasoning) if reply is not None else 0
    return price(model, Usage(prompt_tokens(call), written // CHARACTERS_PER_TOKEN))


def prompt_tokens(call: Call) -> int:
    """The length of the prompt in tokens, estimated."""
    return sum(_length(message.get("content")) for message in call.messages) // CHARACTERS_PER_TOKEN + 1


def _length(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list | tuple):
        return sum(_length(part.get("text")) for part in content if isinstance(part, dict))
    return 0
