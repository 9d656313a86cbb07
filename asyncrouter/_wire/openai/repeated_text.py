"""Recognises pieces of a text that say again what has come of it, so that it stands in the answer once.

Some hosts send the whole text once more at the end of a stream, as a piece like any other. Others send with each piece
all of the text so far: "The", "The quick", "The quick brown". Either is held back until it is clear. A piece that is
all of the text and the last one was a repetition; if more comes after it, the model has said it twice. Of pieces that
each begin with the whole one before, three show that all do: no model says that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_REPETITION, MIN_SIGNS = 8, 5
"""Characters of a piece of text that can be the whole text once more, and different ones among them: a short or a
monotonous piece may well be said twice."""
MIN_GROWN_SIGNS: Final = 3
"""Different characters of the third of three pieces that each begin with the one before: "ha", "haha" and "hahaha" may
well be said."""
LONG_PIECE: Final = 32
"""Characters from which on a piece that brings text and nothing else is looked at: hardly any token is as long, and a
repetition comes in one piece."""


def may_repeat(piece: str, pieces: Sequence[str], fewest: int) -> bool:
    """Whether a piece of a text may say again what has come of it, in these pieces.

    `fewest` is how many pieces there must be before one that can be all of them.
    """
    return bool(pieces) and piece.startswith(pieces[0]) and (
        _is_longer(piece, pieces) or _is_whole_again(piece, pieces, fewest)
    )


class RepeatedTexts:
    """What is held back of the texts of one choice. `fewest` is as in `may_repeat`."""

    __slots__ = ("_again", "_fewest", "_growing", "_nested")

    def __init__(self, fewest: int) -> None:
        self._fewest = fewest
        self._again: dict[str, str] = {}  # pieces that are all of the text so far, by its name
        self._nested: dict[str, list[str]] = {}  # pieces that each begin with the whole one before
        self._growing: set[str] = set()  # texts of which each piece is all that has come of them

    def __repr__(self) -> str:
        return f"<RepeatedTexts {self._again | self._nested}>"

    @property
    def is_waiting(self) -> bool:
        """Whether the next piece has to be looked at."""
        return bool(self._again or self._nested or self._growing)

    @property
    def is_undecided(self) -> bool:
        """Whether there are pieces that may be new: if nothing follows, they are."""
        return bool(self._nested)

    def new_in(self, key: str, piece: str, pieces: Sequence[str]) -> str | None:
        """What of the next piece of this text, of which `pieces` have come, is new; `None` if it contradicts them."""
        if key in self._growing:
            return _rest(piece, pieces)
        if key in self._nested:
            return self._next_nested(key, piece, pieces)
        before = self._again.pop(key, "")
        if not before and _is_whole_again(piece, pieces, self._fewest):
            self._again[key] = piece
            return ""
        self._again.clear()  # other text follows what was repeated
        if not before and _is_longer(piece, pieces):
            self._nested[key] = [piece]
            return ""
        return before + piece

    def release(self) -> dict[str, str]:
        """What was held back and is new, for nothing follows it, by the names of the texts."""
        released = {key: "".join(nested) for key, nested in self._nested.items()}
        self._nested.clear()
        return released

    def _next_nested(self, key: str, piece: str, pieces: Sequence[str]) -> str:
        nested = self._nested[key]
        if not (piece.startswith(nested[-1]) and len(piece) > len(nested[-1])):
            del self._nested[key]
            return "".join(nested) + piece
        if len(set(piece)) < MIN_GROWN_SIGNS:
            nested.append(piece)
            return ""
        del self._nested[key]
        self._growing.add(key)
        return piece[len(pieces[0]) :]


def _is_longer(piece: str, pieces: Sequence[str]) -> bool:
    """Whether a piece begins with the only one that has come, and goes on."""
    return len(pieces) == 1 and len(piece) > len(pieces[0]) and piece.startswith(pieces[0])


def _is_whole_again(piece: str, pieces: Sequence[str], fewest: int) -> bool:
    """Whether a piece is all of these, of which at least `fewest` have come before it.

    The pieces are joined only where their lengths add up to its own: a stream of many takes linear time.
    """
    length = len(piece)
    if length < MIN_REPETITION or not fewest <= len(pieces) <= length or not piece.startswith(pieces[0]):
        return False
    return sum(map(len, pieces)) == length and piece == "".join(pieces) and len(set(piece)) >= MIN_SIGNS


def _rest(piece: str, pieces: Sequence[str]) -> str | None:
    """What a piece that is all of a text has beyond these pieces of it; `None` if it is not all of them."""
    if len(piece) < len(pieces) or (length := sum(map(len, pieces))) > len(piece):
        return None
    return piece[length:] if piece.startswith("".join(pieces)) else None
