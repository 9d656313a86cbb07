"""Rules that end a run before its load does: money and errors. A ledger keeps what was spent and what is reserved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep, Price
    from asyncrouter.bench.rows import Row

DEFAULT_OUTPUT = 1024
"""Output tokens reserved for a call that does not limit them."""
CHARACTERS_PER_TOKEN = 3.0
"""Characters of a prompt for one input token, rounded down from the usual four of English: a reserve must not be too
small."""
MESSAGE_TOKENS = 16.0
"""Input tokens reserved for the frame of the one message of a call: role, separators, a provider's own preamble."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""The parameters that limit the output tokens of a call."""
MIN_CALLS = 50
"""Calls from which a share of errors is judged: one failure among the first few says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Rules that end a run early; `None`: no such rule.

    `errors`: so many failed calls in all. `error_rate`: a larger share of failed calls, of at least 50. `budget_usd`:
    dollars for all arms together in real time, for each arm in a scenario. A call is only started when the budget still
    holds it with every model of its chain billed once in full, beside the calls in flight counted in the same way.
    Raises `ValueError` for a number out of range.
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
    """What a run has spent and reserved, and how many of its calls failed.

    `stop_reason` is why the run must end, `None` while it may go on; `spent` is in USD.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop_reason: str | None = None
        self.spent: float = 0.0
        self._reserved = 0.0
        self._stop = stop
        self._calls = self._errors = 0

    def admit(self, reserve: float) -> bool:
        """Whether one more call may begin; if so, `reserve` USD are set aside until it is settled."""
        budget = self._stop.budget_usd
        if self.stop_reason is None and budget is not None and self.spent + self._reserved + reserve > budget:
            self.stop_reason = (
                f"the budget of ${budget:g} could be exceeded by another call (${self.spent:.6f} spent, "
                f"${self._reserved:.6f} reserved for calls in flight, ${reserve:.6f} for another one)"
            )
        if self.stop_reason is not None:
            return False
        self._reserved += reserve
        return True

    def settle(self, row: Row, reserve: float) -> None:
        """A call has ended. One whose cost is unknown is counted with all that was reserved for it."""
        self._reserved -= reserve
        self.spent += reserve if row.cost_usd is None else row.cost_usd
        self._calls += 1
        self._errors += not row.ok
        if self.stop_reason is None:
            self.stop_reason = self._too_many_errors()

    def _too_many_errors(self) -> str | None:
        stop, share = self._stop, self._errors / self._calls
        if stop.errors is not None and self._errors >= stop.errors:
            return f"{self._errors} calls have failed"
        if stop.error_rate is not None and self._calls >= MIN_CALLS and share > stop.error_rate:
            return f"{share:.1%} of the calls have failed"
        return None


def reserve(steps: tuple[ExplainedStep, ...], prompt: str, call: Mapping[str, object]) -> float:
    """USD that a call can cost at most: its prompt and the longest answer, once from every model of the chain.

    Raises `ValueError` for a model without a price: no budget could be kept with it.
    """
    limits = [limit for name in LIMITS if isinstance(limit := call.get(name), int) and limit > 0]
    output = max(limits, default=DEFAULT_OUTPUT)
    total = 0.0
    for step in steps:
        if step.usd_per_mtok is None:
            raise ValueError(f"{step.model} has no price, so no budget can be kept: give it `usd_per_mtok`")
        price = step.usd_per_mtok
        # A character that is not ASCII may be a token and more.
        prompt_tokens = len(prompt.encode("utf-8", "surrogatepass")) / CHARACTERS_PER_TOKEN + MESSAGE_TOKENS
        dearest = [price, *price.tiers.values()] if call.get("service_tier") else [price]
        total += max(_usd(each, prompt_tokens, output) for each in dearest)
    return total


def _usd(price: Price, prompt_tokens: float, output: float) -> float:
    """USD of a call at this price, at that of long prompts if its prompt is one, and written into the cache."""
    while price.long_context is not None and prompt_tokens > (price.long_context_tokens or 0):
        price = price.long_context
    rate = max(price.input, price.cache_write or 0.0, price.cache_write_1h or 0.0)
    return (prompt_tokens * rate + output * price.output) / 1e6
