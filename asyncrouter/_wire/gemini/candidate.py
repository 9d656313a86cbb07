"""Translates one candidate of a generateContent response into a choice of a Chat Completions chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.weight import MAX_CHOICES
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.gemini.finish import NO_REASON, finish_reason
from asyncrouter._wire.gemini.parts import SIGNATURE, PartsInOrder, is_picture
from asyncrouter._wire.json_text import is_object, json_text

if TYPE_CHECKING:
    from asyncrouter._types import Message

_TRANSLATED = frozenset({
    "content", "finishReason", "index", "delta", "message", "error", "logprobs", "finish_reason",
})
"""Fields of a candidate that are translated, or whose names mean something else in a choice; the others are kept."""


class CandidateReader:
    """Translates candidates, and notes in `malformed` the first part in which nothing can be read ("" for none).

    `id_prefix` goes into the ids of function calls to which Google gives none.
    """

    __slots__ = ("id_prefix", "malformed", "parts")

    def __init__(self, id_prefix: str) -> None:
        self.id_prefix = id_prefix
        self.malformed = ""
        self.parts: dict[int, PartsInOrder] = {}
        """The parts so far, by the candidate's index."""

    def index(self, candidate: Message, position: int) -> int:
        """The candidate's index, which Google leaves out for the first one."""
        index = candidate.get("index", position)
        if type(index) is not int or index >= MAX_CHOICES:  # isinstance would take True
            self._mark_malformed("a candidate's index")
            return position
        return index

    def choice(self, candidate: Message, index: int, calls_before: int) -> Message:
        """The choice, with a delta of what this candidate adds. `calls_before` counts its function calls until now."""
        content = candidate.get("content")
        if not isinstance(content, dict | None):
            self._mark_malformed("content")
        parts = self.objects("parts", object_in(candidate, "content").get("parts"))
        if parts:
            self.parts.setdefault(index, PartsInOrder()).add(parts)
        delta = self._delta(parts, calls_before)
        choice = {name: value for name, value in candidate.items() if name not in _TRANSLATED}
        reason = candidate.get("finishReason")
        if not isinstance(reason, str | None):
            self._mark_malformed("a finish reason")
        if isinstance(reason, str) and reason not in NO_REASON:
            reason = reason.upper()
            called = calls_before or "tool_calls" in delta
            finish = finish_reason(reason)
            ours = "tool_calls" if finish == "stop" and called else finish
            choice["finish_reason"] = reason if ours == "other" else ours
            choice["native_finish_reason"] = reason
        return {**choice, "index": index, "delta": delta}

    def objects(self, what: str, value: object) -> list[Message]:
        """The objects in a list, empty when there is none; anything else in their place is lost."""
        found = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        if value is not None and not (isinstance(value, list) and len(found) == len(value)):
            self._mark_malformed(what)
        return found

    def _delta(self, parts: list[Message], calls_before: int) -> Message:
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Message] = []
        delta: Message = {}
        for part in parts:
            if not isinstance(part.get("thought"), bool | None) or {"text", "functionCall"} <= part.keys():
                self._mark_malformed("a part")  # which of the two is it?
            elif isinstance(text := part.get("text"), str):
                (thoughts if part.get("thought") else texts).append(text)
                if SIGNATURE in part:
                    delta["extra_content"] = _signature(part)
            elif isinstance(name := object_in(part, "functionCall").get("name"), str) and name:
                calls.append(self._call(name, part, calls_before + len(calls)))
            elif part.get("text") is not None or "functionCall" in part:
                self._mark_malformed("a part")
            else:
                _add_other(part, delta)
        if texts:
            delta["content"] = "".join(texts)
        if thoughts:
            delta["reasoning"] = "".join(thoughts)
        if calls:
            delta["tool_calls"] = calls
        return delta

    def _call(self, name: str, part: Message, number: int) -> Message:
        """A function call as a tool call; its id is Google's, or made of the answer's where there is none."""
        call = object_in(part, "functionCall")
        if call.get("partialArgs") or call.get("willContinue"):
            self._mark_malformed("a function call in pieces (streamFunctionCallArguments)")
        google: Message = {}
        if (signature := part.get(SIGNATURE)) is not None:
            google["thought_signature"] = signature
        identifier = call.get("id")
        if isinstance(identifier, str) and identifier:
            google["function_call_id"] = identifier
        else:
            identifier = f"call_{self.id_prefix}_{number}"
        function = {"name": name, "arguments": self._arguments(call.get("args"))}
        extra: Message = {"extra_content": {"google": google}} if google else {}
        return {"index": number, "id": identifier, "type": "function", "function": function, **extra}

    def _arguments(self, arguments: object) -> str | Message:
        """The arguments as JSON text; none are an object, for text may be a beginning (`openai/tool_calls.py`)."""
        if isinstance(arguments, str) and is_object(arguments):
            return arguments
        if isinstance(arguments, dict | None) and (text := json_text(arguments or {})) is not None:
            return text if arguments else {}
        self._mark_malformed("a call's arguments")
        return "{}"

    def _mark_malformed(self, what: str) -> None:
        self.malformed = self.malformed or what


def _signature(part: Message) -> Message:
    """A part's signature, where Google puts it in a Chat Completions message (its page "OpenAI compatibility")."""
    return {"google": {"thought_signature": part[SIGNATURE]}}


def _add_other(part: Message, delta: Message) -> None:
    """Keep a part that is neither text nor call: an image under OpenRouter's name for one, others under Google's."""
    data = object_in(part, "inlineData")
    name = "parts"
    if is_picture(data) and not part.get("thought"):
        url = f"data:{data['mimeType']};base64,{data['data']}"
        extra: Message = {"extra_content": _signature(part)} if SIGNATURE in part else {}
        name, part = "images", {"type": "image_url", "image_url": {"url": url}, **extra}
    held = delta.setdefault(name, [])
    assert isinstance(held, list)
    held.append(part)
