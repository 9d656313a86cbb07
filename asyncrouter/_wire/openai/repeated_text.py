"""Some hosts send the whole text once more at the end of a stream, as a piece like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_REPETITION, MIN_SIGNS = 8, 5
"""Characters of a piece of text that can be the whole text once more, and different ones among them: a short or a
monotonous piece may well be said twice."""
LONG_PIECE: Final = 32
"""Characters from which on a piece that brings text and nothing else is looked at: hardly any token is as long, and a
repetition comes in one piece."""


def is_whole_again(piece: str, pieces: Sequence[str] | None, fewest: int) -> bool:
    """Whether a piece of text is all of these, of which at least `fewest` have come before it."""
    if not pieces or len(pieces) < fewest or len(piece) < MIN_REPETITION or not piece.startswith(pieces[0]):
        return False
    return piece == "".join(pieces) and len(set(piece)) >= MIN_SIGNS
