"""What a hedge may not do, and the budget it is paid from."""

from __future__ import annotations

import pytest

from asyncrouter import (
    AllModelsFailed,
    Hedge,
    HedgeDenied,
    NotSent,
    Reply,
    Retry,
    Router,
    Trace,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.racing import chat_once, hedge_tokens, open_router, timeline

pytestmark = pytest.mark.usefixtures("models_say_their_names")


# ── what a hedge may not do ──────────────────────────────────────────────────────────────────────────────────────────


def hold(world: World, name: str, seconds: float) -> None:
    """Let the first request of a model earn it a hold of so many seconds; then it answers with its name."""
    world.model(name, Act(status=429, retry_after=seconds), Act(text=name))


def test_a_hedge_never_waits(clock: Clock, world: World) -> None:
    """A held model is passed over when a hedge fires; it keeps its place for later."""
    world.model("a", Act(first_token=9.0))
    hold(world, "b", 5.0)
    world.model("c", Act(first_token=0.5))

    async def scenario() -> Reply:
        async with open_router(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    trace = clock.run(scenario()).trace

    assert timeline(trace) == [("a", "first", "superseded", 0.0, 1.5), ("c", "hedge", "won", 1.0, 1.5)]


def test_a_hedge_does_not_wait_for_its_own_retry_after(clock: Clock, world: World) -> None:
    """A hedge that is asked to wait gives way to the next model."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(status=429, retry_after=1.0))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0, retry=Retry()).trace

    assert timeline(trace) == [
        ("a", "first", "superseded", 0.0, 1.0), ("b", "hedge", "failed", 1.0, 1.0), ("c", "hedge", "won", 1.0, 1.0)
    ]


def test_a_held_model_that_a_hedge_passed_over_comes_as_a_fallback(clock: Clock, world: World) -> None:
    """A held model that a hedge passed over is waited for when no other step is left."""
    world.model("a", Act(status=500, first_token=2.0))
    hold(world, "b", 4.0)
    world.model("c", Act(status=500, first_token=0.5))

    async def scenario() -> Reply:
        async with open_router(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    reply = clock.run(scenario())

    assert reply.text == "b"
    assert timeline(reply.trace) == [
        ("a", "first", "failed", 0.0, 2.0), ("c", "hedge", "failed", 1.0, 1.5), ("b", "fallback", "won", 4.0, 4.0)
    ]


def test_a_hedge_with_nobody_left_to_ask_is_denied(clock: Clock, world: World) -> None:
    """When every other model is held the hedge is denied once, and costs nothing."""
    world.model("a", Act(first_token=5.0))
    hold(world, "b", 60.0)
    events: list[object] = []

    async def scenario() -> list[HedgeDenied]:
        async with open_router(world, events.append) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            await router.chat("hello", chain=["a", "b"], hedge=1.0)
            assert hedge_tokens(router) == 10.0
        return [event for event in events if isinstance(event, HedgeDenied)]

    (denied,) = clock.run(scenario())

    assert denied.reason == "no other model could be sent now"
    assert [each.model for each in denied.trace.attempts] == ["a"]


def test_a_hedge_without_a_useful_share_of_the_deadline_is_not_sent(clock: Clock, world: World) -> None:
    """A hedge whose share of the deadline is under 0.25 s is passed over, and its token comes back."""
    world.model("a", Act(fault="hang"))
    hold(world, "c", 0.25)
    hold(world, "d", 0.25)

    async def scenario() -> Trace:
        async with open_router(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["c", "d"], retry=ONCE)
            reply = await router.chat("hello", chain=["a", "b", "c", "d"], hedge=0.3, deadline=0.7)
            assert hedge_tokens(router) == 10.0
            return reply.trace

    trace = clock.run(scenario())

    assert timeline(trace) == [
        ("a", "first", "failed", 0.0, 0.35),
        ("b", "hedge", "not_sent", None, 0.3),
        ("c", "fallback", "not_sent", None, 0.35),
        ("d", "fallback", "won", 0.35, 0.35),
    ]
    assert trace.attempts[1].error.message == "only 0.13 s of the deadline are left for it"  # type: ignore[union-attr]


# ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def hedged(world: World, router: Router, first: str, *, late: bool, hedge: Hedge | None = None) -> bool:
    """Make one call whose first model is late or not; whether it was hedged."""
    world.model(first, Act(first_token=2.0 if late else 0.0))
    reply = await router.chat("hello", chain=[first, "d"], hedge=hedge or Hedge(after=1.0), retry=ONCE)
    return any(each.cause == "hedge" and each.sent is not None for each in reply.trace.attempts)


def test_ten_hedges_in_a_row_and_then_one_in_twenty(clock: Clock, world: World) -> None:
    """The budget starts with ten tokens, and every call pays in a twentieth."""
    async def scenario() -> list[int]:
        async with open_router(world) as router:
            return [number for number in range(1, 101) if await hedged(world, router, "a", late=True)]

    # 10 + 0.05 n - k ≥ 1 allows the k+1st hedge at the nth call; the first payment finds the bucket full.
    assert clock.run(scenario()) == [*range(1, 11), 21, 41, 61, 81]


def test_calls_that_are_not_late_save_up_but_not_beyond_ten(clock: Clock, world: World) -> None:
    """Calls that are not late pay in, up to ten tokens."""
    async def scenario() -> tuple[int, float]:
        async with open_router(world, defaults={"breaker": "off"}) as router:
            for _ in range(50):
                assert not await hedged(world, router, "a", late=False)
            full = hedge_tokens(router)
            return sum([await hedged(world, router, "a", late=True) for _ in range(15)]), full

    assert clock.run(scenario()) == (10, 10.0)


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0])
def test_no_prefix_of_calls_has_more_hedges_than_the_budget(clock: Clock, world: World, rate: float) -> None:
    """Of any first N calls at most `budget` · N + 10 are hedged, whatever happens to them."""
    world.model("b", lambda _, random: Act(status=random.choice([200, 500]), first_token=random.choice([0.0, 2.0])))

    async def scenario() -> list[int]:
        async with open_router(world) as router:
            made = []
            for number in range(150):
                world.model("a", Act(first_token=9.0 if number % 3 else 0.0))
                hedge = Hedge(after=0.5, budget=rate)
                reply = await router.chat("hello", chain=["a", "b", "c"], hedge=hedge, retry=ONCE)
                made.append(sum(each.cause == "hedge" and each.sent is not None for each in reply.trace.attempts))
                assert -1e-6 <= hedge_tokens(router, "a", rate) <= 10.0
            return made

    made = clock.run(scenario())

    assert all(sum(made[:n]) <= rate * n + 10 + 1e-6 for n in range(1, len(made) + 1))
    assert sum(made) > 10


def test_a_budget_belongs_to_a_first_model_and_a_rate(clock: Clock, world: World) -> None:
    """Each first model, and each rate, has a budget of its own."""
    async def scenario() -> list[bool]:
        async with open_router(world) as router:
            for _ in range(10):
                assert await hedged(world, router, "a", late=True)
            return [
                await hedged(world, router, "a", late=True),
                await hedged(world, router, "b", late=True),
                await hedged(world, router, "a", late=True, hedge=Hedge(after=1.0, budget=0.5)),
                await hedged(world, router, "a", late=True, hedge=Hedge(after=0.5)),
            ]

    assert clock.run(scenario()) == [False, True, True, False]


def test_a_hedge_beyond_the_budget_is_denied_and_the_call_goes_on(clock: Clock, world: World) -> None:
    """A hedge that the budget denies is told by an event, and the late model is waited for."""
    world.model("a", Act(first_token=2.0))
    events: list[object] = []

    async def scenario() -> Trace:
        async with open_router(world, events.append) as router:
            hedge = Hedge(after=1.0, budget=0.0)
            for _ in range(10):
                await router.chat("hello", chain=["a", "b"], hedge=hedge)
            events.clear()
            return (await router.chat("hello", chain=["a", "b"], hedge=hedge)).trace

    trace = clock.run(scenario())

    assert timeline(trace) == [("a", "first", "won", 0.0, 2.0)]
    (denied,) = [event for event in events if isinstance(event, HedgeDenied)]
    assert (denied.reason, denied.trace) == ("the hedge budget is used up", trace)


def test_the_next_model_after_a_failed_hedge_is_paid_for_too(clock: Clock, world: World) -> None:
    """The model that follows a failed hedge costs a token; without one it starts when the older attempt fails too."""
    hedge = Hedge(after=1.0, budget=0.0)

    async def scenario() -> Trace:
        async with open_router(world) as router:
            for _ in range(9):
                await hedged(world, router, "a", late=True, hedge=hedge)
            assert hedge_tokens(router, "a", 0.0) == 1.0
            world.model("a", Act(status=500, first_token=5.0))
            world.model("b", Act(status=500, first_token=0.5))
            return (await router.chat("hello", chain=["a", "b", "c"], hedge=hedge, retry=ONCE)).trace

    assert timeline(clock.run(scenario())) == [
        ("a", "first", "failed", 0.0, 5.0), ("b", "hedge", "failed", 1.0, 1.5), ("c", "fallback", "won", 5.0, 5.0)
    ]


def test_a_hedge_that_was_not_sent_is_refunded(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hedge whose key is not set costs nothing, and the next model is asked at once."""
    monkeypatch.delenv("KEY_OF_B", raising=False)
    keyed = {"keyed": {"wire": "openai", "base_url": "http://sim.test/v1", "key": "env:KEY_OF_B"}}
    config = {"providers": keyed, "models": {"b": {"provider": "keyed", "id": "b"}}}
    world.model("a", Act(first_token=9.0))
    world.model("c", Act(first_token=0.5))

    async def scenario() -> Trace:
        async with open_router(world, **config) as router:
            trace = (await router.chat("hello", chain=["a", "b", "c"], hedge=1.0)).trace
            assert hedge_tokens(router) == 9.0
            return trace

    trace = clock.run(scenario())

    assert timeline(trace) == [
        ("a", "first", "superseded", 0.0, 1.5),
        ("b", "hedge", "not_sent", None, 1.0),
        ("c", "hedge", "won", 1.0, 1.5),
    ]
    assert isinstance(trace.attempts[1].error, NotSent)


def test_a_hedge_that_was_sent_in_vain_is_not_refunded(clock: Clock, world: World) -> None:
    """A hedge that was sent costs its token, also when its connection fails or it is cancelled before its headers."""
    world.model("a", Act(first_token=1.5))
    world.model("b", Act(fault="refuse"))
    world.model("c", Act(fault="hang", at="connect"))

    async def scenario() -> float:
        async with open_router(world) as router:
            await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)
            return hedge_tokens(router)

    assert clock.run(scenario()) == 8.0
