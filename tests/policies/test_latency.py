"""What is remembered of how long models take: exact counts, losers as censored samples, a window that slides."""

from __future__ import annotations

import asyncio
from math import exp
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AttemptTimeout, Hedge, Model, Retry, Router, ServerFailed
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.latency import EPOCH_SAMPLES, EPOCH_SECONDS, EPOCHS, Histogram, Latency
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.survival import GROWTH
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter import AttemptError
    from asyncrouter._types import Outcome
    from asyncrouter.sim import Clock, World

A = Model(provider="p", id="a", name="a")


def histogram(*samples: tuple[int, float], censored: tuple[tuple[int, float], ...] = ()) -> Histogram:
    """So many samples of so many seconds, all of one instant."""
    made = Histogram()
    for count, seconds in samples:
        for _ in range(count):
            made.add(seconds, 0.0)
    for count, seconds in censored:
        for _ in range(count):
            made.add(seconds, 0.0, censored=True)
    return made


def near(seconds: float) -> object:
    """Equal within the width of a bucket."""
    return pytest.approx(seconds, rel=GROWTH - 1.0)


# ── quantiles ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_below_a_hundred_samples() -> None:
    """Cut ones count as samples; that is all that is known of them."""
    assert histogram((99, 1.0)).quantile(0.5) is None
    assert near(1.0) == histogram((100, 1.0)).quantile(0.5)
    assert near(1.0) == histogram((50, 1.0), censored=((50, 2.0),)).quantile(0.5)


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.95, 0.98, 0.999])
@pytest.mark.parametrize("scale", [0.2, 1.0, 300.0])
def test_a_quantile_is_right_to_two_percent(q: float, scale: float) -> None:
    """From milliseconds to minutes."""
    made = histogram(*((1, scale * number / 1000) for number in range(1, 1001)))

    assert pytest.approx(scale * q, rel=0.02) == made.quantile(q)


def test_what_is_too_fast_or_too_slow_has_a_bucket_too() -> None:
    """Nothing and an hour: the first bucket, and the last one."""
    made = histogram((50, 0.0), (50, 3600.0))

    assert made.quantile(0.5) == 0.001
    assert near(0.001 * GROWTH**699) == made.quantile(1.0)


def test_samples_that_were_cut_off_would_have_taken_longer() -> None:
    """The product-limit estimate: 60 ended at 1 s, where 20 were cut off, ten at 3 s and ten at 9 s.

    Of those who were still watched after 1 s half ended at 3 s, so it is two in five that took longer than 1 s, and one
    in five that took longer than 3 s. With the cut ones left out it would be one in four and one in eight.
    """
    made = histogram((60, 1.0), (10, 3.0), (10, 9.0), censored=((20, 1.0),))

    assert [near(1.0), near(3.0), near(3.0), near(9.0)] == [made.quantile(q) for q in (0.59, 0.61, 0.79, 0.81)]


def test_beyond_what_was_seen_the_last_end_is_the_least() -> None:
    """Half were cut off, so no more than half is known to have ended."""
    made = histogram((50, 1.0), censored=((50, 2.0),))

    assert near(1.0) == made.quantile(0.95)


def test_without_any_end_nothing_is_known() -> None:
    """A hundred losers, and not one winner."""
    assert histogram(censored=((100, 1.0),)).quantile(0.5) is None


def test_quantiles_follow_what_is_new() -> None:
    """They are worked out again when two in a hundred samples are new."""
    made = histogram((100, 1.0))
    assert near(1.0) == made.quantile(0.99)
    for _ in range(3):
        made.add(9.0, 0.0)

    assert near(9.0) == made.quantile(0.99)


# ── the window ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_oldest_of_sixteen_thousand_samples_go() -> None:
    """An epoch of 500 at a time; nothing is left of what was forgotten."""
    made = Histogram()
    for number in range(20_250):
        made.add(1.0 if number % 2 else 2.0, 0.0)

    assert made.count == (EPOCHS - 1) * EPOCH_SAMPLES + 250
    assert made.count == sum(made.observed)
    assert sum(made.censored) == 0


def test_what_is_forty_minutes_old_goes() -> None:
    """One sample in each span of 75 seconds: the last 32 are remembered."""
    made = Histogram()
    for number in range(100):
        made.add(1.0, number * EPOCH_SECONDS, censored=number % 2 == 0)

    assert (made.count, sum(made.observed), sum(made.censored)) == (EPOCHS, EPOCHS // 2, EPOCHS // 2)


def test_a_change_is_noticed_at_the_end_of_an_epoch() -> None:
    """Three times as slow: all that was before is forgotten."""
    made, random = Histogram(), Random(1)
    for _ in range(10 * EPOCH_SAMPLES):
        made.add(exp(random.gauss(0.0, 0.5)), 0.0)
    for _ in range(EPOCH_SAMPLES + 1):
        made.add(3.0 * exp(random.gauss(0.0, 0.5)), 0.0)

    assert made.count == EPOCH_SAMPLES + 1
    assert made.quantile(0.5) == pytest.approx(3.0, rel=0.1)


def test_chance_is_no_change() -> None:
    """Of one law everything is kept."""
    made, random = Histogram(), Random(2)
    for _ in range(30 * EPOCH_SAMPLES):
        made.add(exp(random.gauss(0.0, 0.5)), 0.0)

    assert made.count == 30 * EPOCH_SAMPLES


# ── sizes of prompts ─────────────────────────────────────────────────────────────────────────────────────────────────


def sized(**samples: int) -> Latency:
    """So many samples of one second for requests of 100 bytes, of five for those of 5,000."""
    made = Latency()
    for _ in range(samples.get("small", 0)):
        made.add(1.0, 100, 0.0)
    for _ in range(samples.get("large", 0)):
        made.add(5.0, 5000, 0.0)
    return made


def test_long_prompts_have_a_memory_of_their_own() -> None:
    """Each size is asked for itself; without a size, for all together."""
    made = sized(small=100, large=300)

    assert (near(1.0), near(5.0)) == (made.quantile(0.5, 100), made.quantile(0.5, 5000))
    assert (near(1.0), near(5.0)) == (made.quantile(0.24), made.quantile(0.26))


def test_a_size_that_is_not_known_borrows_from_the_others() -> None:
    """Below a hundred samples of its own it has what all of them say, or nothing if they are too few as well."""
    assert near(1.0) == sized(small=100, large=99).quantile(0.5, 5000)
    assert near(1.0) == sized(small=100).quantile(0.5, 1_000_000)
    assert sized(small=50, large=49).quantile(0.5, 5000) is None
    assert Latency().quantile(0.5, 100) is None


@pytest.mark.parametrize(("size", "other", "same"), [
    (0, 1023, True), (1023, 1024, False), (1024, 4095, True), (4095, 4096, False), (262_143, 262_144, False),
    (262_144, 9_000_000, True),
])  # fmt: skip
def test_sizes_are_kinds(size: int, other: int, same: bool) -> None:
    """Six of them, each four times as long as the one before it."""
    made = Latency()
    for _ in range(100):
        made.add(1.0, size, 0.0)
    for _ in range(900):
        made.add(5.0, other, 0.0)

    assert near(5.0 if same else 1.0) == made.quantile(0.5, size)


# ── what an attempt teaches ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("outcome", "error", "first_content", "learned"), [
    ("won", None, 0.5, (1, 0)),
    ("superseded", None, None, (0, 1)),
    ("superseded", None, 0.5, (1, 0)),
    ("failed", AttemptTimeout("first_token", "too slow"), None, (0, 1)),
    ("failed", ServerFailed("no", status=500), None, (0, 0)),
    ("failed", ServerFailed("cut", status=200), 0.5, (1, 0)),
    ("cancelled", None, None, (0, 0)),
    ("cancelled", None, 0.5, (1, 0)),
])  # fmt: skip
def test_what_is_learned_from_an_attempt(
    clock: Clock, outcome: Outcome, error: AttemptError | None, first_content: float | None, learned: tuple[int, int]
) -> None:
    """Content is a sample; a loser and a time-out are cut ones; a quick failure and a caller who leaves are none."""
    async def scenario() -> tuple[int, int]:
        policies = Policies(asyncio.get_running_loop(), Random(0), Events([]))
        state = policies.state_of(A)
        lease = policies.lease_now(state, Rank.FIRST, 0.0)
        assert lease is not None
        lease.mark_sent(10.0, 100, None, streams=True)
        lease.end(12.0, outcome, error, first_content)
        every = state.streamed._sizes.values()
        assert not state.buffered._sizes
        return sum(sum(one.observed) for one in every), sum(sum(one.censored) for one in every)

    assert learned == clock.run(scenario())


def test_health_tells_quantiles_with_the_losers_in_them(clock: Clock, world: World) -> None:
    """Of 120 calls a third was hedged and lost after 2 s: p50 is that of the others, p95 no less than theirs."""
    world.model("b", Act(first_token=1.0))

    async def scenario() -> list[float | None]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for number in range(120):
                world.model("a", Act(first_token=9.0 if number % 3 == 0 else 1.5))
                await router.chat("x", chain=["a", "b"], hedge=Hedge(after=1.0, budget=1.0), retry=Retry(attempts=1))
            health = router.health()["a"]
            return [health.p50, health.p95, health.p99]

    assert [near(1.5), near(1.5), near(1.5)] == clock.run(scenario())
