"""Whose answer `accept` judges: of several whole answers of one call, one after the other, in the order they came."""

from __future__ import annotations

import asyncio


class Judging:
    """The turn of one step run, and those that wait for theirs."""

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = False
        """Whether an answer is judged now."""
        self._waiting: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Judging {self.taken}, {len(self._waiting)} waiting>"

    def take(self) -> asyncio.Future[None] | None:
        """What to wait for before asking again, as another answer is judged; `None`: it is its turn."""
        if not self.taken:
            self.taken = True
            return None
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def give_back(self) -> None:
        """An answer has been judged, or that was cancelled: those that wait may ask again."""
        self.taken = False
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


NOTHING_JUDGED = Judging()
"""That of every call without `accept`."""
