"""Retries of the same model: how many, and after exactly which pause."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from itertools import accumulate
from typing import Any

import pytest

from asyncrouter import AllModelsFailed, DeadlineExceeded, Reply, Retry, Router, Step
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, REJECTED, SILENT, Tried, ask, asked, call, pauses, play, script, tried

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


@pytest.mark.parametrize("status", [429, 529, 402, 503])
def test_patience_is_for_all_pauses_together(clock: Clock, world: World, status: int) -> None:
    """A model that asks for a second again and again is left after `retry.patience`, if another one could answer."""
    script(world, (Act(status=status, retry_after=1.0),), HEALTHY)

    result = call(clock, world)

    assert sent(result) == [("a", 0.0), ("a", 1.0), ("a", 2.0), ("b", 2.0)]


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


@pytest.mark.parametrize("act", [limited(), Act(status=529), Act(status=503)], ids=["429", "529", "503"])
def test_limit_without_a_hint(clock: Clock, world: World, act: Act) -> None:
    """Without a Retry-After the last model is tried again with full jitter, as often as `attempts` that was given."""
    script(world, act)

    result = call(clock, world, chain=["a"], retry=Retry(attempts=5), tables={"defaults": {"breaker": "off"}})

    at = list(accumulate([0.0, *pauses(1.0, 2.0, 4.0, 8.0)]))
    assert sent(result) == [("a", instant) for instant in at]


@pytest.mark.parametrize("act", [limited(), Act(status=529)], ids=["429", "529"])
def test_a_limit_without_a_hint_goes_on_where_another_could_serve(clock: Clock, world: World, act: Act) -> None:
    """While another model could serve, a rate limit without a Retry-After is no reason to wait."""
    script(world, act, HEALTHY)

    assert sent(call(clock, world, chain=["a", "b"])) == [("a", 0.0), ("b", 0.0)]


@pytest.mark.parametrize("act", [limited(), Act(status=529), Act(status=503)], ids=["429", "529", "503"])
@pytest.mark.parametrize(("deadline", "tries"), [(None, 8), ({}, 8), (60, None)])
def test_a_limit_is_waited_out_until_the_deadline(
    clock: Clock, world: World, act: Act, deadline: Any, tries: int | None
) -> None:
    """Where nobody gave `attempts`, a deadline that was given is the only bound; without one eight tries are."""
    world.model("a", act).at(55.0 if tries is None else 10_000.0, HEALTHY)

    result = call(clock, world, chain=["a"], **({} if deadline == {} else {"deadline": deadline}))

    if tries is None:
        assert isinstance(result, Reply)
        assert clock.now < 60.0
    else:
        assert (type(result), len(sent(result))) == (AllModelsFailed, tries)


@pytest.mark.parametrize("status", [429, 503, 529, 500, 502, 402, 408])
def test_a_pause_asked_for_is_no_retry(clock: Clock, world: World, status: int) -> None:
    """Five pauses of 3 s that the provider asked for are waited out, whatever the status, and open no breaker."""
    script(world, (*[Act(status=status, retry_after=3)] * 5, HEALTHY))

    async def scenario(router: Router) -> Any:
        result = await ask(router, chain=["a"])
        return result, router.health()["a"].breaker

    result, breaker = play(clock, world, scenario)

    assert sent(result) == [("a", 3.0 * tries) for tries in range(6)]
    assert breaker == "closed"


@pytest.mark.parametrize("act", [limited(1), limited(), Act(status=503, retry_after=1), Act(status=500, retry_after=1)])
@pytest.mark.parametrize("chain", [["a"], ["a", "b"]])
def test_without_a_deadline_waits_end_after_eight_requests(
    clock: Clock, world: World, act: Act, chain: list[str]
) -> None:
    """A model that asks for pauses for ever is sent eight requests by a call without a deadline."""
    script(world, act, act)

    result = call(clock, world, chain=chain, deadline=None, tables={"defaults": {"breaker": "off"}})

    assert type(result) is AllModelsFailed
    assert asked(world, "".join(chain)) == [8] * len(chain)


@pytest.mark.parametrize(("first", "second", "deadline", "expected"), [
    (20, 100, 60, [("a", 0.0), ("b", 0.0), ("a", 20.0)]),
    (5, 60, 300, [("a", 0.0), ("b", 0.0), ("a", 5.0)]),
    (100, 20, 60, [("a", 0.0), ("b", 0.0), ("b", 20.0)]),
    (100, 90, 60, [("a", 0.0), ("b", 0.0)]),
])  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
def test_the_step_that_is_free_first_has_its_turn_again(
    clock: Clock, world: World, mode: str, first: float, second: float, deadline: float,
    expected: list[tuple[str, float]],
) -> None:  # fmt: skip
    """With every step held, the call waits for the one that is free first, wherever it stands in the chain."""
    script(world, (limited(first), HEALTHY), (limited(second), HEALTHY))

    result = call(clock, world, mode=mode, chain=["a", "b"], deadline=deadline)

    assert [(attempt.model, attempt.sent) for attempt in result.trace.attempts if attempt.sent is not None] == expected


def test_steps_held_by_others_come_back_too(clock: Clock, world: World) -> None:
    """A step that was passed over because another call's failure holds it has its turn again."""
    script(world, (limited(20), HEALTHY), (limited(100), HEALTHY))

    async def scenario(router: Router) -> list[Any]:
        return await asyncio.gather(*(ask(router, chain=["a", "b"], deadline=60) for _ in range(3)))

    results = play(clock, world, scenario)

    assert [result.model for result in results] == ["a", "a", "a"]


def test_a_renewed_key_is_no_retry(clock: Clock, world: World) -> None:
    """A hundred calls in flight whose key is renewed go once more each."""
    keys = iter(["sk-old-key-1", *["sk-new-key-2"] * 1000])
    world.model("a", Act(first_token=1.0))
    world.rule(lambda request, random: Act(status=401, first_token=1.0) if request.key == "sk-old-key-1" else None)

    async def scenario(router: Router) -> list[Any]:
        return await asyncio.gather(*(ask(router, chain=["a"]) for _ in range(100)))

    results = play(clock, world, scenario, providers={"sim": {"key": lambda: next(keys)}})

    assert [type(result) for result in results] == [Reply] * 100


def test_attempts_that_were_asked_for_are_made(clock: Clock, world: World) -> None:
    """With `attempts=8` at half the requests failing, nearly every call is answered."""
    world.model("a", lambda seen, random: Act(status=500) if random.random() < 0.5 else Act())

    async def scenario(router: Router) -> int:
        results = [await ask(router, prompt=f"{n}", chain=["a"], retry={"attempts": 8}) for n in range(200)]
        return sum(isinstance(result, Reply) for result in results)

    assert play(clock, world, scenario) >= 198


def test_a_budget_that_overrules_attempts_says_so(clock: Clock, world: World) -> None:
    """A retry that the budget does not pay for is told in the trace."""
    script(world, BUSY)

    async def scenario(router: Router) -> str:
        results = [await ask(router, prompt=f"{n}", chain=["a"]) for n in range(11)]
        return str(results[-1].trace)

    assert "retry budget of its provider is used up" in play(
        clock, world, scenario, defaults={"breaker": "off"}
    )


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
