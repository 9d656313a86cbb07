"""Builds an answer from Chat Completions JSON: the chunks of a stream, or one completion.

How it works. `add_event` runs once for each token, and nearly every chunk is one more piece of the first choice's text
and nothing else. So it begins with one long condition that recognises this case and appends the piece to a list; no
object is made but the caller's chunk. Everything else goes through `_add_chunk`, and from there to the `Choice` it
belongs to. The text is joined when somebody asks for it.

An answer is whole when `[DONE]` has come, or when as many choices as were asked for have begun and all have their
finish reason. A part whose type is wrong (a list where text belongs) makes the answer malformed: what stood there is
lost, and a finish reason does not bring it back. An error may stand in the chunk, in a choice, in `x_groq`, or be the
whole document; it ends the answer wherever it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk
from asyncrouter._wire.decoding.not_an_answer import bare_error
from asyncrouter._wire.fields import cost_in
from asyncrouter._wire.openai.choice import Choice
from asyncrouter._wire.openai.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message, Reply

_PLAIN_FIELDS = ("content", "role")
"""The fields of a delta that is nothing but text: some hosts repeat the role each time."""

_NOT_IN_RAW = ("choices", "usage", "error", "obfuscation")
"""Fields of a chunk that are not copied into `Reply.raw`: put together anew, or padding against eavesdroppers."""


class CompletionBuilder:
    """Collects one Chat Completions answer with all its choices. Implements `AnswerBuilder`."""

    __slots__ = (
        "_document", "_first_has_begun", "_first_texts", "_malformed", "_unnumbered", "choices", "content", "ended",
        "envelope", "error", "usage",
    )

    def __init__(self) -> None:
        self.choices: dict[int, Choice] = {}
        self.content = 0
        self.ended = False
        self.envelope: Message = {}
        """The fields beside the choices: id, model, created and whatever else the host sends."""
        self.error: Message | None = None
        self.usage: Message | None = None
        self._document: Message | None = None  # the completion, if it came as one document
        self._malformed = ""
        self._first_has_begun = False
        self._first_texts: list[str] = []  # the first choice's pieces of text
        self._unnumbered = False  # a choice came without its index: it is the only one, or it could be any

    def __repr__(self) -> str:
        return f"<CompletionBuilder {self.content} pieces of content, choices {self.choices}>"

    @property
    def first(self) -> Choice | None:
        """The choice that becomes the reply: index 0."""
        return self.choices.get(0)

    @property
    def started(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self.choices)

    @property
    def cost_usd(self) -> float | None:
        """The US dollars OpenRouter says it charged."""
        return cost_in(self.usage)

    def add_event(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add one chunk of a stream."""
        choices = event.get("choices")
        if self._first_has_begun and type(choices) is list and len(choices) == 1:
            # The path of every token: one more piece of text and nothing else.
            choice = choices[0]
            if (
                type(choice) is dict
                and choice.get("index") == 0
                and type(delta := choice.get("delta")) is dict
                and (len(delta) == 1 or _is_plain(delta))
                and type(text := delta.get("content")) is str
                and choice.get("finish_reason") is None
                and choice.get("logprobs") is None
                and choice.get("error") is None
                and event.get("usage") is None
                and event.get("error") is None
            ):
                if text:
                    self._first_texts.append(text)
                    self.content += 1
                    if chunks is not None:
                        chunks.append(Chunk(text))
                return
        if not isinstance(choices, list):
            if choices is not None:
                self.mark_malformed("choices")
            choices = []
        self._add_chunk(event, choices, chunks)

    def add_document(self, document: Message) -> None:
        """Add a completion that came as one document."""
        if self._document is not None:
            self._set_error("more than one completion")
            return
        self._document = document
        self.add_event(document, None)
        self._set_bare_error(document)

    def has_finished(self, choices: int = 1) -> bool:
        """Whether so many choices have begun, and all that have begun have their finish reason."""
        return len(self.choices) >= choices and all(choice.finish for choice in self.choices.values())

    def mark_malformed(self, what: str) -> None:
        """Note that a part of the answer cannot be read: it is lost, so the rest is no whole answer."""
        self._malformed = self._malformed or what
        self.ended = True

    def write_to(self, reply: Reply) -> None:
        """Write what has come so far into `reply`."""
        # Methods, not lambdas: replies cross processes.
        reply._build_raw = self.raw if self._document is None else self._document.copy
        served = self.envelope.get("model")
        reply.served_model = served if isinstance(served, str) else None
        reply.usage = read_usage(self.usage)
        if (first := self.first) is not None:
            reply.text, reply.reasoning, reply.tool_calls = first.text, first.reasoning, first.tool_calls.joined()
            reply.finish_reason = first.finish_reason

    def check(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else the error."""
        if self._malformed:
            return BadReply(f"malformed: {self._malformed}", request_id=request_id)
        first, wanted = self.first, params.get("n")
        if not isinstance(wanted, int) or self._document is not None:
            wanted = 1  # a document has all its choices; a stream may be cut before the second has begun
        whole = self.ended or self.has_finished(wanted)
        if first is None:
            return BadReply("nothing came: no choices" if whole else "cut before anything came", request_id=request_id)
        if not whole:
            return BadReply("truncated: neither a finish reason nor [DONE] has come", request_id=request_id)
        if not all(choice.tool_calls.all_named for choice in self.choices.values()):
            return BadReply("a tool call without a name", request_id=request_id)
        return None if self.content else _check_empty(first, params, request_id)

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        raw: Message = {key: value for key, value in self.envelope.items() if key not in _NOT_IN_RAW}
        raw["object"] = "chat.completion"
        raw["choices"] = [choice.raw(index) for index, choice in sorted(self.choices.items())]
        if self.usage is not None:
            raw["usage"] = self.usage
        return raw

    def _add_chunk(self, chunk: Message, choices: list[object], chunks: list[Chunk] | None) -> None:
        self._set_error(chunk.get("error"))
        if "choices" not in chunk:
            self._set_bare_error(chunk)
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._add_choice(choice, position, chunks)
            else:
                self.mark_malformed("a choice")
        self.envelope.update((key, value) for key, value in chunk.items() if value is not None)
        usage = chunk.get("usage")
        groq = chunk.get("x_groq")  # Groq's place for usage and errors in the first and last chunk of a stream
        if isinstance(groq, dict):
            usage = usage or groq.get("usage")
            self._set_error(groq.get("error"))
        if isinstance(usage, dict):
            self.usage = usage

    def _add_choice(self, choice: Message, position: int, chunks: list[Chunk] | None) -> None:
        index = choice.get("index")
        if self._document is not None or index is None:
            self._unnumbered = self._document is None
            index = position
        if type(index) is not int or index < 0 or (self._unnumbered and index > 0):
            self.mark_malformed("a choice's index")
            return
        mine = self.choices.get(index)
        if mine is None:
            mine = self.choices[index] = Choice()
            if index == 0:
                self._first_texts, self._first_has_begun = mine.pieces["content"], True
        self.content += mine.add(choice, chunks if index == 0 else None)
        if mine.malformed:
            self.mark_malformed(mine.malformed)
        self._set_error(choice.get("error"))
        if mine.finish == "error":
            self._set_error("the provider ended the answer with finish reason 'error'")

    def _set_bare_error(self, document: Message) -> None:
        if (bare := bare_error(document)) is not None:
            self._set_error(bare["error"])

    def _set_error(self, error: object) -> None:
        if error and self.error is None:
            self.error, self.ended = {"error": error}, True


def _is_plain(delta: Message) -> bool:
    """Whether a delta brings nothing but text; some hosts repeat the role, or name what there is not."""
    return not [key for key, value in delta.items() if value and key not in _PLAIN_FIELDS]


def _check_empty(first: Choice, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
    """`None` where an answer may rightly be empty: its tokens went unseen, or it began with the caller's stop word."""
    if first.finish == "content_filter":
        message = "the provider's content filter let nothing through"
        return Refused(message, code=first.finish, request_id=request_id)
    if first.finish is not None and (first.finish_reason == "length" or params.get("stop")):
        return None
    return BadReply(f"empty: neither text nor tool call (finish reason {first.finish!r})", request_id=request_id)
