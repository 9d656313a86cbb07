"""When a run must end before its load does: money, and errors. It knows what has been spent and what may be yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep
    from asyncrouter.bench.rows import Row

DEFAULT_OUTPUT = 1024
"""Tokens set aside for the answer of a call without a limit."""
LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Rules that end a run early; `None`: no such rule.

    `errors` failed calls in all, a share of `error_rate` among at least 50 calls, `budget_usd` spent. A call is only
    started when it fits into the budget with every model of its chain billed in full once; so do those in flight.
    Raises `ValueError` for a number that makes no sense.
    """

    errors: int | None = None
    error_rate: float | None = None
    budget_usd: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("errors", 1), ("error_rate", 0.0), ("budget_usd", 0.0)):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least {least}, got {value!r}")
        if self.error_rate is not None and self.error_rate >= 1.0:
            raise ValueError(f"error_rate: expected a share below 1 (5 % is 0.05), got {self.error_rate!r}")


class Ledger:
    """What a run has come to; `why` is the reason to stop, once there is one."""

    LEAST = 50

    def __init__(self, stop: Stop) -> None:
        self.why: str | None = None
        self.spent = 0.0
        self._reserved = 0.0
        self._stop = stop
        self._calls = self._errors = 0

    def admit(self, reserve: float) -> bool:
        """Whether one more call may begin; if so `reserve` USD are set aside until it is settled."""
        budget = self._stop.budget_usd
        if self.why is None and budget is not None and self.spent + self._reserved + reserve > budget:
            self.why = (f"the budget of ${budget:g} could be exceeded by another call (${self.spent:.6f} spent, "
                        f"${self._reserved:.6f} set aside for calls under way, ${reserve:.6f} for another one)")
        if self.why is not None:
            return False
        self._reserved += reserve
        return True

    def settle(self, row: Row, reserve: float) -> None:
        """A call has ended. One whose cost is unknown is counted with all that was set aside for it."""
        self._reserved -= reserve
        self.spent += reserve if row.cost_usd is None else row.cost_usd
        self._calls += 1
        self._errors += not row.ok
        stop = self._stop
        if self.why is None and stop.errors is not None and self._errors >= stop.errors:
            self.why = f"{self._errors} calls have failed"
        share = self._errors / self._calls
        if self.why is None and stop.error_rate is not None and self._calls >= self.LEAST and share > stop.error_rate:
            self.why = f"{share:.1%} of the calls have failed"


def reserve(steps: tuple[ExplainedStep, ...], prompt: str, call: Mapping[str, object]) -> float:
    """USD that a call can cost: its prompt and the longest answer, from every model of the chain.

    Raises `ValueError` for a model without a price: no budget could be kept with it.
    """
    limits = [limit for name in LIMITS if isinstance(limit := call.get(name), int) and limit > 0]
    output = max(limits, default=DEFAULT_OUTPUT)
    total = 0.0
    for step in steps:
        if step.usd_per_mtok is None:
            raise ValueError(f"{step.model} has no price, so no budget can be kept: give it `usd_per_mtok`")
        price = step.usd_per_mtok
        total += (len(prompt) / 3.0 + 16.0) * price.input / 1e6 + output * price.output / 1e6
    return total
