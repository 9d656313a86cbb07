"""A request to the API and its answer, apart from any transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from asyncrouter import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Trace

MAX_NAME: Final = 200
"""Characters of a model's name in a header field: a longer one is cut, as everywhere a name is shown."""
JSON: Final = "application/json"


class ByteStream(Protocol):
    """A body that comes piece by piece: read to its end, or closed."""

    def __aiter__(self) -> Self:
        """Itself."""
        ...

    async def __anext__(self) -> bytes:
        """The next piece."""
        ...

    async def aclose(self) -> None:
        """End it, if it has not ended. Never waits, may be called again."""
        ...


class ApiRequest(NamedTuple):
    """A request to the API.

    - `method`: in capitals, as "POST".
    - `path`: below `/v1`, as "/chat/completions".
    - `headers`: the header fields, by lower-case name or without regard to case.
    - `body`: all of it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    """The answer to a request.

    - `status`: the HTTP status.
    - `headers`: the header fields, with `content-type` and without `content-length`.
    - `body`: the bytes, or a stream of them, which has to be read to its end or closed.
    - `trace`: the record of the call; `None` if there was none.
    """

    status: int
    headers: dict[str, str]
    body: bytes | ByteStream
    trace: Trace | None = None


def summary(trace: Trace, model: str | None = None) -> dict[str, str]:
    """Header fields that say what a call did: its model, attempts, cost and id. The cost only once it has ended."""
    fields = {"x-asyncrouter-trace-id": trace.id, "x-asyncrouter-attempts": str(len(trace.attempts))}
    if model is not None:
        fields["x-asyncrouter-model"] = field_text(model)
    return fields


def cost_field(trace: Trace) -> dict[str, str]:
    """The header field with the US dollars of all attempts; none if they are not known."""
    cost = trace.cost_usd
    return {} if cost is None else {"x-asyncrouter-cost-usd": f"{cost:.9f}".rstrip("0").rstrip(".")}


def field_text(text: str) -> str:
    """A text as the value of a header field: ASCII, in one line, of bounded length."""
    return visible(text[:MAX_NAME]).encode("ascii", "backslashreplace").decode().strip()
