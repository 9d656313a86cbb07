"""What a batch would cost: tokens guessed from the input, priced at the models of each row's chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter.batch._older_pickles import OlderPickles

if TYPE_CHECKING:
    from asyncrouter import ExplainedStep, Price

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
SMALL_PICTURE = 85
"""The same with `"detail": "low"`."""
_SAME_TIER = {"fast": "priority", "priority": "fast"}
"""OpenAI has renamed its tier "priority" to "fast"."""
_ALSO_SENT = ("tool_calls", "reasoning_content", "reasoning")
"""What a message may hold besides its content."""
_WIDE = bytes([*range(0xE3, 0xEE), 0xEF, *range(0xF0, 0xF5)])
_OTHER = bytes(range(0xC2, 0xE3))
"""First bytes, in UTF-8, of these characters."""
DEEPEST: Final = 8
"""Levels of lists and parts in a prompt that are looked at: messages, their parts, and what those hold, are four."""
USUAL_ANSWER = 500
"""Tokens that an answer counts as when its row sets no limit; the engine reserves as many under a `tpm` limit."""


@dataclass(slots=True)
class Estimate(OlderPickles):
    """What a batch would come to, if every row is answered at the first try.

    Prompt tokens are guessed from characters, tools included; an answer counts as long as its prompt asks for ("one
    word", "in two sentences"), as its row's `max_tokens`, or 500 tokens. A long prompt has its own price where the
    model has one, and so has a row that asks for a service tier. `cost_usd` is the price if the first model of each
    chain answers, `most_usd` if its dearest model does. Both leave out models without a known price, which `unpriced`
    names. `copies` are rows that `dedupe` does not ask, which are in `rows` alone.
    """

    rows: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    most_usd: float = 0.0
    unpriced: list[str] = field(default_factory=list)
    copies: int = 0


class RowGroup:
    """The rows that go to the same models, counted together.

    Rows with the same options, one after the other, are priced together: only a prompt that is long enough to have a
    price of its own is priced by itself.
    """

    __slots__ = (
        "_added", "_answered", "_asked", "_options", "_prices", "_threshold", "input_tokens", "output_tokens", "rows",
        "steps", "usd",
    )

    def __init__(self, steps: tuple[ExplainedStep, ...]) -> None:
        self.steps = steps
        self.rows = self.input_tokens = self.output_tokens = 0
        self.usd = [0.0] * len(steps)
        """What the rows cost at each step; nothing where the price is not known."""
        self._options: Mapping[str, object] | None = None
        self._added = 0.0
        self._prices: list[Price | None] = []
        self._threshold = inf
        self._asked = self._answered = 0

    def add(self, prompt: object, options: Mapping[str, object], answer_tokens: int) -> int:
        """Count a row with this prompt, or these messages, these arguments, and an answer of this length.

        The tokens of the prompt.
        """
        if options is not self._options:
            self._begin(options)
        asked = int((_characters(prompt) + self._added) / CHARACTERS_PER_TOKEN) + 1
        self.rows += 1
        self.input_tokens += asked
        self.output_tokens += answer_tokens
        if asked > self._threshold:
            self._pay(asked, answer_tokens)
        else:
            self._asked += asked
            self._answered += answer_tokens
        return asked

    def _begin(self, options: Mapping[str, object]) -> None:
        """Count rows with these options from now on."""
        self._flush()
        given = options.get("params")
        params = given if isinstance(given, Mapping) else {}
        added = {**params, "response_format": options.get("response_format", params.get("response_format"))}
        self._options, self._added = options, _of_params(added)
        self._prices = [_at_tier(step.usd_per_mtok, _tier(params, step.provider)) for step in self.steps]
        known = (price for price in self._prices if price is not None and price.long_context is not None)
        self._threshold = min((price.long_context_tokens or 0 for price in known), default=inf)

    def _flush(self) -> None:
        self._pay(self._asked, self._answered, standard=True)
        self._asked = self._answered = 0

    def _pay(self, asked: int, answered: int, *, standard: bool = False) -> None:
        for index, price in enumerate(self._prices):
            self.usd[index] += _usd(price, asked, answered, standard=standard)

    def add_to(self, estimate: Estimate) -> None:
        """Add the rows and their price to an estimate."""
        self._flush()
        estimate.rows += self.rows
        estimate.input_tokens += self.input_tokens
        estimate.output_tokens += self.output_tokens
        prices = []
        for step, usd in zip(self.steps, self.usd, strict=True):
            if step.usd_per_mtok is not None:
                prices.append(usd)
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


def _tier(params: Mapping[str, object], provider: str) -> object:
    """The service tier that these parameters ask of a provider."""
    theirs = params.get(provider)
    given = theirs if isinstance(theirs, dict) and "service_tier" in theirs else params
    return given.get("service_tier")


def _at_tier(price: Price | None, tier: object) -> Price | None:
    """The price at the service tier that a row asks for."""
    if price is None or not isinstance(tier, str):
        return price
    return price.tiers.get(tier) or price.tiers.get(_SAME_TIER.get(tier, tier)) or price


def _usd(price: Price | None, asked: int, answered: int, *, standard: bool) -> float:
    """What these tokens cost; with `standard` they are not those of one long prompt."""
    if price is None:
        return 0.0
    while not standard and price.long_context is not None and asked > (price.long_context_tokens or 0):
        price = price.long_context
    return (asked * price.input + answered * price.output) / 1e6


def _of_params(params: Mapping[str, object]) -> float:
    """The length of what the parameters add to a prompt: tools and a schema, in characters of English."""
    return sum(_json(given) for name in ("tools", "response_format") if (given := params.get(name)) is not None)


def _json(value: object) -> float:
    try:
        return _length(orjson.dumps(value).decode())
    except TypeError:  # the row fails for it, or is not sent
        return 0.0


def _characters(content: object, levels: int = DEEPEST) -> float:
    """The length of a prompt, of messages or of parts, in characters of English; what is nested deeper counts as 0."""
    if isinstance(content, str):
        return _length(content)
    if isinstance(content, list) and levels:
        return sum(
            _part(part, levels - 1) if isinstance(part, dict) else _characters(part, levels - 1) for part in content
        )
    return CHARACTERS_PER_TOKEN if isinstance(content, int) else 0.0  # a token of a text that is given in tokens


def _part(part: Mapping[str, object], levels: int) -> float:
    if part.get("type") == "image_url":
        picture = part.get("image_url")
        low = isinstance(picture, dict) and picture.get("detail") == "low"
        return (SMALL_PICTURE if low else PICTURE) * CHARACTERS_PER_TOKEN
    written = _characters(part.get("content", part.get("text")), levels)
    return written + sum(_json(part[name]) for name in _ALSO_SENT if part.get(name) is not None)


def _length(text: str) -> float:
    if text.isascii():
        return len(text)
    data = text.encode("utf-8", "surrogatepass")
    wide, other = (len(data) - len(data.translate(None, firsts)) for firsts in (_WIDE, _OTHER))
    return len(text) - wide - other + wide * CHARACTERS_OF_WIDE + other * CHARACTERS_OF_OTHER
