"""Budget: how many US dollars a router may spend in an hour, a day or a run, in all and for each value of a tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple

from asyncrouter._config import checks as check
from asyncrouter._config.tables import build, entries, read, set_frozen
from asyncrouter._errors import ConfigError, NotSent
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

_DOLLARS = "US dollars"


@dataclass(frozen=True, slots=True, repr=False)
class Budget(ShortRepr, PickledByName):
    """What the calls of a router may cost together: `Budget(50.0)`, `Budget(5, per="hour")`.

    Before an attempt is sent, what it will probably cost is reserved; when it has ended, the reservation is replaced by
    its cost. A model for which that is too much is passed over with an `OverBudget`; a cheaper one may still be tried.

    - `usd`: US dollars above 0. `None`: no limit in all, only those of `tags`.
    - `per`: "hour" or "day" (the default), both by UTC, or "run": as long as the program runs, or all processes of a
      run that share their state.
    - `unknown`: what happens to a model whose price is not known: "refuse" (the default), or "allow", without limit.
    - `tags`: by the name of a tag, what the calls of each of its values may cost: `{"tenant": Budget(1.0)}` keeps every
      tenant to a dollar a day. A mapping of `usd` and `per` will do, where `per` is by default the same as here. Calls
      without the tag are not limited by it. Beyond 10,000 values the further ones share one amount.

    Every attempt counts, as in `Trace.cost_usd`: retries, hedges and what is estimated for those that were cut off.
    Spending may exceed the budget by what attempts in flight cost above their estimates. Raises `ConfigError` for a
    value that cannot be used.
    """

    usd: float | None = None
    _: KW_ONLY
    per: Literal["hour", "day", "run"] = "day"
    unknown: Literal["refuse", "allow"] = "refuse"
    tags: Mapping[str, Budget | Mapping[str, object]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check.limit("usd", self.usd, _DOLLARS)
        check.one_of("per", self.per, "hour", "day", "run")
        check.one_of("unknown", self.unknown, "refuse", "allow")
        with check.at("tags"):
            tags = {name: self._of_tag(name, given) for name, given in entries(self.tags).items()}
        if self.usd is None and not tags:
            raise ConfigError(f"is required: {_DOLLARS}, or `tags` with budgets of their own", "usd")
        set_frozen(self, "tags", tags)

    def of_tag(self, name: str) -> Budget:
        """The budget for each value of a tag."""
        budget = self.tags[name]
        assert isinstance(budget, Budget)
        return budget

    def _of_tag(self, name: str, given: object) -> Budget:
        check.text("", name)
        with check.at(check.quoted(name)):
            if isinstance(given, Budget):
                if given.tags:
                    raise ConfigError("expected no tags: a tag's budget has usd and per", "tags")
                return given
            values = {"per": self.per, **_table(given)}
            for key in ("tags", "unknown"):
                if key in values:
                    raise ConfigError("can only be given for the whole budget", key)
            return build(Budget, values)


class BudgetState(NamedTuple):
    """What has been spent and reserved of a budget in the present hour, day or run, in US dollars.

    `usd` is the budget; `until` when it begins anew, in seconds since the epoch, `None` for never.
    """

    usd: float
    spent_usd: float
    reserved_usd: float
    until: float | None


def budget_from(given: object) -> Budget | None:
    """The budget in a table, or a number of US dollars a day; `None` for "none". Raises `ConfigError`."""
    if given is None or given == "none":
        return None
    return given if isinstance(given, Budget) else build(Budget, _table(given))


def _table(given: object) -> dict[str, object]:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"usd": given}
    if not isinstance(given, Mapping):
        raise check.expected("a table like { usd = 50.0 }", given)
    return read(Budget, given)


class OverBudget(NotSent):
    """No request was sent: what is left of the router's budget does not pay for it, or the model's price is unknown.

    - `until`: when the budget begins anew, in seconds since the epoch (UTC). `None`: it does not in this run, or that
      would not help.
    - `retry_after`: seconds until then, or `None`.
    """

    rank = 5

    def __init__(
        self, message: str = "", *, until: float | None = None, retry_after: float | None = None,
        actionable: bool = False,
    ) -> None:
        super().__init__(message, actionable=actionable)
        self.until = until
        self.retry_after = retry_after

    @property
    def of_limit(self) -> bool:
        """Whether the budget is the reason, and not a price that is missing."""
        return not self.actionable
