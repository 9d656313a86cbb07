"""One plain request and the head of its answer, over a connection of our pool.

What aiohttp's session does for that, without what an API never needs of it (redirects, cookies, netrc, middlewares,
traces, time-outs), which is a fifth of the cost of a call.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.helpers import TimerNoop
from aiohttp.http import StreamWriter

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Iterable

    from yarl import URL

    from asyncrouter._http import Request

SMALL: Final = 1 << 15
"""Bytes of a body that a socket's buffer takes at once, so that writing them never waits."""
_NO_TIMER: Final = TimerNoop()


class BareRequest(aiohttp.ClientRequest):
    """A request without headers of aiohttp's own choice."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add nothing; the wire has said what to send."""

    if sys.version_info < (3, 12):

        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            """Write a small body in place, as aiohttp does from Python 3.12 on: a task for it is a tenth of a call."""
            protocol, body = conn.protocol, self._body
            small = isinstance(body, aiohttp.BytesPayload) and (body.size or 0) <= SMALL
            if protocol is None or protocol.writing_paused or self.proxy is not None or not small:
                return await super().send(conn)
            writer = StreamWriter(protocol, self.loop)
            await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
            await self.write_bytes(writer, conn, self._get_content_length())
            self.response = self.response_class(
                self.method, self.original_url, writer=None, continue100=None, timer=self._timer,
                request_info=self.request_info, traces=self._traces, loop=self.loop, session=self._session,
                stream_writer=writer,
            )
            return self.response


async def exchange(
    session: aiohttp.ClientSession, request: Request, url: URL, timeout: aiohttp.ClientTimeout,
    ssl: tls.SSLContext | aiohttp.Fingerprint | bool,
) -> aiohttp.ClientResponse:
    """The answer, from its headers on; it needs no proxy and has a body. Raises what `session.request()` raises."""
    assert session.connector is not None
    asked = BareRequest(
        request.method, url, headers=request.headers.items(), data=aiohttp.BytesPayload(request.body),
        loop=asyncio.get_running_loop(), session=session, timer=_NO_TIMER, ssl=ssl,
    )
    try:
        connection = await session.connector.connect(asked, [], timeout)
    except TimeoutError:
        raise aiohttp.ConnectionTimeoutError from None
    try:
        return await _converse(asked, connection)
    except aiohttp.ClientError:
        raise
    except OSError as error:
        raise aiohttp.ClientOSError(*error.args) from error


async def _converse(asked: BareRequest, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
    try:
        assert connection.protocol is not None
        connection.protocol.set_response_params(timer=_NO_TIMER, read_until_eof=True)
        answer = await asked.send(connection)
        try:
            return await answer.start(connection)
        except BaseException:
            answer.close()
            raise
    except BaseException:
        connection.close()
        raise
