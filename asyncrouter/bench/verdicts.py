"""The result of a comparison in one sentence for each arm: what is better or worse, by how much, and how sure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncrouter.bench.changes import Change

_AT = {"e2e": "", "ttft": " to the first content", "tpot": " per output token", "itl": " between contents"}
"""What is said of a quantile, by the kind of its seconds."""
_OTHERS = {
    "success": ("answers more calls", "answers fewer calls"),
    "goodput_share": ("answers more calls within the SLO", "answers fewer calls within the SLO"),
    "attempts": ("sends fewer requests a call", "sends more requests a call"),
    "extra_load": ("sends fewer extra requests", "sends more extra requests"),
    "quality": ("scores higher", "scores lower"),
}
"""Words for the better and for the worse of measures that are neither seconds nor money."""
_SHARES = {"success", "goodput_share", "extra_load", "quality"}
"""Measures whose differences are said in percentage points."""
_MONEY = {"usd_per_1000": "cost", "wasted_usd_per_1000": "wasted cost"}
"""What each measure in dollars is called."""
_SMALLEST = ("p50_e2e", "p95_e2e", "mean_answered", "p50_ttft", "p95_ttft", "success", "usd_per_1000")
"""The measures of which the smallest difference is said where none could be shown, the first three that there are."""


def verdicts(changes: Sequence[Change], baseline: str) -> list[str]:
    """A sentence for each arm that was compared with `baseline`, in their order."""
    return [_verdict(arm, list(each), baseline) for arm, each in groupby(changes, lambda one: one.arm)]


def method(changes: Sequence[Change], *, paired: bool) -> str:
    """How the verdicts were come to, in one sentence; empty where nothing could be compared."""
    family = sum(one.p is not None for one in changes)
    if not family:
        return ""
    how = ("differences call by call, resampled in circular blocks of consecutive calls" if paired else
           "two independent runs, differences by Newcombe's method")
    count = "one comparison" if family == 1 else f"all {family} comparisons together"
    return f"95 % intervals, {how}; verdicts with Holm's correction: 5 % risk of any false one in {count}"


def _verdict(arm: str, changes: Sequence[Change], baseline: str) -> str:
    shown = [one for one in changes if one.verdict in {"better", "worse"}]
    phrases = [*_seconds(shown, baseline), *_counts(shown, baseline), *_costs(shown, baseline)]
    if phrases:
        return f"{arm} {'; '.join([*phrases, *_not_shown(changes)])}."
    tested = [one for one in changes if one.verdict == "same"]
    if not tested:
        return f"{arm} and {baseline} could not be compared: too few calls, or no answers."
    n = max(one.after.n for one in tested if one.after is not None)
    smallest = "; ".join(_smallest(tested))
    told = f" The smallest differences that {n:,} calls show in four of five such runs: {smallest}." if smallest else ""
    return f"No difference between {arm} and {baseline} could be shown.{told}"


def _seconds(shown: Iterable[Change], baseline: str) -> list[str]:
    """Phrases for times: what is faster, then what is slower, then where one of the two has no answer."""
    timed = [one for one in shown if _place(one.name) is not None]
    found = []
    for verdict, word in (("better", "faster"), ("worse", "slower")):
        parts = [f"{_place(one.name)} by {_seconds_interval(one)}"
                 for one in timed if one.verdict == verdict and one.difference is not None]
        if parts:
            found.append(f"is {word} than {baseline} {_and(parts)}")
    for verdict, words in (("better", "has an answer {}, where {} has none"),
                           ("worse", "has no answer {}, where {} has one")):
        places = [str(_place(one.name)) for one in timed if one.verdict == verdict and one.difference is None]
        if places:
            found.append(words.format(_and(places), baseline))
    return found


def _counts(shown: Iterable[Change], baseline: str) -> list[str]:
    return [f"{_OTHERS[one.name][one.verdict == 'worse']} than {baseline}, by {_plain_interval(one)}"
            for one in shown if one.name in _OTHERS]


def _costs(shown: Iterable[Change], baseline: str) -> list[str]:
    return [f"has {_share_of(one)} {'more' if one.verdict == 'worse' else 'less'} {_MONEY[one.name]} than {baseline}"
            for one in shown if one.name in _MONEY]


def _not_shown(changes: Iterable[Change]) -> list[str]:
    """A phrase for the latencies and the cost in which no difference could be shown."""
    places = [str(_place(one.name)) for one in changes
              if one.verdict == "same" and one.name.endswith("_e2e") and _place(one.name) is not None]
    places += [f"in {_MONEY[one.name]}" for one in changes if one.verdict == "same" and one.name == "usd_per_1000"]
    return [f"no difference could be shown {_and(places)}"] if places else []


def _place(name: str) -> str | None:
    """Where a latency is compared: "at p95 to the first content"; `None` for what is no latency."""
    point, _, kind = name.partition("_")
    if name == "mean_answered":
        return "on average"
    return f"at {point}{_AT[kind]}" if point.startswith("p") and kind in _AT else None


def _seconds_interval(change: Change) -> str:
    return f"{abs(change.difference or 0.0):.3g} s ({_range(change)})"


def _plain_interval(change: Change) -> str:
    unit, scale = (" points", 100.0) if change.name in _SHARES else ("", 1.0)
    return f"{scale * abs(change.difference or 0.0):.3g}{unit} ({_range(change, scale)})"


def _share_of(change: Change) -> str:
    """A difference in percent of what it was before; in USD where that was nothing."""
    assert change.before is not None
    before, value = change.before.value or 0.0, abs(change.difference or 0.0)
    if before <= 0.0:
        return f"${value:.3g} for 1,000 calls"
    return f"{100.0 * value / before:.3g} % ({_range(change, 100.0 / before)})"


def _range(change: Change, scale: float = 1.0) -> str:
    """Both ends of the interval as sizes of the difference, the smaller one first; one that is infinite is left out."""
    ends = sorted(scale * abs(end) for end in (change.low, change.high) if end is not None)
    return f"{ends[0]:.3g} to {ends[1]:.3g}" if len(ends) > 1 else f"at least {ends[0]:.3g}"


def _smallest(changes: Sequence[Change]) -> list[str]:
    by_name = {one.name: one for one in changes if one.smallest is not None}
    return [_one_smallest(by_name[name]) for name in _SMALLEST if name in by_name][:3]


def _one_smallest(change: Change) -> str:
    assert change.smallest is not None
    assert change.before is not None
    before = change.before.value or 0.0
    share = f" ({100.0 * change.smallest / before:.2g} %)" if before > 0.0 else ""
    if change.name in _MONEY:
        return f"${change.smallest:.3g} for 1,000 calls{share}"
    if change.name in _OTHERS:
        return f"{100.0 * change.smallest:.2g} points of {change.name}"
    return f"{change.smallest:.3g} s {_place(change.name)}{share}"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
