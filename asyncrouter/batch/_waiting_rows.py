"""The rows that wait to be asked again, ordered by when they are due."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncrouter.batch._availability import Past
    from asyncrouter.batch._rows import Row


class WaitingRow(NamedTuple):
    """A row that waits: when it is due, its number among those, the row, its past, its last error."""

    due: float
    number: int
    row: Row
    past: Past
    error: Exception


class WaitingRows:
    """A heap of rows. Instants are of the loop's clock, in seconds."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[WaitingRow] = []
        self._numbers = count()

    def __repr__(self) -> str:
        return f"<WaitingRows: {len(self._heap)}>"

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def due(self) -> float:
        """When the first one is due; there must be one."""
        return self._heap[0].due

    def add(self, due: float, row: Row, past: Past, error: Exception) -> None:
        """Add a row."""
        heappush(self._heap, WaitingRow(due, next(self._numbers), row, past, error))

    def take_first(self) -> WaitingRow:
        """Take out the one that is due first."""
        return heappop(self._heap)

    def take_all(self) -> list[WaitingRow]:
        """Take out all of them."""
        heap, self._heap = self._heap, []
        return heap

    def are_suspects(self) -> bool:
        """Whether all of them have failed by themselves."""
        return all(each.past.is_suspect for each in self._heap)

    def probe(self) -> WaitingRow | None:
        """The best one to find out with whether anybody answers: a suspect only if there is no other."""
        return min(self._heap, key=_as_probe, default=None)

    def remove(self, row: WaitingRow) -> None:
        """Take out this one."""
        self._heap.remove(row)
        heapify(self._heap)

    def hasten(self, now: float) -> None:
        """Make all due now but those that have failed by themselves."""
        self._heap = [each if each.past.is_suspect else each._replace(due=now) for each in self._heap]
        heapify(self._heap)


def _as_probe(each: WaitingRow) -> tuple[bool, int, int]:
    return each.past.is_suspect, each.past.timeouts, each.number
