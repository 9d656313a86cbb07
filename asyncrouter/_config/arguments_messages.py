"""The messages of a call: a text, dicts, replies, and the message objects of other libraries; and results of tools."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import orjson

from asyncrouter._types import ChatMessage, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.aliases import ModelDump, Prompt
    from asyncrouter._types import Message, ToolCall


_PLAIN: Final = frozenset({"role", "content"})
"""The fields of nearly every message: where they are texts, there is nothing to look at."""


def check_messages(prompt: Prompt, system: str | None = None) -> list[Message]:
    """The messages of a call: `system` as the first one; a text is one message of the user.

    Raises `TypeError` or `ValueError`.
    """
    if system is not None:
        if not isinstance(system, str):
            raise TypeError(f"system: expected text, got {type(system).__name__}")
        return [{"role": "system", "content": system}, *check_messages(prompt)]
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, (list, tuple)):
        raise TypeError(f"prompt: expected text or a list of messages, got {type(prompt).__name__}")
    if not prompt:
        raise ValueError("prompt: expected at least one message, got none")
    return [
        message if type(message) is dict and message.keys() == _PLAIN and type(message["role"]) is str
        and type(message["content"]) is str else _message(index, message)
        for index, message in enumerate(prompt)
    ]  # fmt: skip


def _message(index: int, given: object) -> Message:
    message: object = given
    if not isinstance(given, dict):
        message = given.message if isinstance(given, Reply) else plain(given)
        if isinstance(message, dict) and "role" not in message and isinstance(message.get("choices"), list):
            message = next((choice.get("message") for choice in message["choices"] if isinstance(choice, dict)), None)
    if not isinstance(message, dict):
        raise TypeError(f"messages[{index}]: expected a dict with a role, got {type(given).__name__}")
    if not isinstance(message.get("role"), str):
        raise ValueError(f'messages[{index}]: expected a "role" that is text, got {message.get("role")!r}')
    for name in ("tool_calls", "content"):
        parts = message.get(name)
        if isinstance(parts, (list, tuple)) and not all(isinstance(part, dict) for part in parts):
            message = {**message, name: [plain(part) for part in parts]}
    return message


def plain(given: object) -> object:
    """A message, or a part of one, of another library as a dict; anything else as it is."""
    if not is_model(given):
        return given
    try:
        dumped: object = given.model_dump(mode="json", exclude_none=True)  # type: ignore[call-arg]  # as pydantic has it
    except TypeError:
        dumped = given.model_dump()
    if isinstance(dumped, dict) and dumped.get("role") == "assistant":
        dumped.setdefault("content", None)
    return dumped


def is_model(given: object) -> TypeGuard[ModelDump]:
    """Whether `model_dump()` makes a dict of this object."""
    return callable(getattr(given, "model_dump", None)) and not isinstance(given, type)


def tool_result(call: ToolCall | Mapping[str, Any] | ModelDump | str, value: object) -> ChatMessage:
    """The message with the result of a tool call, for the history.

    ```python
    for call in reply.tool_calls:
        history.append(tool_result(call, weather(**json.loads(call["function"]["arguments"]))))
    ```

    - `call`: one of `reply.tool_calls`, a tool call object of another library, or the id of a call.
    - `value`: text goes as it is, an exception as its type and message, anything else as JSON (dataclasses and pydantic
      models, too).

    Raises `TypeError` for a call without an id, or a value that JSON cannot hold.
    """
    found = call if isinstance(call, str) else plain(call)
    identifier = found.get("id") if isinstance(found, dict) else found
    if not isinstance(identifier, str):
        raise TypeError(f"call: expected a tool call with an id, got {type(call).__name__}")
    return {"role": "tool", "tool_call_id": identifier, "content": _text_of(value)}


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    try:
        return orjson.dumps(value, default=_jsonable, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        try:  # integers beyond 64 bits
            return json.dumps(value, default=_jsonable, ensure_ascii=False)
        except (TypeError, ValueError):
            raise TypeError(f"value: cannot be written as JSON: {error}") from None


def _jsonable(value: object) -> object:
    if is_model(value):
        return plain(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    raise TypeError(f"{type(value).__name__} is not JSON")
