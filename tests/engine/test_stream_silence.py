"""A stream that may begin again, and falls silent: the rest of the chain is raced with it, as with a whole answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, DeadlineExceeded, Hedge, HedgeDenied, Router, StreamInterrupted
from asyncrouter.sim import Act
from tests.helpers.racing import check_nothing_is_left, hedge_tokens, timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Event, ReplyStream, Trace
    from asyncrouter.sim import Clock, World

GAP = 1 / 32
FLOWS = Act(tokens=65, first_token=0.5, gap=GAP)
"""A healthy answer of 2.5 s."""
LAST = 0.5 + 15 * GAP
"""The instant of the last content before the silence."""
HANGS = Act(tokens=65, first_token=0.5, gap=GAP, fault="hang", at=16)
LATE = Act(first_token=60.0)


def stalls(seconds: float, at: int = 16) -> Act:
    """A healthy answer, but for one silence of so many seconds."""
    return Act(tokens=65, first_token=0.5, gap=GAP, fault="stall", at=at, pause=seconds - GAP)


class Read:
    """What a caller has got of one stream, each with its seconds, and how the stream has ended."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.restarts: list[float] = []
        self.trace: Trace
        self.error: StreamInterrupted | None = None
        self.tally = 1.0

    async def all_of(self, stream: ReplyStream, clock: Clock, began: float) -> None:
        """Read to the end."""
        async for chunk in stream:
            if chunk.restart:
                self.restarts.append(clock.now - began)
                self.texts.clear()
            self.texts.append(chunk.text)


def read(
    clock: Clock, world: World, a: Act, *, b: Act = FLOWS, c: Act = FLOWS, calls: int = 120,
    listeners: tuple[Callable[[Event], None], ...] = (), on_interrupt: str = "restart", **options: object,
) -> Read:
    """Read a stream of the chain a, b, c, once so many healthy answers of a and b are known."""
    found = Read()
    options.setdefault("chain", ["a", "b", "c"])

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport(), seed=1, listeners=listeners) as router:
            for name in "ab":
                world.model(name, FLOWS)
                for _ in range(calls):
                    await router.chat("x", model=name)
            for name, act in zip("abc", (a, b, c), strict=True):
                world.model(name, act)
            began = clock.now
            try:
                async with router.stream("x", on_interrupt=on_interrupt, **options) as stream:  # type: ignore[arg-type]
                    found.trace = stream.trace
                    await found.all_of(stream, clock, began)
            except StreamInterrupted as error:
                found.error = error
            await asyncio.sleep(0)
            check_nothing_is_left(world, router)
            assert router._life.engine is not None
            found.tally = router._life.engine.policies.rescue_budgets.budget_of("a", hedged=False).tally

    clock.run(scenario())
    return found


@pytest.mark.parametrize(("hedge", "late", "cause"), [
    (None, 2.0, "rescue"), ("p95", 0.5, "hedge"), ("auto", 0.5, "hedge"), (Hedge(after=9.0), 0.5, "hedge"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("act", [stalls(30.0), HANGS], ids=["stalls", "hangs"])
def test_a_silent_stream_begins_again_elsewhere(
    clock: Clock, world: World, act: Act, hedge: object, late: float, cause: str
) -> None:
    """As soon as the silence is late the next model is asked, and with its first content the stream begins again."""
    found = read(clock, world, act, hedge=hedge)

    assert found.restarts == [pytest.approx(LAST + late + 0.5)]
    assert len(found.texts) == 1 + 65 + 1
    assert timeline(found.trace) == [
        ("a", "first", "superseded", 0.0, pytest.approx(LAST + late + 0.5)),
        ("b", cause, "won", pytest.approx(LAST + late), pytest.approx(LAST + late + 2.5)),
    ]
    why = f"a: no more content for {late:.3g} s; usual 0.0311 s, 99.9 %: 0.0396 s"
    assert found.trace.attempts[1].why == why


def test_a_stream_that_goes_on_is_read_on(clock: Clock, world: World) -> None:
    """When the silent model goes on before the other one begins, the race is over, and counts as a lost rescue."""
    found = read(clock, world, stalls(2.25))

    assert (found.restarts, len(found.texts), found.tally) == ([], 65 + 1, 0.85)
    assert timeline(found.trace) == [
        ("a", "first", "won", 0.0, pytest.approx(2.5 + 2.25 - GAP)),
        ("b", "rescue", "superseded", pytest.approx(LAST + 2.0), pytest.approx(LAST + 2.25)),
    ]


def test_after_a_lost_race_only_a_silence_twice_as_long_is_raced(clock: Clock, world: World) -> None:
    """A stream that has gone on once is given twice its longest silence."""
    crawl = Act(tokens=6, first_token=0.5, gap=2.25)
    found = read(clock, world, crawl)

    assert [line[:3] for line in timeline(found.trace)] == [("a", "first", "won"), ("b", "rescue", "superseded")]
    assert found.restarts == []


def test_it_is_raced_again_after_a_longer_silence(clock: Clock, world: World) -> None:
    """The step that was raced in vain is asked again when the stream is silent for twice as long as before."""
    found = read(clock, world, Act(tokens=4, first_token=0.5, gap=2.25, fault="hang", at=3))

    last = 0.5 + 2 * 2.25
    assert timeline(found.trace) == [
        ("a", "first", "superseded", 0.0, pytest.approx(last + 4.5 + 0.5)),
        ("b", "rescue", "superseded", 2.5, 2.75),
        ("b", "rescue", "won", pytest.approx(last + 4.5), pytest.approx(last + 4.5 + 2.5)),
    ]


def test_a_failed_rescue_moves_on(clock: Clock, world: World) -> None:
    """When the model that is raced fails, the next one is asked, while the silent stream is waited for."""
    found = read(clock, world, HANGS, b=Act(status=400), c=FLOWS)

    assert [line[:3] for line in timeline(found.trace)] == [
        ("a", "first", "superseded"), ("b", "rescue", "failed"), ("c", "fallback", "won")
    ]
    assert found.restarts == [pytest.approx(LAST + 2.5)]


def test_when_all_others_fail_the_silent_stream_is_read_on(clock: Clock, world: World) -> None:
    """A race that nobody wins costs nothing: the silent stream may still go on."""
    found = read(clock, world, stalls(20.0), b=Act(status=400), c=Act(status=400))

    assert found.trace.seconds == pytest.approx(2.5 + 20.0 - GAP)
    assert [line[:3] for line in timeline(found.trace)] == [
        ("a", "first", "won"), ("b", "rescue", "failed"), ("c", "fallback", "failed")
    ]
    assert (found.restarts, len(found.texts)) == ([], 65 + 1)


def test_when_all_fail_the_stream_is_interrupted(clock: Clock, world: World) -> None:
    """If it does not go on either, the error names the limit that has cut it; its cause are the other failures."""
    found = read(clock, world, HANGS, b=Act(status=400), c=Act(status=400))

    assert found.error is not None
    assert isinstance(found.error.__cause__, AllModelsFailed)
    assert str(found.error).startswith("the stream broke after 75 characters: a: no more content for 30 s")
    assert found.trace.seconds == pytest.approx(LAST + 30.0)


def test_the_deadline_ends_both(clock: Clock, world: World) -> None:
    """The deadline of the call bounds the race, too."""
    found = read(clock, world, HANGS, b=LATE, chain=["a", "b"], deadline=8.0)

    assert found.error is not None
    assert isinstance(found.error.__cause__, DeadlineExceeded)
    assert [line[:3] for line in timeline(found.trace)] == [("a", "first", "failed"), ("b", "rescue", "failed")]
    assert found.trace.seconds == 8.0


@pytest.mark.parametrize("fault", ["cut", "reset", "error"])
def test_a_stream_that_breaks_while_it_is_raced_waits_for_the_race(clock: Clock, world: World, fault: str) -> None:
    """The steps that are asked already go on; none is asked twice."""
    breaks = Act(tokens=65, first_token=0.5, gap=2.25, fault=fault, at=1)
    found = read(clock, world, breaks, b=Act(tokens=65, first_token=1.5, gap=GAP))

    assert timeline(found.trace) == [
        ("a", "first", "failed", 0.0, 2.75), ("b", "rescue", "won", 2.5, pytest.approx(2.5 + 1.5 + 2.0))
    ]
    assert found.restarts == [4.0]


@pytest.mark.parametrize("options", [
    {"on_interrupt": "raise"}, {"rescue": "off"}, {"priority": "batch"}, {"chain": ["a"]},
], ids=str)
def test_who_may_not_begin_again_is_not_raced(clock: Clock, world: World, options: dict[str, object]) -> None:
    """Without a restart, without rescues and without another model a silent stream ends at its idle limit."""
    found = read(clock, world, HANGS, **options)  # type: ignore[arg-type]

    assert timeline(found.trace)[0] == ("a", "first", "failed", 0.0, pytest.approx(LAST + 30.0))
    assert [attempt.cause for attempt in found.trace.attempts[1:]] in ([], ["restart"])


def test_a_healthy_stream_is_left_alone(clock: Clock, world: World) -> None:
    """A stream at its usual pace is raced with nobody."""
    assert [line[:3] for line in timeline(read(clock, world, FLOWS, hedge="p95").trace)] == [("a", "first", "won")]


def test_a_stream_that_nobody_reads_is_not_late(clock: Clock, world: World) -> None:
    """What its caller does with a chunk is no silence of the model's."""
    async def scenario() -> ReplyStream:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in "ab":
                world.model(name, FLOWS)
                for _ in range(120):
                    await router.chat("x", model=name)
            async with router.stream("x", chain=["a", "b"], hedge="p95", on_interrupt="restart") as stream:
                async for _ in stream:
                    await asyncio.sleep(7.0)
            return stream

    stream = clock.run(scenario())
    assert [line[:3] for line in timeline(stream.trace)] == [("a", "first", "won")]


def test_no_token_is_no_race(clock: Clock, world: World) -> None:
    """Where the hedge budget is used up nobody is raced before a rescue would be, and the listeners are told."""
    heard: list[Event] = []

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1, listeners=[heard.append]) as router:
            for name in "ab":
                world.model(name, FLOWS)
                for _ in range(120):
                    await router.chat("x", model=name)
            world.model("a", HANGS)
            assert router._life.engine is not None
            budget = router._life.engine.policies.hedge_budgets.budget_of("a", 0.05)
            while budget.take():
                pass
            async with router.stream("x", chain=["a", "b"], hedge="p95", on_interrupt="restart") as stream:
                async for _ in stream:
                    pass
            assert hedge_tokens(router) == pytest.approx(0.05)
            return stream.trace

    trace = clock.run(scenario())
    assert [str(event.reason) for event in heard if isinstance(event, HedgeDenied)] == ["the hedge budget is used up"]
    assert timeline(trace)[1][:4] == ("b", "rescue", "won", pytest.approx(LAST + 2.0))


@pytest.mark.parametrize("left_after", [0.0, 0.25])
def test_leaving_early_ends_both(clock: Clock, world: World, left_after: float) -> None:
    """A caller that gives up during the race leaves nothing behind."""
    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in "ab":
                world.model(name, FLOWS)
                for _ in range(120):
                    await router.chat("x", model=name)
            world.model("a", HANGS)
            stream = router.stream("x", chain=["a", "b"], hedge="p95", on_interrupt="restart")
            with pytest.raises(TimeoutError):
                async with stream, asyncio.timeout(LAST + left_after):
                    async for _ in stream:
                        pass
            await asyncio.sleep(0)
            check_nothing_is_left(world, router)
            return stream.trace

    assert {attempt.outcome for attempt in clock.run(scenario()).attempts} == {"cancelled"}


def test_a_caller_that_comes_back_gets_what_has_begun_meanwhile(clock: Clock, world: World) -> None:
    """A read that was cancelled loses nothing: if another answer has begun since then, it is told and read."""
    async def scenario() -> tuple[list[str], Trace]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in "ab":
                world.model(name, FLOWS)
                for _ in range(120):
                    await router.chat("x", model=name)
            world.model("a", HANGS)
            texts = []
            async with router.stream("x", chain=["a", "b"], hedge="p95", on_interrupt="restart") as stream:
                for _ in range(16):
                    await anext(stream)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.75):
                        await anext(stream)
                await asyncio.sleep(5.0)
                async for chunk in stream:
                    texts.append("RESTART" if chunk.restart else chunk.text)  # noqa: PERF401
            return texts, stream.trace

    texts, trace = clock.run(scenario())
    assert [line[:3] for line in timeline(trace)] == [("a", "first", "superseded"), ("b", "hedge", "won")]
    assert (texts[:2], len(texts)) == (["RESTART", "the"], 1 + 65 + 1)


def test_two_run_at_once_at_most(clock: Clock, world: World) -> None:
    """While the silent stream lives a late rescue is not raced in turn; once it has broken, it is."""
    found = read(clock, world, HANGS, b=LATE, c=FLOWS, idle=9.0)

    assert timeline(found.trace) == [
        ("a", "first", "failed", 0.0, pytest.approx(LAST + 9.0)),
        ("b", "rescue", "superseded", pytest.approx(LAST + 2.0), pytest.approx(LAST + 9.0 + 0.5)),
        ("c", "rescue", "won", pytest.approx(LAST + 9.0), pytest.approx(LAST + 9.0 + 2.5)),
    ]
