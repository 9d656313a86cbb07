"""The price of a model: standard, of long prompts, and at the service tiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncrouter._config import checks as check
from asyncrouter._config.tables import build, entries, read, set_frozen
from asyncrouter._errors import ConfigError
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

_EXAMPLE = "a table like { input = 0.1, output = 0.2 }"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Price(ShortRepr, PickledByName):
    """The price of a model, in US dollars per million tokens.

    - `input`: tokens of the prompt.
    - `output`: tokens of the answer, reasoning included.
    - `cached_input`: tokens of the prompt that the provider read from its cache. `None` (the default): as `input`.
    - `cache_write`: tokens of the prompt that the provider wrote into its cache. `None` (the default): unknown, so a
      quarter more than `input` is taken, and the cost is marked as an estimate.
    - `cache_write_1h`: those of them that are kept for an hour (Anthropic). `None` (the default): unknown, so
      twice `input` is taken, marked likewise.
    - `long_context_tokens`, `long_context`: a prompt of more than so many tokens is charged at this `Price` from its
      first token on. `None` (the default): every prompt costs the same.
    - `tiers`: the `Price` at each service tier, by its name in the provider's replies ("flex", "priority", "batch");
      "fast" and "priority" stand for each other. An answer at a tier that is not here costs an estimate.

    A `long_context` price has no tiers, and a tier's price has none of its own. Raises `ConfigError` for a price that
    is not a number, or below 0.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    long_context_tokens: int | None = None
    long_context: Price | None = None
    tiers: Mapping[str, Price] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check.amount("input", self.input, "US dollars")
        check.amount("output", self.output, "US dollars")
        for name in ("cached_input", "cache_write", "cache_write_1h"):
            if getattr(self, name) is not None:
                check.amount(name, getattr(self, name), "US dollars")
        if self.long_context is not None or self.long_context_tokens is not None:
            self._check_long_context()
        if self.tiers or not isinstance(self.tiers, Mapping):
            set_frozen(self, "tiers", _checked_tiers(self.tiers))

    def _check_long_context(self) -> None:
        if self.long_context_tokens is None:
            raise ConfigError("is required beside long_context", "long_context_tokens")
        check.count("long_context_tokens", self.long_context_tokens)
        if self.long_context is None:
            raise ConfigError("is required beside long_context_tokens", "long_context")
        if not isinstance(self.long_context, Price):
            raise check.expected(_EXAMPLE, self.long_context, "long_context")
        if self.long_context.tiers:
            raise ConfigError("expected no tiers; a tier's price has its own long_context", "long_context.tiers")
        further = self.long_context.long_context_tokens
        if further is not None and further <= self.long_context_tokens:
            raise check.expected(
                f"more than {self.long_context_tokens} tokens", further, "long_context.long_context_tokens"
            )


def price_from(given: object) -> Price:
    """Make a price from its table, and those within. Raises `ConfigError`."""
    if isinstance(given, Price):
        return given
    values = read(Price, given)
    if values.get("long_context") is not None:
        with check.at("long_context"):
            values["long_context"] = price_from(values["long_context"])
    if "tiers" in values:
        with check.at("tiers"):
            values["tiers"] = {name: _tier_from(name, tier) for name, tier in entries(values["tiers"]).items()}
    return build(Price, values)


def _tier_from(name: str, given: object) -> Price:
    with check.at(check.quoted(name)):
        return price_from(given)


def _checked_tiers(tiers: object) -> dict[str, Price]:
    """A copy of the prices by tier, whose names are as in `Usage.service_tier`: in lower case."""
    if not isinstance(tiers, Mapping):
        raise check.expected("a table of prices by tier", tiers, "tiers")
    checked: dict[str, Price] = {}
    for name, price in tiers.items():
        if not isinstance(name, str) or not name.strip():
            raise check.expected("the name of a tier", name, "tiers")
        path = f"tiers.{check.quoted(name)}"
        if not isinstance(price, Price):
            raise check.expected(_EXAMPLE, price, path)
        if price.tiers:
            raise ConfigError("expected no tiers within a tier", f"{path}.tiers")
        checked[name.lower()] = price
    return checked
