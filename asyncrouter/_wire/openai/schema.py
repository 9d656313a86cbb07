"""Makes a JSON schema one that OpenAI enforces (developers.openai.com, "Structured outputs", "Supported schemas").

Enforced ("strict") schemas close every object, require every property and know some keywords only. What is refused is
said in descriptions. A property that may be left out is demanded where that changes nothing: where it may be null, or
has a default. Where it would make the model invent a value, or where names are free, the schema is sent as it is and
not enforced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in
from asyncrouter._wire.json_schemas import (
    ANNOTATIONS,
    SAYS_NOTHING,
    CannotSay,
    described,
    is_object,
    merge_all_of,
    subschemas,
)

if TYPE_CHECKING:
    from asyncrouter._types import Message

_KEYWORDS: Final = frozenset({
    "type", "enum", "const", "description", "title", "pattern", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
})
"""Keywords that are taken, whatever their value, beside those of objects, lists and references."""

_FORMATS: Final = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
})
"""The formats of text that are known."""

_FREE_NAMES: Final = frozenset({"patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas"})
_OTHER_LISTS: Final = frozenset({"prefixItems", "contains", "unevaluatedItems", "additionalItems"})
"""Keywords of objects and lists that cannot be enforced."""

_MAX_DEPTH: Final = 10
_MAX_PROPERTIES: Final = 5000
_MAX_ENUM: Final = 1000
"""OpenAI's limits: levels of nesting, properties and values of enumerations in one schema."""

_TYPE_OF: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def root_object(schema: Message) -> Message | None:
    """The schema with its root's reference followed; `None` if its root is no object."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        place, _, name = reference.removeprefix("#/").rpartition("/")
        target = object_in(object_in(schema, place), name)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema if schema.get("type") == "object" else None


def strict_schema(schema: Message) -> Message:
    """The schema as it is enforced; the caller's is not changed. Raises `CannotSay` with what cannot be."""
    parts = list(subschemas(schema))
    properties = sum(len(object_in(one, "properties")) for one in parts)
    values = sum(len(found) for one in parts if isinstance(found := one.get("enum"), list))
    if properties > _MAX_PROPERTIES:
        raise CannotSay(f"{properties} properties, of which {_MAX_PROPERTIES} are enforced")
    if values > _MAX_ENUM:
        raise CannotSay(f"{values} values of enum, of which {_MAX_ENUM} are enforced")
    return _strict(schema, 0)


def _strict(schema: object, depth: int) -> Message:
    if not isinstance(schema, dict):
        raise CannotSay("a schema that is true or false")
    if depth > _MAX_DEPTH:
        raise CannotSay(f"more than {_MAX_DEPTH} levels of nesting")
    schema = merge_all_of(schema)
    written = _definitions(schema, depth)
    if "$ref" in schema:
        if schema.keys() - ANNOTATIONS - {"$ref", "$defs", "definitions"}:
            raise CannotSay("a $ref with keywords beside it")
        return {"$ref": schema["$ref"], **written}
    unsaid: Message = {}
    for name, value in schema.items():
        if name in {"anyOf", "oneOf"} and isinstance(value, list):
            written["anyOf"] = [_strict(one, depth) for one in value]
        elif name == "items":
            written["items"] = _strict(value, depth + 1)
        elif name in _FREE_NAMES or name in _OTHER_LISTS:
            raise CannotSay(name)
        elif name in _KEYWORDS or (name == "format" and value in _FORMATS):
            written[name] = value
        elif name not in SAYS_NOTHING | {"properties", "required", "$defs", "definitions"}:
            unsaid[name] = value
    if is_object(schema):
        _close(schema, written, depth)
    elif not written.keys() & {"type", "anyOf"}:
        written["type"] = _type_of_values(written)
    if (description := described(schema.get("description"), unsaid)) is not None:
        written["description"] = description
    return written


def _definitions(schema: Message, depth: int) -> Message:
    found = {name: object_in(schema, name) for name in ("$defs", "definitions") if name in schema}
    return {name: {key: _strict(one, depth) for key, one in inner.items()} for name, inner in found.items()}


def _close(schema: Message, written: Message, depth: int) -> None:
    """Close an object, and require all its properties."""
    properties, required = object_in(schema, "properties"), schema.get("required", [])
    if schema.get("additionalProperties", False) is not False or (
        not properties and "additionalProperties" not in schema
    ):
        raise CannotSay("an object whose names are free")
    for name, one in properties.items():
        if isinstance(required, list) and name not in required and not _can_be_demanded(one):
            raise CannotSay(f"a property that may be left out ({name[:40]})")
    written["type"] = schema.get("type", "object")
    written["properties"] = {name: _strict(one, depth + 1) for name, one in properties.items()}
    written["required"] = list(properties)
    written["additionalProperties"] = False


def _can_be_demanded(schema: object) -> bool:
    """Whether a property that may be left out has a value that says the same: null, or its default."""
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    choices = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    null = kind == "null" or (isinstance(kind, list) and "null" in kind)
    return "default" in schema or null or any(one.get("type") == "null" for one in choices if isinstance(one, dict))


def _type_of_values(schema: Message) -> object:
    """The type of a schema that has none, by its values. Raises `CannotSay` if anything would do."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    kinds = sorted({_TYPE_OF.get(type(value), "object") for value in values}) if isinstance(values, list) else []
    if not kinds or "object" in kinds:
        raise CannotSay("a value of any type")
    return kinds[0] if len(kinds) == 1 else kinds
