"""`Router.health`: the state of each model; and what errors and `help()` say of keys, causes and faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import pytest

from asyncrouter import AllModelsFailed, Attempt, ModelHealth, Retry, Router
from asyncrouter._types import Cause, Outcome
from asyncrouter.sim import FAULTS, WHYS, Act
from tests.helpers.planted import KEY
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def test_health_of_tasks_tiers_and_what_was_used(clock: Clock, world: World) -> None:
    """Every model of the configured chains is listed; one of a chain given with a call once it was used."""
    for name in "abcd":
        world.model(name, Act(first_token=1.0))

    async def scenario() -> None:
        async with router_of(world, tasks={"coding": ["b"]}, tiers={"budget": ["a"]}) as router:
            assert set(router.health()) == {"a", "b"}
            router.explain(chain=["c"])
            assert set(router.health()) == {"a", "b"}
            await router.chat("x", chain=["c", "d"])
            assert set(router.health()) == {"a", "b", "c", "d"}
            usual = {"pace": pytest.approx(0.03), "silence": pytest.approx(0.05), "contents": pytest.approx(1.0, abs=3)}
            assert router.health()["c"] == ModelHealth("c", "sim", "ready", 0, **usual)

    clock.run(scenario())


def test_health_and_explain_say_why_a_model_is_last(clock: Clock, world: World) -> None:
    """A model that has become slow: what has spoken against it, beside what was usual."""
    world.model("a", *[Act(tokens=9, first_token=0.5)] * 30, Act(tokens=9, first_token=8.0))
    world.model("b", Act(first_token=0.5))

    async def scenario() -> tuple[str, str]:
        async with router_of(world, tasks={"default": ["a", "b"]}) as router:
            for _ in range(60):
                await router.chat("x")
            return str(router.health()).splitlines()[0], router.explain().steps[0].usual

    health, usual = clock.run(scenario())

    why = "slow, so tried last: 0.761 s to first content, usual 0.51 s"
    assert health == f"a (sim): ready; 0 in flight, 0 wait; {why}; usual 8.72 contents 0.00103 s apart"
    assert usual == f"usual 0.51 s; {why}"


def test_health_says_why_a_pool_leaves_a_member_out(clock: Clock, world: World) -> None:
    """What its answers take, beside those of the quickest; once two were quick it is in again, called or not."""
    world.model("a", *[Act(first_token=3.0)] * 20, Act(first_token=0.5))
    world.model("b", Act(first_token=1.0))

    async def scenario() -> list[str]:
        why = []
        async with router_of(world, models={"pool": {"any": ["a", "b"]}}, tasks={"default": ["pool"]}) as router:
            await asyncio.gather(*(router.chat("x", hedge=None) for _ in range(40)))
            await asyncio.sleep(2.0)
            for _ in range(3):
                member = router.health()["pool"].members["a"]
                assert member.slow == (member.why_slow != "")
                why.append(member.why_slow)
                await router.chat("x", model="a")
        return why

    why = clock.run(scenario())

    left_out = "3 s to the end of an answer, 1 s at the quickest member"
    assert why == [left_out, left_out, ""]


def test_health_counts_what_is_in_flight(clock: Clock, world: World) -> None:
    """`in_flight` counts running attempts of each model, and falls again however they end."""
    world.model("a", Act(first_token=1.0))
    world.model("b", Act(first_token=1.0, status=500))

    async def scenario() -> list[tuple[int, int]]:
        counts = []
        async with router_of(world, tasks={"default": ["a", "b"]}) as router:

            def count() -> None:
                health = router.health()
                counts.append((health["a"].in_flight, health["b"].in_flight))

            calls = [asyncio.create_task(router.chat("x", model="a")) for _ in range(3)]
            calls.append(asyncio.create_task(router.chat("x", model="b", retry=Retry(attempts=1))))
            await asyncio.sleep(0.5)
            count()
            calls[0].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            count()
            await asyncio.wait(calls)
            count()
        return counts

    assert clock.run(scenario()) == [(3, 1), (2, 1), (0, 0)]


def test_health_says_what_holds_a_model_back(clock: Clock, world: World) -> None:
    """A model that is held or disabled says so, how long and why, and is "ready" when that is over."""
    world.model("gone", Act(status=404, message="no such model"))
    world.model("busy", Act(status=429, retry_after=5, message="slow down"))
    world.model("z")

    async def scenario() -> None:
        async with router_of(world) as router:
            await router.chat("x", chain=["gone", "busy", "z"])
            health = router.health()
            assert health["gone"].standing == "disabled for 300 s more: no such model"
            assert health["busy"].standing == "held for 5.00 s more: slow down"
            await asyncio.sleep(5.0)
            assert router.health()["busy"].standing == "ready"
            assert router.health()["gone"].standing == "disabled for 295 s more: no such model"

    clock.run(scenario())


def test_an_open_breaker_becomes_due_for_a_probe(clock: Clock, world: World) -> None:
    """When its time is up the model is "probe due"; after a call has succeeded it is "ready" again."""
    down = True
    world.model("a", lambda _seen, _random: Act(status=503) if down else Act())
    world.model("z")

    async def scenario() -> list[tuple[str, str]]:
        nonlocal down
        states = []

        def note() -> None:
            health = router.health()["a"]
            assert health.standing == router.explain(chain=["a"]).steps[0].standing
            states.append((health.standing.partition(" for ")[0], health.breaker))

        config = world.config()
        async with Router(config, transport=world.transport(), seed=1) as router:
            await router.chat("x", chain=["z"])
            for _ in range(3):
                await asyncio.sleep(2.0)
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", chain=["a"], retry={"attempts": 1})
            note()
            await asyncio.sleep(6.0)
            note()
            down = False
            await router.chat("x", chain=["a"])
            note()
        return states

    assert clock.run(scenario()) == [("breaker open", "open"), ("probe due", "open"), ("ready", "closed")]


@pytest.mark.parametrize(("status", "message"), [(401, "no (key of sim from env:SIM_KEY)"), (403, "no")])
def test_a_key_that_was_turned_down_is_named_by_its_variable(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    """The error of a 401 names provider and variable, never the key; that of a 403 does not, for the key is valid."""
    monkeypatch.setenv("SIM_KEY", KEY)
    world.model("a", Act(status=status, message="no"))

    assert turned_down(clock, world, "env:SIM_KEY") == message


def test_a_key_from_a_function_is_named_as_that(clock: Clock, world: World) -> None:
    """The error says "the key function", for there is no variable to name."""
    world.model("a", Act(status=401, message=f"bad: {KEY}"))

    assert turned_down(clock, world, lambda: KEY) == "bad: *** (key of sim from the key function)"


def test_without_a_configured_key_none_is_named(clock: Clock, world: World) -> None:
    """If none is configured, or the call brought its own, naming a variable would mislead."""
    world.model("a", Act(status=401, message="no"))

    assert turned_down(clock, world, None) == "no"
    assert turned_down(clock, world, lambda: KEY, headers={"authorization": "Bearer mine"}) == "no"


def turned_down(clock: Clock, world: World, key: object, **options: object) -> str:
    """The message of the error of a call's one attempt."""
    config = world.config(providers={"sim": {"key": key}})

    async def scenario() -> str:
        async with Router(config, transport=world.transport()) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", chain=["a"], **options)  # type: ignore[arg-type]
            [attempt] = caught.value.trace.attempts
            assert attempt.error is not None
            return attempt.error.message

    return clock.run(scenario())


@pytest.mark.parametrize("word", [*get_args(Cause), *get_args(Outcome)])
def test_an_attempt_explains_every_cause_and_outcome(word: str) -> None:
    """`help(Attempt)` explains each word, because the types show only as names."""
    assert Attempt.__doc__ is not None
    assert f'"{word}"' in Attempt.__doc__


@pytest.mark.parametrize("word", [*FAULTS, *WHYS])
def test_an_act_lists_every_fault_and_why(word: str) -> None:
    """`help(Act)` lists every fault and every `why`."""
    assert Act.__doc__ is not None
    lists = Act.__doc__[Act.__doc__.index("Faults before") :].replace("(", ",").replace(":", ",").replace(".", ",")
    assert word in " ".join(lists.split()).replace(" ", ",").split(",")
