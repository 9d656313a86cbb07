"""One loop for fallback and hedging: who comes next, who wins in one instant, what a broken winner leaves behind."""

from __future__ import annotations

import asyncio
import gc
from itertools import permutations
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import (
    AiohttpTransport,
    AllModelsFailed,
    AttemptEnded,
    ConnectionFailed,
    Hedge,
    Reply,
    Request,
    Retry,
    Router,
    RouterClosed,
    Step,
    StreamInterrupted,
    Trace,
)
from asyncrouter.sim import Act, Clock, Seen, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from asyncrouter.sim.play import Play

ONCE = Retry(attempts=1)
HEDGE = Hedge(after=1.0)
FAILS = Act(status=500, first_token=0.5)


@pytest.fixture
def world(world: World) -> World:
    """A world whose models say their names."""
    for name in "abcd":
        world.model(name, Act(text=name))
    return world


def ask(clock: Clock, world: World, chain: list[str | Step], **options: object) -> Reply:
    """One call, from the beginning of time, without retries unless they are asked for."""
    config = world.config(**options.pop("config", {}))  # type: ignore[arg-type]
    options.setdefault("retry", ONCE)

    async def scenario() -> Reply:
        async with Router(config, transport=world.transport(), seed=0) as router:
            try:
                return await router.chat("hello", chain=chain, **options)  # type: ignore[arg-type]
            finally:
                await asyncio.sleep(0)
                assert {asyncio.current_task()} == asyncio.all_tasks()
                assert not any(model.in_flight for model in router.health().values())

    return clock.run(scenario())


def story(trace: Trace) -> list[tuple[str, str, str | None, float | None, float | None]]:
    """Who was tried, why, what came of it, and when it was sent and ended."""
    return [(each.model, each.cause, each.outcome, each.sent, each.ended) for each in trace.attempts]


# ── one after the other ──────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_delay_it_is_a_fallback_chain(clock: Clock, world: World) -> None:
    """Each model starts at the instant at which the one before it failed."""
    world.model("a", FAILS)
    world.model("b", Act(tokens=9, first_token=0.5, gap=0.25, fault="cut", at=4))

    reply = ask(clock, world, ["a", "b", "c"])

    assert story(reply.trace) == [
        ("a", "first", "failed", 0.0, 0.5), ("b", "fallback", "failed", 0.5, 2.0), ("c", "fallback", "won", 2.0, 2.0)
    ]
    assert reply.text == "c"


def test_the_same_model_may_come_twice(clock: Clock, world: World) -> None:
    """Steps are places in the chain, not models."""
    world.model("a", FAILS, Act(text="a again"))
    world.model("b", FAILS)

    reply = ask(clock, world, ["a", "b", "a"])

    assert (reply.text, [each.model for each in reply.trace.attempts]) == ("a again", ["a", "b", "a"])


# ── a winner that breaks before its commit ───────────────────────────────────────────────────────────────────────────

BREAKS = Act(tokens=9, first_token=0.5, gap=0.25, fault="cut", at=4)


def test_a_hedge_that_wins_and_breaks_gives_the_cancelled_step_its_place_back(clock: Clock, world: World) -> None:
    """The first model was only cancelled: it is tried again before the models behind it."""
    world.model("a", Act(fault="hang"), Act(text="a again"))
    world.model("b", BREAKS)

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert reply.text == "a again"
    assert story(reply.trace) == [
        ("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "failed", 1.0, 2.5), ("a", "fallback", "won", 2.5, 2.5)
    ]


def test_a_first_model_that_wins_and_breaks_gives_the_hedge_its_place_back(clock: Clock, world: World) -> None:
    """The hedge that lost is the next fallback."""
    world.model("a", Act(tokens=9, first_token=1.5, gap=0.25, fault="cut", at=4))
    world.model("b", Act(fault="hang"), Act(text="b again"))

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert story(reply.trace) == [
        ("a", "first", "failed", 0.0, 2.5), ("b", "hedge", "superseded", 1.0, 1.5), ("b", "fallback", "won", 2.5, 2.5)
    ]


def test_several_cancelled_steps_come_in_their_old_order(clock: Clock, world: World) -> None:
    """First the first, then the third, then what was never tried: the failed second does not come again."""
    world.model("a", Act(fault="hang"), FAILS)
    world.model("b", Act(status=500, first_token=0.25))
    world.model("c", BREAKS)

    reply = ask(clock, world, ["a", "b", "c", "d"], hedge=HEDGE)

    assert [each[:3] for each in story(reply.trace)] == [
        ("a", "first", "superseded"), ("b", "hedge", "failed"), ("c", "hedge", "failed"),
        ("a", "fallback", "failed"), ("d", "fallback", "won"),
    ]


def test_a_broken_winner_is_tried_once_more_before_the_others(clock: Clock, world: World) -> None:
    """A cut is worth one quick retry, whoever was cancelled for this winner."""
    world.model("a", Act(fault="hang"))
    world.model("b", BREAKS, Act(text="b again"))

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE, retry=Retry(base=0.0))

    assert story(reply.trace) == [
        ("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "failed", 1.0, 2.5), ("b", "retry", "won", 2.5, 2.5)
    ]


def test_the_retry_of_a_broken_winner_is_hedged(clock: Clock, world: World) -> None:
    """Its win is over with it: the new attempt is late `after` seconds after its own sending, like any other."""
    world.model("a", BREAKS, Act(fault="hang"))

    reply = ask(clock, world, ["a", "b"], hedge=HEDGE, retry=Retry(base=0.0))

    assert story(reply.trace) == [
        ("a", "first", "failed", 0.0, 1.5), ("a", "retry", "superseded", 1.5, 2.5), ("b", "hedge", "won", 2.5, 2.5)
    ]


def test_a_model_sent_in_the_instant_of_a_win_that_broke_is_hedged(clock: Clock, world: World) -> None:
    """The win of one model is not taken for that of the next."""
    world.model("a", Act(tokens=9, fault="cut", at=4))
    world.model("b", Act(fault="hang"))

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert story(reply.trace) == [
        ("a", "first", "failed", 0.0, 0.0), ("b", "fallback", "superseded", 0.0, 1.0), ("c", "hedge", "won", 1.0, 1.0)
    ]


def test_a_broken_winner_and_nothing_left(clock: Clock, world: World) -> None:
    """The cancelled one fails as well, at the second try: all models failed, and every attempt is told."""
    world.model("a", Act(fault="hang"), FAILS)
    world.model("b", BREAKS)

    with pytest.raises(AllModelsFailed) as caught:
        ask(clock, world, ["a", "b"], hedge=HEDGE)

    assert [each.outcome for each in caught.value.trace.attempts] == ["superseded", "failed", "failed"]


def test_a_hedge_may_follow_a_broken_winner(clock: Clock, world: World) -> None:
    """The race begins anew: the cancelled step may be late again, and the next one is its hedge."""
    world.model("a", Act(fault="hang"))
    world.model("b", BREAKS)

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert story(reply.trace) == [
        ("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "failed", 1.0, 2.5),
        ("a", "fallback", "superseded", 2.5, 3.5), ("c", "hedge", "won", 3.5, 3.5),
    ]


# ── where content cannot be seen before the end ──────────────────────────────────────────────────────────────────────


def test_on_the_buffered_wire_the_race_is_decided_at_the_end(clock: Clock, world: World) -> None:
    """With one JSON body each, the first whole answer wins, whoever began to write first."""
    config = {"defaults": {"wire_stream": False}}
    world.model("a", Act(tokens=20, first_token=0.5, gap=0.5))
    world.model("b", Act(text="short", first_token=2.0))

    reply = ask(clock, world, ["a", "b"], hedge=HEDGE, config=config)

    assert reply.text == "short"
    assert story(reply.trace) == [("a", "first", "superseded", 0.0, 3.0), ("b", "hedge", "won", 1.0, 3.0)]
    assert not any(seen.stream for seen in world.seen)


def test_on_the_streaming_wire_it_is_decided_by_the_first_content(clock: Clock, world: World) -> None:
    """The same two models: the first one has begun to answer, and nothing is raced."""
    world.model("a", Act(tokens=20, first_token=0.5, gap=0.5))
    world.model("b", Act(text="short", first_token=2.0))

    reply = ask(clock, world, ["a", "b"], hedge=HEDGE)

    assert story(reply.trace) == [("a", "first", "won", 0.0, 10.0)]
    assert all(seen.stream for seen in world.seen)


def test_one_of_two_may_be_buffered(clock: Clock, world: World) -> None:
    """A first model whose body comes whole, and late, loses against a hedge that streams."""
    world.model("a", Act(tokens=10, first_token=0.5, gap=0.5))
    world.model("b", Act(tokens=20, first_token=0.5, gap=0.5))

    reply = ask(clock, world, [Step(model="a", wire_stream=False), "b"], hedge=HEDGE)

    assert story(reply.trace) == [("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "won", 1.0, 11.0)]


def test_an_invalid_body_does_not_win(clock: Clock, world: World) -> None:
    """A whole answer is what wins: an empty one is a failure, and the other one is waited for."""
    config = {"defaults": {"wire_stream": False}}
    world.model("a", Act(text="late but good", first_token=4.0))
    world.model("b", Act(text="", tokens=0, first_token=0.5))

    reply = ask(clock, world, ["a", "b"], hedge=HEDGE, config=config)

    assert story(reply.trace) == [("a", "first", "won", 0.0, 4.0), ("b", "hedge", "failed", 1.0, 1.5)]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_breaks_after_its_commit_is_not_spliced(clock: Clock, world: World) -> None:
    """Its text so far is on the error, and the loser of the race is not asked again."""
    world.model("a", Act(fault="hang"))
    world.model("b", BREAKS)

    async def scenario() -> tuple[str, str, Trace]:
        async with Router(world.config(), transport=world.transport()) as router:
            heard = ""
            with pytest.raises(StreamInterrupted) as caught:
                async with router.stream("hello", chain=["a", "b", "c"], hedge=HEDGE) as stream:
                    async for chunk in stream:
                        heard += chunk.text
            return heard, caught.value.partial, caught.value.trace

    heard, partial, trace = clock.run(scenario())

    assert (heard, partial) == ("the quick brown fox", "the quick brown fox")
    assert story(trace) == [("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "failed", 1.0, 2.5)]


def test_a_restart_is_a_race_over_the_steps_behind(clock: Clock, world: World) -> None:
    """It is hedged like the first one, from the same budget, into which a call pays once."""
    world.model("a", BREAKS)
    world.model("b", Act(fault="hang"))
    world.model("c", Act(text="c", first_token=0.5))

    async def scenario() -> tuple[list[str], Trace, float]:
        async with Router(world.config(), transport=world.transport()) as router:
            heard: list[str] = []
            for _ in range(2):
                async with router.stream(
                    "hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE, on_interrupt="restart"
                ) as stream:
                    heard = ["again" if chunk.restart else chunk.text async for chunk in stream]
            assert router._life.engine is not None
            return heard, stream.trace, router._life.engine.policies.hedge_budgets.budget_of("a", 0.05).tokens

    heard, trace, tokens = clock.run(scenario())

    assert [text for text in heard if text] == ["the", " quick", " brown", " fox", "again", "c"]
    assert story(trace) == [
        ("a", "first", "failed", 0.0, 1.5), ("b", "restart", "superseded", 1.5, 3.0), ("c", "hedge", "won", 2.5, 3.0)
    ]
    assert tokens == pytest.approx(10.0 - 1.0 + 0.05 - 1.0)


# ── photo finish ─────────────────────────────────────────────────────────────────────────────────────────────────────

CONTENT = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Puppet:
    """A response in the hands of a test."""

    status = 200
    reused = False

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name.encode()
        self._data = bytearray()
        self._broken = self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream"}
        self.connected_at = self._loop.time()
        self.closed = False

    async def read(self, rest: float = 0.0) -> bytes:
        while not (self._data or self._broken or self._ended or self.closed):
            self._waiter = self._loop.create_future()
            await self._waiter
        if self._broken or self.closed:
            raise ConnectionFailed("broken")
        data = bytes(self._data)
        self._data.clear()
        return data

    def says(self) -> None:
        """Content."""
        self._data += CONTENT % self._name
        self._wake()

    def ends(self) -> None:
        """All that is missing for a whole answer."""
        self._data += END
        self._ended = True
        self._wake()

    def answers(self) -> None:
        """A whole answer at once."""
        self.says()
        self.ends()

    def breaks(self) -> None:
        """A cut."""
        self._broken = True
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Puppets:
    """A transport whose responses a test moves as it likes."""

    def __init__(self) -> None:
        self.each: dict[str, Puppet] = {}

    async def send(self, request: Request) -> Puppet:
        name = orjson.loads(request.body)["model"]
        self.each[name] = Puppet(name)
        return self.each[name]

    async def aclose(self) -> None:
        for puppet in self.each.values():
            puppet.close()


ORDERS = [
    order
    for given in (("a says", "b says"), ("a answers", "b answers"), ("a breaks", "b says"), ("a says", "b breaks"),
                  ("a breaks", "b breaks"), ("a answers", "b breaks"), ("a says", "b answers"))
    for order in permutations(given)
]


def race(clock: Clock, moves: tuple[str, ...]) -> tuple[Reply | BaseException, list[str | None], list[object]]:
    """A race of a and b of which nothing is heard until 1.5 s; then these moves in this order in one instant.

    What comes of it, how the attempts ended, and what nobody heard of.
    """
    puppets, world, unheard, events = Puppets(), World(), [], []

    async def scenario() -> Reply | BaseException:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda _, context: unheard.append(context))
        async with Router(world.config(), transport=puppets, listeners=[events.append], seed=0) as router:
            call = asyncio.create_task(router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE))

            def move(moves: tuple[str, ...]) -> None:
                for each in moves:
                    name, _, what = each.partition(" ")
                    if name == "caller":
                        call.cancel()
                    else:
                        getattr(puppets.each[name], what)()

            loop.call_at(1.5, move, moves)
            loop.call_at(1.75, move, ("a ends", "b ends"))
            await asyncio.wait([call])
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {me}
            assert all(puppet.closed for puppet in puppets.each.values())
            assert not any(model.in_flight for model in router.health().values())
            assert (call.cancelling() == 0) is ("caller cancels" not in moves)
            return asyncio.CancelledError() if call.cancelled() else call.exception() or call.result()

    result = clock.run(scenario())
    gc.collect()
    ended = {event.attempt.model: event.attempt.outcome for event in events if isinstance(event, AttemptEnded)}
    return result, [ended["a"], ended["b"]], unheard


@pytest.mark.parametrize("moves", ORDERS, ids=", ".join)
def test_what_happens_in_one_instant_counts_in_its_order(clock: Clock, moves: tuple[str, ...]) -> None:
    """The first content wins and settles the other, which is not heard any more; a failure never does."""
    result, outcomes, unheard = race(clock, moves)

    winner = next((move[0] for move in moves if "breaks" not in move), None)
    expected: dict[str, str] = {}
    for name, _, what in (move.partition(" ") for move in moves):
        if what == "breaks" and winner not in expected:
            expected[name] = "failed"
        else:
            expected[name] = "won" if name == winner else "superseded"
    if winner is None:
        assert isinstance(result, AllModelsFailed)
    else:
        assert isinstance(result, Reply)
        assert (result.text, result.model) == (winner, winner)
    assert [expected["a"], expected["b"]] == outcomes
    assert (clock.now) == 1.75 if f"{winner} says" in moves else 1.5
    assert unheard == []


@pytest.mark.parametrize("moves", [
    order for given in ORDERS for at in range(3) for order in [(*given[:at], "caller cancels", *given[at:])]
], ids=", ".join)
def test_a_cancel_in_the_same_instant_is_the_callers(clock: Clock, moves: tuple[str, ...]) -> None:
    """Before, between and after what the models do: the caller is cancelled, both attempts have ended."""
    result, outcomes, unheard = race(clock, moves)

    assert isinstance(result, asyncio.CancelledError)
    assert None not in outcomes
    assert clock.now == 1.5
    assert unheard == []


def test_content_at_the_instant_at_which_the_hedge_would_fire(clock: Clock, world: World) -> None:
    """Either there was no hedge, or it was cancelled at once; the first model answers and the tokens add up."""
    world.model("a", Act(text="a", first_token=1.0))
    world.model("b", Act(fault="hang"))

    async def scenario() -> tuple[Reply, float]:
        async with Router(world.config(), transport=world.transport()) as router:
            reply = await router.chat("hello", chain=["a", "b"], hedge=HEDGE)
            await asyncio.sleep(0)
            assert {asyncio.current_task()} == asyncio.all_tasks()
            assert router._life.engine is not None
            return reply, router._life.engine.policies.hedge_budgets.budget_of("a", 0.05).tokens

    reply, tokens = clock.run(scenario())

    assert (reply.text, reply.trace.seconds) == ("a", 1.0)
    assert 10.0 - len(world.asked("b")) == tokens
    assert ["a", "b"][: len(reply.trace.attempts)] == [each.model for each in reply.trace.attempts]


def test_a_hedge_that_was_cancelled_before_its_first_step_is_refunded(clock: Clock) -> None:
    """Its task had been made and nothing more: no request, no attempt in the trace, no token."""
    puppets, world = Puppets(), World()

    async def scenario() -> tuple[Reply, float]:
        loop = asyncio.get_running_loop()
        async with Router(world.config(), transport=puppets) as router:
            # This timer was set before the hedge's own: content comes first, and the hedge's task in the same turn.
            loop.call_at(1.0, lambda: puppets.each["a"].answers())
            reply = await router.chat("hello", chain=["a", "b"], hedge=HEDGE)
            assert router._life.engine is not None
            return reply, router._life.engine.policies.hedge_budgets.budget_of("a", 0.05).tokens

    reply, tokens = clock.run(scenario())

    assert list(puppets.each) == ["a"]
    assert story(reply.trace) == [("a", "first", "won", 0.0, 1.0)]
    assert tokens == 10.0


def test_failure_at_the_instant_at_which_the_hedge_would_fire(clock: Clock, world: World) -> None:
    """The next model starts at that instant, once, as a hedge or as a fallback."""
    world.model("a", Act(status=500, first_token=1.0))

    reply = ask(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert [seen.model for seen in world.seen] == ["a", "b"]
    assert [(each.sent, each.ended) for each in reply.trace.attempts] == [(0.0, 1.0), (1.0, 1.0)]


# ── the same over sockets ────────────────────────────────────────────────────────────────────────────────────────────


class Watched(World):
    """A world that tells when a connection begins or ends."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def begin(self, url: str, headers: Mapping[str, str], body: bytes, at: float) -> tuple[Seen, Play]:
        self._changed.set()
        return super().begin(url, headers, body, at)

    def end(self, seen: Seen, at: float, *, gone: bool = False) -> None:
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


def test_a_cancel_of_two_lanes_over_sockets() -> None:
    """Both connections are closed, whatever they waited for."""
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
    """The server sees the connection go, and does not write to its end."""
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
    """A reply that is cut is none, also on the wire."""
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
