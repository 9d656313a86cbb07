"""Builds an answer from Chat Completions JSON: the chunks of a stream, or one completion.

How it works. `add_event` runs once for each token, and nearly every chunk is one more piece of the first choice's text
and nothing else. So it begins with one long condition that recognises this case and appends the piece to a list; no
object is made but the caller's chunk. Everything else goes through `_add_chunk`, and from there to the `Choice` it
belongs to. The text is joined when somebody asks for it.

An answer is whole when `[DONE]` has come, or when as many choices as were asked for have begun and all have their
finish reason. Content that comes after a finish reason takes it back: some hosts send one too early, and a stream that
is cut then must not pass for a whole one. Whether what is whole is an answer is judged by `check`: not without anything
but thoughts, not if the finish reason says that the provider broke off, and not with a tool call that cannot be made.
A part whose type is wrong (a list where text belongs) makes the answer malformed: what stood there is
lost, and a finish reason does not bring it back. An error may stand in the chunk, in a choice, in `x_groq`, or be the
whole document; it ends the answer wherever it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply
from asyncrouter._types import Chunk
from asyncrouter._wire.decoding.judgement import broken_off, judge_empty, lost_call
from asyncrouter._wire.decoding.markup import call_left_in
from asyncrouter._wire.decoding.not_an_answer import bare_error
from asyncrouter._wire.decoding.weight import MAX_CHOICES
from asyncrouter._wire.failure.envelopes import error_in_envelope, is_error
from asyncrouter._wire.fields import cost_in, grown_counts
from asyncrouter._wire.openai.choice import Choice
from asyncrouter._wire.openai.repeated_text import LONG_PIECE, may_repeat
from asyncrouter._wire.openai.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message, Reply

MIN_CONTENTS = 2
"""Contents under one id from which on another id means something."""

_PLAIN_FIELDS = ("content", "role")
"""The fields of a delta that is nothing but text: some hosts repeat the role each time."""

_NOT_IN_RAW = ("choices", "usage", "error", "obfuscation")
"""Fields of a chunk that are not copied into `Reply.raw`: put together anew, or padding against eavesdroppers."""


class CompletionBuilder:
    """Collects one Chat Completions answer with all its choices. Implements `AnswerBuilder`.

    `now` (seconds since the epoch) is in the ids of tool calls to which the host gives none; `repeats_after` counts the
    pieces of a text from which on one more can be all of them again.
    """

    __slots__ = (
        "_document", "_first_is_open", "_first_texts", "_ids_vary", "_looks_from", "_malformed", "_repeats_after",
        "_serial", "_unnumbered", "characters", "choices", "content", "ended", "envelope", "error", "usage",
    )

    def __init__(self, now: float = 0.0, repeats_after: int = 1) -> None:
        self._serial = now
        self.choices: dict[int, Choice] = {}
        self.content = self.characters = 0
        self.ended = False
        self.envelope: Message = {}
        """The fields beside the choices: id, model, created and whatever else the host sends."""
        self.error: Message | None = None
        self.usage: Message | None = None
        self._document: Message | None = None  # the completion, if it came as one document
        self._malformed = ""
        self._repeats_after = repeats_after
        self._first_is_open = False  # the first choice has begun, and has no finish reason
        self._first_texts: list[str] = []  # the first choice's pieces of text
        self._looks_from = 0  # the length of a piece of text that has to be looked at for a repetition
        self._ids_vary = False  # the chunks have several ids, which says nothing
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
        if self._first_is_open and type(choices) is list and len(choices) == 1:
            # The path of every token: one more piece of text and nothing else.
            choice = choices[0]
            if (
                type(choice) is dict
                and choice.get("index") == 0
                and type(delta := choice.get("delta")) is dict
                and (len(delta) == 1 or self._is_plain(delta, event.get("id")))
                and type(text := delta.get("content")) is str
                and choice.get("finish_reason") is None
                and choice.get("logprobs") is None
                and choice.get("error") is None
                and event.get("usage") is None
                and event.get("error") is None
            ):
                if text:
                    size = len(text)
                    if size >= self._looks_from and self._may_repeat(text):
                        self._add_chunk(event, choices, chunks)
                        return
                    self._first_texts.append(text)
                    self.content += 1
                    self.characters += size
                    if chunks is not None:
                        chunks.append(Chunk(text))
                return
        if not isinstance(choices, list):
            if choices is not None:
                self.mark_malformed("choices")
            choices = []
        self._add_chunk(event, choices, chunks)

    def add_document(self, document: Message) -> None:
        """Add a completion that came as one document, or one of the chunks of a stream that came as documents."""
        if self._document is None and _is_chunk(document):
            self.add_event(document, None)
            return
        if self._document is not None or self.choices:
            self._set_error("more than one completion")
            return
        self._document = document
        self.add_event(document, None)
        self._set_bare_error(document)

    def has_finished(self, choices: int = 1) -> bool:
        """Whether so many choices have begun, and all that have begun have their finish reason."""
        return len(self.choices) >= choices and all(choice.has_ended for choice in self.choices.values())

    def note_id(self, identifier: object, *, begins: bool) -> None:
        """Note the id of a chunk; `begins`: an answer may begin with it. In the middle of one that is another answer.

        Some gateways ask again when their upstream breaks off, and send the new answer after the half old one. Others
        give each chunk an id of its own, or the last one another.
        """
        known = self.envelope.get("id")
        if not known or not identifier or identifier == known or self._ids_vary:
            return
        if begins and self.content >= MIN_CONTENTS and not self.has_finished():
            self.mark_malformed("a second answer, under another id, after half of the first")
        else:
            self._ids_vary = True

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
        reply.usage = read_usage(self.usage, self.envelope.get("service_tier"))
        if (first := self.first) is not None:
            reply.text, reply.reasoning = first.text, first.reasoning
            reply.tool_calls = first.tool_calls.joined()  # type: ignore[assignment]  # in this shape
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
            whole = whole or self._document is not None
            return BadReply("nothing came: no choices" if whole else "cut before anything came", request_id=request_id)
        if not whole:
            return BadReply("truncated: neither a finish reason nor [DONE] has come", request_id=request_id)
        return self._check_choices(first, params, request_id)

    def _check_choices(
        self, first: Choice, params: Mapping[str, object], request_id: str | None
    ) -> AttemptError | None:
        """The error of choices that have all come; `None` for an answer."""
        choices = self.choices.values()
        if broken := next(filter(None, (choice.broken or choice.broken_natively for choice in choices)), ""):
            return broken_off(broken, request_id=request_id)
        if any(choice.is_undecided for choice in choices):
            return BadReply("truncated: the end of a text has not come", request_id=request_id)
        for choice in choices:
            calls, finish = choice.tool_calls, choice.finish_reason
            if not calls.all_named:
                return BadReply("a tool call without a tool's name", request_id=request_id)
            if not calls.all_usable(cut=finish == "length"):
                return BadReply("a tool call whose arguments are no JSON", request_id=request_id)
            if finish == "tool_calls" and not calls:
                if calls.only_begun:
                    return BadReply("a tool call of which nothing has come", request_id=request_id)
                if (lost := lost_call(params, request_id)) is not None:
                    return lost
            if not calls and (left := call_left_in(choice.text, params, request_id)) is not None:
                return left
        if any(choice.is_answer for choice in choices):
            return None
        return judge_empty(
            first.finish_reason, first.finish, params, request_id,
            usage=read_usage(self.usage), thoughts=any(choice.has_thoughts for choice in choices),
        )

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        raw: Message = {key: value for key, value in self.envelope.items() if key not in _NOT_IN_RAW}
        raw["object"] = "chat.completion"
        raw["choices"] = [choice.raw(index) for index, choice in sorted(self.choices.items())]
        if self.usage is not None:
            raw["usage"] = self.usage
        return raw

    def _is_plain(self, delta: Message, identifier: object) -> bool:
        """Whether a delta of several fields brings nothing but text, and is no beginning of another answer."""
        if not (self._ids_vary or not identifier or identifier == self.envelope.get("id")):
            return False
        # Some hosts repeat the role, or name what there is not.
        return not [key for key, value in delta.items() if value and key not in _PLAIN_FIELDS]

    def _may_repeat(self, text: str) -> bool:
        """Whether the next piece of the first choice's text has to be looked at: the second one, or a long one."""
        self._looks_from = LONG_PIECE if self._first_texts else 0
        return may_repeat(text, self._first_texts, self._repeats_after)

    def _add_chunk(self, chunk: Message, choices: list[object], chunks: list[Chunk] | None) -> None:
        self._set_error(chunk.get("error"), chunk)
        if self.choices:
            self.note_id(chunk.get("id"), begins=any(map(_has_role, choices)))
            if self._malformed:
                return
        if chunk.get("choices") is None or "base_resp" in chunk:
            self._set_bare_error(chunk)
        elif not choices and error_in_envelope(chunk) is not None:
            self._set_error(chunk)
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._add_choice(choice, position, chunks)
            else:
                self.mark_malformed("a choice")
        held = self.envelope
        # What is empty takes nothing back: Azure's last chunk has no id and no model.
        held.update((key, value) for key, value in chunk.items() if value or (value is not None and key not in held))
        usage = chunk.get("usage")
        groq = chunk.get("x_groq")  # Groq's place for usage and errors in the first and last chunk of a stream
        if isinstance(groq, dict):
            usage = usage or groq.get("usage")
            self._set_error(groq.get("error"))
        if isinstance(usage, dict):
            self.usage = grown_counts(self.usage, usage)

    def _add_choice(self, choice: Message, position: int, chunks: list[Chunk] | None) -> None:
        index = choice.get("index")
        if self._document is not None or index is None:
            self._unnumbered = self._document is None
            index = position
        if type(index) is not int or not 0 <= index < MAX_CHOICES or (self._unnumbered and index > 0):
            self.mark_malformed("a choice's index")
            return
        mine = self.choices.get(index)
        if mine is None:
            serial = f"{self._serial * 1e6:.0f}"
            mine = self.choices[index] = Choice(f"{serial}_{index}" if index else serial, self._repeats_after)
            if index == 0:
                self._first_texts = mine.pieces["content"]
        brought = mine.add(choice, chunks if index == 0 else None, in_document=self._document is not None)
        self.content += brought > 0
        self.characters += brought
        if index == 0:
            self._first_is_open = not (mine.has_ended or mine.holds_back)
        if mine.malformed:
            self.mark_malformed(mine.malformed)
        for fields in (choice, choice.get("delta"), choice.get("message")):
            if isinstance(fields, dict):
                self._set_error(fields.get("error"))
                if not self.usage and isinstance(usage := fields.get("usage"), dict):  # Moonshot's place for it
                    self.usage = usage

    def _set_bare_error(self, document: Message) -> None:
        if (bare := bare_error(document)) is not None:
            self._set_error(bare["error"])

    def _set_error(self, error: object, document: Message | None = None) -> None:
        """Set the error, unless there is one. Beside one that is no object its `document` may say more."""
        if error and self.error is None and is_error(error):
            self.error, self.ended = {"error": error}, True
            if document is not None and not isinstance(error, dict):
                self.error = {**document, "choices": None}


def _is_chunk(document: Message) -> bool:
    """Whether a document is a piece of a stream."""
    choices = document.get("choices")
    if document.get("object") == "chat.completion.chunk":
        return True
    return isinstance(choices, list) and bool(choices) and all(
        isinstance(choice, dict) and isinstance(choice.get("delta"), dict) and not choice.get("message")
        for choice in choices
    )


def _has_role(choice: object) -> bool:
    """Whether a choice of a chunk says whose message it is, as the first one does."""
    return isinstance(choice, dict) and isinstance(delta := choice.get("delta"), dict) and bool(delta.get("role"))
