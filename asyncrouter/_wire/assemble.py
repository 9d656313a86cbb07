"""An answer put together from Chat Completions pieces: the chunks of a stream, or one whole completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Chunk
from asyncrouter._wire.choice import Choice
from asyncrouter._wire.usage import read_usage

if TYPE_CHECKING:
    from asyncrouter._types import Message, Reply

_ENVELOPE_ONLY = ("choices", "usage", "error", "obfuscation")


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
        self._fail(chunk.get("error"))
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
