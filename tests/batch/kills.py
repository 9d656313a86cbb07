"""Kill a batch at random instants, again and again, and resume it: `python tests/batch/kills.py [--kills 200]`.

The models answer in 100 ms from a process of their own, which notes every prompt it is asked. After each kill the ids
in the output are finished: none of them may be asked again. At the end every id stands in the output exactly once.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
CONCURRENCY = 200
FILE = """
default_provider = "sim"
tasks = {{ default = ["m"] }}
[providers.sim]
base_url = "{base_url}"
"""


class Killed(NamedTuple):
    """The result of a batch that was killed: how often, and the prompts asked, in all and more than once.

    `lines` are the ids in the output, `violations` what should not have happened.
    """

    kills: int
    asked: int
    again: int
    lines: list[object]
    violations: list[str]


@contextmanager
def counting_server(log: Path) -> Iterator[str]:
    """The address of a server that appends each prompt it is asked to a log; it ends with its standard input."""
    command = [sys.executable, __file__, "--serve", str(log)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def kill_and_resume(
    directory: Path, rows: int, kills: int, seed: int, *options: str, startup: float = 0.0
) -> Killed:
    """Run a batch of so many rows, kill and resume it at most `kills` times, then let it end.

    A kill comes 0.2 to 2.2 s after `startup`: the seconds by which this machine starts Python more slowly than usual.
    """
    dice = random.Random(seed)
    log, output = directory / "asked", directory / "out.jsonl"
    (directory / "in.jsonl").write_bytes(b"".join(b'{"id":"%d","prompt":"%d"}\n' % (n, n) for n in range(rows)))
    log.touch()
    violations, finished, seen = [], set[str](), 0
    done = 0
    with counting_server(log) as base_url:
        (directory / "asyncrouter.toml").write_text(FILE.format(base_url=base_url))
        while True:
            batch = start(directory, *options)
            ended = done == kills or wait(batch, startup + dice.uniform(0.2, 2.2))
            if not ended:
                batch.send_signal(signal.SIGKILL)
                done += 1
            if batch.wait(1200) not in {0, -signal.SIGKILL}:
                violations.append(f"exit status {batch.returncode}")
            time.sleep(0.15)  # what was on its way reaches the server, and the log
            asked = log.read_text().splitlines()
            violations += [f"{each} was finished and asked again" for each in asked[seen:] if each in finished]
            seen = len(asked)
            finished = {str(each) for each in whole(output)}
            if ended or violations:
                break
    extra = sum(Counter(asked).values()) - len(set(asked))
    if extra > done * CONCURRENCY:
        violations.append(f"{extra} rows asked again by {done} kills of {CONCURRENCY} on their way")
    return Killed(done, len(asked), extra, whole(output), violations)


def start(directory: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-W", "error", "-m", "asyncrouter", "batch", "in.jsonl", "-o", "out.jsonl",
        "--max-concurrency", str(CONCURRENCY), "--progress", "none", *options,
    ]
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=directory, env=ENVIRONMENT, stderr=log, start_new_session=True)


def wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process ends by itself within so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def whole(output: Path) -> list[object]:
    """The ids in the whole lines of an output."""
    if not output.exists():
        return []
    lines = output.read_bytes().split(b"\n")
    return [orjson.loads(line)["id"] for line in lines[:-1]]


def serve(log: str) -> None:
    """Serve a model that answers after 100 ms and logs each prompt."""
    import asyncio

    from asyncrouter.sim import Act, LoggedRequest, World

    file = os.open(log, os.O_WRONLY | os.O_APPEND)

    def note(seen: LoggedRequest, random: random.Random) -> Act:
        messages = seen.body["messages"]
        assert isinstance(messages, list)
        os.write(file, f"{messages[0]['content']}\n".encode())
        return Act(first_token=0.1)

    async def main() -> None:
        world = World(keep=0)
        world.model("m", note)
        async with world.server() as server:
            print(server.base_url, flush=True)  # noqa: T201
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(main())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--startup", type=float, default=0.0, help="seconds added to each instant, on a busy machine")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return 0
    kills = runs = again = 0
    while kills < options.kills:
        with tempfile.TemporaryDirectory() as directory:
            killed = kill_and_resume(
                Path(directory), options.rows, options.kills - kills, options.seed + runs,
                "--processes", str(options.processes), startup=options.startup,
            )
        exact = Counter(killed.lines) == Counter(str(number) for number in range(options.rows))
        kills, runs, again = kills + killed.kills, runs + 1, again + killed.again
        print(f"run {runs}: {killed.kills} kills, {killed.asked} asked, {killed.again} asked again")  # noqa: T201
        if killed.violations or not exact:
            print("\n".join(killed.violations[:20]) or "an id is missing or twice")  # noqa: T201
            return 1
    print(f"{kills} kills in {runs} runs of {options.rows} rows: every id once, {again / kills:.0f} again a kill")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
