"""Writes a conversation: Chat Completions' messages become the items of the Responses API.

Messages become items of type `message`, tool calls and their results items of their own. An assistant's message that
this vendor has written brings its items along (`kept.py`): they go back as they came, reasoning included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import Rejected
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.messages import list_at, text_at
from asyncrouter._wire.responses.call_ids import CallIds
from asyncrouter._wire.responses.content import said_text, write_content
from asyncrouter._wire.responses.kept import kept_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.responses.hosts import Target


def write_items(
    messages: Sequence[Message], target: Target, *, whole: bool = True, stored: bool = False
) -> list[Message]:
    """The items of a conversation that goes to `target`. `whole`: no part of it is stored at the provider.

    `stored`: the caller lets the provider store answers, so that it knows a reasoning item by its id. Raises
    `ValueError` for what is wrong, like `messages[2].content[0]: …`, and `Rejected` for what cannot be said here.
    """
    items: list[Message] = []
    ids = CallIds()
    for index, message in enumerate(messages):
        path, role = f"messages[{index}]", message.get("role")
        if role == "assistant":
            items += _said(path, message, ids, target, stored=stored)
        elif role == "tool":
            items.append(_result(path, message, ids, whole=whole))
        elif role in {"user", "system", "developer"}:
            content = write_content(path, message.get("content"))
            items.append({"type": "message", "role": role, "content": content})
        else:
            raise ValueError(f"{path}.role: expected system, developer, user, assistant or tool, got {role!r:.80}")
    if (call := ids.unanswered()) is not None:
        raise Rejected(f"{call.path}: no tool message answers this call; the Responses API wants every call answered")
    return items


def _said(path: str, message: Message, ids: CallIds, target: Target, *, stored: bool) -> list[Message]:
    """An assistant's message: what the vendor itself has said as it came, else text and calls."""
    calls = [
        _call(f"{path}.tool_calls[{index}]", call, ids)
        for index, call in enumerate(list_at(f"{path}.tool_calls", message.get("tool_calls")))
    ]
    text = said_text(path, message)
    if (kept := kept_items(message, text, calls, target, stored=stored)) is not None:
        return kept
    said: list[Message] = [{"type": "message", "role": "assistant", "content": text}] if text else []
    return [*said, *calls]


def _call(path: str, call: object, ids: CallIds) -> Message:
    if not isinstance(call, dict):
        raise ValueError(f"{path}: expected a call of a tool, got {call!r:.80}")
    if isinstance(custom := call.get("custom"), dict):
        name = text_at(f"{path}.custom.name", custom.get("name"))
        said = text_at(f"{path}.custom.input", custom.get("input"), empty=True)
        call_id = ids.add(path, call.get("id"), custom=True)
        return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": said}
    function = object_in(call, "function")
    name = text_at(f"{path}.function.name", function.get("name"))
    arguments = _arguments(f"{path}.function.arguments", function.get("arguments"))
    return {"type": "function_call", "call_id": ids.add(path, call.get("id")), "name": name, "arguments": arguments}


def _arguments(path: str, arguments: object) -> str:
    """A call's arguments as the JSON text that the API demands; "{}" for none."""
    if isinstance(arguments, dict):
        return orjson.dumps(arguments).decode()
    if arguments is None or (isinstance(arguments, str) and arguments.strip() in {"", "null"}):
        return "{}"
    try:
        if isinstance(arguments, str) and isinstance(orjson.loads(arguments), dict):
            return arguments
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    raise ValueError(f"{path}: expected a JSON object, got {arguments!r:.80}")


def _result(path: str, message: Message, ids: CallIds, *, whole: bool) -> Message:
    told = message.get("tool_call_id")
    call = ids.answer(told)
    if call is None and (whole or not isinstance(told, str)):
        raise Rejected(f"{path}: no tool call before it has the id {told!r:.80}; the Responses API wants its call")
    kind = "custom_tool_call_output" if call is not None and call.custom else "function_call_output"
    output = write_content(path, message.get("content"))
    return {"type": kind, "call_id": told if call is None else call.call_id, "output": output}
