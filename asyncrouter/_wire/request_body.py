"""Writes a request's body as JSON, or raises an exception that names the argument which cannot be written.

orjson is fast, but it does not say where the mistake is, it writes NaN as `null`, and it writes dataclasses and dates
without complaint. So mistakes are looked for here, before anything is sent, and only in the bodies that may have one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Call

_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""Options with which orjson refuses dataclasses and dates."""

_MAX_DEPTH = 254
"""Levels of nesting that orjson can write."""


def write_body(body: Mapping[str, object]) -> bytes:
    """The body as JSON. Raises `TypeError` or `ValueError` that begins with a path: `messages[0].content: …`."""
    try:
        written = orjson.dumps(body, option=_STRICT)
    except TypeError as error:
        _raise_for_mistake(body, "", 0)
        raise TypeError(f"the request cannot be written as JSON: {error}") from None
    # NaN and infinities came out as null. Most bodies hold no null at all, so this usually costs one search.
    if b"null" in written:
        _raise_for_mistake(body, "", 0)
    return written


def write_translated(body: Mapping[str, object], call: Call, params: Mapping[str, object]) -> bytes:
    """The same for a body translated into another API: an exception names the path in the caller's own arguments."""
    try:
        return write_body(body)
    except (TypeError, ValueError):
        write_body({"messages": call.messages, **params})
        raise


def _raise_for_mistake(value: object, path: str, depth: int) -> None:
    """Raise for the first thing in `value` that JSON cannot express."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path.split('.')[0].split('[')[0]}: nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str:
                raise TypeError(f"{path or 'params'}: a key must be a str, got {key!r:.80} ({type(key).__name__})")
            _raise_for_text(key, f"{path or 'params'}: the key")
            _raise_for_mistake(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            _raise_for_mistake(inner, f"{path}[{position}]", depth + 1)
    else:
        _raise_for_scalar(value, path)


def _raise_for_scalar(value: object, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path}: JSON has no {value}; give a finite number")
    elif isinstance(value, str):
        _raise_for_text(value, path)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{path}: an integer of {value.bit_length()} bits; at most 64 can be written")
    else:
        try:
            orjson.dumps(value, option=_STRICT)
        except TypeError:
            what = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
            raise TypeError(f"{path}: {what} cannot be written as JSON") from None


def _raise_for_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path}: not valid Unicode, a lone surrogate at position {error.start}") from None
