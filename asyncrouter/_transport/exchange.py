"""One small request and the head of its answer, over a connection of our pool.

What aiohttp's session does for that, without what an API never needs of it (redirects, cookies, netrc, middlewares,
traces, time-outs, a task that writes the body), and with all that is the same for every request of a URL built once.
That is a third of the cost of a call. The pool, the parser and the response are aiohttp's; the way they are put
together here is aiohttp 3.14's.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.helpers import TimerNoop
from multidict import CIMultiDict

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Mapping

    from yarl import URL

    from asyncrouter._transport.api import Request

KNOWN: Final = aiohttp.__version__.startswith("3.14.")
"""Whether these are the parts of aiohttp we know; with those of another version everything goes through the session."""
SMALL: Final = 1 << 15
"""Bytes of a body that a socket's buffer takes at once, so that writing them never waits for the other side."""
_NO_TIMER: Final = TimerNoop()
_WRITTEN: Final[Any] = SimpleNamespace(output_size=0)
"""Stands for a writer that has done its work: all a response asks of one is how much it wrote."""


class Destination:
    """A URL as requests need it. `asked` stands for all of them where the pool wants to know what for."""

    __slots__ = ("_head", "_headers", "asked", "info", "url")

    def __init__(
        self, url: URL, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession,
        ssl: tls.SSLContext | aiohttp.Fingerprint | bool,
    ) -> None:
        self.url = url
        self.asked = aiohttp.ClientRequest("POST", url, loop=loop, session=session, ssl=ssl)
        self.info = self.asked.request_info
        self._headers: Mapping[str, str] | None = None
        self._head = b""

    def __repr__(self) -> str:
        return f"<Destination {self.url.host_port_subcomponent}>"

    def head(self, headers: Mapping[str, str]) -> bytes:
        """All lines before the length of the body; kept, because nearly every request has the very same headers."""
        if headers is not self._headers:
            self._head, self._headers = self._build(headers), headers
        return self._head

    def _build(self, headers: Mapping[str, str]) -> bytes:
        named = CIMultiDict({"Host": self.url.host_port_subcomponent or ""})
        named.update(headers)
        named.pop("Content-Length", None)
        lines = [f"POST {self.url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), ""]
        if any(line.splitlines() != [line] or "\0" in line for line in lines[:-1]):
            raise ValueError("a line break in a header, which would begin another one")  # not shown: it may be a key
        return "\r\n".join(lines).encode()


def is_plain(url: URL) -> bool:
    """Whether there is nothing about a URL that aiohttp's session should see to."""
    return KNOWN and url.scheme in {"http", "https"} and bool(url.raw_host) and url.raw_user is None


async def exchange(
    session: aiohttp.ClientSession, destination: Destination, request: Request, timeout: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    """The answer, from its headers on, to a POST with a small body and no proxy. Raises what the session raises."""
    assert session.connector is not None
    try:
        connection = await session.connector.connect(destination.asked, [], timeout)
    except TimeoutError:
        raise aiohttp.ConnectionTimeoutError from None
    answer: aiohttp.ClientResponse | None = None
    try:
        protocol, loop = connection.protocol, asyncio.get_running_loop()
        assert protocol is not None
        head, body = destination.head(request.headers), request.body
        protocol.set_response_params(timer=_NO_TIMER, read_until_eof=True)
        line = protocol.transport
        if line is None or line.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was lost before the request was written")
        line.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        answer = aiohttp.ClientResponse(
            "POST", destination.url, writer=None, continue100=None, timer=_NO_TIMER, request_info=destination.info,
            traces=[], loop=loop, session=session, stream_writer=_WRITTEN,
        )
        return await answer.start(connection)
    except BaseException:
        if answer is not None:
            answer.close()
        connection.close()
        raise
