"""Survival analysis of one model's recorded times: what is known although some attempts were cut off.

An *observation* is one model's part of one recorded call, its retries and the pauses between them included. Its *event*
is the first content, or the failure without any. An observation that was overtaken by a hedge, cancelled by the caller,
or ended by our own timeout is *right-censored*: all there is to know is that the event would have come later.

The distribution of the event times is the product-limit estimate (Kaplan and Meier 1958): the weight of each censored
observation is shared equally among the observations that lasted longer. Where the longest one is itself censored, the
rest of the weight lies beyond everything that was observed (`unobserved`).

It is assumed that censoring says nothing about how much longer an observation would have lasted. That is so for a hedge
or a timeout after a fixed delay; it is only approximately so where a caller gives up because the answer seems late.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from asyncrouter.bench.rows import AttemptRow

_CANCELLED = {"superseded", "cancelled", None}
"""Outcomes of attempts that we ended, not the provider."""
_CENSORING_TIMEOUTS = {"first_token", "total", "deadline"}
"""Timeouts that say how long we were willing to wait, not how long it would have taken; connecting is no such wait."""
_ROUNDING = 1e-9
"""Weights are sums of fractions: a quantile must not be missed by a rounding error."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One model's part of one call. Times are seconds from its first request, `began` from the start of the call.

    `event` is when its first content came (`has_content`), or when it failed without any; `event_observed` is False
    when it was cut off before. `end` is when its answer was whole (`ok`) or broke; `end_observed` is False when it was
    cut off in the middle of its answer. `cost` is USD, `None` where it is unknown. `not_sent`: no request was made (an
    open breaker, a hold).
    """

    model: str
    began: float
    event: float
    end: float
    has_content: bool
    ok: bool
    event_observed: bool
    cost: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    not_sent: bool = False
    end_observed: bool = True

    @property
    def fully_observed(self) -> bool:
        """Whether neither its event nor its end is censored."""
        return self.event_observed and self.end_observed


def observations(attempts: Sequence[AttemptRow]) -> list[Observation]:
    """The observations of one call, in the order in which they began."""
    groups: list[list[AttemptRow]] = []
    for attempt in attempts:
        retried = next((group for group in reversed(groups) if group[-1].model == attempt.model), None)
        if attempt.cause == "retry" and retried is not None:
            retried.append(attempt)
        else:
            groups.append([attempt])
    return [_observation(group) for group in groups]


def _observation(group: Sequence[AttemptRow]) -> Observation:
    """One model's attempts as one observation."""
    last = group[-1]
    began = next((attempt.sent for attempt in group if attempt.sent is not None), None)
    unknown = any(attempt.cost_usd is None for attempt in group)
    cost = None if unknown else sum(attempt.cost_usd or 0.0 for attempt in group)
    if began is None:
        return Observation(last.model, last.queued or 0.0, 0.0, 0.0, False, False, True, 0.0, not_sent=True)
    ended = (last.ended if last.ended is not None else began) - began
    has_content = last.first is not None
    event = ended if last.first is None else last.first - began
    cut = last.outcome in _CANCELLED or last.clock in _CENSORING_TIMEOUTS
    ok = last.outcome == "won" or (has_content and cut)
    return Observation(last.model, began, event, ended, has_content, ok, has_content or not cut, cost,
                       last.input_tokens, last.output_tokens, end_observed=not (has_content and cut))


class KaplanMeier:
    """The product-limit estimate of one model's event times, to take quantiles of and to draw observations from.

    `n` counts the observations that made a request, `censored` those of them without an observed event; `observed` are
    the others, by time. `longest` is the longest time in seconds, censored or not. `unobserved` is the share of the
    distribution that lies beyond the last observed event.
    """

    def __init__(self, recorded: Sequence[Observation]) -> None:
        sent = [one for one in recorded if not one.not_sent]
        sent.sort(key=lambda one: (one.event, not one.event_observed))
        self.n: int = len(sent)
        self.censored: int = sum(not one.event_observed for one in sent)
        self.longest: float = sent[-1].event if sent else 0.0
        self.observed: list[Observation] = []
        self._times: list[float] = []
        weights: list[float] = []
        survival = 1.0
        for index, one in enumerate(sent):
            if one.event_observed:
                weight = survival / (self.n - index)
                self.observed.append(one)
                self._times.append(one.event)
                weights.append(weight)
                survival -= weight
        self._cumulative = list(accumulate(weights))
        self.unobserved: float = max(0.0, survival) if self.censored else 0.0

    def __repr__(self) -> str:
        return f"<KaplanMeier of {self.n} observations, {self.censored} censored, {self.unobserved:.2%} unobserved>"

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the events come; `None` where that lies beyond what was observed."""
        if not self._cumulative or self._cumulative[-1] < q - _ROUNDING:
            return None
        return self._times[min(len(self._times) - 1, bisect_right(self._cumulative, q - _ROUNDING))]

    def draw(self, random: Random, beyond: float = -1.0) -> Observation | None:
        """A random observation, given that its event comes after `beyond` seconds.

        `None`: its event comes after everything that was observed.
        """
        start = bisect_right(self._times, beyond)
        below = self._cumulative[start - 1] if start else 0.0
        whole = (self._cumulative[-1] if self._cumulative else 0.0) + self.unobserved
        if whole - below <= 1e-12:
            return None
        at = bisect_right(self._cumulative, below + random.random() * (whole - below))
        return self.observed[at] if at < len(self.observed) else None
