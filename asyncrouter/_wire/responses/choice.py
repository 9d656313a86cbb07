"""Chooses between Chat Completions and the Responses API for a call to a host that serves both.

A call goes to the Responses API where it must: the model is not served elsewhere, Chat Completions refuses function
tools for it, or the call has what only the Responses API knows. It goes to Chat Completions where the call has what
only that knows. With neither, a reasoning model goes to the Responses API, where its reasoning goes back with the next
turn, and every other model to Chat Completions.

The configuration has the last word: `wire = "openai"` or `wire = "responses"` on the provider, and nothing is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.api import WireChoice
from asyncrouter._wire.families import rules_of
from asyncrouter._wire.responses.request import chat_only_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message

_RESPONSES_ONLY: Final = frozenset({
    "background", "context_management", "conversation", "include", "instructions", "max_output_tokens",
    "max_tool_calls", "previous_response_id", "prompt", "text", "truncation",
})
"""Parameters of the Responses API that Chat Completions has no place for."""

_CHAT_TOOLS: Final = frozenset({"function", "custom"})
"""The types of tools that Chat Completions takes; the Responses API has built-in ones, too."""

_PLAIN: Final = WireChoice("openai", "not known as a reasoning model, and nothing in the call needs another API")
_REASONS: Final = WireChoice("responses", "a reasoning model goes on where it was if its reasoning goes back")
_SERVED: Final = WireChoice("responses", "Chat Completions does not serve this model")
_TOOLS: Final = WireChoice("responses", "Chat Completions takes no function tools for this model")
_TOOLS_UNLESS: Final = WireChoice("responses", f'{_TOOLS.reason} unless reasoning_effort is "none"')


def choose_api(model: Model, params: Mapping[str, object], messages: Sequence[Message] = ()) -> WireChoice:
    """Which of the two a call with these parameters goes to, and why."""
    rules = rules_of(model.id)
    if model.drop:
        params = {name: value for name, value in params.items() if name not in model.drop}
    if rules.responses_only:
        return _SERVED
    if params and (needed := _needs_responses(params)) is not None:
        return WireChoice("responses", f"Chat Completions has no {needed}")
    if params.get("tools") and not rules.chat_takes_tools(_effort(params)):
        return _TOOLS if rules.chat_tools == "never" else _TOOLS_UNLESS
    if not rules.can_reason:
        return _PLAIN
    if (name := chat_only_parameter(params) or _chat_only_message(messages)) is not None:
        return WireChoice("openai", f"the Responses API has no {name}")
    return _REASONS


def _needs_responses(params: Mapping[str, object]) -> str | None:
    """What of the parameters only the Responses API has."""
    for name in params:
        if name in _RESPONSES_ONLY and params[name] is not None:
            return name
    tools = params.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
        if kind not in _CHAT_TOOLS:
            return f"tool of type {kind!r:.40}"
        if isinstance(tool, dict) and "name" in tool and kind not in tool:  # flat, in the Responses API's own form
            return "tool in this form"
    return None


def _effort(params: Mapping[str, object]) -> object:
    reasoning = params.get("reasoning")
    told = reasoning.get("effort") if isinstance(reasoning, dict) else None
    return params.get("reasoning_effort", told)


def _chat_only_message(messages: Sequence[Message]) -> str | None:
    """What of the messages only Chat Completions has: sound, and the form that tool calls had before 2023-11."""
    for message in messages:
        if message.get("role") == "function" or message.get("function_call"):
            return "function messages"
        content = message.get("content")
        parts = content if isinstance(content, list | tuple) else ()
        if message.get("audio") or any(isinstance(part, dict) and part.get("type") == "input_audio" for part in parts):
            return "place for sound"
    return None
