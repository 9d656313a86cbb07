"""Batch work beside interactive work: it never delays it, and takes only the rates and slots that it leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router, Step
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.limits import MARGIN
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.slots import PEAK_SECONDS, Slots
from asyncrouter.sim import Act
from tests.helpers.policies import new_policies

if TYPE_CHECKING:
    from random import Random

    from asyncrouter._types import Cause, Priority
    from asyncrouter.sim import Clock, Seen, World


# ── ranks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("cause", "priority", "rank"), [
    ("first", "interactive", Rank.FIRST), ("retry", "interactive", Rank.AGAIN), ("fallback", "interactive", Rank.AGAIN),
    ("hedge", "interactive", Rank.AGAIN), ("first", "batch", Rank.BATCH_FIRST), ("retry", "batch", Rank.BATCH_AGAIN),
])  # fmt: skip
def test_the_order_of_those_who_wait(clock: Clock, cause: Cause, priority: Priority, rank: Rank) -> None:
    """First attempts rank before later ones, and batch work ranks after both."""
    async def scenario() -> Rank:
        return (await new_policies()).rank(cause, priority)

    assert clock.run(scenario()) == rank


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_batch_work_takes_nothing_from_interactive_work() -> None:
    """An interactive request is due as if there were no batch work."""
    limit = Gcra(1.0, 2.0)
    for _ in range(5):
        limit.take(0.0, batch=True)

    assert limit.due(0.0) == 0.0
    assert limit.due(0.0, batch=True) == 5.0


def test_interactive_work_is_taken_from_batch_work() -> None:
    """Batch work waits for what interactive work has taken."""
    limit = Gcra(1.0, 2.0)
    for _ in range(2):
        limit.take(0.0)

    assert limit.due(0.0, batch=True) == 2.0
    assert limit.due(0.0) == 1.0


def test_batch_work_gives_back_what_was_its_own() -> None:
    """Tokens that batch work gives back are free for batch work only."""
    limit = Gcra(1.0)
    limit.take(0.0)
    limit.take(0.0, batch=True)
    limit.correct(0.0, -1.0, batch=True)

    assert (limit.due(0.0, batch=True), limit.due(0.0)) == (1.0, 1.0)


# ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_slot_is_left_for_who_comes_next() -> None:
    """Batch work leaves one slot free for an interactive request."""
    slots = Slots(3)
    assert fill(slots) == 2

    assert slots.free(0.0, batch=False)


def fill(slots: Slots, now: float = 0.0) -> int:
    """Begin as much batch work as may begin, and return how much."""
    begun = 0
    while slots.free(now, batch=True):
        slots.take(batch=True)
        begun += 1
    return begun


def test_as_many_slots_are_left_as_were_lately_needed() -> None:
    """Batch work leaves free as many slots as interactive work needed at once one to two minutes ago."""
    for later, most in ((1.0, 2), (PEAK_SECONDS + 1.0, 2), (2 * PEAK_SECONDS + 1.0, 4)):
        slots = Slots(5)
        for _ in range(3):
            slots.take(batch=False)
            slots.note_peak(0.0)
        for _ in range(3):
            slots.give_back(batch=False)

        assert fill(slots, later) == most


def test_slots_that_are_no_longer_left_free_are_taken_at_once(clock: Clock, world: World) -> None:
    """Batch work that waits for slots left to a crowd begins at the instant at which that is too long ago to count."""
    world.model("a", *[Act(text="hi", first_token=1.0)] * 3, Act(text="hi", first_token=300.0))

    async def scenario() -> list[float]:
        models = {"a": {"provider": "sim", "id": "a", "max_concurrent": 4}}
        async with Router(world.config(models=models), transport=world.transport(), seed=1) as router:
            await asyncio.gather(*(router.chat("x", chain=["a"], deadline=None) for _ in range(3)))
            await asyncio.sleep(1.0)
            steps = [Step("a", first_token=None, total=None)]
            await asyncio.gather(
                *(router.chat("x", chain=steps, deadline=None, priority="batch") for _ in range(3))
            )
            return [seen.at for seen in world.seen]

    assert clock.run(scenario()) == [0.0, 0.0, 0.0, 2.0, 2 * PEAK_SECONDS, 2 * PEAK_SECONDS]


def test_the_instant_of_the_next_look_is_not_rounded_away() -> None:
    """At the instant that is named for the next look the last minute is over, whatever its sum is rounded to."""
    slots = Slots(4)
    for _ in range(3):
        slots.take(batch=False)
        slots.note_peak(252.9)
    for _ in range(3):
        slots.give_back(batch=False)
    slots.take(batch=True)

    looks = [slots.next_look(252.9)]
    while not slots.free(looks[-1], batch=True) and len(looks) < 4:
        looks.append(slots.next_look(looks[-1]))

    assert looks == [312.9, 372.9]


def test_batch_work_may_use_a_single_slot() -> None:
    """With one slot one batch request may run."""
    slots = Slots(1)

    assert fill(slots) == 1
    assert not slots.free(0.0, batch=False)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def word_of(seen: Seen) -> str:
    """The last message of a request."""
    messages = seen.body["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def calls(clock: Clock, world: World, made: list[tuple[float, str, Priority]], **limits: object) -> dict[str, float]:
    """The instants at which the requests of (instant, prompt, priority) calls were sent, by prompt."""
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
    """An interactive call that comes last goes before batch work that waits."""
    world.model("a", Act(first_token=1.0))

    sent = calls(clock, world, [
        (0.0, "batch 1", "batch"), (0.1, "batch 2", "batch"), (0.2, "batch 3", "batch"), (0.3, "me", "interactive"),
    ], max_concurrent=1)

    assert sent == {"batch 1": 0.0, "me": 1.0, "batch 2": 2.0, "batch 3": 3.0}


def test_an_interactive_call_does_not_wait_for_batch_work_to_end(clock: Clock, world: World) -> None:
    """Of two slots batch work uses one, so an interactive call goes at once."""
    world.model("a", slow_batches)

    sent = calls(clock, world, [
        (0.0, "batch 1", "batch"), (0.0, "batch 2", "batch"), (5.0, "me", "interactive"),
    ], max_concurrent=2)

    assert sent == {"batch 1": 0.0, "me": 5.0, "batch 2": 20.0}


def slow_batches(seen: Seen, _: Random) -> Act:
    """Takes twenty seconds for batch work, one for others."""
    return Act(first_token=20.0 if "batch" in word_of(seen) else 1.0)


def test_batch_work_at_full_rate_does_not_delay_an_interactive_call(clock: Clock, world: World) -> None:
    """While batch work uses the whole rate, an interactive call goes at the instant it comes."""
    world.model("a")
    batch: list[tuple[float, str, Priority]] = [(0.0, f"batch {number}", "batch") for number in range(8)]

    sent = calls(clock, world, [*batch, (3.3, "me", "interactive")], rpm=60 / MARGIN)

    assert sent.pop("me") == 3.3
    # What it took is missing once: the fourth of them would have gone at 4 s.
    assert list(sent.values()) == pytest.approx([0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0])
