"""Batch processes that keep limits and budget together in a real Redis. (A process takes a second to start.)"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter import Budget, Chain, Config, Model, Price, Provider, Router, batch
from asyncrouter.integrations.redis import RedisState
from asyncrouter.sim import Act
from tests.helpers.commandline import serving

if TYPE_CHECKING:
    from asyncrouter.batch import Report
    from asyncrouter.sim import World
    from tests.helpers.commandline import Shell
    from tests.helpers.redis_server import RedisServer

LIMITED = """
default_provider = "sim"
[providers.sim]
base_url = "{base_url}"
[models.m]
provider = "sim"
id = "m"
rpm = 1200
[tasks]
default = ["m"]
"""


def write_rows(path: Path, number: int) -> None:
    path.write_text("".join(f'{{"id": "{index}", "prompt": "x"}}\n' for index in range(number)))


def most_in_a_second(times: list[float]) -> int:
    return max(sum(at <= other < at + 1.0 for other in times) for at in times)


def test_processes_share_a_limit_by_the_command_line(server: RedisServer, shell: Shell) -> None:
    """`--shared` needs no dividing: two processes keep 20 requests a second, and one of them alone may use them all."""
    shell.world.model("m", Act(text="x"))
    shell.write(LIMITED)
    write_rows(Path("in.jsonl"), 70)
    server.command("FLUSHALL")

    done = shell.run(
        "batch", "in.jsonl", "-o", "out.jsonl", "--processes", "2", "--shared", server.url, "--progress", "none"
    )

    assert done.status == 0, done.err
    answered = [json.loads(line)["id"] for line in Path("out.jsonl").read_text().splitlines()]
    times = sorted(seen.at for seen in shell.world.seen)
    assert sorted(answered, key=int) == [str(index) for index in range(70)]
    assert most_in_a_second(times) <= 20 + 20 + 2  # a full bucket, and what comes into it in a second
    assert times[-1] - times[0] >= (70 - 22) / 20


def test_a_redis_that_is_not_there_ends_the_command(shell: Shell) -> None:
    """A Redis that cannot be reached is said before a row is asked, with where and why."""
    shell.write(LIMITED)
    write_rows(Path("in.jsonl"), 1)

    done = shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--shared", "redis://127.0.0.1:1/0")

    assert done.status == 2
    assert "shared: redis://127.0.0.1:1/0 cannot be used: ConnectionError" in done.err
    assert len(shell.world.seen) == 0


def test_processes_share_a_budget(server: RedisServer, world: World, tmp_path: Path) -> None:
    """Two processes spend one budget of the configuration together, and stop when it is used up."""
    world.model("m", Act(text="one two", first_token=0.01))
    write_rows(tmp_path / "in.jsonl", 60)

    async def run(base_url: str) -> tuple[Report, float]:
        price = Price(input=1000.0, output=2000.0)
        config = Config(
            default_provider="sim", providers={"sim": Provider(base_url=base_url)},
            models={"m": Model(provider="sim", id="m", usd_per_mtok=price, max_output=4)},
            tasks={"default": Chain(["m"])}, budget=Budget(0.105, per="run"),
        )
        shared = RedisState(server.url, namespace="batch-budget")
        async with Router(config, shared=shared) as router:
            report = await batch.run(
                router, tmp_path / "in.jsonl", tmp_path / "out.jsonl", processes=2, params={"max_tokens": 4}
            )
            state = await router.spending()
            assert state is not None
            return report, state.spent_usd

    with serving(world) as base_url:
        report, spent = asyncio.run(run(base_url))

    assert report.stopped == "no row can be answered: OverBudget"
    assert 8 <= report.done <= 21  # 0.005 each, and 0.009 are reserved for each that is in flight
    assert spent == round(report.done * 0.005, 9)
