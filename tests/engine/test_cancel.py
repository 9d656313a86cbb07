"""Cancelling a call anywhere leaves nothing behind: no task, no connection, no attempt without an outcome.

The scenarios run in virtual time and are cancelled after the first, second, third … callback of the loop, until they
come to their end uncancelled: every await they have is hit, and every order of what happens in one instant.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    DeadlineExceeded,
    Hedge,
    Reply,
    Retry,
    Router,
    RouterClosed,
    Step,
    StreamInterrupted,
)
from asyncrouter.sim import Act, Clock, VirtualLoop, World

ONCE = Retry(attempts=1)
HEDGE = Hedge(after=1.0)
Scenario = Callable[[Router], Awaitable[object]]
Scope = Callable[[float, Awaitable[object]], Awaitable[bool]]


@pytest.fixture
def world(world: World) -> World:
    """A world whose models answer at once unless a test says otherwise."""
    for name in "abc":
        world.model(name)
    return world


# ── the scenarios ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Case:
    """What is called, in which world, and what happens before that is not to be cancelled."""

    name: str
    acts: dict[str, tuple[Act, ...]]
    run: Scenario
    before: Scenario | None = None
    attempts: int = 1
    hedges: int = 0


async def accept_slowly(reply: Reply) -> bool:
    """Turn down what model a says, after half a second."""
    await asyncio.sleep(0.25)
    await asyncio.sleep(0.25)
    return reply.model != "a"


async def read(router: Router, **options: object) -> None:
    """A stream from its beginning to its end."""
    async with router.stream("hello", retry=ONCE, **options) as stream:  # type: ignore[arg-type]
        async for _ in stream:
            pass


async def earn_a_hold(router: Router) -> None:
    """Let model a be held."""
    with pytest.raises(AllModelsFailed):
        await router.chat("hello", chain=["a"], retry=ONCE)


ANSWER = Act(tokens=3, connect=0.25, headers_after=0.5, first_token=1.0, gap=0.5, tail=0.5)
SILENT = Act(fault="hang", at="headers", connect=0.25)
LATE = Act(tokens=3, connect=0.25, headers_after=0.5, first_token=2.0, gap=0.5, tail=0.5)
FAILS = Act(status=500, first_token=1.25)
BREAKS = Act(tokens=5, first_token=0.5, gap=0.25, fault="error", at=2)
CASES = [
    Case("unhedged", {"a": (ANSWER,)}, lambda router: router.chat("hello", chain=["a"])),
    Case("one body", {"a": (ANSWER,)}, lambda router: router.chat("hello", chain=[Step(model="a", wire_stream=False)])),
    Case("fallback", {"a": (FAILS,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], retry=ONCE), attempts=2),
    Case("hedge won", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("hedge lost", {"a": (LATE,), "b": (SILENT,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("first failed, hedge alive", {"a": (FAILS,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE), attempts=2, hedges=1),
    Case("both failed", {"a": (FAILS,), "b": (Act(status=500, first_token=0.5),), "c": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=1),
    Case("newest failed", {"a": (SILENT,), "b": (Act(status=500, first_token=0.5),), "c": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=2),
    Case("hedge won, then broke", {"a": (SILENT, ANSWER), "b": (BREAKS,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=1),
    Case("content at one instant", {"a": (Act(first_token=1.5),), "b": (Act(first_token=0.5),)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("retry pause", {"a": (Act(status=500), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"], retry=Retry(attempts=3)), attempts=2),
    Case("retry after", {"a": (Act(status=429, retry_after=1.5), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"]), attempts=2),
    Case("held", {"a": (Act(status=429, retry_after=1.5), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"]), before=earn_a_hold),
    Case("timed out", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.0), "b"]), attempts=2),
    Case("timed out reading", {"a": (Act(fault="hang"),), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.0), "b"]), attempts=2),
    Case("timed out, hedge alive", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.25), "b"], hedge=HEDGE),
         attempts=2, hedges=1),
    Case("accept", {"a": (ANSWER,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], accept=accept_slowly), attempts=2),
    Case("accept in a hedge", {"a": (SILENT, ANSWER), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, accept=accept_slowly),
         attempts=2, hedges=1),
    Case("stream", {"a": (ANSWER,)}, lambda router: read(router, chain=["a"])),
    Case("hedged stream", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("stream, hedge lost", {"a": (LATE,), "b": (SILENT,)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("restarted stream", {"a": (Act(tokens=5, gap=0.25, fault="cut", at=2),), "b": (ANSWER,)},
         lambda router: read(router, chain=["a", "b"], on_interrupt="restart"), attempts=2),
]


# ── the machine that cancels ─────────────────────────────────────────────────────────────────────────────────────────


class Stepper:
    """Counts the callbacks that the loop runs, and calls back after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._at: dict[int, Callable[[], object]] = {}
        run = asyncio.Handle._run  # type: ignore[attr-defined]  # private to asyncio

        def stepped(handle: asyncio.Handle) -> None:
            run(handle)
            self._count += 1
            if (due := self._at.pop(self._count, None)) is not None:
                due()

        monkeypatch.setattr(asyncio.Handle, "_run", stepped)

    def begin(self, at: dict[int, Callable[[], object]]) -> None:
        """Call these after so many callbacks, not counting the one that is running."""
        self._count, self._at = -1, at


@pytest.fixture
def stepper(monkeypatch: pytest.MonkeyPatch) -> Stepper:
    """The loop's callbacks, counted."""
    return Stepper(monkeypatch)


@dataclass
class Run:
    """What was seen of one run of a case that was cancelled after so many callbacks."""

    cancels: int = 0
    """How many of the cancels came before the end."""
    received: int = 0
    """How often the caller got a `CancelledError`."""
    cancelling: int = 0
    events: list[object] = field(default_factory=list)
    before: int = 0
    """How many attempts had ended before the first cancel."""
    standing: list[dict[str, str]] = field(default_factory=list)
    left: set[asyncio.Task[object]] = field(default_factory=set)
    timers: list[object] = field(default_factory=list)
    open: int = 0
    in_flight: int = 0
    tokens: float = 0.0
    later: int = 0
    """Requests that began when all was over."""
    unheard: list[object] = field(default_factory=list)

    @property
    def outcomes(self) -> list[str | None]:
        """How the attempts ended, one after the other."""
        return [event.attempt.outcome for event in self.events if isinstance(event, AttemptEnded)]


def play(case: Case, stepper: Stepper, *cancels: int) -> Run:
    """Run a case and cancel its caller after these callbacks."""
    world, run = World(), Run()
    for name in "abc":
        world.model(name, *case.acts.get(name, (Act(),)))
    config = world.config(tasks={"default": {"models": ["a", "b", "c"]}})

    def cancel(router: Router, task: asyncio.Task[None]) -> None:
        if not run.standing:
            run.standing.append(standing(router))
            run.before = len(run.outcomes)
        run.cancels += task.cancel()

    async def caller(router: Router) -> None:
        try:
            await case.run(router)
        except asyncio.CancelledError:
            run.received += 1
            raise

    async def main() -> int:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda _, context: run.unheard.append(context))
        async with Router(config, transport=world.transport(), listeners=[run.events.append], seed=0) as router:
            if case.before is not None:
                await case.before(router)
            run.events.clear()

            def over(task: asyncio.Task[None]) -> None:
                """Note what is left in the very next turn of the loop."""
                run.cancelling = task.cancelling()
                run.left = asyncio.all_tasks() - {me}
                timers: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]  # private to asyncio
                run.timers = [timer for timer in timers if not timer.cancelled()]
                run.open = world.open
                run.in_flight = sum(model.in_flight for model in router.health().values())
                run.standing.append(standing(router))
                run.tokens = tokens(router)
                run.later = -len(world.seen)

            task = loop.create_task(caller(router))
            task.add_done_callback(over)
            stepper.begin({at: lambda: cancel(router, task) for at in cancels})
            await asyncio.wait([task])
            stepper.begin({})
            await asyncio.sleep(1000.0)
            run.later += len(world.seen)
            assert task.cancelled() or task.exception() is None
        return run.cancels

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    return run


def standing(router: Router) -> dict[str, str]:
    """How the models stand."""
    return {name: model.standing for name, model in router.health().items()}


def tokens(router: Router) -> float:
    """What is in the bucket of the hedges."""
    assert router._life.engine is not None
    return router._life.engine.policies.hedge_budgets.budget_of("a", HEDGE.budget).tokens


def check(run: Run, whole: Run) -> None:
    """Hold a cancelled run against all that was promised, and against the run that was not cancelled."""
    assert (run.received, run.cancelling) == (1, run.cancels)
    assert (run.left, run.timers, run.open, run.in_flight, run.later) == (set(), [], 0, 0, 0)
    assert run.standing[0] == run.standing[1]
    # What was to end in the same instant may have ended first; after it everything is cancelled.
    settled = run.outcomes[run.before :]
    first = next((index for index, outcome in enumerate(settled) if outcome == "cancelled"), len(settled))
    assert whole.outcomes[run.before : run.before + first] + ["cancelled"] * (len(settled) - first) == settled
    ends = [event for event in run.events if isinstance(event, CallEnded)]
    assert [type(end.error) for end in ends] == [asyncio.CancelledError]
    attempts = ends[0].trace.attempts
    assert sorted(run.outcomes, key=str) == sorted((each.outcome for each in attempts), key=str)
    assert all(each.ended is not None for each in attempts)
    started = [event.attempt for event in run.events if isinstance(event, AttemptStarted)]
    assert all(attempt in attempts for attempt in started)
    assert 10.0 - sum(attempt.cause == "hedge" for attempt in started) == run.tokens


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cancel_at_any_await_leaves_nothing_behind(case: Case, stepper: Stepper) -> None:
    """After every single callback of the scenario: cancelled once, settled at once, gone one turn later."""
    whole = play(case, stepper)
    assert (whole.cancels, len(whole.outcomes)) == (0, case.attempts)
    unheard = [*whole.unheard]

    at = 1
    while (run := play(case, stepper, at)).cancels:
        check(run, whole)
        unheard += run.unheard
        at += 1
    gc.collect()

    assert at > 6
    assert unheard == []


@pytest.mark.parametrize("between", [1, 2, 3])
@pytest.mark.parametrize("case", [case for case in CASES if case.hedges], ids=lambda case: case.name)
def test_a_second_cancel_changes_nothing(case: Case, stepper: Stepper, between: int) -> None:
    """An impatient caller that cancels again, in the same instant, gets one `CancelledError` and nothing is left."""
    whole = play(case, stepper)

    at = 1
    while (run := play(case, stepper, at, at + between)).cancels:
        check(run, whole)
        at += 1


# ── outer scopes ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def under_timeout(seconds: float, call: Awaitable[object]) -> bool:
    """`asyncio.timeout`; whether it came first."""
    try:
        async with asyncio.timeout(seconds):
            await call
    except TimeoutError:
        return True
    return False


async def under_fail_after(seconds: float, call: Awaitable[object]) -> bool:
    """`anyio.fail_after`; whether it came first."""
    try:
        with anyio.fail_after(seconds):
            await call
    except TimeoutError:
        return True
    return False


async def under_move_on_after(seconds: float, call: Awaitable[object]) -> bool:
    """`anyio.move_on_after`; whether it came first."""
    with anyio.move_on_after(seconds) as scope:
        await call
    return scope.cancelled_caught


async def under_wait_for(seconds: float, call: Awaitable[object]) -> bool:
    """`asyncio.wait_for`; whether it came first."""
    try:
        await asyncio.wait_for(call, seconds)
    except TimeoutError:
        return True
    return False


SCOPES = [under_timeout, under_fail_after, under_move_on_after, under_wait_for]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_outer_scope_ends_a_call_exactly(case: Case, scope: Scope) -> None:
    """At every quarter of a second, the instants at which everything happens included: on time, and nothing is left."""
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
    """Whatever comes of it, in a task that nobody cancels and in one that cleans up after it was cancelled."""
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
    """A `TimeoutError` of the deadline is told apart from one of a scope around the call: that one has not expired."""
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
    """One call of a hundred raises: the others are cancelled at that instant, and the group ends with one error."""
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
    """A scope around one read cuts off that read and not the reply."""
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
    """The connection is closed when the block is left, and the attempt has ended as cancelled."""
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


# ── closing while calls run ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_closing_the_router_ends_the_calls_that_run(case: Case) -> None:
    """At every quarter of a second: the call has its answer, or ends with an error of ours; nothing is left."""
    whole = 0.0

    async def closed(seconds: float) -> None:
        nonlocal whole
        world = World()
        for name in "abc":
            world.model(name, *case.acts.get(name, (Act(),)))
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        router = Router(world.config(), transport=world.transport(), seed=0)
        if case.before is not None:
            await case.before(router)
        began = loop.time()
        task = asyncio.ensure_future(case.run(router))
        await asyncio.wait([task], timeout=seconds)
        whole = loop.time() - began
        running = not task.done()
        await router.aclose()
        # Closing waits for nobody but an `accept` in a hedge, and for that not long.
        assert loop.time() - began <= whole + (2.0 if "accept" in case.name else 0.0)
        await asyncio.wait([task])
        if running and (task.exception() is not None or "accept" not in case.name):
            assert isinstance(task.exception(), RouterClosed | StreamInterrupted)
        await asyncio.sleep(0)
        assert (world.open, asyncio.all_tasks()) == (0, {me})

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(closed(1000.0))
        for quarters in range(int(whole * 4)):
            runner.run(closed(quarters / 4))


def test_draining_waits_for_the_calls_in_flight(clock: Clock, world: World) -> None:
    """New calls are refused at once, those in flight get their answer, fallbacks and hedges included."""
    world.model("a", SILENT)
    world.model("b", Act(status=500, first_token=0.5))
    world.model("c", Act(text="in the end", first_token=2.0))

    async def scenario() -> str:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE))
        await asyncio.sleep(0.5)
        drained = asyncio.create_task(router.drain())
        await asyncio.sleep(0)
        with pytest.raises(RouterClosed):
            await router.chat("hello", chain=["a"])
        await drained
        assert (clock.now, task.done()) == (3.5, True)
        return (await task).text

    assert clock.run(scenario()) == "in the end"


def test_draining_twice_at_once(clock: Clock, world: World) -> None:
    """Both wait for the same end."""
    world.model("a", Act(first_token=3.0))

    async def scenario() -> None:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a"]))
        await asyncio.sleep(1.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(router.drain())
            group.create_task(router.drain())
        assert (clock.now, task.done()) == (3.0, True)

    clock.run(scenario())


def test_a_reopened_router_can_be_drained_again(clock: Clock, world: World) -> None:
    """The second time it waits as it did the first time."""
    world.model("a", Act(first_token=3.0))

    async def scenario() -> None:
        router = Router(world.config(), transport=world.transport())
        for end in (3.0, 6.0):
            async with router:
                task = asyncio.create_task(router.chat("hello", chain=["a"]))
                await asyncio.sleep(1.0)
                await router.drain()
                assert (clock.now, task.done()) == (end, True)

    clock.run(scenario())


def test_a_cancelled_drain_does_not_close(clock: Clock, world: World) -> None:
    """Whoever gives up waiting leaves the calls alone."""
    world.model("a", Act(text="still here", first_token=3.0))

    async def scenario() -> str:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a"]))
        await asyncio.sleep(0)
        with anyio.move_on_after(1.0):
            await router.drain()
        reply = await task
        await router.drain()
        return reply.text

    assert clock.run(scenario()) == "still here"
    assert clock.now == 3.0
