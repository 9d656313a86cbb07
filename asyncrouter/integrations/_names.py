"""Keeps the number of different names in metrics bounded: names of models and tasks may come from a caller's users."""

from __future__ import annotations

from typing import Final

MAX_NAMES: Final = 500
"""Names of one kind that metrics tell apart; each has series of its own for as long as the process lives."""
OTHER: Final = "_other"
"""Stands for all names beyond."""


class Names:
    """Names as metrics show them: the first 500 as they are, all others as `_other`."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, name: str) -> str:
        """The name, or `_other`."""
        if name in self._known:
            return name
        if len(self._known) >= MAX_NAMES:
            return OTHER
        self._known.add(name)
        return name
