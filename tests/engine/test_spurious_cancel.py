"""A `CancelledError` reaches the caller only where somebody has cancelled; a transport's own is a failed attempt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, ConnectionFailed, Reply, Request, Router, StreamInterrupted
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE, ask, tried

if TYPE_CHECKING:
    from asyncrouter import Response


class GivingUp:
    """A transport over the simulated one whose first request, or its reading, waits for what somebody else cancels."""

    def __init__(self, world: World, where: str) -> None:
        self._inner, self._where, self._first = world.transport(), where, True

    async def send(self, request: Request) -> Response:
        first, self._first = self._first, False
        if first and self._where == "send":
            await self._cancelled()
        response = await self._inner.send(request)
        if first and self._where in {"head", "body"}:
            response.read = self._reading(response.read)  # type: ignore[method-assign]
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _reading(self, read: Any) -> Any:
        calls = 0

        async def reading(rest: float = 0.0) -> bytes:
            nonlocal calls
            calls += 1
            if self._where == "head" or calls > 2:
                await self._cancelled()
            return await read(rest)

        return reading

    @staticmethod
    async def _cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.5, future.cancel)
        await future


def routed(clock: Clock, world: World, where: str, mode: str, **arguments: Any) -> Any:
    world.model("a", Act(text="one two three four", tokens=4, gap=1.0))
    world.model("b", Act(text="hi"))

    async def main() -> Any:
        async with Router(world.config(), transport=GivingUp(world, where), seed=1) as router:  # type: ignore[arg-type]
            return await ask(router, mode, chain=["a", "b"], retry=ONCE, **arguments)

    return clock.run(main())


@pytest.mark.parametrize("mode", ["chat", "stream"])
@pytest.mark.parametrize("where", ["send", "head"])
def test_the_next_model_answers(clock: Clock, world: World, where: str, mode: str) -> None:
    """While the request is sent, or before its first content, by `chat()` and by `stream()`."""
    reply = routed(clock, world, where, mode)

    assert isinstance(reply, Reply)
    assert [(one.model, one.error) for one in tried(reply.trace)] == [("a", "ConnectionFailed"), ("b", None)]
    message = reply.trace.attempts[0].error.message  # type: ignore[union-attr]
    assert message == "the transport gave up the request, though nobody has cancelled it"


def test_in_the_middle_of_an_answer(clock: Clock, world: World) -> None:
    """`chat()` goes on with the next model, and a stream is interrupted."""
    assert routed(clock, world, "body", "chat").text == "hi"
    with pytest.raises(StreamInterrupted):
        routed(clock, World(seed=1), "body", "stream")


@pytest.mark.parametrize("where", ["send", "head"])
@pytest.mark.parametrize("method", ["models", "embed"])
def test_a_list_and_an_embedding_fail(clock: Clock, world: World, method: str, where: str) -> None:
    """`models()` and `embed()` raise their own errors, too."""
    world.model("a", Act(text="hi"))

    async def main() -> Any:
        async with Router(world.config(), transport=GivingUp(world, where)) as router:  # type: ignore[arg-type]
            return await (router.models() if method == "models" else router.embed(["x"], model="a", retry=ONCE))

    with pytest.raises((ConnectionFailed, AllModelsFailed)) as caught:
        clock.run(main())
    assert "the transport gave up the request, though nobody has cancelled it" in str(caught.value)


def test_in_a_hedge(clock: Clock, world: World) -> None:
    """A hedge that its transport gives up costs nothing."""
    world.model("a", Act(text="slow", first_token=5.0))
    world.model("b", Act(text="hi"))

    class SecondGivesUp(GivingUp):
        async def send(self, request: Request) -> Response:
            self._first = b'"b"' in request.body
            return await super().send(request)

    async def main() -> Any:
        async with Router(world.config(), transport=SecondGivesUp(world, "send")) as router:  # type: ignore[arg-type]
            return await ask(router, chain=["a", "b"], hedge=1.0, retry=ONCE)

    assert clock.run(main()).text == "slow"


def test_a_real_cancellation_goes_on(clock: Clock, world: World) -> None:
    """The caller's own, also while the transport gives up."""
    world.model("a", Act(fault="hang", at="headers"))

    async def main() -> None:
        async with Router(world.config(), transport=GivingUp(world, "send")) as router:  # type: ignore[arg-type]
            task = asyncio.create_task(router.chat("x", model="a"))
            asyncio.get_running_loop().call_later(0.5, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task

    clock.run(main())
