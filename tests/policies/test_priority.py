"""Batch work on a shared router: it never delays interactive work, and takes only what that leaves."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.limits import MARGIN
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.slots import PEAK_SECONDS, Slots
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter._types import Cause, Priority
    from asyncrouter.sim import Clock, Seen, World


# ── ranks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("cause", "priority", "rank"), [
    ("first", "interactive", Rank.FIRST), ("retry", "interactive", Rank.AGAIN), ("fallback", "interactive", Rank.AGAIN),
    ("hedge", "interactive", Rank.AGAIN), ("first", "batch", Rank.BATCH_FIRST), ("retry", "batch", Rank.BATCH_AGAIN),
])  # fmt: skip
def test_the_order_of_those_who_wait(clock: Clock, cause: Cause, priority: Priority, rank: Rank) -> None:
    """First attempts, then later ones, then the same of batch work."""
    async def scenario() -> Rank:
        return Policies(asyncio.get_running_loop(), Random(0), Events([])).rank(cause, priority)

    assert rank == clock.run(scenario())


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_batch_work_takes_nothing_from_interactive_work() -> None:
    """However much of it has gone, an interactive request is due as if there were none."""
    limit = Gcra(1.0, 2.0)
    for _ in range(5):
        limit.take(0.0, batch=True)

    assert limit.due(0.0) == 0.0
    assert limit.due(0.0, batch=True) == 5.0


def test_interactive_work_is_taken_from_batch_work() -> None:
    """What has gone for one is gone for all."""
    limit = Gcra(1.0, 2.0)
    for _ in range(2):
        limit.take(0.0)

    assert limit.due(0.0, batch=True) == 2.0
    assert limit.due(0.0) == 1.0


def test_batch_work_gives_back_what_was_its_own() -> None:
    """Tokens that a batch request did not use are no interactive request's."""
    limit = Gcra(1.0)
    limit.take(0.0)
    limit.take(0.0, batch=True)
    limit.correct(0.0, -1.0, batch=True)

    assert (limit.due(0.0, batch=True), limit.due(0.0)) == (1.0, 1.0)


# ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_slot_is_left_for_who_comes_next() -> None:
    """Of three, batch work has two."""
    slots = Slots(3)
    assert fill(slots) == 2

    assert slots.free(0.0, batch=False)


def fill(slots: Slots, now: float = 0.0) -> int:
    """Begin as much batch work as may; how much that is."""
    begun = 0
    while slots.free(now, batch=True):
        slots.take(batch=True)
        begun += 1
    return begun


def test_as_many_slots_are_left_as_were_lately_needed() -> None:
    """Three interactive requests at once: batch work leaves three for a minute at least, two minutes at most."""
    for later, most in ((1.0, 2), (PEAK_SECONDS + 1.0, 2), (2 * PEAK_SECONDS + 1.0, 4)):
        slots = Slots(5)
        for _ in range(3):
            slots.take(batch=False)
            slots.note_peak(0.0)
        for _ in range(3):
            slots.give_back(batch=False)

        assert most == fill(slots, later)


def test_of_one_slot_there_is_nothing_to_leave() -> None:
    """One batch request may always be under way."""
    slots = Slots(1)

    assert fill(slots) == 1
    assert not slots.free(0.0, batch=False)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def word_of(seen: Seen) -> str:
    """What a request says."""
    messages = seen.body["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def calls(clock: Clock, world: World, made: list[tuple[float, str, Priority]], **limits: object) -> dict[str, float]:
    """When the requests were sent of calls that were made at these instants, each with its word."""
    entry = {"provider": "sim", "id": "a", **limits}
    config = world.config(models={"a": entry}, defaults={"retry": {"attempts": 1}})

    async def scenario() -> dict[str, float]:
        async with Router(config, transport=world.transport(), seed=1) as router:
            async def call(at: float, word: str, priority: Priority) -> None:
                await asyncio.sleep(at)
                await router.chat(word, chain=["a"], priority=priority)

            await asyncio.gather(*(call(*each) for each in made))
        return {word_of(seen): seen.at for seen in world.seen}

    return clock.run(scenario())


def test_an_interactive_call_goes_before_batch_work_that_waits(clock: Clock, world: World) -> None:
    """One slot: it came last and is the next."""
    world.model("a", Act(first_token=1.0))

    sent = calls(clock, world, [
        (0.0, "batch 1", "batch"), (0.1, "batch 2", "batch"), (0.2, "batch 3", "batch"), (0.3, "me", "interactive"),
    ], max_concurrent=1)

    assert sent == {"batch 1": 0.0, "me": 1.0, "batch 2": 2.0, "batch 3": 3.0}


def test_an_interactive_call_does_not_wait_for_batch_work_to_end(clock: Clock, world: World) -> None:
    """Of two slots one is left for it; that is filled with batch work no more."""
    world.model("a", slow_batches)

    sent = calls(clock, world, [
        (0.0, "batch 1", "batch"), (0.0, "batch 2", "batch"), (5.0, "me", "interactive"),
    ], max_concurrent=2)

    assert sent == {"batch 1": 0.0, "me": 5.0, "batch 2": 20.0}


def slow_batches(seen: Seen, _: Random) -> Act:
    """Twenty seconds for batch work, one for others."""
    return Act(first_token=20.0 if "batch" in word_of(seen) else 1.0)


def test_an_interactive_call_is_in_time_whatever_rate_batch_work_takes(clock: Clock, world: World) -> None:
    """One a second: batch work takes all of it, and who calls at 3.3 s goes at 3.3 s."""
    world.model("a")
    batch: list[tuple[float, str, Priority]] = [(0.0, f"batch {number}", "batch") for number in range(8)]

    sent = calls(clock, world, [*batch, (3.3, "me", "interactive")], rpm=60 / MARGIN)

    assert sent.pop("me") == 3.3
    # What it took is missing once: the fourth of them would have gone at 4 s.
    assert list(sent.values()) == pytest.approx([0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0])
