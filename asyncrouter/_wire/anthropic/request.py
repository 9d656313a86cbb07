"""Translates a Chat Completions request into one of Anthropic's Messages API (platform.claude.com, "Messages").

Each parameter is treated in one of four ways. What the API has a field for is translated. What only shifts odds or
serves bookkeeping, and has no field here, is left out, as Anthropic's own OpenAI-compatible endpoint does: `seed`,
penalties, `logprobs`, … and so is what is known as another vendor's own. What would change the answer and has no field
(`n` above 1, audio) is `Rejected`, so that the chain goes on. Everything else goes out as it is: `top_k`, `container`,
and whatever the API will learn.

What only some models take (`_wire/families.py`) is adapted to the model that is asked.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Rejected
from asyncrouter._wire.anthropic.blocks import extras, limit_marks, text_block, write_messages
from asyncrouter._wire.anthropic.history import is_server_block, readable_parts
from asyncrouter._wire.anthropic.schema import accepted_schema
from asyncrouter._wire.anthropic.strictness import limit_strict
from asyncrouter._wire.anthropic.thinking import put_thinking
from asyncrouter._wire.families import rules_of
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.messages import read_messages
from asyncrouter._wire.request_body import write_body
from asyncrouter._wire.tool_ids import ToolIds, digest
from asyncrouter._wire.tools import Tool, ToolChoice, read_schema, read_tool_choice, read_tools
from asyncrouter._wire.vendors import foreign_parameters, is_foreign_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import Conversation, Text
    from asyncrouter._wire.families import FamilyRules
    from asyncrouter._wire.lost_thoughts import LostThoughts
    from asyncrouter._wire.origin import Origin

_LEFT_OUT: Final = foreign_parameters("anthropic") | {
    "frequency_penalty", "logit_bias", "logprobs", "messages", "modalities", "model", "moderation", "n", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "seed", "store", "stream",
    "stream_options", "top_logprobs", "verbosity",
}
"""Parameters that have no field and do not change what is asked for."""

_IMPOSSIBLE: Final = frozenset({"audio", "function_call", "functions", "web_search_options"})
"""Parameters that have no field and would change the answer."""

_TIERS: Final = frozenset({"auto", "standard_only"})
"""The API's values of `service_tier`; OpenAI's parameter of that name has others."""

_MAX_USER_ID: Final = 256
_PERSONAL: Final = re.compile(r".*[^@\s]@[^@\s]+\.[^@\s].*|\+?\(?\d[\d\s().-]{6,16}\d", re.DOTALL)
"""An e-mail address or a phone number: "user_id appears to contain an email address", 400 (BerriAI/litellm#10106)."""


def translate(
    model: Model, messages: Sequence[Message], params: Mapping[str, object], target: Origin, *, stream: bool,
    lost: LostThoughts | None = None,
) -> Message:
    """The body of the request to `target`, without `lost` thoughts.

    Raises `ValueError` for what is wrong, `Rejected` for what it cannot do.
    """
    given = {name: value for name, value in params.items() if value is not None and name not in model.drop}
    rules = rules_of(model.id)
    conversation = read_messages(messages, ToolIds("anthropic"), partial(readable_parts, target, lost))
    body: Message = {"model": model.id, "max_tokens": 0, "messages": write_messages(conversation.messages)}
    _check_end(conversation, rules)
    if stream:
        body["stream"] = True
    _put_system(body, given, conversation.system)
    _put_tools(body, given, rules)
    _put_format(given, rules)
    if rules.schemas == "limited":
        limit_strict(body, object_in(given, "output_config"))
    put_thinking(body, given, rules, model.max_output)
    _put_user(body, given)
    _put_rest(body, given)
    limit_marks(body)
    return body


def _check_end(conversation: Conversation, rules: FamilyRules) -> None:
    """Refuse a message of the assistant's at the end, which these models do not go on with, unless it was paused."""
    last = conversation.messages[-1] if conversation.messages else None
    if rules.prefill or last is None or last.role != "assistant" or any(map(is_server_block, last.parts)):
        return
    raise Rejected("messages: this model does not continue an assistant's message; the last one must be a user's")


def _put_system(body: Message, given: Message, texts: list[Text]) -> None:
    """Write the caller's `system` and the system messages: one text, or blocks when one of them has other fields."""
    native = given.pop("system", None)
    texts = [text for text in texts if text.text.strip()]
    system: object = native
    if texts and isinstance(native, str | None) and not any(text.rest for text in texts):
        system = "\n\n".join(filter(None, [native, *(text.text for text in texts)]))
    elif texts:
        first = [] if native is None else native if isinstance(native, list | tuple) else [_plain(native)]
        system = [*first, *map(text_block, texts)]
    if system and body["messages"]:
        body["system"] = system
    elif system:  # the API wants at least one message that is not the system's
        body["messages"] = [{"role": "user", "content": system}]
    elif not body["messages"]:
        raise Rejected("messages: blank text only, which the Messages API refuses")


def _plain(text: object) -> Message:
    return {"type": "text", "text": text}


def _put_tools(body: Message, given: Message, rules: FamilyRules) -> None:
    read = read_tools(given.pop("tools", None))
    foreign = [tool for tool in read if is_foreign_tool(tool, "anthropic")]
    tools = [
        _tool(f"tools[{index}].function.parameters", tool, rules)
        for index, tool in enumerate(read) if tool not in foreign
    ]
    choice, parallel = given.pop("tool_choice", None), given.pop("parallel_tool_calls", None)
    if not tools:
        return
    body["tools"] = tools
    chosen: Message = {} if choice is None else _choice(read_tool_choice(choice))
    if "name" in chosen and any(isinstance(tool, dict) and tool.get("name") == chosen["name"] for tool in foreign):
        chosen = {}
    if parallel is False and chosen.get("type") != "none":
        chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
    if chosen:
        body["tool_choice"] = chosen


def _tool(path: str, tool: Tool | Message, rules: FamilyRules) -> Message:
    if not isinstance(tool, Tool):
        return tool
    schema, strict = tool.parameters or {"type": "object", "properties": {}}, tool.strict
    if strict and rules.schemas == "limited":
        try:
            schema = _checked_schema(path, schema)
        except Rejected:
            strict = None  # the tool can be used all the same
    written: Message = {"name": tool.name, "input_schema": schema}
    if tool.description:
        written["description"] = tool.description
    if strict is not None and rules.schemas != "none":
        written["strict"] = strict
    return {**written, **extras(tool.rest)}


def _choice(choice: ToolChoice | Message) -> Message:
    if not isinstance(choice, ToolChoice):
        return choice
    if not choice.names:
        return {"type": "any" if choice.mode == "required" else choice.mode}
    if len(choice.names) == 1 and choice.mode == "required":
        return {"type": "tool", "name": choice.names[0]}
    raise Rejected("tool_choice: the Messages API takes one tool's name, not a list; give only the tools allowed")


def _put_format(given: Message, rules: FamilyRules) -> None:
    """Write the schema of the answer into `output_config`. "Any JSON object" has no field, the prompt has to ask."""
    response_format, config = given.pop("response_format", None), given.pop("output_config", None)
    output: Message = dict(config) if isinstance(config, dict) else {}
    if response_format is not None and isinstance(schema := read_schema(response_format), dict):
        if rules.schemas == "none":
            raise Rejected("response_format: this model takes no schema for its answer")
        if rules.schemas == "limited":
            schema = _checked_schema("response_format.json_schema.schema", schema)
        output.setdefault("format", {"type": "json_schema", "schema": schema})
    if output:
        given["output_config"] = output


def _checked_schema(path: str, schema: Message) -> Message:
    write_body({path: schema})  # names what is no JSON, or nested too deep to be walked through
    return accepted_schema(path, schema)


def _put_user(body: Message, given: Message) -> None:
    """Write the user's id. Anthropic's `metadata` takes nothing else, OpenAI's holds whatever the caller likes."""
    user, safety_identifier = given.pop("user", None), given.pop("safety_identifier", None)
    metadata = given.pop("metadata", None)
    native = metadata.get("user_id") if isinstance(metadata, dict) else None
    user_id = native or safety_identifier or user
    if user_id is None:
        return
    if isinstance(user_id, str) and (len(user_id) > _MAX_USER_ID or _PERSONAL.fullmatch(user_id)):
        user_id = digest(user_id)
    body["metadata"] = {"user_id": user_id}


def _put_rest(body: Message, given: Message) -> None:
    stop = given.pop("stop", None)
    words = [stop] if isinstance(stop, str) else stop
    if isinstance(words, list | tuple):
        words = [word for word in words if not (isinstance(word, str) and not word.strip())]
    if words:
        body["stop_sequences"] = words
    if given.get("service_tier") not in _TIERS:
        given.pop("service_tier", None)
    for name, value in given.items():
        if name in _IMPOSSIBLE or (name == "n" and value != 1):
            cure = f"drop = [{name!r}] on the model leaves it out"
            raise Rejected(f"{name}={value!r:.40}: the Messages API has no such thing; {cure}")
        if name not in _LEFT_OUT:
            body.setdefault(name, value)
    if isinstance(temperature := body.get("temperature"), int | float):
        body["temperature"] = min(temperature, 1)  # Chat Completions goes to 2
