"""Limits that are kept: configured, announced, or found by their 429s; and how long a turn is waited for."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, CallError, Model, NotSent, Reply, Router
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.hidden_limit import (
    FLOOR,
    FORGET_AFTER,
    MAX_GATE_SECONDS,
    RATE_AT_FIRST,
    STEP,
    STEP_INITIAL,
    STEP_NEAR_CEILING,
    HiddenLimit,
)
from asyncrouter._policies.limits import MARGIN, Limits
from asyncrouter._policies.pacing import Pacer, Rank, Ticket
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Clock, World

ROUNDED = 1e-9


def router_of(world: World, **models: object) -> Router:
    """A router to this world, one try a model, with these limits."""
    entries = {name: {"provider": "sim", "id": name, **limits} for name, limits in models.items()}  # type: ignore[dict-item]
    config = world.config(models=entries, defaults={"retry": {"attempts": 1}})
    return Router(config, transport=world.transport(), seed=1)


# ── one limit ────────────────────────────────────────────────────────────────────────────────────────────────────────


def instants(limit: Gcra, requests: int, units: float = 1.0, now: float = 0.0) -> list[float]:
    """When each of them may go, one as soon as the one before has gone."""
    went = []
    for _ in range(requests):
        now = limit.due(now, units)
        limit.take(now, units)
        went.append(now)
    return went


def test_requests_are_spaced_evenly() -> None:
    """Four a second: one every quarter of a second, and nothing saved up by a pause."""
    limit = Gcra(4.0)

    assert instants(limit, 3) == [0.0, 0.25, 0.5]
    assert instants(limit, 2, now=100.0) == [100.0, 100.25]


def test_a_burst_goes_at_once() -> None:
    """Three of them, then evenly; after a pause three again."""
    limit = Gcra(4.0, 3.0)

    assert instants(limit, 5) == [0.0, 0.0, 0.0, 0.25, 0.5]
    assert instants(limit, 4, now=100.0) == [100.0, 100.0, 100.0, 100.25]


def test_more_than_a_burst_goes_when_nothing_is_left() -> None:
    """Otherwise it would never go; what comes after it waits for all of it."""
    limit = Gcra(4.0, 2.0)

    assert instants(limit, 2, 10.0) == [0.0, 2.5]
    assert instants(limit, 1) == [4.75]


def test_what_was_not_used_can_be_used() -> None:
    """Ten were taken and two used: eight come back; more used than taken is owed."""
    limit = Gcra(4.0, 1.0)
    limit.take(0.0, 10.0)
    assert limit.due(0.0) == 2.5
    limit.correct(0.0, -8.0)
    assert limit.due(0.0) == 0.5
    limit.correct(0.0, 4.0)

    assert limit.due(0.0) == 1.5


# ── a model's limits ─────────────────────────────────────────────────────────────────────────────────────────────────


async def sent(world: World, router: Router, calls: int, **options: object) -> list[float]:
    """When the requests of so many calls at once were sent."""
    await asyncio.gather(*(router.chat("x", chain=["a"], **options) for _ in range(calls)))  # type: ignore[arg-type]
    return [seen.at for seen in world.seen]


def went(clock: Clock, world: World, calls: int, **limits: object) -> list[float]:
    """When the requests of so many calls at once were sent, to a model with these limits."""
    async def scenario() -> list[float]:
        async with router_of(world, a=limits) as router:
            return await sent(world, router, calls)

    return clock.run(scenario())


def test_a_configured_rate_is_kept_with_a_margin(clock: Clock, world: World) -> None:
    """Thirty a minute: one every 2 s / 0.98, so that no clock of the provider's says too early."""
    world.model("a")

    assert pytest.approx([n * 2.0 / MARGIN for n in range(4)], abs=ROUNDED) == went(clock, world, 4, rpm=30)


def test_a_second_of_a_rate_goes_at_once(clock: Clock, world: World) -> None:
    """600 a minute are 9.8 a second: nine at once, and the tenth when there is room."""
    world.model("a")

    times = went(clock, world, 11, rpm=600)

    assert times == pytest.approx([0.0] * 9 + [0.2 / 9.8, 1.2 / 9.8], abs=ROUNDED)


def test_as_many_as_may_run_at_once(clock: Clock, world: World) -> None:
    """The third request goes at the instant the first has ended."""
    world.model("a", Act(first_token=1.0), Act(first_token=5.0), Act(first_token=1.0))

    assert went(clock, world, 4, max_concurrent=2) == [0.0, 0.0, 1.0, 2.0]


def test_without_limits_nothing_waits(clock: Clock, world: World) -> None:
    """Not even at a thousand at once."""
    world.model("a")

    assert set(went(clock, world, 1000)) == {0.0}


def test_tokens_are_reserved_and_given_back(clock: Clock, world: World) -> None:
    """A call that asks for 588 tokens and uses few of them holds its place only until that is known."""
    world.model("a", Act(first_token=1.0))

    async def scenario(words: int) -> float:
        world.seen.clear()
        world.model("a", Act(first_token=1.0, text="word " * words))
        async with router_of(world, a={"tpm": 600}) as router:  # 9.8 a second
            await router.chat("x", chain=["a"], max_tokens=588)
            began = asyncio.get_running_loop().time()
            await router.chat("x", chain=["a"], max_tokens=588)
            return world.seen[-1].at - began

    few, many = clock.run(scenario(5)), clock.run(scenario(400))

    assert 0.0 <= few < 2.0
    assert many > 30.0


def test_an_announced_limit_is_kept(clock: Clock, world: World) -> None:
    """Two a second, as the headers of the first response say: a second's worth at once, then evenly."""
    world.model("a").limit(2.0, burst=3.0, announced=True)

    async def scenario() -> tuple[list[float], float | None]:
        async with router_of(world) as router:
            await router.chat("x", chain=["a"])
            began = asyncio.get_running_loop().time()
            times = await sent(world, router, 4)
            return [at - began for at in times[1:]], router.health()["a"].rate

    times, rate = clock.run(scenario())

    assert rate == pytest.approx(2.0 * MARGIN)
    assert times == pytest.approx([0.0, 0.04 / 1.96, 1.04 / 1.96, 2.04 / 1.96], abs=ROUNDED)


@pytest.mark.parametrize(("rpm", "kept"), [(60, 1.0), (600, 2.0)])
def test_the_lower_of_two_limits_is_kept(clock: Clock, world: World, rpm: float, kept: float) -> None:
    """The configured one may be for a share of the key."""
    world.model("a").limit(2.0, announced=True)

    async def scenario() -> float | None:
        async with router_of(world, a={"rpm": rpm}) as router:
            await router.chat("x", chain=["a"])
            return router.health()["a"].rate

    assert pytest.approx(kept * MARGIN) == clock.run(scenario())


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────────


def pacer(clock: Clock, scenario: Callable[[Pacer], object], **limits: float) -> None:
    """Run this with the pacer of a model with these limits."""
    async def run() -> None:
        model = Model(provider="p", id="a", name="a", **limits)  # type: ignore[arg-type]
        scenario(Pacer(Limits(model), asyncio.get_running_loop()))

    clock.run(run())


def test_first_come_first_served_within_a_rank(clock: Clock) -> None:
    """First attempts before later ones, each in the order in which they came."""
    def scenario(pacer: Pacer) -> None:
        pacer.take(0.0)
        tickets = [pacer.join(rank, 0.0, inf) for rank in (Rank.AGAIN, Rank.FIRST, Rank.AGAIN, Rank.FIRST)]
        order: list[int] = []
        for _ in tickets:
            pacer.give_back(0.0, sent=True)
            order += [number for number, ticket in enumerate(tickets) if ticket.granted and number not in order]
        assert order == [1, 3, 0, 2]

    pacer(clock, scenario, max_concurrent=1)


def test_nobody_passes_those_who_wait(clock: Clock) -> None:
    """A free slot belongs to who waits for it; only a rank before theirs may go."""
    def scenario(pacer: Pacer) -> None:
        pacer.take(0.0)
        pacer.join(Rank.AGAIN, 0.0, inf)
        assert not pacer.may_go(0.0, Rank.AGAIN)
        assert not pacer.may_go(0.0, Rank.FIRST)  # no slot
        pacer._limits.slots.running = 0
        assert not pacer.may_go(0.0, Rank.AGAIN)
        assert pacer.may_go(0.0, Rank.FIRST)
        pacer._limits.slots.running = 1

    pacer(clock, scenario, max_concurrent=1)


def test_who_leaves_is_passed_over(clock: Clock) -> None:
    """And who leaves after its turn has come hands it on."""
    def scenario(pacer: Pacer) -> None:
        pacer.take(0.0)
        tickets = [pacer.join(Rank.FIRST, 0.0, inf) for _ in range(3)]
        pacer.leave(tickets[0])
        assert pacer.waiting == 2
        pacer.give_back(0.0, sent=True)
        assert [ticket.granted for ticket in tickets] == [False, True, False]
        pacer.leave(tickets[1])
        assert tickets[2].granted
        pacer.leave(tickets[2])
        assert (pacer.waiting, pacer.running) == (0, 0)

    pacer(clock, scenario, max_concurrent=1)


def test_a_turn_that_would_come_too_late_is_not_waited_for(clock: Clock) -> None:
    """At one a second, two waiting: the third would go in three seconds; it is told at once when that is too late."""
    def scenario(pacer: Pacer) -> None:
        pacer.take(0.0)
        tickets: list[Ticket] = [pacer.join(Rank.FIRST, 0.0, inf) for _ in range(2)]
        with pytest.raises(NotSent, match="its pace of 1 requests a second has no room in time: 2 are waiting"):
            pacer.join(Rank.FIRST, 0.0, 2.9)
        tickets.append(pacer.join(Rank.FIRST, 0.0, 3.1))
        for ticket in tickets:
            pacer.leave(ticket)

    pacer(clock, scenario, rpm=60 / MARGIN)


def test_a_call_that_cannot_be_sent_in_time_moves_on_at_once(clock: Clock, world: World) -> None:
    """Twenty seconds at three a minute are more than its patience: the next model has it in the same instant."""
    world.model("a")
    world.model("b", Act(text="b"))

    async def scenario() -> Reply:
        async with router_of(world, a={"rpm": 3}) as router:
            await router.chat("x", chain=["a", "b"])
            return await router.chat("x", chain=["a", "b"])

    reply = clock.run(scenario())
    held, other = reply.trace.attempts

    assert (held.outcome, other.outcome, held.ended, other.sent) == ("not_sent", "won", 0.0, 0.0)
    assert "its pace of 0.049 requests a second has no room in time" in str(held.error)


# ── patience ─────────────────────────────────────────────────────────────────────────────────────────────────────────


Asked = list[tuple[str, str | None, float | None]]


def waited(clock: Clock, world: World, chain: list[str], **options: object) -> Asked:
    """Who was asked by a call whose first model's only slot is taken for ten seconds: when it was sent, or given up."""
    world.model("a", Act(first_token=10.0), Act())
    world.model("b")

    async def scenario() -> Asked:
        async with router_of(world, a={"max_concurrent": 1}) as router:
            busy = asyncio.create_task(router.chat("x", chain=["a"]))
            await asyncio.sleep(1.0)
            try:
                trace = (await router.chat("x", chain=chain, **options)).trace  # type: ignore[arg-type]
            except CallError as error:
                trace = error.trace
            await busy
            return [(one.model, one.outcome, one.ended if one.sent is None else one.sent) for one in trace.attempts]

    return clock.run(scenario())


@pytest.mark.parametrize("patience", [2.0, 0.5, 0.0])
def test_while_another_model_could_serve_a_turn_is_waited_for_patiently_no_longer(
    clock: Clock, world: World, patience: float
) -> None:
    """As for a Retry-After: `retry.patience` seconds, then the next model."""
    asked = waited(clock, world, ["a", "b"], retry={"attempts": 1, "patience": patience})

    assert [("a", "not_sent", patience), ("b", "won", patience)] == asked


def test_when_no_other_model_could_serve_a_turn_is_waited_for(clock: Clock, world: World) -> None:
    """Nine seconds, until the slot is free."""
    assert waited(clock, world, ["a"]) == [("a", "won", 9.0)]


def test_a_model_that_is_out_could_not_serve(clock: Clock, world: World) -> None:
    """Patience ends only where there is somewhere to go."""
    world.model("gone", Act(status=404))

    async def scenario() -> float | None:
        async with router_of(world, a={"max_concurrent": 1}) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", chain=["gone"])
            busy = asyncio.create_task(router.chat("x", chain=["a"]))
            await asyncio.sleep(1.0)
            [attempt] = (await router.chat("x", chain=["a", "gone"])).trace.attempts
            await busy
            return attempt.sent

    world.model("a", Act(first_token=10.0), Act())

    assert clock.run(scenario()) == 9.0


def test_a_turn_is_not_waited_for_beyond_the_deadline(clock: Clock, world: World) -> None:
    """Alone, it has all of the deadline, and not an instant more."""
    assert waited(clock, world, ["a"], deadline=4.0) == [("a", "not_sent", 4.0)]


# ── a limit nobody tells ─────────────────────────────────────────────────────────────────────────────────────────────


def rejected_once(rate: float | None = None, *, ceiling: float | None = None) -> HiddenLimit:
    """A hidden that has had its first 429 at 0 s; at this rate, and its second one at that ceiling."""
    hidden = HiddenLimit()
    hidden.rejected(0.0, -1.0, hinted=True)
    if rate is not None:
        rate_of(hidden, rate)
    if ceiling is not None:
        hidden._ceiling = ceiling
    return hidden


def rate_of(hidden: HiddenLimit, rate: float | None = None) -> float:
    """Its rate, which is set before if it is given."""
    assert hidden.limit is not None
    if rate is not None:
        hidden.limit.rate = rate
    return hidden.limit.rate


def test_nothing_is_paced_before_the_first_rejection() -> None:
    """However much is answered."""
    hidden = HiddenLimit()
    for number in range(100):
        hidden.answered(number / 100)

    assert hidden.limit is None
    assert repr(hidden) == "<HiddenLimit unknown>"


def test_the_first_rejection_leaves_ten_a_second_until_more_got_through() -> None:
    """What got through in the second after it is the rate from then on."""
    hidden = rejected_once()
    assert rate_of(hidden) == RATE_AT_FIRST
    for number in range(30):
        hidden.answered(0.5 + number / 1000)
    hidden.answered(1.0)

    assert rate_of(hidden) == 30.0


def test_a_rejection_takes_a_tenth() -> None:
    """Of the rate at which it came."""
    hidden = rejected_once(40.0)
    hidden.rejected(5.0, 4.5, hinted=True)

    assert rate_of(hidden) == 36.0


def test_a_burst_of_rejections_is_one() -> None:
    """At most once a second, and not for what was sent before the last cut."""
    hidden = rejected_once(40.0)
    hidden.rejected(5.0, 4.5, hinted=True)
    hidden.rejected(5.5, 5.2, hinted=True)
    hidden.rejected(9.0, 5.0, hinted=True)
    assert rate_of(hidden) == 36.0
    hidden.rejected(9.0, 5.1, hinted=True)

    assert rate_of(hidden) == pytest.approx(32.4)


@pytest.mark.parametrize(("answers", "left"), [(38, 36.0), (25, 25.0), (12, 20.0), (9, 36.0)])
def test_when_far_fewer_get_through_it_takes_more(answers: int, left: float) -> None:
    """As many as were answered in the last whole second, half of the rate at least; below ten they tell nothing."""
    hidden = rejected_once(40.0, ceiling=40.0)
    for number in range(answers):
        hidden.answered(4.0 + number / 100)
    hidden.rejected(5.0, 4.5, hinted=True)

    assert pytest.approx(left) == rate_of(hidden)


def test_three_a_minute_are_always_left() -> None:
    """Whatever comes."""
    hidden = rejected_once()
    for second in range(1, 200):
        hidden.rejected(2.0 * second, 2.0 * second - 0.5, hinted=True)

    assert rate_of(hidden) == FLOOR


@pytest.mark.parametrize(("rate", "ceiling", "step"), [
    (10.0, inf, STEP_INITIAL), (10.0, 20.0, STEP), (19.0, 20.0, STEP), (19.5, 20.0, STEP_NEAR_CEILING),
    (21.9, 20.0, STEP_NEAR_CEILING), (22.1, 20.0, STEP),
])  # fmt: skip
def test_an_answer_raises_the_rate(rate: float, ceiling: float, step: float) -> None:
    """By one until the second 429; from then on by 0.04, and by 0.01 about where the last one came."""
    hidden = rejected_once(rate, ceiling=ceiling)
    hidden.note_wait(5.0)
    hidden.answered(5.0)

    assert pytest.approx(rate + step) == rate_of(hidden)


def test_only_a_pace_that_holds_somebody_back_is_raised() -> None:
    """An idle minute teaches nothing: the last who waited did so more than a second ago."""
    hidden = rejected_once(10.0, ceiling=20.0)
    hidden.note_wait(5.0)
    hidden.answered(6.5)

    assert rate_of(hidden) == 10.0


@pytest.mark.parametrize(("rate", "hinted", "gate"), [
    (40.0, False, 5.05), (1.0, False, 5.0 + MAX_GATE_SECONDS), (40.0, True, -inf),
])  # fmt: skip
def test_a_rejection_without_a_hint_is_followed_by_silence(rate: float, hinted: bool, gate: float) -> None:
    """Two tickets of it, a fifth of a second at most; what the provider says itself is kept elsewhere."""
    hidden = rejected_once(rate / 0.9)
    hidden.rejected(5.0, 4.5, hinted=hinted)

    assert pytest.approx(gate) == hidden.gate


def test_a_limit_is_forgotten_after_five_minutes() -> None:
    """Without a 429."""
    hidden = rejected_once(10.0)
    hidden.answered(FORGET_AFTER)
    assert hidden.limit is not None
    hidden.answered(FORGET_AFTER + 0.1)

    assert hidden.limit is None


def test_a_429_paces_all_calls_of_a_model(clock: Clock, world: World) -> None:
    """After the first one, those that wait go one after the other; the health says so."""
    world.model("a", Act(status=429), Act())

    async def scenario() -> tuple[float | None, list[float]]:
        async with router_of(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", chain=["a"])
            rate = router.health()["a"].rate
            return rate, await sent(world, router, 3)

    rate, times = clock.run(scenario())

    assert rate == RATE_AT_FIRST
    # Silent for two tickets, and then evenly.
    assert times == pytest.approx([0.0, 0.2, 0.3, 0.4], abs=0.02)
