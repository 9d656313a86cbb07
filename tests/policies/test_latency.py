"""The memory of latencies: quantiles, censored samples of losers, a sliding window, sizes of prompts."""

from __future__ import annotations

from math import exp
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AttemptTimeout, Hedge, Retry, Router, ServerFailed
from asyncrouter._policies.latency import EPOCH_SAMPLES, EPOCH_SECONDS, EPOCHS, Histogram
from asyncrouter._policies.memory import Memory
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.survival import GROWTH
from asyncrouter.sim import Act
from tests.helpers.policies import A, new_policies

if TYPE_CHECKING:
    from asyncrouter import AttemptError
    from asyncrouter._types import Outcome
    from asyncrouter.sim import Clock, World


def histogram(*samples: tuple[int, float], censored: tuple[tuple[int, float], ...] = ()) -> Histogram:
    """A histogram of (number, seconds) samples of one instant."""
    made = Histogram()
    for count, seconds in samples:
        for _ in range(count):
            made.add(seconds, 0.0)
    for count, seconds in censored:
        for _ in range(count):
            made.add_cut(seconds, 0.0)
    return made


def near(seconds: float) -> object:
    """Equal within the width of a bucket."""
    return pytest.approx(seconds, rel=GROWTH - 1.0)


# ── quantiles ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_below_a_hundred_samples() -> None:
    """Below a hundred samples, censored ones included, there is no quantile."""
    assert histogram((99, 1.0)).quantile(0.5) is None
    assert histogram((100, 1.0)).quantile(0.5) == near(1.0)
    assert histogram((50, 1.0), censored=((50, 2.0),)).quantile(0.5) == near(1.0)


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.95, 0.98, 0.999])
@pytest.mark.parametrize("scale", [0.2, 1.0, 300.0])
def test_a_quantile_is_right_to_two_percent(q: float, scale: float) -> None:
    """A quantile is right to 2 %, from milliseconds to minutes."""
    made = histogram(*((1, scale * number / 1000) for number in range(1, 1001)))

    assert made.quantile(q) == pytest.approx(scale * q, rel=0.02)


def test_what_is_too_fast_or_too_slow_has_a_bucket_too() -> None:
    """Zero seconds fall into the first bucket, and an hour into the last one."""
    made = histogram((50, 0.0), (50, 3600.0))

    assert made.quantile(0.5) == 0.001
    assert made.quantile(1.0) == near(0.001 * GROWTH**699)


def test_samples_that_were_cut_off_would_have_taken_longer() -> None:
    """Censored samples count as longer: the quantiles are those of the product-limit estimate.

    60 ended at 1 s, where 20 were cut off, ten at 3 s and ten at 9 s. Of those watched after 1 s half ended at 3 s, so
    two in five took longer than 1 s, and one in five longer than 3 s. Without the cut ones it would be one in four and
    one in eight.
    """
    made = histogram((60, 1.0), (10, 3.0), (10, 9.0), censored=((20, 1.0),))

    assert [made.quantile(q) for q in (0.59, 0.61, 0.79, 0.81)] == [near(1.0), near(3.0), near(3.0), near(9.0)]


def test_beyond_what_was_seen_the_last_end_is_the_least() -> None:
    """Beyond the share that is known to have ended, a quantile is the last known end."""
    made = histogram((50, 1.0), censored=((50, 2.0),))

    assert made.quantile(0.95) == near(1.0)


def test_without_any_end_nothing_is_known() -> None:
    """With censored samples only, there is no quantile."""
    assert histogram(censored=((100, 1.0),)).quantile(0.5) is None


def test_quantiles_follow_what_is_new() -> None:
    """Quantiles are worked out again when more than 2 % of the samples are new."""
    made = histogram((100, 1.0))
    assert made.quantile(0.99) == near(1.0)
    for _ in range(3):
        made.add(9.0, 0.0)

    assert made.quantile(0.99) == near(9.0)


# ── the window ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_oldest_of_sixteen_thousand_samples_go() -> None:
    """Of more than 16,000 samples the oldest epoch of 500 is forgotten, with nothing left of it."""
    made = Histogram()
    for number in range(20_250):
        made.add(1.0 if number % 2 else 2.0, 0.0)

    assert made.count == (EPOCHS - 1) * EPOCH_SAMPLES + 250
    assert made.count == sum(made.observed)
    assert sum(made.censored) == 0


def test_what_is_forty_minutes_old_goes() -> None:
    """Of samples that come slowly, those of the last 32 spans of 75 seconds are remembered."""
    made = Histogram()
    for number in range(100):
        (made.add_cut if number % 2 == 0 else made.add)(1.0, number * EPOCH_SECONDS)

    assert (made.count, sum(made.observed), sum(made.censored)) == (EPOCHS, EPOCHS // 2, EPOCHS // 2)


def test_a_change_is_noticed_at_the_end_of_an_epoch() -> None:
    """When an epoch is three times slower than those before it, these are forgotten."""
    made, random = Histogram(), Random(1)
    for _ in range(10 * EPOCH_SAMPLES):
        made.add(exp(random.gauss(0.0, 0.5)), 0.0)
    for _ in range(EPOCH_SAMPLES + 1):
        made.add(3.0 * exp(random.gauss(0.0, 0.5)), 0.0)

    assert made.count == EPOCH_SAMPLES + 1
    assert made.quantile(0.5) == pytest.approx(3.0, rel=0.1)


def test_chance_is_no_change() -> None:
    """Samples of one distribution are all kept."""
    made, random = Histogram(), Random(2)
    for _ in range(30 * EPOCH_SAMPLES):
        made.add(exp(random.gauss(0.0, 0.5)), 0.0)

    assert made.count == 30 * EPOCH_SAMPLES


# ── sizes of prompts ─────────────────────────────────────────────────────────────────────────────────────────────────


def sized(**samples: int) -> Memory:
    """A memory of so many samples of 1 s for requests of 100 bytes, and of 5 s for those of 5,000."""
    made = Memory()
    for _ in range(samples.get("small", 0)):
        made.add(1.0, 100, 0.0)
    for _ in range(samples.get("large", 0)):
        made.add(5.0, 5000, 0.0)
    return made


def median(memory: Memory, size: int) -> float | None:
    """The median of what is usual for requests of so many bytes."""
    return memory.usual(size).first.histogram.quantile(0.5)


def test_long_prompts_have_a_memory_of_their_own() -> None:
    """Each size has quantiles of its own, and without a size they are those of all together."""
    made = sized(small=100, large=300)

    assert (median(made, 100), median(made, 5000)) == (near(1.0), near(5.0))
    assert (made.quantile(0.24), made.quantile(0.26)) == (near(1.0), near(5.0))


def test_a_size_that_is_not_known_borrows_from_the_others() -> None:
    """A size with fewer than a hundred samples has the quantiles of all sizes, if these have a hundred together."""
    assert median(sized(small=100, large=99), 5000) == near(1.0)
    assert median(sized(small=100), 1_000_000) == near(1.0)
    assert median(sized(small=50, large=49), 5000) is None
    assert median(Memory(), 100) is None


@pytest.mark.parametrize(("size", "other", "same"), [
    (0, 1023, True), (1023, 1024, False), (1024, 4095, True), (4095, 4096, False), (262_143, 262_144, False),
    (262_144, 9_000_000, True),
])  # fmt: skip
def test_six_sizes_are_told_apart(size: int, other: int, same: bool) -> None:
    """Six sizes are told apart, from 1 KiB on each four times as long as the one before it."""
    made = Memory()
    for _ in range(100):
        made.add(1.0, size, 0.0)
    for _ in range(900):
        made.add(5.0, other, 0.0)

    assert median(made, size) == near(5.0 if same else 1.0)


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
    """First content is a sample, a lost race and a timeout are censored ones, all else teaches nothing."""
    async def scenario() -> tuple[int, int]:
        policies = await new_policies()
        state = policies.state_of(A)
        lease = policies.lease_now(state, Rank.FIRST, 0.0)
        assert lease is not None
        lease.mark_sent(10.0, 100, None, streams=True)
        if first_content is not None:
            lease.began(first_content, 10.0 + first_content)
        lease.end(12.0, outcome, error)
        samples = state.streamed.samples
        assert state.buffered.samples.count == 0
        return sum(samples.observed), sum(samples.censored)

    assert clock.run(scenario()) == learned


@pytest.mark.parametrize(("probes", "learned"), [(False, 1), (True, 0)])
@pytest.mark.parametrize("answers", [True, False])
def test_probes_of_a_slow_model_teach_nothing(clock: Clock, probes: bool, learned: int, answers: bool) -> None:
    """After ten minutes what a slow model does is learned again, but for its probes: few would make that its usual."""
    async def scenario() -> int:
        policies = await new_policies()
        state = policies.state_of(A)
        state.slowness._demote(0.0, "")
        lease = policies.lease_now(state, Rank.FIRST, 0.0)
        assert lease is not None
        lease.mark_sent(1000.0, 100, None, streams=True)
        lease.probes = probes
        if answers:
            lease.began(5.0, 1005.0)
        lease.end(1006.0, "superseded")
        return state.streamed.samples.count

    assert clock.run(scenario()) == learned


def test_health_tells_quantiles_with_the_losers_in_them(clock: Clock, world: World) -> None:
    """`health()` shows quantiles that count the losers of races as censored."""
    world.model("b", Act(first_token=1.0))

    async def scenario() -> list[float | None]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for number in range(120):
                world.model("a", Act(first_token=9.0 if number % 3 == 0 else 1.5))
                await router.chat("x", chain=["a", "b"], hedge=Hedge(after=1.0, budget=1.0), retry=Retry(attempts=1))
            health = router.health()["a"]
            return [health.p50, health.p95, health.p99]

    assert clock.run(scenario()) == [near(1.5), near(1.5), near(1.5)]
