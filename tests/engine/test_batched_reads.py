"""A busy router takes replies in sips: it rests for a fifth of a second before each read, and ends hardly later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptTimeout,
    ConnectionFailed,
    DeadlineExceeded,
    Reply,
    Request,
    Response,
    Retry,
    Router,
    Step,
)
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Mapping

CROWD = 16
ONCE = Retry(attempts=1)


class Watched:
    """A response that notes how long it was left alone before each read."""

    def __init__(self, inner: Response, rests: list[float]) -> None:
        self._inner = inner
        self._rests = rests
        self.status = inner.status
        self.headers: Mapping[str, str] = inner.headers
        self.connected_at = inner.connected_at
        self.reused = inner.reused

    async def read(self, rest: float = 0.0) -> bytes:
        self._rests.append(rest)
        return await self._inner.read(rest)

    def close(self) -> None:
        self._inner.close()


class Watch:
    """A transport whose responses are watched; `rests` by number of the response."""

    def __init__(self, world: World) -> None:
        self._inner = world.transport()
        self.rests: list[list[float]] = []

    async def send(self, request: Request) -> Response:
        response = await self._inner.send(request)
        self.rests.append([])
        return Watched(response, self.rests[-1])

    async def aclose(self) -> None:
        await self._inner.aclose()


def crowd(
    clock: Clock, world: World, count: int, step: Step | str, *, deadline: float | None = None
) -> tuple[list[Reply | BaseException], list[float], Watch]:
    """So many chats at once: what came of each, when each ended, and how their responses were read."""
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

    replies, ends, watch = crowd(clock, world, CROWD - 1, "a")

    assert all(isinstance(reply, Reply) for reply in replies)
    assert set(ends) == {1.0 + 9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}
    assert {len(rests) for rests in watch.rests} == {12}  # who speaks, ten words, the end


def test_with_sixteen_each_read_rests_a_fifth_of_a_second(clock: Clock, world: World) -> None:
    """From the sixteenth on a rest goes before every read after the first content, and four tokens come at once."""
    world.model("a", Act(tokens=41, first_token=1.0, gap=0.05))

    replies, ends, watch = crowd(clock, world, CROWD, "a")

    assert {
        " ".join(reply.text.split()[:13]) for reply in replies if isinstance(reply, Reply)
    } == {"the quick brown fox jumps over a lazy dog and runs far away"}
    last = min(watch.rests, key=len)  # the sixteenth to come; of one instant, timers come in no particular order
    # The role, the first content; then ten sips for the other forty tokens, and the end of the body.
    assert last[:2] == [0.0, 0.0]
    assert last[2:12] == [0.2] * 10
    assert len(last) <= 13
    assert all(3.0 - 1e-9 <= end <= 3.2 + 1e-9 for end in ends)


@pytest.mark.parametrize("tokens", [1, 2, 3, 5, 9, 33])
@pytest.mark.parametrize("gap", [0.01, 0.07, 0.3])
def test_a_reply_ends_at_most_a_fifth_of_a_second_later(
    clock: Clock, world: World, tokens: int, gap: float
) -> None:
    """However its tokens come, a crowded reply is whole and at most one rest late."""
    world.model("a", Act(tokens=tokens, first_token=0.5, gap=gap, tail=gap))
    whole = 0.5 + (tokens - 1) * gap + gap

    replies, ends, _ = crowd(clock, world, 40, "a")

    assert {len(reply.text.split()) for reply in replies if isinstance(reply, Reply)} == {tokens}
    assert all(whole - 1e-9 <= end <= whole + 0.2 + 1e-9 for end in ends)


def test_a_rest_is_at_most_a_quarter_of_idle(clock: Clock, world: World) -> None:
    """With a short idle clock the sips get shorter."""
    world.model("a", Act(tokens=41, gap=0.05))

    replies, _, watch = crowd(clock, world, CROWD, Step(model="a", idle=0.4))

    assert all(isinstance(reply, Reply) for reply in replies)
    assert set(watch.rests[-1]) == {0.0, 0.1}


@pytest.mark.parametrize("limit", ["total", "deadline"])
def test_no_rest_shortly_before_the_end_of_time(clock: Clock, world: World, limit: str) -> None:
    """With less than 0.4 s to the total clock or the deadline, bytes are taken as they come; it fires on time."""
    world.model("a", Act(tokens=200, gap=0.05))

    if limit == "total":
        results, ends, watch = crowd(clock, world, CROWD, Step(model="a", total=1.1))
    else:
        results, ends, watch = crowd(clock, world, CROWD, "a", deadline=1.1)

    kind = AllModelsFailed if limit == "total" else DeadlineExceeded
    assert {type(result) for result in results} == {kind}
    assert set(ends) == {1.1}
    last = watch.rests[-1]
    rested = [index for index, rest in enumerate(last) if rest]
    assert [last[index] for index in rested] == [0.2] * 4
    # Four rests end at 0.8 s; from there on each of the six tokens until 1.1 s has a read of its own.
    assert 6 <= len(last) - rested[-1] - 1


def test_an_answer_just_before_the_deadline_is_in_time(clock: Clock, world: World) -> None:
    """Sips never cost an answer that would have been whole before the deadline."""
    world.model("a", Act(tokens=20, first_token=0.1, gap=0.05))

    results, ends, _ = crowd(clock, world, CROWD, "a", deadline=1.06)

    assert {type(result) for result in results} == {Reply}
    assert all(end < 1.06 for end in ends)


def test_silence_in_a_crowd_is_noticed_on_time(clock: Clock, world: World) -> None:
    """A provider that falls silent while its reply is left alone meets the idle clock all the same."""
    world.model("a", Act(tokens=5, first_token=1.0, fault="hang", at=1))

    results, ends, _ = crowd(clock, world, CROWD, Step(model="a", idle=3.0))

    assert set(ends) == {4.0}
    for result in results:
        assert isinstance(result, AllModelsFailed)
        [attempt] = result.trace.attempts
        assert isinstance(attempt.error, AttemptTimeout)
        assert attempt.error.clock == "idle"


@pytest.mark.parametrize("limit", ["total", "deadline"])
def test_silence_in_a_crowd_without_an_idle_clock(clock: Clock, world: World, limit: str) -> None:
    """Total and deadline fire on time while replies rest."""
    world.model("a", Act(tokens=5, first_token=1.0, fault="hang", at=1))

    if limit == "total":
        _, ends, _ = crowd(clock, world, CROWD, Step(model="a", idle=None, total=7.0))
    else:
        _, ends, _ = crowd(clock, world, CROWD, Step(model="a", idle=None), deadline=7.0)

    assert set(ends) == {7.0}


def test_what_came_during_a_rest_counts_for_the_idle_clock(clock: Clock, world: World) -> None:
    """An idle timer that comes due while the reply is left alone is looked at again after that read."""
    # Comments wake the reads; the third content comes 0.95 s after the second, in a rest that began at 0.9 s or so.
    world.model("a", Act(tokens=3, gap=0.98, comments=0.3))

    results, _, watch = crowd(clock, world, CROWD, Step(model="a", idle=1.0))

    assert {result.text for result in results if isinstance(result, Reply)} == {"the quick brown"}
    assert 0.2 in watch.rests[-1]


def test_an_idle_timer_that_comes_due_in_a_rest_fires_after_it(clock: Clock, world: World) -> None:
    """When the read after the rest brings comments only, the idle clock has fired; it is told so, as idle."""
    # Comments every 0.11 s: after each rest there is something to read, so a rest is nearly always under way.
    world.model("a", Act(tokens=2, fault="hang", at=1, comments=0.11))

    results, ends, _ = crowd(clock, world, CROWD, Step(model="a", idle=1.1))

    assert all(1.1 <= end <= 1.3 + 1e-9 for end in ends)
    assert {
        type(result.trace.attempts[0].error).__name__ for result in results if isinstance(result, AllModelsFailed)
    } == {"AttemptTimeout"}
    assert sum(isinstance(result, AllModelsFailed) for result in results) == CROWD


def test_silence_after_comments_in_a_crowd(clock: Clock, world: World) -> None:
    """Comments that stop in the rest in which the idle timer comes due: nobody reads again, yet the clock fires."""

    class Deaf(Watched):
        """Goes silent for good with the fifth rest."""

        async def read(self, rest: float = 0.0) -> bytes:
            if self._rests.count(0.2) == 5:
                self._rests.append(rest)
                await asyncio.sleep(rest)
                await self._closed.wait()
                raise ConnectionFailed("closed while reading")
            return await super().read(rest)

        def close(self) -> None:
            self._closed.set()
            super().close()

        def __init__(self, inner: Response, rests: list[float]) -> None:
            super().__init__(inner, rests)
            self._closed = asyncio.Event()

    class Deafening(Watch):
        async def send(self, request: Request) -> Response:
            response = await self._inner.send(request)
            self.rests.append([])
            return Deaf(response, self.rests[-1])

    world.model("a", Act(tokens=2, fault="hang", at=1, comments=0.1))
    ends: list[float] = []

    async def one(router: Router) -> None:
        with pytest.raises(AllModelsFailed, match=r"no more content within 1\.1 s"):
            await router.chat("x", chain=[Step(model="a", idle=1.1, total=None)], deadline=None, retry=ONCE)
        ends.append(clock.now)

    async def scenario() -> None:
        async with Router(world.config(), transport=Deafening(world)) as router:
            await asyncio.gather(*(one(router) for _ in range(CROWD)))

    clock.run(scenario())
    assert all(1.1 <= end <= 1.5 for end in ends)


def test_a_cut_during_a_rest_is_a_cut(clock: Clock, world: World) -> None:
    """What breaks while it is left alone is told as what it is."""
    world.model("a", Act(tokens=20, gap=0.05, fault="cut", at=9))

    results, ends, _ = crowd(clock, world, CROWD, "a")

    for result in results:
        assert isinstance(result, AllModelsFailed)
        assert isinstance(result.trace.attempts[0].error, ConnectionFailed)
    assert all(0.45 - 1e-9 <= end <= 0.65 + 1e-9 for end in ends)


def test_a_cut_in_the_rest_in_which_the_idle_timer_came_due(clock: Clock, world: World) -> None:
    """It was only put off then, and has not fired: the read finds a broken connection, and that is the reason."""
    # Comments at 0.5 s and 1.0 s wake the reads; the rest from 1.0 s holds the idle timer at 1.1 s and the cut.
    world.model("a", Act(tokens=2, gap=1.15, fault="cut", at=1, comments=0.5))

    results, ends, _ = crowd(clock, world, CROWD, Step(model="a", idle=1.1))

    assert set(ends) == {1.2}
    for result in results:
        assert isinstance(result, AllModelsFailed)
        assert isinstance(result.trace.attempts[0].error, ConnectionFailed)


def test_a_cancelled_sip_ends_at_once(clock: Clock, world: World) -> None:
    """Cancelling calls that rest closes their connections in that instant."""
    world.model("a", Act(tokens=100, gap=0.05))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            calls = [asyncio.create_task(router.chat("x", model="a")) for _ in range(CROWD)]
            await asyncio.sleep(1.03)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert (clock.now, world.open) == (1.03, 0)
            assert all(call.cancelled() for call in calls)

    clock.run(scenario())


def test_the_crowd_is_counted_down_again(clock: Clock, world: World) -> None:
    """When the others are done, the last reply is read token by token again."""
    world.model("short", Act(tokens=5, gap=0.05))
    world.model("long", Act(tokens=60, gap=0.05))
    watch = Watch(world)

    async def scenario() -> None:
        async with Router(world.config(), transport=watch) as router:
            await asyncio.gather(
                *(router.chat("x", model="short") for _ in range(CROWD)), router.chat("x", model="long")
            )

    clock.run(scenario())
    assert clock.now == 59 * 0.05
    assert 0.2 in watch.rests[-1]
    assert watch.rests[-1][-40:] == [0.0] * 40


def test_streams_are_read_as_they_come(clock: Clock, world: World) -> None:
    """A caller of `stream()` wants each token: however many there are, none is delayed."""
    world.model("a", Act(tokens=10, gap=0.05))
    watch = Watch(world)

    async def one(router: Router) -> float:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass
        return clock.now

    async def scenario() -> list[float]:
        async with Router(world.config(), transport=watch) as router:
            return await asyncio.gather(*(one(router) for _ in range(3 * CROWD)))

    assert set(clock.run(scenario())) == {9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}


def test_one_body_is_not_left_alone(clock: Clock, world: World) -> None:
    """On the buffered wire there is nothing to sip."""
    world.model("a", Act(tokens=10, gap=0.05))

    _, ends, watch = crowd(clock, world, CROWD, Step(model="a", wire_stream=False))

    assert set(ends) == {9 * 0.05}
    assert {rest for rests in watch.rests for rest in rests} == {0.0}
