"""One measure of two arms or two runs side by side, and the verdict: better or worse by more than chance, or not shown.

Many measures are compared at once, so some would seem to differ by chance alone. All comparisons that are printed
together are one family, and Holm's correction (`significance`) keeps the chance of any false claim in it at 5 %. The
printed intervals are 95 % each, so an interval without 0 is not yet a claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from asyncrouter.bench.significance import detectable, holm, p_value
from asyncrouter.bench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HIGHER_IS_BETTER = {
    "success", "quality", "goodput", "goodput_share", "achieved_rate", "hedges_won", "p50_tokens_per_second",
    "output_tokens_per_second",
}
"""Measures of which more is better; of all others less is."""
APART = 0.0056
"""The p-value of two figures whose 95 % intervals just meet: 1.96 · √2 standard errors (Schenker and Gentleman 2001).
It stands where one figure is infinite, and there is no difference in seconds."""

Verdict = Literal["better", "worse", "same", "unsure"]


class Change(NamedTuple):
    """One measure of one arm, before and after; in one run, of the baseline and of the arm.

    `before` and `after` are `None` where a report does not have the measure. `low` and `high` are the 95 % interval of
    the difference after - before, `None` where that end is infinite or there is no difference to state. The verdict is
    "better" or "worse" where a difference is shown, after Holm's correction; "same" where none could be shown, which
    does not mean that there is none; "unsure" where a figure or its interval is missing. `p` is the p-value before the
    correction. `smallest` is the smallest true difference that four of five such runs would show. A latency that was
    finite and is infinite now is "worse" unless their intervals meet.
    """

    arm: str
    name: str
    before: Estimate | None
    after: Estimate | None
    low: float | None
    high: float | None
    verdict: Verdict
    p: float | None = None
    smallest: float | None = None

    @property
    def difference(self) -> float | None:
        """After - before; `None` where one of them has no number."""
        if self.before is None or self.after is None or self.before.value is None or self.after.value is None:
            return None
        return self.after.value - self.before.value


def judged(changes: Sequence[Change], beside: Sequence[Change] = ()) -> list[Change]:
    """These changes with verdicts that hold for all that is printed together (Holm): them, and those `beside`."""
    everything = [one.p for one in (*changes, *beside)]
    family = sum(p is not None for p in everything)
    return [_judged(one, family, claimed=claimed)
            for one, claimed in zip(changes, holm(everything), strict=False)]  # those beside come after


def mirrored(change: Change, arm: str) -> Change:
    """The same comparison seen from the other side: of `arm`, which was before, with what was after."""
    low, high = (None if end is None else -end for end in (change.high, change.low))
    turned: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    return change._replace(arm=arm, before=change.after, after=change.before, low=low, high=high,
                           verdict=turned.get(change.verdict, change.verdict))


def read_change(given: Mapping[str, Any]) -> Change:
    """A change from its JSON object."""
    before, after = (None if given[name] is None else Estimate(**given[name]) for name in ("before", "after"))
    return Change(**{**given, "before": before, "after": after})


def with_p(change: Change, n: int) -> Change:
    """A change with the p-value of its difference, which rests on `n` calls; unchanged where it has no interval.

    Only the end on the side of 0 is needed: the other one may be infinite.
    """
    if (value := change.difference) is None:
        return change
    end = change.low if value > 0.0 else change.high
    if end is None:
        return change
    return change._replace(p=p_value(value, end, n))


def _judged(change: Change, family: int, *, claimed: bool) -> Change:
    difference = change.difference
    if change.p is None or difference is None:
        known = change.p is not None
        return change if known and claimed else change._replace(verdict="same" if known else "unsure")
    assert change.after is not None
    low, high = change.low, change.high
    if low is not None and high is not None and low < high:
        change = change._replace(smallest=detectable(low, high, change.after.n, family))
    if not claimed:
        return change._replace(verdict="same")
    return change._replace(verdict="better" if (difference > 0.0) == (change.name in HIGHER_IS_BETTER) else "worse")


def change_to_infinite(change: Change, p: float = APART) -> Change:
    """The change where there is no difference in seconds: a latency has become infinite, or was."""
    before, after = change.before, change.after
    if before is None or after is None or not change.name.endswith(("_e2e", "_ttft")):
        return change
    if _infinite_unlike(after, before):
        return change._replace(verdict="worse", p=p)
    return change._replace(verdict="better", p=p) if _infinite_unlike(before, after) else change


def _infinite_unlike(infinite: Estimate, other: Estimate) -> bool:
    """Whether the first is infinite, the other is not, and their intervals do not meet."""
    if infinite.value is not None or other.value is None or other.high is None:
        return False
    if not (infinite.enough and other.enough):
        return False
    return infinite.n > 0 and (infinite.low is None or infinite.low > other.high)
