"""Structured answers: is a value ever wrong, and what does a cheap model that often misses save beside a dear one?

    python benchmarks/structured.py [--answers 1000] [--json benchmarks/results/structured.json]

*Real*: the local model (SmolLM2-135M), asked under three shapes (a JSON schema, a pydantic class, a TypedDict), in turn
by its server's grammar on Chat Completions, and by the prompt alone, on Chat Completions and the Messages API. Every
value is judged by code that shares nothing with the library's check. A small model misses often; what counts is that no
answer that misses is given out as a value, and that no answer that fits is turned down.

*Mix*: a cheap model that misses 30 % of its answers in many ways, and a dear one that never does, at ten times its
price, in virtual time: each alone, and the cheap one first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from _machine import environment
from pydantic import BaseModel, Field

from asyncrouter import AllModelsFailed, Config, NotAccepted, Reply, Router, local
from asyncrouter.schema import to_json
from asyncrouter.sim import Act, Clock, LoggedRequest, World

if TYPE_CHECKING:
    from random import Random

CONCURRENCY = 8
MAX_TOKENS = 24
CALLS = 2000
MISSES = 0.3
PRICES = {"cheap": 1.0, "dear": 10.0}
"""US dollars for a million tokens, in and out."""

COLOUR = {
    "title": "colour", "type": "object", "required": ["name", "level"], "additionalProperties": False,
    "properties": {
        "name": {"enum": ["red", "green", "blue"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9},
    },
}


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int
    likes: list[str] = Field(max_length=2)


class Verdict(TypedDict):
    good: bool
    grade: Literal["a", "b", "c"]


SHAPES: dict[str, tuple[object, str]] = {
    "schema": (COLOUR, "Name a colour and its level from 0 to 9, as JSON."),
    "class": (Person, "Describe a person: name, age, and one or two things she likes, as JSON."),
    "typed dict": (Verdict, "Is tea good? Give a verdict with a grade a, b or c, as JSON."),
}
ROUTES = ("grammar", "prompt", "messages")


def fits(shape: str, text: str) -> object:
    """The value in a text by a judge of our own, `None` if it has none. No schema library, no pydantic."""
    text = text.strip().removeprefix("\ufeff")
    fence = re.fullmatch(r"```(?:json)?(.*)```", text, re.DOTALL | re.IGNORECASE)
    twice: list[bool] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.append(len({key for key, _ in found}) != len(found))
        return dict(found)

    try:
        value = json.loads(fence[1] if fence else text, object_pairs_hook=pairs, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError, RecursionError):
        return None
    return value if isinstance(value, dict) and not any(twice) and _JUDGES[shape](value) else None


def _is_colour(value: dict[str, Any]) -> bool:
    level = value.get("level")
    whole = type(level) is int or (type(level) is float and level.is_integer())
    return value.keys() == {"name", "level"} and value["name"] in {"red", "green", "blue"} and whole and 0 <= level <= 9


def _is_person(value: dict[str, Any]) -> bool:
    name, age, likes = (value.get(key) for key in ("name", "age", "likes"))
    return (
        type(name) is str and len(name) <= 20 and type(age) is int
        and type(likes) is list and len(likes) <= 2 and all(type(one) is str for one in likes)
    )


def _is_verdict(value: dict[str, Any]) -> bool:
    return type(value.get("good")) is bool and value.get("grade") in ("a", "b", "c")


_JUDGES = {"schema": _is_colour, "class": _is_person, "typed dict": _is_verdict}


def same(shape: str, parsed: object, value: object) -> bool:
    """Whether the library's value is the judge's; a class and a TypedDict leave out what they do not name."""
    plain = to_json(parsed)
    if shape == "schema" or not isinstance(plain, dict) or not isinstance(value, dict):
        return plain == value
    return plain == {key: value[key] for key in plain} and plain.keys() <= value.keys()


async def real(answers: int) -> dict[str, dict[str, int]]:
    """The local model's answers: how many are valid, failed, wrong (given out, but no value), or turned down wrongly.
    """
    with local.serve(slots=CONCURRENCY) as server:
        openai = server.provider()
        config = Config(
            default_provider=server.name,
            providers={server.name: openai, "messages": _named(openai, "messages", "anthropic")},
            models={
                "grammar": _model(server, server.name), "prompt": _model(server, server.name, ("response_format",)),
                "messages": _model(server, "messages", ("response_format",)),
            },
        )
        counts = {f"{shape}, {route}": Counter[str]() for shape in SHAPES for route in ROUTES}
        numbers = iter(range(answers))
        async with Router(config) as router:
            await asyncio.gather(*(_work(router, numbers, counts) for _ in range(CONCURRENCY)))
    return {name: dict(sorted(count.items())) for name, count in counts.items()}


async def _work(router: Router, numbers: Any, counts: dict[str, Counter[str]]) -> None:
    for number in numbers:
        shape, route = list(SHAPES)[number % 3], ROUTES[number // 3 % 3]
        given, prompt = SHAPES[shape]
        count = counts[f"{shape}, {route}"]
        try:
            reply = await router.chat(
                prompt, model=route, response_format=given, max_tokens=MAX_TOKENS, temperature=1.0, deadline=None,
                params={"local": {"seed": number}},
            )
        except AllModelsFailed as failed:
            miss = failed.last
            text = miss.reply.text if isinstance(miss, NotAccepted) and miss.reply is not None else ""
            count["failed" if fits(shape, text) is None else "turned down wrongly"] += 1
        else:
            value = fits(shape, reply.text)
            count["valid" if value is not None and same(shape, reply.parsed, value) else "wrong"] += 1
        if number % 100 == 0:
            print(f"{number} …", file=sys.stderr, flush=True)


def _named(provider: Any, name: str, wire: str) -> Any:
    return replace(provider, name=name, wire=wire)


def _model(server: Any, provider: str, drop: tuple[str, ...] = ()) -> Any:
    return replace(server.model(), name="", provider=provider, drop=drop)


class Mix(NamedTuple):
    """What a chain does over all calls."""

    success: float
    usd_per_1000: float
    seconds: float
    asked: dict[str, int]


GOOD = '{"name": "green", "level": 7}'
BAD = (
    '{"name": "green"}', '{"name": "green", "level": "7"}', '{"name": "pink", "level": 7}', f"Sure! {GOOD}", GOOD[:-6],
    '{"name": "green", "level": NaN}', '{"name": "green", "level": 7, "level": 8}', "I cannot say.", f"{GOOD}{GOOD}",
)


def cheap(request: LoggedRequest, random: Random) -> Act:
    return Act(text=random.choice(BAD) if random.random() < MISSES else GOOD, first_token=0.3)


def mix(chain: list[str]) -> Mix:
    """Call a chain again and again."""
    world, clock = World(seed=1, keep=0), Clock()
    world.model("cheap", cheap)
    world.model("dear", Act(text=GOOD, first_token=0.8))
    prices = {
        name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": price, "output": price}}
        for name, price in PRICES.items()
    }

    async def main() -> list[Reply | AllModelsFailed]:
        results: list[Reply | AllModelsFailed] = []
        async with Router(world.config(models=prices), transport=world.transport()) as router:
            for _ in range(CALLS):
                try:
                    results.append(await router.chat("Name a colour.", chain=chain, response_format=COLOUR))
                except AllModelsFailed as failed:
                    results.append(failed)
        return results

    results = clock.run(main())
    good = sum(isinstance(one, Reply) and one.parsed == json.loads(GOOD) for one in results)
    usd = sum(one.trace.cost_usd or 0.0 for one in results)
    asked = Counter(attempt.model for one in results for attempt in one.trace.attempts)
    seconds = sum(one.trace.seconds for one in results) / CALLS
    return Mix(good / CALLS, round(usd / CALLS * 1000, 6), round(seconds, 4), dict(asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    mixes = {" → ".join(chain): mix(chain) for chain in (["cheap"], ["dear"], ["cheap", "dear"])}
    for name, one in mixes.items():
        print(f"{name:14} success {one.success:7.2%}   ${one.usd_per_1000:.4f} per 1,000 calls   {one.seconds:.3f} s   "
              f"{one.asked}")
    counts = asyncio.run(real(given.answers)) if given.answers else {}
    for name, count in counts.items():
        print(f"{name:22} {count}")
    total = Counter[str]()
    for count in counts.values():
        total.update(count)
    print(f"{'all':22} {dict(total)}")
    if given.json is not None:
        found = {"environment": environment(), "mix": {name: one._asdict() for name, one in mixes.items()},
                 "real": counts, "total": dict(total)}
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
