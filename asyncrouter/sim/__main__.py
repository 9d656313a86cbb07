"""`python -m asyncrouter.sim`: a server of simulated models to try things out with, healthy and faulty ones."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import sys
from textwrap import indent
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim.act import Act
from asyncrouter.sim.distributions import lognormal
from asyncrouter.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim.model import Behaviour

_FLAKY = (Act(status=500), Act(status=503), Act(tokens=40, gap=0.02, fault="cut", at=10), Act(fault="hang", at=5))
"""The failures of the model "flaky"."""


def _flaky(_: LoggedRequest, random: Random) -> Act:
    return random.choice(_FLAKY) if random.random() < 0.3 else Act(tokens=40, first_token=0.2, gap=0.02)


MODELS: dict[str, tuple[str, Act | Behaviour]] = {
    "instant": ("answers at once", Act(tokens=20)),
    "fast": ("about 0.2 s to the first word, 50 words/s", Act(tokens=40, first_token=lognormal(0.2, 0.3), gap=0.02)),
    "slow": ("about 2 s to the first word, 10 words/s", Act(tokens=40, first_token=lognormal(2.0, 0.5), gap=0.1)),
    "tail": ("about 0.2 s, but 20 times that for one in a hundred",
             Act(tokens=20, first_token=lognormal(0.2, 0.5, stragglers=0.01), gap=0.01)),
    "flaky": ("3 in 10 fail: 500, 503, cut off, or silent after 5 words", _flaky),
    "limited": ("429, retry after 1 s", Act(status=429, retry_after=1, code="rate_limit_exceeded")),
    "silent": ("accepts and never answers", Act(fault="hang", at="headers")),
    "dead": ("drops every connection", Act(fault="reset", at="headers")),
}
"""The models that are served in any case: what `--help` says of each, and what it does."""

_PASTE = """\
[providers.sim]
base_url = "http://127.0.0.1:8099/v1"
[tasks.default]
models = ["sim:flaky", "sim:fast"]
"""
"""A configuration for the end of `--help`."""


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted, and return 0, or 2 when it cannot listen. Raises `SystemExit` for wrong usage."""
    parser = _parser()
    options = parser.parse_args(argv)
    world = World(options.seed, keep=0)
    for name, (_, behaviour) in MODELS.items():
        world.model(name, behaviour)
    for given in options.model:
        name, equals, fields = given.partition("=")
        if not (name and equals):
            parser.error(f"--model {given}: expected NAME=JSON")
        try:
            world.model(name, act(orjson.loads(fields)))
        except (TypeError, ValueError) as error:
            parser.error(f"--model {given}: {error}")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(world, options.host, options.port))
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"at {options.host}: {error.strerror}"
        sys.stderr.write(f"{parser.prog}: port {options.port} {why}\n")
        return 2
    except UnicodeError:
        sys.stderr.write(f"{parser.prog}: --host: expected a name or an address, got {options.host!a}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyncrouter.sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["models:", *_listed(MODELS), "", "in a configuration:", indent(_PASTE, "  ")]),
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8099, help="0: any free one (default: 8099)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=JSON", help=(
        "one more model, as the fields of an Act: 'mine={\"tokens\": 200, \"first_token\": 0.1}'; a distribution is "
        "{\"median\": 0.2, \"sigma\": 0.5, \"stragglers\": 0.01, \"factor\": 20}"))
    return parser


def _port(text: str) -> int:
    if not 0 <= (port := int(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, got {port}")
    return port


def _listed(models: Iterable[str]) -> list[str]:
    return [f"{name:>10}  {MODELS[name][0] if name in MODELS else ''}".rstrip() for name in models]


def act(fields: object) -> Act:
    """An act from the JSON object of its fields. Raises `TypeError` or `ValueError` for what is none."""
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, got {fields!r}")
    made = {name: lognormal(**value) if isinstance(value, dict) and "median" in value else value
            for name, value in fields.items()}
    return Act(**made)  # type: ignore[arg-type]  # what comes from JSON is checked by running it


async def _serve(world: World, host: str, port: int) -> None:
    async with world.server(host, port) as server:
        headline = f"serving {server.base_url} (Gemini: {server.base_url}beta) until Ctrl-C"
        sys.stdout.write("\n".join([headline, *_listed(world.models), ""]))
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
