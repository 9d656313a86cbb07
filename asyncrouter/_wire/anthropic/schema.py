"""Makes a JSON schema one that Anthropic takes (platform.claude.com, "Structured outputs", "JSON Schema limitations").

A schema there must close every object, and it may say little about values: lengths, ranges and most formats are a 400.
What is refused is taken out and said in the description instead, as Anthropic's own SDK does, so that the model still
reads it. Two kinds of schemas cannot be said at all: those that refer to themselves, and objects with free names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Rejected
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.json_schemas import described, is_object, refers_to_itself

if TYPE_CHECKING:
    from asyncrouter._types import Message

_KEYWORDS: Final = frozenset({
    "type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions",
    "description", "title", "default",
})
"""Keywords that the API takes, whatever their value."""

_FORMATS: Final = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
})
"""The formats of text that the API knows."""

_UNSAID: Final = frozenset({"$schema", "$id", "$comment", "additionalProperties"})
"""Keywords that say nothing to a model."""

_HARD_PATTERN: Final = re.compile(r"\(\?|\\[bB1-9]")
"""What the API does not take in a regular expression: groups that look around, borders of words, back references."""


def accepted_schema(path: str, schema: Message) -> Message:
    """The schema at `path` without what the API refuses. What belongs to the caller is copied, never changed.

    Raises `Rejected` for a schema that the API cannot express.
    """
    if refers_to_itself(schema):
        raise Rejected(f"{path}: the Messages API takes no schema that refers to itself")
    return _accepted(path, schema)


def _accepted(path: str, schema: Message) -> Message:
    if "$ref" in schema:  # what stands beside it is not looked at, but for the definitions
        schema = {name: value for name, value in schema.items() if name in {"$ref", "$defs", "definitions"}}
    accepted: Message = {}
    unsaid: Message = {}
    for name, value in schema.items():
        if name in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            accepted[name] = {inner: _inner(f"{path}.{name}.{inner}", part) for inner, part in value.items()}
        elif name in {"anyOf", "allOf", "oneOf"} and isinstance(value, list):
            written = "anyOf" if name == "oneOf" else name
            accepted[written] = [_inner(f"{path}.{name}[{index}]", part) for index, part in enumerate(value)]
        elif name == "items":
            accepted[name] = _inner(f"{path}.items", value)
        elif name in _KEYWORDS or _is_accepted(name, value):
            accepted[name] = value
        elif name not in _UNSAID:
            unsaid[name] = value
    if is_object(schema):
        if not object_in(schema, "properties") and schema.get("additionalProperties", False) is not False:
            raise Rejected(f"{path}: the Messages API takes no object whose names are free")
        accepted["additionalProperties"] = False
    if (description := described(schema.get("description"), unsaid)) is not None:
        accepted["description"] = description
    return accepted


def _inner(path: str, value: object) -> object:
    return _accepted(path, value) if isinstance(value, dict) else value


def _is_accepted(name: str, value: object) -> bool:
    match name:
        case "minItems":
            return value in (0, 1)
        case "format":
            return value in _FORMATS
        case "pattern":
            return isinstance(value, str) and _HARD_PATTERN.search(value) is None
    return False
