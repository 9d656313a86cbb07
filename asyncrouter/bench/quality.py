"""How good the answers of each arm are: the measures that come of the scores.

An answer is as good as its worst check: `quality` is the mean, over all calls, of the lowest score of each. Where
checks say yes or no that is the share of calls whose answer passes every check. A call without an answer counts as 0,
so an arm cannot look good by failing; its failures have a column of their own. Answers that a scorer could not judge
are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.bench.changes import Change
from asyncrouter.bench.clustered import difference, mean_score
from asyncrouter.bench.definitions import SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncrouter.bench.arm_run import ArmRun, RunData
    from asyncrouter.bench.clustered import Value
    from asyncrouter.bench.measures import Measures
    from asyncrouter.bench.rows import Row

def scorer_names(run: RunData) -> list[str]:
    """The scorers of a run, none in one whose answers were not judged."""
    scorers = run.settings.get("scorers")
    return list(scorers) if isinstance(scorers, dict) else []


def quality_measures(rows: Sequence[Row], scorers: Sequence[str]) -> Measures:
    """`quality` and `score_NAME` of an arm's calls, with standard errors clustered by prompt; none without scorers."""
    if not scorers:
        return {}
    by_scorer = {f"{SCORE}{name}": mean_score(scores(rows, [name])) for name in scorers}
    return {"quality": mean_score(scores(rows, scorers)), **by_scorer}


def quality_change(arm: ArmRun, other: ArmRun, scorers: Sequence[str], before: Measures, after: Measures) -> Change:
    """The change of the quality from another arm to this one, paired by prompt, without a verdict.

    `before` are the measures of the other one, `after` those of this one.
    """
    change = Change(arm.name, "quality", before.get("quality"), after.get("quality"), None, None, "unsure")
    found = difference(scores(arm.measured, scorers), scores(other.measured, scorers), scale=1.0)
    return change if found is None else change._replace(low=found.low, high=found.high, p=found.p)


def scores(rows: Iterable[Row], scorers: Sequence[str]) -> list[Value]:
    """Each call's prompt and its lowest score of these scorers; calls that one of them could not judge are left out."""
    return [(row.prompt or 0, score) for row in rows if (score := lowest(row, scorers)) is not None]


def lowest(row: Row, scorers: Sequence[str]) -> float | None:
    """The lowest score of a call, 0 for one without an answer; `None` where one of the scorers could not judge."""
    if not row.ok:
        return 0.0
    given = [row.scores.get(name) for name in scorers]
    known = [one for one in given if one is not None]
    return min(known) if len(known) == len(given) else None
