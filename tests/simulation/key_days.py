"""Days with several keys: one day in ten is lived again with a provider that has several keys, some of which die.

Each key has its own models, limits, holds and breakers; the host is one. The models and callers are those of the seed;
what makes it another day comes from a source of chance of its own. Some of these days are calm: nothing goes wrong but
that keys die, and models are of different speed, so that the rules of picking show.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from .distributions import log_uniform
from .lived_again import MOST_CALLS, calm_down, live_again, tables, without_own_troubles

if TYPE_CHECKING:
    from random import Random

    from .scenario import Scenario

SHARE, CALM = 0.1, 0.5
"""The share of days that are lived again with several keys, and of these days those that are calm."""
SPEEDS = (1.0, 1.0, 1.35, 3.0)
"""Times as long as others a model takes on calm days: a little longer shows to "fastest" alone, much to the band."""


def draw_key_day(seed: int) -> Scenario | None:
    """The day of this seed with several keys; `None` for most seeds."""
    if (drawn := live_again("keys", seed, SHARE, CALM)) is None:
        return None
    random, scenario = drawn
    if scenario.calm:
        calm_down(random, scenario)
        for model in scenario.models.values():
            speed = random.choice(SPEEDS)
            model.median, model.gap, model.words = model.median * speed, model.gap * speed, 1
    provider, number = random.choice(sorted(tables(scenario, "providers"))), random.randint(2, 4)
    keyed = [name for name, model in scenario.models.items() if model.provider == provider]
    _draw_chains(random, scenario, keyed)
    _split(scenario, provider, number)
    _draw_deaths(random, scenario, [f"{provider}[{index}]" for index in range(1, number + 1)])
    scenario.calls = [
        replace(without_own_troubles(call), task=random.choice(sorted(tables(scenario, "tasks"))))
        for call in scenario.calls[:MOST_CALLS]
    ]
    return scenario


def _draw_chains(random: Random, scenario: Scenario, keyed: list[str]) -> None:
    """Let all chains begin with a model that has several keys, or with a pool of it and of others."""
    names, pool = sorted(scenario.models), "pool0"
    members = sorted({random.choice(keyed), *random.sample(names, random.randint(1, len(names)))})
    tables(scenario, "models")[pool] = {"any": members, "pick": random.choice(["least-busy", "fastest"])}
    for task in tables(scenario, "tasks").values():
        first, then = random.choice([pool, *keyed]), random.choice([[], [random.choice(names)], [pool]])
        task["models"] = [first, *then]
        if scenario.calm:
            task.pop("deadline", None)
    scenario.pools = frozenset([pool, *keyed])


def _split(scenario: Scenario, provider: str, number: int) -> None:
    """Let each model of the provider be there once for each of its keys."""
    scenario.keys = {provider: number}
    for name, model in list(scenario.models.items()):
        if model.provider != provider:
            continue
        del scenario.models[name]
        for index in range(1, number + 1):
            key = f"{provider}[{index}]"
            scenario.models[f"{key}:{name}"] = replace(model, name=f"{key}:{name}", provider=key)


def _draw_deaths(random: Random, scenario: Scenario, keys: list[str]) -> None:
    """Let some of the keys die, for a while or for good; one lives on."""
    last = scenario.calls[-1].at
    for key in random.sample(keys, random.choice([0, 1, 1, len(keys) - 1])):
        dies = random.uniform(0.0, last)
        scenario.dead_keys[key] = dies, dies + random.choice([inf, log_uniform(random, 10.0, 300.0)])
