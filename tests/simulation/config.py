"""Draws a router's configuration: providers and wires, models, timeouts, retries, hedges, chains."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from .distributions import log_uniform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .scenario import ModelProfile


def draw_config(random: Random, models: Mapping[str, ModelProfile], providers: Sequence[str]) -> dict[str, object]:
    """Draw the configuration of a scenario."""
    deadline = random.choices([None, log_uniform(random, 0.5, 60.0)], [10, 90])[0]
    defaults: dict[str, object] = {
        "connect": random.choice([None, log_uniform(random, 0.2, 5.0)]),
        "first_token": random.choice([None, log_uniform(random, 0.3, 10.0), log_uniform(random, 0.3, 10.0)]),
        "idle": random.choice([None, log_uniform(random, 0.3, 10.0), log_uniform(random, 0.3, 10.0)]),
        # Something must end an attempt at a model that hangs.
        "total": None if deadline is not None and random.random() < 0.1 else log_uniform(random, 1.0, 40.0),
        "deadline": deadline,
        "retry": {
            name: value for name, value in {
                "attempts": random.choice([1, 2, None, None, 3, 4]), "base": random.uniform(0.05, 0.5),
                "cap": random.uniform(0.5, 8.0), "patience": random.choice([0.0, 2.0, 5.0]),
            }.items() if value is not None
        },
        "breaker": "off" if random.random() < 0.1 else "auto",
        "on_refusal": random.choice(["raise", "next"]),
        "wire_stream": random.choices(["auto", True, False], [60, 20, 20])[0],
    }
    if not all(model.unlimited_size for model in models.values()):
        defaults["max_response_bytes"] = 20_000
    if random.random() < 0.5:
        defaults["hedge"] = draw_hedge(random)
    return {
        "default_provider": providers[0],
        "providers": {model.provider: {"base_url": f"http://{model.provider}.sim/v1", "wire": model.wire}
                      for model in models.values()},
        "models": {name: _model(random, model) for name, model in models.items()},
        "defaults": defaults,
        "tasks": {f"t{index}": _task(random, sorted(models), deadline) for index in range(random.randint(1, 3))},
    }


def _model(random: Random, model: ModelProfile) -> dict[str, object]:
    table: dict[str, object] = {"provider": model.provider, "id": model.name}
    if random.random() < 0.7:
        dollars = random.uniform(0.0, 10.0)
        table["usd_per_mtok"] = {"input": round(dollars, 3), "output": round(random.uniform(0.0, 30.0), 3)}
    if random.random() < 0.5:
        table["context"] = random.choice([1000, 4000, 8000])
    if random.random() < 0.2:
        table["max_concurrent"] = random.choice([1, 2, 4, 8])
    if random.random() < 0.2:
        table["rpm"] = round(log_uniform(random, 20.0, 900.0), 1)
    if random.random() < 0.12:
        table["tpm"] = round(log_uniform(random, 12_000.0, 200_000.0), 1)
    return table


def draw_hedge(random: Random) -> dict[str, object]:
    """Draw a hedge: its delay, cap, budget and whether it may use the same model."""
    hedge: dict[str, object] = {"budget": random.choice([0.0, 0.02, 0.05, 0.05, 0.1, 0.5, 1.0])}
    if random.random() < 0.5:
        hedge["after"] = log_uniform(random, 0.02, 3.0)
    else:
        hedge["after"] = "p95"
        hedge["cap"] = random.choice([None, log_uniform(random, 0.1, 5.0)])
    hedge["same"] = random.random() < 0.25
    return hedge


def draw_in_time(seed: int, config: Mapping[str, object]) -> None:
    """Draw, from a source of chance of its own, what is said about late attempts: no rescues, and hedges that pay."""
    random = Random(f"in time {seed}")
    defaults, tasks = config["defaults"], config["tasks"]
    assert isinstance(defaults, dict)
    assert isinstance(tasks, dict)
    if random.random() < 0.15:
        defaults["rescue"] = "off"
    if random.random() < 0.25:
        for hedge in [one.get("hedge") for one in (defaults, *tasks.values())]:
            if isinstance(hedge, dict) and hedge["after"] == "p95":
                hedge["after"] = "auto"


def _task(random: Random, models: Sequence[str], deadline: float | None) -> dict[str, object]:
    steps: list[object] = []
    for _ in range(random.choice([1, 2, 2, 3, 3, 4])):
        name = random.choice(models)
        if random.random() < 0.2:
            total, first_token = log_uniform(random, 0.5, 20.0), log_uniform(random, 0.2, 5.0)
            steps.append({"model": name, "total": total, "first_token": first_token})
        else:
            steps.append(name)
    task: dict[str, object] = {"models": steps}
    if random.random() < 0.4:
        task["hedge"] = random.choice(["none", draw_hedge(random)])
    if deadline is not None and random.random() < 0.5:
        task["deadline"] = log_uniform(random, 0.3, 60.0)
    if random.random() < 0.2:
        task["params"] = {"max_tokens": random.choice([5, 50, 400])}
    return task
