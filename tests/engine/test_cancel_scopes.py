"""Timeouts and task groups of the caller's own around a call: they end it exactly, and are not mistaken for ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from asyncrouter import (
    AllModelsFailed,
    DeadlineExceeded,
    Hedge,
    Router,
)
from asyncrouter.sim import Act, Clock, VirtualLoop, World
from tests.helpers.cancelling import CASES, FAILS, SILENT, Case, accept_slowly
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE

Scope = Callable[[float, Awaitable[object]], Awaitable[bool]]

pytestmark = pytest.mark.usefixtures("models_say_their_names")


async def under_timeout(seconds: float, call: Awaitable[object]) -> bool:
    """Await under `asyncio.timeout`; whether that came first."""
    try:
        async with asyncio.timeout(seconds):
            await call
    except TimeoutError:
        return True
    return False


async def under_fail_after(seconds: float, call: Awaitable[object]) -> bool:
    """Await under `anyio.fail_after`; whether that came first."""
    try:
        with anyio.fail_after(seconds):
            await call
    except TimeoutError:
        return True
    return False


async def under_move_on_after(seconds: float, call: Awaitable[object]) -> bool:
    """Await under `anyio.move_on_after`; whether that came first."""
    with anyio.move_on_after(seconds) as scope:
        await call
    return scope.cancelled_caught


async def under_wait_for(seconds: float, call: Awaitable[object]) -> bool:
    """Await under `asyncio.wait_for`; whether that came first."""
    try:
        await asyncio.wait_for(call, seconds)
    except TimeoutError:
        return True
    return False


SCOPES = [under_timeout, under_fail_after, under_move_on_after, under_wait_for]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_outer_scope_ends_a_call_exactly(case: Case, scope: Scope) -> None:
    """A scope that ends at any quarter of a second ends the call on time, and nothing is left."""
    world = World()

    async def scoped(seconds: float) -> tuple[bool, float]:
        for name in "abc":
            world.model(name, *case.acts.get(name, (Act(),)))
        async with Router(world.config(), transport=world.transport(), seed=0) as router:
            me, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert me is not None
            if case.before is not None:
                await case.before(router)
            began = loop.time()
            late = await scope(seconds, case.run(router))
            took = loop.time() - began
            await asyncio.sleep(0)
            assert (me.cancelling(), world.open, asyncio.all_tasks()) == (0, 0, {me})
            assert not any(model.in_flight for model in router.health().values())
            return late, took

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        late, whole = runner.run(scoped(1000.0))
        assert not late
        for quarters in range(1, 40):
            late, took = runner.run(scoped(quarters / 4))
            assert late if quarters / 4 < whole else not late or quarters / 4 == whole
            assert took == pytest.approx(min(quarters / 4, whole))


@pytest.mark.parametrize("already", [0, 1])
@pytest.mark.parametrize("hedge", [None, HEDGE])
@pytest.mark.parametrize(("acts", "options"), [
    ((Act(first_token=0.5), Act()), {}),
    ((SILENT, Act(first_token=0.5)), {"deadline": 6.0}),
    ((SILENT, SILENT), {"deadline": 6.0}),
    ((FAILS, FAILS), {}),
    ((Act(first_token=0.5), Act()), {"accept": accept_slowly}),
    ((Act(first_token=0.5), Act()), {"accept": accept_slowly, "deadline": 0.75}),
    ((Act(first_token=2.0), Act(first_token=1.0)), {}),
    ((Act(tokens=9, first_token=0.5, gap=0.25, fault="hang", at=3), Act(fault="hang")), {"deadline": 6.0}),
])
def test_a_call_leaves_the_count_of_cancels_as_it_was(
    clock: Clock, world: World, acts: tuple[Act, Act], options: dict[str, object], hedge: Hedge | None, already: int
) -> None:
    """However a call ends, `task.cancelling()` is what it was before, also in a task that was cancelled before."""
    for name, act in zip("ab", acts, strict=True):
        world.model(name, act)

    async def call(router: Router) -> int:
        me = asyncio.current_task()
        assert me is not None
        if already:
            me.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(1.0)
        with suppress(AllModelsFailed, DeadlineExceeded):
            await router.chat("hello", chain=["a", "b"], hedge=hedge, retry=ONCE, **options)  # type: ignore[arg-type]
        await asyncio.sleep(1.0)
        return me.cancelling()

    async def scenario() -> int:
        async with Router(world.config(), transport=world.transport(), seed=0) as router:
            return await asyncio.create_task(call(router))

    assert clock.run(scenario()) == already


def test_the_routers_own_clocks_are_no_outer_scopes(clock: Clock, world: World) -> None:
    """When the deadline ends a call, a scope around the call has not expired."""
    world.model("a", Act(fault="hang"))

    async def scenario() -> bool:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(DeadlineExceeded):
                async with asyncio.timeout(5.0) as scope:
                    await router.chat("hello", chain=["a"], deadline=2.0)
            return scope.expired()

    assert clock.run(scenario()) is False
    assert clock.now == 2.0


@pytest.mark.parametrize("hedge", [None, HEDGE])
def test_a_task_group_with_many_calls(clock: Clock, world: World, hedge: Hedge | None) -> None:
    """When a task of a group raises, a hundred calls beside it are cancelled at that instant."""
    world.model("a", SILENT)
    world.model("b", Act(first_token=2.0, gap=0.5, tokens=20))

    async def fail() -> None:
        await asyncio.sleep(4.0)
        raise LookupError

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for _ in range(100):
                        group.create_task(router.chat("hello", chain=["a", "b"], hedge=hedge, retry=ONCE))
                    group.create_task(fail())
            assert [type(error) for error in caught.value.exceptions] == [LookupError]
            assert (clock.now, world.open, len(asyncio.all_tasks())) == (4.0, 0, 1)

    clock.run(scenario())


def test_a_stream_can_be_read_on_after_a_timeout_around_one_chunk(clock: Clock, world: World) -> None:
    """A scope around one read of a stream ends that read, and the next one goes on."""
    world.model("a", Act(text="one two", gap=2.0))

    async def scenario() -> str:
        async with Router(world.config(), transport=world.transport()) as router:
            async with router.stream("hello", chain=["a"]) as stream:
                said = [(await anext(stream)).text]
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await anext(stream)
                assert clock.now == 1.0
                said += [chunk.text async for chunk in stream]
            return "".join(said)

    assert clock.run(scenario()) == "one two"
    assert clock.now == 2.0


def test_leaving_a_stream_early_cancels_it_at_once(clock: Clock, world: World) -> None:
    """Leaving a stream's block closes its connection at once, and its attempt has ended as cancelled."""
    world.model("a", Act(tokens=50, gap=1.0))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            async with router.stream("hello", chain=["a"]) as stream:
                async for _ in stream:
                    break
            assert (world.open, clock.now) == (0, 0.0)
            (attempt,) = stream.trace.attempts
            assert (attempt.outcome, attempt.ended) == ("cancelled", 0.0)

    clock.run(scenario())
