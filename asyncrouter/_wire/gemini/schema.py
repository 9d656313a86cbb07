"""Makes a JSON schema one that Google takes (`responseJsonSchema` in the reference of `GenerationConfig`).

Some keywords are taken, and beside a reference nothing is. Cyclic references are taken in some places only, so a schema
that refers to itself is not written at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.json_schemas import (
    LISTS,
    MAPS,
    SAYS_NOTHING,
    CannotSay,
    described,
    merge_all_of,
    refers_to_itself,
)

if TYPE_CHECKING:
    from asyncrouter._types import Message

_KEYWORDS: Final = frozenset({
    "type", "title", "description", "enum", "minItems", "maxItems", "minimum", "maximum", "required", "$ref",
    "additionalProperties", "propertyOrdering",
})
_FORMATS: Final = frozenset({"date-time", "date", "time"})
"""The formats of text that Google names."""


def accepted_schema(schema: Message) -> Message:
    """The schema without what the API does not take. Raises `CannotSay`."""
    if refers_to_itself(schema):
        raise CannotSay("a schema that refers to itself")
    return _accepted(schema)


def _accepted(schema: Message) -> Message:
    schema = merge_all_of(schema)
    if "$ref" in schema:
        schema = {name: value for name, value in schema.items() if name in {"$ref", "$defs", "definitions"}}
    written: Message = {}
    unsaid: Message = {}
    for name, value in schema.items():
        if name in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            written["$defs" if name == "definitions" else name] = {key: _inner(one) for key, one in value.items()}
        elif name in {"anyOf", "oneOf", "prefixItems"} and isinstance(value, list):
            written["anyOf" if name == "oneOf" else name] = [_inner(one) for one in value]
        elif name in {"items", "additionalProperties"}:
            written[name] = _inner(value)
        elif name == "$ref":
            written[name] = str(value).replace("#/definitions/", "#/$defs/", 1)
        elif name == "const" and isinstance(value, str | int | float) and not isinstance(value, bool):
            written["enum"] = [value]
        elif name == "enum" and not _plain(value):
            unsaid[name] = value
        elif name in _KEYWORDS or (name == "format" and value in _FORMATS):
            written[name] = value
        elif name in MAPS | LISTS:
            raise CannotSay(name)
        elif name not in SAYS_NOTHING:
            unsaid[name] = value
    if (description := described(schema.get("description"), unsaid)) is not None:
        written["description"] = description
    return written


def _inner(value: object) -> object:
    return _accepted(value) if isinstance(value, dict) else value


def _plain(values: object) -> bool:
    """Whether an enumeration has nothing but text and numbers."""
    return isinstance(values, list) and not any(
        isinstance(value, bool) or not isinstance(value, str | int | float) for value in values
    )
