"""Compares and writes JSON that stands as text in other JSON, such as the arguments of a tool call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from asyncrouter._types import Message


def same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON, laid out as they may be."""
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except ValueError:
        return False


def json_text(value: Message) -> str | None:
    """The object as JSON text; `None` if it could be read, but is nested too deep to be written."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None
