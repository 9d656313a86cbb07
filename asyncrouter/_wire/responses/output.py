"""One item of an answer as it grows: a message, reasoning, a tool call, or something that is only kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.json_text import is_object, same_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._types import Message

CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""The items that are tool calls, and the field in which each has its text."""

_TEXTS: Final = {"output_text": "text", "refusal": "refusal"}
"""The parts of a message that are text, and the field in which each has it."""

PARAGRAPH: Final = "\n\n"
"""What stands between two parts of a summary; each part is a paragraph with a heading of its own."""


class OutputItem:
    """What has come of an item. It came as number `number` of the answer's items, and `call` of its tool calls, from 0.

    Its text grows by deltas. When the whole item comes, `complete` takes its fields and says which text was missing.
    """

    __slots__ = ("call", "call_id", "given", "id", "kind", "number", "part", "pieces", "place", "refusals", "whole")

    def __init__(self, given: Message, place: object = None, number: int = 0, call: int = 0) -> None:
        kind, told = given.get("type"), given.get("id")
        self.kind = kind if isinstance(kind, str) else ""
        self.given = given
        self.id = told if isinstance(told, str) and told else None
        self.place = place if type(place) is int else None
        """Which of the answer's items it is, where the host says so."""
        self.number = number
        self.call = call
        self.call_id = ""
        self.part: object = None
        """Of reasoning: the number of the part that is growing."""
        self.pieces: list[str] = []
        """Text, thoughts, or a call's arguments."""
        self.refusals: list[str] = []
        self.whole = False

    def __repr__(self) -> str:
        return f"<OutputItem {self.kind}, {len(self.said)} characters{'' if self.whole else ', open'}>"

    @property
    def said(self) -> str:
        """The pieces of its text so far, joined."""
        return _joined(self.pieces)

    @property
    def refused(self) -> str:
        """The pieces of a refusal so far, joined."""
        return _joined(self.refusals)

    @property
    def answers(self) -> bool:
        """Whether it is part of the answer: a message that says something, or a tool call."""
        return self.kind in CALLS or (self.kind == "message" and bool(self.pieces or self.refusals))

    @property
    def name(self) -> str:
        """The name of the tool that a call is for, "" when it has none."""
        name = self.given.get("name")
        return name if isinstance(name, str) else ""

    @property
    def usable(self) -> bool:
        """Whether a call's arguments are a JSON object; a custom tool takes any text."""
        if self.kind != "function_call":
            return True
        return is_object(self.said or "{}")

    def complete(self, item: Message) -> tuple[str, str] | None:
        """Take the whole item; the text and the refusal that had not come yet. `None` if it says something else.

        Space at the ends does not count, nor how JSON is laid out, nor how thoughts are worded: they are no part of the
        answer. Some hosts repeat the item without its text: then what has come stands.
        """
        text, refusal = self._text_of(item), ""
        if self.kind == "message":
            refusal = "".join(_texts(item.get("content"), "refusal", "refusal"))
        self.given = item if self.id is None else {"id": self.id, **item}
        self.whole = bool(text or refusal) or not (self.pieces or self.refusals)
        if not (text or refusal or item.get("content")):  # it does not repeat what has come
            return "", ""
        rest, refused = self._rest(self.said, text), self._rest(self.refused, refusal)
        return None if rest is None or refused is None else (rest, refused)

    def tool_call(self) -> Message:
        """The call as a Chat Completions message carries it."""
        if self.kind == "custom_tool_call":
            return {"id": self.call_id, "type": "custom", "custom": {"name": self.name, "input": self.said}}
        return {"id": self.call_id, "type": "function", "function": {"name": self.name, "arguments": self.said or "{}"}}

    def call_delta(self, piece: str, *, first: bool = False) -> Message:
        """A piece of the call as a Chat Completions chunk carries it; the first one brings its id and its name."""
        kind, field = ("custom", "input") if self.kind == "custom_tool_call" else ("function", "arguments")
        if not first:
            return {"index": self.call, kind: {field: piece}}
        return {"index": self.call, "id": self.call_id, "type": kind, kind: {"name": self.name, field: piece}}

    def native(self) -> Message:
        """The whole item as the API gives it; one that was cut off has its text from its pieces."""
        item = self.given
        if self.kind in CALLS:
            item = {**item, CALLS[self.kind]: self.said, "call_id": self.call_id}
        elif self.kind == "message" and not self.whole:
            parts = [{"type": "output_text", "text": self.said, "annotations": []}] if self.pieces else []
            refusals = [{"type": "refusal", "refusal": self.refused}] if self.refusals else []
            item = {**item, "content": [*parts, *refusals]}
        return item

    def logprobs(self) -> list[object]:
        """The log probabilities of its tokens, where they were asked for."""
        content = self.given.get("content")
        parts = content if isinstance(content, list) else []
        found = [part.get("logprobs") for part in parts if isinstance(part, dict)]
        return [token for tokens in found if isinstance(tokens, list) for token in tokens]

    def _text_of(self, item: Message) -> str:
        if self.kind in CALLS:
            said = item.get(CALLS[self.kind])
            return said if isinstance(said, str) else ""
        if self.kind == "reasoning":
            summary = PARAGRAPH.join(_texts(item.get("summary"), "summary_text", "text"))
            return summary or PARAGRAPH.join(_texts(item.get("content"), "reasoning_text", "text"))
        return "".join(_texts(item.get("content"), "output_text", "text")) if self.kind == "message" else ""

    def _rest(self, said: str, whole: str) -> str | None:
        if whole.startswith(said):
            return whole[len(said) :]
        same = self.kind == "reasoning" or said.strip() == whole.strip()
        return "" if same or (self.kind == "function_call" and same_json(said, whole)) else None


def well_formed(item: Message) -> bool:
    """Whether the text of a whole item can be read: nothing else stands in its place."""
    if item.get("type") == "message":
        content = item.get("content")
        return isinstance(content, list) and all(
            isinstance(part, dict) and isinstance(part.get(_TEXTS.get(str(part.get("type")), "type")), str)
            for part in content
        )
    field = CALLS.get(str(item.get("type")))
    return field is None or isinstance(item.get(field), str)


def _texts(parts: object, kind: str, field: str) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == kind and isinstance(said := part.get(field), str):
            yield said


def _joined(pieces: list[str]) -> str:
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]  # asked again, it is there
    return pieces[0] if pieces else ""
