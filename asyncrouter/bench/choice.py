"""Which arm to choose: every arm against every other in quality, cost and latency, and the Pareto front of these.

An arm is beaten by another one that is shown to be better in at least one of the three, and worse in none. The arms
that nobody beats are the Pareto front. "Shown" is after Holm's correction over all comparisons of all pairs, so an arm
may stand on the front because the calls are too few to see that it is beaten.

The arm to choose is the cheapest that is good enough, and of equally cheap ones the fastest. Good enough is an arm
whose quality is not shown to be below the best one's or, where a least quality was asked for, one whose whole interval
lies above that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncrouter.bench.changes import Change, judged, mirrored, read_change
from asyncrouter.bench.clustered import difference
from asyncrouter.bench.paired import median_change
from asyncrouter.bench.quality import quality_change, scorer_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.bench.arm_run import ArmRun, RunData
    from asyncrouter.bench.measures import Measures

AXES = ("quality", "usd_per_1000", "p50_e2e")
"""What arms are compared in: how good, how dear, how slow."""


class Pair(NamedTuple):
    """One measure of an arm against another one: `change.before` is the other's, `change.after` the arm's."""

    against: str
    change: Change


class Standing(NamedTuple):
    """Whether an arm is on the front. If not, `beaten_by` is the arm that beats it, and `by` says in which measures.

    `enough` says whether its quality is good enough; `None`: the calls are too few to know.
    """

    arm: str
    beaten_by: str | None
    by: tuple[str, ...]
    enough: bool | None


@dataclass(slots=True)
class Choice:
    """The comparison of all arms of a run whose answers were judged.

    `best` has the highest quality; `chosen` is the arm to choose (`None`: none is known to be good enough). `least` is
    the quality that was asked for, `None`: that of the best. `prompts` are the prompts that were judged.
    """

    best: str
    chosen: str | None
    least: float | None
    prompts: int
    standings: list[Standing]
    pairs: list[Pair] = field(default_factory=list)

    def pair(self, arm: str, against: str, name: str) -> Change | None:
        """One measure of an arm against another one; `None` where it could not be compared."""
        return next((one.change for one in self.pairs
                     if (one.against, one.change.arm, one.change.name) == (against, arm, name)), None)

    @property
    def changes(self) -> list[Change]:
        """Each comparison once: of two mirrored ones the first."""
        return [one.change for one in self.pairs[::2]]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Choice:
        """A choice from its JSON object."""
        pairs = [Pair(one["against"], read_change(one["change"])) for one in given["pairs"]]
        standings = [Standing(one["arm"], one["beaten_by"], tuple(one["by"]), one["enough"])
                     for one in given["standings"]]
        return cls(given["best"], given["chosen"], given["least"], given["prompts"], standings, pairs)

    def plain(self) -> dict[str, object]:
        """The choice as plain data for JSON."""
        return {"best": self.best, "chosen": self.chosen, "least": self.least, "prompts": self.prompts,
                "standings": [one._asdict() for one in self.standings],
                "pairs": [{"against": one.against, "change": one.change._asdict()} for one in self.pairs]}


def choose(run: RunData, measures: Mapping[str, Measures], beside: Sequence[Change] = ()) -> Choice | None:
    """The comparison of all arms of a run; `measures` are theirs by name. `None` where nothing could be judged.

    Its verdicts hold together with those of the changes `beside`, which are printed, too.
    """
    known = {name: found["quality"].value for name, found in measures.items()
             if "quality" in found and found["quality"].value is not None}
    if not known:
        return None
    best = max(known, key=lambda name: known[name] or 0.0)
    least = run.settings.get("good_enough")
    choice = Choice(best, None, least if isinstance(least, float) else None,
                    len({row.prompt for arm in run.arms for row in arm.measured}), [])
    choice.pairs = _pairs(run, measures, beside)
    choice.standings = [_standing(name, choice, measures[name], list(known)) for name in known]
    choice.chosen = _chosen(choice)
    return choice


def _pairs(run: RunData, measures: Mapping[str, Measures], beside: Sequence[Change]) -> list[Pair]:
    """All arms against all others; the corrected family has each pair once, and the other direction is the mirror."""
    scorers, found = scorer_names(run), []
    for number, arm in enumerate(run.arms):
        for other in run.arms[:number]:
            found += [Pair(other.name, one) for one in _changes(arm, other, scorers, measures, run.seed)]
    verdicts = judged([one.change for one in found], beside)
    return [pair for one, change in zip(found, verdicts, strict=True)
            for pair in (Pair(one.against, change), Pair(change.arm, mirrored(change, one.against)))]


def _changes(
    arm: ArmRun, other: ArmRun, scorers: Sequence[str], measures: Mapping[str, Measures], seed: int
) -> list[Change]:
    before, after = measures[other.name], measures[arm.name]
    return [quality_change(arm, other, scorers, before, after), _cost_change(arm, other, before, after),
            median_change(arm, other, before, after, seed)]


def _cost_change(arm: ArmRun, other: ArmRun, before: Measures, after: Measures) -> Change:
    """The change of the cost, paired by prompt: long prompts are dear in every epoch."""
    change = Change(arm.name, "usd_per_1000", before.get("usd_per_1000"), after.get("usd_per_1000"), None, None,
                    "unsure")
    if any(row.cost_usd is None for row in (*arm.measured, *other.measured)):
        return change
    found = difference(*([(row.prompt or 0, 1000.0 * (row.cost_usd or 0.0)) for row in one.measured]
                         for one in (arm, other)))
    return change if found is None else change._replace(low=found.low, high=found.high, p=found.p)


def _standing(name: str, choice: Choice, measures: Measures, names: Sequence[str]) -> Standing:
    quality = measures["quality"]
    if choice.least is not None:
        sure = quality.low is not None and quality.low >= choice.least
        enough = True if sure else False if (quality.high or 0.0) < choice.least else None
    else:
        change = choice.pair(name, choice.best, "quality")
        enough = name == choice.best or (change is not None and change.verdict != "worse")
    for other in names:
        verdicts = {axis: change.verdict for axis in AXES if (change := choice.pair(name, other, axis)) is not None}
        if "worse" in verdicts.values() and "better" not in verdicts.values():
            return Standing(name, other, tuple(axis for axis, said in verdicts.items() if said == "worse"), enough)
    return Standing(name, None, (), enough)


def _chosen(choice: Choice) -> str | None:
    """The cheapest arm that is good enough, and of equally cheap ones the fastest; else the best one."""
    enough = [one.arm for one in choice.standings if one.enough]
    enough.sort(key=lambda name: name != choice.best)
    chosen = enough[0] if enough else None
    for name in enough[1:]:
        assert chosen is not None
        cheaper, faster = (choice.pair(name, chosen, axis) for axis in AXES[1:])
        money = "same" if cheaper is None else cheaper.verdict
        if money == "better" or (money != "worse" and faster is not None and faster.verdict == "better"):
            chosen = name
    return chosen
