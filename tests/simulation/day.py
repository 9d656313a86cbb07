"""A bad day, drawn from a seed: models and chains, what fails and when, who calls and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import TYPE_CHECKING

from .fates import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEALED = (1.0, 4.0, 8.0, 16.0, 21.0, 66.0, 310.0, 625.0)
"""Seconds after all is well at which each task is asked once more."""
OUTAGES = ("refuse", "hang_connect", "hang_headers", "hang_content", "503", "503", "500", "500", "529", "429",
           "429", "401", "404", "slow", "slow", "slow", "reset_headers")

LASTING = frozenset({"401", "402", "429_money", "403", "404"})
STICKY = 0.03
"""They put a model or a key out for minutes: often enough, but not all day."""


@dataclass(slots=True)
class ModelDay:
    """How a model behaves while nothing goes wrong; seconds to connect, to the first content, between two."""

    name: str
    provider: str
    connect: float
    median: float
    sigma: float
    gap: float
    words: int
    straggle: float
    fails: float
    """Share of its requests that suffer one of the day's faults."""
    rps: float | None = None
    """Requests a second that its provider takes from us."""
    told: bool = True
    """Whether it says when to come back."""
    announces: float | None = None
    """Requests a minute that its headers say there may be; true or not."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From one instant to another, what happens to every request to a model, a provider, or (`None`) anybody."""

    subject: str | None
    begins: float
    ends: float
    kind: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One call: when, for what, and what its caller does."""

    at: float
    task: str
    stream: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    accept: str | None = None
    """How the reply is judged: yes, no, maybe, slow, raises."""
    accept_seconds: float = 0.0
    cancel_after: float | None = None
    cancel_at_event: str | None = None
    """Cancelled in the very instant of: sent, connected, headers, content, end."""
    cancels: int = 1
    timeout: float | None = None
    """The caller's own `asyncio.timeout`."""
    leave_after: int | None = None
    """Chunks after which a reader leaves."""
    leave_raising: bool = False
    thinks: float = 0.0
    """Seconds between two reads of a stream."""
    thinks_once: float = 0.0
    restart: bool = False
    padding: int = 0


@dataclass(slots=True)
class Day:
    """Everything that one seed decides in advance."""

    seed: int
    config: dict[str, object]
    models: dict[str, ModelDay]
    faults: Sequence[str]
    weights: Sequence[float]
    outages: list[Outage]
    calls: list[Behaviour]
    looks: list[float]
    """Instants at which somebody asks for `health()` and `explain()`."""
    listeners: str
    ends: str
    """How the router is closed: "drain" or "aclose" when all is quiet, or early, at `ends_at`."""
    ends_at: float
    rotates: dict[str, float]
    """Providers whose key changes at an instant; ours is a function that knows the new one."""
    slow_cancel: float = 0.0
    """Share of second requests that take a while to notice that they are cancelled."""


def draw_day(seed: int) -> Day:
    """The day of this seed."""
    random = Random(f"day {seed}")
    horizon = random.uniform(20.0, 240.0)
    models = _models(random)
    providers = sorted({model.provider for model in models.values()})
    faults = [kind for kind in KINDS if random.random() < 0.5] or ["500"]
    config = _config(random, models, providers)
    calls = _calls(random, horizon, sorted(config["tasks"]))  # type: ignore[call-overload]  # ours: a dict of tasks
    return Day(
        seed=seed,
        config=config,
        models=models,
        faults=faults,
        weights=[random.uniform(0.1, 1.0) * (STICKY if kind in LASTING else 1.0) for kind in faults],
        outages=_outages(random, horizon, models, providers),
        calls=calls,
        looks=sorted(random.uniform(0.0, horizon) for _ in range(12)),
        listeners=random.choices(["one", "raising", "none"], [75, 15, 10])[0],
        ends=random.choices(["drain", "aclose", "drain early", "close early"], [44, 44, 6, 6])[0],
        ends_at=random.uniform(0.2, 1.0) * horizon,
        rotates={name: random.uniform(0.0, horizon) for name in providers if random.random() < 0.15},
        slow_cancel=random.choice([0.0, 0.0, 0.3]),
    )


def spread(random: Random, low: float, high: float) -> float:
    """A number from a wide range, each order of magnitude as likely as the next."""
    return exp(random.uniform(log(low), log(high)))


def _models(random: Random) -> dict[str, ModelDay]:
    providers = random.randint(1, 3)
    fails = random.choices(
        [random.uniform(0.0, 0.02), random.uniform(0.02, 0.2), random.uniform(0.2, 0.6), 1.0], [15, 55, 22, 8]
    )[0]
    models = {}
    for index in range(random.randint(1, 5)):
        name = f"m{index}"
        models[name] = ModelDay(
            name,
            provider=f"p{random.randrange(providers)}",
            connect=random.choice([0.0, spread(random, 0.001, 0.3)]),
            median=spread(random, 0.02, 3.0),
            sigma=random.uniform(0.1, 1.0),
            gap=spread(random, 0.005, 0.2),
            words=random.choice([1, 3, 6, 12]),
            straggle=random.uniform(2.0, 100.0),
            fails=min(1.0, fails * random.uniform(0.3, 1.5)) if fails < 1.0 else random.choice([1.0, 1.0, 0.1]),
            rps=spread(random, 0.5, 20.0) if random.random() < 0.2 else None,
            told=random.random() < 0.5,
        )
        if random.random() < 0.12:
            rps = models[name].rps or spread(random, 2.0, 50.0)
            models[name].announces = round(60.0 * rps * random.choice([1.0, 1.0, 0.5, 2.0]))
    return models


def _config(random: Random, models: Mapping[str, ModelDay], providers: Sequence[str]) -> dict[str, object]:
    deadline = random.choices([None, spread(random, 0.5, 60.0)], [10, 90])[0]
    defaults: dict[str, object] = {
        "connect": random.choice([None, spread(random, 0.2, 5.0)]),
        "first_token": random.choice([None, spread(random, 0.3, 10.0), spread(random, 0.3, 10.0)]),
        "idle": random.choice([None, spread(random, 0.3, 10.0), spread(random, 0.3, 10.0)]),
        # Something must end an attempt at a model that hangs.
        "total": None if deadline is not None and random.random() < 0.1 else spread(random, 1.0, 40.0),
        "deadline": deadline,
        "retry": {
            "attempts": random.choice([1, 2, 2, 2, 3, 4]), "base": random.uniform(0.05, 0.5),
            "cap": random.uniform(0.5, 8.0), "patience": random.choice([0.0, 2.0, 5.0]),
        },
        "breaker": "off" if random.random() < 0.1 else "auto",
        "on_refusal": random.choice(["raise", "next"]),
        "wire_stream": random.choices(["auto", True, False], [60, 20, 20])[0],
    }
    if random.random() < 0.5:
        defaults["hedge"] = _hedge(random)
    return {
        "default_provider": providers[0],
        "providers": {name: {"base_url": f"http://{name}.sim/v1"} for name in providers},
        "models": {name: _model(random, model) for name, model in models.items()},
        "defaults": defaults,
        "tasks": {f"t{index}": _task(random, sorted(models), deadline) for index in range(random.randint(1, 3))},
    }


def _model(random: Random, model: ModelDay) -> dict[str, object]:
    table: dict[str, object] = {"provider": model.provider, "id": model.name}
    if random.random() < 0.7:
        dollars = random.uniform(0.0, 10.0)
        table["usd_per_mtok"] = {"input": round(dollars, 3), "output": round(random.uniform(0.0, 30.0), 3)}
    if random.random() < 0.5:
        table["context"] = random.choice([1000, 4000, 8000])
    if random.random() < 0.2:
        table["max_concurrent"] = random.choice([1, 2, 4, 8])
    if random.random() < 0.2:
        table["rpm"] = round(spread(random, 20.0, 900.0), 1)
    if random.random() < 0.12:
        table["tpm"] = round(spread(random, 12_000.0, 200_000.0), 1)
    return table


def _hedge(random: Random) -> dict[str, object]:
    hedge: dict[str, object] = {"budget": random.choice([0.0, 0.02, 0.05, 0.05, 0.1, 0.5, 1.0])}
    if random.random() < 0.5:
        hedge["after"] = spread(random, 0.02, 3.0)
    else:
        hedge["after"] = "p95"
        hedge["cap"] = random.choice([None, spread(random, 0.1, 5.0)])
    hedge["same"] = random.random() < 0.25
    return hedge


def _task(random: Random, models: Sequence[str], deadline: float | None) -> dict[str, object]:
    steps: list[object] = []
    for _ in range(random.choice([1, 2, 2, 3, 3, 4])):
        name = random.choice(models)
        if random.random() < 0.2:
            steps.append({"model": name, "total": spread(random, 0.5, 20.0), "first_token": spread(random, 0.2, 5.0)})
        else:
            steps.append(name)
    task: dict[str, object] = {"models": steps}
    if random.random() < 0.4:
        task["hedge"] = random.choice(["none", _hedge(random)])
    if deadline is not None and random.random() < 0.5:
        task["deadline"] = spread(random, 0.3, 60.0)
    if random.random() < 0.2:
        task["params"] = {"max_tokens": random.choice([5, 50, 400])}
    return task


def _outages(
    random: Random, horizon: float, models: Mapping[str, ModelDay], providers: Sequence[str]
) -> list[Outage]:
    subjects: list[str | None] = [*sorted(models), *sorted(models), *providers, None]
    outages = []
    for _ in range(random.choice([0, 0, 1, 1, 2, 4])):
        begins = random.uniform(0.0, horizon)
        lasts = spread(random, 0.5, 120.0)
        factor = spread(random, 2.0, 20.0)
        outages.append(Outage(random.choice(subjects), begins, begins + lasts, random.choice(OUTAGES), factor))
    return outages


def _calls(random: Random, horizon: float, tasks: Sequence[str]) -> list[Behaviour]:
    count = random.randint(110, 240)
    mix = _Mix(random)
    instants: list[float] = []
    bursts = random.choice([0.0, 0.0, 0.3, 0.9])
    while len(instants) < count:
        at = random.uniform(0.0, horizon)
        size = random.randint(2, 40) if random.random() < bursts else 1
        instants += [at] * min(size, count - len(instants))
    return [mix.call(at, random.choice(tasks)) for at in sorted(instants)]


class _Mix:
    """The callers of one day: how many of them cancel, stream, think, refuse."""

    def __init__(self, random: Random) -> None:
        self._random = random
        share = random.uniform
        self._streams = share(0.0, 1.0)
        self._cancels = random.choice([0.0, share(0.0, 0.5), share(0.0, 0.2)])
        self._accepts = random.choice([0.0, share(0.0, 0.5)])
        self._leaves = share(0.0, 0.4)
        self._thinks = random.choice([0.0, share(0.0, 0.6)])
        self._long = random.choice([0.0, 0.0, 0.3, 1.0])
        self._batch = random.choice([0.0, share(0.1, 0.9)])
        self._timeouts = random.choice([0.0, share(0.0, 0.2)])
        self._options = share(0.0, 0.3)

    def call(self, at: float, task: str) -> Behaviour:
        random = self._random
        stream = random.random() < self._streams
        options: dict[str, object] = {}
        if random.random() < self._batch:
            options["priority"] = "batch"
        if random.random() < self._options:
            options |= self._given()
        settings: dict[str, object] = {"restart": random.random() < 0.4, "padding": random.choice([0, 10, 3000])}
        if not stream and random.random() < self._accepts:
            settings["accept"] = random.choices(["yes", "no", "maybe", "slow", "raises"], [20, 20, 40, 15, 5])[0]
            settings["accept_seconds"] = random.choice([0.0, spread(random, 0.01, 3.0)])
        if stream and random.random() < self._thinks:
            settings["thinks"] = spread(random, 0.01, 2.0)
            settings["thinks_once"] = spread(random, 1.0, 100.0) if random.random() < self._long else 0.0
        if stream and random.random() < self._leaves:
            settings |= {"leave_after": random.randint(0, 6), "leave_raising": random.random() < 0.3}
        if random.random() < self._cancels:
            settings["cancels"] = random.choice([1, 1, 2, 3])
            if random.random() < 0.5:
                settings["cancel_after"] = spread(random, 0.001, 20.0)
            else:
                settings["cancel_at_event"] = random.choice(["sent", "connected", "headers", "content", "end"])
        elif random.random() < self._timeouts:
            settings["timeout"] = spread(random, 0.01, 10.0)
        return Behaviour(at, task, stream, options, **settings)  # type: ignore[arg-type]  # drawn above, field by field

    def _given(self) -> dict[str, object]:
        random = self._random
        return random.choice([
            {"deadline": spread(random, 0.05, 30.0)},
            {"hedge": _hedge(random)},
            {"retry": {"attempts": random.randint(1, 4), "patience": random.choice([0.0, 10.0])}},
            {"max_tokens": random.choice([1, 20, 2000])},
        ])
