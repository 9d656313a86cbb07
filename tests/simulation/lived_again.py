"""What days have in common that are lived again with something else in their chains: pools, keys, a second router.

Such a day has the models, faults and callers of its seed; what makes it another one comes from a source of chance of
its own, so that what seeds draw stays as it is. Some are calm: nothing goes wrong, and the rules show.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from .scenario import draw_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .behaviour import Behaviour
    from .scenario import Scenario

MOST_CALLS = 130
"""Calls of such a day at most."""
LIMITS = ("rpm", "tpm", "max_concurrent")


def live_again(kind: str, seed: int, share: float, calm: float) -> tuple[Random, Scenario] | None:
    """The day of this seed, and the source of chance of its changes; `None` for most seeds.

    `share` is that of the days that are lived again, `calm` that of the calm ones among them.
    """
    random = Random(f"{kind} {seed}")
    if random.random() >= share:
        return None
    scenario = draw_scenario(seed)
    scenario.calm = random.random() < calm
    return random, scenario


def calm_down(random: Random, scenario: Scenario) -> None:
    """Let nothing go wrong, and all models be equally quick."""
    like = random.choice(list(scenario.models.values()))
    for model in scenario.models.values():
        model.connect, model.median, model.sigma, model.gap, model.words = like.connect, like.median, 0.1, like.gap, 3
        model.failure_share, model.rps, model.announced_rpm, model.window = 0.0, None, None, False
    for table in tables(scenario, "models").values():
        for name in LIMITS:
            table.pop(name, None)
    scenario.outages, scenario.crowded, scenario.blocked, scenario.picky = [], (), (), frozenset()
    scenario.key_rotations, scenario.listeners, scenario.wall_jump = {}, "one", (0.0, 0.0)
    defaults = scenario.config["defaults"]
    assert isinstance(defaults, dict)
    defaults |= {"connect": None, "first_token": None, "idle": None, "total": 300.0, "deadline": None}
    scenario.calls = [
        replace(call, slowdown=1.0, disliked=None, timeout=None, options=_patient(call)) for call in scenario.calls
    ]


def _patient(call: Behaviour) -> Mapping[str, object]:
    return {name: value for name, value in call.options.items() if name != "deadline"}


def without_own_troubles(call: Behaviour) -> Behaviour:
    """The same call without a key of its own: a pool may be at several vendors, or with several keys."""
    options = {name: value for name, value in call.options.items() if name != "headers"}
    return replace(call, key=None, options=options)


def tables(scenario: Scenario, name: str) -> dict[str, dict[str, object]]:
    """The tables of its configuration under this name, by their own."""
    tables = scenario.config[name]
    assert isinstance(tables, dict)
    return tables
