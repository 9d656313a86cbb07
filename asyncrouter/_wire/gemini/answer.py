"""Builds an answer from JSON of Google's generateContent: the fragments of a stream, or one response.

How it works. Each fragment is translated into a Chat Completions chunk (`candidate.py`) and added to a
`CompletionBuilder`, which does the collecting. This module adds what only Google's API has: a prompt that was blocked,
finish reasons that are errors, and usage that is repeated in every fragment. `[DONE]` is no word of Google's: it stops
the reading, but an answer is whole only when all candidates that were asked for have a finish reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Refused
from asyncrouter._repr import visible_name
from asyncrouter._wire.decoding.not_an_answer import bare_error
from asyncrouter._wire.failure.error_body import one_line
from asyncrouter._wire.fields import grown_counts, object_in
from asyncrouter._wire.gemini.candidate import CandidateReader
from asyncrouter._wire.gemini.finish import NO_REASON, error_class
from asyncrouter._wire.gemini.usage import write_counts
from asyncrouter._wire.openai.answer import CompletionBuilder
from asyncrouter._wire.origin import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Chunk, Message, Reply
    from asyncrouter._wire.gemini.parts import PartsInOrder
    from asyncrouter._wire.origin import Origin


REPEATS_AFTER: Final = 2
"""Pieces of a text from which on one more can be all of them again. Google's are long: one that comes twice is said
twice, as Google's own client reads it."""


class ResponseBuilder:
    """Collects one generateContent response. Implements `AnswerBuilder`.

    `now` (seconds since the epoch) dates `Reply.raw`, and is in the ids of function calls where Google gives none;
    `origin` is where the response came from.
    """

    __slots__ = ("_completion", "_counts", "_failed", "_origin", "_reader", "characters", "content", "ended", "error")

    def __init__(self, now: float, origin: Origin) -> None:
        self.content = self.characters = 0
        self.ended = False
        self.error: Message | None = None
        self._completion = CompletionBuilder(repeats_after=REPEATS_AFTER)
        self._completion.envelope = {"id": "", "created": int(now)}
        self._reader = CandidateReader(f"{now * 1e6:.0f}")
        self._origin = origin
        self._counts: Message | None = None
        self._failed: tuple[type[AttemptError], str, str] | None = None  # class, code and message of the error

    def __repr__(self) -> str:
        return f"<ResponseBuilder {self._completion!r}>"

    @property
    def started(self) -> bool:
        """Whether anything of an answer has come; a blocked prompt has none, and is an answer all the same."""
        return self._completion.started or self._failed is not None

    @property
    def cost_usd(self) -> None:
        """Google does not say what it charged."""
        return None

    def add_event(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add one fragment of a stream, or one whole response."""
        completion, reader = self._completion, self._reader
        chunk: Message = {"error": event.get("error")}
        if isinstance(identifier := event.get("responseId"), str) and identifier:
            completion.note_id(identifier, begins=True)
            chunk["id"] = reader.id_prefix = identifier
        if isinstance(served := event.get("modelVersion"), str):
            chunk["model"] = served
        if isinstance(counts := event.get("usageMetadata"), dict):
            self._counts = grown_counts(self._counts, counts)  # cumulative: the last ones count
        candidates = reader.objects("candidates", event.get("candidates"))
        chunk["choices"] = [self._choice(candidate, position) for position, candidate in enumerate(candidates)]
        if reader.malformed:
            completion.mark_malformed(reader.malformed)
        completion.add_event(chunk, chunks)
        self.content, self.characters, self.error = completion.content, completion.characters, completion.error
        if self.error is not None and not isinstance(self.error.get("error"), dict):
            self.error = event
        self.ended = self.ended or completion.ended
        if not candidates and self.error is None and (bare := bare_error(event)) is not None:
            self.error, self.ended = bare, True
        if "promptFeedback" in event:
            self._read_feedback(object_in(event, "promptFeedback"))

    def add_document(self, document: Message) -> None:
        """Add a response that came as one document, or one of a list of fragments."""
        self.add_event(document, None)

    def write_to(self, reply: Reply) -> None:
        """Write what has come so far into `reply`."""
        self._completion.usage = write_counts(self._counts)
        self._completion.write_to(reply)
        reply._build_raw = self.raw

    def check(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else the error."""
        request_id = request_id or str(self._completion.envelope["id"]) or None
        if self._failed is not None:
            kind, code, message = self._failed
            return kind(message, code=code, request_id=request_id)
        self._completion.usage = write_counts(self._counts)
        error = self._completion.check(params, request_id)
        if isinstance(error, Refused) and (first := self._completion.first) is not None:
            error.code = visible_name(str(first.rest.get("native_finish_reason", error.code)))
        return error

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        self._completion.usage = write_counts(self._counts)
        for index, parts in self._reader.parts.items():
            if (choice := self._completion.choices.get(index)) is not None:
                choice.other.replace(self._kept(parts))
        return self._completion.raw()

    def _kept(self, parts: PartsInOrder) -> Message:
        """What a message needs besides its own fields to go back as it came, and who can read it."""
        kept = parts.kept()
        if kept is None and not parts.is_signed:
            return {}
        origin: Message = {ORIGIN: self._origin.written(self._completion.envelope.get("model"))}
        return origin if kept is None else {"content_parts": kept, **origin}

    def _choice(self, candidate: Message, position: int) -> Message:
        index = self._reader.index(candidate, position)
        held = self._completion.choices.get(index)
        reason = candidate.get("finishReason")
        if index == 0 and isinstance(reason, str) and reason not in NO_REASON:
            name = reason.upper()
            if (kind := error_class(name)) is not None:
                self._fail(kind, name, f"finish reason {name}", candidate.get("finishMessage"))
        return self._reader.choice(candidate, index, len(held.tool_calls) if held is not None else 0)

    def _read_feedback(self, feedback: Message) -> None:
        """A blocked prompt has no answer; one that was blocked while it was being answered has a filtered one."""
        reason = feedback.get("blockReason")
        if reason in NO_REASON:
            return
        self.ended = True
        for choice in self._completion.choices.values():
            choice.finish, choice.has_ended = choice.finish or "content_filter", True
        if not self.content:
            explanation = feedback.get("blockReasonMessage")
            self._fail(Refused, str(reason), f"the prompt was blocked: {reason}", explanation)

    def _fail(self, kind: type[AttemptError], code: str, message: str, explanation: object) -> None:
        self.ended = True
        if self._failed is None:
            has_one = isinstance(explanation, str) and explanation
            self._failed = kind, code, one_line(f"{message}: {explanation}" if has_one else message)
