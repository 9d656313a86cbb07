"""Writes the messages of a Chat Completions request for one candidate: what it cannot read stays out.

A message of the assistant's may come from any vendor, with fields that only its author can read: signed thoughts,
reasoning, blocks, pictures. Which of them go out is decided by whose model is asked and by what its host knows. Ids of
tool calls get the form that the model takes, the same on both sides of each turn, and where a host wants something in
a conversation that others do without, it is put in.

Most conversations need none of that: then the caller's own list goes out, and looking is all it costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.json_text import json_text
from asyncrouter._wire.origin import ORIGIN
from asyncrouter._wire.responses.kept import KEPT
from asyncrouter._wire.tool_ids import ToolIds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.families import FamilyRules
    from asyncrouter._wire.openai.quirks import Quirks

_OURS: Final = frozenset({KEPT, ORIGIN, "content_blocks", "content_parts", "parts", "phase"})
"""Fields in which this package keeps what another API said, and one of the Responses API. No host knows them here."""

_WITH_ARTEFACTS: Final = frozenset({"assistant", "tool"})
"""The roles of messages that may hold what only some vendors read, and ids of tool calls."""

_NEWER_ROLE: Final = "developer"
"""OpenAI's name for the system role since o1. Templates of open models refuse it, or leave such a message out."""

_READERS: Final[Mapping[str, str]] = {"thinking_blocks": "anthropic", "extra_content": "google"}
"""Fields that only the models of one vendor read: Anthropic's signed thoughts, Google's signatures."""

_SILENT: Final = frozenset({"anthropic", "google", "mistral", "openai"})
"""Vendors whose models never have `reasoning_content` of their own, and read nobody else's."""

_FORMATS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic", "azure": "openai", "google": "google", "openai": "openai", "xai": "xai",
}
"""Whose models read a detail of OpenRouter's `reasoning_details`, by the first word of its `format`."""

_BRIDGE: Final[Message] = {"role": "assistant", "content": "OK."}
"""What stands between a tool's result and the user's next message where it must (avante-corp/avante.nvim PR 2695)."""


def write_messages(
    messages: Sequence[Message], rules: FamilyRules, vendor: str | None, quirks: Quirks | None, *, reasons: bool
) -> Sequence[Message]:
    """The messages for a model of this vendor, `None` for an unknown one. The caller's objects are never changed."""
    for message in messages:
        role = message.get("role")
        if role in _WITH_ARTEFACTS or (
            role == _NEWER_ROLE if quirks is None else not _is_plain(role, message, quirks)
        ):
            return _Writer(rules, vendor, quirks, reasons=reasons).written(messages)
    return messages


def _is_plain(role: object, message: Message, quirks: Quirks) -> bool:
    """Whether a message goes out as it is: a text under a role and with fields that the host knows."""
    known = quirks.message_fields.get(role) if isinstance(role, str) else None
    return (
        role not in quirks.roles and type(message.get("content")) is str
        and (known is None or message.keys() <= known)
    )


class _Writer:
    """Writes one conversation."""

    __slots__ = ("_ids", "_quirks", "_reasons", "_rules", "_vendor")

    def __init__(self, rules: FamilyRules, vendor: str | None, quirks: Quirks | None, *, reasons: bool) -> None:
        self._rules = rules
        self._vendor = vendor
        self._quirks = quirks
        self._reasons = reasons
        self._ids = ToolIds(rules.tool_ids)

    def written(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, each the caller's own object where nothing of it changes."""
        written: list[Message] = []
        for message in messages:
            role = message.get("role")
            if role == "user" and self._rules.bridges_results and written and written[-1].get("role") == "tool":
                written.append(_BRIDGE)
            if role == "assistant":
                message = self._assistant(message)
            elif role == "tool":
                message = _replaced(message, "tool_call_id", self._ids.result)
            elif role == _NEWER_ROLE and self._quirks is None:
                message = {**message, "role": "system"}
            written.append(message if self._quirks is None else self._known(message, self._quirks))
        if self._quirks is not None and self._quirks.wants_prefix and written and _is_assistant(written[-1]):
            written[-1] = {"prefix": True, **written[-1]}
        return written

    def _assistant(self, message: Message) -> Message:
        signed = self._is_read("extra_content", message)
        left_out = [name for name in message if not self._is_read(name, message)]
        if left_out or not message.get("tool_calls", True):
            message = {
                name: value for name, value in message.items()
                if name not in left_out and (name != "tool_calls" or value)
            }
        if isinstance(calls := message.get("tool_calls"), list | tuple):
            written = [self._call(call, signed=signed) for call in calls]
            if any(new is not old for new, old in zip(written, calls, strict=True)):
                message = {**message, "tool_calls": written}
        if "reasoning_details" in message:
            message = _replaced(message, "reasoning_details", self._details)
        if message.get("content") is None and not _says_something(message):
            message = {**message, "content": ""}  # null is refused where nothing else is said
        quirks = self._quirks
        if quirks is not None and quirks.wants_reasoning and self._reasons and "reasoning_content" not in message:
            message = {**message, "reasoning_content": ""}
        return message

    def _is_read(self, name: str, message: Message) -> bool:
        """Whether a field of an assistant's message can be read by the model that is asked."""
        if name in _OURS:
            return False
        if (reader := _READERS.get(name)) is not None:
            return self._vendor == reader or (self._vendor is None and ORIGIN not in message)
        if name == "reasoning":
            return ORIGIN not in message
        return name != "reasoning_content" or self._vendor not in _SILENT

    def _call(self, call: object, *, signed: bool) -> object:
        """A call with the id that goes out; `signed`: with Google's signature, if it has one."""
        if not isinstance(call, dict):
            return call
        if "extra_content" in call and not signed:
            call = {name: value for name, value in call.items() if name != "extra_content"}
        return _replaced(_replaced(call, "function", _with_text), "id", self._ids.call)

    def _details(self, details: object) -> object:
        """The details of OpenRouter's that this vendor's models read; all, if nobody knows whose they are."""
        if self._vendor is None or not isinstance(details, list):
            return details
        kept = [detail for detail in details if _reader(detail) in {None, self._vendor}]
        return details if len(kept) == len(details) else kept

    def _known(self, message: Message, quirks: Quirks) -> Message:
        """The message with the fields that the host knows."""
        given = str(message.get("role"))
        if (role := quirks.roles.get(given, given)) != given:
            message = {**message, "role": role}
        if isinstance(message.get("content"), list | tuple) and quirks.part_fields is not None:
            message = _replaced(message, "content", lambda content: _parts(content, role, quirks))
        known = quirks.message_fields.get(role)
        if known is None or (message.keys() <= known and "tool_calls" not in message and quirks.nulls):
            return message
        kept = {name: value for name, value in message.items() if name in known and (quirks.nulls or value is not None)}
        if isinstance(calls := kept.get("tool_calls"), list | tuple):
            kept["tool_calls"] = [_only(quirks.call_fields, call) for call in calls]
        return kept


def _replaced(fields: Message, name: str, replace: Callable[[object], object]) -> Message:
    """The fields with another value under one name; the same object if it is no other."""
    value = fields.get(name)
    new = replace(value)
    return fields if new is value or new == value else {**fields, name: new}


def _with_text(function: object) -> object:
    """A call's function, whose arguments are text; Ollama's own API, and some frameworks, have the object itself."""
    if not isinstance(function, dict) or not isinstance(arguments := function.get("arguments"), dict):
        return function
    text = json_text(arguments)
    return function if text is None else {**function, "arguments": text}


def _parts(content: object, role: str, quirks: Quirks) -> object:
    """The parts of a content that the host knows, with the fields that it knows."""
    parts = content if isinstance(content, list | tuple) else ()
    known, said = quirks.part_fields or frozenset(), quirks.said_parts if role == "assistant" else None
    return [
        _only(known, part) for part in parts
        if said is None or not isinstance(part, dict) or str(part.get("type")) in said
    ] or ""


def _only(known: frozenset[str], value: object) -> object:
    if not isinstance(value, dict) or value.keys() <= known:
        return value
    return {name: inner for name, inner in value.items() if name in known}


def _says_something(message: Message) -> bool:
    return any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))


def _is_assistant(message: Message) -> bool:
    return message.get("role") == "assistant"


def _reader(detail: object) -> str | None:
    """Whose models read a detail, `None` if it does not say."""
    form = detail.get("format") if isinstance(detail, dict) else None
    return _FORMATS.get(form.partition("-")[0]) if isinstance(form, str) else None
