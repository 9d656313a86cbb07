"""Which of three local set-ups is good enough? `bench` is asked, and the answer is known.

    python benchmarks/which_model.py [--seeds 20] [--out DIRECTORY] [--json results/which_model.json]

200 orders, each to be read into JSON; two scorers, the expected object and a JSON schema. The three set-ups are
simulated models with a known share of right answers, price and speed: "tower" is right 97 times in 100, "desk" 96
times, faster and for a third of the price, "laptop" only 80 times. So desk is the one to choose. For each seed the run
is made in virtual time; with --out once more over sockets in real time, and the page is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from _machine import environment

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Sample, Scenario, Scorer
from asyncrouter.bench.choice_text import choice_sentences
from asyncrouter.sim import Act, World, lognormal

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.bench import Day, Run
    from asyncrouter.sim import Seen


class SetUp(NamedTuple):
    """The truth of a set-up: its share of right answers, median seconds to the first content, USD a million tokens."""

    right: float
    seconds: float
    usd: float


SET_UPS = {"tower": SetUp(0.97, 0.9, 0.30), "desk": SetUp(0.96, 0.5, 0.10), "laptop": SetUp(0.80, 0.35, 0.03)}
CHOICE = "desk"
"""The set-up to choose: nobody can tell its answers from tower's with 200 orders, and it is cheaper and faster."""
SCHEMA = {
    "type": "object", "required": ["item", "quantity", "total"], "additionalProperties": False,
    "properties": {"item": {"type": "string"}, "quantity": {"type": "integer"}, "total": {"type": "number"}},
}
ITEMS = ("kettle", "lamp", "chair", "rope", "mirror", "bell", "basket", "clock")
SCORERS = [Scorer.exact(name="right"), Scorer.json_schema(SCHEMA, name="form")]
RATE = 8.0
"""Calls a second: 200 orders take 25 s."""


def orders() -> list[Sample]:
    """200 orders, and what each says."""
    random, found = Random("orders"), []
    for number in range(200):
        item, quantity, cents = random.choice(ITEMS), random.randrange(2, 60), random.randrange(100, 9900)
        said = {"item": item, "quantity": quantity, "total": round(quantity * cents / 100, 2)}
        found.append(Sample(
            prompt=f"Read this order. Answer only with JSON that has item, quantity and total.\n\nOrder {number}: "
                   f"{quantity} pieces of our {item}, at {cents / 100:.2f} each.", expected=said, id=f"order-{number}"))
    return found


ORDERS = orders()
EXPECTED = {order.text: order.expected for order in ORDERS}


def model(name: str, seed: int) -> Callable[[Seen, Random], Act]:
    """What a set-up says: the right object, one with a wrong total, or a sentence."""

    def act(seen: Seen, _: Random) -> Act:
        prompt = str(seen.body["messages"][-1]["content"])  # type: ignore[index]  # as asked above
        random, said = Random(f"{seed}:{name}:{prompt}"), dict(EXPECTED[prompt])  # type: ignore[call-overload]
        text = json.dumps(said)
        if random.random() >= SET_UPS[name].right:
            said["total"] = round(said["total"] * random.choice((0.1, 10.0)), 2)
            text = random.choice((json.dumps(said), f"The total is {said['total']}."))
        return Act(text=text, first_token=lognormal(SET_UPS[name].seconds, 0.3)(random), gap=0.01)

    return act


def furnish(world: World, seed: int) -> None:
    for name in SET_UPS:
        world.model(name, model(name, seed))


def arms(world: World | None = None, base_url: str = "") -> list[Arm]:
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": one.usd, "output": one.usd}}
              for name, one in SET_UPS.items()}
    config = {"models": models} if world is None else world.config(base_url=base_url, models=models)
    return [Arm(name, {"model": name}, config) for name in SET_UPS]


def simulated(seed: int) -> Run:
    def furnish_day(world: World, day: Day) -> None:
        furnish(world, day.seed)

    return bench.run(arms(), Load.poisson(RATE, calls=len(ORDERS)), scenario=Scenario("orders", "", furnish_day),
                     prompts=ORDERS, scorers=SCORERS, seed=seed)


async def over_sockets(seed: int) -> Run:
    world = World(seed, keep=0)
    furnish(world, seed)
    async with world.server() as server:
        settings = bench.Settings(seed=seed, prompts=ORDERS, scorers=SCORERS)
        return await bench.run_real(arms(world, server.base_url), Load.poisson(RATE, calls=len(ORDERS)), settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found: Counter[str] = Counter()
    false = 0
    for seed in range(chosen.seeds):
        choice = simulated(seed).report().choice
        assert choice is not None
        found[choice.chosen or "none"] += 1
        change = choice.pair("desk", "tower", "quality")
        false += change is not None and change.verdict != "same"
    print(f"chosen: {dict(found)}; seeds in which desk and tower were told apart in quality: {false}")
    if chosen.out is not None:
        run = asyncio.run(over_sockets(0))
        report = run.report()
        assert report.choice is not None
        print("\n".join(choice_sentences(report.choice, report.arms)))
        print(run.write(chosen.out) / "report.html")
    if chosen.json is not None:
        document = {"environment": environment(), "truth": {name: one._asdict() for name, one in SET_UPS.items()},
                    "right_choice": CHOICE, "chosen": found, "seeds": chosen.seeds, "told_apart": false}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
