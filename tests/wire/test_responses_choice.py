"""The choice between Chat Completions and the Responses API at hosts that serve both."""

from __future__ import annotations

import pytest

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Model, Provider
from asyncrouter._config.hosts import serves_both_apis
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for

OPENAI = "https://api.openai.com/v1"
HI = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
SOUND = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}
NO_TOOLS = "Chat Completions takes no function tools for this model"
UNLESS = f'{NO_TOOLS} unless reasoning_effort is "none"'
GOES_BACK = "a reasoning model goes on where it was if its reasoning goes back"
PLAIN = "not known as a reasoning model, and nothing in the call needs another API"
NOT_SERVED = "Chat Completions does not serve this model"


def provider(base_url: str = OPENAI, **fields: object) -> Provider:
    return Provider(name="p", base_url=base_url, **fields)  # type: ignore[arg-type]


def path_of(of: Provider, model: Model, params: dict[str, object], *messages: dict[str, object]) -> str:
    """The path that a call to this provider goes to, below its base URL."""
    call = Call(messages or (HI,), params, {}, 0.0, float("inf"))
    wire = wire_for(of, lambda: 0.0).for_call(call, model, params)
    return wire.encode(call, model, params, "k", stream=True, connect=None).url.removeprefix(of.base_url)


@pytest.mark.parametrize(("model_id", "params", "wire", "reason"), [
    ("gpt-4o", {}, "openai", PLAIN),
    ("gpt-4o", {"tools": TOOLS}, "openai", PLAIN),
    ("gpt-4.1-mini", {"temperature": 1, "stop": ["x"]}, "openai", PLAIN),
    ("my-deployment", {"tools": TOOLS, "reasoning_effort": "high"}, "openai", PLAIN),
    ("gpt-6-sol", {}, "responses", GOES_BACK),
    ("gpt-6-sol-2026-09-22", {"reasoning_effort": "none"}, "responses", GOES_BACK),
    ("o4-mini", {"tools": TOOLS}, "responses", GOES_BACK),
    ("gpt-5", {"n": 1, "stop": None, "frequency_penalty": 0}, "responses", GOES_BACK),
    ("gpt-6-sol", {"tools": TOOLS}, "responses", UNLESS),
    ("gpt-6-sol", {"tools": TOOLS, "reasoning_effort": "low"}, "responses", UNLESS),
    ("gpt-5.4", {"tools": TOOLS, "reasoning": {"effort": "low"}}, "responses", UNLESS),
    ("gpt-6-astra", {"tools": TOOLS}, "responses", NO_TOOLS),
    ("gpt-6.1-sol", {"tools": TOOLS, "reasoning_effort": "none"}, "responses", NO_TOOLS),
    ("gpt-6-sol", {"tools": TOOLS, "n": 2}, "responses", UNLESS),  # neither can: refused before it is sent
    ("gpt-6-sol", {"tools": TOOLS, "reasoning_effort": "none", "n": 2}, "openai", "the Responses API has no n"),
    ("gpt-6-sol", {"tools": [], "stop": ["x"]}, "openai", "the Responses API has no stop"),
    ("gpt-6.1-sol", {"seed": 0}, "openai", "the Responses API has no seed"),
    ("o3", {"logit_bias": {"1": 1}}, "openai", "the Responses API has no logit_bias"),
    ("gpt-5.1", {"presence_penalty": 0.5}, "openai", "the Responses API has no presence_penalty"),
    ("gpt-5.1", {"modalities": ["text", "audio"]}, "openai", "the Responses API has no modalities"),
    ("gpt-5-pro", {}, "responses", NOT_SERVED),
    ("gpt-5-pro", {"stop": ["x"]}, "responses", NOT_SERVED),
    ("o3-deep-research", {}, "responses", NOT_SERVED),
    ("gpt-4o", {"previous_response_id": "resp_1"}, "responses", "Chat Completions has no previous_response_id"),
    ("gpt-4o", {"previous_response_id": None}, "openai", PLAIN),
    ("gpt-4o", {"text": {"verbosity": "low"}}, "responses", "Chat Completions has no text"),
    ("gpt-4o", {"max_output_tokens": 99}, "responses", "Chat Completions has no max_output_tokens"),
    ("gpt-4o", {"tools": [{"type": "web_search"}]}, "responses", "Chat Completions has no tool of type 'web_search'"),
    ("gpt-4o", {"tools": [{"type": "function", "name": "f"}]}, "responses",
     "Chat Completions has no tool in this form"),
    ("gpt-4o", {"tools": "x"}, "openai", PLAIN),
])
def test_which_api_carries_a_call_and_why(model_id: str, params: dict[str, object], wire: str, reason: str) -> None:
    """What it needs comes first, then what only Chat Completions has, then what is better for the model."""
    choice = wire_for(provider(), lambda: 0.0).explain_choice(Model(provider="p", id=model_id), params)

    assert choice == (wire, reason)


@pytest.mark.parametrize(("messages", "path"), [
    ([HI], "/responses"), ([HI, SOUND], "/chat/completions"),
    ([HI, {"role": "assistant", "audio": {"id": "a"}}, HI], "/chat/completions"),
    ([HI, {"role": "function", "name": "f", "content": "1"}], "/chat/completions"),
    ([HI, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/x.png"}}]}], "/responses"),
])
def test_what_stands_in_the_messages_counts(messages: list[dict[str, object]], path: str) -> None:
    """Sound has a place on Chat Completions alone."""
    assert path_of(provider(), Model(provider="p", id="gpt-6-sol"), {}, *messages) == path


def test_what_the_model_drops_does_not_count() -> None:
    """It is not sent."""
    model = Model(provider="p", id="gpt-6-sol", drop=("seed", "tools"))

    assert path_of(provider(), model, {"seed": 7}) == "/responses"
    assert path_of(provider(), model, {"stop": ["x"], "tools": TOOLS}) == "/chat/completions"


@pytest.mark.parametrize("params", [{}, {"tools": TOOLS}, {"stop": ["x"]}])
def test_the_configuration_has_the_last_word(params: dict[str, object]) -> None:
    """`wire = "openai"` and `wire = "responses"` choose nothing, and say so."""
    sol = Model(provider="p", id="gpt-6-sol", drop=("stop",))
    told = {name: wire_for(provider(wire=name), lambda: 0.0).explain_choice(sol, params)
            for name in ("openai", "responses")}

    assert path_of(provider(wire="openai"), sol, params) == "/chat/completions"
    assert path_of(provider(wire="responses"), sol, params) == "/responses"
    assert told == {name: (name, f'wire = "{name}" is configured') for name in told}


@pytest.mark.parametrize(("base_url", "both"), [
    (OPENAI, True), ("https://eu.api.openai.com/v1", True), ("https://api.openai.com/v1/", True),
    ("https://mine.openai.azure.com/openai/v1", True), ("https://mine.services.ai.azure.com/openai/v1", True),
    ("https://mine.openai.azure.com/openai/deployments/gpt-6", False),
    ("https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", True),
    ("https://bedrock-mantle.eu-west-1.api.aws/v1", True), ("https://bedrock-mantle.eu-west-1.api.aws/openai/v1", True),
    ("https://bedrock-runtime.us-west-2.amazonaws.com/model", False),
    ("https://api.x.ai/v1", True), ("https://us-east-1.api.x.ai/v1", True),
    ("https://openrouter.ai/api/v1", False), ("http://127.0.0.1:8080/v1", False), ("http://localhost:11434/v1", False),
    ("https://api.openai.com.evil.test/v1", False), ("https://evil.test/api.openai.com/v1", False),
    ("https://api.groq.com/openai/v1", False), ("https://notapi.x.ai/v1", False),
])
def test_the_hosts_that_serve_both(base_url: str, both: bool) -> None:
    """By address; every other provider without a wire speaks Chat Completions."""
    assert serves_both_apis(base_url) is both
    assert provider(base_url).wire == ("auto" if both else "openai")
    assert path_of(provider(base_url), Model(provider="p", id="gpt-6-sol"), {}) == (
        "/responses" if both else "/chat/completions")


@pytest.mark.parametrize(("model_id", "wire"), [("grok-4.7", "responses"), ("grok-4.20", "openai")])
def test_xai_by_its_families(model_id: str, wire: str) -> None:
    """Its reasoning models."""
    choice = wire_for(provider("https://api.x.ai/v1"), lambda: 0.0).explain_choice(Model(provider="p", id=model_id), {})

    assert choice.wire == wire


def test_the_built_in_providers() -> None:
    """`openai` and `xai` choose; the others speak one API, which needs no reason."""
    told = {name: wire_for(known, lambda: 0.0).explain_choice(Model(provider=name, id="m"), {})
            for name, known in catalog().providers.items()}

    assert {name: choice.wire for name, choice in told.items() if choice.wire != "openai"} == {
        "anthropic": "anthropic", "gemini": "gemini"}
    assert [name for name, choice in told.items() if choice.reason] == ["openai", "xai"]
