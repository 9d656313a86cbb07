"""Scores the answers of a run, after its last call: judging must not disturb what is measured."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncrouter.bench.arm_run import RunData
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.sample import Sample
    from asyncrouter.bench.scorers import Scorer

AT_ONCE = 16
"""Answers that are judged at once: an async scorer may ask a model, whose limits nobody knows here."""


async def score_run(run: RunData, scorers: Sequence[Scorer]) -> None:
    """Score all answers of a run, and add a warning for each scorer that could not judge some of them."""
    run.warnings += await score(run.rows(), run.samples, scorers)


async def score(rows: Iterable[Row], samples: Sequence[Sample], scorers: Sequence[Scorer]) -> list[str]:
    """Fill in the scores of all answered calls; a warning for each scorer that could not judge some of them."""
    judge = _Judge(samples)
    answered = [row for row in rows if row.ok and row.answer is not None]
    if scorers:
        async with anyio.create_task_group() as group:
            waiting = iter(answered)
            for _ in range(min(AT_ONCE, len(answered))):
                group.start_soon(judge.work, waiting, scorers)
    return judge.warnings(scorers)


class _Judge:
    """Judges answers; remembers how many a scorer could not judge, and why not the first of them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._failed: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}

    async def work(self, rows: Iterable[Row], scorers: Sequence[Scorer]) -> None:
        for row in rows:
            for scorer in scorers:
                row.scores[scorer.name] = await self._judge(row, scorer)

    def warnings(self, scorers: Sequence[Scorer]) -> list[str]:
        return [f"scorer {one.name}: {self._failed[one.name]:,} answers could not be judged and are left out; "
                f"the first: {self._reasons[one.name]}" for one in scorers if self._failed[one.name]]

    async def _judge(self, row: Row, scorer: Scorer) -> float | None:
        assert row.prompt is not None
        sample = self._samples[row.prompt]
        try:
            given = scorer.check(row.answer or "", sample)
            value = _score(await given if inspect.isawaitable(given) else given)
            reason = "it returned None" if value is None else ""
        except Exception as error:
            value, reason = None, f"{type(error).__name__}: {error}"
        if value is None:
            self._failed[scorer.name] += 1
            self._reasons.setdefault(scorer.name, f"prompt {row.prompt + 1}{f' ({sample.id})' if sample.id else ''} "
                                                  f"of {row.arm}: {reason}")
        return value


def _score(given: object) -> float | None:
    """A judgement as a number. Raises `ValueError` for what is none."""
    if given is None:
        return None
    if isinstance(given, bool | int | float) and math.isfinite(given) and 0.0 <= given <= 1.0:
        return float(given)
    raise ValueError(f"expected True, False or a number from 0 to 1, got {given!r:.60}")
