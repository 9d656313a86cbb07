"""How values are shown: the `repr` of our dataclasses, and texts from outside in which nothing is hidden."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_NAME_CHARACTERS: Final = 200
"""Characters of a name or an id from outside that are kept: a provider's own are shorter."""
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Characters that do something instead of showing something: controls (with ESC, CR, newline and the C1 set), marks of
direction (Unicode bidi, UAX 9), line separators, blanks of no width, tags, and halves of characters."""


def visible(text: str, *, lines: bool = False) -> str:
    """The text with its hidden characters written as escapes: they control no terminal and forge no line of a log.

    Hidden are control characters (ESC is shown as `\\x1b`, a newline as `\\n`), marks of direction such as U+202E, line
    separators, blanks of no width, and halves of characters. With `lines` the newlines of a text stay.
    """
    if text.isprintable():
        return text
    return "\n".join(map(visible, text.split("\n"))) if lines else _HIDDEN.sub(_escape, text)


def visible_name(text: str) -> str:
    """A name or an id from outside, as `visible` shows it, cut after 200 characters."""
    return visible(text[:MAX_NAME_CHARACTERS])


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for a notebook. Every text in it is escaped and visible; `None` is an empty cell."""
    head = "".join(f"<th>{_html(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{_html(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html(value: object) -> str:
    text = "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    for sign, written in _HTML.items():
        text = text.replace(sign, written)
    return visible(text)


_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
"""How HTML writes the signs that mean something in it; the first one first."""


class ShortRepr:
    """Base of dataclasses (with `repr=False`) whose `repr` leaves out fields that have their default values."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = [field for field in fields(self) if field.repr]  # type: ignore[arg-type]  # subclasses are dataclasses
        values = [(field, getattr(self, field.name)) for field in shown]
        text = ", ".join(
            f"{field.name}={self._shown(field.name, value)!r}" for field, value in values if value != default_of(field)
        )
        return f"{type(self).__name__}({text})"

    def _shown(self, name: str, value: object) -> object:
        """What is shown of a field."""
        return value


def default_of(field: Field[object]) -> object:
    """The value that a field has if none is given; `MISSING` if one must be."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def model_at(model: str, member: str | None) -> str:
    """The name of a model; of a pool with the member that was asked."""
    return model if member is None else f"{model} at {member}"
