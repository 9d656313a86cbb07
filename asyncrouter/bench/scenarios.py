"""Scenarios: simulated days, good and bad, that are the same for every arm.

What a model does with a prompt is drawn from the seed, the model, the prompt, and how often that model was asked this
prompt before; never from the order of requests. So an arm that sends more requests changes nothing for another arm, and
arms can be compared call by call. Trouble is the middle third of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import heapreplace
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.bench.arms import FIRST, SECOND, THIRD
from asyncrouter.bench.sums import SAMPLES, furnish_sums
from asyncrouter.sim import Act, World, lognormal

if TYPE_CHECKING:
    from asyncrouter.bench.sample import Sample
    from asyncrouter.sim import Lognormal, Seen

Fault = Callable[[float, Random], Act | None]
"""What a model does wrong with a request at an instant (seconds); `None`: nothing, it answers."""

Slower = Callable[[float, Random], tuple[float, float]]
"""How many times longer the first content of a request at an instant takes, and the time between two contents."""
PRICES = {FIRST: (3.0, 15.0), SECOND: (2.5, 10.0), THIRD: (0.15, 0.6)}
"""USD for a million input and output tokens, of the order of a large, a middle and a small model in 2026."""
USUAL = {FIRST: lognormal(0.6, 0.35), SECOND: lognormal(0.7, 0.4), THIRD: lognormal(0.4, 0.3)}
"""Seconds to the first content on an ordinary day: median and sigma of a lognormal distribution."""
THINKING = {FIRST: lognormal(6.0, 0.6), SECOND: lognormal(7.0, 0.6), THIRD: lognormal(3.0, 0.5)}
"""The same for models that think before they answer: nothing comes while they do."""
TOKENS = 20
"""Contents of an answer: a short one, so that the time to the first content dominates."""
LONGER = 60
"""Contents of an answer where trouble comes after the first one."""
GAP = 0.03
"""Seconds between two contents, on average."""

SLOTS = 8
"""Calls that the one server of "one-server" answers at once."""
SERVED_TOKENS = lognormal(22.4, 0.472)
"""Contents of its answers: a mean of 25 and a coefficient of variation of 0.5."""
SERVED_GAP = 0.02
"""Seconds until its first content, and between two: 0.5 s for a mean answer, so 16 answers a second from 8 slots."""


class Day(NamedTuple):
    """What a scenario knows of the run: its length in seconds, its calls a second, the seed that all arms share."""

    seconds: float
    rate: float
    seed: int

    def trouble(self, at: float) -> bool:
        """Whether the instant `at` is in the middle third."""
        return self.seconds / 3.0 <= at < self.seconds * 2.0 / 3.0


class Scenario(NamedTuple):
    """A simulated day: its name, what happens in it, and a function that sets up what is wrong with its models.

    `tokens` are the contents of an answer, `usual` the seconds to the first of them on an ordinary day, by model.
    `samples` are what is asked unless a run has prompts of its own.
    """

    name: str
    what: str
    furnish: Callable[[World, Day], None]
    tokens: int = TOKENS
    usual: Mapping[str, Lognormal] = USUAL
    samples: Sequence[Sample] = ()

    def world(self, day: Day, *, ordinary: bool = False) -> World:
        """A new world at the beginning of that day; `ordinary`: of one on which nothing is wrong."""
        world = World(day.seed, keep=0)
        for name, price in PRICES.items():
            add_model(world, day, name, self.usual[name], tokens=self.tokens)
            world.model(name).price(*price)
        if not ordinary:
            self.furnish(world, day)
        return world


def add_model(
    world: World, day: Day, name: str, first_token: Lognormal | None = None, fault: Fault | None = None,
    tokens: int = TOKENS, slower: Slower | None = None,
) -> None:
    """Let a model answer, with its first content after what `first_token` draws (`None`: as usual), but for its faults.

    `slower` says how many times longer a request takes.

    What it draws depends on nothing but the seed, the model, the prompt and how often the model was asked it.
    """
    asked: Counter[str] = Counter()
    seconds = first_token or USUAL[name]

    def act(seen: Seen, _: Random) -> Act:
        prompt = prompt_of(seen)
        asked[prompt] += 1
        random = Random(f"{day.seed}:{name}:{asked[prompt]}:{prompt}")
        drawn, gap = seconds(random), GAP * random.uniform(0.7, 1.3)
        if fault is not None and (faulty := fault(seen.at, random)) is not None:
            return faulty
        first, between = (1.0, 1.0) if slower is None else slower(seen.at, random)
        return Act(first_token=first * drawn, gap=between * gap, tokens=tokens)

    world.model(name, act)


def prompt_of(seen: Seen) -> str:
    """The text of a request's last message, "" without one: it identifies the call, whatever else its sender writes."""
    messages = seen.body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return str(last.get("content")) if isinstance(last, dict) else ""


def _healthy(world: World, day: Day) -> None:
    pass


def _heavy_tail(world: World, day: Day) -> None:
    add_model(world, day, FIRST, lognormal(0.6, 0.35, stragglers=0.02, factor=15.0))


def _brown_out(world: World, day: Day) -> None:
    slow = lognormal(6.0, 0.5)
    add_model(world, day, FIRST, fault=lambda at, random: (
        Act(first_token=slow(random), gap=GAP, tokens=TOKENS) if day.trouble(at) else None
    ))


def _outage(world: World, day: Day) -> None:
    add_model(world, day, FIRST, fault=lambda at, _: Act(status=503, first_token=0.05) if day.trouble(at) else None)


def _rate_limited(world: World, day: Day) -> None:
    world.model(FIRST).limit(max(0.2, 0.6 * day.rate), burst=5.0)


def _flaky(world: World, day: Day) -> None:
    add_model(world, day, FIRST, fault=lambda _, random: (
        Act(status=500, first_token=0.2) if random.random() < 0.05 else None
    ))


def _torn_streams(world: World, day: Day) -> None:
    def fault(_: float, random: Random) -> Act | None:
        drawn = random.random()
        if drawn < 0.02:
            return Act(first_token=0.5, gap=GAP, tokens=TOKENS, fault="stall", at=8, pause=45.0)
        if drawn < 0.05:
            return Act(first_token=0.5, gap=GAP, tokens=TOKENS, fault="cut", at=8)
        return Act(fault="hang", at="headers") if drawn < 0.06 else None

    add_model(world, day, FIRST, fault=fault)


def _slow_answers(world: World, day: Day) -> None:
    add_model(world, day, FIRST, tokens=LONGER, slower=lambda at, _: (3.0, 3.0) if day.trouble(at) else (1.0, 1.0))


def _slow_words(world: World, day: Day) -> None:
    add_model(world, day, FIRST, tokens=LONGER, slower=lambda at, _: (1.0, 20.0) if day.trouble(at) else (1.0, 1.0))


def _crawl(world: World, day: Day) -> None:
    add_model(world, day, FIRST, tokens=LONGER,
              slower=lambda _, random: (1.0, 20.0) if random.random() < 0.03 else (1.0, 1.0))


def _stall(world: World, day: Day) -> None:
    add_model(world, day, FIRST, tokens=LONGER, fault=lambda _, random: _stalling(random, USUAL[FIRST]))


def _silent(world: World, day: Day) -> None:
    add_model(world, day, FIRST, tokens=LONGER, fault=lambda at, _: (
        Act(fault="hang", at="headers") if day.trouble(at) else None
    ))


def _mixed(world: World, day: Day) -> None:
    def slower(at: float, random: Random) -> tuple[float, float]:
        return 20.0 if random.random() < 0.02 else 1.0, 20.0 if day.trouble(at) else 1.0

    add_model(world, day, FIRST, tokens=LONGER, fault=lambda _, random: _stalling(random, USUAL[FIRST]),
              slower=slower)


def _thinking(world: World, day: Day) -> None:
    add_model(world, day, FIRST, THINKING[FIRST], lambda _, random: _stalling(random, THINKING[FIRST]), LONGER,
              lambda _, random: (20.0, 1.0) if random.random() < 0.02 else (1.0, 1.0))


def _stalling(random: Random, first_token: Lognormal) -> Act | None:
    """An answer that falls silent in the middle for half a minute, two times in a hundred."""
    if random.random() >= 0.02:
        return None
    first, at = first_token(random), random.randrange(5, LONGER - 5)
    return Act(first_token=first, gap=GAP, tokens=LONGER, fault="stall", at=at, pause=30.0)


def _all_slow(world: World, day: Day) -> None:
    for name, usual in USUAL.items():
        slow = lognormal(usual.median * 8.0, 0.5)
        add_model(world, day, name, fault=lambda at, random, slow=slow: (  # type: ignore[misc]  # bound now
            Act(first_token=slow(random), gap=GAP, tokens=TOKENS) if day.trouble(at) else None
        ))


def _one_server(world: World, day: Day) -> None:
    """A queue before `SLOTS` slots, first come, first served: known capacity, for `bench max-rate`."""
    free = [0.0] * SLOTS

    def act(seen: Seen, random: Random) -> Act:
        waited = max(0.0, free[0] - seen.at)
        length = max(1, round(SERVED_TOKENS(random)))
        heapreplace(free, seen.at + waited + SERVED_GAP * length)
        return Act(first_token=waited + SERVED_GAP, gap=SERVED_GAP, tokens=length)

    world.model(FIRST, act)


def _sums(world: World, day: Day) -> None:
    furnish_sums(world, day.seed)


SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (
    Scenario("healthy", "three models that answer as usual", _healthy),
    Scenario("heavy-tail", "2 % of the first model's answers take 15 times as long", _heavy_tail),
    Scenario("brown-out", "the first model is ten times slower in the middle third", _brown_out),
    Scenario("outage", "the first model answers 503 in the middle third, then recovers", _outage),
    Scenario("rate-limited", "the first model takes 60 % of the rate and rejects the rest with 429 and Retry-After",
             _rate_limited),
    Scenario("flaky", "5 % of the first model's answers are a 500", _flaky),
    Scenario("torn-streams", "the first model's stream stalls (2 %), is cut off (3 %) or never begins (1 %)",
             _torn_streams),
    Scenario("slow-answers", "the first model is three times slower, from first to last word, in the middle third",
             _slow_answers, LONGER),
    Scenario("slow-words", "the first model's words come 20 times slower in the middle third", _slow_words, LONGER),
    Scenario("crawl", "the words of 3 % of the first model's answers come 20 times slower", _crawl, LONGER),
    Scenario("stall", "2 % of the first model's answers fall silent in the middle, for 30 s", _stall, LONGER),
    Scenario("silent", "the first model takes requests and never answers in the middle third", _silent, LONGER),
    Scenario("mixed", "2 % of the first model's answers begin 20 times later, 2 % fall silent in the middle, and words "
             "come 20 times slower in the middle third", _mixed, LONGER),
    Scenario("thinking", "models think for seconds before they answer; the first one thinks 20 times longer (2 %) or "
             "falls silent in the middle (2 %)", _thinking, LONGER, THINKING),
    Scenario("one-server", f"the first model has {SLOTS} slots, and a queue of calls that wait for one", _one_server),
    Scenario("sums", "three models add numbers, the dearer ones more reliably; for --score exact and --models",
             _sums, samples=SAMPLES),
    Scenario("all-slow", "every model is eight times slower in the middle third", _all_slow),
)}
"""The built-in scenarios, by name."""
