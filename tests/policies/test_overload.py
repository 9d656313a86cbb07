"""How long a call waits for a limited model while another one could serve: through a burst, not an overload."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.limits import MARGIN
from asyncrouter._policies.overload import Demand
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

Served = list[tuple[str, float]]


def asked(number: int, rate: float = 32.0, *, batch: bool = False) -> Demand:
    """The demand after so many requests at once for a limit of so many a second."""
    demand = Demand()
    for _ in range(number):
        demand.add(0.0, Gcra(rate), batch=batch)
    return demand


@pytest.mark.parametrize(("ahead", "patience"), [(0, 2.0), (64, 2.0), (65, 0.2), (1000, 0.2)])
def test_a_queue_longer_than_patience_shortens_it(ahead: int, patience: float) -> None:
    """Patience falls to a tenth when demand is more than one patience ahead of the limit."""
    assert asked(ahead).patience(0.0, 2.0, batch=False) == patience


@pytest.mark.parametrize(("rate", "patience"), [(10.0, 0.2), (4.0, 0.5), (1.0, 2.0), (0.1, 2.0)])
def test_two_stay_in_line(rate: float, patience: float) -> None:
    """Patience stays long enough for two requests in line, and is never longer than it was."""
    assert asked(1000, rate).patience(0.0, 2.0, batch=False) == patience


def test_a_call_without_patience_does_not_change_the_demand() -> None:
    """A patience of 0 stays 0 and does not reset the demand."""
    demand = asked(1000)

    assert (demand.patience(0.0, 0.0, batch=False), demand.patience(0.0, 2.0, batch=False)) == (0.0, 0.2)


def test_a_lull_as_long_as_the_patience_ends_an_overload() -> None:
    """A pause as long as the patience restores it, however much was asked for before."""
    demand = asked(1000)

    assert demand.patience(0.0, 2.0, batch=False) == 0.2
    assert demand.patience(1.9, 2.0, batch=False) == 0.2
    assert demand.patience(2.0, 2.0, batch=False) == 2.0


def test_batch_work_does_not_shorten_the_patience_of_the_rest() -> None:
    """Demand of batch work shortens the patience of batch work only."""
    demand = asked(100, batch=True)

    assert (demand.patience(0.0, 2.0, batch=False), demand.patience(0.0, 2.0, batch=True)) == (2.0, 0.2)


def overload(clock: Clock, world: World, chain: list[str]) -> Served:
    """The model and the wait of 60 calls, eight a second, to a model that takes four a second."""
    world.model("a", Act())
    world.model("b", Act())
    models = {"a": {"provider": "sim", "id": "a", "rpm": 240 / MARGIN}, "b": {"provider": "sim", "id": "b"}}

    async def call(router: Router) -> tuple[str, float]:
        began = clock.now
        reply = await router.chat("x", chain=chain)
        return reply.model, round(clock.now - began, 6)

    async def scenario() -> Served:
        async with Router(world.config(models=models), transport=world.transport(), seed=1) as router:
            calls = []
            for _ in range(60):
                calls.append(asyncio.create_task(call(router)))
                await asyncio.sleep(0.125)
            return await asyncio.gather(*calls)

    return clock.run(scenario())


def test_a_burst_is_waited_out_and_an_overload_is_not(clock: Clock, world: World) -> None:
    """Calls wait while a queue of 2 s fills; after that for two requests at most, and the model stays as busy."""
    served = overload(clock, world, ["a", "b"])

    assert served[:22] == [("a", 0.0)] * 7 + [("a", 0.125 * late) for late in range(1, 16)]
    assert served[22:35] == [("b", 0.0)] * 13  # the queue runs down meanwhile
    assert served[35:] == [("a", 0.375), ("b", 0.0)] * 12 + [("a", 0.375)]


def test_with_nobody_else_to_serve_everybody_waits(clock: Clock, world: World) -> None:
    """Calls that have no other model wait as long as it takes."""
    served = overload(clock, world, ["a"])

    assert {model for model, _ in served} == {"a"}
    assert (served[-1][1], max(late for _, late in served)) == (14.0 - 7.375, 14.0 - 7.375)
