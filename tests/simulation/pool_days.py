"""Days with pools: one day in four is lived a second time, with pools and sessions in its chains.

The second day has the same models, faults and callers; what makes it another one comes from a source of chance of its
own. Some of these days are calm: nothing goes wrong, and the rules by which members are picked show.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .distributions import log_uniform
from .lived_again import MOST_CALLS, calm_down, live_again, tables, without_own_troubles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from .behaviour import Behaviour
    from .scenario import Scenario

SHARE, CALM = 0.25, 0.4
"""The share of days that are lived again with pools, and of these days those that are calm."""
PICKS = ("least-busy", "fastest", "cheapest", "weighted", "first")


def draw_pool_day(seed: int) -> Scenario | None:
    """The day of this seed with pools; `None` for most seeds."""
    if (drawn := live_again("pools", seed, SHARE, CALM)) is None:
        return None
    random, scenario = drawn
    _add_models(random, scenario)
    if scenario.calm:
        calm_down(random, scenario)
    _draw_pools(random, scenario)
    sessions = random.choice([0.0, random.uniform(0.2, 1.0)])
    tenants = _draw_budget(random, scenario)
    calls, tasks = [], sorted(tables(scenario, "tasks"))
    for planned in scenario.calls[:MOST_CALLS]:
        call = without_own_troubles(planned)
        options = _in_session(random, call, sessions)
        calls.append(replace(call, task=random.choice(tasks), options=options, tenant=random.choice(tenants)))
    scenario.calls = calls
    return scenario


def _add_models(random: Random, scenario: Scenario) -> None:
    """Let there be as many models as a pool may need: further ones are like one that there is, at any provider."""
    names, entries = list(scenario.models), tables(scenario, "models")
    for index in range(len(names), random.randint(2, 5)):
        like, place = scenario.models[random.choice(names)], scenario.models[random.choice(names)]
        name = f"m{index}"
        scenario.models[name] = replace(like, name=name, provider=place.provider, wire=place.wire)
        entries[name] = {**entries[like.name], "provider": place.provider, "id": name}


def _draw_pools(random: Random, scenario: Scenario) -> None:
    """Put one or two pools into the models and into all chains, at any place."""
    names, entries = sorted(scenario.models), tables(scenario, "models")
    pools = [f"pool{index}" for index in range(random.choice([1, 1, 2]))]
    for name in pools:
        pick = random.choice(PICKS)
        members = random.sample(names, random.randint(2, len(names)))
        weighted = [{"model": member, "weight": random.choice([1, 1, 2, 3, 98])} for member in members]
        entries[name] = {"any": weighted if pick == "weighted" else members, "pick": pick}
    scenario.pools = frozenset(pools)
    for task in tables(scenario, "tasks").values():
        task["models"] = _chain(random, pools, names)
        if scenario.calm:
            task.pop("deadline", None)


def _draw_budget(random: Random, scenario: Scenario) -> Sequence[str | None]:
    """Draw what the router may spend on some days on which things go wrong, and who is charged."""
    if scenario.calm or random.random() < 0.5:
        return [None]
    budget: dict[str, object] = {"per": "run", "unknown": random.choice(["allow", "allow", "refuse"])}
    tenants: list[str | None] = [None, "a", "b", "c"]
    kind = random.choice(["all", "tenants", "both"])
    if kind != "tenants":
        budget["usd"] = log_uniform(random, 0.001, 3.0)
    if kind != "all":
        budget["tags"] = {"tenant": {"usd": log_uniform(random, 0.001, 1.0)}}
    scenario.config["budget"] = budget
    return tenants


def _chain(random: Random, pools: Sequence[str], names: Sequence[str]) -> list[str]:
    pool, model = random.choice(pools), random.choice(names)
    return random.choice([[pool], [pool, model], [pool, *pools], [pool, model, pool], [model, pool]])


def _in_session(random: Random, call: Behaviour, share: float) -> Mapping[str, object]:
    """The options of a call that may be one of a session."""
    if random.random() >= share:
        return call.options
    return {**call.options, "session": f"session {random.randrange(12)}"}
