"""Nothing is sent that a family of models is known to refuse: awkward parameters, judged by strict models."""

import contextlib
from itertools import product

import pytest

from asyncrouter import CallError, Retry, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.cross_vendor import TOOL

MODELS = {
    "openai": ["gpt-4.1", "gpt-5-mini", "gpt-5.2", "gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6-astra", "gpt-6-luna",
               "gpt-6.1-sol", "gpt-6-sol-2026-09-22", "o3", "o4-mini"],
    "anthropic": ["claude-haiku-4-5-20251001", "claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-5",
                  "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1"],
    "gemini": ["gemini-2.5-flash", "gemini-3-pro"],
}
PROVIDERS = {
    "openai": {"base_url": "https://api.openai.com/v1"},
    "anthropic": {"wire": "anthropic", "base_url": "https://api.anthropic.com/v1"},
    "gemini": {"wire": "gemini", "base_url": "https://generativelanguage.googleapis.com/v1beta"},
}
CALLS: dict[str, dict[str, object]] = {
    "plain": {},
    "max_tokens": {"max_tokens": 5},
    "sampling": {"temperature": 0.5, "top_p": 0.9},
    "no temperature": {"temperature": None},
    "tools": {"tools": [TOOL]},
    "tools and effort": {"tools": [TOOL], "reasoning_effort": "low"},
    "forced tool": {"tools": [TOOL], "tool_choice": "required"},
    "named tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
    "forced tool and effort": {"tools": [TOOL], "tool_choice": "required", "reasoning_effort": "high"},
    **{f"effort {effort}": {"reasoning_effort": effort}
       for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")},
    "effort and sampling": {"reasoning_effort": "high", "temperature": 0.2},
    "user": {"user": "somebody@example.org"},
}


def ask(clock: Clock, vendor: str, model: str, params: dict[str, object]) -> list[int | None]:
    """The statuses of the requests that a strict model gets of one call."""
    world = World(strict=True)
    world.model(model, Act(text="hi"))

    async def scenario() -> None:
        async with Router({"providers": PROVIDERS}, transport=world.transport()) as router:
            with contextlib.suppress(CallError):
                await router.chat("Hi", model=f"{vendor}:{model}", retry=Retry(attempts=1), **params)

    clock.run(scenario())
    return [request.status for request in world.seen]


@pytest.mark.parametrize(("vendor", "model"), [(vendor, model) for vendor in MODELS for model in MODELS[vendor]])
@pytest.mark.parametrize("name", CALLS)
def test_no_model_gets_what_it_refuses(clock: Clock, vendor: str, model: str, name: str) -> None:
    """A call is adapted to its model, or not sent at all with the clash named; the vendor never has to refuse it."""
    assert ask(clock, vendor, model, CALLS[name]) in ([], [200])


@pytest.mark.parametrize(("vendor", "model"), [
    ("openai", "gpt-4.1"), ("anthropic", "claude-opus-5-5"), ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-3-pro"),
])
def test_blank_stop_words_are_not_sent(clock: Clock, vendor: str, model: str) -> None:
    """A stop word of white space, which Anthropic refuses, is left out, and the others are sent."""
    assert ask(clock, vendor, model, {"stop": ["END", " "]}) == [200]


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-6.1-sol", "o3"])
def test_stop_words_that_a_model_refuses_are_left_out_after_its_word(clock: Clock, model: str) -> None:
    """Stop words go to a model of OpenAI that reasons until it has named them as refused; then they are left out."""
    assert ask(clock, "openai", model, {"stop": ["END"]}) == [400, 200]


@pytest.mark.parametrize(("model", "stream"), [*product(MODELS["openai"], (True, False))])
def test_function_tools_reach_every_model_of_openai(clock: Clock, model: str, stream: bool) -> None:
    """Function tools go to each model on the API that takes them there."""
    world = World(strict=True)
    world.model(model, Act(tool_calls=[{"name": "look", "arguments": {"at": "sky"}}]))

    async def scenario() -> str:
        config = {"providers": PROVIDERS, "defaults": {"wire_stream": stream}}
        async with Router(config, transport=world.transport()) as router:
            reply = await router.chat("Hi", model=f"openai:{model}", tools=[TOOL], retry=Retry(attempts=1))
            return str(reply.tool_calls[0]["function"]["name"])

    assert clock.run(scenario()) == "look"
