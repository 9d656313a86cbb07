"""What a front, in-process or socket, needs of a world: a place to begin and end requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim.play import Play


class Stage(Protocol):
    """Where requests begin and end."""

    def begin(self, url: str, headers: Mapping[str, str], body: bytes, at: float) -> tuple[Seen, Play]:
        """Log a request that begins now, and lay out what it gets. Its connection lives until `end`."""
        ...

    def end(self, seen: Seen, at: float, *, gone: bool = False) -> None:
        """Note that a request's connection is over; only the first time counts."""
        ...
