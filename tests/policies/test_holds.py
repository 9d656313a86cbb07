"""Holds: which model or key is held or disabled after a failure, for which calls, and until exactly when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from asyncrouter import Reply, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, OTHER, SILENT, Tried, ask, models_sent, play, script, tried

JUST_BEFORE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Row:
    """After this act model `a` is disabled for `out` seconds; with `key`, so is every model of the same key."""

    name: str
    act: Act
    out: float = 0.0
    key: bool = False


OUTS = [
    Row(name="401", act=Act(status=401), out=60, key=True),
    Row(name="402", act=Act(status=402, code="insufficient_quota"), out=60, key=True),
    Row(name="429 billing", act=Act(status=429, code="insufficient_quota"), out=60, key=True),
    Row(name="403", act=Act(status=403), out=60),
    Row(name="404", act=Act(status=404, code="model_not_found"), out=300),
]
FORGOTTEN = [
    *(Row(name=str(status), act=Act(status=status)) for status in (402, 404, 400, 413, 422, 302, 429, 529, 500)),
    *(Row(name=str(status), act=Act(status=status)) for status in (503, 408)),
    Row(name="context", act=Act(status=400, code="context_length_exceeded")),
    Row(name="policy", act=Act(status=400, code="content_policy_violation")),
    Row(name="refuse", act=Act(fault="refuse")),
    Row(name="certificate", act=Act(fault="certificate")),
    Row(name="cut", act=Act(fault="cut")),
    Row(name="html", act=Act(fault="html")),
    Row(name="silent", act=SILENT),
    Row(name="429 at once", act=Act(status=429, retry_after=0)),
]


@pytest.mark.parametrize("row", OUTS, ids=lambda row: row.name)
def test_disabled_until(clock: Clock, world: World, row: Row) -> None:
    """A disabled model, or key, gets no request until the instant is over, and then is tried again."""
    script(world, (row.act, HEALTHY), HEALTHY, HEALTHY)

    async def scenario(router: Router) -> list[list[str]]:
        chain = ["a", "b", "other:c"]
        seen = [models_sent(await ask(router, chain=chain))]
        await asyncio.sleep(row.out - JUST_BEFORE)
        seen.append(models_sent(await ask(router, chain=chain)))
        await asyncio.sleep(row.out - clock.now)
        seen.append(models_sent(await ask(router, chain=chain)))
        return seen

    seen = play(clock, world, scenario, providers=OTHER)

    instead = "other:c" if row.key else "b"
    assert seen == [["a", instead], [instead], ["a"]]
    assert (clock.now, world.open) == (row.out, 0)


@pytest.mark.parametrize("row", OUTS, ids=lambda row: row.name)
def test_disabled_says_why(clock: Clock, world: World, row: Row) -> None:
    """A model that is passed over has an attempt that was not sent, with what is disabled, how long, and why."""
    script(world, row.act, HEALTHY)

    async def scenario(router: Router) -> tuple[Any, str]:
        await ask(router, chain=["a", "other:b"])
        await asyncio.sleep(10)
        return await ask(router, chain=["a", "other:b"]), router.explain(chain=["a"]).steps[0].standing

    result, standing = play(clock, world, scenario, providers=OTHER)

    passed_over = result.trace.attempts[0]
    assert tried(result.trace)[0] == Tried("a", "first", "not_sent", "NotSent", ended=0.0)
    subject = "the key of sim is disabled" if row.key else "disabled"
    whose = " (key of sim from env:PLANTED_KEY)" if row.act.status == 401 else ""
    said = f"{subject} for {row.out - 10:.0f} s more: The simulated model answers {row.act.status}.{whose}"
    assert (passed_over.error.message, standing) == (said, said)
    assert (passed_over.sent, passed_over.error.hold, passed_over.cost_usd) == (None, None, 0.0)


@pytest.mark.parametrize("row", FORGOTTEN, ids=lambda row: row.name)
def test_not_remembered(clock: Clock, world: World, row: Row) -> None:
    """Failures that say nothing about the next call leave the model ready."""
    script(world, row.act, HEALTHY)

    async def scenario(router: Router) -> str:
        await ask(router, chain=["a"], deadline=1)
        return router.explain(chain=["a"]).steps[0].standing

    assert play(clock, world, scenario) == "ready"


def test_reply_that_was_not_accepted_is_not_remembered(clock: Clock, world: World) -> None:
    """A reply that was not accepted leaves the model ready."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> str:
        await ask(router, chain=["a"], accept=lambda reply: False)
        return router.explain(chain=["a"]).steps[0].standing

    assert play(clock, world, scenario) == "ready"


# ── held ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 529, 402, 503])
@pytest.mark.parametrize(("later", "sent_at"), [(2.75, None), (3.0, 5.0), (4.5, 5.0), (5.0, 5.0), (6.0, 6.0)])
def test_held_for_everybody(clock: Clock, world: World, status: int, later: float, sent_at: float | None) -> None:
    """A Retry-After of 5 s holds the model for every task; a call with another model waits for its last 2 s only."""
    script(world, (Act(status=status, retry_after=5), HEALTHY), HEALTHY, HEALTHY)
    tasks = {"coding": {"models": ["a", "b"]}, "creative": {"models": ["a", "c"]}}

    async def scenario(router: Router) -> tuple[Any, Any]:
        first = await ask(router)
        await asyncio.sleep(later)
        return first, await ask(router, task="creative")

    first, second = play(clock, world, scenario, tasks=tasks)

    assert models_sent(first) == ["a", "b"]
    assert models_sent(second) == ["c" if sent_at is None else "a"]
    assert [seen.at for seen in world.asked("a")] == [0.0, *([sent_at] if sent_at else [])]
    if sent_at is None:
        assert "held for 2.25 s more: " in str(second.trace.attempts[0].error)
        assert second.trace.attempts[0].error.hold == 2.25


def test_last_usable_model_is_waited_for(clock: Clock, world: World) -> None:
    """A call with no other model waits until the hold of its model ends."""
    script(world, (Act(status=429, retry_after=50), HEALTHY), HEALTHY)

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["a", "b"])
        return await ask(router, chain=["a"])

    result = play(clock, world, scenario)

    assert tried(result.trace) == [Tried("a", "first", "won", None, 200, 50.0, 50.0)]
    assert (result.trace.attempts[0].queued, clock.now) == (0.0, 50.0)


def test_all_are_held(clock: Clock, world: World) -> None:
    """When every model is held, the call waits for the one that is free first."""
    holds = [Act(status=429, retry_after=seconds) for seconds in (30, 20, 40)]
    script(world, *[(hold, HEALTHY) for hold in holds])

    async def scenario(router: Router) -> Any:
        for name in "abc":
            await ask(router, chain=[name], deadline=5)
        return await ask(router)

    result = play(clock, world, scenario)

    asked = [(one.model, one.outcome, one.sent) for one in tried(result.trace)]
    assert asked == [("a", "not_sent", None), ("b", "won", 20.0)]


@pytest.mark.parametrize(("second_hint", "ends"), [(3, 10.0), (9, 10.0), (20, 21.0)])
def test_hold_is_never_shortened(clock: Clock, world: World, second_hint: float, ends: float) -> None:
    """A second, shorter Retry-After does not shorten the hold, and a longer one extends it."""
    script(world, (Act(status=429, retry_after=10), Act(status=429, retry_after=second_hint, first_token=1), HEALTHY))

    async def scenario(router: Router) -> Any:
        await asyncio.gather(*(ask(router, chain=["a"], deadline=2.5) for _ in range(2)))
        return await ask(router, chain=["a"])

    result = play(clock, world, scenario)

    assert (type(result), clock.now) == (Reply, ends)


@pytest.mark.parametrize("hint", [600, 601, 86_400])
def test_held_ten_minutes_at_most(clock: Clock, world: World, hint: float) -> None:
    """A Retry-After holds a model for ten minutes at most."""
    script(world, (Act(status=429, retry_after=hint), HEALTHY))

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["a"], deadline=5)
        return await ask(router, chain=["a"], deadline=None)

    result = play(clock, world, scenario)

    assert (type(result), clock.now) == (Reply, 600.0)


def test_success_does_not_end_a_hold(clock: Clock, world: World) -> None:
    """An answer to a request that was under way does not end a hold."""
    script(world, (Act(first_token=1.0), Act(status=429, retry_after=9), HEALTHY))

    async def scenario(router: Router) -> Any:
        await asyncio.gather(*(ask(router, chain=["a"], deadline=5) for _ in range(2)))
        return await ask(router, chain=["a"])

    result = play(clock, world, scenario)

    assert (type(result), clock.now) == (Reply, 9.0)
