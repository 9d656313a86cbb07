"""Reads tables (of a file, or mappings) into dataclasses, headers and parameters: known keys, and "none" as `None`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, TypeVar, cast

from asyncrouter._config.checks import expected, join, quoted, unknown, withheld
from asyncrouter._config.headers import name_fault, repeated, value_fault
from asyncrouter._config.secret_names import secret_in
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

MAX_NESTING = 250
"""Levels of nesting that a parameter may have: orjson writes at most 254, and the request body around it takes some."""

ROUTER_FIELDS = {
    "model": "model= or chain=",
    "messages": "prompt, the first argument",
    "stream": "router.stream(…)",
    "stream_options": "nothing: usage is always asked for",
}
"""The fields of a request's body that the router writes, so that no parameter may; and what the caller uses instead."""


def entries(given: object, *, secret: bool = False) -> dict[str, object]:
    """Copy a table and check that its keys are text. If it is `secret`, no error shows any of it."""
    if not isinstance(given, Mapping):
        raise withheld("a table") if secret else expected("a table", given)
    for key in given:
        if not isinstance(key, str):
            raise expected("text as a key", key)
    return dict(given)


def read(cls: type[T], given: object, *, secret: bool = False) -> dict[str, object]:
    """Read the fields of the dataclass `cls` from a table; the text "none" becomes `None` where a field may be that."""
    values = entries(given, secret=secret)
    known = {field.name: field for field in fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise unknown("key", key, known, quoted(key))
        if isinstance(value, str) and value == "none" and "None" in str(known[key].type):
            values[key] = None
    return values


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """Make an object of the dataclass `cls`, which checks the values itself. Raises `ConfigError`."""
    for field in fields(cls):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError("is required", field.name)
    return cast("Callable[..., T]", cls)(**values)


def override(base: T, given: object, *, secret: bool = False) -> T:
    """Copy the dataclass object `base` with the fields that a table gives."""
    return replace(base, **read(type(base), given, secret=secret))


def set_frozen(target: object, name: str, value: object) -> None:
    """Set a field of a frozen dataclass object; for its `__post_init__` only."""
    object.__setattr__(target, name, value)


def strings(path: str, given: object, *, headers: bool = False) -> dict[str, str]:
    """Copy a table of texts. They may be secret, so no error shows one."""
    if not isinstance(given, Mapping):
        raise withheld("a table of texts", path)
    for name, value in given.items():
        if not isinstance(name, str) or (not headers and not (name and _is_scalar(name))):
            raise expected("a header's name" if headers else "a name", name, path)
        if headers and (fault := name_fault(name)):
            raise expected(fault, name, path)
        if not isinstance(value, str) or (headers and "one line" in value_fault(value)):
            raise withheld("one line of text" if headers else "text", join(path, quoted(name)))
        if fault := value_fault(value) if headers else "" if _is_scalar(value) else "text that UTF-8 can express":
            raise withheld(fault, join(path, quoted(name)))
    if headers and (twice := repeated(given)) is not None:
        raise ConfigError("given twice; upper and lower case are the same", join(path, quoted(twice)))
    return dict(given)


def parameters(path: str, given: object) -> dict[str, object]:
    """Copy parameters for a provider, nested ones included, and check that JSON can hold them."""
    if not isinstance(given, Mapping):
        raise expected("a table of parameters", given, path)
    for name in ROUTER_FIELDS:
        if name in given:
            raise ConfigError("is set by the router and cannot be a parameter", join(path, name), given[name])
    if secret := secret_in(given):
        raise withheld('no credential among parameters but `key = "env:NAME"` on its provider', join(path, secret))
    return cast("dict[str, object]", _json(path, given, 0))


def _json(path: str, value: object, depth: int) -> object:
    if depth > MAX_NESTING:
        raise ConfigError(f"expected at most {MAX_NESTING} levels of nesting", path)
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
        return not any("\ud800" <= sign <= "\udfff" for sign in value)  # a lone surrogate cannot be UTF-8
    if isinstance(value, int):
        return -(2**63) <= value < 2**64  # what orjson writes
    return value is None or (isinstance(value, float) and math.isfinite(value))
