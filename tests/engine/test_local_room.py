"""This machine has no room for another connection: calls wait for one, nothing is lost, and nobody is blamed."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import (
    AllModelsFailed,
    DeadlineExceeded,
    Hedge,
    Notice,
    Reply,
    Request,
    Response,
    Retry,
    Router,
    RouterClosed,
)
from asyncrouter._engine.local_room import OUT_OF_ROOM
from asyncrouter.sim import Act
from tests.helpers.failing import ONCE, Tried, tried
from tests.helpers.racing import hedge_tokens
from tests.helpers.transports import WrappingTransport

if TYPE_CHECKING:
    from asyncrouter import CallError, Trace
    from asyncrouter.sim import Clock, World

NUMBERS = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOMEM]


class Crowded(WrappingTransport):
    """A transport that has no room from `since` to `until`, and else for `places` requests at a time."""

    def __init__(
        self, world: World, *, since: float = 0.0, until: float = 0.0, places: int = 1000, number: int = errno.EMFILE
    ) -> None:
        super().__init__(world, lambda response: response)
        self._world, self._since, self._until, self._places, self._number = world, since, until, places, number
        self.turned_away = 0

    async def send(self, request: Request) -> Response:
        if self._since <= asyncio.get_running_loop().time() < self._until or self._world.open >= self._places:
            self.turned_away += 1
            raise OSError(self._number, "no room")
        return await super().send(request)


def unmoved(router: Router) -> bool:
    """Whether no breaker has counted anything, and nobody is in flight."""
    return all(
        (model.breaker, model.in_flight) == ("closed", 0) for model in router.health().values()
    )


@pytest.mark.parametrize("number", NUMBERS, ids=[errno.errorcode[number] for number in NUMBERS])
@pytest.mark.parametrize("mode", ["chat", "stream"])
def test_a_call_waits_for_room(clock: Clock, world: World, *, number: int, mode: str) -> None:
    """A call that finds no room is sent to its first model as soon as there is, at most 0.1 s later; one notice."""
    world.model("a")
    world.model("b")
    events: list[object] = []

    async def scenario() -> tuple[list[Tried], bool]:
        transport = Crowded(world, until=45.0, number=number)
        async with Router(world.config(), transport=transport, seed=0, listeners=[events.append]) as router:
            if mode == "stream":
                async with router.stream("hello", chain=["a", "b"]) as stream:
                    async for _ in stream:
                        pass
                    return tried(stream.trace), unmoved(router)
            reply = await router.chat("hello", chain=["a", "b"])
            return tried(reply.trace), unmoved(router)

    (attempt,), still = clock.run(scenario())

    assert (attempt.model, attempt.outcome, attempt.error, still) == ("a", "won", None, True)
    assert attempt.sent == pytest.approx(45.0, abs=0.11)
    assert [event for event in events if isinstance(event, Notice)] == [Notice("this machine", OUT_OF_ROOM)]


def test_many_calls_share_what_room_there_is(clock: Clock, world: World) -> None:
    """A hundred calls with room for ten at a time are all answered, ten after the other, first come, first served."""
    world.model("a", Act(first_token=1.0))
    done: list[int] = []

    async def scenario() -> tuple[float, bool]:
        async with Router(world.config(), transport=Crowded(world, places=10), seed=0) as router:

            async def call(number: int) -> None:
                reply = await router.chat("hello", chain=["a"])
                assert len(reply.trace.attempts) == 1
                done.append(number)

            await asyncio.gather(*(call(number) for number in range(100)))
            return clock.now, unmoved(router)

    seconds, still = clock.run(scenario())

    assert (seconds, still) == (10.0, True)
    assert [number // 10 for number in done] == [number // 10 for number in range(100)]


def test_without_a_deadline_a_call_waits_for_a_minute(clock: Clock, world: World) -> None:
    """A call without a deadline fails after 60 s without room, whatever the number of models; the scope is local."""
    world.model("a")
    world.model("b")

    async def scenario() -> tuple[CallError, float, bool]:
        async with Router(world.config(), transport=Crowded(world, until=1000.0), seed=0) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("hello", chain=["a", "b"])
            return caught.value, clock.now, unmoved(router)

    error, seconds, still = clock.run(scenario())

    assert (seconds, still) == (60.0, True)
    assert [(attempt.model, attempt.scope, attempt.sent) for attempt in error.trace.attempts] == [
        ("a", "local", None), ("b", "local", None),
    ]
    assert "this process has no descriptor free" in str(error)


def test_waiting_for_a_turn_is_not_waiting_for_room(clock: Clock, world: World) -> None:
    """A call that has waited a minute for its turn has a minute more for room: trouble of 40 s does not end it."""
    world.model("a")

    async def scenario() -> tuple[str | None, float]:
        config = world.config(models={"a": {"provider": "sim", "id": "a", "rpm": 1}})
        async with Router(config, transport=Crowded(world, since=50.0, until=100.0), seed=0) as router:
            await router.chat("hello", chain=["a"])
            reply = await router.chat("hello", chain=["a"])
            return reply.trace.attempts[0].outcome, clock.now

    outcome, seconds = clock.run(scenario())

    assert (outcome, seconds) == ("won", pytest.approx(100.0, abs=0.21))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("keeps_other", [False, True])
def test_a_wait_for_room_may_change_which_model_is_free_first(
    clock: Clock, world: World, *, stream: bool, keeps_other: bool
) -> None:
    """A call goes back to a model that is free first, and finds no room for 10 s. By then the model is busy for 40 s,
    so the call goes to the other one, which has become free; unless that one is held for longer than the first is busy.
    """
    held = 70 if keeps_other else 15
    world.model("a", Act(status=429, retry_after=10), Act(text="busy", first_token=40.0), Act(text="a"))
    world.model("b", Act(status=429, retry_after=held), Act(text="b"))
    config = world.config(
        models={"a": {"provider": "sim", "id": "a", "max_concurrent": 1}, "b": {"provider": "sim", "id": "b"}},
        defaults={"first_token": None},
    )

    async def ask(router: Router, **options: Any) -> Trace:
        if not stream:
            return (await router.chat("hello", retry=Retry(patience=0.0), deadline=200, **options)).trace
        async with router.stream("hello", retry=Retry(patience=0.0), deadline=200, **options) as answer:
            async for _ in answer:
                pass
        return answer.reply.trace

    async def scenario() -> list[tuple[str, float]]:
        async with Router(config, transport=Crowded(world, since=9.5, until=20.0), seed=0) as router:
            call = asyncio.ensure_future(ask(router, chain=["a", "b"]))
            await asyncio.sleep(9.9)
            other = asyncio.ensure_future(ask(router, chain=["a"], headers={"authorization": "Bearer sk-of-another"}))
            trace = await call
            await other
            return [(one.model, round(one.sent, 1)) for one in trace.attempts if one.sent is not None]

    last = ("a", 60.0) if keeps_other else ("b", 20.1)
    assert clock.run(scenario()) == [("a", 0.0), ("b", 0.0), last]


def test_the_deadline_bounds_the_wait(clock: Clock, world: World) -> None:
    """A call with a deadline waits for room until that instant, be it more than a minute away."""
    world.model("a")

    async def scenario() -> float:
        async with Router(world.config(), transport=Crowded(world, until=1000.0), seed=0) as router:
            with pytest.raises(DeadlineExceeded, match="no descriptor free"):
                await router.chat("hello", chain=["a"], deadline=90.0)
            return clock.now

    assert clock.run(scenario()) == 90.0


def test_no_hedge_is_started_without_room(clock: Clock, world: World) -> None:
    """A call that waits for room is not late, and while others wait no hedge takes what room there is."""
    world.model("a")
    world.model("b")

    async def scenario() -> list[Tried]:
        async with Router(world.config(), transport=Crowded(world, until=5.0), seed=0) as router:
            reply = await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=0.5), retry=ONCE)
            return tried(reply.trace)

    assert [(one.model, one.outcome) for one in clock.run(scenario())] == [("a", "won")]


@pytest.mark.parametrize("mode", ["chat", "stream"])
def test_a_hedge_does_not_wait_for_room(clock: Clock, world: World, mode: str) -> None:
    """A hedge that finds no room is given up, and costs nothing of the hedge budget; the first model answers."""
    world.model("a", Act(text="hi", first_token=3.0))
    world.model("b")

    async def scenario() -> tuple[list[tuple[str, str | None, float | None]], bool]:
        async with Router(world.config(), transport=Crowded(world, places=1), seed=0) as router:
            await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=9.0))
            budget = hedge_tokens(router)
            if mode == "stream":
                async with router.stream("hello", chain=["a", "b"], hedge=Hedge(after=0.5), retry=ONCE) as stream:
                    async for _ in stream:
                        pass
                    trace = stream.trace
            else:
                trace = (await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=0.5), retry=ONCE)).trace
            assert unmoved(router)
            return [(one.model, one.outcome, one.ended) for one in trace.attempts], hedge_tokens(router) >= budget

    assert clock.run(scenario()) == ([("a", "won", 3.0), ("b", "not_sent", 0.5)], True)


def test_a_cancelled_waiter_gives_its_turn_away(clock: Clock, world: World) -> None:
    """A call that is cancelled while it waits for room, or just has its turn, leaves nothing and blocks nobody."""
    world.model("a", Act(first_token=1.0))

    async def scenario() -> tuple[float, bool]:
        async with Router(world.config(), transport=Crowded(world, places=1), seed=0) as router:
            calls = [asyncio.ensure_future(router.chat("hello", chain=["a"])) for _ in range(4)]
            await asyncio.sleep(0.55)
            calls[1].cancel()
            asyncio.get_running_loop().call_at(1.0, lambda: asyncio.get_running_loop().call_soon(calls[2].cancel))
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(result, Reply) for result in results] == [True, False, False, True]
            return clock.now, unmoved(router)

    seconds, still = clock.run(scenario())

    assert (seconds <= 2.1, still) == (True, True)


def test_closing_ends_the_wait(clock: Clock, world: World) -> None:
    """A router that closes lets nobody wait for room: the calls raise `RouterClosed`."""
    world.model("a")

    async def scenario() -> float:
        router = Router(world.config(), transport=Crowded(world, until=1000.0), seed=0)
        calling = asyncio.ensure_future(router.chat("hello", chain=["a"]))
        await asyncio.sleep(1.0)
        await router.aclose()
        with pytest.raises(RouterClosed):
            await calling
        return clock.now

    assert clock.run(scenario()) == 1.0


def test_it_is_logged_once(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A process that runs out says so in one line, however many calls wait."""
    world.model("a")
    caplog.set_level(logging.WARNING, "asyncrouter")

    async def scenario() -> None:
        async with Router(world.config(), transport=Crowded(world, until=5.0), seed=0) as router:
            await asyncio.gather(*(router.chat("hello", chain=["a"]) for _ in range(20)))

    clock.run(scenario())

    assert [record.message for record in caplog.records] == [OUT_OF_ROOM]
