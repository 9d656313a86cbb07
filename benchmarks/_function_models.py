"""A transport whose models are functions, in virtual time: the cheapest way to run a whole router.

`asyncrouter.sim` sends every byte of a reply; here a reply is one JSON body that comes after so many seconds. That is
all that policies see, and a million replies take a minute of CPU.
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
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
REFUSED = 0
"""The status that stands for a refused connection."""


class Result(NamedTuple):
    """The result of a request: its status after so many seconds (`inf`: never)."""

    seconds: float
    status: int = 200


Model = Callable[[float], Result]
"""A model: the result of a request that is sent at an instant of the loop's clock."""


class BufferedResponse:
    """A response whose body is there at once."""

    __slots__ = ("_body", "connected_at", "headers", "reused", "status")

    def __init__(self, status: int, at: float) -> None:
        self.status = status
        self.headers = NO_HEADERS
        self.connected_at = at
        self.reused = True
        self._body = BODY if status == 200 else ERROR

    async def read(self, rest: float = 0.0) -> bytes:
        """The whole body, then the end."""
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing to close."""


class FunctionTransport:
    """A transport that asks the function of a model, found by the host of the URL."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = {f"http://{name}.test/v1/chat/completions": model for name, model in models.items()}

    async def send(self, request: Request) -> BufferedResponse:
        """Wait until the result of the request is due."""
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
        return BufferedResponse(status, loop.time())

    async def aclose(self) -> None:
        """Nothing to close."""


def run_router(
    models: Mapping[str, Model], main: Callable[[Router], Awaitable[T]], *, seed: int = 1, **chain: object
) -> T:
    """Run `main` in virtual time with a router whose default task is these models in this order."""
    table: dict[str, object] = {
        "default_provider": next(iter(models)),
        "providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in models},
        "models": {name: {"provider": name, "id": name} for name in models},
        "defaults": {"wire_stream": False, "connect": "none", "total": "none", "deadline": "none"},
        "tasks": {"default": {"models": list(models), **chain}},
    }

    async def run() -> T:
        async with Router(table, transport=FunctionTransport(models), seed=seed) as router:
            return await main(router)

    return Clock().run(run())
