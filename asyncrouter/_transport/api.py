"""What a wire format asks for and a transport gives: the interface above which nothing knows of sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from asyncrouter._credentials.secret import Secret, reveal, reveal_all, seal_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from asyncrouter._credentials.secret import Sealed

PIECE = 1 << 16
"""Bytes of a file that are read and sent at a time."""


class SealedRequest(NamedTuple):
    """A request whose URL, header values and proxy may be `Secret`s."""

    method: str
    url: Sealed
    headers: Mapping[str, Sealed]
    body: bytes
    connect: float | None = None
    proxy: Sealed | None = None
    ca: str | None = None


class Request(SealedRequest):
    """One HTTP request, complete: a transport adds nothing to it but the connection.

    `connect` is the connect timeout in seconds, `None` for no limit; it runs from the moment a new connection is begun
    until it is ready, TLS handshake included. `proxy` is a URL, `ca` the path of a bundle of certificates.

    Keys are sealed inside: neither `repr()` nor a listing of local variables shows one, and a request that has one
    cannot be pickled. `url`, `headers` and `proxy` give them out; read them as late as possible.
    """

    __slots__ = ()

    def __new__(
        cls, method: str, url: Sealed, headers: Mapping[str, Sealed], body: bytes, connect: float | None = None,
        proxy: Sealed | None = None, ca: str | None = None,
    ) -> Self:
        """A request made by hand: what may be a credential, by the name of its header field, is sealed."""
        sealed = seal_credentials(headers)
        if isinstance(proxy, str) and "@" in proxy:
            proxy = Secret(proxy)
        return tuple.__new__(cls, (method, url, sealed, body, connect, proxy, ca))

    @classmethod
    def of_sealed(
        cls, method: str, url: Sealed, headers: Mapping[str, Sealed], body: bytes, connect: float | None,
        proxy: Sealed | None, ca: str | None,
    ) -> Self:
        """A request whose secrets are sealed already."""
        return tuple.__new__(cls, (method, url, headers, body, connect, proxy, ca))

    def __repr__(self) -> str:
        url = self.sealed_url
        shown = url if isinstance(url, str) else f"{reveal(url).partition('?')[0]}?…"
        return f"Request(method={self.method!r}, url={shown!r}, connect={self.connect!r}, ca={self.ca!r})"

    @property
    def url(self) -> str:
        """The URL, with the query that the configuration adds."""
        return reveal(self[1])

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, with the key."""
        return reveal_all(self[2])

    @property
    def proxy(self) -> str | None:
        """The URL of the proxy, with its password; `None` for none."""
        return None if self[5] is None else reveal(self[5])

    @property
    def sealed_url(self) -> Sealed:
        """The URL; opaque if the configuration adds a query to it."""
        return self[1]

    @property
    def sealed_headers(self) -> Mapping[str, Sealed]:
        """The header fields; their values are opaque where they may be secret."""
        return self[2]


class FileRequest(Request):
    """A request whose body is a file on disk between two pieces of bytes; it is sent piece by piece, not read whole.

    `size` is the length of the body in bytes, which its Content-Length has to say. A transport that does not know this
    class reads `body`, which is all of it at once.
    """

    path: Path
    before: bytes
    after: bytes

    @classmethod
    def of(cls, request: Request, path: Path, before: bytes = b"", after: bytes = b"") -> Self:
        """The same request with this body in the place of its own."""
        made = tuple.__new__(cls, (*request[:3], b"", *request[4:]))
        made.path, made.before, made.after = path, before, after
        return made

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self.before) + self.path.stat().st_size + len(self.after)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join((self.before, self.path.read_bytes(), self.after))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces of at most 64 KiB, from its beginning each time."""
        if self.before:
            yield self.before
        with self.path.open("rb") as file:
            while data := file.read(PIECE):
                yield data
        if self.after:
            yield self.after


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
