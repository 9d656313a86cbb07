"""A response of aiohttp's behind the `Response` interface: batched reads, and a close that never awaits.

States: open, resting (a read that leaves the socket alone), closed. While a read rests, the kernel's buffer fills and
nothing is parsed; then all that has come is taken at once. `close()` may be called in any state and from anywhere: it
wakes a resting or waiting read, which then raises `ConnectionFailed`. Once the body has come to its end the connection
is back in the pool, and closing leaves it there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.errors import attempt_error
from asyncrouter._transport.unpacking import unpacker_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from asyncrouter._transport.direct_response import DirectResponse
    from asyncrouter._transport.unpacking import Unpacker


class AiohttpResponse:
    """One response; it adds itself to `open_responses` until it has ended or is closed."""

    __slots__ = (
        "_content", "_open_responses", "_response", "_resting", "_unpacker", "connected_at", "headers", "reused",
        "status",
    )

    def __init__(
        self, response: aiohttp.ClientResponse | DirectResponse, open_responses: set[AiohttpResponse], reused: bool,
        connected_at: float, *, packed: bool = True,
    ) -> None:
        """`packed` says that aiohttp has not unpacked a compressed body."""
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.reused = reused
        self.connected_at = connected_at
        self._response = response
        self._content = response.content
        self._unpacker = None
        if packed and "Content-Encoding" in self.headers:
            self._unpacker = unpacker_for(self.headers, response.url.host_port_subcomponent)
        self._resting: asyncio.Future[None] | None = None
        self._open_responses = open_responses
        open_responses.add(self)

    def __repr__(self) -> str:
        state = "resting" if self._resting is not None else "open" if self in self._open_responses else "closed"
        return f"<{type(self).__name__} {self.status} {state}>"

    async def read(self, rest: float = 0.0) -> bytes:
        """See `Response.read`. A body of unstated length that is reset counts as ended: aiohttp does not tell."""
        try:
            if rest > 0.0:
                await self._rest(rest)
            data = await (self._content.readany() if self._unpacker is None else self._unpacked(self._unpacker))
        except Exception as error:
            failed = attempt_error(error)
            if isinstance(error, RuntimeError) and self._lost():  # how aiohttp says that the read began too late
                failed = ConnectionFailed("the connection was closed")
            self.close()
            if failed is None:
                raise
        else:
            if not data:
                self._open_responses.discard(self)
            return data
        raise failed

    def close(self) -> None:
        """See `Response.close`."""
        self._open_responses.discard(self)
        if not self._content.is_eof():
            self._response.close()
        if self._resting is not None:
            self._end_rest()

    async def _unpacked(self, unpacker: Unpacker) -> bytes:
        """The next piece of a compressed body, `b""` at its end."""
        while True:
            if unpacker.pending:
                await asyncio.sleep(0)  # a kilobyte can unpack to a megabyte: others have their turn in between
                data = unpacker.take()
            elif packed := await self._content.readany():
                data = unpacker.take(packed)
            else:
                unpacker.end()
                return b""
            if data:
                return data

    def _lost(self) -> bool:
        connection = self._response.connection
        return connection is None or connection.transport is None

    async def _rest(self, seconds: float) -> None:
        """Leave the socket alone for so many seconds; not at all when it has nothing more to bring."""
        connection = self._response.connection
        transport = None if connection is None or self._content.is_eof() else connection.transport
        if connection is None or transport is None or transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        self._resting = loop.create_future()
        timer = loop.call_later(seconds, self._end_rest)
        # Not the protocol's own pause: after that aiohttp's parser hands over one chunk and keeps the others back.
        transport.pause_reading()
        try:
            await self._resting
        finally:
            timer.cancel()
            self._resting = None
            if connection.transport is transport:
                transport.resume_reading()
        # The loop looks at the socket in its next turn, and what has come is here in the one after.
        for _ in range(2):
            await asyncio.sleep(0)

    def _end_rest(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)
