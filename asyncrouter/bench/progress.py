"""Progress of a run: counted as its calls end, and shown to whoever asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.bench.rows import Row


class Progress(NamedTuple):
    """Calls that have ended, and how many of them failed, over all arms.

    `total` is the number of calls of the whole run, `None` where time ends it. `usd` is what the calls have cost as far
    as that is known, `arm` the one whose call has just ended.
    """

    ended: int
    failed: int
    total: int | None
    usd: float
    arm: str


class ProgressCounter:
    """Counts the calls of a run, and calls `show` with the new progress after each."""

    def __init__(self, total: int | None, show: Callable[[Progress], object]) -> None:
        self._show = show
        self._now = Progress(0, 0, total, 0.0, "")

    def __repr__(self) -> str:
        return f"<ProgressCounter {self._now}>"

    def add(self, row: Row) -> None:
        """A call has ended."""
        now = self._now
        self._now = Progress(
            now.ended + 1, now.failed + (not row.ok), now.total, now.usd + (row.cost_usd or 0.0), row.arm
        )
        self._show(self._now)
