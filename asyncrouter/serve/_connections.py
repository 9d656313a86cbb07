"""The connections of a server: how many there may be, which are busy, and what is logged of those that fail.

aiohttp closes a connection that has sent no whole head of a request within `keepalive_timeout`, however slowly its
bytes come, and reads no head in two ways. It would quote the bytes that it could not read, in which a key may stand, in
its answer and in its log: so both are our own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from asyncrouter.openai_api import problem_answer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from asyncrouter.serve._options import ServeOptions

_LINE: Final = 8190
"""Bytes of a request line, and of a header field, that are read: as much as other servers take."""
_FIELDS: Final = 100
"""Header fields that a request may have."""
_SERVER: Final = 500
_LINGER: Final = 2.0
"""Seconds for which the rest of a body that nobody wants is read, so that the client sees the answer."""

logger = logging.getLogger("asyncrouter.serve")


def _without_bytes(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    record.msg, record.args, record.exc_info = f"a connection failed: {type(error).__name__}", (), None
    return True


_errors = logging.getLogger("asyncrouter.serve.http")
_errors.addFilter(_without_bytes)


_NO_LOG = cast("logging.Logger", None)
"""aiohttp takes this for no log of requests, though its types do not say so."""


class _Connection(web.RequestHandler):
    """A connection that tells what is wrong with a request in OpenAI's form, without quoting it."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request (400), or failed by a bug (500); the connection ends with it."""
        logger.debug("a request failed with %d: %s", status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has gone out")
        answer = problem_answer(status, "the request cannot be read" if status < _SERVER else "internal error")
        response = web.Response(status=status, body=cast("bytes", answer.body), headers=answer.headers)
        response.force_close()
        return response


class Connections(web.Server):
    """aiohttp's server of connections, with a bound on how many are open."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], options: ServeOptions
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._options = options

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return _Connection(
            self, loop=self._loop, logger=_errors, access_log=_NO_LOG, auto_decompress=False,
            keepalive_timeout=self._options.idle_seconds, lingering_time=_LINGER, max_line_size=_LINE,
            max_field_size=_LINE, max_headers=_FIELDS,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection; one too many is closed without an answer."""
        super().connection_made(handler, transport)
        if len(self.connections) > self._options.max_connections:
            transport.abort()

    def close_idle(self, busy: set[web.RequestHandler]) -> None:
        """Close every connection that is not answering a request."""
        for connection in self.connections:
            if connection not in busy:
                connection.close()
