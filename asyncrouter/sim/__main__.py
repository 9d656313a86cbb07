"""`python -m asyncrouter.sim`: a server of simulated models to play with, well-behaved and otherwise."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim.act import Act
from asyncrouter.sim.laws import lognormal
from asyncrouter.sim.world import World

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.sim._stage import Seen
    from asyncrouter.sim.model import Behaviour

_FLAKY = (Act(status=500), Act(status=503), Act(tokens=40, gap=0.02, fault="cut", at=10), Act(fault="hang", at=5))


def _flaky(_: Seen, random: Random) -> Act:
    return random.choice(_FLAKY) if random.random() < 0.3 else Act(tokens=40, first_token=0.2, gap=0.02)


MODELS: dict[str, tuple[str, Act | Behaviour]] = {
    "instant": ("answers at once", Act(tokens=20)),
    "fast": ("0.2 s to the first word, 50 words/s", Act(tokens=40, first_token=lognormal(0.2, 0.3), gap=0.02)),
    "slow": ("2 s to the first word, 10 words/s", Act(tokens=40, first_token=lognormal(2.0, 0.5), gap=0.1)),
    "tail": ("0.2 s, but 20 times that for one in a hundred",
             Act(tokens=20, first_token=lognormal(0.2, 0.5, stragglers=0.01), gap=0.01)),
    "flaky": ("3 in 10 fail: 500, 503, cut or silent", _flaky),
    "limited": ("429, retry after 1 s", Act(status=429, retry_after=1, code="rate_limit_exceeded")),
    "silent": ("accepts and never answers", Act(fault="hang", at="headers")),
    "dead": ("drops every connection", Act(fault="reset", at="headers")),
}


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted. Returns 0, or 2 for what cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m asyncrouter.sim", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099, help="0: any free one (default: 8099)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=JSON", help=(
        "one more model, as the fields of an Act: 'mine={\"tokens\": 200, \"first_token\": 0.1}'; a law is "
        "{\"median\": 0.2, \"sigma\": 0.5, \"stragglers\": 0.01, \"factor\": 20}"))
    options = parser.parse_args(argv)
    world = World(options.seed, keep=0)
    for name, (_, behaviour) in MODELS.items():
        world.model(name, behaviour)
    for given in options.model:
        name, _, fields = given.partition("=")
        try:
            world.model(name, act(orjson.loads(fields)))
        except (TypeError, ValueError) as error:
            parser.error(f"--model {given}: {error}")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(world, options.host, options.port))
    return 0


def act(fields: dict[str, object]) -> Act:
    """An act from the JSON of its fields. Raises `TypeError` or `ValueError` for what is none."""
    made = {name: lognormal(**value) if isinstance(value, dict) and "median" in value else value
            for name, value in fields.items()}
    return Act(**made)  # type: ignore[arg-type]  # what comes from JSON is checked by running it


async def _serve(world: World, host: str, port: int) -> None:
    async with world.server(host, port) as server:
        lines = [f"{name:>10}  {MODELS[name][0] if name in MODELS else ''}" for name in world.models]
        told = f"serving {server.base_url} (Gemini: {server.base_url}beta) until Ctrl-C"
        sys.stdout.write("\n".join([told, *lines, ""]))
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
