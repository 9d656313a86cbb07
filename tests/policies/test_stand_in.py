"""What is expected of a model that is hardly known, while another one of its chain is slow."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._policies.estimate import Estimate
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.memory import FIRST, Answer, Memory
from asyncrouter._policies.model_state import ModelState, ProviderState
from asyncrouter._policies.slowness import FEW_SAMPLES
from asyncrouter._policies.stand_in import TIMES, expected

if TYPE_CHECKING:
    from asyncrouter.sim import Clock

HEALTHY = Answer(40, 1.2, 0.05)
"""A healthy answer."""


def state(name: str, answers: int = 0, *, slow: bool = False) -> ModelState:
    """A model that has given so many answers."""
    made = ModelState(
        Model(provider="p", id=name, name=name), ProviderState(Random(1), lambda *_: None), Holds(),
        lambda *_: None, Random(1), asyncio.get_running_loop(), set(), breakers_on=True,
    )
    for _ in range(answers):
        made.streamed.add(0.5, 100, 0.0)
        made.streamed.add_answer(HEALTHY, 100, 0.0, whole=True)
    if slow:
        made.slowness._demote(0.0, "")
    return made


def first_expected(clock: Clock, *models: tuple[int, bool]) -> float | None:
    """The median first content that is expected of the second of these models (its answers, whether it is slow)."""
    async def ask() -> float | None:
        chain = [state(name, answers, slow=slow) for name, (answers, slow) in zip("abc", models, strict=False)]
        found = expected(chain[1], chain, streams=True)
        return None if found is None else found.first.median

    return clock.run(ask())


def test_three_times_what_the_slow_model_takes_is_expected(clock: Clock) -> None:
    """Of a model that has never answered three times the slow one's usual is expected."""
    assert first_expected(clock, (200, True), (0, False), (0, False)) == pytest.approx(1.5, rel=0.03)


@pytest.mark.parametrize("models", [
    pytest.param(((200, False), (0, False), (0, False)), id="no model is slow"),
    pytest.param(((50, True), (0, False), (0, False)), id="too little is known of the slow one"),
    pytest.param(((200, True), (FEW_SAMPLES, False), (0, False)), id="the model is known"),
    pytest.param(((200, True), (0, False)), id="there is no third"),
    pytest.param(((200, True), (0, False), (200, True)), id="the third is slow, too"),
])
def test_else_a_model_is_judged_by_itself(clock: Clock, models: tuple[tuple[int, bool], ...]) -> None:
    """Nothing else is expected where that would be of no use."""
    assert first_expected(clock, *models) is None


def test_a_model_that_is_slow_by_that_is_probed_by_it(clock: Clock) -> None:
    """A model that was found slow is judged by the same while it is probed."""
    assert first_expected(clock, (200, True), (3, True), (0, False)) == pytest.approx(1.5, rel=0.03)


def test_everything_takes_so_many_times_as_long() -> None:
    """First content, silence and pace are three times as long, as precisely as a bucket can tell; lengths stay."""
    memory, random = Memory(), Random(1)
    for _ in range(300):
        memory.add(random.lognormvariate(-0.5, 0.35), 100, 0.0)
        memory.add_answer(Answer(40, random.uniform(1.0, 1.4), random.uniform(0.04, 0.06)), 100, 0.0, whole=True)
    usual, made = memory.every, memory.slower(TIMES)

    for before, after in (
        (usual.first, made.first), (usual.silence, made.silence), (usual.pace, made.pace)
    ):
        for q in (0.1, 0.5, 0.95, 0.999):
            assert after.quantile(q) == pytest.approx(3.0 * before.quantile(q), rel=0.02)
    assert made.words.mean_above(0.0) == usual.words.mean_above(0.0)
    assert memory.slower(TIMES) is made
    memory.add(0.5, 100, 0.0)
    assert memory.slower(TIMES) is not made


def test_a_young_estimate_can_be_slower_too() -> None:
    """A median of few samples is three times as long, too, and its words say that it is only expected."""
    usual = Estimate(FIRST)
    for _ in range(40):
        usual.add(0.5, 0.0)

    assert usual.slower(FIRST, 3.0).median == pytest.approx(1.5, rel=0.02)
    assert usual.slower(FIRST, 3.0).in_words() == "expected 1.5 s"


def test_an_answer_that_has_not_come_far_is_at_best_as_quick_as_if_it_had() -> None:
    """Two contents in three seconds are a pace of at least a third of a second, had eight of them come just now."""
    assert Answer(2, 0.5, 0.5, quiet=2.5).after(8) == Answer(8, 3.0, 2.5)
    assert Answer(4, 2.0, 0.75, quiet=0.25).after(8).pace == pytest.approx(0.25)
