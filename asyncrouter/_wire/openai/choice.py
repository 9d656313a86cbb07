"""One choice of an answer, put together from its deltas or taken from a whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Chunk, FinishReason, Message
from asyncrouter._wire.openai.reasoning_details import Details
from asyncrouter._wire.openai.tool_calls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length",
    "tool_calls": "tool_calls", "function_call": "tool_calls", "tool_use": "tool_calls",
    "content_filter": "content_filter", "refusal": "content_filter", "safety": "content_filter",
}
"""Finish reasons as hosts write them (Together: eos; Mistral: model_length). One we do not know counts as "stop"."""


_REASONING = ("reasoning", "reasoning_content")  # OpenRouter, Groq, Ollama; DeepSeek, vLLM


class Choice:
    """One of the answer's choices so far. Words are kept in pieces, under the key they came with."""

    __slots__ = ("broken", "calls", "details", "extra", "finish", "logprobs", "rest", "words")

    def __init__(self) -> None:
        self.broken = ""
        """What came in a shape in which nothing can be read; "" for nothing."""
        self.words: dict[str, list[str]] = {"content": []}
        self.calls = ToolCalls()
        self.details: Details | None = None
        self.logprobs: dict[str, list[object]] = {}
        self.finish: str | None = None
        self.extra: Message = {}  # of the message
        self.rest: Message = {}  # beside the message

    def __repr__(self) -> str:
        return f"<Choice {len(self.text)} characters, {len(self.calls)} tool calls, {self.finish or 'unfinished'}>"

    @property
    def text(self) -> str:
        """What was said. A refusal has a field of its own on the wire; here its words are what the model said."""
        return self._said("content") + self._said("refusal")

    @property
    def normal_finish(self) -> FinishReason:
        """The finish reason in the one of four words that fits."""
        if self.finish:
            return FINISH.get(self.finish.lower(), "stop")
        return "tool_calls" if self.calls else "stop"

    @property
    def reasoning(self) -> str:
        """What was thought, under whichever name the host uses for it."""
        return next((said for key in _REASONING if (said := self._said(key))), "")

    def take(self, choice: Message, chunks: list[Chunk] | None) -> bool:
        """Take in a choice's next piece; whether it brought content."""
        for key, value in choice.items():
            if key == "finish_reason":
                if isinstance(value, str):
                    self.finish = value or self.finish
                elif value is not None:
                    self.broken = "a finish reason"
            elif key == "logprobs":
                self._take_logprobs(value)
            elif value is not None and key not in {"index", "delta", "message"}:
                self.rest[key] = value
        # Some hosts put a whole message where a delta is due.
        delta = choice.get("delta")
        if whole := not delta and choice.get("message") is not None:
            delta = choice["message"]
        if isinstance(delta, dict):
            return self._take_delta(delta, chunks, whole=whole)
        if delta is not None:
            self.broken = "a message"
        return False

    def raw(self, index: int) -> Message:
        """The choice as it would stand in a reply that was not streamed."""
        message: Message = {"role": "assistant", "content": self._said("content") or None}
        message |= {key: self._said(key) for key in self.words if key != "content"}
        message |= self.extra
        if self.details is not None:
            message["reasoning_details"] = self.details.whole()
        if self.calls:
            message["tool_calls"] = list(self.calls.whole())
        raw: Message = {"index": index, "message": message, "finish_reason": self.finish}
        if self.logprobs:
            raw["logprobs"] = self.logprobs
        return raw | self.rest

    def _take_delta(self, delta: Message, chunks: list[Chunk] | None, *, whole: bool) -> bool:
        text = reasoning = ""
        calls: list[Message] = []
        for key, value in delta.items():
            if not value or key == "role":  # null, "" and [] say nothing
                continue
            if key == "content":
                text, thought = self._spoken(value)
                self._say("content", text)
                self._say("reasoning", thought)
                reasoning = reasoning or thought
            elif key in _REASONING and isinstance(value, str):
                self._say(key, value)
                reasoning = reasoning or value
            elif key == "refusal" and isinstance(value, str):
                self._say(key, value)
                text += value
            elif key == "refusal":
                self.broken = "a refusal"
            elif key == "tool_calls":
                calls = self._listed("tool calls", value)
            elif key == "function_call":  # the name tool calls had before 2023-11
                calls = [{"index": 0, "type": "function", "function": value}]
            elif key == "reasoning_details" and isinstance(value, list):
                self.details = self.details or Details()
                self.details.take(value)
            else:
                self._keep(key, value)
        said_in_call = bool(calls) and self.calls.take(calls, whole=whole)
        if self.calls.broken:
            self.broken = "a tool call"
        if chunks is not None and (text or reasoning or calls):
            chunks.append(Chunk(text, reasoning, tuple(calls)))
        return bool(text or reasoning) or said_in_call

    def _spoken(self, content: object) -> tuple[str, str]:
        """Text and reasoning of a `content`: a string, or a list of typed parts (Mistral's thinking models)."""
        if isinstance(content, str):
            return content, ""
        text, reasoning = [], []
        for part in self._listed("content", content):
            if isinstance(said := part.get("text"), str):
                text.append(said)
            elif part.get("type") == "thinking":
                reasoning.append(_words(part.get("thinking")))
        return "".join(text), "".join(reasoning)

    def _listed(self, what: str, value: object) -> list[Message]:
        """A list of objects; whatever else stands there is lost, and so is the answer."""
        listed = value if isinstance(value, list) else [value]
        found = [item for item in listed if isinstance(item, dict)]
        if not isinstance(value, list) or len(found) != len(listed):
            self.broken = what
        return found

    def _take_logprobs(self, value: object) -> None:
        if isinstance(value, dict):
            for key, tokens in value.items():
                if isinstance(tokens, list):
                    self.logprobs.setdefault(key, []).extend(tokens)

    def _keep(self, key: str, value: object) -> None:
        """A field we have no word for: lists grow, of the rest the last one stands."""
        held = self.extra.get(key)
        if isinstance(held, list) and isinstance(value, list):
            held.extend(value)
        else:
            self.extra[key] = list(value) if isinstance(value, list) else value

    def _say(self, key: str, piece: str) -> None:
        if piece:
            self.words.setdefault(key, []).append(piece)

    def _said(self, key: str) -> str:
        pieces = self.words.get(key)
        if not pieces:
            return ""
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]  # asked again, it is there
        return pieces[0]


def _words(thinking: object) -> str:
    """The text of a thinking part: a string, or a list of text parts."""
    if isinstance(thinking, str):
        return thinking
    parts = [part for part in thinking if isinstance(part, dict)] if isinstance(thinking, list) else []
    return "".join(said for part in parts if isinstance(said := part.get("text"), str))
