"""What the hosts of Chat Completions refuse: OpenAI itself, Mistral, Groq, Cerebras and DeepSeek.

Sources: openai 3.57, types of Chat Completions; pydantic-ai-slim 2.68, profiles of the hosts; threads as named.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from asyncrouter.sim._strict.complaint import Complaint, objects, text_in, unknown
from asyncrouter.sim._strict.families import reasons_at, takes_chat_tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter.sim._strict.complaint import Host

MAX_ID = 64
"""Characters that the id of a tool call may have at OpenAI."""
_MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    "tool": {"role", "content", "tool_call_id"},
}
"""The fields of a message, by its role (openai 3.57, `ChatCompletionMessageParam`)."""
_EXTRA_FIELDS: Mapping[Host, set[str]] = {
    "openai": set(), "mistral": {"prefix"}, "groq": {"reasoning"}, "cerebras": {"reasoning"},
    "deepseek": {"reasoning_content", "prefix"},
}
"""Further fields of an assistant's message at each host."""
_PART_FIELDS = {
    "text": {"type", "text"}, "refusal": {"type", "refusal"}, "image_url": {"type", "image_url"},
    "input_audio": {"type", "input_audio"}, "file": {"type", "file"},
}
"""The fields of each type of part."""
_SAID = {"text", "refusal"}
"""The types of parts that an assistant's message may have."""
_PARAMETERS = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n",
    "stop", "seed", "logit_bias", "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity", "user", "metadata",
    "store", "service_tier", "prediction", "modalities", "audio", "web_search_options", "safety_identifier",
    "prompt_cache_key", "prompt_cache_options", "functions", "function_call",
}
"""The parameters of Chat Completions."""
_MISTRAL_ID = re.compile(r"[A-Za-z0-9]{9}")
"""The only form of a tool call's id that Mistral takes."""
_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias")
"""What a reasoning model of OpenAI refuses while it reasons."""


def complaints(body: Mapping[str, object], model: str, host: Host) -> Iterator[Complaint]:
    """Everything that a host refuses in a request, the first complaint being what it says."""
    messages = objects(body.get("messages"))
    for index, message in enumerate(messages):
        yield from _of_message(index, message, host)
    yield from _of_pairs(messages)
    yield from _OF_HOST[host](body, messages, model)


def _of_message(index: int, message: Mapping[str, object], host: Host) -> Iterator[Complaint]:
    path, role = f"messages[{index}]", text_in(message, "role")
    known = _MESSAGE_FIELDS.get(role)
    if known is None:
        roles = ", ".join(_MESSAGE_FIELDS)
        yield Complaint(f"Invalid value: '{role}'. Supported values are: {roles}.", "invalid_value")
        return
    extra = _EXTRA_FIELDS[host] if role == "assistant" else {"name"} if role == "tool" else set()
    for name in unknown(path, message, known | extra):
        if host == "cerebras" and name.endswith("reasoning_content"):
            yield Complaint(f"{path}: property 'reasoning_content' is unsupported", "wrong_api_format")
        elif host == "groq":
            field = name.rpartition(".")[2]
            yield Complaint(f"'messages.{index}' : for 'role:{role}' the following must be satisfied"
                            f"[('messages.{index}' : property '{field}' is unsupported)]")
        else:
            yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    yield from _of_content(path, role, message)
    for place, call in enumerate(objects(message.get("tool_calls"))):
        yield from _of_call(f"{path}.tool_calls[{place}]", call, host)
    if role == "tool" and not text_in(message, "tool_call_id"):
        yield Complaint(f"Missing required parameter: '{path}.tool_call_id'.", "missing_required_parameter")


def _of_content(path: str, role: str, message: Mapping[str, object]) -> Iterator[Complaint]:
    content = message.get("content")
    if content is None and not (role == "assistant" and (message.get("tool_calls") or message.get("refusal"))):
        yield Complaint(f"Invalid value for 'content': expected a string, got null. ({path})", None, f"{path}.content")
    if isinstance(content, list) and not content:
        yield Complaint(f"Invalid '{path}.content': empty array.", "empty_array")
    for index, part in enumerate(objects(content)):
        where, kind = f"{path}.content[{index}]", text_in(part, "type")
        if kind not in _PART_FIELDS or (role != "user" and kind not in _SAID):
            yield Complaint(f"Invalid value: '{kind}'. Supported values are: 'text'. ({where})", "invalid_value")
            continue
        for name in unknown(where, part, _PART_FIELDS[kind]):
            yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)


def _of_call(path: str, call: Mapping[str, object], host: Host) -> Iterator[Complaint]:
    kind, id = text_in(call, "type"), text_in(call, "id")  # noqa: A001  # as the field
    for name in unknown(path, call, {"id", "type", kind}):
        yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    if host == "mistral" and not _MISTRAL_ID.fullmatch(id):
        yield Complaint(f"Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.", "3280")
    if not id:
        yield Complaint(f"Missing required parameter: '{path}.id'.", "missing_required_parameter")
    if len(id) > MAX_ID:
        yield Complaint(f"Invalid '{path}.id': string too long. Expected a string with maximum length {MAX_ID}, but "
                        f"got a string with length {len(id)} instead.", "string_above_max_length")
    function = call.get(kind)
    if kind == "function" and not (isinstance(function, dict) and isinstance(function.get("arguments"), str)):
        yield Complaint(f"Invalid type for '{path}.function.arguments': expected a string.", "invalid_type")


def _of_pairs(messages: list[dict[str, object]]) -> Iterator[Complaint]:
    """Every call is answered at once, and every answer is one to a call."""
    open_ids: dict[str, None] = {}
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            id = text_in(message, "tool_call_id")  # noqa: A001  # as the field
            if id not in open_ids:
                yield Complaint(f"Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                                f"message with 'tool_calls'. (messages[{index}].role)", None, f"messages[{index}].role")
            open_ids.pop(id, None)
            continue
        if open_ids:
            break
        open_ids = dict.fromkeys(text_in(call, "id") for call in objects(message.get("tool_calls")))
    if open_ids:
        yield Complaint("An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                        "'tool_call_id'. The following tool_call_ids did not have response messages: "
                        f"{', '.join(open_ids)}", None, "messages")


def _of_openai(body: Mapping[str, object], _: list[dict[str, object]], model: str) -> Iterator[Complaint]:
    for name in unknown("", body, _PARAMETERS):
        yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    effort = body.get("reasoning_effort")
    if body.get("tools") and not takes_chat_tools(model, effort):
        yield Complaint(f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
                        "Please use /v1/responses or set reasoning_effort to 'none'.", None, "reasoning_effort")
    if reasons_at(model, effort):
        if "max_tokens" in body:
            yield Complaint("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                            "'max_completion_tokens' instead.", "unsupported_parameter", "max_tokens")
        for name in (*_SAMPLING, "stop"):
            if name in body:
                yield Complaint(f"Unsupported parameter: '{name}' is not supported with this model.",
                                "unsupported_parameter", name)


def _of_mistral(body: Mapping[str, object], messages: list[dict[str, object]], _: str) -> Iterator[Complaint]:
    roles = [text_in(message, "role") for message in messages]
    for before, role in pairwise(roles):
        if (before, role) == ("tool", "user"):
            yield Complaint("Unexpected role 'user' after role 'tool'", "3230")
    if "developer" in roles:
        yield Complaint("Invalid role: developer", "3051")
    if roles[-1:] == ["assistant"] and not messages[-1].get("prefix"):
        yield Complaint("Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
                        "3230")
    for name in ("seed", "max_completion_tokens", "logit_bias", "logprobs", "user", "store"):
        if name in body:
            yield Complaint(f"body.{name}: Extra inputs are not permitted", "extra_forbidden", name, 422)


def _of_groq(body: Mapping[str, object], messages: list[dict[str, object]], _: str) -> Iterator[Complaint]:
    for name in ("logprobs", "top_logprobs", "logit_bias"):
        if name in body:
            yield Complaint(f"property '{name}' is unsupported", None, name)
    if body.get("n") not in (None, 1):
        yield Complaint("'n' : value must be 1", None, "n")
    for index, message in enumerate(messages):
        if "name" in message:
            yield Complaint(f"'messages.{index}' : property 'name' is unsupported")


def _of_cerebras(body: Mapping[str, object], messages: list[dict[str, object]], model: str) -> Iterator[Complaint]:
    if "gpt-oss" in model and body.get("parallel_tool_calls") is False:
        yield Complaint("parallel_tool_calls=false is not supported for this model", None, "parallel_tool_calls")
    if "gpt-oss" not in model and any(message.get("role") == "developer" for message in messages):
        yield Complaint("role 'developer' is not supported for this model", "wrong_api_format")


def _of_deepseek(body: Mapping[str, object], messages: list[dict[str, object]], _: str) -> Iterator[Complaint]:
    shape, choice, thinking = body.get("response_format"), body.get("tool_choice"), body.get("thinking")
    if isinstance(shape, dict) and shape.get("type") == "json_schema":
        yield Complaint("This response_format type is unavailable now", None, "response_format")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        return
    if choice not in (None, "auto", "none"):
        yield Complaint("Thinking mode does not support this tool_choice", None, "tool_choice")
    for index, message in enumerate(messages):
        if message.get("tool_calls") and not isinstance(message.get("reasoning_content"), str):
            yield Complaint(f"Missing `reasoning_content` field in the assistant message at message index {index}.")
        if message.get("role") == "developer":
            yield Complaint(f"messages[{index}].role: unknown variant `developer`")


_OF_HOST = {"openai": _of_openai, "mistral": _of_mistral, "groq": _of_groq, "cerebras": _of_cerebras,
            "deepseek": _of_deepseek}
"""What each host refuses beside what none of them takes."""
