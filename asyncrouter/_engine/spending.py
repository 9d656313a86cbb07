"""The budget of a router at work: what an attempt will probably cost is reserved, and settled when it has ended.

`reserve()` is awaited between admission and sending, while the attempt holds its lease. It may be cancelled there: the
reservation then is nobody's, and the store is told. Everything else is a plain call. `Reserved.settle()` is called
where an attempt ends, whoever ends it; only the first call has an effect.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._config.budget import Budget, BudgetState, OverBudget
from asyncrouter._config.cost import cost_of
from asyncrouter._config.tokens import prompt_tokens
from asyncrouter._engine.output_limit import output_limit
from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.money import Accounts, accounts_of, nano, usd
from asyncrouter._policies.output_lengths import OutputLengths
from asyncrouter._types import Usage
from asyncrouter.shared import Reservation, Short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Attempt, Call

OUTPUT_UNKNOWN = 1000
"""Tokens that an answer is taken to have as long as neither its model's answers nor any maximum are known."""
LAPSE_EXTRA = 60.0
"""Seconds after the end of an attempt's time at which a reservation that nobody has settled counts as spent."""
LAPSE_UNLIMITED = 3600.0
"""The same, from the sending on, for an attempt whose time has no limit."""


class Reserved:
    """What is reserved for one attempt."""

    __slots__ = ("_lengths", "_reservation", "_settled", "_store")

    def __init__(self, store: Accounts, reservation: Reservation, lengths: OutputLengths) -> None:
        self._store = store
        self._reservation = reservation
        self._lengths = lengths
        self._settled = False

    def __repr__(self) -> str:
        return f"<Reserved {usd(self._reservation.amount):g} USD{' settled' if self._settled else ''}>"

    def settle(self, attempt: Attempt | None = None) -> None:
        """Replace it by what the attempt has cost; `None`: it was not sent."""
        if self._settled:
            return
        self._settled = True
        cost = None if attempt is None else attempt.cost_usd
        self._store.settle(self._reservation, nano(cost or 0.0))
        if attempt is not None and attempt.usage is not None and attempt.outcome in {"won", "not_accepted"}:
            self._lengths.add(attempt.usage.output_tokens)


class Spending:
    """Reserves and settles what the attempts of a router cost, by its budget and the accounts in `store`."""

    def __init__(self, budget: Budget, store: Accounts, wall: Callable[[], float]) -> None:
        self.budget = budget
        self.accounts = store
        self._wall = wall
        self._lengths: dict[tuple[str, str], OutputLengths] = {}

    def __repr__(self) -> str:
        return f"<Spending {self.budget!r}>"

    def under(self, budget: Budget) -> Spending:
        """The same money under another budget: what has been spent stays spent."""
        other = Spending(budget, self.accounts, self._wall)
        other._lengths = self._lengths
        return other

    async def reserve(
        self, model: Model, call: Call, params: Mapping[str, object], tags: Mapping[str, str] | None, seconds: float
    ) -> Reserved | None:
        """Reserve what an attempt will probably cost that ends within so many seconds; `None` if nobody counts it.

        Raises `OverBudget`.
        """
        accounts = accounts_of(self.budget, tags)
        amount = self._estimate(model, call, params)
        if amount is None:
            if self.budget.unknown == "refuse" and accounts:
                raise _no_price()
            return None
        if not accounts:
            return None
        lapse = LAPSE_UNLIMITED if seconds == inf else seconds + LAPSE_EXTRA
        found = await self.accounts.reserve(accounts, amount, lapse)
        if isinstance(found, Short):
            raise self._too_dear(found, amount)
        return Reserved(self.accounts, found, self._lengths_of(model))

    async def state(self, tags: Mapping[str, str]) -> BudgetState | None:
        """The state of the whole budget; with one tag, of the budget of this value. `None` where there is none."""
        for account in accounts_of(self.budget, tags):
            if (account.tag in tags) == bool(tags):
                spent = await self.accounts.read(account)
                return BudgetState(
                    usd(account.limit), usd(spent.spent), usd(spent.reserved), self._until(spent.ends_in)
                )
        return None

    def _estimate(self, model: Model, call: Call, params: Mapping[str, object]) -> int | None:
        """Nano-dollars that the attempt will probably cost: its prompt, and the p99 of this model's answers."""
        if model.usd_per_mtok is None:
            return None
        tokens = 0 if call.embeds else self._output_tokens(model, params)
        tier = params.get("service_tier")
        usage = Usage(prompt_tokens(call), tokens, service_tier=tier if tier in {"fast", "priority"} else None)
        cost, _ = cost_of(model, usage)
        return nano(cost or 0.0)

    def _output_tokens(self, model: Model, params: Mapping[str, object]) -> int:
        limit = output_limit(params)
        usual = self._lengths_of(model).p99
        if usual is None:
            usual = int(limit or model.max_output or OUTPUT_UNKNOWN)
        answers = params.get("n")
        return int(min(usual, limit or inf)) * (answers if isinstance(answers, int) and answers > 1 else 1)

    def _lengths_of(self, model: Model) -> OutputLengths:
        key = model.provider, model.id
        if (lengths := self._lengths.get(key)) is None:
            if len(self._lengths) >= MAX_NAMES:
                del self._lengths[next(iter(self._lengths))]
            lengths = self._lengths[key] = OutputLengths()
        return lengths

    def _too_dear(self, short: Short, amount: int) -> OverBudget:
        until = self._until(short.ends_in)
        return OverBudget(_words(short, amount, until), until=until, retry_after=short.ends_in)

    def _until(self, ends_in: float | None) -> float | None:
        """The instant so many seconds from now; a span ends on a full second."""
        return None if ends_in is None else float(round(self._wall() + ends_in))


def _words(short: Short, amount: int, until: float | None) -> str:
    account, end = short.account, "to its end"
    if until is not None:
        end = f"until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
    whole = f"{account} of {usd(account.limit):g} USD"
    if short.left <= 0:
        return f"{whole} is used up {end}"
    return f"{whole} has {usd(short.left):.6g} USD left {end}, and this may cost {usd(amount):.6g} USD"


def _no_price() -> OverBudget:
    return OverBudget(
        "its price is not known, and the budget refuses such models: give it `usd_per_mtok`, or set "
        '`budget.unknown` to "allow"', actionable=True,
    )
