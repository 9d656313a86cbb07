"""One small POST over a connection of the pool, up to the headers of its response, without aiohttp's session.

aiohttp's session does much that a call of an API never needs: redirects, cookies, netrc, middlewares, traces, timeouts,
a task that writes the body. For a small body to a plain URL it is left out, and what is the same for every request of a
URL is built once. That saves a third of the CPU of a call.

The pool, the parser and the body stay aiohttp's; how they are put together here is the way of its versions 3.14 and
3.15. Of 3.15 there was only the branch (4e5cc054f, 2026-08-22): there a call cost 77 µs of CPU this way and 128 through
the session (3.14.5: 60 and 114), server included, with and without `aiofastnet`, under which only the size of reads
cannot be limited. With another version, or when a part is missing, and for a large body, a proxy or an unusual URL,
everything goes through the session, and the pool is aiohttp's own (`connector.py`). Guaranteed: what is sent, and what
the transport raises, is the same either way, and a connection that fails or is cancelled does not return to the pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.helpers import TimerNoop
from multidict import CIMultiDict

from asyncrouter._credentials.secret import reveal_all
from asyncrouter._transport import aiohttp_version
from asyncrouter._transport.direct_response import DirectResponse
from asyncrouter._transport.outgoing import check_fields

if TYPE_CHECKING:
    import asyncio
    import ssl as tls
    from collections.abc import Mapping

    from yarl import URL

    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._transport.connector import Connector

SMALL_BODY: Final = 1 << 15
"""Bytes of a body that a socket's buffer takes at once, so that writing them never waits for the other side."""
MAX_HEADER_BYTES: Final = 1 << 16
"""Bytes of one line of a response's head: relays send headers longer than aiohttp's own limit of 8,190."""
MAX_HEADS: Final = 32
"""Heads of requests to one URL that are kept: each key has its own, and so has a call with headers of its own."""
_NO_TIMER: Final = TimerNoop()
"""Stands for the timeout of a read: reads have none of aiohttp's."""
_INFORMATIONAL: Final = frozenset(range(100, 200)) - {101}
"""The statuses after which the response itself is still to come; after 101 comes another protocol."""


class QuietResponse(aiohttp.ClientResponse):
    """A response that is shown without the query of its URL: aiohttp shows those that a program has abandoned."""

    def __repr__(self) -> str:
        return f"<ClientResponse of {self.url.host_port_subcomponent} [{self.status}]>"


class Destination:
    """A URL with all that its requests have in common.

    `template` stands for every one of them where the pool opens a connection, `key` where it looks for one.
    """

    __slots__ = ("_heads", "key", "template", "url")

    def __init__(
        self, url: URL, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession,
        ssl: tls.SSLContext | aiohttp.Fingerprint | bool,
    ) -> None:
        self.url = url
        self.template = aiohttp.ClientRequest("POST", url, loop=loop, session=session, ssl=ssl)
        self.key = self.template.connection_key
        self._heads: dict[int, tuple[Mapping[str, Sealed], bytes]] = {}  # by the identity of their headers

    def __repr__(self) -> str:
        return f"<Destination {self.url.host_port_subcomponent}>"

    def prepare(self, headers: Mapping[str, Sealed]) -> None:
        """Build the head of a request. Raises `ValueError`, which names the field, for what HTTP cannot carry.

        It is kept, because nearly every request of a key has the very same headers.
        """
        if id(headers) not in self._heads:
            check_fields("POST", headers)
            self._head(headers)

    def write(self, transport: asyncio.Transport, headers: Mapping[str, Sealed], body: bytes) -> None:
        """Write a request that has been prepared.

        This is the one place where secrets are in plain text, and nothing in it can raise.
        """
        transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (self._head(headers), len(body), body))

    def _head(self, headers: Mapping[str, Sealed]) -> bytes:
        kept = self._heads.get(id(headers))
        if kept is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            kept = self._heads[id(headers)] = headers, self._build(headers)
        return kept[1]

    def _build(self, headers: Mapping[str, Sealed]) -> bytes:
        named = CIMultiDict({"Host": self.url.host_port_subcomponent or ""})
        named.update(reveal_all(headers))
        named.pop("Content-Length", None)
        lines = [f"POST {self.url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), ""]
        return "\r\n".join(lines).encode()


def is_plain(url: URL) -> bool:
    """Whether there is nothing about a URL that aiohttp's session should see to."""
    return aiohttp_version.KNOWN and url.scheme in {"http", "https"} and bool(url.raw_host) and url.raw_user is None


async def exchange(
    pool: Connector, destination: Destination, request: Request, timeout: aiohttp.ClientTimeout
) -> DirectResponse:
    """Send a POST with a small body and return with the headers of its response.

    Raises what the session raises; but `HttpProcessingError` for what is not HTTP, which the session wraps.
    """
    key = destination.key
    try:
        protocol = await pool.take(destination.template, key, timeout)
    except TimeoutError:
        raise aiohttp.ConnectionTimeoutError from None
    try:
        protocol.set_response_params(
            timer=_NO_TIMER, read_until_eof=True, auto_decompress=False, max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was lost before the request was written")
        destination.write(transport, request.sealed_headers, request.body)
        message, body = await protocol.read()
        while message.code in _INFORMATIONAL:
            message, body = await protocol.read()
        return DirectResponse(pool, key, protocol, destination.url, message, body)
    except BaseException:
        pool._release(key, protocol, should_close=True)
        raise
