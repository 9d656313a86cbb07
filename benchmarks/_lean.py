"""The least world a whole router can run in: models that are functions, one future a request, virtual time.

`asyncrouter.sim` plays every byte of a reply; here a reply is one JSON body that comes after so many seconds, which is
all that policies can see, and a million of them take a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from asyncrouter import ConnectionFailed, Router
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from asyncrouter import Request

T = TypeVar("T")

BODY = b'{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
ERROR = b'{"error":{"message":"no"}}'
NOTHING: Mapping[str, str] = MappingProxyType({})
REFUSED = 0
"""The status of a connection that is refused."""


class Fate(NamedTuple):
    """What becomes of a request: its status after so many seconds (`inf`: never)."""

    seconds: float
    status: int = 200


Model = Callable[[float], Fate]
"""Decides the fate of a request that is sent at an instant."""


class Answer:
    """A whole body, read at once."""

    __slots__ = ("_body", "connected_at", "headers", "reused", "status")

    def __init__(self, status: int, at: float) -> None:
        self.status = status
        self.headers = NOTHING
        self.connected_at = at
        self.reused = True
        self._body = BODY if status == 200 else ERROR

    async def read(self, rest: float = 0.0) -> bytes:
        """Everything, then nothing."""
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing is held."""


class Lean:
    """Carries requests to functions, by the host of their address."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = {f"http://{name}.test/v1/chat/completions": model for name, model in models.items()}

    async def send(self, request: Request) -> Answer:
        """Wait until the fate of the request has come."""
        loop = asyncio.get_running_loop()
        seconds, status = self._models[request.url](loop.time())
        waiter = loop.create_future()
        timer = None if seconds == inf else loop.call_later(seconds, waiter.set_result, None)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
        if status == REFUSED:
            raise ConnectionFailed("connection refused")
        return Answer(status, loop.time())

    async def aclose(self) -> None:
        """Nothing is held."""


def play(
    models: Mapping[str, Model], main: Callable[[Router], Awaitable[T]], *, seed: int = 1, **chain: object
) -> T:
    """Run `main` in virtual time with a router whose only task is these models, in their order."""
    table: dict[str, object] = {
        "default_provider": next(iter(models)),
        "providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in models},
        "models": {name: {"provider": name, "id": name} for name in models},
        "defaults": {"wire_stream": False, "connect": "none", "total": "none", "deadline": "none"},
        "tasks": {"default": {"models": list(models), **chain}},
    }

    async def run() -> T:
        async with Router(table, transport=Lean(models), seed=seed) as router:
            return await main(router)

    return Clock().run(run())
