"""The command `python -m tests.fuzz`: damaged inputs, so many or for so many seconds, over several processes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from random import Random
from typing import TYPE_CHECKING

from tests.fuzz.check import Wrong, check_answer, check_failure
from tests.fuzz.growth import steep, steep_repetition
from tests.fuzz.seeds import Answer, answers, failures

if TYPE_CHECKING:
    from tests.fuzz.check import Reader

BLOCK = 500
"""How many inputs a process takes at once: about a second of work."""

ENOUGH = 10
"""After so many failures the run ends."""

REPEATED = 2000
"""One input in so many has a piece of it repeated, to see that the time does not grow faster than the input."""

SHOWN = 400
"""How many bytes of an input are shown where the damage begins."""

PULSE = 10.0
"""Seconds between two lines of progress where they do not overwrite one another."""

Found = tuple[int, str]
"""The number of an input, and what was wrong with it."""

_ANSWERS = answers()
_FAILURES = failures()
_WEIGHTS = [1.0 / (600 + len(answer.body)) for answer in _ANSWERS]


def try_one(seed: int, number: int, reader: Reader | None) -> tuple[str, str | None]:
    """The outcome of one input, and what was wrong. A seed and a number give the same input everywhere."""
    random = Random(f"{seed}:{number}")
    source = random.choice(_FAILURES) if random.random() < 0.2 else random.choices(_ANSWERS, _WEIGHTS)[0]
    if number % REPEATED == REPEATED - 1 and (slow := steep_repetition(source.body, random)) is not None:
        return "slow", slow
    try:
        if isinstance(source, Answer):
            return f"{source.wire}: {check_answer(source, random, reader)}", None
        return check_failure(source, random), None
    except Wrong as wrong:
        problem, body = wrong.args
        return "wrong", f"{source.name}: {problem}\n{_difference(source.body, body)}"


def try_block(seed: int, numbers: range, reader: Reader | None) -> tuple[Counter[str], list[Found]]:
    """How often each outcome came, and the failures, of these inputs."""
    counts: Counter[str] = Counter()
    found: list[Found] = []
    for number in numbers:
        outcome, wrong = try_one(seed, number, reader)
        counts[outcome] += 1
        if wrong is not None:
            found.append((number, wrong))
    return counts, found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status, 0 if nothing was wrong."""
    asked = _arguments(arguments)
    reader = _vendors_clients() if asked.clients else None
    if asked.only is not None:
        outcome, wrong = try_one(asked.seed, asked.only, reader)
        _write(f"{outcome}\n{wrong or ''}")
        return int(wrong is not None)
    began = time.monotonic()
    slow = steep()
    counts, found = _run(asked, began, reader, _Progress(asked.inputs, began))
    for problem in slow:
        _write(f"\n{problem}")
    seconds = time.monotonic() - began
    _write(f"\n{counts.total()} inputs from seed {asked.seed} in {seconds:.0f} s; {len(found) + len(slow)} wrong")
    _write(f"answers {'compared' if asked.clients else 'not compared'} with what the vendors' clients read")
    for outcome, count in sorted(counts.items()):
        _write(f"{count:>9}  {outcome}")
    return int(bool(found or slow or not counts))


def _vendors_clients() -> Reader:
    """The clients' own reading; their packages are not needed for `--no-clients`."""
    try:
        from tests.fuzz.sdk import read
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: the vendors' clients are in the group `contracts`; or go on with --no-clients")
    return read


def _run(
    asked: argparse.Namespace, began: float, reader: Reader | None, progress: _Progress
) -> tuple[Counter[str], list[Found]]:
    """Hand out blocks of numbers until there are no more, the time is up, or enough is wrong."""
    counts: Counter[str] = Counter()
    found: list[Found] = []
    blocks = iter(range(0, asked.inputs, BLOCK))
    running: set[Future[tuple[Counter[str], list[Found]]]] = set()
    again = f"python -m tests.fuzz --seed {asked.seed}{'' if asked.clients else ' --no-clients'}"
    with ProcessPoolExecutor(asked.processes) as pool:
        while True:
            over = time.monotonic() - began > asked.seconds or len(found) >= ENOUGH
            while not over and len(running) < 2 * asked.processes and (start := next(blocks, None)) is not None:
                numbers = range(start, min(start + BLOCK, asked.inputs))
                running.add(pool.submit(try_block, asked.seed, numbers, reader))
            if not running:
                return counts, found
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                block, wrong = future.result()
                counts += block
                for number, problem in wrong[: ENOUGH - len(found)]:
                    _write(f"\n{problem}\nagain: {again} --only {number}")
                found += wrong[: ENOUGH - len(found)]
            progress.show(counts.total(), len(found))


class _Progress:
    """Shows on standard error how far the run is: in one line on a terminal, else in a line now and then."""

    def __init__(self, inputs: int, began: float) -> None:
        self._inputs, self._began = inputs, began
        self._last = began
        self._terminal = sys.stderr.isatty()

    def show(self, done: int, wrong: int) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._terminal else PULSE):
            return
        self._last = now
        line = f"{done} of {self._inputs} inputs, {now - self._began:.0f} s, {wrong} wrong"
        sys.stderr.write(f"\r{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _difference(before: bytes, after: bytes) -> str:
    """Both inputs where the damage begins."""
    same = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), None)
    at = max(0, (min(len(before), len(after)) if same is None else same) - SHOWN // 4)
    return f"  was {before[at : at + SHOWN]!r}\n  is  {after[at : at + SHOWN]!r}"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many, at most (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--no-clients", dest="clients", action="store_false", help="do not compare with what the vendors' clients read"
    )
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this one input of the seed again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
