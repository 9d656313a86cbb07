"""A loop that the program has blocked: no attempt fails that had its answer in the socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AiohttpTransport, DeadlineExceeded, Hedge, Request, Response, Router
from asyncrouter._engine.timers import MAX_LOOKS, Timers
from asyncrouter.sim import Act, Clock, World
from tests.helpers.blocking import block, serving_in_a_thread
from tests.helpers.failing import MODES, ONCE, SILENT, Tried, tried
from tests.helpers.racing import open_router
from tests.helpers.transports import WrappingTransport

if TYPE_CHECKING:
    from asyncrouter import Trace


@dataclass(frozen=True)
class Row:
    """The loop is blocked from instant 1.0 on for three seconds; meanwhile a limit passes that runs `since`."""

    name: str
    act: Act
    limit: str
    modes: tuple[str, ...] = MODES
    since: float = 0.0

    def limits(self, late: float) -> dict[str, float]:
        """The limit, if its timer is to come so many seconds late."""
        return {self.limit: 4.0 - late - self.since}


ROWS = [
    Row("headers and all", Act(text="hi", first_token=3.5), "first_token", ("chat", "stream")),
    Row("first content", Act(text="hi", headers_after=0.5, first_token=3.5), "first_token", ("chat", "stream")),
    Row("the rest", Act(text="one two", tokens=2, first_token=0.5, gap=3.0), "idle", ("chat", "stream"), since=0.5),
    Row("the end", Act(text="one two", tokens=2, first_token=0.5, gap=3.0), "total"),
    Row("a whole body", Act(text="hi", first_token=3.5), "total"),
    Row("the deadline", Act(text="hi", first_token=3.5), "deadline"),
]


async def answer(router: Router, mode: str, **options: object) -> tuple[str, Trace]:
    """The text and the trace of one call of model a, then b."""
    if mode == "stream":
        async with router.stream("hello", chain=["a", "b"], retry=ONCE, **options) as stream:  # type: ignore[arg-type]
            async for _ in stream:
                pass
            return stream.reply.text, stream.trace
    reply = await router.chat("hello", chain=["a", "b"], retry=ONCE, **options)  # type: ignore[arg-type]
    return reply.text, reply.trace


def defaults(mode: str, limits: dict[str, float]) -> dict[str, object]:
    """The table of defaults with these limits and no others."""
    step = {name: value for name, value in limits.items() if name != "deadline"}
    none = {"connect": "none", "first_token": "none", "idle": "none", "total": "none"}
    return {"wire_stream": mode == "chat", **none, **step}


@pytest.mark.parametrize("late", [2.0, 0.25, 0.009, 0.001])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_what_lies_in_the_socket_is_read_first(row: Row, late: float) -> None:
    """An answer that came while the loop was blocked is taken, although its limit has passed meanwhile.

    The block may have ended just after the limit, so that its timer is hardly late.
    """
    limits = row.limits(late)
    for mode in row.modes:
        clock, world = Clock(), World()
        world.model("a", row.act)
        world.model("b", Act(text="late"))

        async def scenario(mode: str = mode, world: World = world) -> tuple[str, list[Tried]]:
            async with open_router(world, defaults=defaults(mode, limits)) as router:
                block(1.0, 3.0)
                text, trace = await answer(router, mode, deadline=limits.get("deadline"))
                return text, tried(trace)

        text, attempts = clock.run(scenario())
        assert (mode, attempts) == (mode, [Tried("a", "first", "won", None, 200, 0.0, 4.0)])
        assert text == row.act.text


@pytest.mark.parametrize("mode", ["chat", "stream"])
def test_a_limit_does_not_run_while_the_loop_is_blocked(clock: Clock, world: World, mode: str) -> None:
    """When nothing has come, the limit comes later by the block: the request may have been written only after it."""
    world.model("a", SILENT)
    world.model("b", Act(text="hi"))

    async def scenario() -> list[Tried]:
        async with open_router(world, defaults=defaults("chat", {"first_token": 2.0})) as router:
            block(1.0, 3.0)
            _, trace = await answer(router, mode)
            return tried(trace)

    attempts = clock.run(scenario())

    assert [(one.model, one.error) for one in attempts] == [("a", "AttemptTimeout"), ("b", None)]
    assert attempts[0].ended == attempts[1].ended == pytest.approx(5.0, abs=0.02)


class ConnectsLate(WrappingTransport):
    """A transport that needs a second to connect, in several turns of the loop, and only then writes its request."""

    async def send(self, request: Request) -> Response:
        for _ in range(10):
            await asyncio.sleep(0.1)
        return await super().send(request)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limits", [{"first_token": 2.0}, {"total": 2.0}])
def test_a_request_that_was_written_after_the_block_has_its_time(mode: str, limits: dict[str, float]) -> None:
    """A block in the middle of connecting takes nothing from the time in which the model may answer."""
    if mode == "buffered" and "first_token" in limits:
        return
    clock, world = Clock(), World()
    world.model("a", Act(text="hi", first_token=0.5))
    world.model("b", Act(text="late"))

    async def scenario() -> list[tuple[str, str, float | None]]:
        config = world.config(defaults=defaults(mode, limits))
        transport = ConnectsLate(world, lambda response: response)
        async with Router(config, transport=transport, seed=0) as router:
            block(0.55, 5.0)
            _, trace = await answer(router, mode)
            return [(one.model, one.outcome, one.ended) for one in tried(trace)]

    ((model, outcome, ended),) = clock.run(scenario())

    assert (model, outcome, ended) == ("a", "won", pytest.approx(6.45, abs=0.06))


def test_the_deadline_holds_all_the_same(clock: Clock, world: World) -> None:
    """A deadline that passed while the loop was blocked ends the call as soon as the loop runs again."""
    world.model("a", SILENT)

    async def scenario() -> float:
        async with open_router(world) as router:
            block(1.0, 3.0)
            with pytest.raises(DeadlineExceeded):
                await router.chat("hello", chain=["a"], deadline=2.0)
            return clock.now

    assert clock.run(scenario()) == 4.0


def test_no_hedge_starts_for_an_answer_that_is_there(clock: Clock, world: World) -> None:
    """A hedge that would have been due while the loop was blocked is not started when the answer has come."""
    world.model("a", Act(text="hi", first_token=3.5))
    world.model("b", Act(text="late"))

    async def scenario() -> list[Tried]:
        async with open_router(world) as router:
            block(1.0, 3.0)
            reply = await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=2.0))
            return tried(reply.trace)

    assert clock.run(scenario()) == [Tried("a", "first", "won", None, 200, 0.0, 4.0)]


def test_late_timers_are_called_in_order_after_a_bounded_look(clock: Clock) -> None:
    """Timers that come late are called after some iterations of the loop, in their order; one may be cancelled then."""
    called: list[object] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1
            if len(called) < 2:
                loop.call_soon(count)

        taken = timers.call_at(2.0, lambda: called.append("taken"))
        timers.call_at(3.0, lambda: called.append("second"))
        timers.call_at(1.5, lambda: called.append("first"))
        timers.call_at(5.0, lambda: called.append("in time"))
        block(1.0, 3.0)
        loop.call_at(1.0, count)
        loop.call_at(1.0, lambda: loop.call_soon(timers.cancel, taken))
        await asyncio.sleep(4.5)
        called.append(turns <= MAX_LOOKS + 3)
        await asyncio.sleep(4.0)

    clock.run(scenario())

    assert called == ["first", "second", True, "in time"]


@pytest.mark.parametrize("mode", MODES)
def test_calls_over_sockets_survive_a_blocked_loop(mode: str) -> None:
    """Twenty calls whose replies lie in the sockets while the loop is blocked are answered by their first model."""
    world = World()
    world.model("a", Act(text="hi", headers_after=0.3, first_token=0.3))
    world.model("b", Act(text="late"))

    async def main(base_url: str) -> set[tuple[str, int]]:
        limits = {"first_token": 0.5, "total": 0.6}
        config = world.config(base_url=base_url, defaults=defaults(mode, limits))
        async with Router(config, transport=AiohttpTransport()) as router:
            calls = [asyncio.ensure_future(answer(router, mode)) for _ in range(20)]
            block(asyncio.get_running_loop().time() + 0.2, 0.6)
            return {(text, len(trace.attempts)) for text, trace in await asyncio.gather(*calls)}

    with serving_in_a_thread(world) as base_url:
        assert asyncio.run(main(base_url)) == {("hi", 1)}


# ── nothing is sent too late ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["chat", "stream"])
@pytest.mark.parametrize("waits", ["for its turn", "for a hold", "between two steps"])
def test_nothing_is_sent_after_the_deadline(clock: Clock, world: World, *, mode: str, waits: str) -> None:
    """A request that waited while the loop was blocked beyond its deadline is not sent any more."""
    world.model("a", Act(text="hi", first_token=5.0) if waits == "for its turn" else Act(status=429, retry_after=1.5))
    limits: dict[str, object] = {"a": {"provider": "sim", "id": "a", "max_concurrent": 1}}

    async def scenario() -> tuple[list[float | None], float]:
        config = world.config(models=limits) if waits == "for its turn" else world.config()
        async with Router(config, transport=world.transport(), seed=0) as router:
            if waits == "for its turn":
                first = asyncio.ensure_future(router.chat("first", chain=["a"]))
                await asyncio.sleep(0)
            block(1.0, 6.0)
            chain = ["a", "a"] if waits == "between two steps" else ["a"]
            with pytest.raises(DeadlineExceeded) as caught:
                if mode == "stream":
                    async with router.stream("hello", chain=chain, deadline=3.0):
                        pass
                else:
                    await router.chat("hello", chain=chain, deadline=3.0)
            if waits == "for its turn":
                await first
            return [one.sent for one in caught.value.trace.attempts if one.sent is not None], clock.now

    sent, ended = clock.run(scenario())

    assert (sent, ended) == ([] if waits == "for its turn" else [0.0], 7.0)
