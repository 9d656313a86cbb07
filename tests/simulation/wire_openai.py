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
    request_id = "x-request-id"
    finishes: ClassVar[Mapping[str, str]] = {}

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
        finished = {"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]}
        return [event(finished), event({"choices": [], "usage": self._usage()})]

    def whole(self) -> bytes:
        """The answer as one JSON body."""
        thoughts, text, tools = spoken(self.script, self.number)
        message: Document = {"role": "assistant", "content": text}
        if thoughts:
            message["reasoning"] = thoughts
        if tools:
            message["tool_calls"] = [self._tool(said) for said in tools]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return orjson.dumps({"id": f"r{self.number}", "model": "served", "choices": [choice], "usage": self._usage()})

    def failure(self, status: int, message: str, code: str) -> Document:
        """The body of an error."""
        return {"error": {"message": message, "code": code or status}}

    def broken(self, status: int) -> bytes:
        """The event of an error in the middle of a stream."""
        return event(self.failure(status, f"it broke #{self.number}", ""))

    def _chunk(self, delta: Document) -> bytes:
        return event({"id": f"r{self.number}", "model": "served", "choices": [{"index": 0, "delta": delta}]})

    def _tool(self, said: str) -> Document:
        return {"id": f"call{self.number}", "type": "function", "function": {"name": said, "arguments": "{}"}}

    def _usage(self) -> Document:
        counts: Document = {"prompt_tokens": self.script.prompt_tokens, "completion_tokens": self.script.words}
        return counts if self.script.reported_usd is None else counts | {"cost": self.script.reported_usd}
