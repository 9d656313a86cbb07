"""Races over real connections: what the server sees of winners, losers, cancels and a router that closes."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AiohttpTransport,
    Router,
    RouterClosed,
    Step,
)
from asyncrouter.sim import Act, LoggedRequest, World
from tests.helpers.failing import ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from asyncrouter.sim.play import Play


class Watched(World):
    """A world that tells when a connection begins or ends."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def begin(
        self, url: str, headers: Mapping[str, str], body: bytes, at: float, method: str = "POST"
    ) -> tuple[LoggedRequest, Play]:
        self._changed.set()
        return super().begin(url, headers, body, at, method)

    def end(self, seen: LoggedRequest, at: float, *, gone: bool = False) -> None:
        self._changed.set()
        super().end(seen, at, gone=gone)

    async def until(self, live: int) -> None:
        """Until so many connections are busy."""
        async with asyncio.timeout(10.0):
            while self.open != live:
                self._changed.clear()
                await self._changed.wait()


def over_sockets(acts: Mapping[str, Act], play: Callable[[Watched, Router], AsyncIterator[None]]) -> Watched:
    """Play a scenario against a server; at its end nothing may be left."""
    async def scenario() -> Watched:
        me, world = asyncio.current_task(), Watched()
        for name, act in acts.items():
            world.model(name, act)
        async with world.server() as server:
            async with Router(world.config(base_url=server.base_url), transport=AiohttpTransport()) as router:
                async with asyncio.timeout(10.0):
                    await play(world, router)  # type: ignore[misc]
                await world.until(0)
                assert asyncio.all_tasks() == {me}
                assert not any(model.in_flight for model in router.health().values())
            assert asyncio.all_tasks() == {me}
        return world

    world = asyncio.run(scenario())
    gc.collect()
    return world


@pytest.mark.parametrize("at", ["headers", 0, 3])
def test_a_hedge_won_over_sockets(at: object) -> None:
    """The silent first model's connection is closed; the hedge's answer is whole."""
    async def play(world: Watched, router: Router) -> None:
        chain = ["a", "b"] if at != 3 else [Step(model="a", wire_stream=False), "b"]
        reply = await router.chat("hello", chain=chain, hedge=0.05)
        assert ("b " * 50).strip() == reply.text
        assert [each.outcome for each in reply.trace.attempts] == ["superseded", "won"]

    acts = {"a": Act(tokens=9, fault="hang", at=at), "b": Act(text=("b " * 50).strip(), gap=0.001)}  # type: ignore[arg-type]
    world = over_sockets(acts, play)  # type: ignore[arg-type]

    assert [(seen.model, seen.gone) for seen in world.seen] == [("a", True), ("b", False)]


def test_a_hedge_lost_over_sockets() -> None:
    """The first model answers after all; the hedge's connection is closed."""
    async def play(world: Watched, router: Router) -> None:
        reply = await router.chat("hello", chain=["a", "b"], hedge=0.05)
        assert reply.text == "a"
        assert [each.outcome for each in reply.trace.attempts] == ["won", "superseded"]

    world = over_sockets({"a": Act(text="a", first_token=0.5), "b": Act(fault="hang")}, play)  # type: ignore[arg-type]

    assert [(seen.model, seen.gone) for seen in world.seen] == [("a", False), ("b", True)]


def test_a_cancel_of_two_attempts_over_sockets() -> None:
    """A cancelled call closes the connections of both of its attempts, whatever they waited for."""
    async def play(world: Watched, router: Router) -> None:
        call = asyncio.create_task(router.chat("hello", chain=["a", "b"], hedge=0.05))
        await world.until(2)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()

    acts = {"a": Act(fault="hang"), "b": Act(fault="hang", at="headers")}
    world = over_sockets(acts, play)  # type: ignore[arg-type]

    assert [(seen.model, seen.gone) for seen in world.seen] == [("a", True), ("b", True)]


def test_a_cancel_in_the_middle_of_a_stream_over_sockets() -> None:
    """When a stream is cancelled the server sees its connection go, and does not write to the end."""
    async def play(world: Watched, router: Router) -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async with router.stream("hello", chain=["a"]) as stream:
                async for _ in stream:
                    begun.set()

        call = asyncio.create_task(read())
        await begun.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()

    world = over_sockets({"a": Act(tokens=10_000, gap=0.01)}, play)  # type: ignore[arg-type]

    (seen,) = world.seen
    assert seen.gone
    assert seen.contents < 10_000


def test_a_fallback_after_a_cut_over_sockets() -> None:
    """A reply whose connection is cut is a failure, and the next model answers."""
    async def play(world: Watched, router: Router) -> None:
        reply = await router.chat("hello", chain=["a", "b"], retry=ONCE)
        assert (reply.text, [each.outcome for each in reply.trace.attempts]) == ("b", ["failed", "won"])

    over_sockets({"a": Act(tokens=9, fault="cut", at=4), "b": Act(text="b")}, play)  # type: ignore[arg-type]


@pytest.mark.parametrize("act", [
    Act(fault="hang"), Act(fault="hang", at="headers"), Act(tokens=10_000, gap=0.01)
], ids=["no content", "no headers", "in the answer"])
def test_closing_the_router_over_sockets(act: Act) -> None:
    """Calls in flight end with `RouterClosed`, hedged or not."""
    async def play(world: Watched, router: Router) -> None:
        calls = [asyncio.create_task(router.chat("hello", chain=["a", "b"], hedge=0.05)) for _ in range(3)]
        await world.until(3 if act.fault is None else 6)
        await router.aclose()
        await asyncio.wait(calls)
        assert [type(call.exception()) for call in calls] == [RouterClosed] * 3

    over_sockets({"a": act, "b": act}, play)  # type: ignore[arg-type]
