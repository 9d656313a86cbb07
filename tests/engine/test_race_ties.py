"""Several things in one instant: the first whole answer wins, a failure never does, a cancel is the caller's."""

from __future__ import annotations

import asyncio
import gc
from itertools import permutations
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    ConnectionFailed,
    Reply,
    Request,
    Router,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE, chat_once, hedge_tokens, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("models_say_their_names")


CONTENT = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class ScriptedResponse:
    """A response whose bytes, end and break a test triggers."""

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


class ScriptedTransport:
    """A transport of scripted responses; `each` is the response of each model."""

    def __init__(self) -> None:
        self.each: dict[str, ScriptedResponse] = {}

    async def send(self, request: Request) -> ScriptedResponse:
        name = orjson.loads(request.body)["model"]
        self.each[name] = ScriptedResponse(name)
        return self.each[name]

    async def aclose(self) -> None:
        for response in self.each.values():
            response.close()


ORDERS = [
    order
    for given in (("a says", "b says"), ("a answers", "b answers"), ("a breaks", "b says"), ("a says", "b breaks"),
                  ("a breaks", "b breaks"), ("a answers", "b breaks"), ("a says", "b answers"))
    for order in permutations(given)
]


def race(clock: Clock, moves: tuple[str, ...]) -> tuple[Reply | BaseException, list[str | None], list[object]]:
    """Race models a and b that are silent until 1.5 s, and make these moves in this order in one instant.

    Returns what came of the call, how the attempts ended, and what the loop's exception handler was told.
    """
    transport, world, unheard, events = ScriptedTransport(), World(), [], []

    async def scenario() -> Reply | BaseException:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda _, context: unheard.append(context))
        async with Router(world.config(), transport=transport, listeners=[events.append], seed=0) as router:
            call = asyncio.create_task(router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE))

            def move(moves: tuple[str, ...]) -> None:
                for each in moves:
                    name, _, what = each.partition(" ")
                    if name == "caller":
                        call.cancel()
                    else:
                        getattr(transport.each[name], what)()

            loop.call_at(1.5, move, moves)
            loop.call_at(1.75, move, ("a ends", "b ends"))
            await asyncio.wait([call])
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {me}
            assert all(response.closed for response in transport.each.values())
            assert not any(model.in_flight for model in router.health().values())
            assert (call.cancelling() == 0) is ("caller cancels" not in moves)
            return asyncio.CancelledError() if call.cancelled() else call.exception() or call.result()

    result = clock.run(scenario())
    gc.collect()
    ended = {event.attempt.model: event.attempt.outcome for event in events if isinstance(event, AttemptEnded)}
    return result, [ended["a"], ended["b"]], unheard


@pytest.mark.parametrize("moves", ORDERS, ids=", ".join)
def test_what_happens_in_one_instant_counts_in_its_order(clock: Clock, moves: tuple[str, ...]) -> None:
    """Of two attempts the first whole answer to be read wins; a failure never does."""
    result, outcomes, unheard = race(clock, moves)

    whole = [move[0] for move in moves if "answers" in move]
    winner = next(iter(whole or sorted(move[0] for move in moves if "says" in move)), None)  # at 1.75 s a ends first
    expected: dict[str, str] = {}
    for name, _, what in (move.partition(" ") for move in moves):
        if what == "breaks" and not (whole and winner in expected):
            expected[name] = "failed"
        else:
            expected[name] = "won" if name == winner else "superseded"
    if winner is None:
        assert isinstance(result, AllModelsFailed)
    else:
        assert isinstance(result, Reply)
        assert (result.text, result.model) == (winner, winner)
    assert [expected["a"], expected["b"]] == outcomes
    assert clock.now == (1.75 if f"{winner} says" in moves else 1.5)
    assert unheard == []


@pytest.mark.parametrize("moves", [
    order for given in ORDERS for at in range(3) for order in [(*given[:at], "caller cancels", *given[at:])]
], ids=", ".join)
def test_a_cancel_in_the_same_instant_is_the_callers(clock: Clock, moves: tuple[str, ...]) -> None:
    """A caller cancelled in the instant in which attempts end is cancelled, and both attempts have ended."""
    result, outcomes, unheard = race(clock, moves)

    assert isinstance(result, asyncio.CancelledError)
    assert None not in outcomes
    assert clock.now == 1.5
    assert unheard == []


def test_content_at_the_instant_at_which_the_hedge_would_fire(clock: Clock, world: World) -> None:
    """When content comes in the instant at which the hedge is due, the first model answers and the budget adds up."""
    world.model("a", Act(text="a", first_token=1.0))
    world.model("b", Act(fault="hang"))

    async def scenario() -> tuple[Reply, float]:
        async with Router(world.config(), transport=world.transport()) as router:
            reply = await router.chat("hello", chain=["a", "b"], hedge=HEDGE)
            await asyncio.sleep(0)
            assert {asyncio.current_task()} == asyncio.all_tasks()
            return reply, hedge_tokens(router)

    reply, tokens = clock.run(scenario())

    assert (reply.text, reply.trace.seconds) == ("a", 1.0)
    assert 10.0 - len(world.asked("b")) == tokens
    assert ["a", "b"][: len(reply.trace.attempts)] == [each.model for each in reply.trace.attempts]


def test_a_hedge_that_was_cancelled_before_its_first_step_is_refunded(clock: Clock) -> None:
    """A hedge whose task is cancelled before it ran sends nothing, is not in the trace, and gets its token back."""
    transport, world = ScriptedTransport(), World()

    async def scenario() -> tuple[Reply, float]:
        loop = asyncio.get_running_loop()
        async with Router(world.config(), transport=transport) as router:
            # This timer was set before the hedge's own: content comes first, and the hedge's task in the same turn.
            loop.call_at(1.0, lambda: transport.each["a"].answers())
            reply = await router.chat("hello", chain=["a", "b"], hedge=HEDGE)
            return reply, hedge_tokens(router)

    reply, tokens = clock.run(scenario())

    assert list(transport.each) == ["a"]
    assert timeline(reply.trace) == [("a", "first", "won", 0.0, 1.0)]
    assert tokens == 10.0


def test_failure_at_the_instant_at_which_the_hedge_would_fire(clock: Clock, world: World) -> None:
    """When the first model fails in the instant at which the hedge is due, the next model starts once."""
    world.model("a", Act(status=500, first_token=1.0))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert [seen.model for seen in world.seen] == ["a", "b"]
    assert [(each.sent, each.ended) for each in reply.trace.attempts] == [(0.0, 1.0), (1.0, 1.0)]
