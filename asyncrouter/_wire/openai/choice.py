"""Collects one choice of a Chat Completions answer, from its deltas or from a whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Chunk
from asyncrouter._wire.openai.finish import FINISH
from asyncrouter._wire.openai.reasoning_details import ReasoningDetails
from asyncrouter._wire.openai.thinking_blocks import ThinkingBlocks
from asyncrouter._wire.openai.tool_calls import ToolCalls

if TYPE_CHECKING:
    from asyncrouter._types import FinishReason, Message

_REASONING_KEYS = ("reasoning", "reasoning_content")
"""Names of the field that holds reasoning: OpenRouter's, Groq's and Ollama's; DeepSeek's and vLLM's."""

_TEXT_KEYS = frozenset({"content", "refusal", *_REASONING_KEYS})
"""Fields of a delta that hold text, in pieces."""


class Choice:
    """One choice so far. Texts are kept as lists of pieces, under the names they came with, and joined on demand."""

    __slots__ = ("details", "extra", "finish", "logprobs", "malformed", "pieces", "rest", "thinking", "tool_calls")

    def __init__(self) -> None:
        self.malformed = ""
        """Which part had a type in which nothing can be read; "" for none."""
        self.pieces: dict[str, list[str]] = {"content": []}
        self.tool_calls = ToolCalls()
        self.details: ReasoningDetails | None = None
        self.thinking: ThinkingBlocks | None = None
        self.logprobs: dict[str, list[object]] = {}
        self.finish: str | None = None
        """The finish reason in the host's words, `None` until it has come."""
        self.extra: Message = {}  # fields of the message that are kept as they are
        self.rest: Message = {}  # the same of the choice itself

    def __repr__(self) -> str:
        finish = self.finish or "unfinished"
        return f"<Choice {len(self.text)} characters, {len(self.tool_calls)} tool calls, {finish}>"

    @property
    def text(self) -> str:
        """The text, followed by the words of a refusal, which have a field of their own on the wire."""
        return self._joined("content") + self._joined("refusal")

    @property
    def reasoning(self) -> str:
        """The reasoning, from whichever field has it."""
        return next((joined for key in _REASONING_KEYS if (joined := self._joined(key))), "")

    @property
    def finish_reason(self) -> FinishReason:
        """The finish reason in our words."""
        if self.finish:
            return FINISH.get(self.finish.lower(), "stop")
        return "tool_calls" if self.tool_calls else "stop"

    def add(self, choice: Message, chunks: list[Chunk] | None) -> bool:
        """Add the choice's next piece, or the whole of it; whether it brought content."""
        for key, value in choice.items():
            if key == "finish_reason":
                if isinstance(value, str):
                    self.finish = value or self.finish
                elif value is not None:
                    self.malformed = "a finish reason"
            elif key == "logprobs":
                self._add_logprobs(value)
            elif value is not None and key not in {"index", "delta", "message"}:
                self.rest[key] = value
        # Some hosts put a whole message into a stream where a delta belongs.
        delta = choice.get("delta")
        if whole := not delta and choice.get("message") is not None:
            delta = choice["message"]
        if isinstance(delta, dict):
            return self._add_delta(delta, chunks, whole=whole)
        if delta is not None:
            self.malformed = "a message"
        return False

    def raw(self, index: int) -> Message:
        """The choice as an unstreamed answer has it."""
        message: Message = {"role": "assistant", "content": self._joined("content") or None}
        message |= {key: self._joined(key) for key in self.pieces if key != "content"}
        message |= self.extra
        if self.details is not None:
            message["reasoning_details"] = self.details.joined()
        if self.thinking is not None:
            message["thinking_blocks"] = self.thinking.joined()
        if self.tool_calls:
            message["tool_calls"] = list(self.tool_calls.joined())
        raw: Message = {"index": index, "message": message, "finish_reason": self.finish}
        if self.logprobs:
            raw["logprobs"] = self.logprobs
        return raw | self.rest

    def _add_delta(self, delta: Message, chunks: list[Chunk] | None, *, whole: bool) -> bool:
        text = reasoning = ""
        calls: list[Message] = []
        for key, value in delta.items():
            if not value or key == "role":  # null, "" and [] say nothing
                continue
            if key in _TEXT_KEYS:
                more_text, more_reasoning = self._add_text(key, value)
                text += more_text
                reasoning = reasoning or more_reasoning  # under two names it is the same
            elif key == "tool_calls":
                calls = self._objects("tool calls", value)
            elif key == "function_call":  # the name of tool calls before 2023-11
                calls = [{"index": 0, "type": "function", "function": value}]
            else:
                self._add_field(key, value)
        called = bool(calls) and self.tool_calls.add_deltas(calls, whole=whole)
        if self.tool_calls.malformed:
            self.malformed = "a tool call"
        if chunks is not None and (text or reasoning or calls):
            chunks.append(Chunk(text, reasoning, tuple(calls)))
        return bool(text or reasoning) or called

    def _add_text(self, key: str, value: object) -> tuple[str, str]:
        """Add one of `_TEXT_KEYS`; the text and the reasoning it brought."""
        if isinstance(value, str):
            self.pieces.setdefault(key, []).append(value)
            return ("", value) if key in _REASONING_KEYS else (value, "")
        if key == "content":
            return self._add_parts(value)
        if key == "refusal":
            self.malformed = "a refusal"
        else:
            self._add_field(key, value)
        return "", ""

    def _add_parts(self, content: object) -> tuple[str, str]:
        """Add a `content` that is a list of parts (Mistral's thinking models); the text and the reasoning in it."""
        texts, thoughts = [], []
        for part in self._objects("content", content):
            if isinstance(text := part.get("text"), str):
                texts.append(text)
            elif part.get("type") == "thinking":
                thoughts.append(_thinking_text(part.get("thinking")))
        text, reasoning = "".join(texts), "".join(thoughts)
        if text:
            self.pieces["content"].append(text)
        if reasoning:
            self.pieces.setdefault("reasoning", []).append(reasoning)
        return text, reasoning

    def _add_field(self, key: str, value: object) -> None:
        """Keep a field of no other kind: lists grow, of anything else the last value counts."""
        if key == "reasoning_details" and isinstance(value, list):
            self.details = self.details or ReasoningDetails()
            self.details.add(value)
            return
        if key == "thinking_blocks" and isinstance(value, list):
            self.thinking = self.thinking or ThinkingBlocks()
            self.thinking.add(value)
            return
        held = self.extra.get(key)
        if isinstance(held, list) and isinstance(value, list):
            held.extend(value)
        else:
            self.extra[key] = list(value) if isinstance(value, list) else value

    def _add_logprobs(self, value: object) -> None:
        if isinstance(value, dict):
            for key, tokens in value.items():
                if isinstance(tokens, list):
                    self.logprobs.setdefault(key, []).extend(tokens)

    def _objects(self, what: str, value: object) -> list[Message]:
        """The objects in a list; anything else in its place is lost, and the answer with it."""
        listed = value if isinstance(value, list) else [value]
        found = [item for item in listed if isinstance(item, dict)]
        if not isinstance(value, list) or len(found) != len(listed):
            self.malformed = what
        return found

    def _joined(self, key: str) -> str:
        pieces = self.pieces.get(key)
        if not pieces:
            return ""
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]  # joined once, however often it is asked for
        return pieces[0]


def _thinking_text(thinking: object) -> str:
    """The text of a thinking part: a string, or a list of text parts."""
    if isinstance(thinking, str):
        return thinking
    parts = [part for part in thinking if isinstance(part, dict)] if isinstance(thinking, list) else []
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))
