"""Compares and writes JSON that stands as text in other JSON, such as the arguments of a tool call."""

from __future__ import annotations

from typing import Final

import orjson

MAX_ARGUMENTS: Final = 1 << 23
"""Characters of a call's arguments: no model writes a tenth of it, and to read as many takes about 10 ms."""


def same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON, laid out as they may be."""
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except ValueError:
        return False


def json_text(value: object) -> str | None:
    """The value as JSON text; `None` if it could be read, but is nested too deep to be written, or is too long."""
    if _is_long(value):
        return None
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None


def is_object(text: str) -> bool:
    """Whether a text is a JSON object, and no longer than arguments are. Raises nothing."""
    try:
        return isinstance(read_arguments(text), dict)
    except ValueError:
        return False


def read_arguments(text: str) -> object:
    """What stands in the arguments of a call. Raises `ValueError` for what is no JSON, and for what is too long."""
    if len(text) > MAX_ARGUMENTS:
        raise ValueError("longer than the arguments of any call")
    return orjson.loads(text)


def _is_long(value: object) -> bool:
    size, waiting = 0, [value]
    while waiting and size <= MAX_ARGUMENTS:
        found = waiting.pop()
        if isinstance(found, str):
            size += len(found)
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
    return size > MAX_ARGUMENTS
