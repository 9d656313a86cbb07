"""Requests to Chat Completions hosts that refuse what others take."""

from __future__ import annotations

import copy
import math

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._types import Call
from asyncrouter._wire.openai.quirks import quirks_of
from asyncrouter._wire.openai.wire import OpenAI

OPENAI, MISTRAL, OTHER = "https://api.openai.com/v1", "https://api.mistral.ai/v1", "https://openrouter.ai/api/v1"
DEEPSEEK, GROQ = "https://api.deepseek.com/v1", "https://api.groq.com/openai/v1"
TOGETHER = "https://api.together.xyz/v1"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
USER = {"role": "user", "content": "Hi"}


def sent(
    base_url: str, *messages: dict[str, object], model: str = "m", stream: bool = False, **params: object
) -> dict:
    wire = OpenAI(Provider(base_url=base_url), wall=lambda: 0.0)
    call = Call(messages or (USER,), {}, {}, 0.0, math.inf)
    return orjson.loads(
        wire.encode(call, Model(provider="p", id=model), params, "k", stream=stream, connect=None).body
    )


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025", "gpt-5", "gpt-5.4-mini", "gpt-6.1-sol", "gpt-10"])
def test_openais_newer_models_take_the_newer_name(model: str) -> None:
    """`max_tokens` is an error there, and the newer name counts when both are given."""
    assert sent(OPENAI, model=model, max_tokens=5).keys() == {"model", "messages", "max_completion_tokens"}
    assert sent(OPENAI, model=model, max_tokens=5, max_completion_tokens=7)["max_completion_tokens"] == 7
    assert "max_tokens" not in sent(OPENAI, model=model, max_tokens=5, max_completion_tokens=7)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-4-turbo", "gpt-3.5-turbo", "omni-moderation"])
def test_openais_older_models_keep_theirs(model: str) -> None:
    """The parameter is sent as the caller gave it."""
    assert sent(OPENAI, model=model, max_tokens=5)["max_tokens"] == 5


@pytest.mark.parametrize("base_url", [OTHER, "https://api.openai.com.evil.test/v1", "http://127.0.0.1:8080/v1"])
def test_other_hosts_get_what_was_given(base_url: str) -> None:
    """A host without an entry has nothing to be looked up at a call."""
    assert sent(base_url, model="gpt-5", max_tokens=5)["max_tokens"] == 5
    assert quirks_of(base_url) is None


def test_mistral_has_its_own_names_of_parameters() -> None:
    """They are `random_seed` and `max_tokens`."""
    body = sent(MISTRAL, seed=3, max_completion_tokens=9)

    assert body == {"model": "m", "messages": [USER], "random_seed": 3, "max_tokens": 9}


def test_mistral_is_sent_nothing_it_does_not_know() -> None:
    """An unknown field is a 422 there, and an empty list of tools is an error."""
    body = sent(MISTRAL, stream=True, user="u", logit_bias={}, store=True, tools=[], temperature=0.1, safe_prompt=True)

    assert body.keys() == {"model", "messages", "stream", "temperature", "safe_prompt"}


def test_mistral_takes_no_fields_of_replies_in_messages() -> None:
    """Fields of another host's answer are left out, and the caller's messages are not changed."""
    function = {"name": "f", "arguments": "{}"}
    answer = {
        "role": "assistant", "content": None, "reasoning_content": "Hm.", "refusal": None, "annotations": [],
        "tool_calls": [{"id": "aB3dE6gH9", "type": "function", "function": function, "extra_content": {"google": {}}}],
    }
    result = {"role": "tool", "tool_call_id": "aB3dE6gH9", "name": "f", "content": "1", "is_error": False}
    messages = [{**USER, "name": "Ada"}, answer, result]
    before = copy.deepcopy(messages)

    calls = [{"id": "aB3dE6gH9", "type": "function", "function": function}]
    assert sent(MISTRAL, *messages)["messages"] == [
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "aB3dE6gH9", "name": "f", "content": "1"},
    ]
    assert messages == before


def test_mistral_takes_no_extras_in_tool_calls() -> None:
    """They are left out even where the message itself has only known fields."""
    made = {"id": "aB3dE6gH9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    (message,) = sent(MISTRAL, {"role": "assistant", "tool_calls": [{**made, "extra_content": {}}]})["messages"]

    assert message["tool_calls"] == [made]


def test_mistral_is_not_asked_for_usage() -> None:
    """It is in the last chunk without being asked for."""
    assert "stream_options" not in sent(MISTRAL, stream=True)
    assert "stream_options" in sent(OTHER, stream=True)


@pytest.mark.parametrize(
    ("model", "effort", "kept"),
    [
        ("o3", None, False), ("o4-mini", "low", False), ("gpt-5", None, False), ("gpt-5-mini", None, False),
        ("gpt-5-chat-latest", None, True), ("gpt-5.4", None, True), ("gpt-5.4", "low", False),
        ("gpt-5.4", "none", True), ("gpt-5.5", None, False), ("gpt-5.5", "none", True), ("gpt-6-luna", None, False),
        ("gpt-10", None, False),
        ("gpt-4o", None, True), ("gpt-4.1", None, True),
    ],
)
def test_openais_reasoning_models_take_no_sampling_parameters(model: str, effort: str | None, kept: bool) -> None:
    """They take them only with an effort of "none", where there is one."""
    given = {"temperature": 0.2, "top_p": 0.9, "logprobs": True, "top_logprobs": 2}
    body = sent(OPENAI, model=model, **given, **({} if effort is None else {"reasoning_effort": effort}))

    assert {name: body[name] for name in given if name in body} == (given if kept else {})


@pytest.mark.parametrize(("base_url", "user"), [(OPENAI, {**USER, "name": "Ada"}), (GROQ, USER)])
def test_openai_and_groq_take_no_fields_of_other_hosts_replies(base_url: str, user: dict[str, object]) -> None:
    """Another host's answer goes back without reasoning and Google's fields; Groq knows no names of users either."""
    made = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    thoughts = {"reasoning": "Hm.", "reasoning_content": "Hm.", "thinking_blocks": [], "extra_content": {}}
    answer = {"role": "assistant", "content": "So.", **thoughts, "tool_calls": [{**made, "extra_content": {}}]}

    assert sent(base_url, {**USER, "name": "Ada"}, answer)["messages"] == [
        user, {"role": "assistant", "content": "So.", "tool_calls": [made]}
    ]


def test_groq_takes_no_nulls_in_answers() -> None:
    """OpenAI's own client writes them into the message it gives."""
    made = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"role": "assistant", "content": None, "function_call": None, "refusal": None, "tool_calls": [made]}

    assert sent(GROQ, answer)["messages"] == [{"role": "assistant", "tool_calls": [made]}]
    assert sent(OPENAI, answer)["messages"][0]["content"] is None


def test_groq_streams_no_answers_with_a_response_format() -> None:
    """They are asked for as one body, and our decoder takes both."""
    assert sent(GROQ, stream=True, response_format=SCHEMA).keys() == {"model", "messages", "response_format"}
    assert sent(GROQ, stream=True, response_format={"type": "text"})["stream"]
    assert sent(GROQ, stream=True)["stream"]
    assert sent(OPENAI, stream=True, response_format=SCHEMA)["stream"]


@pytest.mark.parametrize(
    "base_url", [DEEPSEEK, MISTRAL, TOGETHER, "http://127.0.0.1:11434/v1", "https://vllm.test/v1"]
)
def test_the_developer_role_is_called_system_elsewhere(base_url: str) -> None:
    """OpenAI's newer name of the role is unknown there, and the caller's message is not changed."""
    message = {"role": "developer", "content": "Be brief."}

    assert sent(base_url, message, USER)["messages"] == [{"role": "system", "content": "Be brief."}, USER]
    assert message == {"role": "developer", "content": "Be brief."}
    assert sent(OPENAI, message)["messages"] == [message]


@pytest.mark.parametrize("base_url", [DEEPSEEK, TOGETHER])
def test_hosts_that_know_only_the_older_name_of_the_limit(base_url: str) -> None:
    """Under the newer name it would be ignored."""
    assert sent(base_url, max_completion_tokens=9) == {"model": "m", "messages": [USER], "max_tokens": 9}
    assert sent(base_url, max_tokens=9)["max_tokens"] == 9


@pytest.mark.parametrize("base_url", [OPENAI, MISTRAL, "https://vllm.test/v1"])
def test_arguments_that_are_an_object(base_url: str) -> None:
    """They go out as text, as the API has them; the caller's message is not changed."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"q": 1}}}
    said = {"role": "assistant", "content": "x", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "a", "content": "1"}

    assert sent(base_url, USER, said, result)["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"q":1}'
    assert call["function"] == {"name": "f", "arguments": {"q": 1}}
