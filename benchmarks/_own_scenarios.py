"""Scenarios of the benchmarks over sockets that `asyncrouter bench` has not: a tail, crowds at a limit, and blame."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING, Final

from asyncrouter.bench import SCENARIOS, Day, Load, Scenario
from asyncrouter.bench.scenarios import prompt_of
from asyncrouter.sim import Act, lognormal

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Seen, World

FIRST, SECOND = "primary", "secondary"
SLOWER, SHARE = 20.0, 0.01
"""The factor of a straggler, and the share of stragglers, in the scenario "tail"."""
CROWD, CROWDS = 300, 2
"""Calls that come within a second, and how often they do, evenly over the day."""
CROWD_LIMIT = 20.0
"""Requests a second that each of the two models takes in a crowd: together they could answer all in 8 s."""
BLAMED_EVERY = 30
"""One call in so many is refused by the first model for what is in it, in the scenario "blame"."""
REFUSALS: Final = (
    Act(status=400, code="invalid_value", message="Invalid value: 'odd'."),
    Act(status=404, message="No endpoints found that support tool use."),
    Act(status=402, message="This request needs more credits, or fewer max_tokens."),
    Act(status=403, type="blocked", message="Request blocked."),
    Act(status=500, message="The server had an error."),
)
"""What such calls meet, in turn: nothing that says anything of the next call."""
NUMBER = re.compile(r"^\[(\d+)\]")
stayed: Counter[str] = Counter()
"""Requests of sound calls, by model, in the scenario "blame"."""


def blamed(number: int) -> bool:
    """Whether the first model refuses the call of that number for what is in it."""
    return number % BLAMED_EVERY == BLAMED_EVERY - 1


def arrivals(scenario: str, seconds: float, rate: float, seed: int) -> list[float]:
    """The instants of a day's calls: crowds all at once, others as a Poisson process."""
    if scenario not in CROWDED:
        return Load.poisson(rate, seconds=seconds).arrivals(seed)
    random = Random(seed)
    return sorted(crowd * seconds / CROWDS + random.random() for crowd in range(CROWDS) for _ in range(CROWD))


def _tail(world: World, day: Day) -> None:
    """Two models of which the first takes twenty times as long for one call in a hundred."""
    for name, seconds in ((FIRST, lognormal(0.06, 0.3, stragglers=SHARE, factor=SLOWER)),
                          (SECOND, lognormal(0.07, 0.3))):
        asked: Counter[str] = Counter()

        def act(seen: Seen, _: Random, name=name, seconds=seconds, asked=asked) -> Act:
            prompt = prompt_of(seen)
            asked[prompt] += 1
            drawn = seconds(Random(f"{day.seed}:{name}:{asked[prompt]}:{prompt}"))
            return Act(first_token=drawn, gap=0.004, tokens=5)

        world.model(name, act)


def _crowd(world: World, _: Day, *, told: bool) -> None:
    for name in (FIRST, SECOND):
        world.model(name).limit(CROWD_LIMIT, retry_after=told)


def _blame(world: World, _: Day) -> None:
    """The first model is healthy, and refuses some calls for what is in them."""
    refusals = cycle(REFUSALS)

    def refuse(seen: Seen, _: Random) -> Act | None:
        number = NUMBER.match(prompt_of(seen))
        if number is None:
            return None
        if blamed(int(number.group(1))):
            return next(refusals) if seen.model == FIRST else None
        stayed[seen.model] += 1
        return None

    world.rule(refuse)


CROWDED: Final[dict[str, Callable[[World, Day], None]]] = {
    "crowd": partial(_crowd, told=True), "hidden-crowd": partial(_crowd, told=False),
}
_CROWD = (f"{CROWDS} crowds of {CROWD} calls within a second; each model takes {CROWD_LIMIT:g} a second and rejects "
          "the rest with 429")
OWN_SCENARIOS: Final = {
    "tail": Scenario("tail", "1 % of the first model's answers take 20 times as long", _tail),
    "crowd": Scenario("crowd", f"{_CROWD} and Retry-After", CROWDED["crowd"]),
    "hidden-crowd": Scenario("hidden-crowd", f"{_CROWD}, without a hint", CROWDED["hidden-crowd"]),
    "blame": Scenario("blame", f"the first model refuses one call in {BLAMED_EVERY} for what is in it: 400, 404, 402, "
                      "403, 500", _blame),
}
ALL_SCENARIOS: Final[dict[str, Scenario]] = {**SCENARIOS, **OWN_SCENARIOS}
