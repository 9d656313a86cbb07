"""What is sent to each generation of Claude: thinking, effort, forced tools, sampling, limits, prefill, schemas."""

from __future__ import annotations

import copy
import math
from typing import Any

import orjson
import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from tests.helpers.anthropic_fixtures import WIRE

HI = {"role": "user", "content": "Hi"}
F, G = ({"type": "function", "function": {"name": name}} for name in "fg")
SHOWN = {"type": "adaptive", "display": "summarized"}
ADAPTIVE = {"type": "adaptive"}
FORCED = {"type": "function", "function": {"name": "g"}}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}


def enabled(tokens: int) -> dict[str, object]:
    return {"type": "enabled", "budget_tokens": tokens}


def sent(model: str, *messages: object, max_output: int | None = None, **params: object) -> dict[str, Any]:
    call = Call(list(messages) or [HI], {}, {}, 0.0, math.inf)
    of = Model(provider="anthropic", id=model, max_output=max_output)
    return orjson.loads(WIRE.encode(call, of, params, None, stream=False, connect=None).body)


def strict_tool(name: str, optional: int = 0, unions: int = 0) -> dict[str, Any]:
    """A strict tool with so many parameters of each kind."""
    wanted = {f"u{number}": {"type": ["string", "null"]} for number in range(unions)}
    free = {f"o{number}": {"type": "string"} for number in range(optional)}
    schema = {"type": "object", "properties": {**wanted, **free}, "required": [*wanted], "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "strict": True, "parameters": schema}}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([strict_tool(f"t{number}") for number in range(22)], 20), ([strict_tool("t", 24)], 1),
        ([strict_tool("t", 25)], 0), ([strict_tool("a", 20), strict_tool("b", 5), strict_tool("c", 4)], 2),
        ([strict_tool("a", 0, 16)], 1), ([strict_tool("a", 0, 10), strict_tool("b", 0, 10)], 1),
        ([strict_tool("a", 0, 17), strict_tool("b", 24, 16)], 1),
    ],
)
@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-sonnet-5-5"])
def test_strict_tools_that_are_too_many_are_sent_otherwise(model: str, tools: list[Any], expected: int) -> None:
    """20 strict tools, 24 optional parameters and 16 union types together: the others are tools all the same."""
    given = copy.deepcopy(tools)
    body = sent(model, tools=tools)

    assert (len(body["tools"]), sum("strict" in tool for tool in body["tools"]), tools) == (len(tools), expected, given)


@pytest.mark.parametrize(("optional", "unions", "told"), [
    (25, 0, "25 optional parameters (24 at most)"), (0, 17, "17 parameters with a union type (16 at most)"),
])
def test_an_answers_schema_over_a_limit_goes_to_the_next_model(optional: int, unions: int, told: str) -> None:
    """It cannot be left out; the clash is named before anything is sent."""
    schema = strict_tool("t", optional, unions)["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(Rejected) as caught:
        sent("claude-opus-5", response_format=wanted)

    assert caught.value.message == f"response_format: {told} in the schema; the Messages API takes no more"


def test_tools_share_the_limit_with_the_answers_schema() -> None:
    """What the answer takes of it the tools have not."""
    schema = strict_tool("t", 20)["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = sent("claude-opus-5", response_format=wanted, tools=[strict_tool("a", 5), strict_tool("b", 4)])

    assert ["strict" in tool for tool in body["tools"]] == [False, True]


def thinking(model: str, **params: object) -> tuple[object, object]:
    """What is sent as `thinking`, and as effort."""
    body = sent(model, **params)
    return body.get("thinking"), body.get("output_config", {}).get("effort")


@pytest.mark.parametrize(
    ("model", "unasked", "high", "none"),
    [
        ("claude-3-5-sonnet-20241022", (None, None), (None, None), (None, None)),
        ("claude-3-7-sonnet-20250219", (None, None), (enabled(16_384), None), (None, None)),
        ("claude-opus-4-1", (None, None), (enabled(16_384), None), (None, None)),
        ("claude-haiku-4-5-20251001", (None, None), (enabled(16_384), None), (None, None)),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", (None, None), (enabled(16_384), "high"), (None, None)),
        ("claude-sonnet-4-6", (None, None), (ADAPTIVE, "high"), (None, None)),
        ("claude-opus-4-7", (None, None), (SHOWN, "high"), (None, None)),
        ("claude-opus-4-8@20260601", (None, None), (SHOWN, "high"), (None, None)),
        ("claude-opus-5", (SHOWN, None), (SHOWN, "high"), ({"type": "disabled"}, None)),
        ("claude-haiku-5-5", (SHOWN, None), (SHOWN, "high"), ({"type": "disabled"}, None)),
        ("claude-sonnet-5-5-20260901", (SHOWN, None), (SHOWN, "high"), ({"type": "between_tools"}, None)),
        ("claude-opus-5-5", (SHOWN, None), (SHOWN, "high"), (SHOWN, "low")),
        ("claude-fable-5", (SHOWN, None), (SHOWN, "high"), (SHOWN, "low")),
        ("claude-mythos-5-2", (SHOWN, None), (SHOWN, "high"), (SHOWN, "low")),
        ("claude-opus-latest", (SHOWN, None), (SHOWN, "high"), (SHOWN, "low")),
        ("claude-opus-9", (SHOWN, None), (SHOWN, "high"), (SHOWN, "low")),  # newer than the table
        ("my-claude", (None, None), (ADAPTIVE, "high"), ({"type": "disabled"}, None)),
    ],
)
def test_how_much_each_model_thinks(model: str, unasked: object, high: object, none: object) -> None:
    """Without an effort, with "high" and with "none": in the words of this model, thoughts shown where they are hidden.
    """
    assert thinking(model) == unasked
    assert thinking(model, reasoning_effort="high") == high
    assert thinking(model, reasoning={"effort": "high"}) == high
    assert thinking(model, reasoning_effort="none") == none


@pytest.mark.parametrize(
    ("model", "asked", "effort"),
    [
        ("claude-opus-4-5", "max", "high"), ("claude-opus-4-5", "minimal", "low"),
        ("claude-sonnet-4-6", "xhigh", "high"), ("claude-sonnet-4-6", "max", "max"),
        ("claude-opus-4-7", "xhigh", "xhigh"), ("claude-opus-5", "minimal", "low"),
        ("claude-haiku-4-5", "max", None), ("claude-3-haiku", "max", None),
    ],
)
def test_the_nearest_effort_is_sent(model: str, asked: str, effort: object) -> None:
    """An effort that the model does not have becomes the next lower one; a model without efforts gets none."""
    assert thinking(model, reasoning_effort=asked)[1] == effort
    assert thinking(model, output_config={"effort": asked})[1] == effort


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("claude-opus-4-6", enabled(2000), enabled(2000)), ("claude-opus-4-7", enabled(2000), SHOWN),
        ("claude-haiku-4-5", ADAPTIVE, enabled(8192)), ("claude-3-haiku", enabled(2000), None),
        ("claude-opus-5", {"type": "adaptive", "display": "omitted"}, {"type": "adaptive", "display": "omitted"}),
        ("claude-opus-5-5", {"type": "disabled"}, SHOWN), ("claude-sonnet-5-5", {"type": "disabled"},
                                                          {"type": "between_tools"}),
        ("claude-opus-5", {"type": "between_tools"}, {"type": "disabled"}),
        ("claude-opus-4-6", {"type": "disabled"}, None), ("claude-opus-5", {"type": "new"}, {"type": "new"}),
        ("my-claude", enabled(2000), enabled(2000)),
    ],
)
def test_thinking_in_the_apis_own_words(model: str, given: object, expected: object) -> None:
    """A kind that this model refuses becomes the one that it takes; one that is newer than the table goes out as it is.
    """
    assert sent(model, thinking=given, max_tokens=32_000).get("thinking") == expected


def test_thinking_is_turned_off_only_up_to_high() -> None:
    """With a higher effort "disabled" is refused."""
    assert thinking("claude-opus-5", thinking={"type": "disabled"}, output_config={"effort": "max"}) == (
        {"type": "disabled"}, "high")


def test_thoughts_that_nobody_wants_stay_hidden() -> None:
    """OpenRouter's `exclude` is Anthropic's `display`."""
    assert thinking("claude-opus-5", reasoning={"effort": "low", "exclude": True}) == (
        {"type": "adaptive", "display": "omitted"}, "low")


@pytest.mark.parametrize(
    ("budget", "params", "max_output", "expected"),
    [
        (2000, {"max_tokens": 8000}, None, (2000, 8000)), (9000, {"max_tokens": 8000}, None, (6000, 8000)),
        (8000, {"max_tokens": 8000}, None, (6000, 8000)), (2000, {"max_tokens": 1100}, None, (1024, 1100)),
        (2000, {"max_tokens": 1024}, None, (None, 1024)), (2000, {"max_tokens": 5}, None, (None, 5)),
        (10, {"max_completion_tokens": 8000}, None, (1024, 8000)), (9000, {}, None, (9000, 13_096)),
        (9000, {}, 64_000, (9000, 64_000)), (9000, {}, 8192, (6144, 8192)),
    ],
)
def test_a_budget_is_below_the_limit(
    budget: int, params: dict[str, object], max_output: int | None, expected: tuple[int | None, int]
) -> None:
    """The caller's limit holds, so the budget gives way; where nobody set one there is room for both."""
    body = sent("claude-haiku-4-5", max_output=max_output, reasoning={"max_tokens": budget}, **params)

    assert (body.get("thinking", {}).get("budget_tokens"), body["max_tokens"]) == expected


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("claude-3-haiku", SAMPLING), ("claude-sonnet-4", SAMPLING),
        ("claude-opus-4-5", {"temperature": 0.5, "top_k": 5}), ("claude-opus-4-6", {"temperature": 0.5, "top_k": 5}),
        ("claude-opus-4-7", {}), ("claude-sonnet-5-5", {}),
        ("claude-opus-9", {}), ("my-claude", SAMPLING),
    ],
)
def test_sampling_parameters(model: str, kept: dict[str, object]) -> None:
    """None since 4.7; from 4.5 on only one of temperature and top_p; an unknown model gets what was given."""
    body = sent(model, **SAMPLING)

    assert {name: body[name] for name in SAMPLING if name in body} == kept


@pytest.mark.parametrize("model", ["claude-3-7-sonnet-latest", "claude-opus-4-5", "claude-sonnet-4-6"])
def test_thinking_is_stronger_than_sampling(model: str) -> None:
    """A model that thinks takes no sampling parameters."""
    assert not SAMPLING.keys() & sent(model, reasoning_effort="low", **SAMPLING).keys()


@pytest.mark.parametrize(
    ("model", "required", "named", "offered", "thinks"),
    [
        ("claude-haiku-4-5", "any", {"type": "tool", "name": "g"}, ["f", "g"], False),
        ("claude-opus-4-6", "any", {"type": "tool", "name": "g"}, ["f", "g"], False),
        ("claude-opus-4-7", "any", {"type": "tool", "name": "g"}, ["f", "g"], True),
        ("claude-opus-5", "any", {"type": "tool", "name": "g"}, ["f", "g"], True),
        ("claude-haiku-5-5", "any", {"type": "tool", "name": "g"}, ["f", "g"], True),
        ("claude-fable-5", "any", {"type": "tool", "name": "g"}, ["f", "g"], True),
        ("claude-fable-5-1", "auto", {"type": "auto"}, ["g"], True),
        ("claude-sonnet-5-5", "auto", {"type": "auto"}, ["g"], True),
        ("claude-opus-5-5", "auto", {"type": "auto"}, ["g"], True),
        ("claude-opus-9", "auto", {"type": "auto"}, ["g"], True),
    ],
)
def test_a_forced_tool(model: str, required: str, named: object, offered: list[str], thinks: bool) -> None:
    """It is stronger than thinking where that can be turned off; elsewhere the model chooses, among what was demanded.
    """
    any_tool = sent(model, tools=[F, G], tool_choice="required", reasoning_effort="low")
    one = sent(model, tools=[F, G], tool_choice=FORCED, reasoning_effort="low")

    assert (any_tool["tool_choice"], [tool["name"] for tool in any_tool["tools"]]) == ({"type": required}, ["f", "g"])
    assert (one["tool_choice"], [tool["name"] for tool in one["tools"]]) == (named, offered)
    assert ("thinking" in any_tool, "thinking" in one) == (thinks, thinks)


def test_a_choice_that_is_freed_keeps_the_rest() -> None:
    """One call at a time is still one call at a time."""
    body = sent("claude-opus-5-5", tools=[F], tool_choice="required", parallel_tool_calls=False)

    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


CALLED = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


@pytest.mark.parametrize(
    ("model", "thought", "expected"),
    [
        ("claude-haiku-4-5", False, None), ("claude-haiku-4-5", True, enabled(2048)),
        ("claude-opus-4-6", False, ADAPTIVE), ("claude-opus-5", False, SHOWN),
    ],
)
def test_a_call_of_another_model_has_no_thought_before_it(model: str, thought: bool, expected: object) -> None:
    """With a budget Claude refuses to go on from one: it does not think in this turn."""
    called = {**CALLED, "thinking_blocks": [THOUGHT]} if thought else CALLED

    assert sent(model, HI, called, RESULT, reasoning_effort="low", max_tokens=8000).get("thinking") == expected


@pytest.mark.parametrize(
    ("model", "taken"),
    [("claude-haiku-4-5", True), ("claude-opus-4-6", False), ("claude-opus-9", False), ("my-claude", True)],
)
def test_an_assistants_message_at_the_end(model: str, taken: bool) -> None:
    """Models since 4.6 do not go on with one: another model of the chain may."""
    prefill = {"role": "assistant", "content": "{ \n"}
    if taken:
        assert sent(model, HI, prefill)["messages"][-1] == {"role": "assistant", "content": "{"}
    else:
        with pytest.raises(Rejected, match=r"^messages: this model does not continue an assistant's message"):
            sent(model, HI, prefill)


SCHEMA: dict[str, Any] = {
    "type": "object", "title": "T", "description": "d", "required": ["n"], "$schema": "x",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 5, "description": "a number"},
        "s": {"type": "string", "minLength": 2, "format": "email", "pattern": "^a+$"},
        "u": {"type": "string", "format": "uri-template", "pattern": r"(?=a)\b"},
        "l": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number", "multipleOf": 2}}},
              "minItems": 2, "maxItems": 3, "uniqueItems": True},
        "m": {"type": "array", "items": {"$ref": "#/$defs/d", "description": "beside"}, "minItems": 1},
        "o": {"oneOf": [{"type": "null"}, {"type": ["object", "null"], "properties": {}}], "default": None},
    },
    "$defs": {"d": {"enum": ["a"], "examples": ["a"]}},
}
TAKEN: dict[str, Any] = {
    "type": "object", "title": "T", "description": "d", "required": ["n"], "additionalProperties": False,
    "properties": {
        "n": {"type": "integer", "description": 'a number\n\n{minimum: 1, maximum: 5}'},
        "s": {"type": "string", "format": "email", "pattern": "^a+$", "description": "{minLength: 2}"},
        "u": {"type": "string", "description": '{format: "uri-template", pattern: "(?=a)\\\\b"}'},
        "l": {"type": "array", "description": "{minItems: 2, maxItems: 3, uniqueItems: true}", "items": {
            "type": "object", "properties": {"x": {"type": "number", "description": "{multipleOf: 2}"}},
            "additionalProperties": False}},
        "m": {"type": "array", "items": {"$ref": "#/$defs/d"}, "minItems": 1},
        "o": {"default": None, "anyOf": [
            {"type": "null"}, {"type": ["object", "null"], "properties": {}, "additionalProperties": False}]},
    },
    "$defs": {"d": {"enum": ["a"], "description": '{examples: ["a"]}'}},
}


def shape(schema: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}


def test_a_schema_that_anthropic_takes() -> None:
    """Objects are closed, and limits that it refuses are said in the description; the caller's schema does not change.
    """
    before = copy.deepcopy(SCHEMA)
    body = sent("claude-opus-5", response_format=shape(SCHEMA))

    assert body["output_config"]["format"] == {"type": "json_schema", "schema": TAKEN}
    assert before == SCHEMA
    assert sent("my-claude", response_format=shape(SCHEMA))["output_config"]["format"]["schema"] == SCHEMA


def test_the_schema_of_a_strict_tool() -> None:
    """It has the same limits; a tool that is not strict may have any schema, and old models know no strict ones."""
    function = {"name": "f", "parameters": SCHEMA, "strict": True}
    strict, loose = ({"type": "function", "function": {**function, "strict": flag}} for flag in (True, False))
    old = sent("claude-sonnet-4", tools=[strict])["tools"][0]

    assert sent("claude-opus-5", tools=[strict])["tools"] == [{"name": "f", "input_schema": TAKEN, "strict": True}]
    assert sent("claude-opus-5", tools=[loose])["tools"] == [{"name": "f", "input_schema": SCHEMA, "strict": False}]
    assert old == {"name": "f", "input_schema": SCHEMA}


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
IMPOSSIBLE = [
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    {"type": "object", "properties": {"next": {"$ref": "#"}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"items": {"$ref": "#/$defs/a"}}}},
    {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}},
    {"type": "object", "additionalProperties": True},
]


@pytest.mark.parametrize("schema", IMPOSSIBLE)
def test_a_schema_that_cannot_be_said(schema: dict[str, object]) -> None:
    """Another model of the chain may take it; a tool with such a schema is not strict, but can be used."""
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}

    with pytest.raises(Rejected, match=r"^response_format\.json_schema\.schema.*: the Messages API takes no "):
        sent("claude-opus-5", response_format=shape(schema))
    assert sent("claude-opus-5", tools=[tool])["tools"] == [{"name": "f", "input_schema": schema}]


def test_a_definition_may_be_used_twice() -> None:
    """That is no recursion."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d"}, "b": {"$ref": "#/$defs/d"}},
              "$defs": {"d": {"type": "string"}}}

    assert sent("claude-opus-5", response_format=shape(schema))["output_config"]["format"]["schema"]["properties"] == (
        schema["properties"])


def test_a_schema_that_is_no_json_is_named() -> None:
    """Also one that is nested without end."""
    schema: dict[str, object] = {"type": "object"}
    schema["properties"] = {"a": schema}

    with pytest.raises(ValueError, match=r"^response_format: nested deeper than 254 levels"):
        sent("claude-opus-5", response_format=shape(schema))


def test_models_before_4_5_take_no_schema_for_an_answer() -> None:
    """The chain goes on."""
    with pytest.raises(Rejected, match=r"^response_format: this model takes no schema for its answer"):
        sent("claude-sonnet-4", response_format=shape(SCHEMA))
    assert "output_config" not in sent("claude-sonnet-4", response_format={"type": "json_object"})


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("u-7", "u-7"), ("x" * 256, "x" * 256), ("550e8400-e29b-41d4-a716-446655440000",) * 2,
        ("ada@example.org", None), ("mail:ada@example.org", None), ("x" * 257, None), ("+49 (30) 1234-5678", None),
    ],
)
def test_a_users_id_is_opaque(user: str, expected: str | None) -> None:
    """Anthropic refuses addresses, phone numbers and long ids: a digest stands for each, the same every time."""
    (one, two, native) = (
        sent("claude-opus-5", **params)["metadata"]["user_id"]
        for params in ({"user": user}, {"safety_identifier": user}, {"metadata": {"user_id": user}})
    )

    assert one == two == native
    assert one == expected or (expected is None and len(one) == 32 and "@" not in one)


@pytest.mark.parametrize(
    ("stop", "expected"), [(["a", "\n", " ", ""], ["a"]), ("\n\n", None), ([" "], None), ("", None), ("END", ["END"])]
)
def test_blank_stop_words_are_left_out(stop: object, expected: object) -> None:
    """Anthropic refuses them."""
    assert sent("claude-opus-5", stop=stop).get("stop_sequences") == expected
