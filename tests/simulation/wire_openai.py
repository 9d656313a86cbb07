"""How Chat Completions writes an answer or an error; every word of an answer is unlike all others of the run.

Written from the vendor's documents, apart from the router, so that a mistake of the router's is not the world's too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scripted_response import ScriptedResponse

Kind = Literal["text", "thought", "tool"]
Document = dict[str, object]


def word(number: int, index: int) -> str:
    """One word of one answer; its dot is no ASCII, so that characters can be cut in two."""
    return f"{number}·{index} "


def event(document: object, name: bytes = b"") -> bytes:
    """A server-sent event."""
    return (b"event: %s\n" % name if name else b"") + b"data: " + orjson.dumps(document) + b"\n\n"


def spoken(script: ScriptedResponse, number: int) -> tuple[str, str, list[str]]:
    """The thoughts, the text and the names of the tools of a whole answer."""
    said: dict[Kind, list[str]] = {"thought": [], "text": [], "tool": []}
    for index in range(script.words):
        said[script.kind_of(index)].append(word(number, index))
    return "".join(said["thought"]), "".join(said["text"]), said["tool"]


class OpenAI:
    """Chat Completions."""

    done = b"data: [DONE]\n\n"
    limits = "x-ratelimit-limit-requests"
    left = "x-ratelimit-remaining-requests"
    request_id = "x-request-id"
    finishes: ClassVar[Mapping[str, str]] = {}
    interruptions: ClassVar[tuple[str, ...]] = (
        "abort", "network_error", "insufficient_system_resource", "cancelled", "timeout", "preempted",
    )
    """The ends that say that an answer broke off."""

    def __init__(self, script: ScriptedResponse, number: int) -> None:
        self.script = script
        self.number = number
        self.finish = self.finishes.get(script.finish, script.finish)

    def opening(self) -> bytes:
        """The event before any content."""
        return self._chunk({"role": "assistant", "content": ""})

    def word(self, index: int) -> bytes:
        """The event of one word."""
        said = word(self.number, index)
        match self.script.kind_of(index):
            case "thought":
                return self._chunk({"reasoning": said})
            case "tool":
                return self._chunk({"tool_calls": [{"index": 0, **self._tool(said)}]})
        return self._chunk({"content": said})

    def closing(self) -> list[bytes]:
        """The events of the finish reason and of the usage."""
        return [self.early_end(), event({"choices": [], "usage": self._usage()})]

    def early_end(self) -> bytes:
        """The event of the finish reason."""
        return event({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]})

    def odd_closing(self, form: int) -> list[bytes]:
        """The end as some hosts write it, which must make no difference."""
        choice: Document = {"index": 0, "delta": {}, "finish_reason": self.finish}
        match form % 4:
            case 0:  # the whole message again
                choice["message"] = self._message()
            case 1:  # the usage in the choice
                return [event({"choices": [choice | {"usage": self._usage()}]})]
            case 2:  # an empty envelope
                blank = {"id": "", "model": "", "choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
                return [event({"choices": [choice]}), event(blank), event({"choices": [], "usage": self._usage()})]
            case 3 if self.script.shape == "tool":  # a tool call without anything in it
                empty = {"index": 1, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                return [self._chunk({"tool_calls": [empty]}), *self.closing()]
        return [event({"choices": [choice]}), event({"choices": [], "usage": self._usage()})]

    def numbered(self) -> bytes:
        """The body of a rate limit that is told by a number alone, inside a 200 (MiniMax)."""
        return orjson.dumps({"base_resp": {"status_code": 1002, "status_msg": f"rate limit, it broke #{self.number}"}})

    def whole(self) -> bytes:
        """The answer as one JSON body."""
        choice = {"index": 0, "message": self._message(), "finish_reason": self.finish}
        return orjson.dumps({"id": f"r{self.number}", "model": "served", "choices": [choice], "usage": self._usage()})

    def failure(self, status: int, message: str, code: str) -> Document:
        """The body of an error."""
        return {"error": {"message": message, "code": code or status}}

    def broken(self, status: int) -> bytes:
        """The event of an error in the middle of a stream."""
        return event(self.failure(status, f"it broke #{self.number}", ""))

    def _chunk(self, delta: Document) -> bytes:
        return event({"id": f"r{self.number}", "model": "served", "choices": [{"index": 0, "delta": delta}]})

    def _message(self) -> Document:
        thoughts, text, tools = spoken(self.script, self.number)
        message: Document = {"role": "assistant", "content": text}
        if thoughts:
            message["reasoning"] = thoughts
        if tools:
            message["tool_calls"] = [self._tool(said) for said in tools]
        return message

    def _tool(self, said: str) -> Document:
        identifier = {} if self.number % 5 == 0 else {"id": "" if self.number % 5 == 1 else f"call{self.number}"}
        return {**identifier, "type": "function", "function": {"name": said, "arguments": self.script.arguments}}

    def _usage(self) -> Document:
        counts: Document = {"prompt_tokens": self.script.prompt_tokens, "completion_tokens": self.script.words}
        return counts if self.script.reported_usd is None else counts | {"cost": self.script.reported_usd}
