"""An answer put together from Chat Completions pieces: the chunks of a stream, or one whole completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk
from asyncrouter._wire.decoding.not_an_answer import bare_fault
from asyncrouter._wire.openai.choice import Choice
from asyncrouter._wire.openai.usage import read_cost, read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message, Reply

_WORDS = ("content", "role")
_ENVELOPE_ONLY = ("choices", "usage", "error", "obfuscation")


class Answer:
    """What has come of an answer: all its choices, what stands around them, and the error if it holds one."""

    __slots__ = (
        "_broken", "_started", "_texts", "_unnumbered", "_whole", "choices", "content", "ended", "envelope", "fault",
        "usage",
    )

    _done_ends: ClassVar[bool] = True
    """`[DONE]` ends an answer, also one that has not said why."""

    def __init__(self) -> None:
        self.choices: dict[int, Choice] = {}
        self.content = 0
        self.ended = False
        self.envelope: Message = {}
        self.fault: Message | None = None
        self.usage: Message | None = None
        self._broken = ""  # what came in a shape in which nothing can be read
        self._texts: list[str] = []
        self._started = False
        self._unnumbered = False  # a choice came without its index: it is the only one, or it could be any
        self._whole: Message | None = None  # the document, when it came as one

    def __repr__(self) -> str:
        return f"<Answer {self.content} pieces of content, choices {self.choices}>"

    @property
    def first(self) -> Choice | None:
        """The choice a reply speaks of: index 0."""
        return self.choices.get(0)

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self.choices)

    @property
    def cost_usd(self) -> float | None:
        """What OpenRouter says it charged."""
        return read_cost(self.usage)

    def take(self, chunk: Message, chunks: list[Chunk] | None) -> None:
        """Take in one chunk."""
        choices = chunk.get("choices")
        if self._started and type(choices) is list and len(choices) == 1:
            # Nearly every chunk is one more piece of text and nothing else: this is the path of every token.
            choice = choices[0]
            if (
                type(choice) is dict
                and choice.get("index") == 0
                and type(delta := choice.get("delta")) is dict
                and (len(delta) == 1 or _only_words(delta))
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
        if not isinstance(choices, list):
            if choices is not None:
                self._break("choices")
            choices = []
        self._take(chunk, choices, chunks)

    def take_whole(self, document: Message) -> None:
        """Take in a completion that came in one piece."""
        if self._whole is not None:
            self._fail("more than one completion")
            return
        self._whole = document
        self.take(document, None)
        self._fail_bare(document)

    def finished(self, choices: int = 1) -> bool:
        """Whether so many choices have begun and all of them have their finish reason."""
        return len(self.choices) >= choices and all(choice.finish for choice in self.choices.values())

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`."""
        reply._build_raw = self.raw if self._whole is None else self._whole.copy  # no lambda: replies cross processes
        served = self.envelope.get("model")
        reply.served_model = served if isinstance(served, str) else None
        reply.usage = read_usage(self.usage)
        if (first := self.first) is not None:
            reply.text, reply.reasoning, reply.tool_calls = first.text, first.reasoning, first.calls.whole()
            reply.finish_reason = first.normal_finish

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it."""
        if self._broken:
            return BadReply(f"malformed: {self._broken}", request_id=request_id)
        first, wanted = self.first, params.get("n")
        if not isinstance(wanted, int) or self._whole is not None:
            wanted = 1  # a body says itself how many choices it has; a stream may be cut before the second has begun
        whole = (self.ended and self._done_ends) or self.finished(wanted)
        if first is None:
            return BadReply("nothing came: no choices" if whole else "cut before anything came", request_id=request_id)
        if not whole:
            return BadReply("truncated: neither a finish reason nor [DONE] has come", request_id=request_id)
        if not all(choice.calls.named for choice in self.choices.values()):
            return BadReply("a tool call without a name", request_id=request_id)
        if self.content:
            return None
        if first.finish == "content_filter":
            told = "the provider's content filter let nothing through"
            return Refused(told, code=first.finish, request_id=request_id)
        # A reply may rightly be empty when its tokens were spent unseen, or when it began with the caller's stop word.
        if first.finish is not None and (first.normal_finish == "length" or params.get("stop")):
            return None
        return BadReply(f"empty: neither text nor tool call (finish reason {first.finish!r})", request_id=request_id)

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
        if "choices" not in chunk:
            self._fail_bare(chunk)
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._take_choice(choice, position, chunks)
            else:
                self._break("a choice")
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
        if self._whole is not None or index is None:
            self._unnumbered = self._whole is None
            index = position
        if type(index) is not int or index < 0 or (self._unnumbered and index > 0):
            self._break("a choice's index")
            return
        mine = self.choices.get(index)
        if mine is None:
            mine = self.choices[index] = Choice()
            if index == 0:
                self._texts, self._started = mine.words["content"], True
        self.content += mine.take(choice, chunks if index == 0 else None)
        if mine.broken:
            self._break(mine.broken)
        self._fail(choice.get("error"))
        if mine.finish == "error":
            self._fail("the provider ended the answer with finish reason 'error'")

    def _break(self, what: str) -> None:
        """A piece of the answer cannot be read: what is left is no whole one."""
        self._broken = self._broken or what
        self.ended = True

    def _fail_bare(self, document: Message) -> None:
        if (bare := bare_fault(document)) is not None:
            self._fail(bare["error"])

    def _fail(self, error: object) -> None:
        if error and self.fault is None:
            self.fault, self.ended = {"error": error}, True


def _only_words(delta: Message) -> bool:
    """Whether nothing stands beside the words: some hosts repeat the role each time, and name what there is not."""
    return not [key for key, value in delta.items() if value and key not in _WORDS]
