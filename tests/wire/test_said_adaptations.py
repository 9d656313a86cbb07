"""What a wire changes of a request without a word from the provider is said, once for each model and kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._types import Call
from tests.wire.test_adapt import wire_of

if TYPE_CHECKING:
    from asyncrouter._config.catalog import WireName
    from asyncrouter._wire.api import Wire

TOOLS = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}]
FREE = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {
    "type": "object", "additionalProperties": {"type": "string"}}}}]
FORCED = {"type": "function", "function": {"name": "f"}}
NO_FORCE = 'no tool can be demanded of this model; tool_choice is sent as "auto"'
ALWAYS = "this model always reasons; it is asked to reason as little as it can"


def said(wire: Wire, model: str, params: dict[str, object]) -> tuple[str, ...]:
    call, of = Call([{"role": "user", "content": "Hi"}], {}, {}, 0.0, math.inf), Model(provider="p", id=model)
    return wire.adaptations(of, params, wire.encode(call, of, params, None, stream=False, connect=None))


@pytest.mark.parametrize(
    ("name", "model", "params", "expected"),
    [
        ("anthropic", "claude-opus-5-5", {"temperature": 0.0}, ("temperature is not taken there, and left out",)),
        ("anthropic", "claude-opus-5-5", {"tools": TOOLS, "tool_choice": "required"}, (NO_FORCE,)),
        ("anthropic", "claude-opus-5-5", {"tools": TOOLS, "tool_choice": FORCED}, (NO_FORCE,)),
        ("anthropic", "claude-opus-5-5", {"reasoning_effort": "none"}, (ALWAYS,)),
        ("anthropic", "claude-opus-5-5", {"thinking": {"type": "disabled"}}, (ALWAYS,)),
        ("anthropic", "claude-opus-4-5", {"reasoning_effort": "max"},
         ("this model has no reasoning_effort 'max'; 'high' is sent",)),
        ("anthropic", "claude-3-5-sonnet", {"reasoning_effort": "high"},
         ("this model takes no reasoning_effort; it is left out",)),
        ("anthropic", "claude-opus-5", {"tools": FREE},
         ("some tools are sent without strict, whose schemas are not taken there",)),
        ("responses", "gpt-6-astra", {"reasoning_effort": "minimal"},
         ("this model has no reasoning_effort 'minimal'; 'low' is sent",)),
        ("responses", "gpt-6-astra", {"top_p": 0.5}, ("top_p is not taken there, and left out",)),
        ("openai", "gpt-oss-120b", {"tools": TOOLS, "tool_choice": "required"}, (NO_FORCE,)),
        ("openai", "grok-4.20", {"presence_penalty": 1}, ("presence_penalty is not taken there, and left out",)),
        ("gemini", "gemini-3-pro", {"reasoning_effort": "medium"},
         ("this model has no reasoning_effort 'medium'; 'low' is sent",)),
        ("gemini", "gemini-2.0-flash", {"reasoning_effort": "low"},
         ("this model takes no reasoning_effort; it is left out",)),
        ("gemini", "gemini-3-pro", {"logit_bias": {"1": 2}}, ("logit_bias is not taken there, and left out",)),
    ],
)
def test_a_change_is_said(name: WireName, model: str, params: dict[str, object], expected: tuple[str, ...]) -> None:
    """With the parameter and what is sent; the second request with these parameters says nothing."""
    wire = wire_of(name)

    assert said(wire, model, params) == expected
    assert said(wire, model, params) == ()


@pytest.mark.parametrize("name", ["openai", "responses", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.5, "top_p": 0.9}, {"max_tokens": 50}, {"temperature": None}, {"reasoning_effort": "high"},
        {"tools": TOOLS, "tool_choice": "required"}, {"tools": TOOLS, "tool_choice": FORCED},
        {"tools": TOOLS, "tool_choice": "auto"}, {"tool_choice": "required"},
    ],
    ids=str,
)
def test_what_is_sent_as_asked_is_not_said(name: WireName, params: dict[str, object]) -> None:
    """Translating is no change."""
    assert said(wire_of(name), "m", params) == ()
