"""Conversations that go from one vendor to another and back, and the requests that each vendor gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncrouter import Retry, Router
from asyncrouter.sim import Act, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Reply
    from asyncrouter.sim import Clock, LoggedRequest

VENDORS: Mapping[str, tuple[str, str, str]] = {
    "chat": ("openai", "https://api.openai.com/v1", "gpt-4.1"),
    "responses": ("responses", "https://api.openai.com/v1", "gpt-6-sol"),
    "anthropic": ("anthropic", "https://api.anthropic.com/v1", "claude-opus-5"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/v1beta", "gemini-3-pro"),
}
"""By vendor: its wire, its address, and one of its models."""

HOSTS: Mapping[str, tuple[str, str, str]] = {
    "mistral": ("openai", "https://api.mistral.ai/v1", "mistral-large-3"),
    "groq": ("openai", "https://api.groq.com/openai/v1", "llama-4-maverick"),
    "cerebras": ("openai", "https://api.cerebras.ai/v1", "qwen-3-235b"),
    "deepseek": ("openai", "https://api.deepseek.com/v1", "deepseek-v4"),
}
"""Hosts of Chat Completions with rules of their own, by the name of their rules."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"],
          "additionalProperties": False}
TOOL = {"type": "function", "function": {
    "name": "look", "description": "Looks.", "parameters": {
        "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"], "additionalProperties": False}}}
IDS = {"anthropic": "toolu_01AbC", "gemini": "call_0", "mistral": "aBcDeF"}
"""How tool calls' ids begin, at OpenAI with "call_aB3"; Google's calls have none, and the router makes them up."""

Message = dict[str, Any]
ASKED: Mapping[str, list[Message]] = {
    "text": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What colour is the sky?"}],
    "thinking": [{"role": "user", "content": "What colour is the sky?"}],
    "tools": [{"role": "user", "content": "Look at the sky and the sea."}],
    "pictures": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]}],
    "structured": [{"role": "user", "content": "What colour is the sky?"}],
}
"""The first turn of each conversation."""
PARAMS: Mapping[str, Message] = {
    "text": {}, "thinking": {}, "tools": {"tools": [TOOL]}, "pictures": {},
    "structured": {"response_format": {
        "type": "json_schema", "json_schema": {"name": "colour", "schema": SCHEMA, "strict": True}}},
}
"""The parameters of each conversation."""


def act_of(vendor: str, feature: str) -> Act:
    """What each vendor answers."""
    if feature == "tools":
        begun = IDS.get(vendor, "call_aB3")
        calls = [{"name": "look", "arguments": {"at": at}, "id": f"{begun}{at}"} for at in ("sky", "sea")]
        return Act(reasoning="I should look.", text="Looking.", tool_calls=calls)
    if feature == "structured":
        return Act(text='{"colour": "blue"}')
    return Act(reasoning="It is day." if feature == "thinking" else "", text="It is blue.")


def said_next(feature: str, reply: Reply) -> list[Message]:
    """The messages that follow an answer: the answer itself, and results of its tools or one more question."""
    answer: Message = reply.raw["choices"][0]["message"]  # type: ignore[index]
    calls = answer.get("tool_calls") or []
    assert len(calls) == (2 if feature == "tools" else 0)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "blue"} for call in calls]
    return [answer, *(results or [{"role": "user", "content": "Are you sure?"}])]


def converse(clock: Clock, first: str, second: str, feature: str, *, stream: bool) -> list[LoggedRequest]:
    """The requests of a conversation whose turns go to the first vendor, to the second, and to the first again.

    Every model is strict: what it refuses is a 400, and the call raises.
    """
    world = World(strict=True)
    every = {**VENDORS, **HOSTS}
    for vendor, (_, _, model) in every.items():
        host = vendor if vendor in HOSTS else True
        world.model(model, act_of(vendor, feature), strict=host)  # type: ignore[arg-type]  # the rules have these names
    providers = {vendor: {"wire": wire, "base_url": url} for vendor, (wire, url, _) in every.items()}
    config = {"providers": providers, "defaults": {"wire_stream": stream}}

    async def scenario() -> None:
        messages = list(ASKED[feature])
        async with Router(config, transport=world.transport()) as router:
            for vendor in (first, second, first):
                reply = await router.chat(
                    messages, model=f"{vendor}:{every[vendor][2]}", max_tokens=200, retry=Retry(attempts=1),
                    **PARAMS[feature],
                )
                messages += said_next(feature, reply)

    clock.run(scenario())
    assert world.open == 0
    return list(world.seen)
