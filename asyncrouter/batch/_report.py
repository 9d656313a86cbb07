"""What a batch tells of itself: its progress while it runs, its report at the end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter.batch._tally import Tally

RECENT = 15.0
"""Seconds over which a rate is taken."""
QUANTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(slots=True)
class Progress:
    """Where a batch stands. Rates are rows a second of late, times seconds; `None` is not known yet.

    `skipped` rows were done by an earlier run; `projected_usd` is what this run will have cost at its end; `models`
    are the shares of the answers.
    """

    rows: int
    skipped: int
    done: int
    failed: int
    in_flight: int
    seconds: float
    rate: float | None
    seconds_left: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    cost_known: bool
    projected_usd: float | None
    hedges: int
    models: dict[str, float]


@dataclass(slots=True)
class Report:
    """What came of a batch. `stopped` says why it ended early, `None` when it did not; `left` rows have no answer yet.

    `attempts` are requests that were sent. `cost_usd` is that of every one of this run, `None` when one has no known
    price; `latency` are seconds of whole calls by quantile (to within 2.5 %).
    """

    rows: int
    skipped: int
    done: int
    failed: int
    stopped: str | None
    interrupted: bool
    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_estimated: bool
    attempts: int
    hedges: int
    errors: dict[str, int]
    models: dict[str, dict[str, float]]
    latency: dict[str, float] = field(default_factory=dict)
    output: str = ""
    errors_file: str = ""

    @property
    def left(self) -> int:
        """Rows that no run has sent, or whose answers did not come any more."""
        return self.rows - self.skipped - self.done - self.failed

    @property
    def exit_status(self) -> int:
        """0 nothing failed, 1 some rows did, 3 stopped early, 130 interrupted."""
        if self.interrupted:
            return 130
        return 3 if self.stopped is not None else 1 if self.failed else 0


class Pace:
    """How fast rows end, of late."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def rate(self, now: float, ended: int) -> float | None:
        """Rows a second since a while ago."""
        marks = self._marks
        marks.append((now, ended))
        while len(marks) > 2 and marks[0][0] < now - RECENT:
            marks.popleft()
        seconds = now - marks[0][0]
        return (ended - marks[0][1]) / seconds if seconds > 0 else None


def progress(
    tally: Tally, *, rows: int, skipped: int, in_flight: int, seconds: float, rate: float | None
) -> Progress:
    """The progress that a tally comes to."""
    left = max(0, rows - skipped - tally.ended)
    return Progress(
        rows=rows, skipped=skipped, done=tally.done, failed=tally.failed, in_flight=in_flight, seconds=seconds,
        rate=rate, seconds_left=left / rate if rate else None,
        input_tokens=tally.input_tokens, output_tokens=tally.output_tokens,
        cost_usd=tally.cost_usd, cost_known=not tally.unpriced,
        projected_usd=tally.cost_usd * (1 + left / tally.ended) if tally.ended else None,
        hedges=tally.hedges,
        models={name: model.answered / tally.done for name, model in tally.models.items() if model.answered},
    )


def report(
    tally: Tally, *, rows: int, skipped: int, stopped: str | None, interrupted: bool, seconds: float, output: str,
    errors_file: str,
) -> Report:
    """The report that a tally comes to."""
    quantiles = {f"p{100 * q:g}": tally.quantile(q) for q in QUANTILES}
    return Report(
        rows=rows, skipped=skipped, done=tally.done, failed=tally.failed, stopped=stopped, interrupted=interrupted,
        seconds=round(seconds, 3), input_tokens=tally.input_tokens, output_tokens=tally.output_tokens,
        cost_usd=None if tally.unpriced else tally.cost_usd, cost_estimated=tally.estimated > 0,
        attempts=tally.attempts, hedges=tally.hedges,
        errors=dict(sorted(tally.errors.items(), key=lambda item: -item[1])),
        models={
            name: {"answered": model.answered, "attempts": model.attempts, "cost_usd": model.cost_usd}
            for name, model in sorted(tally.models.items(), key=lambda item: -item[1].answered)
        },
        latency={name: round(value, 4) for name, value in quantiles.items() if value is not None},
        output=output, errors_file=errors_file,
    )
