"""The scenario "sums": three models add numbers, the dearer ones more reliably. To try scorers without a key.

Each model gets a share of the sums right that is known: `RIGHT`. A right answer is the bare number; half of the wrong
ones are a wrong number, the others a sentence, so that an exact check and a check of the form differ.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from asyncrouter.bench.arms import FIRST, SECOND, THIRD
from asyncrouter.bench.sample import Sample
from asyncrouter.sim import Act, lognormal

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Lognormal, Seen, World

RIGHT = {FIRST: 0.96, SECOND: 0.95, THIRD: 0.72}
"""The share of the sums that each model gets right."""
SECONDS = {FIRST: lognormal(1.1, 0.35), SECOND: lognormal(0.6, 0.35), THIRD: lognormal(0.35, 0.3)}
"""Seconds to the first content of each model: median and sigma of a lognormal distribution."""
COUNT = 200
"""Sums that are asked."""


def _sums() -> list[Sample]:
    random = Random("sums")
    pairs = [(random.randrange(100, 1000), random.randrange(100, 1000)) for _ in range(COUNT)]
    return [Sample(prompt=f"Add {one} and {other}. Answer with the number alone.", expected=str(one + other),
                   id=f"{one}+{other}") for one, other in pairs]


SAMPLES = _sums()
"""The sums, with the expected answers: the same in every run."""
_EXPECTED = {sample.text: str(sample.expected) for sample in SAMPLES}


def furnish_sums(world: World, seed: int) -> None:
    """Let the three models of a world add."""
    for name, right in RIGHT.items():
        world.model(name, _adding(name, seed, right, SECONDS[name]))


def _adding(name: str, seed: int, right: float, seconds: Lognormal) -> Callable[[Seen, Random], Act]:
    asked: dict[str, int] = {}

    def act(seen: Seen, _: Random) -> Act:
        messages = seen.body.get("messages")
        prompt = str(messages[-1].get("content")) if isinstance(messages, list) and messages else ""
        asked[prompt] = asked.get(prompt, 0) + 1
        random = Random(f"{seed}:{name}:{asked[prompt]}:{prompt}")
        return Act(first_token=seconds(random), text=_answer(_EXPECTED.get(prompt, "0"), right, random))

    return act


def _answer(expected: str, right: float, random: Random) -> str:
    if random.random() < right:
        return expected
    wrong = int(expected) + random.choice((-100, -10, -1, 1, 10, 100))
    return str(wrong) if random.random() < 0.5 else f"The sum is {wrong}."
