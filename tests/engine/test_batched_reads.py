"""Batched reads: with sixteen replies or more, sockets are read every 0.2 s, and a reply ends at most 0.2 s later."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptTimeout,
    ConnectionFailed,
    DeadlineExceeded,
    Reply,
    Response,
    Router,
    Step,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.transports import WrappedResponse, WrappingTransport

MANY = 16
"""Replies at once from which on reads are batched."""


class Watched(WrappedResponse):
    """A response that notes in `rests` how long its socket is left alone before each read."""

    def __init__(self, inner: Response, rests: list[float]) -> None:
        super().__init__(inner)
        self.rests = rests

    async def read(self, rest: float = 0.0) -> bytes:
        self.rests.append(rest)
        return await super().read(rest)


class Watch(WrappingTransport):
    """A transport whose responses are `watched`; `rests` has those of each response, in order."""

    def __init__(self, world: World, watched: type[Watched] = Watched) -> None:
        self.rests: list[list[float]] = []
        super().__init__(world, lambda response: watched(response, self._new_rests()))

    def _new_rests(self) -> list[float]:
        self.rests.append([])
        return self.rests[-1]


def chats_at_once(
    clock: Clock, world: World, count: int, step: Step | str, *, deadline: float | None = None
) -> tuple[list[Reply | BaseException], list[float], Watch]:
    """Make so many chats at once: what came of each, when each ended, and how their responses were read."""
    watch, ends = Watch(world), [0.0] * count

    async def one(router: Router, index: int) -> Reply:
        try:
            return await router.chat("x", chain=[step], deadline=deadline, retry=ONCE)
        finally:
            ends[index] = clock.now

    async def scenario() -> list[Reply | BaseException]:
        async with Router(world.config(), transport=watch) as router:
            return await asyncio.gather(*(one(router, index) for index in range(count)), return_exceptions=True)

    return clock.run(scenario()), ends, watch


def test_with_fewer_than_sixteen_nothing_is_delayed(clock: Clock, world: World) -> None:
    """Fifteen replies are read token by token and end on the instant."""
    world.model("a", Act(tokens=10, first_token=1.0, gap=0.05))

    replies, ends, watch = chats_at_once(clock, world, MANY - 1, "a")

    assert all(isinstance(reply, Reply) for reply in replies)
    assert set(ends) == {1.0 + 9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}
    assert {len(rests) for rests in watch.rests} == {12}  # who speaks, ten words, the end


def test_with_sixteen_each_read_rests_a_fifth_of_a_second(clock: Clock, world: World) -> None:
    """From sixteen replies on each read after the first content waits 0.2 s, and takes four tokens at once."""
    world.model("a", Act(tokens=41, first_token=1.0, gap=0.05))

    replies, ends, watch = chats_at_once(clock, world, MANY, "a")

    assert {
        " ".join(reply.text.split()[:13]) for reply in replies if isinstance(reply, Reply)
    } == {"the quick brown fox jumps over a lazy dog and runs far away"}
    last = min(watch.rests, key=len)  # the sixteenth to come; of one instant, timers come in no particular order
    # The role, the first content; then ten reads for the other forty tokens, and the end of the body.
    assert last[:2] == [0.0, 0.0]
    assert last[2:12] == [0.2] * 10
    assert len(last) <= 13
    assert all(3.0 - 1e-9 <= end <= 3.2 + 1e-9 for end in ends)


@pytest.mark.parametrize("tokens", [1, 2, 3, 5, 9, 33])
@pytest.mark.parametrize("gap", [0.01, 0.07, 0.3])
def test_a_reply_ends_at_most_a_fifth_of_a_second_later(
    clock: Clock, world: World, tokens: int, gap: float
) -> None:
    """However its tokens come, a reply among many is whole and at most 0.2 s late."""
    world.model("a", Act(tokens=tokens, first_token=0.5, gap=gap, tail=gap))
    whole = 0.5 + (tokens - 1) * gap + gap

    replies, ends, _ = chats_at_once(clock, world, 40, "a")

    assert {len(reply.text.split()) for reply in replies if isinstance(reply, Reply)} == {tokens}
    assert all(whole - 1e-9 <= end <= whole + 0.2 + 1e-9 for end in ends)


def test_a_rest_is_at_most_a_quarter_of_idle(clock: Clock, world: World) -> None:
    """A read waits at most a quarter of the idle limit."""
    world.model("a", Act(tokens=41, gap=0.05))

    replies, _, watch = chats_at_once(clock, world, MANY, Step(model="a", idle=0.4))

    assert all(isinstance(reply, Reply) for reply in replies)
    assert set(watch.rests[-1]) == {0.0, 0.1}


@pytest.mark.parametrize("limit", ["total", "deadline"])
def test_no_rest_shortly_before_the_end_of_time(clock: Clock, world: World, limit: str) -> None:
    """Within 0.4 s of the total limit or the deadline bytes are read as they come, and the limit is kept on time."""
    world.model("a", Act(tokens=200, gap=0.05))

    if limit == "total":
        results, ends, watch = chats_at_once(clock, world, MANY, Step(model="a", total=1.1))
    else:
        results, ends, watch = chats_at_once(clock, world, MANY, "a", deadline=1.1)

    kind = AllModelsFailed if limit == "total" else DeadlineExceeded
    assert {type(result) for result in results} == {kind}
    assert set(ends) == {1.1}
    last = watch.rests[-1]
    rested = [index for index, rest in enumerate(last) if rest]
    assert [last[index] for index in rested] == [0.2] * 4
    # Four rests end at 0.8 s; from there on each of the six tokens until 1.1 s has a read of its own.
    assert 6 <= len(last) - rested[-1] - 1


def test_an_answer_just_before_the_deadline_is_in_time(clock: Clock, world: World) -> None:
    """Batched reads never cost an answer that would have been whole before the deadline."""
    world.model("a", Act(tokens=20, first_token=0.1, gap=0.05))

    results, ends, _ = chats_at_once(clock, world, MANY, "a", deadline=1.06)

    assert {type(result) for result in results} == {Reply}
    assert all(end < 1.06 for end in ends)


def test_silence_among_many_is_noticed_on_time(clock: Clock, world: World) -> None:
    """A provider that falls silent while its socket is left alone meets the idle limit on time."""
    world.model("a", Act(tokens=5, first_token=1.0, fault="hang", at=1))

    results, ends, _ = chats_at_once(clock, world, MANY, Step(model="a", idle=3.0))

    assert set(ends) == {4.0}
    for result in results:
        assert isinstance(result, AllModelsFailed)
        [attempt] = result.trace.attempts
        assert isinstance(attempt.error, AttemptTimeout)
        assert attempt.error.clock == "idle"


@pytest.mark.parametrize("limit", ["total", "deadline"])
def test_silence_among_many_without_an_idle_limit(clock: Clock, world: World, limit: str) -> None:
    """Total and deadline end a silent reply on time while its socket is left alone."""
    world.model("a", Act(tokens=5, first_token=1.0, fault="hang", at=1))

    if limit == "total":
        _, ends, _ = chats_at_once(clock, world, MANY, Step(model="a", idle=None, total=7.0))
    else:
        _, ends, _ = chats_at_once(clock, world, MANY, Step(model="a", idle=None), deadline=7.0)

    assert set(ends) == {7.0}


def test_what_came_during_a_rest_counts_for_the_idle_clock(clock: Clock, world: World) -> None:
    """Content that came while the socket was left alone counts, though the idle limit came due before it was read."""
    # Comments wake the reads; the third content comes 0.95 s after the second, in a rest that began at 0.9 s or so.
    world.model("a", Act(tokens=3, gap=0.98, comments=0.3))

    results, _, watch = chats_at_once(clock, world, MANY, Step(model="a", idle=1.0))

    assert {result.text for result in results if isinstance(result, Reply)} == {"the quick brown"}
    assert 0.2 in watch.rests[-1]


def test_an_idle_timer_that_comes_due_in_a_rest_fires_after_it(clock: Clock, world: World) -> None:
    """When the read brings only comments, an idle limit that came due before it ends the attempt."""
    # Comments every 0.11 s: after each rest there is something to read, so a rest is nearly always under way.
    world.model("a", Act(tokens=2, fault="hang", at=1, comments=0.11))

    results, ends, _ = chats_at_once(clock, world, MANY, Step(model="a", idle=1.1))

    assert all(1.1 <= end <= 1.3 + 1e-9 for end in ends)
    assert {
        type(result.trace.attempts[0].error).__name__ for result in results if isinstance(result, AllModelsFailed)
    } == {"AttemptTimeout"}
    assert sum(isinstance(result, AllModelsFailed) for result in results) == MANY


def test_silence_after_comments_among_many(clock: Clock, world: World) -> None:
    """The idle limit ends an attempt whose comments stop just when it comes due, though nothing is read any more."""

    class Deaf(Watched):
        """Goes silent for good with the fifth rest."""

        async def read(self, rest: float = 0.0) -> bytes:
            if self.rests.count(0.2) == 5:
                self.rests.append(rest)
                await asyncio.sleep(rest)
                return await self.closed_while_reading()
            return await super().read(rest)

    world.model("a", Act(tokens=2, fault="hang", at=1, comments=0.1))
    ends: list[float] = []

    async def one(router: Router) -> None:
        with pytest.raises(AllModelsFailed, match=r"no more content within 1\.1 s"):
            await router.chat("x", chain=[Step(model="a", idle=1.1, total=None)], deadline=None, retry=ONCE)
        ends.append(clock.now)

    async def scenario() -> None:
        async with Router(world.config(), transport=Watch(world, Deaf)) as router:
            await asyncio.gather(*(one(router) for _ in range(MANY)))

    clock.run(scenario())
    assert all(1.1 <= end <= 1.5 for end in ends)


def test_a_cut_during_a_rest_is_a_cut(clock: Clock, world: World) -> None:
    """A connection that breaks while its socket is left alone is a `ConnectionFailed`."""
    world.model("a", Act(tokens=20, gap=0.05, fault="cut", at=9))

    results, ends, _ = chats_at_once(clock, world, MANY, "a")

    for result in results:
        assert isinstance(result, AllModelsFailed)
        assert isinstance(result.trace.attempts[0].error, ConnectionFailed)
    assert all(0.45 - 1e-9 <= end <= 0.65 + 1e-9 for end in ends)


def test_a_cut_in_the_rest_in_which_the_idle_timer_came_due(clock: Clock, world: World) -> None:
    """When the idle limit was put off until the read, and the read finds a broken connection, the error is that."""
    # Comments at 0.5 s and 1.0 s wake the reads; the rest from 1.0 s holds the idle timer at 1.1 s and the cut.
    world.model("a", Act(tokens=2, gap=1.15, fault="cut", at=1, comments=0.5))

    results, ends, _ = chats_at_once(clock, world, MANY, Step(model="a", idle=1.1))

    assert set(ends) == {1.2}
    for result in results:
        assert isinstance(result, AllModelsFailed)
        assert isinstance(result.trace.attempts[0].error, ConnectionFailed)


def test_a_cancelled_batched_read_ends_at_once(clock: Clock, world: World) -> None:
    """Cancelling calls that leave their sockets alone closes their connections in that instant."""
    world.model("a", Act(tokens=100, gap=0.05))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            calls = [asyncio.create_task(router.chat("x", model="a")) for _ in range(MANY)]
            await asyncio.sleep(1.03)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert (clock.now, world.open) == (1.03, 0)
            assert all(call.cancelled() for call in calls)

    clock.run(scenario())


def test_the_last_of_many_is_read_token_by_token_again(clock: Clock, world: World) -> None:
    """When the other replies are done, the last one is read token by token again."""
    world.model("short", Act(tokens=5, gap=0.05))
    world.model("long", Act(tokens=60, gap=0.05))
    watch = Watch(world)

    async def scenario() -> None:
        async with Router(world.config(), transport=watch) as router:
            await asyncio.gather(
                *(router.chat("x", model="short") for _ in range(MANY)), router.chat("x", model="long")
            )

    clock.run(scenario())
    assert clock.now == 59 * 0.05
    assert 0.2 in watch.rests[-1]
    assert watch.rests[-1][-40:] == [0.0] * 40


def test_streams_are_read_as_they_come(clock: Clock, world: World) -> None:
    """The reads of `stream()` are never batched, however many streams there are."""
    world.model("a", Act(tokens=10, gap=0.05))
    watch = Watch(world)

    async def one(router: Router) -> float:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass
        return clock.now

    async def scenario() -> list[float]:
        async with Router(world.config(), transport=watch) as router:
            return await asyncio.gather(*(one(router) for _ in range(3 * MANY)))

    assert set(clock.run(scenario())) == {9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}


def test_one_body_is_not_left_alone(clock: Clock, world: World) -> None:
    """On the buffered wire no read waits."""
    world.model("a", Act(tokens=10, gap=0.05))

    _, ends, watch = chats_at_once(clock, world, MANY, Step(model="a", wire_stream=False))

    assert set(ends) == {9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}
