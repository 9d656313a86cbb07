"""Reads an answer's text as one JSON value, strictly: whatever could be read in two ways is none.

orjson judges the grammar (numbers, escapes, Unicode, depth), and the standard library reads the value, because it keeps
integers of any length and shows keys that stand twice.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

import orjson

from asyncrouter import NotAccepted
from asyncrouter.schema._path import at_index, at_key, misfit

_FENCED: Final = re.compile(r"```(?:json)?(.*)```", re.DOTALL | re.IGNORECASE)
"""A whole text that is one Markdown fence."""


_THOUGHTS_END: Final = "</think>"
"""The end of thoughts that a server has left before the answer."""


class _KeyTwice(dict[str, object]):
    """An object in which a key stands twice."""

    __slots__ = ("key",)
    key: str


def read_json(text: str) -> tuple[object, str]:
    """The JSON value that a text is, and the text of the value alone. Raises `NotAccepted`."""
    inner = text.strip("\ufeff \t\r\n")
    if _THOUGHTS_END in inner and inner[0] not in '{["':
        inner = inner.partition(_THOUGHTS_END)[2].strip()
    if (fenced := _FENCED.fullmatch(inner)) is not None:
        inner = fenced[1].strip()
    if not inner:
        raise NotAccepted("the answer is no JSON: it has no text", path="")
    try:
        orjson.loads(inner)
        value, doubtful = _read(inner)
    except RecursionError:
        raise NotAccepted("the answer is no JSON that can be read: nested too deep", path="") from None
    except ValueError as error:
        raise NotAccepted(f"the answer is no JSON: {error}", path="") from None
    if doubtful:
        _raise_for_fault(value, "")
    return value, inner


def _read(text: str) -> tuple[object, bool]:
    """The value of a text, and whether something in it is not what it seems: a key twice, a number that is infinite."""
    doubtful = False

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal doubtful
        made = dict(found)
        if len(made) == len(found):
            return made
        doubtful = True
        twice = _KeyTwice(made)
        seen: set[str] = set()
        twice.key = next(key for key, _ in found if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return twice

    def number(text: str) -> float:
        nonlocal doubtful
        value = float(text)
        doubtful = doubtful or math.isinf(value)
        return value

    return json.loads(text, object_pairs_hook=pairs, parse_float=number), doubtful


def _raise_for_fault(value: object, path: str) -> None:
    """Raise for the first fault that the reader has noticed."""
    if isinstance(value, _KeyTwice):
        raise misfit(at_key(path, value.key), "the key stands twice in its object")
    if isinstance(value, float) and math.isinf(value):
        raise misfit(path, "the number is beyond what a float can hold")
    if isinstance(value, dict):
        for key, inner in value.items():
            _raise_for_fault(inner, at_key(path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _raise_for_fault(inner, at_index(path, index))
