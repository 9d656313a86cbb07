"""A scenario, drawn from a seed: models and chains, what fails and when, who calls and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import TYPE_CHECKING

from .behaviour import BehaviourMix
from .config import draw_config, draw_in_time
from .distributions import log_uniform
from .fault_kinds import KINDS
from .late_days import make_late
from .own_troubles import draw_own_troubles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .behaviour import Behaviour

RECOVERY_CALLS = (1.0, 4.0, 8.0, 16.0, 21.0, 66.0, 310.0, 625.0)
"""Seconds after the end of the faults at which each task is called once more."""
OUTAGES = ("refuse", "hang_connect", "hang_headers", "hang_content", "503", "503", "500", "500", "529", "429",
           "429", "401", "404", "slow", "slow", "slow", "ramp", "ramp", "clog", "clog", "reset_headers")
"""Kinds of outages; "ramp": slower and slower, "clog": nothing gets through before its end."""
LASTING = frozenset({"401", "402", "429_money", "403", "404"})
LASTING_WEIGHT = 0.03
"""The weight of faults that disable a model or a key for minutes, beside 1 for others: else nothing else happens."""


@dataclass(slots=True)
class ModelProfile:
    """How a model behaves without faults; seconds to connect, to the first content, and between two."""

    name: str
    provider: str
    wire: str
    connect: float
    median: float
    sigma: float
    gap: float
    words: int
    straggler_factor: float
    failure_share: float
    """The share of its requests that meet one of the scenario's faults."""
    rps: float | None = None
    """Requests a second that its provider accepts; `None` for no limit."""
    sends_retry_after: bool = True
    """Whether its 429s name a pause."""
    announced_rpm: float | None = None
    """Requests a minute that its headers announce, true or not."""
    window: bool = False
    """Whether that is a limit that it keeps, counted from minute to minute, and its headers say what is left."""
    step: tuple[float, float] = (0.0, 1.0)
    """An instant from which on its limit is so many times as large."""
    unlimited_size: bool = True
    """Whether an answer may be of any size."""

    @property
    def of_all_keys(self) -> tuple[str, str]:
        """The names of the model and of its provider, whatever key it is asked with: of "p0[1]:m0" these are m0 and p0.
        """
        return self.name.rpartition(":")[2], self.provider.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Outage:
    """What happens from one instant to another to every request to a model, a provider, or (`None`) anybody."""

    subject: str | None
    begins: float
    ends: float
    kind: str
    factor: float = 1.0


@dataclass(slots=True)
class Scenario:
    """Everything that a seed decides in advance."""

    seed: int
    config: dict[str, object]
    models: dict[str, ModelProfile]
    faults: Sequence[str]
    weights: Sequence[float]
    outages: list[Outage]
    calls: list[Behaviour]
    health_checks: list[float]
    """Instants at which somebody asks for `health()` and `explain()`."""
    listeners: str
    ends: str
    """How the router is closed: "drain" or "aclose" when all is quiet, or early, at `ends_at`."""
    ends_at: float
    key_rotations: dict[str, float]
    """Providers whose key changes at an instant; ours is a function that knows the new one."""
    slow_cancel: float = 0.0
    """Share of second requests that take a while to notice that they are cancelled."""
    slow_close: float = 0.0
    """Seconds that closing the transport takes."""
    picky: frozenset[str] = frozenset()
    """The models that dislike some prompts."""
    crowded: tuple[tuple[float, float], ...] = ()
    """Times, from one instant to another, at which this machine has no descriptor free for a connection."""
    blocked: tuple[tuple[float, float], ...] = ()
    """Times, from one instant to another, for which the program blocks the event loop."""
    pools: frozenset[str] = frozenset()
    """The names in its chains that are pools."""
    keys: Mapping[str, int] = field(default_factory=dict)
    """How many keys a provider has, where that is more than one."""
    dead_keys: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From when to when a key, such as "p0[1]", is not accepted."""
    routers: int = 1
    """How many routers make the calls; several keep their limits and holds in one store."""
    leaves_at: float = inf
    """When the second router leaves the calls to the first."""
    calm: bool = False
    """Whether nothing goes wrong and all models are equally quick."""
    wall_jump: tuple[float, float] = (0.0, 0.0)
    """An instant at which our wall clock is set, and by how many seconds."""


def draw_scenario(seed: int) -> Scenario:
    """Draw the scenario of this seed."""
    random = Random(f"day {seed}")
    horizon = random.uniform(20.0, 240.0)
    unlimited_size = random.random() < 0.7
    models = _models(random, horizon, unlimited_size=unlimited_size)
    _draw_windows(Random(f"windows {seed}"), models)
    providers = sorted({model.provider for model in models.values()})
    faults = [kind for kind in KINDS if random.random() < 0.5] or ["500"]
    config = draw_config(random, models, providers)
    drawn = _calls(random, horizon, sorted(config["tasks"]))  # type: ignore[call-overload]  # ours: a dict of tasks
    draw_in_time(seed, config)
    calls, picky = draw_own_troubles(seed, drawn, config, models)
    scenario = Scenario(
        seed=seed,
        config=config,
        models=models,
        faults=faults,
        weights=[random.uniform(0.1, 1.0) * (LASTING_WEIGHT if kind in LASTING else 1.0) for kind in faults],
        outages=_outages(random, horizon, models, providers),
        calls=calls,
        health_checks=sorted(random.uniform(0.0, horizon) for _ in range(12)),
        listeners=random.choices(["one", "raising", "none"], [75, 15, 10])[0],
        ends=random.choices(["drain", "aclose", "drain early", "close early"], [44, 44, 6, 6])[0],
        ends_at=random.uniform(0.2, 1.0) * horizon,
        key_rotations={name: random.uniform(0.0, horizon) for name in providers if random.random() < 0.15},
        picky=picky,
        slow_cancel=random.choice([0.0, 0.0, 0.3]),
        slow_close=random.choice([0.0, 0.0, random.uniform(0.0, 10.0)]),
        crowded=_crowded(Random(f"crowded {seed}"), horizon),
        blocked=_blocked(Random(f"blocked {seed}"), horizon),
        wall_jump=(random.uniform(0.0, horizon), random.choice([0.0, 0.0, 0.0, -3600.0, 3600.0])),
    )
    make_late(scenario)
    return scenario


def _models(random: Random, horizon: float, *, unlimited_size: bool) -> dict[str, ModelProfile]:
    names = ["openai", "openai", "responses", "anthropic", "gemini"]
    wires = [random.choice(names) for _ in range(random.randint(1, 3))]
    fails = random.choices(
        [random.uniform(0.0, 0.02), random.uniform(0.02, 0.2), random.uniform(0.2, 0.6), 1.0], [15, 55, 22, 8]
    )[0]
    models = {}
    for index in range(random.randint(1, 5)):
        name, provider = f"m{index}", random.randrange(len(wires))
        models[name] = ModelProfile(
            name,
            provider=f"p{provider}",
            wire=wires[provider],
            connect=random.choice([0.0, log_uniform(random, 0.001, 0.3)]),
            median=log_uniform(random, 0.02, 3.0),
            sigma=random.uniform(0.1, 1.0),
            gap=log_uniform(random, 0.005, 0.2),
            words=random.choice([1, 3, 6, 12]),
            straggler_factor=random.uniform(2.0, 100.0),
            failure_share=min(1.0, fails * random.uniform(0.3, 1.5)) if fails < 1.0 else random.choice([1.0, 1.0, 0.1]),
            rps=log_uniform(random, 0.5, 20.0) if random.random() < 0.2 else None,
            sends_retry_after=random.random() < 0.5,
            step=(random.uniform(0.0, horizon), random.choice([1.0, log_uniform(random, 0.1, 10.0)])),
            unlimited_size=unlimited_size,
        )
        if random.random() < 0.12:
            rps = models[name].rps or log_uniform(random, 2.0, 50.0)
            models[name].announced_rpm = round(60.0 * rps * random.choice([1.0, 1.0, 0.5, 2.0]))
    return models


def _draw_windows(random: Random, models: Mapping[str, ModelProfile]) -> None:
    """Draw which of the limits that are announced are kept to the letter, and how large they are."""
    for model in models.values():
        if model.announced_rpm is not None and random.random() < 0.5:
            model.window, model.rps = True, None
            model.announced_rpm = round(log_uniform(random, 6.0, 300.0))


def _outages(
    random: Random, horizon: float, models: Mapping[str, ModelProfile], providers: Sequence[str]
) -> list[Outage]:
    subjects: list[str | None] = [*sorted(models), *sorted(models), *providers, None]
    outages = []
    for _ in range(random.choice([0, 0, 1, 1, 2, 4])):
        begins = random.uniform(0.0, horizon)
        lasts = log_uniform(random, 0.5, 120.0)
        factor = log_uniform(random, 2.0, 20.0)
        outages.append(Outage(random.choice(subjects), begins, begins + lasts, random.choice(OUTAGES), factor))
    return outages


def _crowded(random: Random, horizon: float) -> tuple[tuple[float, float], ...]:
    begins = [random.uniform(0.0, horizon) for _ in range(random.choice([0, 0, 0, 1, 2]))]
    return tuple((at, at + log_uniform(random, 0.05, 10.0)) for at in begins)


def _blocked(random: Random, horizon: float) -> tuple[tuple[float, float], ...]:
    blocked: list[tuple[float, float]] = []
    for begins in sorted(random.uniform(0.0, horizon) for _ in range(random.choice([0, 0, 0, 1, 3]))):
        if not blocked or begins > blocked[-1][1]:
            blocked.append((begins, begins + log_uniform(random, 0.05, 10.0)))
    return tuple(blocked)


def _calls(random: Random, horizon: float, tasks: Sequence[str]) -> list[Behaviour]:
    count = random.randint(110, 240)
    mix = BehaviourMix(random)
    instants: list[float] = []
    bursts = random.choice([0.0, 0.0, 0.3, 0.9])
    while len(instants) < count:
        at = random.uniform(0.0, horizon)
        size = random.randint(2, 40) if random.random() < bursts else 1
        instants += [at] * min(size, count - len(instants))
    return [mix.call(at, random.choice(tasks)) for at in sorted(instants)]


