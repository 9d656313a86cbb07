"""What a wire format asks for and a transport gives: the interface above which nothing knows of sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Request(NamedTuple):
    """One HTTP request, complete: a transport adds nothing to it but the connection.

    `connect` is the connect timeout in seconds, `None` for no limit; it runs from the moment a new connection is begun
    until it is ready, TLS handshake included. `proxy` is a URL, `ca` the path of a bundle of certificates.
    The headers and the body hold secrets, so neither is printed.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    connect: float | None = None
    proxy: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, url={self.url!r}, connect={self.connect!r}, ca={self.ca!r})"


class Response(Protocol):
    """The response to a request, from its headers on.

    `headers` must answer to lower-case names. `connected_at` is the loop's time at which the connection was ready;
    `reused` says that it came from the pool.
    """

    status: int
    headers: Mapping[str, str]
    connected_at: float
    reused: bool

    async def read(self, rest: float = 0.0) -> bytes:
        """Leave the socket alone for `rest` seconds, then return all that has come, waiting if nothing has.

        `b""` is the end of the body. Raises `ConnectionFailed` on a cut, and when closed while reading.
        """
        ...

    def close(self) -> None:
        """Close the connection at once; idempotent; never awaits. After the end of the body this does nothing."""
        ...


class Transport(Protocol):
    """Whatever can carry a request: aiohttp, or a simulated world."""

    async def send(self, request: Request) -> Response:
        """Send a request and return with its headers. Raises `ConnectionFailed` or `AttemptTimeout("connect")`."""
        ...

    async def aclose(self) -> None:
        """Close every connection; idempotent."""
        ...
