"""What may be given as a shape of answers: everything else is refused with the cure, before anything is sent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, RootModel

from asyncrouter import Router
from asyncrouter.schema import read_shape
from asyncrouter.sim import Act, Clock, World
from tests.helpers.shapes import ENVELOPE, INVOICE, Invoice, Point, Shelf

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]


@dataclass
class Bad:
    what: object
    raises: type[Exception]
    says: str


@dataclass
class Callback:
    call: BaseException


CIRCLE: dict[str, Any] = {"allOf": [{"$ref": "#/$defs/a"}],
                          "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}
ENDLESS: dict[str, Any] = {"type": "object"}
ENDLESS["properties"] = {"a": ENDLESS}
DEEP: dict[str, Any] = {"type": "object"}
for _ in range(300):
    DEEP = {"type": "object", "properties": {"a": DEEP}}

KINDS = "expected a pydantic model, a dataclass, a TypedDict or a JSON schema, got "
BADS = [
    Bad(int, TypeError, f"{KINDS}the class int"),
    Bad(object, TypeError, f"{KINDS}the class object"),
    Bad(list[Invoice], TypeError, f"{KINDS}list["),
    Bad(Invoice | None, TypeError, KINDS),
    Bad(Invoice(number="", lines=[]), TypeError, f"{KINDS}an instance of Invoice"),
    Bad(Point(1), TypeError, f"{KINDS}an instance of Point"),
    Bad("Invoice", TypeError, f"{KINDS}an instance of str"),
    Bad(3, TypeError, f"{KINDS}an instance of int"),
    Bad([INVOICE], TypeError, f"{KINDS}an instance of list"),
    Bad(True, TypeError, f"{KINDS}an instance of bool"),
    Bad(Callback, TypeError, "Callback has no JSON schema: "),
    Bad({"type": "strng"}, ValueError, "no JSON schema: type: "),
    Bad({"type": "object", "properties": {"a": {"type": "array", "items": 5}}}, ValueError,
        "no JSON schema: properties.a.items: "),
    Bad({"properties": 5}, ValueError, "no JSON schema: properties: "),
    Bad({"type": "json_schema", "name": "x", "schema": {}}, ValueError, "no JSON schema: type: "),
    Bad({"pattern": "("}, ValueError, "no JSON schema: pattern: "),
    Bad({"items": {"patternProperties": {"[": {}}}}, ValueError, "no JSON schema: items.patternProperties: "),
    Bad({"$ref": "#/$defs/nope"}, ValueError, "$ref '#/$defs/nope' leads to nothing within the schema"),
    Bad({"items": {"$ref": "https://example.com/x.json"}}, ValueError, "$ref 'https://example.com/x.json' leads to"),
    Bad({"$ref": "file:///etc/passwd"}, ValueError, "$ref 'file:///etc/passwd' leads to nothing"),
    Bad({"$ref": "#"}, ValueError, "the schema has references that lead back to themselves"),
    Bad(CIRCLE, ValueError, "the schema has references that lead back to themselves"),
    Bad({"properties": {1: {}}}, TypeError, "the schema cannot be written as JSON: "),
    Bad({"const": object()}, TypeError, "the schema cannot be written as JSON: "),
    Bad(ENDLESS, TypeError, "the schema cannot be written as JSON: "),
    Bad(DEEP, TypeError, "the schema cannot be written as JSON: "),
    Bad({"description": "x" * 600_000}, ValueError, "the schema has 600018 bytes as JSON; 524288 at most"),
]


@pytest.mark.parametrize("bad", BADS, ids=lambda bad: f"{bad.what!r:.18}")  # no address of an object
@pytest.mark.parametrize("how", ["chat", "stream", "explain", "with_options"])
def test_what_is_no_shape(clock: Clock, world: World, how: str, bad: Bad) -> None:
    """The error says what was given and what may be; nothing is sent."""
    world.model("m", Act(text="{}"))

    async def main() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            if how == "stream":
                async with router.stream("x", model="m", response_format=bad.what):
                    pass
            elif how == "chat":
                await router.chat("x", model="m", response_format=bad.what)
            elif how == "explain":
                router.explain(model="m", response_format=bad.what)
            else:
                router.with_options(model="m", response_format=bad.what)

    with pytest.raises(bad.raises) as caught:
        clock.run(main())
    assert str(caught.value)[:len(f"response_format: {bad.says}")] == f"response_format: {bad.says}"
    assert not world.seen


@pytest.mark.parametrize(("shape", "name", "kind"), [
    (Invoice, "Invoice", "object"), (Point, "Point", "object"), (Shelf, "Shelf", "object"),
    (INVOICE, "Invoice", "object"), (Page[Invoice], "Page_Invoice", "object"),
    (RootModel[list[int]], "RootModel_list_int", "array"),
    ({"type": "integer"}, "answer", "integer"), ({"title": "An odd *title*!", "type": "null"}, "An_odd_title", "null"),
])
def test_shapes_have_a_name_and_a_schema(shape: object, name: str, kind: str) -> None:
    """The name is one that OpenAI takes."""
    read = read_shape(shape)

    assert (read.name, read.schema["type"]) == (name, kind)


def test_a_schema_is_copied(clock: Clock, world: World) -> None:
    """What the caller changes later changes no answer, and nothing of the caller's is changed."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    world.model("m", Act(text='{"a": 1}'))

    async def main() -> object:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model="sim-anthropic:m", response_format=schema)
            return (await router.chat("x", model="m", response_format=schema)).parsed

    assert clock.run(main()) == {"a": 1}
    assert schema == {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let it be as if a package were not installed."""
    for name in [name for name in sys.modules if name.startswith("asyncrouter.schema")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(("package", "shape", "says"), [
    ("jsonschema", INVOICE, "a JSON schema is checked with jsonschema"),
    ("pydantic", Point, "a class is checked with pydantic"),
    ("pydantic", Shelf, "a class is checked with pydantic"),
])
def test_without_the_extra(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, package: str, shape: object, says: str
) -> None:
    """A shape that cannot be checked is refused with the cure."""
    without(monkeypatch, package)

    async def main() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model="m", response_format=shape)

    with pytest.raises(ImportError) as caught:
        clock.run(main())
    assert str(caught.value) == f"response_format: {says}: pip install 'asyncrouter[schema]'"
    assert not world.seen


def test_openais_form_without_the_extra(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes as it is, and one notice says that nobody checks."""
    without(monkeypatch, "jsonschema")
    world.model("m", Act(text="no JSON"))
    events: list[str] = []

    async def main() -> list[tuple[str, object]]:
        async with Router(world.config(), transport=world.transport(), listeners=[
            lambda event: events.append(getattr(event, "text", ""))
        ]) as router:
            replies = [await router.chat("x", model="m", response_format=ENVELOPE) for _ in range(2)]
            return [(reply.text, reply.parsed) for reply in replies]

    assert clock.run(main()) == [("no JSON", None), ("no JSON", None)]
    assert world.seen[-1].body["response_format"] == ENVELOPE
    assert [text for text in events if text] == [
        "answers are not checked against response_format: pip install 'asyncrouter[schema]'"]


def test_a_pydantic_class_needs_no_jsonschema(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class brings its own library."""
    without(monkeypatch, "jsonschema")
    world.model("m", Act(text='{"number": "1", "lines": []}'))

    async def main() -> object:
        async with Router(world.config(), transport=world.transport()) as router:
            return (await router.chat("x", model="m", response_format=Invoice)).parsed

    assert clock.run(main()) == Invoice(number="1", lines=[])
