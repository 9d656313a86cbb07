"""Wire formats, sans-IO: a call becomes a request, bytes become an answer, a failed response becomes an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Model
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call, Chunk, Reply


class Decoder(Protocol):
    """Turns the bytes of one successful response into a reply, piece by piece."""

    done: bool
    """The provider has said that nothing more comes, or has sent an error: stop reading."""
    skipped: int
    """Malformed events passed over."""

    @property
    def reply(self) -> Reply:
        """The answer so far; whole, and the same object every time, when `close()` says so."""
        ...

    @property
    def content(self) -> int:
        """Pieces of content so far: non-empty text, reasoning, refusal, a tool call's name or arguments."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """What the provider says it charged, where it says so."""
        ...

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes; with `chunks`, append what a reader of the stream is to see. Never raises."""
        ...

    def close(self) -> AttemptError | None:
        """End the answer: no more bytes come. `None` for a whole answer, else the error that says why it is none.

        The first call decides; later ones return the same. Nothing may be fed afterwards.
        """
        ...

    def final(self) -> Chunk:
        """The last chunk, once `close()` is `None`: finish reason and usage, and whatever no chunk has carried yet."""
        ...


class Wire(Protocol):
    """One provider's way of speaking, bound to its address and headers."""

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: str | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call; `params` are the call's with the step's over them.

        Raises `TypeError` or `ValueError` that names the argument which cannot be written, and `Rejected` for what
        this provider has no word for: the chain moves on to one that may have.
        """
        ...

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers: of events, or of one JSON body."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptError:
        """What a response that is not 2xx means. Never raises."""
        ...

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """The id under which the provider knows this request, if its headers say so."""
        ...

    def list_models(self, key: str | None) -> Request:
        """The request that lists what the provider serves now."""
        ...

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in its answer. Raises `BadReply`."""
        ...
