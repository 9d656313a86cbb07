"""The queue for a model's limits: its order, when nobody joins it, and how long a call waits in it."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, CallError, Model, NotSent, Reply
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.limits import MARGIN, Limits
from asyncrouter._policies.pacing import Pacer, Rank, Ticket
from asyncrouter.sim import Act
from tests.helpers.policies import router_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Clock, World


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pacer(clock: Clock, scenario: Callable[[Pacer], object], **limits: float) -> None:
    """Run this with the pacer of a model with these limits."""
    async def run() -> None:
        model = Model(provider="p", id="a", name="a", **limits)  # type: ignore[arg-type]
        scenario(Pacer(Limits(model), asyncio.get_running_loop()))

    clock.run(run())


def test_first_come_first_served_within_a_rank(clock: Clock) -> None:
    """First attempts go before later ones, each in the order of arrival."""
    def scenario(pacer: Pacer) -> None:
        assert pacer.take_now(0.0)
        tickets = [pacer.join(rank, 0.0, inf) for rank in (Rank.AGAIN, Rank.FIRST, Rank.AGAIN, Rank.FIRST)]
        order: list[int] = []
        for _ in tickets:
            pacer.give_back(0.0, sent=True)
            order += [number for number, ticket in enumerate(tickets) if ticket.granted and number not in order]
        assert order == [1, 3, 0, 2]

    pacer(clock, scenario, max_concurrent=1)


def test_nobody_passes_those_who_wait(clock: Clock) -> None:
    """A request may not go while another of its rank or a better one waits, and may go before those of a worse rank."""
    def scenario(pacer: Pacer) -> None:
        assert pacer.take_now(0.0)
        pacer.join(Rank.AGAIN, 0.0, inf)
        assert not pacer.may_go(0.0, Rank.AGAIN)
        assert not pacer.may_go(0.0, Rank.FIRST)  # no slot
        pacer._limits.slots.running = 0
        assert not pacer.may_go(0.0, Rank.AGAIN)
        assert pacer.may_go(0.0, Rank.FIRST)
        pacer._limits.slots.running = 1

    pacer(clock, scenario, max_concurrent=1)


def test_who_waits_goes_when_there_is_no_limit_any_more(clock: Clock) -> None:
    """A limit that is forgotten lets all go who wait for it, at once."""
    def scenario(pacer: Pacer) -> None:
        limits = pacer._limits
        limits.hidden.limit = Gcra(0.1)
        limits._update()
        assert pacer.take_now(0.0)
        tickets = [pacer.join(Rank.FIRST, 0.0, inf) for _ in range(3)]
        limits.hidden.limit = None
        limits._update()
        assert [ticket.granted for ticket in tickets] == [False, False, False]
        pacer.look_again()
        assert [ticket.granted for ticket in tickets] == [True, True, True]
        assert (pacer.waiting, pacer.running) == (0, 4)

    pacer(clock, scenario)


def test_who_leaves_is_passed_over(clock: Clock) -> None:
    """A ticket that leaves is passed over, and one that leaves after it was granted hands its place on."""
    def scenario(pacer: Pacer) -> None:
        assert pacer.take_now(0.0)
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


def test_who_waits_for_tokens_is_waited_for(clock: Clock) -> None:
    """A request behind one that waits for many tokens waits as long as that one, though it might go before it."""
    def scenario(pacer: Pacer) -> None:
        assert pacer.take_now(10.0)
        assert pacer.expected_wait(Rank.AGAIN) == 0.0
        ticket = pacer.join(Rank.AGAIN, 100.0, inf)
        waits = [pacer.expected_wait(rank) for rank in (Rank.FIRST, Rank.AGAIN, Rank.BATCH_AGAIN)]
        assert waits == pytest.approx([0.0, 1.0, 1.0])
        pacer.leave(ticket)

    pacer(clock, scenario, tpm=600 / MARGIN)


def test_a_place_that_would_come_too_late_is_refused_at_once(clock: Clock) -> None:
    """Joining fails at once with `NotSent` when the request could not go in time."""
    def scenario(pacer: Pacer) -> None:
        assert pacer.take_now(0.0)
        tickets: list[Ticket] = [pacer.join(Rank.FIRST, 0.0, inf) for _ in range(2)]
        with pytest.raises(NotSent, match="its pace of 1 requests a second has no room in time: 2 are waiting"):
            pacer.join(Rank.FIRST, 0.0, 2.9)
        tickets.append(pacer.join(Rank.FIRST, 0.0, 3.1))
        for ticket in tickets:
            pacer.leave(ticket)

    pacer(clock, scenario, rpm=60 / MARGIN)


def test_a_call_that_cannot_be_sent_in_time_moves_on_at_once(clock: Clock, world: World) -> None:
    """A call whose first model has no room within its patience goes to the next model at once."""
    world.model("a")
    world.model("b", Act(text="b"))

    async def scenario() -> Reply:
        async with router_with(world, a={"rpm": 3}) as router:
            await router.chat("x", chain=["a", "b"])
            return await router.chat("x", chain=["a", "b"])

    reply = clock.run(scenario())
    held, other = reply.trace.attempts

    assert (held.outcome, other.outcome, held.ended, other.sent) == ("not_sent", "won", 0.0, 0.0)
    assert "its pace of 0.049 requests a second has no room in time" in str(held.error)


# ── patience ──────────────────────────────────────────────────────────────────────────────────────────────────────────


Asked = list[tuple[str, str | None, float | None]]


def waited(clock: Clock, world: World, chain: list[str], **options: object) -> Asked:
    """The models asked by a call whose first model's only slot is taken for ten seconds, and when sent or given up."""
    world.model("a", Act(first_token=10.0), Act())
    world.model("b")

    async def scenario() -> Asked:
        async with router_with(world, a={"max_concurrent": 1}) as router:
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
def test_a_call_with_another_model_waits_for_its_patience(
    clock: Clock, world: World, patience: float
) -> None:
    """While another model could serve, a call waits `retry.patience` seconds and then goes on."""
    asked = waited(clock, world, ["a", "b"], retry={"attempts": 1, "patience": patience})

    assert asked == [("a", "not_sent", patience), ("b", "won", patience)]


def test_a_call_with_no_other_model_waits_for_a_slot(clock: Clock, world: World) -> None:
    """A call with no other model waits until a slot is free."""
    assert waited(clock, world, ["a"]) == [("a", "won", 9.0)]


def test_a_disabled_model_does_not_count_as_another(clock: Clock, world: World) -> None:
    """A call whose only other model is disabled waits until a slot is free."""
    world.model("gone", Act(why="missing"))

    async def scenario() -> float | None:
        async with router_with(world, a={"max_concurrent": 1}) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", chain=["gone"])
            busy = asyncio.create_task(router.chat("x", chain=["a"]))
            await asyncio.sleep(1.0)
            [attempt] = (await router.chat("x", chain=["a", "gone"])).trace.attempts
            await busy
            return attempt.sent

    world.model("a", Act(first_token=10.0), Act())

    assert clock.run(scenario()) == 9.0


def test_a_slot_is_not_waited_for_beyond_the_deadline(clock: Clock, world: World) -> None:
    """A call that waits for a slot gives up at its deadline."""
    assert waited(clock, world, ["a"], deadline=4.0) == [("a", "not_sent", 4.0)]
