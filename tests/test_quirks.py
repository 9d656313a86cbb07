"""What goes to hosts that do not take what all others take."""

from __future__ import annotations

import copy
import math

import orjson
import pytest

from asyncrouter._catalog import Model, Provider
from asyncrouter._types import Call
from asyncrouter._wire.openai import OpenAI
from asyncrouter._wire.quirks import quirks_of

OPENAI, MISTRAL, OTHER = "https://api.openai.com/v1", "https://api.mistral.ai/v1", "https://openrouter.ai/api/v1"
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
    """`max_tokens` is an error there; the newer name wins when both are given."""
    assert {"model", "messages", "max_completion_tokens"} == sent(OPENAI, model=model, max_tokens=5).keys()
    assert 7 == sent(OPENAI, model=model, max_tokens=5, max_completion_tokens=7)["max_completion_tokens"]
    assert "max_tokens" not in sent(OPENAI, model=model, max_tokens=5, max_completion_tokens=7)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-4-turbo", "gpt-3.5-turbo", "omni-moderation"])
def test_openais_older_models_keep_theirs(model: str) -> None:
    """As the caller gave it."""
    assert 5 == sent(OPENAI, model=model, max_tokens=5)["max_tokens"]


@pytest.mark.parametrize("base_url", [OTHER, "https://api.openai.com.evil.test/v1", "http://127.0.0.1:8080/v1"])
def test_other_hosts_get_what_was_given(base_url: str) -> None:
    """The rule is OpenAI's own; for a host without rules there is nothing to ask at a call."""
    assert 5 == sent(base_url, model="gpt-5", max_tokens=5)["max_tokens"]
    assert None is quirks_of(base_url)


def test_mistral_has_its_own_names() -> None:
    """`random_seed`, and `max_tokens` only."""
    body = sent(MISTRAL, seed=3, max_completion_tokens=9)

    assert {"model": "m", "messages": [USER], "random_seed": 3, "max_tokens": 9} == body


def test_mistral_is_sent_nothing_it_does_not_know() -> None:
    """An unknown field is a 422 there; usage comes without being asked for; an empty list of tools is an error."""
    body = sent(MISTRAL, stream=True, user="u", logit_bias={}, store=True, tools=[], temperature=0.1, safe_prompt=True)

    assert {"model", "messages", "stream", "temperature", "safe_prompt"} == body.keys()


def test_mistral_takes_no_fields_of_replies_in_messages() -> None:
    """An answer of another host is put into its terms; the caller's messages stay as they are."""
    function = {"name": "f", "arguments": "{}"}
    answer = {
        "role": "assistant", "content": None, "reasoning_content": "Hm.", "refusal": None, "annotations": [],
        "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": {"google": {}}}],
    }
    result = {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "1", "is_error": False}
    messages = [{**USER, "name": "Ada"}, answer, result]
    before = copy.deepcopy(messages)

    assert [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "1"},
    ] == sent(MISTRAL, *messages)["messages"]
    assert before == messages


def test_mistral_takes_no_extras_in_tool_calls() -> None:
    """Also where the message itself has nothing but what is known."""
    made = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    (message,) = sent(MISTRAL, {"role": "assistant", "tool_calls": [{**made, "extra_content": {}}]})["messages"]

    assert [made] == message["tool_calls"]


def test_mistral_is_asked_for_usage_by_nothing() -> None:
    """It is in the last chunk anyway."""
    assert "stream_options" not in sent(MISTRAL, stream=True)
    assert "stream_options" in sent(OTHER, stream=True)
