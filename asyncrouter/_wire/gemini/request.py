"""Translates a Chat Completions request into one of Google's generateContent (ai.google.dev, "Generating content").

Each parameter is treated in one of four ways. What the API has a field for is translated. What only shifts odds or
serves bookkeeping, and has no field here, is left out, as Google's own OpenAI-compatible endpoint does. What would
change the answer and has no field is `Rejected`, so that the chain goes on. Everything else goes out as it is:
`safetySettings`, `cachedContent`, and whatever the API will learn; the caller's `generationConfig` overrides ours.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from asyncrouter._config.families import family_of
from asyncrouter._errors import Rejected
from asyncrouter._wire.families import closest_effort, rules_of
from asyncrouter._wire.gemini.contents import write_contents
from asyncrouter._wire.gemini.history import readable_parts
from asyncrouter._wire.messages import read_messages
from asyncrouter._wire.tool_ids import ToolIds
from asyncrouter._wire.tools import Tool, ToolChoice, read_schema, read_tool_choice, read_tools
from asyncrouter._wire.vendors import foreign_parameters, is_foreign_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message
    from asyncrouter._wire.families import Effort, FamilyRules
    from asyncrouter._wire.gemini.contents import Signed
    from asyncrouter._wire.origin import Origin

_CONFIG: Mapping[str, str] = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed", "n": "candidateCount",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs", "top_logprobs": "logprobs",
}
"""The field of `generationConfig` for each parameter that has one."""

_LEFT_OUT = foreign_parameters("google") | {
    "logit_bias", "messages", "metadata", "model", "moderation", "parallel_tool_calls", "prediction",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream", "stream_options", "user", "verbosity",
}
"""Parameters that have no field and do not change what is asked for."""

_IMPOSSIBLE = frozenset({"audio", "function_call", "functions", "web_search_options"})
"""Parameters that have no field and would change the answer."""

_THINKING_BUDGETS: Mapping[str, int] = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}
"""Tokens of thinking for each effort, as Google's OpenAI-compatible endpoint gives them to Gemini 2.5."""

_LEVELS: Final[tuple[Effort, ...]] = ("minimal", "low", "medium", "high")
"""The levels of thinking since Gemini 3, for a model about which nothing is known."""

_MODES: Mapping[str, str] = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
"""The mode of `functionCallingConfig` for each `tool_choice`."""


def translate(model: Model, messages: Sequence[Message], params: Mapping[str, object], target: Origin) -> Message:
    """The body of the request to `target`. Raises `ValueError` for what is wrong, `Rejected` for what it cannot do."""
    given = {name: value for name, value in params.items() if value is not None and name not in model.drop}
    conversation = read_messages(messages, ToolIds("openai"), partial(readable_parts, target))
    body: Message = {"contents": write_contents(conversation.messages, _signed(model.id))}
    system = [{"text": text.text} for text in conversation.system]
    if system and body["contents"]:
        body["systemInstruction"] = {"parts": system}
    elif system:  # the API wants at least one message that is not the system's
        body["contents"] = [{"role": "user", "parts": system}]
    elif not body["contents"]:
        raise Rejected("messages: nothing in them, which generateContent refuses")
    _put_tools(body, given)
    _put_config(body, given, rules_of(model.id))
    for name, value in given.items():
        if name in _IMPOSSIBLE:
            cure = f"drop = [{name!r}] on the model leaves it out"
            raise Rejected(f"{name}={value!r:.40}: generateContent has no such thing; {cure}")
        if name not in _LEFT_OUT:
            body.setdefault(name, value)
    return body


def native_config(params: Mapping[str, object]) -> Message:
    """The caller's own `generationConfig`, under either of the names that Google takes. Raises `ValueError`."""
    return {**_native(params, "generation_config"), **_native(params, "generationConfig")}


def _signed(model_id: str) -> Signed:
    """Where the model wants signatures: since version 3, and when nothing is known."""
    family = family_of(model_id)
    if family is None or family.vendor != "google":
        return "calls"
    if family.name != "gemini" or family.version < (3, 0):
        return "nothing"
    return "pictures" if "image" in family.tags else "calls"


def _put_tools(body: Message, given: Message) -> None:
    tools, choice = read_tools(given.pop("tools", None)), given.pop("tool_choice", None)
    functions = [_function(tool) for tool in tools if isinstance(tool, Tool)]
    native = [tool for tool in tools if not (isinstance(tool, Tool) or is_foreign_tool(tool, "google"))]
    if functions or native:
        body["tools"] = [*([{"functionDeclarations": functions}] if functions else []), *native]
    if functions and choice is not None:
        body["toolConfig"] = _choice(read_tool_choice(choice)) | _native(given, "toolConfig")
        given.pop("toolConfig", None)


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


def _put_config(body: Message, given: Message, rules: FamilyRules) -> None:
    """Move what belongs into `generationConfig` from the parameters to the body."""
    config: Message = {ours: given.pop(name) for name, ours in _CONFIG.items() if name in given}
    limit = given.pop("max_tokens", None)
    if (limit := given.pop("max_completion_tokens", limit)) is not None:
        config["maxOutputTokens"] = limit
    stop = given.pop("stop", None)
    if words := [word for word in stop if word != ""] if isinstance(stop, list | tuple) else stop:
        config["stopSequences"] = [words] if isinstance(words, str) else words
    if isinstance(kinds := given.pop("modalities", None), list | tuple):
        config["responseModalities"] = [str(kind).upper() for kind in kinds]
    if (response_format := given.pop("response_format", None)) is not None:
        config.update(_response_format(read_schema(response_format)))
    effort, reasoning = given.pop("reasoning_effort", None), given.pop("reasoning", None)
    if thinking := _thinking(effort, reasoning if isinstance(reasoning, dict) else {}, rules):
        config["thinkingConfig"] = thinking
    config.update(native_config(given))
    given.pop("generationConfig", None)
    given.pop("generation_config", None)
    if config:
        body["generationConfig"] = config


def _native(given: Mapping[str, object], name: str) -> Message:
    """A mapping of Google's own among the parameters, empty when there is none. Raises `ValueError`."""
    value = given.get(name)
    if not isinstance(value, dict | None):
        raise ValueError(f"{name}: expected a mapping, got {value!r:.80}")
    return value or {}


def _response_format(schema: Message | str) -> Message:
    if schema == "text":
        return {}
    mime: Message = {"responseMimeType": "application/json"}
    return {**mime, "responseJsonSchema": schema} if isinstance(schema, dict) else mime


def _thinking(effort: object, reasoning: Message, rules: FamilyRules) -> Message:
    """The `thinkingConfig` for `reasoning_effort`, or for OpenRouter's `reasoning`.

    Thoughts are asked for, because their first word shows that the model is at work.
    """
    shown = reasoning.get("exclude") is not True
    budget = reasoning.get("max_tokens")
    effort = effort or reasoning.get("effort")
    if effort is not None and (not isinstance(effort, str) or effort not in _THINKING_BUDGETS):
        raise ValueError(f"reasoning_effort: expected one of {', '.join(_THINKING_BUDGETS)}, got {effort!r:.40}")
    if rules.efforts == () or (budget is None and effort is None):
        return {}
    if budget is not None:
        return {"thinkingBudget": _within(budget, rules), "includeThoughts": shown}
    shown = shown and effort != "none"
    if rules.budget is not None:
        return {"thinkingBudget": _within(_THINKING_BUDGETS[str(effort)], rules), "includeThoughts": shown}
    level = closest_effort(effort, tuple(one for one in rules.efforts or _LEVELS if one != "none"))
    return {"thinkingLevel": str(level).upper(), "includeThoughts": shown}


def _within(budget: object, rules: FamilyRules) -> object:
    """The nearest budget that the model takes; 0 turns thinking off where that is possible, -1 leaves it to the model.
    """
    if rules.budget is None or not isinstance(budget, int) or budget < 0 or (budget == 0 and rules.can_rest):
        return budget
    least, most = rules.budget
    return min(max(least, budget), most)
