"""What a batch would cost: tokens guessed from the input, priced at the models of each row's chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep

CHARACTERS_PER_TOKEN = 4
"""Characters that count as one token: a rule of thumb for English text (OpenAI, "What are tokens and how to count
them"). It is the same as in `asyncrouter._config.tokens`, which a door may not import; so are the other numbers.
"""
CHARACTERS_OF_WIDE = 3.4
"""Characters of English that a Chinese, Japanese or Korean one counts as: it is 0.85 tokens."""
CHARACTERS_OF_OTHER = 1.6
"""Characters of English that one of another script counts as: it is 0.4 tokens."""
PICTURE = 1024
"""Tokens that a picture counts as."""
_WIDE = bytes([*range(0xE3, 0xEE), 0xEF, *range(0xF0, 0xF5)])
_OTHER = bytes(range(0xC2, 0xE3))
"""First bytes, in UTF-8, of these characters."""
USUAL_ANSWER = 500
"""Tokens that an answer counts as when its row sets no limit; the engine reserves as many under a `tpm` limit."""


@dataclass(slots=True)
class Estimate:
    """What a batch would come to, if every row is answered at the first try.

    Prompt tokens are guessed from characters; an answer counts as long as its row's `max_tokens`, or 500 tokens.
    `cost_usd` is the price if the first model of each chain answers, `most_usd` if its dearest model does. Both leave
    out models without a known price, which `unpriced` names.
    """

    rows: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    most_usd: float = 0.0
    unpriced: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RowGroup:
    """The rows that go to the same models, counted together."""

    steps: tuple[ExplainedStep, ...]
    rows: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, prompt: object, answer_tokens: int) -> None:
        """Count a row with this prompt, or these messages, and an answer of this length."""
        self.rows += 1
        self.input_tokens += int(_characters(prompt) / CHARACTERS_PER_TOKEN) + 1
        self.output_tokens += answer_tokens

    def add_to(self, estimate: Estimate) -> None:
        """Add the rows and their price to an estimate."""
        estimate.rows += self.rows
        estimate.input_tokens += self.input_tokens
        estimate.output_tokens += self.output_tokens
        prices = []
        for step in self.steps:
            if (rates := step.usd_per_mtok) is not None:
                prices.append((self.input_tokens * rates.input + self.output_tokens * rates.output) / 1e6)
            elif step.model not in estimate.unpriced:
                estimate.unpriced.append(step.model)
        estimate.cost_usd += prices[0] if prices else 0.0
        estimate.most_usd += max(prices, default=0.0)


def answer_tokens(options: Mapping[str, object]) -> int:
    """How long an answer counts as under these arguments of `Router.chat`, in tokens."""
    params = options.get("params")
    for name in ("max_completion_tokens", "max_tokens"):
        given = params.get(name) if isinstance(params, dict) else None
        if isinstance(given, int):
            return given
    return USUAL_ANSWER


def _characters(content: object) -> float:
    """The length of a prompt, of messages or of parts, in characters of English."""
    if isinstance(content, str):
        return _length(content)
    if isinstance(content, list):
        return sum(_part(part) for part in content if isinstance(part, dict))
    return 0.0


def _part(part: Mapping[str, object]) -> float:
    if part.get("type") == "image_url":
        return PICTURE * CHARACTERS_PER_TOKEN
    return _characters(part.get("content", part.get("text")))


def _length(text: str) -> float:
    if text.isascii():
        return len(text)
    data = text.encode("utf-8", "surrogatepass")
    wide, other = (len(data) - len(data.translate(None, firsts)) for firsts in (_WIDE, _OTHER))
    return len(text) - wide - other + wide * CHARACTERS_OF_WIDE + other * CHARACTERS_OF_OTHER
