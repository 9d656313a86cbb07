"""Classes that say what an answer looks like: pydantic models, dataclasses and TypedDicts (package pydantic)."""

from __future__ import annotations

import json
import re
import sys
import typing
from functools import reduce
from operator import or_
from types import UnionType
from typing import TYPE_CHECKING, Any, Final

import typing_extensions
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from asyncrouter.schema._path import misfit, path_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import NotAccepted
    from asyncrouter.schema._shape import Check


_TIMES: Final = ("date-time", "date", "time", "duration")
"""The formats of a schema for which pydantic also takes a text of digits."""
_NO_TIME: Final = frozenset({"datetime_type", "date_type", "time_type", "time_delta_type"})
"""pydantic's words for a value that is no time."""
_QUALIFIERS: Final[tuple[Any, ...]] = (typing_extensions.Required, typing_extensions.NotRequired)
_NUMBER: Final = re.compile(r'"\s*[+-]?\d+(?:\.\d*)?\s*"')


def read_class(shape: Any, name: str) -> tuple[dict[str, Any], Check]:
    """The JSON schema of a class, and the check by it. Raises `TypeError` for a class that has none."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_supported(shape, {}))
        schema = adapter.json_schema()
    except (PydanticUserError, TypeError, NameError, RecursionError) as error:
        raise TypeError(f"response_format: {name} has no JSON schema: {error!s:.300}") from None

    written = json.dumps(schema)
    has_times = any(f'"format": "{kind}"' in written for kind in _TIMES)

    def check(value: object, text: str) -> object:
        try:
            # Of the text, not of the value: that is how pydantic reads dates, sets and bytes strictly.
            parsed = adapter.validate_json(text, strict=True)
        except ValidationError as error:
            raise _misfit(error, value, name) from None
        if has_times and _NUMBER.search(text) is not None:
            _refuse_numbers(adapter, parsed, value, name)
        return parsed

    return schema, check


def _refuse_numbers(adapter: TypeAdapter[Any], parsed: object, value: object, name: str) -> None:
    """Raise `NotAccepted` for a text of digits that was taken for a time: "2024" would be some minutes after 1970.

    pydantic takes such a text for seconds, but no number, so the numbers themselves show where that has happened.
    """
    try:
        adapter.validate_json(json.dumps(_with_numbers(value)), strict=True)
    except ValidationError as error:
        plain = adapter.dump_python(parsed, mode="json", by_alias=True)
        for fault in error.errors(include_url=False, include_context=False):
            keys = tuple(_keys(fault["loc"], value, missing=False))
            # Where a text would do as well, it may have been taken for one; then it is still there.
            if fault["type"] in _NO_TIME and _at(plain, keys) != _at(value, keys):
                raise misfit(path_of(keys), f"{fault['msg']}, got digits", name) from None


def _with_numbers(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(f'"{value}"') else value


def _misfit(error: ValidationError, value: object, name: str) -> NotAccepted:
    first = error.errors(include_url=False, include_context=False)[0]
    missing = first["type"] == "missing"
    got = "" if missing else f", got {quoted(first['input'])}"
    return misfit(path_of(_keys(first["loc"], value, missing=missing)), f"{first['msg']}{got}", name)


def _keys(location: tuple[int | str, ...], value: object, *, missing: bool) -> Iterator[int | str]:
    """The keys and indices of a location, without what pydantic puts between them: the names of a union's members."""
    for key in location:
        if _has(value, key):
            value = value[key]  # type: ignore[index]  # it is a dict or a list
        elif not (missing and key == location[-1]):
            continue
        yield key


def _at(value: object, keys: tuple[int | str, ...]) -> object:
    for key in keys:
        value = value[key] if _has(value, key) else None  # type: ignore[index]  # it is a dict or a list
    return value


def _has(value: object, key: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(key, int) and key < len(value)
    return isinstance(value, dict) and key in value


def _supported(shape: Any, made: dict[Any, Any]) -> Any:
    """The type with every `typing.TypedDict` in it made one of typing_extensions, as pydantic wants before Python 3.12.
    """
    if sys.version_info >= (3, 12):
        return shape
    if typing.is_typeddict(shape) and type(shape).__module__ == "typing":
        if shape not in made:
            made[shape] = shape  # one that contains itself is left to pydantic, which says what to do
            made[shape] = _typed_dict(shape, made)
        return made[shape]
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if not arguments or origin is typing.Literal:
        return shape
    if origin is typing.Annotated:
        return typing.Annotated[(_supported(arguments[0], made), *arguments[1:])]
    inner = tuple(_supported(one, made) for one in arguments)
    if inner == arguments:
        return shape
    return reduce(or_, inner) if origin in {typing.Union, UnionType} else origin[inner]


def _typed_dict(shape: Any, made: dict[Any, Any]) -> Any:
    hints = typing_extensions.get_type_hints(shape, include_extras=True)
    fields = {}
    for key, hint in hints.items():
        required = key in shape.__required_keys__
        while (qualifier := typing.get_origin(hint)) in _QUALIFIERS:
            required, hint = qualifier is _QUALIFIERS[0], typing.get_args(hint)[0]
        wanted = _supported(hint, made)
        fields[key] = wanted if required else typing_extensions.NotRequired[wanted]
    built = typing_extensions.TypedDict(shape.__name__, fields)  # type: ignore[misc]
    built.__doc__ = shape.__doc__
    return built
