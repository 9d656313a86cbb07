"""How the Responses API writes an answer or an error: items that are announced, grow and are given once more whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import orjson

from .wire_openai import Document, Kind, OpenAI, event, spoken, word

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES: Mapping[Kind, str] = {"thought": "rs", "text": "msg", "tool": "fc"}
"""How the ids of the items of each kind begin."""


class Responses(OpenAI):
    """The Responses API."""

    done = b""
    finishes: ClassVar[Mapping[str, str]] = {"length": "max_output_tokens"}
    interruptions = ("cancelled",)
    _open: Kind | None = None
    _place = -1
    _sequence = -1

    def opening(self) -> bytes:
        """The response before anything of it has come."""
        return self._event("response.created", response=self._response("in_progress", []))

    def word(self, index: int) -> bytes:
        """The delta of one word, and before it the beginning of its item."""
        kind, said = self.script.kind_of(index), word(self.number, index)
        begun = b""
        if kind != self._open:
            self._place, self._open = self._place + 1, kind
            begun = self._event(
                "response.output_item.added", output_index=self._place, item=self._item(kind, said, self._place)
            )
        place: Document = {"item_id": f"{PREFIXES[kind]}_{self.number}x{self._place}", "output_index": self._place}
        if kind == "tool":
            return begun + self._event(
                "response.function_call_arguments.delta", **place, delta=self.script.arguments
            )
        if kind == "thought":
            return begun + self._event("response.reasoning_summary_text.delta", **place, summary_index=0, delta=said)
        return begun + self._event("response.output_text.delta", **place, content_index=0, delta=said)

    def closing(self) -> list[bytes]:
        """The event that says how it ended, with the whole response."""
        response = self._whole()
        return [self._event(f"response.{response['status']}", response=response)]

    def early_end(self) -> bytes:
        """Nothing: the end comes with the whole response."""
        return b""

    def whole(self) -> bytes:
        """The answer as one JSON body."""
        return orjson.dumps(self._whole())

    def broken(self, status: int) -> bytes:
        """An error in the middle of a stream, in one of the three forms in which they are met."""
        message = f"it broke #{self.number}"
        code = "rate_limit_exceeded" if status == 429 else "server_error"
        match self.number % 3:
            case 0:
                return self._event("error", code=code, message=message, param=None)
            case 1:
                return self._event("error", error={"code": code, "message": message, "type": code})
        failed = self._response("failed", []) | {"error": {"code": code, "message": message}}
        return self._event("response.failed", response=failed)

    def _whole(self) -> Document:
        thoughts, text, tools = spoken(self.script, self.number)
        said: list[tuple[Kind, str]] = [("thought", thoughts)] * bool(thoughts) + [("text", text)] * bool(text)
        said += [("tool", name) for name in tools]
        items = [self._item(kind, words, index, whole=True) for index, (kind, words) in enumerate(said)]
        if self.finish in self.interruptions:
            return self._response(self.finish, items)
        if self.finish in {"stop", "tool_calls"}:
            return self._response("completed", items)
        return self._response("incomplete", items) | {"incomplete_details": {"reason": self.finish}}

    def _item(self, kind: Kind, said: str, place: int, *, whole: bool = False) -> Document:
        identifier = f"{PREFIXES[kind]}_{self.number}x{place}"
        if kind == "thought":
            summary = [{"type": "summary_text", "text": said}] * whole
            return {"type": "reasoning", "id": identifier, "summary": summary}
        if kind == "tool":
            return {
                "type": "function_call", "id": identifier, "call_id": f"call{self.number}", "name": said,
                "arguments": self.script.arguments if whole else "",
            }
        content = [{"type": "output_text", "text": said, "annotations": []}] * whole
        return {"type": "message", "id": identifier, "role": "assistant", "content": content}

    def _response(self, status: str, items: list[Document]) -> Document:
        usage: Document | None = None
        if status != "in_progress":
            usage = {"input_tokens": self.script.prompt_tokens, "output_tokens": self.script.words}
        return {
            "id": f"resp_{self.number}", "object": "response", "model": "served", "status": status, "output": items,
            "error": None, "incomplete_details": None, "usage": usage,
        }

    def _event(self, kind: str, **fields: object) -> bytes:
        self._sequence += 1
        return event({"type": kind, "sequence_number": self._sequence, **fields}, kind.encode())
