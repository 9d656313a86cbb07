"""The interface of a wire format: a call becomes a request, bytes become a reply, a failed response becomes an error.

A wire does no I/O ("sans-IO"): the engine sends what `encode` writes and feeds what comes back to a `Decoder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Model
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call, Chunk, Reply


class WireChoice(NamedTuple):
    """Which of its APIs a provider is asked on, by the name that `Provider.wire` has for it, and why."""

    wire: str
    reason: str


class Decoder(Protocol):
    """Decodes the body of one successful response: any number of `feed()`, then `close()`, then the reply is final.

    `reply`, `content`, `characters` and `cost_usd` may be read at any time and say what has come so far.
    """

    done: bool
    """Whether the provider has sent its last event, or an error: more bytes would be ignored, so stop reading."""
    skipped: int
    """How many events could not be read and took nothing of the answer with them."""

    @property
    def reply(self) -> Reply:
        """The answer so far, the same object every time. It is whole once `close()` has returned `None`."""
        ...

    @property
    def content(self) -> int:
        """How many pieces of content have come: non-empty text, reasoning, refusal, a tool call's name or arguments.

        Of Anthropic's blocks of other kinds each counts as one piece, when it begins.
        """
        ...

    @property
    def characters(self) -> int:
        """How many characters these pieces have. One without words, such as a picture, counts as one character."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """The US dollars the provider says it charged; `None` when it says nothing."""
        ...

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Decode the next bytes; with `chunks`, append what a reader of the stream is to see. Never raises.

        Bytes fed after `close()`, or once `done` is true, are ignored.
        """
        ...

    def close(self) -> AttemptError | None:
        """End the answer, because no more bytes come: `None` if it is whole, else the error that says why it is not.

        The first call decides, with the bytes fed until then; later calls return the same object.
        """
        ...

    def would_be_whole(self) -> bool:
        """Whether the answer would be whole if its body ended here; nothing is decided."""
        ...

    def final(self) -> Chunk:
        """The last chunk, once `close()` has returned `None`: finish reason, usage, and what no chunk has carried."""
        ...


class Wire(Protocol):
    """One provider's API, bound to its address and headers."""

    def for_call(self, call: Call, model: Model, params: Mapping[str, object]) -> Wire:
        """The wire that carries this call: this one, or its sibling where a provider serves two APIs. Never raises."""
        ...

    def explain_choice(self, model: Model, params: Mapping[str, object]) -> WireChoice:
        """Which wire carries a call with these parameters, and why. Sends nothing."""
        ...

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. `params` are the call's parameters with the step's on top.

        `key` is `None` for a provider without authentication; `connect` is the connect timeout in seconds, `None` for
        no limit. Raises `TypeError` or `ValueError`, naming the argument, for what cannot be written as JSON, and
        `Rejected` for what this API has no field for: the chain goes on, for another provider may have one.
        """
        ...

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers: of server-sent events, or of one JSON body."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptError:
        """The error for a response that is not 2xx. Never raises."""
        ...

    def reconsider(self, error: AttemptError, request: Request) -> AttemptError:
        """The error of this request, judged by the provider's own words: not by what they quote from the request."""
        ...

    def adapt(self, model: Model, request: Request, error: AttemptError) -> str | None:
        """Learn from a request that was refused because of one of its parameters.

        Returns the warning to give when the next request to this model is written otherwise, so that it is worth to be
        sent at once; `None` when nothing of the request can be changed. Never raises.
        """
        ...

    def adapt_format(self, model: Model, params: Mapping[str, object], error: AttemptError) -> str | None:
        """Learn that the schema for an answer was refused; the warning to give if it is asked for otherwise now.

        `None` when the error is about something else, or nothing is left to try. Never raises.
        """
        ...

    def format_notes(self, model: Model, params: Mapping[str, object]) -> tuple[str, ...]:
        """What a person should know about how a checked `response_format` is asked for; `()` for nothing."""
        ...

    def adaptations(self, model: Model, params: Mapping[str, object], request: Request) -> tuple[str, ...]:
        """What of this request is written otherwise than these parameters ask for; each set of them is told once."""
        ...

    def streams(self, request: Request) -> bool:
        """Whether the answer to this request is asked for as a stream; not every model and host has one."""
        ...

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """The id under which the provider knows this request, `None` if its headers have none."""
        ...

    def list_models(self, key: Sealed | None) -> Request:
        """The request for the provider's list of models."""
        ...

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in the answer to `list_models`. Raises `BadReply`."""
        ...
