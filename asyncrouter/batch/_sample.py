"""`batch.sample`: some rows of a file are asked, to tell what all of them would cost, and how long they would take."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._flex import with_flex
from asyncrouter.batch._job import Job
from asyncrouter.batch._job_options import JobOptions
from asyncrouter.batch._journal import Journal
from asyncrouter.batch._patience import PATIENCE
from asyncrouter.batch._preflight import preflight
from asyncrouter.batch._progress import ProgressReporter
from asyncrouter.batch._sampling import Interval, Reservoir, SampledRows, mean_by, mean_of
from asyncrouter.batch._source import source_of
from asyncrouter.batch._stop_rules import check_counts
from asyncrouter.batch._window import START

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable

    from asyncrouter import Router
    from asyncrouter.batch._estimate import Estimate
    from asyncrouter.batch._report import Progress
    from asyncrouter.batch._source import Source


@dataclass(slots=True)
class Sample:
    """What some rows tell about all of them. Money is in US dollars; intervals are of 95 %.

    `rows` is how many rows the run would ask; `asked` were drawn at random and asked, of these `answered` were, and
    `errors` counts the others by class. `spent_usd` is their cost. `total_usd` is the cost of all rows, retries
    included; both are `None` where an attempt has no known price. `seconds` is how long all would take with
    `concurrency` rows in flight, as in the sample; `fastest_seconds` with as many as the run may have, if the server
    keeps up; both are `None` when nothing was answered. `output_tokens` is the mean of an answer. `estimate` was made
    before anything was asked. `output` is the file with the answers, `stopped` why not all of the sample were asked.
    """

    rows: int
    asked: int
    answered: int
    errors: dict[str, int]
    spent_usd: float | None
    total_usd: Interval | None
    seconds: Interval | None
    fastest_seconds: float | None
    concurrency: int
    output_tokens: float | None
    estimate: Estimate
    output: str
    stopped: str | None = None


async def sample(
    router: Router, source: str | os.PathLike[str] | Source, rows: int = 50, *,
    output: str | os.PathLike[str] | None = None, errors: str | os.PathLike[str] | None = None,
    prompt_template: str | None = None, dedupe: bool = False, concurrency: int = 1024, patience: float = PATIENCE,
    progress: Callable[[Progress], None] | None = None, stop: asyncio.Event | None = None, **options: object,
) -> Sample:
    """Check the whole input, ask some of its rows, drawn at random, and tell cost and time of all, with intervals.

    Always the same rows are drawn. Their answers go to `output`, and failed ones to `errors`, which are emptied before;
    `None` keeps neither. A later `run` asks these rows again. All other arguments are those that `run` would get.
    Raises what `run` does.
    """
    check_counts(rows=rows, concurrency=concurrency)
    options = with_flex(router, options)
    given, reservoir = source_of(source, prompt_template), Reservoir(rows)
    checked = await preflight(router, given, options, read_prompts=True, dedupe=dedupe, sample=reservoir)
    drawn, at_once = SampledRows(given.name, reservoir.rows), min(START, concurrency)
    job_options = JobOptions(
        chat={**options, "priority": "batch"}, concurrency=at_once, patience=patience, rows=len(reservoir.rows)
    )
    measured = _Measured(drawn.tokens)
    with contextlib.ExitStack() as stack:
        answers, failures = measured.lines_to(_file(stack, output)), _file(stack, errors)
        job = Job(router, drawn, job_options, None, answers, measured.failures_to(failures))
        reporter = ProgressReporter(job, len(reservoir.rows), 0, 0, progress)
        async with reporter.watching(stop):
            await job.run()
    tally, total = job.tally, reservoir.offered
    seconds = measured.seconds_a_row(total)
    return Sample(
        rows=total, asked=tally.ended, answered=tally.done, errors=dict(tally.errors),
        spent_usd=None if tally.unpriced else tally.cost_usd,
        total_usd=None if tally.unpriced else measured.total_usd(tally.cost_usd, reservoir.tokens, total),
        seconds=None if seconds is None else seconds * (total / at_once),
        fastest_seconds=None if seconds is None else seconds.value * max(1.0, total / concurrency),
        concurrency=at_once, output_tokens=tally.output_tokens / tally.done if tally.done else None,
        estimate=checked.estimate, output=str(output or ""), stopped=job.stopped,
    )


class _Measured:
    """What each row of the sample has cost, and how long its answer took, as it stands in its line.

    `tokens` are the estimated ones of each prompt.
    """

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._known: list[float] = []
        self._usd: list[float] = []
        self._seconds: list[float] = []

    def lines_to(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """A function that reads the lines of answers and passes them on."""

        def read(line: bytes) -> None:
            record = orjson.loads(line)
            self._known.append(self._tokens[record["index"]])
            self._usd.append(record["cost_usd"] or 0.0)
            self._seconds.append(record["seconds"])
            write(line)

        return read

    def failures_to(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """The same for the lines of failures."""

        def read(line: bytes) -> None:
            self._known.append(sum(self._tokens) / len(self._tokens))
            self._usd.append(orjson.loads(line)["_error"].get("cost_usd") or 0.0)
            write(line)

        return read

    def total_usd(self, spent: float, tokens: int, rows: int) -> Interval | None:
        """The cost of all rows, whose prompts have so many tokens; what calls before the last cost is spread evenly."""
        if not self._usd:
            return None
        mean = mean_by(self._usd, self._known, tokens / rows, rows)
        last = sum(self._usd)
        total = mean * (rows * (spent / last if last else 1.0))
        return replace(total, low=max(total.low, min(spent, total.value)))

    def seconds_a_row(self, rows: int) -> Interval | None:
        """The mean seconds of an answer."""
        return mean_of(self._seconds, rows) if self._seconds else None


def _file(stack: contextlib.ExitStack, path: str | os.PathLike[str] | None) -> Callable[[bytes], None]:
    """A function that writes lines to a file, which is emptied first; `None` is no file."""
    if path is None:
        return lambda line: None
    journal = Journal(Path(path))
    journal.begin(empty=True)
    stack.callback(journal.close, remove_empty=True)
    return journal.append
