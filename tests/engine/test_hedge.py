"""The next model starts when the one before is late: when, from which budget, and what becomes of the loser."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    AttemptTimeout,
    DeadlineExceeded,
    Hedge,
    HedgeDenied,
    NotSent,
    Refused,
    Reply,
    Retry,
    Router,
    ServerFailed,
    Step,
    Trace,
)
from asyncrouter.sim import Act, Clock, Seen, World

if TYPE_CHECKING:
    from random import Random

ONCE = Retry(attempts=1)
PRICED = {name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": 1.0, "output": 10.0}} for name in "ab"}
BLOCKED = Act(status=400, code="content_filter", message="blocked by the content policy")


@pytest.fixture
def world(world: World) -> World:
    """A world whose models answer at once unless a test says otherwise."""
    for name in "abcz":
        world.model(name)
    return world


def router_of(world: World, **options: object) -> Router:
    """A router to this world that draws no luck."""
    config = world.config(**options.pop("config", {}))  # type: ignore[arg-type]
    return Router(config, transport=world.transport(), seed=0, **options)  # type: ignore[arg-type]


def ask(clock: Clock, world: World, chain: list[str | Step], **options: object) -> Reply:
    """One call, from the beginning of time, without retries unless they are asked for."""
    options.setdefault("retry", ONCE)
    options.setdefault("chain", chain)
    given = {name: options.pop(name) for name in ("listeners", "config") if name in options}

    async def scenario() -> Reply:
        async with router_of(world, **given) as router:
            return await router.chat("hello", **options)  # type: ignore[arg-type]

    return clock.run(scenario())


def story(trace: Trace) -> list[tuple[str, str, str | None, float | None, float | None]]:
    """Who was tried, why, what came of it, and when it was sent and ended."""
    return [(each.model, each.cause, each.outcome, each.sent, each.ended) for each in trace.attempts]


# ── when a hedge fires ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_late_model_is_raced_and_the_first_content_wins(clock: Clock, world: World) -> None:
    """The next model starts `after` seconds after the first was sent, and its first content decides."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="hi", first_token=0.5))

    reply = ask(clock, world, ["a", "b"], hedge=1.5)

    assert (reply.text, reply.model) == ("hi", "b")
    assert story(reply.trace) == [("a", "first", "superseded", 0.0, 2.0), ("b", "hedge", "won", 1.5, 2.0)]
    assert (reply.trace.seconds, clock.now) == (2.0, 2.0)


def test_the_first_model_may_still_answer_first(clock: Clock, world: World) -> None:
    """A hedge that is slower than what was left of the first model loses."""
    world.model("a", Act(text="mine", first_token=2.0))
    world.model("b", Act(first_token=9.0))

    reply = ask(clock, world, ["a", "b"], hedge=1.5)

    assert reply.text == "mine"
    assert story(reply.trace) == [("a", "first", "won", 0.0, 2.0), ("b", "hedge", "superseded", 1.5, 2.0)]
    assert clock.now == 2.0


def test_a_model_that_is_not_late_is_not_raced(clock: Clock, world: World) -> None:
    """Content just before `after` means one request and no second one, however long the answer then takes."""
    world.model("a", Act(tokens=20, first_token=1.25, gap=0.5))

    reply = ask(clock, world, ["a", "b"], hedge=1.5)

    assert reply.trace.seconds == 1.25 + 19 * 0.5
    assert [seen.model for seen in world.seen] == ["a"]


def test_without_a_hedge_nothing_is_raced(clock: Clock, world: World) -> None:
    """No delay means a fallback chain: a slow first model is waited for."""
    world.model("a", Act(first_token=20.0))

    ask(clock, world, ["a", "b"], hedge=None)

    assert [seen.model for seen in world.seen] == ["a"]
    assert clock.now == 20.0


def test_lateness_counts_from_the_sending_and_not_from_the_queue(clock: Clock, world: World) -> None:
    """A first model that is held for 0.5 s and then sent is late 1.5 s into the call, when `after` is one second."""
    world.model("a", Act(status=429, retry_after=0.5), Act(first_token=9.0))
    world.model("b", Act(first_token=0.25))

    async def scenario() -> Reply:
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["a"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b"], hedge=1.0)

    trace = clock.run(scenario()).trace

    assert story(trace) == [("a", "first", "superseded", 0.5, 1.75), ("b", "hedge", "won", 1.5, 1.75)]


@pytest.mark.parametrize(("hold", "after"), [(0.5, 0.125), (0.75, 0.5), (1.9375, 0.25)])
def test_a_model_in_the_queue_is_not_late(clock: Clock, world: World, hold: float, after: float) -> None:
    """However much shorter `after` is than the hold, it counts from the sending at the hold's end."""
    world.model("a", Act(status=429, retry_after=hold), Act(first_token=9.0))

    async def scenario() -> Trace:
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["a"], retry=ONCE)
            return (await router.chat("hello", chain=["a", "b"], hedge=after)).trace

    first, hedge = clock.run(scenario()).attempts

    assert (first.sent, hedge.sent) == (hold, hold + after)


def test_lateness_counts_from_the_newest_try_of_a_model(clock: Clock, world: World) -> None:
    """A retry is a new attempt: the model is late `after` seconds after that one was sent."""
    world.model("a", Act(status=429, retry_after=0.25, first_token=0.25), Act(first_token=9.0))
    world.model("b", Act(first_token=0.5))

    trace = ask(clock, world, ["a", "b"], hedge=1.0, retry=Retry()).trace

    assert story(trace) == [
        ("a", "first", "failed", 0.0, 0.25),
        ("a", "retry", "superseded", 0.5, 2.0),
        ("b", "hedge", "won", 1.5, 2.0),
    ]


def test_a_model_is_late_in_the_pause_before_its_retry(clock: Clock, world: World) -> None:
    """What the newest attempt waits for does not matter: its pause is cut when the hedge wins."""
    world.model("a", Act(status=429, retry_after=1.75, first_token=0.5))
    world.model("b", Act(first_token=0.5))

    trace = ask(clock, world, ["a", "b"], hedge=1.0, retry=Retry()).trace

    assert story(trace) == [("a", "first", "failed", 0.0, 0.5), ("b", "hedge", "won", 1.0, 1.5)]
    assert clock.now == 1.5


@pytest.mark.parametrize("after", [0.001, 0.0078125])
def test_a_very_short_delay_is_kept(clock: Clock, world: World, after: float) -> None:
    """A delay of a millisecond is a millisecond."""
    world.model("a", Act(first_token=9.0))

    assert ask(clock, world, ["a", "b"], hedge=after).trace.attempts[1].sent == after


def test_time_before_the_connection_counts(clock: Clock, world: World) -> None:
    """A model that cannot be reached is late like one that is silent."""
    world.model("a", Act(fault="hang", at="connect"))
    world.model("b", Act(first_token=0.5))

    trace = ask(clock, world, ["a", "b"], hedge=1.0).trace

    assert story(trace) == [("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "won", 1.0, 1.5)]


def test_headers_comments_and_roles_do_not_make_a_model_less_late(clock: Clock, world: World) -> None:
    """Only content counts: an SSE stream that opens and sends comments is as late as silence."""
    world.model("a", Act(first_token=9.0, headers_after=0.0, comments=0.25))
    world.model("b", Act(first_token=0.5))

    assert [each.sent for each in ask(clock, world, ["a", "b"], hedge=1.0).trace.attempts] == [0.0, 1.0]


def test_reasoning_is_content_too(clock: Clock, world: World) -> None:
    """A model that has begun to think has begun to answer."""
    world.model("a", Act(reasoning="hm", text="so", first_token=0.5, gap=2.0))

    assert len(ask(clock, world, ["a", "b"], hedge=1.0).trace.attempts) == 1


# ── who runs at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_most_two_run_at_once(clock: Clock, world: World) -> None:
    """While two are silent the third waits, whatever the delay."""
    world.model("a", Act(fault="hang"))
    world.model("b", Act(first_token=8.0))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace) == [("a", "first", "superseded", 0.0, 9.0), ("b", "hedge", "won", 1.0, 9.0)]


def test_nothing_starts_while_the_successor_of_the_failed_one_lives(clock: Clock, world: World) -> None:
    """The first of two fails, the second is not late yet and answers: that was all."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(first_token=0.75))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace) == [("a", "first", "failed", 0.0, 1.25), ("b", "hedge", "won", 1.0, 1.75)]


def test_the_successor_of_a_failed_one_may_be_late_itself(clock: Clock, world: World) -> None:
    """Once the first of two has failed, the second is raced `after` seconds after its own sending."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(first_token=9.0))
    world.model("c", Act(first_token=0.5))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace) == [
        ("a", "first", "failed", 0.0, 1.25),
        ("b", "hedge", "superseded", 1.0, 2.5),
        ("c", "hedge", "won", 2.0, 2.5),
    ]


def test_a_successor_that_is_late_already_is_raced_at_once(clock: Clock, world: World) -> None:
    """Two silent ones; when the older fails and the newer has been late for long, the next starts at that instant."""
    world.model("a", Act(status=500, first_token=4.0))
    world.model("b", Act(fault="hang"))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace)[2] == ("c", "hedge", "won", 4.0, 4.0)


def test_when_none_is_alive_the_next_is_a_fallback(clock: Clock, world: World) -> None:
    """Both of two have failed before the second was late: the third is a fallback and costs no token."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(status=500, first_token=0.5))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace) == [
        ("a", "first", "failed", 0.0, 1.25),
        ("b", "hedge", "failed", 1.0, 1.5),
        ("c", "fallback", "won", 1.5, 1.5),
    ]


def test_when_the_newest_fails_the_next_starts_at_once(clock: Clock, world: World) -> None:
    """The older of two still lives when the newer fails: the next is its hedge at once, not one delay later."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(status=500, first_token=0.5))
    world.model("c", Act(first_token=0.25))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert story(trace) == [
        ("a", "first", "superseded", 0.0, 1.75),
        ("b", "hedge", "failed", 1.0, 1.5),
        ("c", "hedge", "won", 1.5, 1.75),
    ]


def test_a_failure_never_wins_while_another_attempt_lives(clock: Clock, world: World) -> None:
    """The hedge and all that follow fail; the first model answers in the end."""
    world.model("a", Act(text="at last", first_token=9.0))
    world.model("b", Act(status=500))
    world.model("c", Act(status=400))

    reply = ask(clock, world, ["a", "b", "c"], hedge=1.0)

    assert reply.text == "at last"
    assert [each.outcome for each in reply.trace.attempts] == ["won", "failed", "failed"]


def test_a_refusal_does_not_win_over_a_living_attempt(clock: Clock, world: World) -> None:
    """A refusal ends the chain, but the one that runs beside it may answer."""
    world.model("a", Act(text="gladly", first_token=3.0))
    world.model("b", BLOCKED)

    reply = ask(clock, world, ["a", "b", "c"], hedge=1.0)

    assert reply.text == "gladly"
    assert [each.model for each in reply.trace.attempts] == ["a", "b"]


def test_a_refusal_is_raised_when_the_other_has_failed_too(clock: Clock, world: World) -> None:
    """Nothing starts after a refusal; the call ends when the last living attempt has failed, with the refusal."""
    world.model("a", Act(status=400, code="content_filter", message="content policy", first_token=1.25))
    world.model("b", Act(status=500, first_token=2.0))

    with pytest.raises(Refused) as caught:
        ask(clock, world, ["a", "b", "c"], hedge=1.0)

    assert clock.now == 3.0
    assert caught.value.trace is not None
    assert [each.model for each in caught.value.trace.attempts] == ["a", "b"]


def test_when_all_fail_the_error_has_all_of_them(clock: Clock, world: World) -> None:
    """The causes of every attempt are in the group, in the order they began."""
    world.model("a", Act(status=500, first_token=2.0))
    world.model("b", Act(fault="hang"))

    with pytest.raises(AllModelsFailed) as caught:
        ask(clock, world, ["a", Step(model="b", first_token=3.0)], hedge=1.0)

    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert [type(error) for error in caught.value.__cause__.exceptions] == [ServerFailed, AttemptTimeout]
    assert clock.now == 4.0


def test_the_deadline_ends_both(clock: Clock, world: World) -> None:
    """Two silent models: the call ends at its deadline, and so do they."""
    world.model("a", Act(fault="hang"))
    world.model("b", Act(fault="hang", at="headers"))

    with pytest.raises(DeadlineExceeded) as caught:
        ask(clock, world, ["a", "b"], hedge=1.0, deadline=6.0)

    # Half of the six seconds for the first of two; the second, the last, has all that is left.
    assert story(caught.value.trace) == [
        ("a", "first", "failed", 0.0, 3.0), ("b", "hedge", "failed", 1.0, 6.0)
    ]
    assert clock.now == 6.0


def test_the_same_model_can_be_raced(clock: Clock, world: World) -> None:
    """`same=True` sends the late model's request once more, and leaves the next model alone."""
    world.model("a", Act(fault="hang"), Act(text="again", first_token=0.5))

    reply = ask(clock, world, ["a", "b"], hedge=Hedge(after=1.0, same=True))

    assert reply.text == "again"
    assert story(reply.trace) == [("a", "first", "superseded", 0.0, 1.5), ("a", "hedge", "won", 1.0, 1.5)]


def test_a_chain_of_one_can_race_itself(clock: Clock, world: World) -> None:
    """With `same=True` a single model is hedged too."""
    world.model("a", Act(fault="hang"), Act(first_token=0.5))

    trace = ask(clock, world, ["a"], hedge=Hedge(after=1.0, same=True)).trace

    assert [each.outcome for each in trace.attempts] == ["superseded", "won"]


def test_a_chain_of_one_is_not_hedged_otherwise(clock: Clock, world: World) -> None:
    """There is nobody to race; no event says so."""
    world.model("a", Act(first_token=9.0))
    events: list[object] = []

    ask(clock, world, ["a"], hedge=1.0, listeners=[events.append])

    assert not [event for event in events if isinstance(event, HedgeDenied)]


def test_a_failed_hedge_on_the_same_model_is_followed_by_the_next_one(clock: Clock, world: World) -> None:
    """The same model is raced because it was late; when that has failed too, the next model is the hedge."""
    world.model("a", Act(fault="hang"), Act(status=500, first_token=0.5))

    trace = ask(clock, world, ["a", "b"], hedge=Hedge(after=1.0, same=True)).trace

    assert story(trace) == [
        ("a", "first", "superseded", 0.0, 1.5), ("a", "hedge", "failed", 1.0, 1.5), ("b", "hedge", "won", 1.5, 1.5)
    ]


def test_a_chain_of_one_does_not_race_itself_at_once_again(clock: Clock, world: World) -> None:
    """While the first request lives, a hedge that failed is followed by another one only when that is late as well."""
    world.model("a", Act(first_token=2.5), Act(status=500))

    trace = ask(clock, world, ["a"], hedge=Hedge(after=1.0, same=True)).trace

    assert story(trace) == [
        ("a", "first", "won", 0.0, 2.5), ("a", "hedge", "failed", 1.0, 1.0), ("a", "hedge", "failed", 2.0, 2.0)
    ]


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
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    trace = clock.run(scenario()).trace

    assert story(trace) == [("a", "first", "superseded", 0.0, 1.5), ("c", "hedge", "won", 1.0, 1.5)]


def test_a_hedge_does_not_wait_for_its_own_retry_after(clock: Clock, world: World) -> None:
    """A first model would wait so long; for a hedge the next one is quicker."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(status=429, retry_after=1.0))

    trace = ask(clock, world, ["a", "b", "c"], hedge=1.0, retry=Retry()).trace

    assert story(trace) == [
        ("a", "first", "superseded", 0.0, 1.0), ("b", "hedge", "failed", 1.0, 1.0), ("c", "hedge", "won", 1.0, 1.0)
    ]


def test_a_held_model_that_a_hedge_passed_over_comes_as_a_fallback(clock: Clock, world: World) -> None:
    """When nothing else is left, the model that was passed over is waited for."""
    world.model("a", Act(status=500, first_token=2.0))
    hold(world, "b", 4.0)
    world.model("c", Act(status=500, first_token=0.5))

    async def scenario() -> Reply:
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    reply = clock.run(scenario())

    assert reply.text == "b"
    assert story(reply.trace) == [
        ("a", "first", "failed", 0.0, 2.0), ("c", "hedge", "failed", 1.0, 1.5), ("b", "fallback", "won", 4.0, 4.0)
    ]


def test_a_hedge_with_nobody_left_to_ask_is_denied(clock: Clock, world: World) -> None:
    """When every other model is held the hedge is denied, once, and costs nothing."""
    world.model("a", Act(first_token=5.0))
    hold(world, "b", 60.0)
    events: list[object] = []

    async def scenario() -> list[HedgeDenied]:
        async with router_of(world, listeners=[events.append]) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            await router.chat("hello", chain=["a", "b"], hedge=1.0)
            assert tokens(router, "a") == 10.0
        return [event for event in events if isinstance(event, HedgeDenied)]

    (denied,) = clock.run(scenario())

    assert denied.reason == "no other model could be sent now"
    assert [each.model for each in denied.trace.attempts] == ["a"]


def test_a_hedge_without_a_useful_share_of_the_deadline_is_not_sent(clock: Clock, world: World) -> None:
    """Less than 0.25 s for it, now that two held models can be sent again: passed over, and its token comes back."""
    world.model("a", Act(fault="hang"))
    hold(world, "c", 0.25)
    hold(world, "z", 0.25)

    async def scenario() -> Trace:
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["c", "z"], retry=ONCE)
            reply = await router.chat("hello", chain=["a", "b", "c", "z"], hedge=0.3, deadline=0.7)
            assert tokens(router, "a") == 10.0
            return reply.trace

    trace = clock.run(scenario())

    assert story(trace) == [
        ("a", "first", "failed", 0.0, 0.35),
        ("b", "hedge", "not_sent", None, 0.3),
        ("c", "fallback", "not_sent", None, 0.35),
        ("z", "fallback", "won", 0.35, 0.35),
    ]
    assert trace.attempts[1].error.message == "only 0.13 s of the deadline are left for it"  # type: ignore[union-attr]


# ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tokens(router: Router, first: str, rate: float = 0.05) -> float:
    """What is in the bucket of calls that begin with this model."""
    assert router._life.engine is not None
    return router._life.engine.policies.hedge_budgets.budget_of(first, rate).tokens


async def hedged(world: World, router: Router, first: str, *, late: bool, hedge: Hedge | None = None) -> bool:
    """Make one call whose first model is late or not; whether it was hedged."""
    world.model(first, Act(first_token=2.0 if late else 0.0))
    reply = await router.chat("hello", chain=[first, "z"], hedge=hedge or Hedge(after=1.0), retry=ONCE)
    return any(each.cause == "hedge" and each.sent is not None for each in reply.trace.attempts)


def test_ten_hedges_in_a_row_and_then_one_in_twenty(clock: Clock, world: World) -> None:
    """The bucket is full at the start, holds ten, and every call pays in a twentieth."""
    async def scenario() -> list[int]:
        async with router_of(world) as router:
            return [number for number in range(1, 101) if await hedged(world, router, "a", late=True)]

    # 10 + 0.05 n - k ≥ 1 allows the k+1st hedge at the nth call; the first payment finds the bucket full.
    assert clock.run(scenario()) == [*range(1, 11), 21, 41, 61, 81]


def test_calls_that_are_not_late_save_up_but_not_beyond_ten(clock: Clock, world: World) -> None:
    """The bucket is asked when the hedge fires: a call that is not late pays in and takes nothing."""
    async def scenario() -> tuple[int, float]:
        async with router_of(world) as router:
            for _ in range(50):
                assert not await hedged(world, router, "a", late=False)
            full = tokens(router, "a")
            return sum([await hedged(world, router, "a", late=True) for _ in range(15)]), full

    assert clock.run(scenario()) == (10, 10.0)


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0])
def test_no_prefix_of_calls_has_more_hedges_than_the_budget(clock: Clock, world: World, rate: float) -> None:
    """Of any first N calls at most `budget` · N + 10 are hedged, whatever happens to them."""
    world.model("b", lambda _, random: Act(status=random.choice([200, 500]), first_token=random.choice([0.0, 2.0])))

    async def scenario() -> list[int]:
        async with router_of(world) as router:
            made = []
            for number in range(150):
                world.model("a", Act(first_token=9.0 if number % 3 else 0.0))
                hedge = Hedge(after=0.5, budget=rate)
                reply = await router.chat("hello", chain=["a", "b", "c"], hedge=hedge, retry=ONCE)
                made.append(sum(each.cause == "hedge" and each.sent is not None for each in reply.trace.attempts))
                assert -1e-6 <= tokens(router, "a", rate) <= 10.0
            return made

    made = clock.run(scenario())

    assert all(sum(made[:n]) <= rate * n + 10 + 1e-6 for n in range(1, len(made) + 1))
    assert sum(made) > 10


def test_a_budget_belongs_to_a_first_model_and_a_rate(clock: Clock, world: World) -> None:
    """What one first model has used up another one still has, and so has the same one at another rate."""
    async def scenario() -> list[bool]:
        async with router_of(world) as router:
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
    """An event says so; the late model is waited for."""
    world.model("a", Act(first_token=2.0))
    events: list[object] = []

    async def scenario() -> Trace:
        async with router_of(world, listeners=[events.append]) as router:
            hedge = Hedge(after=1.0, budget=0.0)
            for _ in range(10):
                await router.chat("hello", chain=["a", "b"], hedge=hedge)
            events.clear()
            return (await router.chat("hello", chain=["a", "b"], hedge=hedge)).trace

    trace = clock.run(scenario())

    assert story(trace) == [("a", "first", "won", 0.0, 2.0)]
    (denied,) = [event for event in events if isinstance(event, HedgeDenied)]
    assert (denied.reason, denied.trace) == ("the hedge budget is used up", trace)


def test_the_next_model_after_a_failed_hedge_is_paid_for_too(clock: Clock, world: World) -> None:
    """The newest fails while the older lives: without a token nothing starts until the older one fails as well."""
    hedge = Hedge(after=1.0, budget=0.0)

    async def scenario() -> Trace:
        async with router_of(world) as router:
            for _ in range(9):
                await hedged(world, router, "a", late=True, hedge=hedge)
            assert tokens(router, "a", 0.0) == 1.0
            world.model("a", Act(status=500, first_token=5.0))
            world.model("b", Act(status=500, first_token=0.5))
            return (await router.chat("hello", chain=["a", "b", "c"], hedge=hedge, retry=ONCE)).trace

    assert story(clock.run(scenario())) == [
        ("a", "first", "failed", 0.0, 5.0), ("b", "hedge", "failed", 1.0, 1.5), ("c", "fallback", "won", 5.0, 5.0)
    ]


def test_a_hedge_that_was_not_sent_is_refunded(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose key is not set takes no token; the next one starts in its place at once."""
    monkeypatch.delenv("KEY_OF_B", raising=False)
    keyed = {"keyed": {"wire": "openai", "base_url": "http://sim.test/v1", "key": "env:KEY_OF_B"}}
    config = {"providers": keyed, "models": {"b": {"provider": "keyed", "id": "b"}}}
    world.model("a", Act(first_token=9.0))
    world.model("c", Act(first_token=0.5))

    async def scenario() -> Trace:
        async with router_of(world, config=config) as router:
            trace = (await router.chat("hello", chain=["a", "b", "c"], hedge=1.0)).trace
            assert tokens(router, "a") == 9.0
            return trace

    trace = clock.run(scenario())

    assert story(trace) == [
        ("a", "first", "superseded", 0.0, 1.5),
        ("b", "hedge", "not_sent", None, 1.0),
        ("c", "hedge", "won", 1.0, 1.5),
    ]
    assert isinstance(trace.attempts[1].error, NotSent)


def test_a_hedge_that_was_sent_in_vain_is_not_refunded(clock: Clock, world: World) -> None:
    """Sending is what costs, also when the connection fails or the hedge is cancelled before its headers."""
    world.model("a", Act(first_token=1.5))
    world.model("b", Act(fault="refuse"))
    world.model("c", Act(fault="hang", at="connect"))

    async def scenario() -> float:
        async with router_of(world) as router:
            await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)
            return tokens(router, "a")

    assert clock.run(scenario()) == 8.0


# ── the loser ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hedge_wins", [True, False])
def test_the_loser_does_not_delay_the_winner(clock: Clock, world: World, *, hedge_wins: bool) -> None:
    """At the instant of the first content the loser is settled, its event is out and its connection closed."""
    slow, quick = Act(first_token=60.0), Act(tokens=4, first_token=0.75, gap=0.5)
    world.model("a", slow if hedge_wins else Act(tokens=4, first_token=1.75, gap=0.5))
    world.model("b", quick if hedge_wins else slow)
    events: list[tuple[float, object]] = []

    trace = ask(clock, world, ["a", "b"], hedge=1.0, listeners=[lambda event: events.append((clock.now, event))]).trace

    winner, loser = ("b", "a") if hedge_wins else ("a", "b")
    assert [
        (at, event.attempt.model) for at, event in events if isinstance(event, AttemptEnded)
    ] == [(1.75, loser), (3.25, winner)]
    (seen,) = world.asked(loser)
    assert (seen.ended, seen.gone) == (1.75, True)
    assert trace.seconds == 3.25


@pytest.mark.parametrize("hedge_wins", [True, False])
@pytest.mark.parametrize("streams", [True, False])
def test_the_trace_is_complete_with_the_reply(clock: Clock, world: World, *, streams: bool, hedge_wins: bool) -> None:
    """In the very turn in which the caller has its reply, or the beginning of it, the loser has ended."""
    world.model("a", Act(first_token=60.0 if hedge_wins else 1.75))
    world.model("b", Act(first_token=0.75 if hedge_wins else 60.0))

    async def scenario() -> list[float | None]:
        async with router_of(world) as router:
            if not streams:
                reply = await router.chat("hello", chain=["a", "b"], hedge=1.0)
                return [each.ended for each in reply.trace.attempts]
            async with router.stream("hello", chain=["a", "b"], hedge=1.0) as stream:
                assert world.open == 1
                return [each.ended for each in stream.trace.attempts]

    winner = None if streams else 1.75
    assert (clock.run(scenario())) == [1.75, winner] if hedge_wins else [winner, 1.75]


@pytest.mark.parametrize("loser", [
    Act(first_token=60.0),
    Act(fault="hang", at="headers"),
    Act(fault="hang", at="connect"),
    Act(status=429, retry_after=2.0, first_token=0.25),
])
@pytest.mark.parametrize("hedge_wins", [True, False])
def test_the_losers_task_is_gone_one_turn_later(clock: Clock, world: World, loser: Act, *, hedge_wins: bool) -> None:
    """Whatever the loser was waiting for: one turn of the loop after the win nothing of it is left."""
    world.model("a", loser if hedge_wins else Act(first_token=1.75))
    world.model("b", Act(first_token=0.75) if hedge_wins else loser)
    unheard: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        async with router_of(world) as router:
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
    """The prompt is what a silent loser may be billed for; the winner's cost is counted."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="one two three", usage={"prompt_tokens": 7, "completion_tokens": 3}))

    trace = ask(clock, world, ["a", "b"], hedge=1.0, config={"models": PRICED}).trace
    loser, winner = trace.attempts

    # "hello": 5 characters at 4 a token, and one for what is around them.
    assert (loser.cost_usd, loser.cost_estimated, loser.usage) == (2 * 1.0 / 1e6, True, None)
    assert (winner.cost_usd, winner.cost_estimated) == (37.0 / 1e6, False)
    assert (trace.cost_usd, trace.cost_estimated) == (pytest.approx(39.0 / 1e6), True)


def test_the_reply_costs_what_the_winner_cost(clock: Clock, world: World) -> None:
    """`reply.cost_usd` is this answer's; the trace has the whole."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(usage={"prompt_tokens": 7, "completion_tokens": 3}))

    assert ask(clock, world, ["a", "b"], hedge=1.0, config={"models": PRICED}).cost_usd == 37.0 / 1e6


def test_a_loser_whose_price_is_unknown_makes_the_total_unknown(clock: Clock, world: World) -> None:
    """`None`, never a silent 0."""
    world.model("a", Act(first_token=9.0))

    trace = ask(clock, world, ["a", "b"], hedge=1.0, config={"models": {"b": PRICED["b"]}}).trace

    assert (trace.attempts[0].cost_usd, trace.attempts[0].cost_estimated) == (None, False)
    assert trace.cost_usd is None


def test_losing_does_not_count_against_a_model(clock: Clock, world: World) -> None:
    """A loser stands as it stood."""
    world.model("a", Act(first_token=9.0))

    async def scenario() -> dict[str, str]:
        async with router_of(world) as router:
            await router.chat("hello", chain=["a", "b"], hedge=1.0)
            return {name: model.standing for name, model in router.health().items()}

    assert clock.run(scenario()) == {"a": "ready", "b": "ready"}


# ── whose task ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_attempt_runs_in_the_callers_task(clock: Clock, world: World) -> None:
    """A second task exists only once the hedge has fired, and every fallback runs in the caller's again."""
    where: list[tuple[str, bool, int]] = []

    def note(act: Act) -> object:
        def behave(seen: Seen, _: Random) -> Act:
            where.append((seen.model, asyncio.current_task() is caller[0], len(asyncio.all_tasks())))
            return act
        return behave

    world.model("a", note(Act(status=500, first_token=1.5)))  # type: ignore[arg-type]
    world.model("b", note(Act(status=500, first_token=0.75)))  # type: ignore[arg-type]
    world.model("c", note(Act()))  # type: ignore[arg-type]
    caller: list[asyncio.Task[object] | None] = []

    async def scenario() -> None:
        async with router_of(world) as router:
            caller.append(asyncio.current_task())
            await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)

    clock.run(scenario())

    assert where == [("a", True, 1), ("b", False, 2), ("c", True, 1)]


def test_no_task_is_made_while_nothing_is_late(clock: Clock, world: World) -> None:
    """A hedged call that is in time is one task: its caller's."""
    world.model("a", Act(tokens=10, first_token=0.5, gap=0.5))

    async def scenario() -> int:
        async with router_of(world) as router:
            call = asyncio.ensure_future(router.chat("hello", chain=["a", "b"], hedge=1.0))
            most = 0
            while not call.done():
                most = max(most, len(asyncio.all_tasks() - {asyncio.current_task()}))
                await asyncio.sleep(0.125)
            return most

    assert clock.run(scenario()) == 1


def test_the_cause_of_every_attempt_is_told_by_its_event(clock: Clock, world: World) -> None:
    """Listeners see the loser end before the winner, and nothing afterwards."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(first_token=0.5))
    events: list[str] = []

    ask(clock, world, ["a", "b"], hedge=1.0, listeners=[lambda event: events.append(type(event).__name__)])

    assert events == ["AttemptStarted", "AttemptStarted", "AttemptEnded", "AttemptEnded", "CallEnded"]


def test_hedged_streams_commit_to_the_first_content(clock: Clock, world: World) -> None:
    """For `stream()` the win is the commit: entering ends with the hedge's first content."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="one two", first_token=0.5, gap=1.0))

    async def scenario() -> list[tuple[float, str]]:
        async with router_of(world) as router:
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
    """A context variable that a caller has set is seen by its hedge, whoever else's timers run beside it."""
    caller: ContextVar[str] = ContextVar("caller", default="nobody")
    seen: dict[str, list[str]] = {"a": [], "b": []}
    for name in seen:
        world.model(name, lambda request, _: seen[request.model].append(caller.get()) or Act(first_token=3.0))

    async def one(router: Router, name: str, hedge: float) -> None:
        caller.set(name)
        await router.chat("hello", chain=["a", "b"], hedge=Hedge(after=hedge, budget=1.0))

    async def scenario() -> None:
        async with router_of(world) as router:
            await asyncio.gather(one(router, "first", 1.0), one(router, "second", 2.0))

    clock.run(scenario())

    assert seen == {"a": ["first", "second"], "b": ["first", "second"]}
