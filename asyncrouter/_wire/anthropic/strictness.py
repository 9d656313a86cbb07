"""Keeps within Anthropic's limits on what is strict in one request (platform.claude.com, "Structured outputs").

All strict tools and the schema of the answer are compiled into one grammar, and a request over a limit is refused as a
whole. A tool can be used without being strict, so those that are too many are sent so, the last ones first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._errors import Rejected
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._types import Message


class Load(NamedTuple):
    """What of a request counts against the limits."""

    tools: int = 0
    """Strict tools."""
    optional: int = 0
    """Parameters that are not required."""
    unions: int = 0
    """Parameters of more than one type."""

    def __add__(self, other: object) -> Load:
        """Both together."""
        assert isinstance(other, Load)
        return Load(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def over(self) -> str:
        """The limit that is exceeded, "" for none."""
        over = (f"{count} {name} ({most} at most)" for name, count, most in zip(_NAMES, self, _MOST, strict=True)
                if count > most)
        return next(over, "")


_MOST: Final = Load(20, 24, 16)
_NAMES: Final = ("strict tools", "optional parameters", "parameters with a union type")


def over_limit(schema: Message) -> str:
    """The limit that an answer's schema exceeds by itself, "" for none."""
    return _load(schema).over()


def limit_strict(body: Message, output: Message) -> None:
    """Send tools that are too many as tools that are not strict. Raises `Rejected` if the answer's schema is too much.
    """
    tools, schema = body.get("tools"), object_in(object_in(output, "format"), "schema")
    strict = isinstance(tools, list) and any(tool.get("strict") is True for tool in tools)
    if not (strict or schema):
        return
    load = _load(schema)
    if over := load.over():
        raise Rejected(f"response_format: {over} in the schema; the Messages API takes no more")
    if strict and isinstance(tools, list):
        body["tools"] = list(_within(tools, load))


def _within(tools: list[Message], load: Load) -> Iterator[Message]:
    for tool in tools:
        if tool.get("strict") is True:
            more = load + _load(object_in(tool, "input_schema"))._replace(tools=1)
            if more.over():
                tool = {name: value for name, value in tool.items() if name != "strict"}
            else:
                load = more
        yield tool


def _load(schema: object) -> Load:
    """What a schema counts; every property of every object in it is a parameter."""
    if isinstance(schema, list):
        return _sum(schema)
    if not isinstance(schema, dict):
        return Load()
    properties, required = object_in(schema, "properties"), schema.get("required")
    named = required if isinstance(required, list) else []
    own = Load(
        optional=sum(name not in named for name in properties),
        unions=sum(_is_union(described) for described in properties.values()),
    )
    inner = [value for name, value in schema.items() if name not in {"properties", "enum", "const", "default"}]
    return own + _sum([*properties.values(), *inner])


def _sum(schemas: list[object]) -> Load:
    load = Load()
    for schema in schemas:
        load += _load(schema)
    return load


def _is_union(described: object) -> bool:
    return isinstance(described, dict) and ("anyOf" in described or isinstance(described.get("type"), list))
