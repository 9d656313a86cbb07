"""Routers over a simulated world, and what they asked of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter import Event, Request, Response, Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import World


def router_of(world: World, *listeners: Callable[[Event], None], **tables: object) -> Router:
    """A router with these tables and listeners, whose models are those of the world."""
    return Router(world.config(**tables), transport=world.transport(), listeners=listeners, seed=1)


def models_asked(world: World) -> list[str]:
    """The models that got a request, in order."""
    return [seen.model for seen in world.seen]


class SlowToClose:
    """A transport over a simulated world whose `aclose()` takes some seconds; `closed` says how far it came."""

    def __init__(self, world: World, seconds: float) -> None:
        self._inner = world.transport()
        self._seconds = seconds
        self.closed: list[str] = []

    async def send(self, request: Request) -> Response:
        return await self._inner.send(request)

    async def aclose(self) -> None:
        self.closed.append("begun")
        await asyncio.sleep(self._seconds)
        await self._inner.aclose()
        self.closed.append("ended")
