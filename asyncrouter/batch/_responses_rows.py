"""Rows for the Responses API: lines of OpenAI's Batch API whose `url` is `/v1/responses`. Pure.

Their body is read as messages and parameters of Chat Completions, so that any model of a chain can answer them, and the
answer is written as a response. What has no meaning without the provider's memory (an earlier response, a stored
conversation, a run in the background) is an error of the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from asyncrouter import Reply

Fields = dict[str, object]

RESPONSES = "/v1/responses"
"""The endpoint of such a row."""
_WITHOUT_MEMORY = ("previous_response_id", "conversation", "background", "prompt")
"""Parts of a request that name something the provider keeps."""
_READ = frozenset({
    "input", "instructions", "model", "stream", "max_output_tokens", "reasoning", "text", "tools", "tool_choice",
    "store", "include", "truncation",
})
"""Parts of a request that are read here, or mean nothing to a chat; all others are parameters as they are."""
_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "summary_text", "refusal"})
_ENDS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by our finish reasons."""


def responses_messages(body: Mapping[str, object]) -> list[Fields]:
    """The messages of a request. Raises `ValueError` that names what cannot be asked."""
    for name in _WITHOUT_MEMORY:
        if body.get(name):
            raise ValueError(f"body.{name}: is not kept between the rows of a batch; leave it out")
    given, messages = body.get("input"), list[Fields]()
    if isinstance(instructions := body.get("instructions"), str):
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str) and given:
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise ValueError(f"body.input: expected text or a list of items, got {given!r:.60}")
    for index, item in enumerate(given):
        if not isinstance(item, Mapping):
            raise ValueError(f"body.input[{index}]: expected an object, got {item!r:.60}")
        _add_item(messages, item, f"body.input[{index}]")
    return messages


def responses_params(body: Mapping[str, object]) -> Fields:
    """The parameters of a request, under the names of Chat Completions."""
    params: Fields = {name: value for name, value in body.items() if name not in _READ and value is not None}
    if (limit := body.get("max_output_tokens")) is not None:
        params["max_tokens"] = limit
    if isinstance(reasoning := body.get("reasoning"), Mapping) and (effort := reasoning.get("effort")) is not None:
        params["reasoning_effort"] = effort
    if isinstance(text := body.get("text"), Mapping):
        params |= _text_params(text)
    if isinstance(tools := body.get("tools"), list) and tools:
        params["tools"] = [_nested(tool, "description", "parameters", "strict") for tool in tools]
    if (choice := body.get("tool_choice")) is not None:
        params["tool_choice"] = _nested(choice)
    return params


def response_body(id: str, reply: Reply) -> Fields:  # noqa: A002  # as the field
    """A reply as the Responses API writes it."""
    end = _ENDS.get(reply.finish_reason)
    output: list[Fields] = []
    if reply.reasoning:
        output.append({
            "id": f"rs_{id}", "type": "reasoning", "summary": [{"type": "summary_text", "text": reply.reasoning}],
        })
    if reply.text or not reply.tool_calls:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        status = "completed" if end is None else "incomplete"
        output.append({"id": f"msg_{id}", "type": "message", "role": "assistant", "status": status, "content": content})
    for number, call in enumerate(reply.tool_calls):
        output.append(_call_item(f"fc_{id}_{number}", call))
    created = reply.raw.get("created")
    return {
        "id": f"resp_{id}", "object": "response", "created_at": created if isinstance(created, int | float) else 0,
        "status": "completed" if end is None else "incomplete", "error": None,
        "incomplete_details": None if end is None else {"reason": end},
        "model": reply.served_model or reply.model, "output": output, "usage": _usage(reply),
        "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": None, "top_p": None,
        "tool_choice": "auto", "tools": [],
    }


def _add_item(messages: list[Fields], item: Mapping[str, object], where: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        messages.append({"role": item.get("role"), "content": _content(item.get("content"), where)})
    elif kind == "function_call":
        call = {"id": item.get("call_id"), "type": "function",
                "function": {"name": item.get("name"), "arguments": item.get("arguments")}}
        _calls_of_last(messages).append(call)
    elif kind == "function_call_output":
        output = item.get("output")
        text = output if isinstance(output, str) else json_bytes(output).decode()
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
    else:
        raise ValueError(
            f"{where}: an item of type {kind!r:.40} is not asked in a batch; a message, function_call or "
            "function_call_output is"
        )


def _calls_of_last(messages: list[Fields]) -> list[object]:
    """The calls of the assistant's last message, which is added if another message stands last."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    calls = messages[-1].setdefault("tool_calls", [])
    assert isinstance(calls, list)
    return calls


def _content(given: object, where: str) -> object:
    if not isinstance(given, list):
        return given
    parts = [_part(part, where) for part in given]
    if all(part["type"] == "text" for part in parts):
        return "".join(str(part["text"]) for part in parts)
    return parts


def _part(part: object, where: str) -> Fields:
    if not isinstance(part, Mapping):
        raise ValueError(f"{where}.content: expected parts, got {part!r:.60}")
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        return {"type": "text", "text": part.get("text", part.get("refusal", ""))}
    if kind == "input_image" and isinstance(url := part.get("image_url"), str):
        detail = {"detail": part["detail"]} if "detail" in part else {}
        return {"type": "image_url", "image_url": {"url": url, **detail}}
    if kind == "input_file":
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    raise ValueError(f"{where}.content: a part of type {kind!r:.40} is not asked in a batch")


def _text_params(text: Mapping[str, object]) -> Fields:
    params: Fields = {}
    if "verbosity" in text:
        params["verbosity"] = text["verbosity"]
    wanted = text.get("format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        described = {name: value for name, value in wanted.items() if name != "type"}
        params["response_format"] = {"type": "json_schema", "json_schema": described}
    elif isinstance(wanted, Mapping) and wanted.get("type") != "text":
        params["response_format"] = wanted
    return params


def _nested(given: object, *fields: str) -> object:
    """A function, or the choice of one, as Chat Completions has it; any other tool as it is."""
    if not isinstance(given, Mapping) or given.get("type") != "function" or "function" in given:
        return given
    return {"type": "function", "function": {name: given[name] for name in ("name", *fields) if name in given}}


def _call_item(id: str, call: Mapping[str, object]) -> Fields:  # noqa: A002  # as the field
    function = call.get("function")
    named = function if isinstance(function, Mapping) else {}
    return {
        "id": id, "type": "function_call", "call_id": call.get("id"), "name": named.get("name"),
        "arguments": named.get("arguments"), "status": "completed",
    }


def _usage(reply: Reply) -> Fields | None:
    usage = reply.usage
    return None if usage is None else {
        "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "total_tokens": usage.total_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
