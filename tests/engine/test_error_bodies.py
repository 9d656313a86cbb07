"""The body of an error response: it gets a second, for the status has said enough."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Chain, ConnectionFailed, Model, Provider, RateLimited, Router, ServerFailed
from tests.helpers.canned import CannedTransport
from tests.helpers.wires import GOOD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Request, Response
    from asyncrouter.sim import Clock


class EndlessResponse:
    """An error response whose body begins, and never ends."""

    reused = False

    def __init__(self, status: int, first: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"retry-after": "7", "content-type": "application/json"}
        self.connected_at = asyncio.get_running_loop().time()
        self._first = first
        self._closed = asyncio.Event()

    async def read(self, rest: float = 0.0) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        await self._closed.wait()
        raise ConnectionFailed("closed while reading")

    def close(self) -> None:
        self._closed.set()


class FirstNeverEnds(CannedTransport):
    """Answers for the first model with an error that does not end, for the second with "good"."""

    def __init__(self, status: int, first: bytes) -> None:
        super().__init__(lambda _: GOOD)
        self._status, self._first = status, first

    async def send(self, request: Request) -> Response:  # type: ignore[override]
        if "//first" in request.url:
            return EndlessResponse(self._status, self._first)
        return await super().send(request)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerFailed)])
@pytest.mark.parametrize("first", [b"", b'{"error":'])
def test_a_body_that_does_not_end(clock: Clock, status: int, kind: type, first: bytes, streamed: bool) -> None:
    """After a second the error is what its status and headers say, and the next model answers."""

    async def scenario() -> tuple[object, float]:
        transport = FirstNeverEnds(status, first)
        names = ("first", "second")
        config = {
            "providers": {name: Provider(base_url=f"http://{name}/v1") for name in names},
            "models": {name: Model(provider=name, id="m") for name in names},
        }
        steps = [{"model": name, "wire_stream": streamed} for name in names]
        async with Router(config, transport=transport, seed=1) as router:
            began = asyncio.get_running_loop().time()
            reply = await router.chat("Hi", chain=Chain(steps, retry={"attempts": 1}, first_token=30.0, total=60.0))
            return reply.trace.attempts[0].error, asyncio.get_running_loop().time() - began

    error, seconds = clock.run(scenario())

    assert (type(error), error.status, error.retry_after) == (kind, status, 7.0)  # type: ignore[attr-defined]
    assert 1.0 <= seconds < 1.5
