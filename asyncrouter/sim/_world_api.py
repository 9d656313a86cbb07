"""The interface of a simulated world to its two fronts, the in-process transport and the socket server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim.play import Play


class WorldApi(Protocol):
    """Begins and ends requests. `at` is an instant of the event loop's clock, in seconds."""

    def begin(
        self, url: str, headers: Mapping[str, str], body: bytes, at: float, method: str = "POST"
    ) -> tuple[LoggedRequest, Play]:
        """Log a request that begins now, and plan its response. The front calls `end` when its connection is over."""
        ...

    def end(self, request: LoggedRequest, at: float, *, gone: bool = False) -> None:
        """Note that a request's connection is over; `gone`: the client left before the end. Later calls do nothing."""
        ...
