"""What becomes of the loser of a race, and in whose task each attempt runs."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AttemptEnded,
    Hedge,
    Router,
)
from asyncrouter.sim import Act, Clock, LoggedRequest, World
from tests.helpers.failing import ONCE
from tests.helpers.racing import PRICED, chat_once, open_router

if TYPE_CHECKING:
    from random import Random

pytestmark = pytest.mark.usefixtures("models_say_their_names")


# ── the loser ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hedge_wins", [True, False])
def test_the_loser_does_not_delay_the_winner(clock: Clock, world: World, *, hedge_wins: bool) -> None:
    """At the instant of the win the loser has ended, its event is out and its connection closed."""
    slow, quick = Act(first_token=60.0), Act(tokens=65, first_token=0.75, gap=1 / 32)
    world.model("a", slow if hedge_wins else replace(quick, first_token=1.75))
    world.model("b", quick if hedge_wins else slow)
    events: list[tuple[float, object]] = []

    def note(event: object) -> None:
        events.append((clock.now, event))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0, listeners=[note]).trace

    winner, loser = ("b", "a") if hedge_wins else ("a", "b")
    assert [
        (at, event.attempt.model) for at, event in events if isinstance(event, AttemptEnded)
    ] == [(pytest.approx(2.05), loser), (3.75, winner)]
    (seen,) = world.asked(loser)
    assert (seen.ended, seen.gone) == (pytest.approx(2.05), True)
    assert trace.seconds == 3.75


@pytest.mark.parametrize("hedge_wins", [True, False])
@pytest.mark.parametrize("streams", [True, False])
def test_the_trace_is_complete_with_the_reply(clock: Clock, world: World, *, streams: bool, hedge_wins: bool) -> None:
    """When the caller gets its reply, or the first content of a stream, the loser has ended."""
    world.model("a", Act(first_token=60.0 if hedge_wins else 1.75))
    world.model("b", Act(first_token=0.75 if hedge_wins else 60.0))

    async def scenario() -> list[float | None]:
        async with open_router(world) as router:
            if not streams:
                reply = await router.chat("hello", chain=["a", "b"], hedge=1.0)
                return [each.ended for each in reply.trace.attempts]
            async with router.stream("hello", chain=["a", "b"], hedge=1.0) as stream:
                assert world.open == 1
                return [each.ended for each in stream.trace.attempts]

    winner = None if streams else 1.75
    assert clock.run(scenario()) == ([1.75, winner] if hedge_wins else [winner, 1.75])


@pytest.mark.parametrize("loser", [
    Act(first_token=60.0),
    Act(fault="hang", at="headers"),
    Act(fault="hang", at="connect"),
    Act(status=429, retry_after=2.0, first_token=0.25),
])
@pytest.mark.parametrize("hedge_wins", [True, False])
def test_the_losers_task_is_gone_one_turn_later(clock: Clock, world: World, loser: Act, *, hedge_wins: bool) -> None:
    """One turn of the loop after the win nothing of the loser is left, whatever it was waiting for."""
    world.model("a", loser if hedge_wins else Act(first_token=1.75))
    world.model("b", Act(first_token=0.75) if hedge_wins else loser)
    unheard: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        async with open_router(world) as router:
            alone = asyncio.all_tasks()
            await router.chat("hello", chain=["a", "b"], hedge=1.0)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == alone
            assert (clock.now, world.open) == (1.75, 0)
            assert not any(model.in_flight for model in router.health().values())

    clock.run(scenario())
    gc.collect()

    assert unheard == []


def test_what_a_loser_cost_is_an_estimate_and_says_so(clock: Clock, world: World) -> None:
    """The cost of a silent loser is estimated from its prompt, and marked as an estimate."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="one two three", usage={"prompt_tokens": 7, "completion_tokens": 3}))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0, config={"models": PRICED}).trace
    loser, winner = trace.attempts

    # "hello": 5 characters at 4 a token, and one for what is around them.
    assert (loser.cost_usd, loser.cost_estimated, loser.usage) == (2 * 1.0 / 1e6, True, None)
    assert (winner.cost_usd, winner.cost_estimated) == (37.0 / 1e6, False)
    assert (trace.cost_usd, trace.cost_estimated) == (pytest.approx(39.0 / 1e6), True)


def test_the_reply_costs_what_the_winner_cost(clock: Clock, world: World) -> None:
    """`reply.cost_usd` is the winner's cost alone."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(usage={"prompt_tokens": 7, "completion_tokens": 3}))

    assert chat_once(clock, world, ["a", "b"], hedge=1.0, config={"models": PRICED}).cost_usd == 37.0 / 1e6


def test_a_loser_whose_price_is_unknown_makes_the_total_unknown(clock: Clock, world: World) -> None:
    """When a loser's price is unknown the trace's cost is `None`."""
    world.model("a", Act(first_token=9.0))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0, config={"models": {"b": PRICED["b"]}}).trace

    assert (trace.attempts[0].cost_usd, trace.attempts[0].cost_estimated) == (None, False)
    assert trace.cost_usd is None


def test_losing_does_not_count_against_a_model(clock: Clock, world: World) -> None:
    """A model that loses a race stays ready."""
    world.model("a", Act(first_token=9.0))

    async def scenario() -> dict[str, str]:
        async with open_router(world) as router:
            await router.chat("hello", chain=["a", "b"], hedge=1.0)
            return {name: model.standing for name, model in router.health().items()}

    assert clock.run(scenario()) == {"a": "ready", "b": "ready"}


# ── whose task ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_attempt_runs_in_the_callers_task(clock: Clock, world: World) -> None:
    """Only a hedge runs in a task of its own; the first attempt and every fallback run in the caller's."""
    where: list[tuple[str, bool, int]] = []

    def note(act: Act) -> object:
        def behave(seen: LoggedRequest, _: Random) -> Act:
            where.append((seen.model, asyncio.current_task() is caller[0], len(asyncio.all_tasks())))
            return act
        return behave

    world.model("a", note(Act(status=500, first_token=1.5)))  # type: ignore[arg-type]
    world.model("b", note(Act(status=500, first_token=0.75)))  # type: ignore[arg-type]
    world.model("c", note(Act()))  # type: ignore[arg-type]
    caller: list[asyncio.Task[object] | None] = []

    async def scenario() -> None:
        async with open_router(world) as router:
            caller.append(asyncio.current_task())
            await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    clock.run(scenario())

    assert where == [("a", True, 1), ("b", False, 2), ("c", True, 1)]


def test_no_task_is_made_while_nothing_is_late(clock: Clock, world: World) -> None:
    """A hedged call whose first model is in time makes no second task."""
    world.model("a", Act(tokens=10, first_token=0.5, gap=0.5))

    async def scenario() -> int:
        async with open_router(world) as router:
            call = asyncio.ensure_future(router.chat("hello", chain=["a", "b"], hedge=1.0))
            most = 0
            while not call.done():
                most = max(most, len(asyncio.all_tasks() - {asyncio.current_task()}))
                await asyncio.sleep(0.125)
            return most

    assert clock.run(scenario()) == 1


def test_the_cause_of_every_attempt_is_told_by_its_event(clock: Clock, world: World) -> None:
    """Listeners see the loser end before the winner, and nothing after the call's end."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(first_token=0.5))
    events: list[str] = []

    chat_once(clock, world, ["a", "b"], hedge=1.0, listeners=[lambda event: events.append(type(event).__name__)])

    assert events == ["CallStarted", "AttemptStarted", "AttemptStarted", "AttemptEnded", "AttemptEnded", "CallEnded"]


def test_hedged_streams_commit_to_the_first_content(clock: Clock, world: World) -> None:
    """Entering a hedged stream returns at the hedge's first content."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="one two", first_token=0.5, gap=1.0))

    async def scenario() -> list[tuple[float, str]]:
        async with open_router(world) as router:
            heard = []
            async with router.stream("hello", chain=["a", "b"], hedge=1.0) as stream:
                assert clock.now == 1.5
                assert [each.outcome for each in stream.trace.attempts] == ["superseded", None]
                heard = [(clock.now, chunk.text) async for chunk in stream]
            assert stream.reply.text == "one two"
            assert [each.outcome for each in stream.trace.attempts] == ["superseded", "won"]
            assert {asyncio.current_task()} == asyncio.all_tasks()
            return heard

    assert [each for each in clock.run(scenario()) if each[1]] == [(1.5, "one"), (2.5, " two")]


def test_a_hedge_runs_in_the_context_of_its_caller(clock: Clock, world: World) -> None:
    """A hedge sees the context variables of its caller, whoever else's timers run beside it."""
    caller: ContextVar[str] = ContextVar("caller", default="nobody")
    seen: dict[str, list[str]] = {"a": [], "b": []}
    for name in seen:
        world.model(name, lambda request, _: seen[request.model].append(caller.get()) or Act(first_token=3.0))

    async def one(router: Router, name: str, hedge: float) -> None:
        caller.set(name)
        await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=hedge, budget=1.0))

    async def scenario() -> None:
        async with open_router(world) as router:
            await asyncio.gather(one(router, "first", 1.0), one(router, "second", 2.0))

    clock.run(scenario())

    assert seen == {"a": ["first", "second"], "b": ["first", "second"]}
