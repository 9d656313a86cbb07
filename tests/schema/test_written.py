"""How each vendor is asked for a schema: by its own rules, and what it cannot say is said otherwise, and explained."""

from __future__ import annotations

import copy
import math
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, Field

from asyncrouter import Router
from asyncrouter._config.catalog import Model, Provider, WireName
from asyncrouter._config.response_format import take_format
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for
from asyncrouter.sim import Act, Clock, World
from tests.helpers.shapes import INVOICE, Invoice

HOSTS: dict[str, tuple[WireName, str]] = {
    "openai": ("openai", "https://api.openai.com/v1"), "responses": ("responses", "https://api.openai.com/v1"),
    "anthropic": ("anthropic", "https://api.anthropic.com/v1"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/v1beta"),
    "deepseek": ("openai", "https://api.deepseek.com/v1"), "groq": ("openai", "https://api.groq.com/openai/v1"),
    "openrouter": ("openai", "https://openrouter.ai/api/v1"), "azure": ("openai", "https://x.openai.azure.com/openai/v1"),
    "local": ("openai", "http://127.0.0.1:8080/v1"), "mistral": ("openai", "https://api.mistral.ai/v1"),
}
INSTRUCTION = "Answer with one JSON value that is valid under this JSON schema, and with nothing else: no explanation, no Markdown.\n"  # noqa: E501


def asked(host: str, model: str, shape: object, *, drop: tuple[str, ...] = (), system: object = None) -> Any:
    """The body of the request, and the notes about it."""
    name, url = HOSTS[host]
    wire = wire_for(Provider(name="p", base_url=url, wire=name), lambda: 0.0)
    params, parse = take_format({"response_format": shape})
    messages: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    call = Call(messages, params, {}, 0.0, math.inf, parse=parse)
    entry = Model(provider="p", id=model, drop=list(drop))
    request = wire.encode(call, entry, params, "k", stream=False, connect=None)
    return orjson.loads(request.body), wire.format_notes(entry, params)


def schema_in(body: dict[str, Any]) -> tuple[Any, Any]:
    """The schema in a request, and whether it is strict."""
    if "response_format" in body:
        described = body["response_format"].get("json_schema", {})
        return described.get("schema"), described.get("strict")
    if "text" in body:
        return body["text"]["format"]["schema"], body["text"]["format"].get("strict")
    if "output_config" in body:
        return body["output_config"]["format"]["schema"], None
    return body.get("generationConfig", {}).get("responseJsonSchema"), None


CLOSED = {
    "title": "Invoice", "type": "object", "additionalProperties": False, "required": ["number", "lines"],
    "properties": {
        "number": {"type": "string"},
        "lines": {"type": "array", "items": {
            "type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"],
            "additionalProperties": False}},
    },
}


@pytest.mark.parametrize(("host", "model", "schema", "strict"), [
    ("openai", "gpt-6-luna", CLOSED, True), ("responses", "gpt-6-luna", CLOSED, True),
    ("azure", "my-deployment", CLOSED, True), ("openrouter", "openai/gpt-6-luna", CLOSED, True),
    ("openai", "gpt-4o", CLOSED, True), ("groq", "openai/gpt-oss-20b", CLOSED, True),
    ("anthropic", "claude-opus-5", CLOSED, None), ("openrouter", "anthropic/claude-opus-5.5", CLOSED, True),
    ("gemini", "gemini-3-flash", INVOICE, None), ("openrouter", "google/gemini-3-flash", INVOICE, True),
    ("local", "smollm2", INVOICE, None), ("groq", "llama-3.3-70b-versatile", INVOICE, None),
    ("mistral", "mistral-large", INVOICE, None), ("anthropic", "my-claude", INVOICE, None),
])
def test_who_is_asked_how(host: str, model: str, schema: object, strict: object) -> None:
    """By the rules of the model's maker, else of the host; where nothing is known, the schema goes as it is."""
    before = copy.deepcopy(INVOICE)
    body, notes = asked(host, model, INVOICE)

    assert schema_in(body) == (schema, strict)
    assert notes == ()
    assert before == INVOICE


@pytest.mark.parametrize(("host", "model", "json_mode"), [
    ("deepseek", "deepseek-v4-flash", True), ("openai", "gpt-4-turbo", False), ("openai", "gpt-3.5-turbo", False),
    ("anthropic", "claude-3-haiku", False), ("openrouter", "anthropic/claude-3-haiku", False),
])
def test_a_model_that_takes_no_schema(host: str, model: str, json_mode: bool) -> None:
    """The prompt asks for it, beside the JSON mode where there is one; a system message that is there stays first."""
    body, notes = asked(host, model, INVOICE, system="Be brief.")
    system = body["system"] if host == "anthropic" else body["messages"][0]["content"]
    text = system if isinstance(system, str) else system[-1]["text"]

    assert text == f"Be brief.\n\n{INSTRUCTION}{orjson.dumps(INVOICE).decode()}"
    assert body.get("response_format") == ({"type": "json_object"} if json_mode else None)
    assert "output_config" not in body
    assert notes == ("response_format: the schema is put into the prompt: this model takes no schema for its answer",)


def test_the_prompt_without_a_system_message_and_with_parts() -> None:
    """One is made; parts get one more."""
    alone, _ = asked("local", "m", INVOICE, drop=("response_format",))
    parts, _ = asked("local", "m", INVOICE, drop=("response_format",), system=[{"type": "text", "text": "A"}])
    text = f"{INSTRUCTION}{orjson.dumps(INVOICE).decode()}"

    assert alone["messages"] == [{"role": "system", "content": text}, {"role": "user", "content": "Hi"}]
    assert parts["messages"][0]["content"] == [{"type": "text", "text": "A"}, {"type": "text", "text": text}]
    assert "response_format" not in alone


class Node(BaseModel):
    value: int
    next: Node | None = None


class Free(BaseModel):
    counts: dict[str, int]


class Optional(BaseModel):
    name: str = Field(min_length=1, pattern="^[a-z]+$")
    size: int = Field(3, ge=0, multiple_of=2)
    note: str | None = None


MAY_BE_LEFT_OUT = {"type": "object", "properties": {"a": {"type": "string"}}}
LIST = {"type": "array", "items": {"type": "string"}}
SEVERAL = {"type": "object", "properties": {"a": {"allOf": [{"minimum": 1}, {"maximum": 2}]}}, "required": ["a"]}
ANYTHING = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
WIDE = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(30)}}
TUPLE = {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}]}},
         "required": ["a"]}
PROMPT = "the schema is put into the prompt: "
LOOSE = "the schema is sent without strict: "


@pytest.mark.parametrize(("host", "model", "shape", "note"), [
    ("openai", "gpt-6-luna", Free, f"{LOOSE}an object whose names are free"),
    ("openai", "gpt-6-luna", MAY_BE_LEFT_OUT, f"{LOOSE}a property that may be left out (a)"),
    ("openai", "gpt-6-luna", ANYTHING, f"{LOOSE}a value of any type"),
    ("openai", "gpt-6-luna", SEVERAL, f"{LOOSE}allOf"), ("openai", "gpt-6-luna", TUPLE, f"{LOOSE}prefixItems"),
    ("openai", "gpt-6-luna", LIST, f"{PROMPT}its root is no object"),
    ("openai", "gpt-6-luna", {"anyOf": [INVOICE, CLOSED]}, f"{PROMPT}its root is no object"),
    ("openai", "gpt-6-luna", Optional, "minLength: said in descriptions, as the API does not take it"),
    ("responses", "gpt-6-luna", LIST, f"{PROMPT}its root is no object"),
    ("anthropic", "claude-opus-5", Node, f"{PROMPT}the Messages API takes no schema that refers to itself"),
    ("anthropic", "claude-opus-5", Free, f"{PROMPT}the Messages API takes no object whose names are free"),
    ("anthropic", "claude-opus-5", WIDE, f"{PROMPT}30 optional parameters (24 at most)"),
    ("anthropic", "claude-opus-5", Optional,
     "minLength, minimum, multipleOf: said in descriptions, as the API does not take it"),
    ("gemini", "gemini-3-flash", Node, f"{PROMPT}a schema that refers to itself"),
    ("gemini", "gemini-3-flash", SEVERAL, f"{PROMPT}allOf"),
    ("gemini", "gemini-3-flash", Optional,
     "minLength, pattern, multipleOf: said in descriptions, as the API does not take it"),
])
def test_what_an_api_cannot_say(host: str, model: str, shape: object, note: str) -> None:
    """It is said otherwise, and `explain` tells how."""
    body, notes = asked(host, model, shape)

    assert notes == (f"response_format: {note}",)
    assert (INSTRUCTION.encode() in orjson.dumps(body).replace(b"\\n", b"\n")) == note.startswith(PROMPT)


@pytest.mark.parametrize(("host", "model"), [
    ("openai", "gpt-6-luna"), ("responses", "gpt-6-luna"), ("openrouter", "openai/gpt-6-luna"), ("local", "m"),
])
def test_a_recursive_class(host: str, model: str) -> None:
    """OpenAI enforces recursion, below a root that is an object itself."""
    schema, strict = schema_in(asked(host, model, Node)[0])

    assert strict == (None if host == "local" else True)
    if host != "local":
        assert schema["type"] == "object"
        assert schema["required"] == ["value", "next"]
        assert schema["$defs"]["Node"]["additionalProperties"] is False


@pytest.mark.parametrize("host", ["openai", "anthropic", "gemini"])
def test_what_is_refused_is_said_in_the_description(host: str) -> None:
    """So the model reads it; the check holds all the same."""
    model = {"openai": "gpt-6-luna", "anthropic": "claude-opus-5", "gemini": "gemini-3-flash"}[host]
    schema, _ = schema_in(asked(host, model, Optional)[0])

    assert "minLength: 1" in schema["properties"]["name"]["description"]
    assert "minLength" not in schema["properties"]["name"]


def test_older_and_odder_forms_for_google() -> None:
    """`definitions`, `const` and `oneOf` have other names there; nothing stands beside a reference."""
    schema, _ = schema_in(asked("gemini", "gemini-3-flash", {
        "type": "object",
        "properties": {
            "k": {"const": "x"}, "o": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "d": {"$ref": "#/definitions/d", "description": "gone"}, "b": {"enum": [True, None]},
        },
        "definitions": {"d": {"type": "string", "format": "uuid"}},
    })[0])

    assert schema == {
        "type": "object",
        "properties": {
            "k": {"enum": ["x"]}, "o": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "d": {"$ref": "#/$defs/d"},
            "b": {"description": "{enum: [true,null]}"},
        },
        "$defs": {"d": {"type": "string", "description": '{format: "uuid"}'}},
    }


def test_a_schema_that_is_strict_already() -> None:
    """Where nothing is known of the host, it is asked to enforce a schema for which that changes nothing."""
    assert schema_in(asked("local", "m", CLOSED)[0]) == (CLOSED, True)
    assert schema_in(asked("mistral", "mistral-large", CLOSED)[0]) == (CLOSED, True)


def test_explain_tells_it(clock: Clock, world: World) -> None:
    """And so does a notice, once."""
    world.model("claude-opus-5", Act(text='{"counts": {}}'))
    notices: list[str] = []

    async def main() -> tuple[object, str]:
        async with Router(world.config(wire="anthropic"), transport=world.transport(), listeners=[
            lambda event: notices.append(event.text) if hasattr(event, "text") else None
        ]) as router:
            for _ in range(2):
                await router.chat("x", model="claude-opus-5", response_format=Free)
            explained = router.explain(model="claude-opus-5", response_format=Free)
            return explained.steps[0].notes, str(explained)

    notes, text = clock.run(main())
    note = f"response_format: {PROMPT}the Messages API takes no object whose names are free"
    assert notes == (note,)
    assert text.endswith(f"; {note}; first content usual 0.00225 s")
    assert notices == [f"claude-opus-5: {note}"]


REFUSALS: list[tuple[str, dict[str, object]]] = [
    ("openai", {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
                           "model.", "param": "response_format"}),
    ("openai", {"message": "Invalid schema for response_format 'Invoice': 'x' is not permitted.",
                "param": "response_format"}),
    ("openai", {"message": "This response_format type is unavailable now"}),
    ("responses", {"message": "Invalid schema for response_format 'Invoice'", "param": "text.format.schema"}),
    ("anthropic", {"message": "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1 are "
                              "not supported"}),
    ("anthropic", {"message": "The compiled grammar is too large"}),
    ("gemini", {"message": "Invalid JSON payload received. Unknown name \"responseJsonSchema\" at "
                           "'generation_config'"}),
]


@pytest.mark.parametrize(("wire", "words"), REFUSALS)
def test_a_schema_that_is_refused(clock: Clock, world: World, wire: str, words: dict[str, Any]) -> None:
    """The same model is asked once more, by the prompt; from then on that is how it is asked for this schema."""
    answer = Act(text='{"number": "1", "lines": []}')
    world.model("m", Act(status=400, **words), answer)

    async def main() -> list[list[str | None]]:
        async with Router(world.config(), transport=world.transport()) as router:
            replies = [await router.chat("x", model=f"sim-{wire}:m", response_format=Invoice) for _ in range(2)]
            return [[one.outcome for one in reply.trace.attempts] for reply in replies]

    assert clock.run(main()) == [["failed", "won"], ["won"]]
    sent = [INSTRUCTION[:40].encode() in orjson.dumps(request.body) for request in world.seen]
    assert sent == [False, True, True]


def test_another_error_changes_nothing(clock: Clock, world: World) -> None:
    """A 400 about something else is one."""
    world.model("m", Act(status=400, message="The prompt is odd."), Act(text='{"number": "1", "lines": []}'))

    async def main() -> str | None:
        async with Router(world.config(), transport=world.transport()) as router:
            try:
                await router.chat("x", model="m", response_format=Invoice)
            except Exception as error:
                return type(error).__name__
        return None

    assert clock.run(main()) == "AllModelsFailed"
    assert world.requests == 1


def test_a_schema_of_the_caller_that_is_not_checked_is_left_alone(clock: Clock, world: World) -> None:
    """Without a check a schema is never left out."""
    world.model("m", Act(status=400, message="response_format is not supported", param="response_format"))

    async def main() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(Exception, match="response_format"):
                await router.chat("x", model="m", params={"response_format": {
                    "type": "json_schema", "json_schema": {"name": "n", "schema": INVOICE}}})

    clock.run(main())
    assert world.requests == 1
