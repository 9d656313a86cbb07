"""Waits: what a call with every step held or limited waits for, how long, and what its trace says about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncrouter import AllModelsFailed, NotSent, Reply, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, OTHER, ask, play, script


def limited(seconds: float | None = None, after: float = 0.0) -> Act:
    """A rate limit that is told `after` so many seconds, with a Retry-After if that is given."""
    return Act(status=429, retry_after=seconds, first_token=after)


def sent(result: Any) -> list[tuple[str, float | None]]:
    """The model and the instant of every attempt that was sent."""
    return [(one.model, one.sent) for one in result.trace.attempts if one.sent is not None]


async def beside(router: Router, chain: list[str], other: list[str], mode: str = "chat", **options: Any) -> Any:
    """The result of a call with this chain, beside a call that was sent before it, on its own chain."""
    first = asyncio.ensure_future(ask(router, chain=other, prompt="other", retry={"attempts": 1}, deadline=300))
    await asyncio.sleep(0)
    result = await ask(router, mode, chain=chain, **options)
    await first
    return result


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_becomes_longer_gives_way_to_the_step_that_is_free_sooner(
    clock: Clock, world: World, mode: str
) -> None:
    """A call waits for a model that is held for 5 s; when another call learns of 100 s, it goes on with the next."""
    script(world, (limited(100, after=1.0), limited(5), HEALTHY), (limited(20), HEALTHY))
    tables = {"defaults": {"wire_stream": mode != "buffered"}}

    result = play(
        clock, world, lambda router: beside(router, ["a", "b"], ["a"], mode, deadline=60), **tables
    )  # fmt: skip

    assert sent(result) == [("a", 0.0), ("b", 0.0), ("b", 20.0)]


@pytest.mark.parametrize(("act", "why"), [
    (limited(100, after=1.0), "held for 100.00 s more"),
    (Act(status=401, first_token=1.0), "disabled for 60"),
])  # fmt: skip
def test_a_wait_that_has_become_pointless_ends_at_once(clock: Clock, world: World, act: Act, why: str) -> None:
    """A call that waits out a hold of 5 s fails at the instant at which that is known to be in vain, and says why."""
    script(world, (act, limited(5), HEALTHY))
    ended: list[float] = []

    async def scenario(router: Router) -> Any:
        first = asyncio.ensure_future(ask(router, chain=["a"], prompt="other", retry={"attempts": 1}))
        await asyncio.sleep(0)
        result = await ask(router, chain=["a"], deadline=60)
        ended.append(clock.now)
        await first
        return result

    result = play(clock, world, scenario)

    last = result.trace.attempts[-1]
    assert (type(result), sent(result), ended) == (AllModelsFailed, [("a", 0.0)], [1.0])
    assert (type(last.error), last.queued, last.ended) == (NotSent, 1.0, 1.0)
    assert why in str(last.error)


def test_a_hold_that_becomes_longer_in_time_is_waited_out(clock: Clock, world: World) -> None:
    """A hold of 5 s that becomes one of 30 s is waited out where the deadline allows it and no step is sooner."""
    script(world, (limited(29, after=1.0), limited(5), HEALTHY))

    result = play(clock, world, lambda router: beside(router, ["a"], ["a"], deadline=60))

    assert sent(result) == [("a", 0.0), ("a", 30.0)]


@pytest.mark.parametrize(("busy", "expected"), [(3.0, ("b", 3.0)), (19.0, ("b", 19.0)), (50.0, ("a", 20.0))])
def test_a_slot_that_becomes_free_first_is_taken(
    clock: Clock, world: World, busy: float, expected: tuple[str, float]
) -> None:
    """With one model held for 20 s and all slots of the other taken, the call goes to the one that is free first."""
    script(world, (limited(20), HEALTHY), (Act(text="busy", first_token=busy), HEALTHY))
    models = {"b": {"provider": "sim", "id": "b", "max_concurrent": 1}}

    async def scenario(router: Router) -> Any:
        first = asyncio.ensure_future(ask(router, chain=["b"], prompt="other", first_token=None))
        await ask(router, chain=["a"], retry={"attempts": 1})
        result = await ask(router, chain=["a", "b"], deadline=60, retry={"patience": 0.0})
        await first
        return result

    result = play(clock, world, scenario, models=models)

    assert (type(result), sent(result)) == (Reply, [expected])


def test_a_pause_in_vain_is_explained(clock: Clock, world: World) -> None:
    """When a model is disabled while a call pauses before its next try, the trace says so."""
    script(world, (Act(status=401, first_token=0.1), limited(), HEALTHY))

    result = play(clock, world, lambda router: beside(router, ["a"], ["a"], deadline=60))

    last = result.trace.attempts[-1]
    assert (type(result), sent(result), last.queued) == (AllModelsFailed, [("a", 0.0)], 0.1)
    assert "disabled" in str(last.error)


@pytest.mark.parametrize("acts", [(limited(20),), (limited(),), (limited(20), limited(40))])
def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing(
    clock: Clock, world: World, acts: tuple[Act, ...]
) -> None:
    """A caller that goes while its call waits out a hold, or pauses, is let go at once, and nothing waits any more."""
    script(world, *acts)
    chain = ["a", "b"][: len(acts)]

    async def scenario(router: Router) -> tuple[float, int, dict[Any, Any]]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(router.chat("hello", chain=chain, deadline=60), 0.01)
        engine = router._life.engine
        assert engine is not None
        return clock.now, len(engine.sleepers), engine.policies.holds._waiting

    assert play(clock, world, scenario) == (0.01, 0, {})


def test_a_hedge_that_was_limited_comes_back(clock: Clock, world: World) -> None:
    """A model that was raced and asked for a pause of 5 s has its turn again when the first one has failed."""
    script(world, Act(status=400, first_token=3.0), (limited(5), HEALTHY))

    result = play(clock, world, lambda router: ask(router, chain=["a", "b"], hedge={"after": 1.0}, deadline=60))

    assert (type(result), sent(result)) == (Reply, [("a", 0.0), ("b", 1.0), ("b", 6.0)])


@pytest.mark.parametrize("act", [Act(status=401, first_token=1.0), limited(100, after=1.0)])
def test_a_queue_for_a_model_that_goes_out_is_left_at_once(clock: Clock, world: World, act: Act) -> None:
    """Who waits for a slot of a model goes on with the next one as soon as the model is disabled, or held for long."""
    world.model("a", act, Act(text="slow", first_token=20.0))
    world.model("b", HEALTHY)
    models = {"a": {"provider": "sim", "id": "a", "max_concurrent": 2}}
    other = {"b": {"provider": "other", "id": "b"}}

    async def scenario(router: Router) -> Any:
        first = [asyncio.ensure_future(ask(router, chain=["a"], prompt=f"{n}", retry={"attempts": 1})) for n in "12"]
        await asyncio.sleep(0)
        result = await ask(router, chain=["a", "b"], deadline=60, retry={"patience": 10.0})
        for one in first:
            one.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        return result

    result = play(clock, world, scenario, models=models | other, providers=OTHER)

    assert (type(result), sent(result)) == (Reply, [("b", 1.0)])


def test_what_is_learned_of_our_key_cuts_no_wait_of_another(clock: Clock, world: World) -> None:
    """A call with a key of its own keeps its pause of 5 s, whatever becomes of the router's key meanwhile."""
    script(world, (Act(status=401, first_token=1.0), limited(5), HEALTHY))
    own = {"authorization": "Bearer sk-of-the-caller-1"}

    result = play(clock, world, lambda router: beside(router, ["a"], ["a"], headers=own, deadline=60))

    assert (type(result), sent(result)) == (Reply, [("a", 0.0), ("a", 5.0)])


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-of-the-caller-1"}], ids=["our key", "own key"])
def test_a_full_model_is_left_for_one_that_is_free(clock: Clock, world: World, headers: dict[str, str]) -> None:
    """With all slots of one model taken for 50 s, the call goes to the other one, which is held for 3 s."""
    script(world, (Act(text="busy", first_token=50.0), HEALTHY), (limited(3), HEALTHY))

    result = play(
        clock, world,
        lambda router: beside(router, ["a", "b"], ["a"], headers=headers, deadline=60, retry={"patience": 0.0}),
        models={"a": {"provider": "sim", "id": "a", "max_concurrent": 1}}, defaults={"first_token": None},
    )

    assert (type(result), sent(result)) == (Reply, [("b", 0.0), ("b", 3.0)])


@pytest.mark.parametrize(("headers", "at"), [({}, 11.5), ({"authorization": "Bearer sk-of-the-caller-1"}, 13.0)])
def test_a_call_that_came_back_gives_way_again(
    clock: Clock, world: World, headers: dict[str, str], at: float
) -> None:
    """A call goes back to the first model after 10 s, which asks for one second more and is full then; its patience of
    2 s over, it takes the second one, which is free by now. For a limit that our key has met it has a quarter of that.
    """
    busy = Act(text="busy", first_token=40.0)
    script(world, (limited(10), limited(1), busy, HEALTHY), (limited(10.9), HEALTHY))

    async def scenario(router: Router) -> Any:
        call = asyncio.ensure_future(
            ask(router, chain=["a", "b"], headers=headers, deadline=60, retry={"patience": 2.0})
        )
        await asyncio.sleep(10.5)
        other = asyncio.ensure_future(ask(router, chain=["a"], prompt="other", headers={"authorization": "Bearer x"}))
        result = await call
        await other
        return result

    result = play(
        clock, world, scenario,
        models={"a": {"provider": "sim", "id": "a", "max_concurrent": 1}}, defaults={"first_token": None},
    )

    assert (type(result), sent(result)) == (Reply, [("a", 0.0), ("b", 0.0), ("a", 10.0), ("b", at)])


OWN_KEYS = {name: {"authorization": f"Bearer sk-of-the-caller-at-{name}"} for name in ("sim", "other")}


@pytest.mark.parametrize("headers", [{}, OWN_KEYS], ids=["our key", "own key"])
@pytest.mark.parametrize(("mode", "last", "expected"), [
    *((mode, HEALTHY, [("a", 0.0), ("b", 300.0), ("b", 320.0)]) for mode in MODES),
    ("chat", Act(status=400), [("a", 0.0), ("b", 300.0), ("b", 320.0), ("a", 3600.0)]),
    ("chat", limited(9000), [("a", 0.0), ("b", 300.0), ("b", 320.0), ("a", 3600.0)]),
])  # fmt: skip
def test_a_long_pause_ends_where_a_model_that_was_raced_is_free_sooner(
    clock: Clock, world: World, mode: str, last: Act, expected: list[tuple[str, float]],
    headers: dict[str, dict[str, str]],
) -> None:
    """A call pauses for an hour, and races a model that comes back after 300 s: it waits the 20 s that this one asks
    for, and only if that fails for the rest of the hour.
    """
    script(world, (limited(3600), HEALTHY), (Act(status=404, code="model_not_found"), limited(20), last))

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["b"], prompt="other")
        return await ask(router, mode, chain=["a", "b"], headers=headers, hedge={"after": 1.0}, deadline=4000)

    result = play(
        clock, world, scenario, models={"b": {"provider": "other", "id": "b"}}, providers=OTHER,
        defaults={"wire_stream": mode != "buffered"},
    )

    assert [(model, round(at or 0.0, 1)) for model, at in sent(result)] == expected


def test_a_long_pause_is_kept_where_the_raced_model_asks_for_a_longer_one(clock: Clock, world: World) -> None:
    """A call pauses for 400 s, and races a model that comes back after 300 s and asks for 200 s: it keeps its pause."""
    script(world, (limited(400), HEALTHY), (Act(status=404, code="model_not_found"), limited(200), HEALTHY))

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["b"], prompt="other")
        return await ask(router, chain=["a", "b"], hedge={"after": 1.0}, deadline=4000)

    result = play(clock, world, scenario, models={"b": {"provider": "other", "id": "b"}}, providers=OTHER)

    assert [(model, round(at or 0.0, 1)) for model, at in sent(result)] == [("a", 0.0), ("b", 300.0), ("a", 400.0)]
