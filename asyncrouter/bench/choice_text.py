"""Which arm to choose, in sentences: the choice, why, and how sure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asyncrouter.bench.definitions import SCORE
from asyncrouter.bench.formatting import columns, figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.changes import Change
    from asyncrouter.bench.choice import Choice
    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.stats import Estimate

WORDS = {"quality": "better in its answers", "usd_per_1000": "cheaper", "p50_e2e": "faster"}
"""How an arm is that is better in a measure."""
WORSE = {"usd_per_1000": "dearer", "p50_e2e": "slower"}
"""How an arm is that is worse in a measure."""
CHOSEN = "the choice"
"""What stands beside the arm to choose."""
ON_FRONT = "Pareto front"
"""What stands beside every other arm that nobody beats."""
SHOWN = {
    "quality": "quality", "success": "success", "usd_per_1000": "$ for 1,000 calls", "p50_e2e": "p50, s",
    "p95_e2e": "p95, s",
}
"""The measures of the table of choices, and their labels; the scores of the scorers stand behind the quality."""


def table_columns(arms: Sequence[ArmReport]) -> dict[str, str]:
    """The measures of the table of choices, and their labels; scores only where there are several scorers."""
    scored = {name: label for name, label in columns(arms).items() if name.startswith(SCORE)}
    return {"quality": SHOWN["quality"], **(scored if len(scored) > 1 else {}), **SHOWN}


def choice_sentences(choice: Choice, arms: Sequence[ArmReport]) -> list[str]:
    """The choice first, then what is known of every other arm."""
    against = choice.chosen or choice.best
    known = next(_known(arm.measures["quality"], choice.prompts) for arm in arms if arm.name == against)
    return [_headline(choice, known),
            *(_other(choice, one.arm, against) for one in choice.standings if one.arm != against)]


def choice_method(report: Report) -> str:
    """How the choice was come to, and what its columns mean."""
    scorers = report.settings.get("scorers")
    checks = "; ".join(f"{name}: {text}" for name, text in scorers.items()) if isinstance(scorers, dict) else ""
    family = sum(one.p is not None for one in report.compared)
    return (
        "Quality is the share of calls whose answer passes every check (of graded ones, the mean of the lowest grade): "
        f"{checks}. A call without an answer counts as 0; a failed check is no failed call. 95 % intervals, clustered "
        f"by prompt; \"shown\" is after Holm's correction: 5 % risk of any false claim in all {family} comparisons of "
        "this page. On the Pareto front is every arm that no other one beats: none is shown better in quality, cost or "
        "median latency, and worse in none of them."
    )


def place(choice: Choice, arm: str) -> str:
    """Where an arm stands, for its line in the table: chosen, on the Pareto front, or who beats it and in what."""
    standing = next((one for one in choice.standings if one.arm == arm), None)
    if standing is None:
        return "not judged"
    if arm == choice.chosen:
        return CHOSEN
    if standing.beaten_by is not None:
        return f"beaten: {standing.beaten_by} is {_and([WORDS[name] for name in standing.by])}, in nothing shown worse"
    if standing.enough:
        return ON_FRONT
    shown = "not known to be good enough" if standing.enough is None else "not good enough"
    return f"{ON_FRONT}, but {shown if choice.least is not None else 'shown to answer worse than the best'}"


def _known(quality: Estimate, prompts: int) -> str:
    ends = (quality.value, quality.low, quality.high)
    value, low, high = (figure("quality", replace(quality, value=end)) for end in ends)
    return f"{value} right over {prompts:,} prompts (95 % interval: {low} to {high})"


def _headline(choice: Choice, known: str) -> str:
    if choice.chosen is None:
        return f"No arm is shown to answer at least {choice.least:.0%} right. The best one is {choice.best}: {known}."
    bar = (f"answer as well as the best one, as far as {choice.prompts:,} prompts can tell" if choice.least is None
           else f"are shown to answer at least {choice.least:.0%} right")
    alone = sum(one.enough is True for one in choice.standings) == 1
    if alone and len(choice.standings) > 1:
        why = ("All others are shown to answer worse" if choice.least is None
               else f"No other one is shown to answer at least {choice.least:.0%} right")
    else:
        why = f"Of the arms that {bar}, it is the cheapest"
    return f"Choose {choice.chosen}: {known}. {why}."


def _other(choice: Choice, name: str, against: str) -> str:
    """An arm against the one to choose: quality first, then cost and latency."""
    quality, *others = (choice.pair(name, against, axis) for axis in WORDS)
    differing = [_difference(one) for one in others if one is not None and one.verdict in {"better", "worse"}]
    return f"{name} {'; '.join([_quality(quality, against), *differing])}."


def _quality(change: Change | None, against: str) -> str:
    if change is None or change.difference is None or change.low is None or change.high is None:
        return f"could not be compared with {against} in its answers"
    ends = sorted((change.low, change.high), key=abs)
    if change.verdict in {"better", "worse"}:
        return (f"answers {change.verdict} than {against}, by {abs(100.0 * change.difference):.1f} points "
                f"({abs(100.0 * ends[0]):.1f} to {abs(100.0 * ends[1]):.1f})")
    return (f"beside {against}: no difference in quality could be shown; {_points(change.difference)} (95 % interval: "
            f"{_points(change.low)} to {_points(change.high)})")


def _points(share: float) -> str:
    return f"{abs(100.0 * share):.1f} points {'better' if share > 0.0 else 'worse'}" if share else "the same score"


def _difference(change: Change) -> str:
    word = WORDS[change.name] if change.verdict == "better" else WORSE[change.name]
    if change.difference is None or change.low is None or change.high is None:
        return word
    if change.name == "usd_per_1000":
        before, after = (figure(change.name, one) for one in (change.before, change.after))
        return f"{word}: ${after} instead of ${before} for 1,000 calls"
    low, high = sorted((abs(change.low), abs(change.high)))
    return f"{word} at the median by {abs(change.difference):.3g} s ({low:.3g} to {high:.3g})"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
