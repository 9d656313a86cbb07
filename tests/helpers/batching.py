"""Files of rows and a world that answers them, for the tests of batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter import Router, batch
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, LoggedRequest, World

ONE_MODEL = {"default": ["m"]}
PRICED = {"m": {"provider": "sim", "id": "m", "usd_per_mtok": {"input": 1e6, "output": 1e6}}}
"""A configuration's models in which "m" costs a dollar for each token."""


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def rows(count: int) -> list[dict[str, object]]:
    return [{"id": f"r{number}", "prompt": f"say {number}"} for number in range(count)]


def read_lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def ids(path: Path) -> list[object]:
    return [line.get("custom_id", line["id"]) for line in read_lines(path)]


def prompt_of(seen: LoggedRequest) -> str:
    messages = seen.body["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def asked(world: World) -> list[str]:
    """The prompts that the world was asked, in order."""
    return [prompt_of(seen) for seen in world.seen]


def poisoned(seen: LoggedRequest, random: Random) -> Act:
    """A behaviour that fails as the prompt says, or else repeats the prompt after 0.1 s."""
    text = prompt_of(seen)
    for word, act in _POISONS.items():
        if word in text:
            return act
    return Act(text=f"you said {text}", first_token=0.1)


_POISONS = {
    "too long": Act(why="context"), "filtered": Act(why="policy"), "malformed": Act(why="bad_request"),
    "key": Act(why="key"), "broken": Act(status=500),
}


def router_of(world: World, **config: object) -> Router:
    return Router(world.config(**{"tasks": ONE_MODEL, **config}), transport=world.transport(), seed=0)


def run(
    clock: Clock, world: World, *args: object, config: dict[str, object] | None = None, **options: object
) -> Report:
    """Run a batch in virtual time, with a router of its own."""

    async def scenario() -> Report:
        async with router_of(world, **(config or {})) as router:
            return await batch.run(router, *args, **options)  # type: ignore[arg-type]  # as the test has it

    return clock.run(scenario())
