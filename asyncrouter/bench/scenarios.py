"""Simulated days, good and bad, that every arm meets alike.

What a model does with a prompt is drawn from the prompt, the model and how often that model was asked it before, never
from the order of requests: an arm that asks more changes nothing for another arm. A time of trouble is the middle
third of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.bench.arms import FIRST, SECOND, THIRD
from asyncrouter.sim import Act, World, lognormal

if TYPE_CHECKING:
    from asyncrouter.sim import Lognormal, Seen

Fate = Callable[[float, Random], Act | None]
"""What trouble has for a request at an instant; `None`: the model answers."""

PRICES = {FIRST: (3.0, 15.0), SECOND: (2.5, 10.0), THIRD: (0.15, 0.6)}
"""USD for a million tokens, in and out."""
USUAL = {FIRST: lognormal(0.6, 0.35), SECOND: lognormal(0.7, 0.4), THIRD: lognormal(0.4, 0.3)}
TOKENS, GAP = 20, 0.03
"""A short answer: contents, and seconds between them."""


class Day(NamedTuple):
    """What a scenario may know of the run: its length, its rate of calls, the seed that all arms share."""

    seconds: float
    rate: float
    seed: int

    def trouble(self, at: float) -> bool:
        """Whether it is the middle third."""
        return self.seconds / 3.0 <= at < self.seconds * 2.0 / 3.0


class Scenario(NamedTuple):
    """A simulated day under its name."""

    name: str
    what: str
    furnish: Callable[[World, Day], None]

    def world(self, day: Day) -> World:
        """A new world in which that day begins."""
        world = World(day.seed, keep=0)
        for name, price in PRICES.items():
            answers(world, day, name)
            world.model(name).price(*price)
        self.furnish(world, day)
        return world


def answers(world: World, day: Day, name: str, law: Lognormal | None = None, fate: Fate | None = None) -> None:
    """Let a model answer after what `law` draws (`None`: as it usually does), unless fate has something else."""
    asked: Counter[str] = Counter()
    first_token = law or USUAL[name]

    def act(seen: Seen, _: Random) -> Act:
        prompt = said(seen)
        asked[prompt] += 1
        random = Random(f"{day.seed}:{name}:{asked[prompt]}:{prompt}")
        drawn, gap = first_token(random), GAP * random.uniform(0.7, 1.3)
        if fate is not None and (fated := fate(seen.at, random)) is not None:
            return fated
        return Act(first_token=drawn, gap=gap, tokens=TOKENS)

    world.model(name, act)


def said(seen: Seen) -> str:
    """The last message of a request: the same call is the same, however its sender writes the rest."""
    messages = seen.body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return str(last.get("content")) if isinstance(last, dict) else ""


def _healthy(world: World, day: Day) -> None:
    pass


def _heavy_tail(world: World, day: Day) -> None:
    answers(world, day, FIRST, lognormal(0.6, 0.35, stragglers=0.02, factor=15.0))


def _brown_out(world: World, day: Day) -> None:
    slow = lognormal(6.0, 0.5)
    answers(world, day, FIRST, fate=lambda at, random: (
        Act(first_token=slow(random), gap=GAP, tokens=TOKENS) if day.trouble(at) else None
    ))


def _outage(world: World, day: Day) -> None:
    answers(world, day, FIRST, fate=lambda at, _: Act(status=503, first_token=0.05) if day.trouble(at) else None)


def _rate_limited(world: World, day: Day) -> None:
    world.model(FIRST).limit(max(0.2, 0.6 * day.rate), burst=5.0)


def _flaky(world: World, day: Day) -> None:
    answers(world, day, FIRST, fate=lambda _, random: (
        Act(status=500, first_token=0.2) if random.random() < 0.05 else None
    ))


def _torn_streams(world: World, day: Day) -> None:
    def fate(_: float, random: Random) -> Act | None:
        luck = random.random()
        if luck < 0.02:
            return Act(first_token=0.5, gap=GAP, tokens=TOKENS, fault="stall", at=8, pause=45.0)
        if luck < 0.05:
            return Act(first_token=0.5, gap=GAP, tokens=TOKENS, fault="cut", at=8)
        return Act(fault="hang", at="headers") if luck < 0.06 else None

    answers(world, day, FIRST, fate=fate)


def _all_slow(world: World, day: Day) -> None:
    for name, law in USUAL.items():
        slow = lognormal(law.median * 8.0, 0.5)
        answers(world, day, name, fate=lambda at, random, slow=slow: (  # type: ignore[misc]  # bound now
            Act(first_token=slow(random), gap=GAP, tokens=TOKENS) if day.trouble(at) else None
        ))


SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (
    Scenario("healthy", "three models that answer as they usually do", _healthy),
    Scenario("heavy-tail", "2 % of the first model's answers take 15 times as long", _heavy_tail),
    Scenario("brown-out", "the first model is ten times slower in the middle third", _brown_out),
    Scenario("outage", "the first model answers 503 in the middle third, then recovers", _outage),
    Scenario("rate-limited", "the first model takes 60 % of the rate and turns the rest away with Retry-After",
             _rate_limited),
    Scenario("flaky", "5 % of the first model's answers are a 500", _flaky),
    Scenario("torn-streams", "the first model stalls (2 %), is cut off (3 %) or never begins (1 %)", _torn_streams),
    Scenario("all-slow", "every model is eight times slower in the middle third", _all_slow),
)}
