"""Translates a Chat Completions request into one of Google's generateContent (ai.google.dev, "Generating content").

Each parameter is treated in one of four ways. What the API has a field for is translated. What only shifts odds or
serves bookkeeping, and has no field here, is left out, as Google's own OpenAI-compatible endpoint does. What would
change the answer and has no field is `Rejected`, so that the chain goes on. Everything else goes out as it is:
`safetySettings`, `cachedContent`, and whatever the API will learn; the caller's `generationConfig` overrides ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asyncrouter._errors import Rejected
from asyncrouter._wire.gemini.contents import write_contents
from asyncrouter._wire.messages import read_messages
from asyncrouter._wire.tools import Tool, ToolChoice, read_schema, read_tool_choice, read_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message

_CONFIG: Mapping[str, str] = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed", "n": "candidateCount",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs", "top_logprobs": "logprobs",
}
"""The field of `generationConfig` for each parameter that has one."""

_LEFT_OUT = frozenset({
    "logit_bias", "messages", "metadata", "model", "moderation", "parallel_tool_calls", "prediction",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream", "stream_options", "user", "verbosity",
})
"""Parameters that have no field and do not change what is asked for."""

_IMPOSSIBLE = frozenset({"audio", "function_call", "functions", "web_search_options"})
"""Parameters that have no field and would change the answer."""

_THINKING_BUDGETS: Mapping[str, int] = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}
"""Tokens of thinking for each effort, as Google's OpenAI-compatible endpoint gives them to Gemini 2.5."""

_SMALLEST_BUDGET_OF_PRO = 128
"""Tokens of thinking: Gemini 2.5 Pro always thinks and takes no smaller budget (ai.google.dev, "Thinking")."""

_THINKING_LEVELS: Mapping[str, str] = {
    "none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH",
    "max": "XHIGH",
}
"""The thinking level for each effort, which Gemini takes from version 3 on."""

_BEFORE_LEVELS = re.compile(r"(?:.*/)?gemini-[12]\b")
"""Models that take a budget of tokens, not a level."""

_MODES: Mapping[str, str] = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
"""The mode of `functionCallingConfig` for each `tool_choice`."""


def translate(model: Model, messages: Sequence[Message], params: Mapping[str, object]) -> Message:
    """The body of the request. Raises `ValueError` for what is wrong, `Rejected` for what the API cannot do."""
    given = {name: value for name, value in params.items() if value is not None and name not in model.drop}
    conversation = read_messages(messages)
    levels = not _BEFORE_LEVELS.match(model.id)
    body: Message = {"contents": write_contents(conversation.messages, signed=levels)}
    system = [{"text": text.text} for text in conversation.system]
    if system and body["contents"]:
        body["systemInstruction"] = {"parts": system}
    elif system:  # the API wants at least one message that is not the system's
        body["contents"] = [{"role": "user", "parts": system}]
    _put_tools(body, given)
    _put_config(body, given, levels, model.id)
    for name, value in given.items():
        if name in _IMPOSSIBLE:
            cure = f"drop = [{name!r}] on the model leaves it out"
            raise Rejected(f"{name}={value!r:.40}: generateContent has no such thing; {cure}")
        if name not in _LEFT_OUT:
            body.setdefault(name, value)
    return body


def _put_tools(body: Message, given: Message) -> None:
    tools, choice = read_tools(given.pop("tools", None)), given.pop("tool_choice", None)
    functions = [_function(tool) for tool in tools if isinstance(tool, Tool)]
    native = [tool for tool in tools if not isinstance(tool, Tool)]
    if functions or native:
        body["tools"] = [*([{"functionDeclarations": functions}] if functions else []), *native]
    if functions and choice is not None:
        body["toolConfig"] = _choice(read_tool_choice(choice)) | _native(given, "toolConfig")


def _function(tool: Tool) -> Message:
    written: Message = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.parameters:
        written["parametersJsonSchema"] = tool.parameters
    return written


def _choice(choice: ToolChoice | Message) -> Message:
    if not isinstance(choice, ToolChoice):
        return choice
    config: Message = {"mode": _MODES[choice.mode]}
    if choice.names:
        config["allowedFunctionNames"] = choice.names
        if choice.mode == "auto":
            config["mode"] = "VALIDATED"  # AUTO takes no list of names
    return {"functionCallingConfig": config}


def _put_config(body: Message, given: Message, levels: bool, model_id: str) -> None:
    """Move what belongs into `generationConfig` from the parameters to the body."""
    config: Message = {ours: given.pop(name) for name, ours in _CONFIG.items() if name in given}
    limit = given.pop("max_tokens", None)
    if (limit := given.pop("max_completion_tokens", limit)) is not None:
        config["maxOutputTokens"] = limit
    if stop := given.pop("stop", None):
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(kinds := given.pop("modalities", None), list | tuple):
        config["responseModalities"] = [str(kind).upper() for kind in kinds]
    if (response_format := given.pop("response_format", None)) is not None:
        config.update(_response_format(read_schema(response_format)))
    effort, reasoning = given.pop("reasoning_effort", None), given.pop("reasoning", None)
    if thinking := _thinking(effort, reasoning if isinstance(reasoning, dict) else {}, levels, model_id):
        config["thinkingConfig"] = thinking
    config.update(_native(given, "generationConfig"))
    if config:
        body["generationConfig"] = config


def _native(given: Message, name: str) -> Message:
    """Take a mapping of Google's own out of the parameters, empty when there is none. Raises `ValueError`."""
    value = given.pop(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping, got {value!r:.80}")
    return value


def _response_format(schema: Message | str) -> Message:
    if schema == "text":
        return {}
    mime: Message = {"responseMimeType": "application/json"}
    return {**mime, "responseJsonSchema": schema} if isinstance(schema, dict) else mime


def _thinking(effort: object, reasoning: Message, levels: bool, model_id: str) -> Message:
    """The `thinkingConfig` for `reasoning_effort`, or for OpenRouter's `reasoning`.

    Thoughts are asked for, because their first word shows that the model is at work.
    """
    shown = reasoning.get("exclude") is not True
    if (budget := reasoning.get("max_tokens")) is not None:
        return {"thinkingBudget": budget, "includeThoughts": shown}
    if (effort := effort or reasoning.get("effort")) is None:
        return {}
    if not isinstance(effort, str) or effort not in _THINKING_LEVELS:
        raise ValueError(f"reasoning_effort: expected one of {', '.join(_THINKING_LEVELS)}, got {effort!r:.40}")
    shown = shown and effort != "none"
    if not levels:
        least = _SMALLEST_BUDGET_OF_PRO if "pro" in model_id else 0
        return {"thinkingBudget": max(least, _THINKING_BUDGETS[effort]), "includeThoughts": shown}
    level = _THINKING_LEVELS[effort]
    # Gemini Pro has no lower level than LOW, and thinking cannot be turned off.
    return {"thinkingLevel": "LOW" if level == "MINIMAL" and "pro" in model_id else level, "includeThoughts": shown}
