"""The interface between the decoders and a wire: an object that collects one vendor's answer piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Chunk, Message, Reply


class AnswerBuilder(Protocol):
    """Collects one answer, from the events of a stream or from one JSON document.

    The decoders read bytes and JSON and know no vendor; a builder knows one vendor's JSON and sees no bytes. None of
    the methods raises, whatever the JSON holds.
    """

    content: int
    """How many pieces of content have come: non-empty text, reasoning, refusal, a tool call's name or arguments.

    Of Anthropic's blocks of other kinds each counts as one piece, when it begins.
    """
    characters: int
    """How many characters these pieces have. One without words, such as a picture, counts as one character."""
    ended: bool
    """Whether nothing more comes: the vendor's last event, an error or something unreadable. Decoders set it too."""
    error: Message | None
    """The provider's error document, if one came in the place of the answer or of its rest."""

    @property
    def started(self) -> bool:
        """Whether anything of an answer has come."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """The US dollars the provider says it charged; `None` when it says nothing."""
        ...

    def add_event(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add one event of a stream. With `chunks`, append what a reader of the stream is to see of it."""
        ...

    def add_document(self, document: Message) -> None:
        """Add an answer that came as one JSON document."""
        ...

    def write_to(self, reply: Reply) -> None:
        """Write what has come so far into the fields of `reply`."""
        ...

    def check(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else the error. `error` is the decoder's to judge.

        `params` are the request's: `n` and `stop` decide what counts as whole.
        """
        ...
