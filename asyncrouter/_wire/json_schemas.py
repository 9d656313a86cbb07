"""What every vendor's rules for JSON schemas share: walking through a schema, and saying in words what may not be said.

A keyword that an API refuses is not lost: it goes into the description, where the model reads it, as Anthropic's own
SDK does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._types import Message

MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose value holds schemas by name."""
LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""
_SINGLE: Final = frozenset({
    "items", "additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "contains",
    "propertyNames", "not", "if", "then", "else",
})
"""Keywords whose value is one schema."""

SAYS_NOTHING: Final = frozenset({"$schema", "$id", "$comment", "$anchor", "additionalProperties", "examples"})
"""Keywords that say nothing to a model."""

ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "$comment"})
"""Keywords that restrict no value."""


class CannotSay(ValueError):  # it says what
    """A schema that an API has no way to say; the message is the part of it."""


def subschemas(schema: object) -> Iterator[Message]:
    """A schema and all that stand in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for name, value in schema.items():
        if name in MAPS and isinstance(value, dict):
            inner = list(value.values())
        elif name in LISTS and isinstance(value, list):
            inner = value
        elif name in _SINGLE:
            inner = value if isinstance(value, list) else [value]
        else:
            continue
        for one in inner:
            yield from subschemas(one)


def lost_keywords(schema: Message, written: Message) -> list[str]:
    """The keywords of a schema that are not in what is written of it, but for those that restrict nothing."""
    kept = {name for one in subschemas(written) for name in one}
    names = dict.fromkeys(name for one in subschemas(schema) for name in one)
    return [name for name in names if name not in kept | SAYS_NOTHING | ANNOTATIONS]


def described(description: object, unsaid: Message) -> object:
    """A description with keywords that are said in it alone, as it was if they say nothing."""
    unsaid = {name: value for name, value in unsaid.items() if (name, value) != ("default", None)}
    if not unsaid:
        return description
    written = ", ".join(f"{name}: {orjson.dumps(value, default=str).decode()}" for name, value in unsaid.items())
    return f"{description}\n\n{{{written}}}" if isinstance(description, str) else f"{{{written}}}"


def is_object(schema: Message) -> bool:
    """Whether a schema is one of objects."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def merge_all_of(schema: Message) -> Message:
    """A schema with what its `allOf` of one says beside it. Raises `CannotSay` for one of several."""
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    if len(parts) != 1 or not isinstance(parts[0], dict) or (rest.keys() & parts[0].keys()) - ANNOTATIONS:
        raise CannotSay("allOf")
    return {**parts[0], **rest}


def refers_to_itself(schema: Message) -> bool:
    """Whether a definition is used within itself."""
    definitions = {**object_in(schema, "definitions"), **object_in(schema, "$defs")}
    uses = {name: _references(one) for name, one in definitions.items()}
    uses[""] = _references(schema)  # "#" is the whole schema
    return any(_reaches(name, name, uses, set()) for name in uses)


def _references(value: object) -> set[str]:
    """The names of the definitions that a schema uses, apart from those used in definitions; "" for the whole schema.
    """
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for key, item in value.items() if key not in {"$defs", "definitions"} for name in _references(item)}
    reference = value.get("$ref")
    return found | {reference.removeprefix("#").rpartition("/")[2]} if isinstance(reference, str) else found


def _reaches(start: str, wanted: str, uses: dict[str, set[str]], seen: set[str]) -> bool:
    """Whether the definition `start` leads to `wanted`."""
    for name in uses.get(start, ()):
        if name == wanted:
            return True
        if name not in seen:
            seen.add(name)
            if _reaches(name, wanted, uses, seen):
                return True
    return False
