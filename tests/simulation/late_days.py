"""Days of late attempts: models that stall, crawl and fall silent, limits that are "auto", calls that can wait.

Most days have short limits, which end an attempt before anybody would rescue it. One day in five is made into one of
these, from a source of chance of its own, after everything else is drawn.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from .distributions import log_uniform

if TYPE_CHECKING:
    from .scenario import Scenario

SHARE = 0.2
"""The share of days that are like this."""
LATE_FAULTS = ("hang_content", "hang_middle", "hang_headers", "stall", "straggler", "500")
"""What goes wrong on them; mostly it takes long."""
LATE_OUTAGES = ("hang_content", "hang_headers", "slow", "slow", "slow", "ramp")


def make_late(scenario: Scenario) -> None:
    """Make this day one of late attempts, or leave it as it is."""
    random = Random(f"late {scenario.seed}")
    if random.random() >= SHARE:
        return
    _be_patient(random, scenario)
    share = log_uniform(random, 0.02, 0.5)
    for model in scenario.models.values():
        model.median, model.sigma = log_uniform(random, 0.05, 0.8), random.uniform(0.1, 0.5)
        model.gap, model.words = log_uniform(random, 0.005, 0.05), random.choice([6, 12, 30, 60])
        model.failure_share = share * random.uniform(0.3, 1.5)
    scenario.faults = [kind for kind in LATE_FAULTS if random.random() < 0.5] or ["hang_middle"]
    scenario.weights = [1.0 for _ in scenario.faults]
    for at, outage in enumerate(scenario.outages):
        if random.random() < 0.7:
            kind = random.choice(LATE_OUTAGES)
            scenario.outages[at] = type(outage)(outage.subject, outage.begins, outage.ends, kind, outage.factor)


def _be_patient(random: Random, scenario: Scenario) -> None:
    """Let the limits be "auto", as they are where nobody says anything else, and leave the calls time."""
    defaults, tasks = scenario.config["defaults"], scenario.config["tasks"]
    assert isinstance(defaults, dict)
    assert isinstance(tasks, dict)
    defaults |= {"first_token": "auto", "idle": "auto", "total": random.uniform(30.0, 90.0), "wire_stream": "auto"}
    defaults["deadline"] = random.choice([None, random.uniform(30.0, 120.0)])
    if random.random() < 0.3:
        defaults["breaker"] = "off"  # no model becomes slow: only the budgets bound the races
    if random.random() < 0.3:
        defaults["idle"] = {"auto": True, "cap": log_uniform(random, 2.0, 60.0)}
    for task in tasks.values():
        task.pop("deadline", None)
        task["models"] = [step["model"] if isinstance(step, dict) else step for step in task["models"]]
