"""A response that is read from a pooled connection past aiohttp's session: status, header fields, body, and its end.

aiohttp's own `ClientResponse` also keeps cookies, history, the request and the writer of its body; for a small POST
nobody asks for them. This one has the attributes that `AiohttpResponse` uses of either, with the same meaning.

The connection goes back to the pool when the body has come to its end, or is closed by `close()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import ClientConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from yarl import URL

    from asyncrouter._transport.connector import Connector

_CLOSED: Final = "Connection closed"
"""What a read of a closed response says; aiohttp's own words."""


class DirectResponse:
    """One response on `connection`, which is `None` once it has been given back to the pool or closed."""

    __slots__ = ("_key", "_pool", "connection", "content", "headers", "status", "url")

    def __init__(
        self, pool: Connector, key: ConnectionKey, connection: ResponseHandler, url: URL, message: RawResponseMessage,
        content: StreamReader,
    ) -> None:
        self._pool = pool
        self._key = key
        self.connection: ResponseHandler | None = connection
        self.url = url
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        content.on_eof(self._ended)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.url.host_port_subcomponent} [{self.status}]>"

    def close(self) -> None:
        """Close the connection, unless the body has ended. A read that waits raises `ClientConnectionError`."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if self.content.exception() is None:
            self.content.set_exception(ClientConnectionError(_CLOSED))
        self._pool._release(self._key, connection, should_close=True)

    def _ended(self) -> None:
        """The whole body has come: the connection goes back to the pool, which closes one that cannot go on."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._pool._release(self._key, connection)
