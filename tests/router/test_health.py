"""What a router says of its models, and its records of themselves: the words a reader meets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import pytest

from asyncrouter import AllModelsFailed, Attempt, Router
from asyncrouter._types import Cause, Outcome
from asyncrouter.sim import FAULTS, WHYS, Act
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World



def test_a_breaker_whose_time_is_up_is_due_a_probe(clock: Clock, world: World) -> None:
    """Ready, open, then neither: the next call alone finds out; after its success the model is ready again."""
    down = True
    world.model("a", lambda _seen, _random: Act(status=500) if down else Act())
    world.model("z")

    async def scenario() -> list[tuple[str, str]]:
        nonlocal down
        told = []

        def look() -> None:
            health = router.health()["a"]
            assert health.standing == router.explain(chain=["a"]).steps[0].standing
            told.append((health.standing.partition(" for ")[0], health.breaker))

        config = world.config()
        async with Router(config, transport=world.transport(), seed=1) as router:
            await router.chat("x", chain=["z"])
            for _ in range(3):
                await asyncio.sleep(2.0)
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", chain=["a"], retry={"attempts": 1})
            look()
            await asyncio.sleep(6.0)
            look()
            down = False
            await router.chat("x", chain=["a"])
            look()
        return told

    assert clock.run(scenario()) == [("breaker open", "open"), ("probe due", "open"), ("ready", "closed")]


@pytest.mark.parametrize(("status", "told"), [(401, "no (key of sim from env:SIM_KEY)"), (403, "no")])
def test_a_key_that_was_turned_down_is_named_by_its_variable(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    """Provider and variable, never the key; a 403 knows the key and says no to something else."""
    monkeypatch.setenv("SIM_KEY", KEY)
    world.model("a", Act(status=status, message="no"))

    assert told == turned_down(clock, world, "env:SIM_KEY")


def test_a_key_of_a_function_is_named_as_that(clock: Clock, world: World) -> None:
    """There is no variable to name."""
    world.model("a", Act(status=401, message=f"bad: {KEY}"))

    assert turned_down(clock, world, lambda: KEY) == "bad: *** (key of sim from the key function)"


def test_without_a_key_of_ours_none_is_named(clock: Clock, world: World) -> None:
    """None is configured, or the call brought its own: pointing at a variable would mislead."""
    world.model("a", Act(status=401, message="no"))

    assert turned_down(clock, world, None) == "no"
    assert turned_down(clock, world, lambda: KEY, headers={"authorization": "Bearer mine"}) == "no"


def turned_down(clock: Clock, world: World, key: object, **options: object) -> str:
    """What the error of the one attempt says."""
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
    """`help(Attempt)` shows types as names only."""
    assert Attempt.__doc__ is not None
    assert f'"{word}"' in Attempt.__doc__


@pytest.mark.parametrize("word", [*FAULTS, *WHYS])
def test_an_act_lists_every_fault_and_why(word: str) -> None:
    """`help(Act)` is where one looks for them."""
    assert Act.__doc__ is not None
    lists = Act.__doc__[Act.__doc__.index("Faults before") :].replace("(", ",").replace(":", ",").replace(".", ",")
    assert word in " ".join(lists.split()).replace(" ", ",").split(",")
