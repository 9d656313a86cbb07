"""A transport that reads each piece of an answer when it comes.

A router with many answers in flight reads its sockets every 0.2 s only, to save CPU. That would show in what a run
measures: first contents and gaps of other calls, by up to 0.2 s from sixteen answers on. A run reads as they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Request, Response, Transport


class Unbatched:
    """The transport `inner`, whose responses never leave their socket alone for a while."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"Unbatched({self._inner!r})"

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        return _UnbatchedResponse(await self._inner.send(request))

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._inner.aclose()


class _UnbatchedResponse:
    """The response `inner`, read at once."""

    __slots__ = ("_inner", "connected_at", "headers", "reused", "status")

    def __init__(self, inner: Response) -> None:
        self._inner = inner
        self.status: int = inner.status
        self.headers: Mapping[str, str] = inner.headers
        self.connected_at: float = inner.connected_at
        self.reused: bool = inner.reused

    async def read(self, rest: float = 0.0) -> bytes:
        """See `Response.read`."""
        return await self._inner.read()

    def close(self) -> None:
        """See `Response.close`."""
        self._inner.close()
