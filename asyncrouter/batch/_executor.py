"""What runs the rows of a batch: the interface between a run and whatever asks for the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncrouter.batch._tally import Tally


class Executor(Protocol):
    """Asks for the answers of all rows, and hands over each line to be written. See `Job` and `ParallelJob`."""

    @property
    def tally(self) -> Tally:
        """What has come of the rows until now."""
        ...

    @property
    def in_flight(self) -> int:
        """Rows that are being asked now."""
        ...

    @property
    def waiting_for(self) -> str | None:
        """What the rows wait for, in words; `None` while answers come."""
        ...

    @property
    def stopped(self) -> str | None:
        """Why no more rows are taken; `None` while they are, and after the last one."""
        ...

    async def run(self) -> None:
        """Run until every row has its result, or until stopped."""
        ...

    def stop(self, reason: str) -> None:
        """Begin no more rows; those in flight are finished. The first reason given is kept."""
        ...

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those in flight."""
        ...
