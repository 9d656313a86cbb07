"""What a wire knows of an answer; whether it comes as events or as one body is the decoders' business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Chunk, Message, Reply


class Draft(Protocol):
    """An answer as far as it has come, in one provider's words."""

    content: int
    """Pieces of content so far."""
    ended: bool
    """Nothing more comes: the provider has said so, or has sent an error."""
    fault: Message | None
    """The error that came in the place of an answer, or of its rest."""

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """What the provider says it charged, where it says so."""
        ...

    def take(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Take in one event of a stream; append to `chunks` what it brings. Never raises."""
        ...

    def take_whole(self, document: Message) -> None:
        """Take in an answer that came in one piece. Never raises."""
        ...

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`."""
        ...

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it. `fault` is not asked here."""
        ...
