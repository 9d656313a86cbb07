"""Paths into an answer, such as `lines[2].amount`, and the error that has one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from asyncrouter import NotAccepted

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_QUOTED: Final = 60
"""Characters of an answer's value that an error quotes."""
_MAX_REASON: Final = 240
"""Characters of a reason that an error has."""


def at_key(path: str, key: str) -> str:
    """The path of a property of the object at `path`."""
    if not key.isidentifier():
        return f"{path}[{json.dumps(key[:_MAX_QUOTED], ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def at_index(path: str, index: int) -> str:
    """The path of an item of the list at `path`."""
    return f"{path}[{index}]"


def path_of(keys: Iterable[object]) -> str:
    """The path that these keys and indices make."""
    path = ""
    for key in keys:
        path = at_index(path, key) if isinstance(key, int) else at_key(path, str(key))
    return path


def misfit(path: str, reason: str, shape: str = "") -> NotAccepted:
    """The error for an answer that does not fit its shape at `path`."""
    where = f"{path}: " if path else ""
    fits = f"the answer does not fit {shape or 'its schema'}"
    return NotAccepted(f"{fits}: {where}{_cut(reason, _MAX_REASON)}", path=path)


def quoted(value: object) -> str:
    """A value of the answer as it is quoted in an error."""
    try:
        return _cut(json.dumps(value, ensure_ascii=False, default=str), _MAX_QUOTED)
    except (ValueError, RecursionError):
        return type(value).__name__


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
