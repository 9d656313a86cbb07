"""What a table may hold: the fields of a dataclass, texts that may be secret, parameters that JSON can carry."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, TypeVar, cast

from asyncrouter._config.checks import expected, join, quoted, unknown, withheld
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

DEEPEST = 250
"""Levels of nesting in a parameter: orjson writes 254, and the body around it takes some."""

OURS = ("model", "messages", "stream", "stream_options")
"""Parts of a request's body that no parameter may change."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2, token


def entries(given: object, *, secret: bool = False) -> dict[str, object]:
    """A copy of a table, whose keys must be text; of one that may be `secret` no complaint shows anything."""
    if not isinstance(given, Mapping):
        raise withheld("a table") if secret else expected("a table", given)
    for key in given:
        if not isinstance(key, str):
            raise expected("text as a key", key)
    return dict(given)


def read(cls: type[T], given: object, *, secret: bool = False) -> dict[str, object]:
    """The fields of `cls` that a table gives; "none" is `None` where a field may be that."""
    values = entries(given, secret=secret)
    known = {field.name: field for field in fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise unknown("key", key, known, quoted(key))
        if isinstance(value, str) and value == "none" and "None" in str(known[key].type):
            values[key] = None
    return values


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """An object of `cls` with these fields, which the class itself checks."""
    for field in fields(cls):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError("is required", field.name)
    return cast("Callable[..., T]", cls)(**values)


def lay(below: T, given: object, *, secret: bool = False) -> T:
    """`below` with what a table names laid over it."""
    return replace(below, **read(type(below), given, secret=secret))


def put(target: object, name: str, value: object) -> None:
    """Set a field of a frozen object that is being made."""
    object.__setattr__(target, name, value)


def strings(path: str, given: object, *, headers: bool = False) -> dict[str, str]:
    """A copy of a table of texts that may be secret: no complaint shows one."""
    if not isinstance(given, Mapping):
        raise withheld("a table of texts", path)
    for name, value in given.items():
        if not isinstance(name, str) or not (_HEADER_NAME.fullmatch(name) if headers else name):
            raise expected("a header's name" if headers else "a name", name, path)
        if not isinstance(value, str) or (headers and any(sign in value for sign in "\r\n\0")):
            raise withheld("one line of text" if headers else "text", join(path, quoted(name)))
    return dict(given)


def parameters(path: str, given: object) -> dict[str, object]:
    """A copy, all the way down, of parameters for a provider: what JSON can carry, and nothing that is ours to say."""
    if not isinstance(given, Mapping):
        raise expected("a table of parameters", given, path)
    for name in OURS:
        if name in given:
            raise ConfigError("is for the router to say and cannot be a parameter", join(path, name), given[name])
    return cast("dict[str, object]", _json(path, given, 0))


def _json(path: str, value: object, depth: int) -> object:
    if depth > DEEPEST:
        raise ConfigError(f"expected at most {DEEPEST} levels of nesting", path)
    if isinstance(value, Mapping):
        return {_key(path, key): _json(join(path, quoted(key)), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(f"{path}[{index}]", item, depth + 1) for index, item in enumerate(value)]
    if not _is_scalar(value):
        raise expected("what JSON can carry", value, path)
    return value


def _key(path: str, key: object) -> str:
    if not isinstance(key, str) or not _is_scalar(key):
        raise expected("text as a key", key, path)
    return key


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= sign <= "\udfff" for sign in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return value is None or (isinstance(value, float) and math.isfinite(value))
