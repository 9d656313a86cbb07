"""What is learned while the program blocks the event loop: nothing, neither about latencies nor about failures."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import AllModelsFailed, Hedge, Request, Response, Router, StreamInterrupted, Trace
from asyncrouter._config.plan import resolve
from asyncrouter._engine.timers import Timers
from asyncrouter.sim import Act, Clock, World
from tests.helpers.blocking import block
from tests.helpers.failing import MODES, ONCE, SILENT, SPREAD
from tests.helpers.racing import open_router
from tests.helpers.transports import WrappingTransport

NO_LIMITS = {"connect": "none", "first_token": "none", "idle": "none", "total": "none"}


def defaults(mode: str, limits: dict[str, object]) -> dict[str, object]:
    """The table of defaults with these limits and no others."""
    return {"wire_stream": mode != "buffered", "rescue": "off", **NO_LIMITS, **limits}


async def answer(router: Router, mode: str, *chain: str, prompt: str = "hello", hedge: Hedge | None = None) -> Trace:
    """The trace of one call."""
    if mode == "stream":
        async with router.stream(prompt, chain=chain, retry=ONCE, hedge=hedge) as stream:
            async for _ in stream:
                pass
            return stream.trace
    return (await router.chat(prompt, chain=chain, retry=ONCE, hedge=hedge)).trace


def samples(router: Router, model: str) -> int:
    """How many latencies have been recorded of a model."""
    engine = router._life.engine
    assert engine is not None
    state = engine.policies.state_of(resolve(router.config, chain=[model]).steps[0].model)
    return sum(memory.samples.count for memory in (state.streamed, state.buffered))


def breakers(router: Router) -> set[str]:
    """The states of all breakers."""
    return {health.breaker for health in router.health().values()}


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_that_waited_in_the_socket_is_no_sample(clock: Clock, world: World, mode: str) -> None:
    """Of two hundred calls, those during which the loop was blocked teach nothing about how quick the model is."""
    world.model("a", Act(first_token=0.5))

    async def scenario() -> tuple[float | None, bool]:
        async with open_router(world, defaults={"wire_stream": mode != "buffered"}) as router:
            for number in range(200):
                if number % 2:
                    block(clock.now + 0.25, 3.0)
                await answer(router, mode, "a")
            assert samples(router, "a") == 100
            health = router.health()["a"]
            return health.p95, health.slow

    p95, slow = clock.run(scenario())

    assert p95 == pytest.approx(0.5, rel=0.1)
    assert not slow


@pytest.mark.parametrize(
    ("mode", "limits"),
    [
        ("chat", {"first_token": 2.0}), ("chat", {"total": 2.0}), ("buffered", {"total": 2.0}),
        ("stream", {"first_token": 2.0}), ("stream", {"total": 2.0}),
    ],
)
def test_a_limit_that_passed_meanwhile_counts_against_nobody(
    clock: Clock, world: World, mode: str, limits: dict[str, object]
) -> None:
    """Five calls whose limits passed while the loop was blocked leave the breaker closed; their scope is local."""
    world.model("a", SILENT)
    world.model("b", Act(text="hi"))

    async def scenario() -> tuple[set[str], list[tuple[str | None, float | None]]]:
        async with open_router(world, defaults=defaults(mode, limits)) as router:
            seen = []
            for _ in range(5):
                block(clock.now + 0.5, 3.0)
                trace = await answer(router, mode, "a", "b")
                seen.append((trace.attempts[0].scope, trace.attempts[0].ended))
            return breakers(router), seen

    states, seen = clock.run(scenario())

    assert (states, [scope for scope, _ in seen]) == ({"closed"}, ["local"] * 5)
    assert [ended for _, ended in seen] == pytest.approx([5.0] * 5, abs=0.2)


def test_a_short_block_excuses_no_silent_model(clock: Clock, world: World) -> None:
    """A model that is silent for 30 s is out after three calls, although the loop was blocked for one of them."""
    world.model("a", SILENT)
    world.model("b", Act(text="hi"))

    async def scenario() -> set[str]:
        async with open_router(world, defaults=defaults("chat", {"first_token": 30.0})) as router:
            for number in range(3):
                block(clock.now + 20.0, 1.0)
                await answer(router, "chat", "a", "b", prompt=f"hello {number}")
            return breakers(router)

    assert clock.run(scenario()) == {"open", "closed"}


@pytest.mark.parametrize(("first_token", "deadline", "ended"), [(19.0, 40.0, 20.0), ("auto", 69.0, 34.5)])
def test_a_share_that_ends_before_the_limit_is_named(
    clock: Clock, world: World, first_token: object, deadline: float, ended: float
) -> None:
    """A limit that is later by a block of two seconds is not what cuts when the share of the deadline is over first."""
    world.model("a", SILENT)
    world.model("b", SILENT)

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            block(0.5, 2.0)
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", chain=["a", "b"], deadline=deadline, first_token=first_token, retry=ONCE)
            return caught.value.trace

    first = clock.run(scenario()).attempts[0]

    assert first.ended == ended
    assert str(first.error) == f"a: no content within {ended:.3g} s, its share of the deadline"


@pytest.mark.parametrize("mode", MODES)
def test_a_race_that_the_block_decided_makes_no_loser_slow(clock: Clock, world: World, mode: str) -> None:
    """When the words of both models lie in their sockets, the one that is read second has not been slow."""
    world.model("a", Act(text="hi", first_token=1.5))
    world.model("b", Act(text="hi", first_token=0.4))

    async def scenario() -> tuple[int, int, bool, bool]:
        async with open_router(world, defaults={"wire_stream": mode != "buffered"}) as router:
            for _ in range(25):
                block(clock.now + 1.2, 5.0)
                trace = await answer(router, mode, "a", "b", hedge=Hedge(after=1.0, budget=1.0))
                assert sorted(one.outcome or "" for one in trace.attempts) == ["superseded", "won"]
            health = router.health()
            return samples(router, "a"), samples(router, "b"), health["a"].slow, health["b"].slow

    assert clock.run(scenario()) == (0, 0, False, False)


def test_silence_while_the_loop_was_blocked_demotes_nobody(clock: Clock, world: World) -> None:
    """A model that could not be raced, and was silent while the loop was blocked, is not slow; otherwise it is."""

    async def scenario(blocked: float) -> bool:
        world.model("a", *[Act(first_token=0.5)] * 120, Act(first_token=6.0))
        world.model("b", Act(first_token=3.0))
        async with open_router(world) as router:
            for number in range(160):
                if number >= 120 and blocked:
                    block(clock.now + 0.25, blocked)
                await answer(router, "chat", "a", "b", hedge=Hedge(after=1.0, budget=0.0))
            return router.health()["a"].slow

    assert (clock.run(scenario(5.0)), clock.run(scenario(0.0))) == (False, True)


class Resetting(WrappingTransport):
    """A transport whose connections are reset after 0.5 s."""

    async def send(self, request: Request) -> Response:
        await asyncio.sleep(0.5)
        raise ConnectionResetError(104, "Connection reset by peer")


def outcomes(clock: Clock, router: Router, blocked: float) -> tuple[set[str], set[str | None]]:
    """Ten different calls of model a, each blocked for so long: the states of all breakers, the scopes of failures."""

    async def scenario() -> tuple[set[str], set[str | None]]:
        async with router:
            scopes = set()
            for number in range(10):
                if blocked:
                    block(clock.now + 0.25, blocked)
                results = await asyncio.gather(
                    answer(router, "chat", "a", prompt=f"hello {number}"), return_exceptions=True
                )
                scopes |= {one.scope for result in results for one in result.trace.attempts}  # type: ignore[union-attr]
            return breakers(router), scopes

    return clock.run(scenario())


def test_a_connection_that_is_lost_meanwhile_counts_against_no_host(clock: Clock, world: World) -> None:
    """A server that gives up while the loop is blocked is not at fault; when nothing is blocked it is."""
    for blocked, expected in ((4.0, ({"closed"}, {"local"})), (0.0, ({"open"}, {"host", None}))):
        router = Router(SPREAD, transport=Resetting(world, lambda response: response), seed=0)
        states, scopes = outcomes(clock, router, blocked)
        assert (expected[0] <= states, scopes <= expected[1]) == (True, True)


def test_a_server_that_waited_for_us_in_vain_is_not_at_fault(clock: Clock, world: World) -> None:
    """A 408 while the loop was blocked is this machine's doing."""
    world.model("a", Act(status=408, headers_after=0.5))

    assert outcomes(clock, open_router(world), 4.0) == ({"closed"}, {"local"})


def test_a_call_after_the_block_is_not_excused(clock: Clock, world: World) -> None:
    """A call that begins in the turn of the loop in which the block ended counts as every other."""
    world.model("a", SILENT)
    world.model("b", Act(text="hi", first_token=10.0))

    async def scenario() -> str | None:
        async with open_router(world, defaults=defaults("chat", {"first_token": 20.0})) as router:
            loop = asyncio.get_running_loop()
            started: list[asyncio.Task[Trace]] = []
            other = asyncio.ensure_future(answer(router, "chat", "b"))
            block(1.0, 5.0)
            loop.call_at(1.0, lambda: started.append(loop.create_task(answer(router, "chat", "a", "b"))))
            await other
            return (await started[0]).attempts[0].scope

    assert clock.run(scenario()) == "model"


# ── how it is measured ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_time_for_which_the_loop_was_blocked(clock: Clock) -> None:
    """It is seen to a tenth of a second just after a timer was set, and to two fifths of the wait later on."""

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        timers, seen = Timers(loop), []
        timer = timers.call_at(1000.0, list)
        for at, seconds in ((0.25, 3.0), (100.0, 90.0)):
            block(at, seconds)
            await asyncio.sleep(at + seconds + 0.5 - clock.now)
            seen.append(timers.blocked(loop.time()))
        timers.cancel(timer)
        block(clock.now + 1.0, 50.0)
        await asyncio.sleep(2.0)
        return [*seen, timers.blocked(loop.time())]

    first, both, after = clock.run(scenario())

    assert 2.9 <= first <= 3.0
    assert first + 90.0 - 0.4 * 100.0 <= both <= first + 90.0
    assert after == both


def test_a_timer_for_an_instant_that_has_passed_shows_no_block(clock: Clock) -> None:
    """A timer that is set for the past is called in the next turn of the loop, and nothing was blocked."""
    called: list[float] = []

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        await asyncio.sleep(5.0)
        timers.call_at(1.0, lambda: called.append(clock.now))
        seen = timers.blocked(loop.time())
        await asyncio.sleep(1.0)
        return seen + timers.blocked(loop.time())

    assert (clock.run(scenario()), called) == (0.0, [5.0])


def test_waiting_long_is_cheap(clock: Clock) -> None:
    """A wait of an hour is looked at some dozens of times, and a loop that nobody blocks counts nothing."""

    async def scenario() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        timers, wakes = Timers(loop), []
        done = loop.create_future()
        timers.call_at(3600.0, lambda: done.set_result(None))
        while not done.done():
            wakes.append(timers._wakes_at)
            await asyncio.wait([done], timeout=timers._wakes_at - clock.now)
            await asyncio.sleep(0)
        return timers.blocked(loop.time()), len(set(wakes))

    blocked, wakes = clock.run(scenario())

    assert (blocked, wakes <= 30) == (0.0, True)


# ── a reader of a stream that is slow ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("blocked", [False, True])
def test_what_a_reader_does_after_the_limit_is_not_the_models_silence(
    clock: Clock, world: World, *, blocked: bool
) -> None:
    """A limit that was reached while the reader of a stream was busy, or blocked the loop, ended the silence then."""
    world.model("a", Act(text="one two three", tokens=3, gap=10.0))

    async def scenario() -> tuple[str | None, str | None]:
        async with open_router(world) as router:
            stream = router.stream("hello", chain=["a"], deadline=1.0, retry=ONCE)
            with pytest.raises(StreamInterrupted):
                async with stream:
                    async for _ in stream:
                        if blocked:
                            block(clock.now + 5.0, 60.0)
                        await asyncio.sleep(60.0)
            error = stream.trace.attempts[0].error
            return stream.trace.attempts[0].scope, None if error is None else error.message

    assert clock.run(scenario()) == ("call", "the call's deadline came first")
