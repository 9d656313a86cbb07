"""Translates a Chat Completions request into one of Anthropic's Messages API (platform.claude.com, "Messages").

Each parameter is treated in one of four ways. What the API has a field for is translated. What only shifts odds or
serves bookkeeping, and has no field here, is left out, as Anthropic's own OpenAI-compatible endpoint does: `seed`,
penalties, `logprobs`, … What would change the answer and has no field (`n` above 1, audio) is `Rejected`, so that the
chain goes on. Everything else goes out as it is: `thinking`, `top_k`, and whatever the API will learn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asyncrouter._errors import Rejected
from asyncrouter._wire.conversation import Media, Other, Text, ToolResult, ToolUse
from asyncrouter._wire.messages import read_messages
from asyncrouter._wire.tools import Tool, ToolChoice, read_schema, read_tool_choice, read_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import ChatMessage, Part

MAX_TOKENS = 4096
"""Tokens of output when the caller gave no limit and the model's `max_output` is not known. The API demands one, and
every model since Claude 3 can write as much."""

_LEFT_OUT = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "messages", "modalities", "model", "moderation", "n", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "seed", "store", "stream",
    "stream_options", "top_logprobs", "verbosity",
})
"""Parameters that have no field and do not change what is asked for."""

_IMPOSSIBLE = frozenset({"audio", "function_call", "functions", "web_search_options"})
"""Parameters that have no field and would change the answer."""

_TIERS = frozenset({"auto", "standard_only"})
"""The API's values of `service_tier`; OpenAI's parameter of that name has others."""

_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
"""Characters that the API refuses in the id of a tool call."""


def translate(model: Model, messages: Sequence[Message], params: Mapping[str, object], *, stream: bool) -> Message:
    """The body of the request. Raises `ValueError` for what is wrong, `Rejected` for what the API cannot do."""
    given = {name: value for name, value in params.items() if value is not None and name not in model.drop}
    conversation = read_messages(messages)
    limit = given.pop("max_completion_tokens", given.pop("max_tokens", model.max_output or MAX_TOKENS))
    written = [{"role": message.role, "content": _content(message)} for message in conversation.messages]
    body: Message = {"model": model.id, "max_tokens": limit, "messages": written}
    if stream:
        body["stream"] = True
    system = _system(given.pop("system", None), conversation.system)
    if system and written:
        body["system"] = system
    elif system:  # the API wants at least one message that is not the system's
        body["messages"] = [{"role": "user", "content": system}]
    _put_tools(body, given)
    _put_output(body, given)
    for name, value in given.items():
        if name in _IMPOSSIBLE or (name == "n" and value != 1):
            cure = f"drop = [{name!r}] on the model leaves it out"
            raise Rejected(f"{name}={value!r:.40}: the Messages API has no such thing; {cure}")
        if name not in _LEFT_OUT:
            body.setdefault(name, value)
    if isinstance(temperature := body.get("temperature"), int | float):
        body["temperature"] = min(temperature, 1)  # Chat Completions goes to 2
    return body


def _system(given: object, texts: list[Text]) -> object:
    """The caller's `system` and the system messages: one text, or blocks when any of them has fields of its own."""
    if not texts:
        return given
    first = [] if given is None else given if isinstance(given, list | tuple) else [{"type": "text", "text": given}]
    if isinstance(given, str | None) and not any(text.rest for text in texts):
        return "\n\n".join(filter(None, [given, *(text.text for text in texts)]))
    return [*first, *(_text(text) for text in texts)]


def _content(message: ChatMessage) -> object:
    parts = message.parts
    if len(parts) == 1 and isinstance(only := parts[0], Text) and not only.rest:
        return only.text
    if message.role == "user":  # the answer to a tool call must begin with its result
        parts = sorted(parts, key=lambda part: not isinstance(part, ToolResult))
    return _blocks(parts)


def _blocks(parts: Sequence[Part]) -> list[Message]:
    return [_block(part) for part in parts]


def _block(part: Part) -> Message:
    match part:
        case Text():
            return _text(part)
        case Media():
            return _media(part)
        case ToolUse():
            name = {"id": _id(part.path, part.id), "name": part.name}
            return {"type": "tool_use", **name, "input": part.arguments, **_extras(part.rest)}
        case ToolResult():
            return _result(part)
        case Other(path, {"type": "input_audio" | "file" as kind}):
            raise Rejected(f"{path}: the Messages API takes no {kind} like this one")
        case Other():
            return part.part


def _text(text: Text) -> Message:
    return {"type": "text", "text": text.text, **_extras(text.rest)}


def _media(media: Media) -> Message:
    if media.kind == "audio":
        raise Rejected(f"{media.path}: the Messages API takes no audio")
    source: Message = {"type": "url", "url": media.url}
    if not media.url:
        source = {"type": "base64", "media_type": media.media_type, "data": media.data}
    is_image = media.kind == "image" or media.media_type.startswith("image/")
    title: Message = {"title": media.name} if media.name and not is_image else {}
    return {"type": "image" if is_image else "document", "source": source, **title, **_extras(media.rest)}


def _result(result: ToolResult) -> Message:
    block: Message = {"type": "tool_result", "tool_use_id": _id(f"{result.path}.tool_call_id", result.id)}
    parts = result.parts
    if len(parts) == 1 and isinstance(only := parts[0], Text) and not only.rest:
        block["content"] = only.text
    elif parts:
        block["content"] = _blocks(parts)
    if isinstance(failed := result.rest.get("is_error"), bool):
        block["is_error"] = failed
    return {**block, **_extras(result.rest)}


def _extras(rest: Message) -> Message:
    """The fields beside a part that the API takes there; it does not know an image's `detail`, for one."""
    return {name: rest[name] for name in ("cache_control", "citations") if name in rest}


def _id(path: str, identifier: str) -> str:
    """A call's id in the characters the API allows; other vendors' have dots and colons. Raises `ValueError`."""
    if not identifier:
        raise ValueError(f"{path}: expected the id of a tool call, got nothing")
    return _NOT_IN_AN_ID.sub("_", identifier)


def _put_tools(body: Message, given: Message) -> None:
    tools = [_tool(tool) for tool in read_tools(given.pop("tools", None))]
    choice, parallel = given.pop("tool_choice", None), given.pop("parallel_tool_calls", None)
    if not tools:
        return
    body["tools"] = tools
    chosen: Message = {} if choice is None else _choice(read_tool_choice(choice))
    if parallel is False and chosen.get("type") != "none":
        chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
    if chosen:
        body["tool_choice"] = chosen


def _tool(tool: Tool | Message) -> Message:
    if not isinstance(tool, Tool):
        return tool
    written: Message = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return {**written, **_extras(tool.rest)}


def _choice(choice: ToolChoice | Message) -> Message:
    if not isinstance(choice, ToolChoice):
        return choice
    if not choice.names:
        return {"type": "any" if choice.mode == "required" else choice.mode}
    if len(choice.names) == 1 and choice.mode == "required":
        return {"type": "tool", "name": choice.names[0]}
    raise Rejected("tool_choice: the Messages API takes one tool's name, not a list; give only the tools allowed")


def _put_output(body: Message, given: Message) -> None:
    """Move stop words, schema, effort, user and tier from the parameters to the body."""
    if stop := given.pop("stop", None):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    config = given.pop("output_config", None)
    output: Message = dict(config) if isinstance(config, dict) else {}
    response_format = given.pop("response_format", None)
    if response_format is not None and isinstance(schema := read_schema(response_format), dict):
        # "Any JSON object" has no field; the prompt has to ask for it anyway (OpenAI, "JSON mode").
        output.setdefault("format", {"type": "json_schema", "schema": schema})
    reasoning = given.pop("reasoning", None)  # OpenRouter's form of reasoning_effort
    effort = given.pop("reasoning_effort", reasoning.get("effort") if isinstance(reasoning, dict) else None)
    if effort == "none":
        given.setdefault("thinking", {"type": "disabled"})
    elif effort is not None:
        given.setdefault("thinking", {"type": "adaptive"})
        output.setdefault("effort", "low" if effort == "minimal" else effort)
    if output:
        body["output_config"] = output
    _put_user(body, given)
    if given.get("service_tier") not in _TIERS:
        given.pop("service_tier", None)


def _put_user(body: Message, given: Message) -> None:
    """Write the user's id. Anthropic's `metadata` takes nothing else, OpenAI's holds whatever the caller likes."""
    user, safety_identifier = given.pop("user", None), given.pop("safety_identifier", None)
    metadata = given.pop("metadata", None)
    native = metadata.get("user_id") if isinstance(metadata, dict) else None
    if (user_id := native or safety_identifier or user) is not None:
        body["metadata"] = {"user_id": user_id}
