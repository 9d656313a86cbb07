"""An answer put together from Chat Completions pieces: the chunks of a stream, or one whole completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Chunk, FinishReason, Message, Reply, Usage
from asyncrouter._wire.toolcalls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length",
    "tool_calls": "tool_calls", "function_call": "tool_calls", "tool_use": "tool_calls",
    "content_filter": "content_filter", "refusal": "content_filter", "safety": "content_filter",
}  # fmt: skip
"""Finish reasons as hosts write them (Together: eos; Mistral: model_length). One we do not know counts as "stop"."""

_REASONING = ("reasoning", "reasoning_content")  # OpenRouter, Groq, Ollama; DeepSeek, vLLM
_ENVELOPE_ONLY = ("choices", "usage", "error", "obfuscation")


class Choice:
    """One of the answer's choices so far. Words are kept in pieces, under the key they came with."""

    __slots__ = ("calls", "extra", "finish", "logprobs", "rest", "words")

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {"content": []}
        self.calls = ToolCalls()
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
                if isinstance(value, str) and value:
                    self.finish = value
            elif key == "logprobs":
                self._take_logprobs(value)
            elif value is not None and key not in {"index", "delta", "message"}:
                self.rest[key] = value
        # Some hosts put a whole message where a delta is due.
        delta = choice.get("delta") or choice.get("message")
        return isinstance(delta, dict) and self._take_delta(delta, chunks)

    def raw(self, index: int) -> Message:
        """The choice as it would stand in a reply that was not streamed."""
        message: Message = {"role": "assistant", "content": self._said("content") or None}
        message |= {key: self._said(key) for key in self.words if key != "content"}
        message |= self.extra
        if self.calls:
            message["tool_calls"] = list(self.calls.whole())
        raw: Message = {"index": index, "message": message, "finish_reason": self.finish}
        if self.logprobs:
            raw["logprobs"] = self.logprobs
        return raw | self.rest

    def _take_delta(self, delta: Message, chunks: list[Chunk] | None) -> bool:
        text = reasoning = ""
        calls: list[Message] = []
        for key, value in delta.items():
            if not value or key == "role":  # null, "" and [] say nothing
                continue
            if key == "content":
                text, thought = _spoken(value)
                self._say("content", text)
                self._say("reasoning", thought)
                reasoning = reasoning or thought
            elif key in _REASONING and isinstance(value, str):
                self._say(key, value)
                reasoning = reasoning or value
            elif key == "refusal" and isinstance(value, str):
                self._say(key, value)
                text += value
            elif key == "tool_calls" and isinstance(value, list):
                calls = [call for call in value if isinstance(call, dict)]
            elif key == "function_call" and isinstance(value, dict):  # the name tool calls had before 2023-11
                calls = [{"index": 0, "type": "function", "function": value}]
            else:
                self._keep(key, value)
        said_in_call = bool(calls) and self.calls.take(calls)
        if chunks is not None and (text or reasoning or calls):
            chunks.append(Chunk(text, reasoning, tuple(calls)))
        return bool(text or reasoning) or said_in_call

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


class Answer:
    """What has come of an answer: all its choices, what stands around them, and the error if it holds one."""

    __slots__ = ("_begun", "_texts", "choices", "content", "envelope", "fault", "usage")

    def __init__(self) -> None:
        self.choices: dict[int, Choice] = {}
        self.content = 0
        self.envelope: Message = {}
        self.fault: Message | None = None
        """The error object the provider put in the place of an answer, or of its rest."""
        self.usage: Message | None = None
        self._texts: list[str] = []
        self._begun = False

    def __repr__(self) -> str:
        return f"<Answer {self.content} pieces of content, choices {self.choices}>"

    @property
    def first(self) -> Choice | None:
        """The choice a reply speaks of: index 0."""
        return self.choices[min(self.choices)] if self.choices else None

    def take(self, chunk: Message, chunks: list[Chunk] | None = None) -> None:
        """Take in one chunk, or one whole completion."""
        choices = chunk.get("choices")
        if self._begun and type(choices) is list and len(choices) == 1:
            # Nearly every chunk is one more piece of text and nothing else: this is the path of every token.
            choice = choices[0]
            if (
                type(choice) is dict
                and choice.get("index") == 0
                and type(delta := choice.get("delta")) is dict
                and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))  # some repeat the role each time
                and type(text := delta.get("content")) is str
                and choice.get("finish_reason") is None
                and choice.get("logprobs") is None
                and choice.get("error") is None
                and chunk.get("usage") is None
                and chunk.get("error") is None
            ):
                if text:
                    self._texts.append(text)
                    self.content += 1
                    if chunks is not None:
                        chunks.append(Chunk(text))
                return
        self._take(chunk, choices if isinstance(choices, list) else [], chunks)

    def finished(self, choices: int = 1) -> bool:
        """Whether so many choices have begun and all of them have their finish reason."""
        return len(self.choices) >= choices and all(choice.finish for choice in self.choices.values())

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`."""
        reply.build_raw = self.raw
        served = self.envelope.get("model")
        reply.served_model = served if isinstance(served, str) else None
        reply.usage = read_usage(self.usage)
        if (first := self.first) is not None:
            reply.text, reply.reasoning, reply.tool_calls = first.text, first.reasoning, first.calls.whole()
            reply.finish_reason = first.normal_finish

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        raw: Message = {key: value for key, value in self.envelope.items() if key not in _ENVELOPE_ONLY}
        raw["object"] = "chat.completion"
        raw["choices"] = [choice.raw(index) for index, choice in sorted(self.choices.items())]
        if self.usage is not None:
            raw["usage"] = self.usage
        return raw

    def _take(self, chunk: Message, choices: list[object], chunks: list[Chunk] | None) -> None:
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._take_choice(choice, position, chunks)
        self.envelope.update((key, value) for key, value in chunk.items() if value is not None)
        usage = chunk.get("usage")
        groq = chunk.get("x_groq")  # Groq's place for usage and errors in a stream's first and last chunks
        if isinstance(groq, dict):
            usage = usage or groq.get("usage")
            self._fail(groq.get("error"))
        if isinstance(usage, dict):
            self.usage = usage
        self._fail(chunk.get("error"))

    def _take_choice(self, choice: Message, position: int, chunks: list[Chunk] | None) -> None:
        index = choice.get("index")
        if not isinstance(index, int):
            index = position
        mine = self.choices.get(index)
        if mine is None:
            mine = self.choices[index] = Choice()
            if index == 0:
                self._texts, self._begun = mine.words["content"], True
        self.content += mine.take(choice, chunks if index == 0 else None)
        self._fail(choice.get("error"))
        if mine.finish == "error":
            self._fail("the provider ended the answer with finish reason 'error'")

    def _fail(self, error: object) -> None:
        if error and self.fault is None:
            self.fault = {"error": error}


def read_usage(usage: Mapping[str, object] | None) -> Usage | None:
    """Token counts in one shape. `prompt_cache_hit_tokens` is DeepSeek's name for the cached ones."""
    if usage is None or not isinstance(usage.get("prompt_tokens"), (int, float)):
        return None
    cached = _count(usage.get("prompt_tokens_details"), "cached_tokens") or _count(usage, "prompt_cache_hit_tokens")
    reasoning = _count(usage.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), cached, reasoning)


def _count(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 else 0


def _spoken(content: object) -> tuple[str, str]:
    """Text and reasoning of a `content`: a string, or a list of typed parts (Mistral's thinking models)."""
    if isinstance(content, str):
        return content, ""
    text, reasoning = [], []
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict):
            continue
        if isinstance(said := part.get("text"), str):
            text.append(said)
        elif part.get("type") == "thinking":
            thought = part.get("thinking")
            reasoning.append(_spoken(thought)[0])
    return "".join(text), "".join(reasoning)
