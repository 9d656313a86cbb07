"""Retries of the same model: how many, and after exactly which pause."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from asyncrouter import AllModelsFailed, DeadlineExceeded, Reply, Retry, Router, Step
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, REJECTED, SILENT, Tried, ask, asked, call, pauses, play, script, tried

BUSY = Act(status=500)
REFUSED_CONNECTION = Act(fault="refuse")


def limited(seconds: float | str | None = None, **more: object) -> Act:
    """A rate limit, with a Retry-After if that is given."""
    return Act(status=429, retry_after=seconds, **more)  # type: ignore[arg-type]


def sent(result: object) -> list[tuple[str, float | None]]:
    """The model and the instant of every attempt that was sent."""
    return [(one.model, one.sent) for one in tried(result.trace)]  # type: ignore[attr-defined]


def test_pauses_grow_to_the_cap(clock: Clock, world: World) -> None:
    """After a server error the pauses are drawn from U(0, min(cap, base · 2ⁿ)), and none after the last try."""
    script(world, BUSY, HEALTHY)
    draws = pauses(0.5, 1.0, 2.0, 2.0)

    # Three failures in a row would open the breaker, and end the retries.
    result = call(clock, world, retry=Retry(attempts=5, base=0.5, cap=2.0), tables={"defaults": {"breaker": "off"}})

    instants = [0.0]
    for draw in draws:
        instants.append(instants[-1] + draw)
    assert [*(("a", instant) for instant in instants), ("b", instants[-1])] == sent(result)
    assert [one.cause for one in tried(result.trace)] == ["first", *["retry"] * 4, "fallback"]


@pytest.mark.parametrize("seed", range(20))
def test_pauses_come_from_the_routers_generator(seed: int) -> None:
    """The seed decides every pause, whatever else draws random numbers in this process."""
    clock, world = Clock(), World()
    script(world, BUSY, BUSY, BUSY)

    result = call(clock, world, seed=seed)

    first, second, third = pauses(0.25, 0.25, 0.25, seed=seed)
    assert sent(result) == [
        ("a", 0.0), ("a", first), ("b", first), ("b", first + second), ("c", first + second),
        ("c", first + second + third),
    ]  # fmt: skip
    assert isinstance(result, AllModelsFailed)
    assert clock.now == first + second + third


@pytest.mark.parametrize(
    "act",
    [REFUSED_CONNECTION, Act(fault="cut"), Act(fault="html"), Act(text="")],
    ids=["refused", "cut", "html", "empty"],
)
def test_quick_retry_happens_once(clock: Clock, world: World, act: Act) -> None:
    """A lost connection or a bad reply is worth one second try within `retry.base`, however many are allowed."""
    script(world, act, HEALTHY)

    result = call(clock, world, retry=Retry(attempts=5, base=0.5))

    [pause] = pauses(0.5)
    assert sent(result) == [("a", 0.0), ("a", pause), ("b", pause)]


@pytest.mark.parametrize(
    "act", [BUSY, REFUSED_CONNECTION, Act(fault="html"), limited(1), limited()],
    ids=["server error", "connection", "bad reply", "limited with a hint", "limited"],
)  # fmt: skip
def test_one_attempt_means_one(clock: Clock, world: World, act: Act) -> None:
    """With `attempts=1` no failure is tried again, not even on the last model."""
    script(world, act)

    result = call(clock, world, chain=["a"], retry=Retry(attempts=1))

    assert (sent(result), clock.now) == ([("a", 0.0)], 0.0)


@pytest.mark.parametrize(
    ("acts", "expected_pauses"),
    [
        ((BUSY, BUSY, BUSY), pauses(0.25, 0.5)),
        ((limited(0.5), BUSY, BUSY), [0.5, *pauses(0.5)]),
        ((BUSY, limited(0.5), BUSY), [*pauses(0.25), 0.5]),
        ((REFUSED_CONNECTION, BUSY, BUSY), pauses(0.25, 0.5)),
        ((BUSY, REFUSED_CONNECTION, BUSY), pauses(0.25)),
        ((BUSY, REJECTED), pauses(0.25)),
        ((BUSY, SILENT), pauses(0.25)),
    ],
)
def test_attempts_bound_all_causes_together(
    clock: Clock, world: World, acts: tuple[Act, ...], expected_pauses: list[float]
) -> None:
    """`retry.attempts` bounds the attempts of a model for all kinds of failure together."""
    script(world, acts, HEALTHY)

    result = call(clock, world, retry=Retry(attempts=3))

    instants = [0.0]
    for pause in expected_pauses:
        instants.append(instants[-1] + pause)
    assert [at for model, at in sent(result) if model == "a"] == instants
    assert isinstance(result, Reply)


def test_retry_that_helps(clock: Clock, world: World) -> None:
    """When a retry succeeds no other model is asked."""
    script(world, (BUSY, HEALTHY), HEALTHY)

    result = call(clock, world)

    [pause] = pauses(0.25)
    assert tried(result.trace) == [
        Tried("a", "first", "failed", "ServerFailed", 500, 0.0, 0.0),
        Tried("a", "retry", "won", None, 200, pause, pause),
    ]
    assert asked(world) == [2, 0, 0]


def test_step_has_retries_of_its_own(clock: Clock, world: World) -> None:
    """A step's `retry` overrides the call's."""
    script(world, BUSY, BUSY, BUSY)
    chain = [Step(model="a", retry={"attempts": 1}), "b", Step(model="c", retry={"attempts": 3, "base": 0.0})]

    result = call(clock, world, chain=chain, retry={"base": 1.0})

    [pause] = pauses(1.0)
    assert sent(result) == [("a", 0.0), ("b", 0.0), ("b", pause), *[("c", pause)] * 3]


# ── a pause the provider asked for ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 529, 402, 503])
@pytest.mark.parametrize(
    ("hint", "patience", "waits"),
    [(0, 2.0, True), (1.5, 2.0, True), (2, 2.0, True), (2.25, 2.0, False), (2.25, 3.0, True), (0.5, 0.0, False)],
)
def test_patience(clock: Clock, world: World, status: int, hint: float, patience: float, waits: bool) -> None:
    """A Retry-After of up to `retry.patience` is waited out to the instant; a longer one goes on at once."""
    script(world, (Act(status=status, retry_after=hint), HEALTHY), HEALTHY)

    result = call(clock, world, retry={"patience": patience})

    assert sent(result) == [("a", 0.0), ("a", hint) if waits else ("b", 0.0)]
    assert clock.now == (hint if waits else 0.0)


@pytest.mark.parametrize(
    ("hint", "deadline", "at"),
    [(5, None, 5.0), (5, 30.0, 5.0), (100, 300.0, 100.0), (5, 5.25, 5.0), (5, 5.0, None), (5, 4.0, None)],
)
def test_last_model_waits_as_long_as_the_deadline_allows(
    clock: Clock, world: World, hint: float, deadline: float | None, at: float | None
) -> None:
    """On the last model a Retry-After of any length is waited out, unless the deadline comes first."""
    script(world, REJECTED, (limited(hint), HEALTHY))

    result = call(clock, world, chain=["a", "b"], deadline=deadline)

    again = [("b", at)] if at is not None else []
    assert sent(result) == [("a", 0.0), ("b", 0.0), *again]
    assert isinstance(result, Reply if again else AllModelsFailed)
    assert clock.now == (at or 0.0)


def test_last_usable_model_waits_too(clock: Clock, world: World) -> None:
    """A model counts as the last one when those after it could not be sent anything."""
    script(world, (REJECTED, limited(5), HEALTHY), Act(why="missing"))

    async def scenario(router: Router) -> object:
        await ask(router, chain=["a", "b"])
        return await ask(router, chain=["a", "b"])

    result = play(clock, world, scenario)

    assert sent(result) == [("a", 0.0), ("a", 5.0)]


def test_share_of_the_deadline_bounds_the_wait(clock: Clock, world: World) -> None:
    """A pause that does not fit into the step's share of the deadline is not begun."""
    script(world, (limited(1), HEALTHY), HEALTHY)

    result = call(clock, world, deadline=3.0)

    assert sent(result) == [("a", 0.0), ("b", 0.0)]


@pytest.mark.parametrize(("chain", "at"), [(["a"], pauses(1.0)[0]), (["a", "b"], None)])
def test_limit_without_a_hint(clock: Clock, world: World, chain: list[str], at: float | None) -> None:
    """Without a Retry-After the last model is tried once more within a second; others go on at once."""
    script(world, limited(), HEALTHY)

    result = call(clock, world, chain=chain, retry=Retry(attempts=5))

    assert sent(result) == [("a", 0.0), ("b", 0.0) if at is None else ("a", at)]


def test_limits_again_and_again(clock: Clock, world: World) -> None:
    """A model that keeps asking for pauses is given up after `retry.attempts` attempts."""
    script(world, limited(2))

    result = call(clock, world, chain=["a"], retry=Retry(attempts=3))

    assert sent(result) == [("a", 0.0), ("a", 2.0), ("a", 4.0)]
    assert (type(result), clock.now) == (AllModelsFailed, 4.0)


@pytest.mark.parametrize("headers", [{"retry-after": "DATE"}, {"retry-after-ms": "1000"}, {"retry-after": "1.0"}])
def test_ways_to_write_a_pause(clock: Clock, world: World, headers: dict[str, str]) -> None:
    """A date of the wall clock, milliseconds and seconds all mean the same second."""
    date = formatdate(clock.wall() + 1, usegmt=True)
    told = {name: value.replace("DATE", date) for name, value in headers.items()}
    script(world, (Act(status=429, headers=told), HEALTHY), HEALTHY)

    result = call(clock, world)

    assert sent(result) == [("a", 0.0), ("a", 1.0)]


def test_pause_past_the_deadline_is_not_begun(clock: Clock, world: World) -> None:
    """A jittered pause that would end at or after the step's share is not begun; the next model is asked at once."""
    fails_late = Act(status=500, first_token=0.9)
    script(world, fails_late, HEALTHY)

    result = call(clock, world, deadline=3.0)

    assert 0.9 + pauses(0.25)[0] > 1.0
    assert sent(result) == [("a", 0.0), ("b", 0.9)]


def test_retries_spend_their_steps_share(clock: Clock, world: World) -> None:
    """A retry has what the first attempt left of its step's share, not a share of its own."""
    script(world, (Act(status=500, first_token=0.5), SILENT), SILENT, SILENT)

    result = call(clock, world, deadline=3.0)

    again = 0.5 + pauses(0.25)[0]
    assert sent(result) == [("a", 0.0), ("a", again), ("b", 1.0), ("c", 2.0)]
    assert (type(result), clock.now) == (DeadlineExceeded, 3.0)
