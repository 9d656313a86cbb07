"""What the Responses wire sends: parameters, tools, format, storage."""

from __future__ import annotations

import copy

import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from asyncrouter._wire.responses.request import CHAT_ONLY
from tests.helpers.responses_fixtures import LOOSE_WIRE, SOL, WIRE, request

HI = {"role": "user", "content": "Hi"}
GPT_4O = Model(provider="openai", id="gpt-4o")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA}}
BLOB = ["reasoning.encrypted_content"]


def test_a_plain_question_to_a_reasoning_model() -> None:
    """Nothing is stored, and the reasoning is asked for in encrypted form."""
    assert request([HI]) == {
        "model": "gpt-6-sol", "input": [{"type": "message", "role": "user", "content": "Hi"}], "store": False,
        "include": BLOB,
    }


def test_a_plain_question_to_a_model_that_does_not_reason() -> None:
    """Nothing is stored, as with Chat Completions, and there is no reasoning to ask for."""
    assert request([HI], model=GPT_4O) == {
        "model": "gpt-4o", "input": [{"type": "message", "role": "user", "content": "Hi"}], "store": False,
    }


def test_a_stream_is_asked_for_without_options() -> None:
    """Usage always comes last; there is nothing to ask for."""
    asked = request([HI], stream=True)

    assert asked["stream"] is True
    assert "stream_options" not in asked


def test_the_address_and_the_headers() -> None:
    """`/responses` below the base URL, with the key as a bearer."""
    sent = WIRE.encode(Call([HI], {}, {}, 0.0, float("inf")), SOL, {}, "sk", stream=True, connect=3.0)

    assert (sent.method, sent.url, sent.connect) == ("POST", "https://api.openai.com/v1/responses", 3.0)
    assert sent.headers["Authorization"] == "Bearer sk"
    assert sent.headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize(("given", "sent"), [
    ({"max_tokens": 100}, {"max_output_tokens": 100}),
    ({"max_completion_tokens": 100, "max_tokens": 5}, {"max_output_tokens": 100}),
    ({"max_output_tokens": 100, "max_tokens": 5}, {"max_output_tokens": 100}),
    ({"max_tokens": 1}, {"max_output_tokens": 16}),
    ({"max_completion_tokens": 15}, {"max_output_tokens": 16}),
    ({"max_tokens": 16}, {"max_output_tokens": 16}),
    ({"reasoning_effort": "high"}, {"reasoning": {"effort": "high"}}),
    ({"reasoning_effort": "minimal"}, {"reasoning": {"effort": "low"}}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning": {"effort": "low", "summary": "auto"}}),
    ({"reasoning": {"effort": "low", "exclude": True}}, {"reasoning": {"effort": "low"}}),  # OpenRouter's own
    ({"reasoning": {"summary": "auto"}, "reasoning_effort": "max"},
     {"reasoning": {"summary": "auto", "effort": "max"}}),
    ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
    ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    ({"response_format": {"type": "text"}}, {"text": {"format": {"type": "text"}}}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA, "strict": True}}},
     {"text": {"format": {"type": "json_schema", "name": "w", "schema": SCHEMA, "strict": True}}}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "description": "d", "schema": SCHEMA}},
      "verbosity": "high"},
     {"text": {"format": {"type": "json_schema", "name": "w", "description": "d", "schema": SCHEMA},
               "verbosity": "high"}}),
    ({"text": {"verbosity": "low"}, "response_format": {"type": "json_object"}},
     {"text": {"verbosity": "low", "format": {"type": "json_object"}}}),
    ({"store": True}, {"store": True, "include": None}),
    ({"include": ["file_search_call.results"]}, {"include": ["file_search_call.results"]}),
    ({"include": []}, {"include": None}),
    ({"metadata": {"a": "b"}, "service_tier": "flex", "user": "u", "prompt_cache_key": "k", "safety_identifier": "s"},
     {"metadata": {"a": "b"}, "service_tier": "flex", "user": "u", "prompt_cache_key": "k", "safety_identifier": "s"}),
    ({"instructions": "Be brief.", "truncation": "auto"}, {"instructions": "Be brief.", "truncation": "auto"}),
    ({"temperature": None, "max_tokens": None, "stop": None}, {"temperature": None, "max_output_tokens": None}),
    ({"n": 1, "stop": [], "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "modalities": ["text"]},
     {"n": None, "stop": None, "presence_penalty": None, "logit_bias": None, "modalities": None}),
])
def test_parameters_are_written_in_the_words_of_the_api(given: dict[str, object], sent: dict[str, object]) -> None:
    """Each has its own place; `None` in the expectation says that there is no such field."""
    asked = request([HI], given)

    assert {name: asked.get(name) for name in sent} == sent
    assert asked.keys() <= {"model", "input", "store", "include", *sent}


@pytest.mark.parametrize(("given", "sent"), [
    ({"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "top_p": 0.5}),
    ({"logprobs": True, "top_logprobs": 3}, {"top_logprobs": 3, "include": ["message.output_text.logprobs"]}),
    ({"logprobs": True}, {"include": ["message.output_text.logprobs"]}),
    ({"logprobs": False}, {}),
    ({"reasoning_effort": "high"}, {}),  # refuses the field
])
def test_a_model_that_does_not_reason_takes_sampling_and_no_effort(
    given: dict[str, object], sent: dict[str, object]
) -> None:
    """gpt-4o."""
    assert request([HI], given, GPT_4O) == {**request([HI], {}, GPT_4O), **sent}


@pytest.mark.parametrize(("model_id", "effort", "kept"), [
    ("gpt-6-sol", None, False), ("gpt-6-sol", "low", False), ("gpt-6-sol", "none", True),
    ("gpt-5.1", None, True), ("gpt-5.1", "low", False), ("gpt-6.1-sol", "none", False), ("o3", None, False),
])
def test_sampling_goes_out_only_while_the_model_does_not_reason(model_id: str, effort: object, kept: bool) -> None:
    """By family and effort; a reasoning model refuses it."""
    params = {"temperature": 0.2, "top_p": 0.9, "logprobs": True, "top_logprobs": 2, "reasoning_effort": effort}
    asked = request([HI], params, Model(provider="openai", id=model_id))

    assert [name in asked for name in ("temperature", "top_p", "top_logprobs")] == [kept] * 3
    assert ("message.output_text.logprobs" in asked["include"]) is kept  # type: ignore[operator]


def test_no_summary_is_asked_for_by_itself() -> None:
    """It needs a verified organisation."""
    assert request([HI], {"reasoning_effort": "low"})["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(("name", "value"), [
    ("n", 2), ("stop", ["x"]), ("stop", "x"), ("seed", 0), ("seed", 7), ("logit_bias", {"50256": -100}),
    ("frequency_penalty", 0.5), ("presence_penalty", -1), ("prediction", {"type": "content", "content": "x"}),
    ("modalities", ["text", "audio"]), ("audio", {"voice": "a", "format": "mp3"}), ("web_search_options", {"a": 1}),
    ("functions", [{"name": "f"}]), ("function_call", "auto"),
])
def test_what_only_chat_completions_has_is_rejected_by_name_with_the_cure(name: str, value: object) -> None:
    """Before anything is sent; the chain goes on."""
    with pytest.raises(Rejected) as caught:
        request([HI], {name: value})

    assert caught.value.message == (
        f'{name}={value!r:.40}: the Responses API has no such parameter; drop = ["{name}"] on the model leaves it out, '
        'wire = "openai" on the provider uses Chat Completions'
    )


@pytest.mark.parametrize("name", sorted(CHAT_ONLY))
def test_drop_leaves_out_what_only_chat_completions_has(name: str) -> None:
    """The cure that the message names."""
    model = Model(provider="openai", id="gpt-6-sol", drop=(name,))

    assert request([HI], {name: "x"}, model) == request([HI])


@pytest.mark.parametrize("name", ["store", "include", "reasoning_effort", "max_tokens", "tools", "stream", "text"])
def test_drop_works_for_every_field(name: str) -> None:
    """Also for those that the wire writes itself; never for the model and the conversation."""
    model = Model(provider="openai", id="gpt-6-sol", drop=(name, "model", "input"))
    params = {"reasoning_effort": "low", "max_tokens": 99, "tools": [WEATHER], "text": {"verbosity": "low"}}
    asked = request([HI], params, model, stream=True)

    assert {"model", "input"} <= asked.keys()
    assert name not in asked
    gone = {"reasoning_effort": "reasoning", "max_tokens": "max_output_tokens"}.get(name, name)
    assert asked.keys() == request([HI], params, stream=True).keys() - {gone}


def test_tools_are_flat_and_not_strict_unless_that_is_said() -> None:
    """The API would make every schema strict by itself."""
    tools = [
        WEATHER,
        {"type": "function", "function": {"name": "now"}},
        {"type": "function", "function": {"name": "s", "parameters": SCHEMA, "strict": True}},
        {"type": "web_search"},
        {"type": "function", "name": "flat", "parameters": SCHEMA, "strict": True},
        {"type": "custom", "custom": {"name": "c", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": "d"}}}},
        {"type": "web_search_20250305", "name": "web_search"},  # Anthropic's
        {"googleSearch": {}},
    ]

    assert request([HI], {"tools": tools, "tool_choice": "auto", "parallel_tool_calls": False}) == {
        **request([HI]),
        "tools": [
            {"type": "function", "name": "get_weather", "description": "d", "parameters": SCHEMA, "strict": False},
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {"type": "function", "name": "s", "parameters": SCHEMA, "strict": True},
            {"type": "web_search"},
            {"type": "function", "name": "flat", "parameters": SCHEMA, "strict": True},
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "d"}},
        ],
        "tool_choice": "auto", "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(("choice", "sent"), [
    ("auto", "auto"), ("none", "none"), ("required", "required"),
    ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
        {"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]}},
     {"type": "allowed_tools", "mode": "auto", "tools": [
         {"type": "function", "name": "f"}, {"type": "function", "name": "g"}]}),
    ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
    ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
    ({"type": "web_search"}, {"type": "web_search"}),
])
def test_the_choice_among_tools(choice: object, sent: object) -> None:
    """Strings stay, a named tool is flat, allowed tools are flat."""
    assert request([HI], {"tools": [WEATHER], "tool_choice": choice})["tool_choice"] == sent


@pytest.mark.parametrize(("choice", "offered", "sent"), [
    ("required", ["f", "g"], "auto"), ("auto", ["f", "g"], "auto"), ("none", ["f", "g"], "none"),
    ({"type": "function", "function": {"name": "g"}}, ["g"], "auto"),
    ({"type": "function", "function": {"name": "h"}}, ["f", "g"], "auto"),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]}},
     ["f", "g"], {"type": "allowed_tools", "mode": "auto", "tools": [
         {"type": "function", "name": "f"}, {"type": "function", "name": "g"}]}),
])
def test_a_model_that_cannot_be_made_to_call_a_tool_may_choose(
    choice: object, offered: list[str], sent: object
) -> None:
    """gpt-oss, wherever it is served: it is offered no other tool than the one that was demanded."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    asked = request([HI], {"tools": tools, "tool_choice": choice}, Model(provider="b", id="openai.gpt-oss-120b"))

    assert ([tool["name"] for tool in asked["tools"]], asked["tool_choice"]) == (offered, sent)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [
    "thinking", "top_k", "cache_control", "safetySettings", "provider", "chat_template_kwargs",
])
def test_parameters_of_other_vendors_are_left_out_where_they_are_known_to_be_refused(name: str) -> None:
    """A chain gives each vendor the same call; a host about which nothing is known gets everything."""
    assert request([HI], {name: {"a": 1}}) == request([HI])
    assert request([HI], {name: {"a": 1}}, wire=LOOSE_WIRE)[name] == {"a": 1}


def test_a_choice_without_tools_is_left_out() -> None:
    """The API refuses it."""
    assert request([HI], {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}) == request([HI])


@pytest.mark.parametrize(("params", "told"), [
    ({"tools": "f"}, "tools: expected a list, got 'f'"),
    ({"tools": [3]}, "tools[0]: expected a tool with a type, got 3"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name: expected text, got None"),
    ({"tools": [WEATHER], "tool_choice": "maybe"},
     "tool_choice: expected \"auto\", \"required\", \"none\" or a function, got 'maybe'"),
    ({"response_format": {"type": "xml"}},
     "response_format.type: expected \"text\", \"json_object\" or \"json_schema\", got 'xml'"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "w"}}},
     "response_format.json_schema.schema: expected a JSON schema, got {'name': 'w'}"),
    ({"text": "short"}, "text: expected an object with `format` or `verbosity`"),
    ({"input": "x"}, "input: the router writes it from the messages"),
])
def test_a_mistake_is_named_before_anything_is_sent(params: dict[str, object], told: str) -> None:
    """By the path in the caller's words."""
    with pytest.raises(ValueError) as caught:
        request([HI], params)

    assert str(caught.value) == told


def test_the_callers_objects_are_not_changed() -> None:
    """Neither messages nor parameters."""
    messages = [HI, {"role": "assistant", "content": "a", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"}]
    params = {"tools": [WEATHER], "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "max_tokens": 1,
              "response_format": {"type": "json_object"}, "include": ["a"], "logprobs": True}
    before = copy.deepcopy((messages, params))

    request(messages, params, GPT_4O)

    assert (messages, params) == before


def test_a_model_nothing_is_known_about_is_asked_for_its_reasoning() -> None:
    """Hosts of open models take the field; its effort and sampling go out as they were given."""
    asked = request([HI], {"reasoning_effort": "minimal", "temperature": 0.1}, Model(provider="local", id="m"),
                    LOOSE_WIRE)

    assert (asked["include"], asked["reasoning"], asked["temperature"]) == (BLOB, {"effort": "minimal"}, 0.1)
