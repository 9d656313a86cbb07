"""How far a run is: counted as its calls end, told to whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.bench.rows import Row


class Progress(NamedTuple):
    """Calls that have ended, and of those the failed ones, over all arms; `total` is `None` where time ends the run.

    `usd` is what they have cost as far as that is known, `arm` the one whose call has just ended.
    """

    ended: int
    failed: int
    total: int | None
    usd: float
    arm: str


class Tally:
    """Counts the calls of a run, and shows each count."""

    def __init__(self, total: int | None, show: Callable[[Progress], object]) -> None:
        self._show = show
        self._now = Progress(0, 0, total, 0.0, "")

    def __repr__(self) -> str:
        return f"<Tally {self._now}>"

    def add(self, row: Row) -> None:
        """A call has ended."""
        now = self._now
        self._now = Progress(
            now.ended + 1, now.failed + (not row.ok), now.total, now.usd + (row.cost_usd or 0.0), row.arm
        )
        self._show(self._now)
