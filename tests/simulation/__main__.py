"""`python -m tests.simulation`: run seeds, replay one, or check that every mutant is caught."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from .fault_kinds import KINDS, PROMPTS
from .mutants import CAUGHT_BY, MUTANTS
from .run import Result, freeze, run_seed
from .wires import WIRES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMAND = "python -m tests.simulation --seed"
PROGRESS = 1000
"""Seeds between two lines of progress."""
PATIENCE = 300
"""Seeds within which a mutant must be noticed."""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 when an invariant does not hold or a mutant survives."""
    asked = _parser().parse_args(arguments)
    if asked.mutants is not None:
        return _hunt(asked.mutants or list(MUTANTS), asked.start)
    if asked.seed is not None:
        return _replay(asked.seed)
    return _run(range(asked.start, asked.start + asked.seeds), asked.processes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first one (default 0)")
    parser.add_argument("--seed", type=int, help="replay this one and print all that happened")
    parser.add_argument("--processes", type=int, default=1, help="how many at once (default 1)")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="break the router on purpose; default: every way")
    return parser


def _say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(seeds: range, processes: int) -> int:
    """Run these seeds and print a summary."""
    began = time.perf_counter()
    calls = requests = failed = 0
    met: set[tuple[str, str]] = set()
    digest = sha256()
    for done, result in enumerate(_results(seeds, processes), 1):
        calls += result.calls
        requests += result.requests
        met |= result.met
        digest.update(result.digest.encode())
        if result.violations:
            failed += 1
            _tell(result)
        if done % PROGRESS == 0:
            _say(f"... {done} seeds, {calls} calls, {failed} not clean, {time.perf_counter() - began:.0f} s")
    seconds = time.perf_counter() - began
    _say(f"{len(seeds)} seeds, {calls} calls, {requests} requests: {len(seeds) - failed} clean, {failed} not")
    kinds = (len(KINDS) + len(PROMPTS)) * len(WIRES)
    _say(f"{len(met - {('fine', wire) for wire in WIRES})} of {kinds} kinds of trouble met")
    _say(f"digest {digest.hexdigest()}")
    _say(f"{seconds:.1f} s, {len(seeds) / seconds:.1f} seeds/s, {calls / seconds:.0f} calls/s")
    return 1 if failed else 0


def _results(seeds: Iterable[int], processes: int) -> Iterator[Result]:
    if processes <= 1:
        freeze()
        yield from map(run_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, freeze) as pool:
        yield from pool.imap(run_seed, seeds, chunksize=5)


def _tell(result: Result) -> None:
    """Print the first violations of a seed, how the first one came about, and how to replay it."""
    for invariant, detail in result.violations[:3]:
        _say(f"seed {result.seed}: {invariant}: {detail}")
    for line in result.story:
        _say(f"  | {line}")
    _say(f"  replay: {COMMAND} {result.seed}")


def _replay(seed: int) -> int:
    """Run one seed and print all that happened."""
    result = run_seed(seed, keep_log=True)
    for line in result.lines:
        _say(line)
    _say(f"digest {result.digest}")
    if result.violations:
        _tell(result)
    return 1 if result.violations else 0


def caught(name: str, start: int = 0, patience: int = PATIENCE) -> Result | None:
    """A result that notices the mutant, `None` if there is none; the seed that last did is tried first.

    A seed that is not clean without the mutant notices nothing. Raises `RuntimeError` where the mutant itself is
    broken, because the function that it replaces is called otherwise than it was.
    """
    for seed in (CAUGHT_BY.get(name, start), *range(start, start + patience)):
        with MUTANTS[name]():
            result = run_seed(seed)
        if any("TypeError" in detail or "AttributeError" in detail for _, detail in result.violations):
            raise RuntimeError(f"{name} does not fit the router any more: {result.violations}")
        if result.violations and _is_clean(seed):
            return result
    return None


@cache
def _is_clean(seed: int) -> bool:
    """Whether the router as it is keeps every invariant at this seed."""
    return not run_seed(seed).violations


def _hunt(names: list[str], start: int) -> int:
    """Print which invariant catches which mutant, and at which seed."""
    survived = 0
    for name in names:
        result = caught(name, start)
        if result is None:
            survived += 1
            _say(f"{name:32} SURVIVED {PATIENCE} seeds")
        else:
            _say(f"{name:32} seed {result.seed:<4} {': '.join(result.violations[0])}")
    _say(f"{len(names) - survived} of {len(names)} mutants caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
