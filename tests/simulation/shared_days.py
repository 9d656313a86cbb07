"""Days with two routers: one day in ten is lived again by two routers that keep their limits and holds in one store.

The models and callers are those of the seed; what makes it another day comes from a source of chance of its own: limits
for both together, which router makes a call, and when one of them leaves. Some of these days are calm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .distributions import log_uniform
from .lived_again import MOST_CALLS, calm_down, live_again, tables, without_own_troubles

if TYPE_CHECKING:
    from random import Random

    from .scenario import Scenario

SHARE, CALM = 0.1, 0.5
"""The share of days that are lived again by two routers, and of these days those that are calm."""


def draw_shared_day(seed: int) -> Scenario | None:
    """The day of this seed with two routers; `None` for most seeds."""
    if (drawn := live_again("shared", seed, SHARE, CALM)) is None:
        return None
    random, scenario = drawn
    if scenario.calm:
        calm_down(random, scenario)
        for task in tables(scenario, "tasks").values():
            task.pop("deadline", None)
            steps = task["models"]
            assert isinstance(steps, list)
            task["models"] = [step["model"] if isinstance(step, dict) else step for step in steps]
    _draw_limits(random, scenario)
    scenario.routers = 2
    part = random.uniform(0.1, 0.9)
    scenario.calls = [
        replace(without_own_troubles(call), router=int(random.random() < part)) for call in scenario.calls[:MOST_CALLS]
    ]
    if random.random() < 0.3:
        scenario.leaves_at = random.uniform(0.2, 0.9) * scenario.calls[-1].at
    return scenario


def _draw_limits(random: Random, scenario: Scenario) -> None:
    for table in tables(scenario, "models").values():
        if random.random() < 0.6:
            table["rpm"] = round(log_uniform(random, 20.0, 900.0), 1)
        if random.random() < 0.5:
            table["max_concurrent"] = random.choice([1, 2, 4, 8])
        if random.random() < 0.1:
            table["tpm"] = round(log_uniform(random, 12_000.0, 200_000.0), 1)
