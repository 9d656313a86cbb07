"""The command `python -m tests.hostile`: every attack, one kind after the other, and a summary of what held."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from asyncrouter.sim import Clock
from tests.hostile.attacks import ATTACKS
from tests.hostile.responses import run

ROOT = Path(__file__).parents[2]
BLOCK = 5000
"""Responses that one process takes at a time."""
GROWTH = 64_000_000
"""Bytes by which a process may grow beyond its first block: 64 for each of a million responses, fragments of the
allocator's and bounded caches included. What one response may take is tested in `tests/wire/test_heavy_answers.py`."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status, 0 if every attack held."""
    asked = _arguments(arguments)
    if asked.list:
        for name, attack in ATTACKS.items():
            _write(f"{name:<12} {attack.what}")
        _write(f"{'responses':<12} damaged and hostile responses of all four wires, {asked.responses:,} of them")
        return 0
    lines = []
    for name in asked.only or [*ATTACKS, "responses"]:
        began = time.monotonic()
        _write(f"── {name}")
        held, said = _responses(asked) if name == "responses" else _tests(name)
        lines.append(f"{'held  ' if held else 'BROKEN'} {name:<12} {time.monotonic() - began:6.1f} s  {said}")
        _write(lines[-1])
    broken = sum(line.startswith("BROKEN") for line in lines)
    _write("\n" + "\n".join(lines))
    _write(f"\n{len(lines) - broken} of {len(lines)} kinds of attack held")
    return int(broken > 0)


def _tests(name: str) -> tuple[bool, str]:
    """Run the tests of one kind, and say how many there were."""
    attack = ATTACKS[name]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *attack.tests]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=attack.seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"not over after {attack.seconds} s: {attack.what}"
    if done.returncode:
        _write(done.stdout[-4000:] + done.stderr[-2000:])
    counted = next((line for line in reversed(done.stdout.splitlines()) if " in " in line), "no test was run")
    return done.returncode == 0, f"{counted.strip('= ')}: {attack.what}"


def _responses(asked: argparse.Namespace) -> tuple[bool, str]:
    """Send the responses, over several processes, and say what came of them."""
    blocks = [
        range(asked.first + start, asked.first + min(start + BLOCK, asked.responses))
        for start in range(0, asked.responses, BLOCK)
    ]
    counts: Counter[str] = Counter()
    longest, growth, wrong = 0.0, 0, []
    with ProcessPoolExecutor(asked.processes) as pool:
        for outcomes, turn, grown, problem in pool.map(partial(try_block, asked.seed), blocks):
            counts += outcomes
            longest, growth = max(longest, turn), max(growth, grown)
            if problem:
                wrong.append(problem)
                _write(problem)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{counts.total():,} of {asked.responses:,} responses")
    for outcome, count in sorted(counts.items()):
        _write(f"{count:>9}  {outcome}")
    too_large = growth > GROWTH
    said = (
        f"{counts.total():,} responses from seed {asked.seed}, {len(wrong)} wrong; longest turn "
        f"{longest * 1000:.1f} ms of CPU; memory grew by {growth / 1e6:.1f} MB{' (too much)' if too_large else ''}"
    )
    return not wrong and not too_large and counts.total() > 0, said


_FIRST_PEAK: list[int] = []
"""The largest size of this process after its first block, in bytes."""


def try_block(seed: int, numbers: range) -> tuple[Counter[str], float, int, str]:
    """What came of these responses, the longest turn, by how much this process has grown since its first block; a
    problem, or ""."""
    logging.getLogger("asyncrouter").addHandler(logging.NullHandler())
    try:
        outcomes, longest = Clock().run(run(seed, numbers))
    except Exception as error:
        return Counter(), 0.0, 0, str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not _FIRST_PEAK:
        _FIRST_PEAK.append(peak)
    return outcomes, longest, peak - _FIRST_PEAK[0], ""


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the kinds of attack, and run none")
    parser.add_argument(
        "--only", action="append", choices=[*ATTACKS, "responses"], metavar="KIND", help="this kind; may be repeated"
    )
    parser.add_argument(
        "--responses", type=int, default=20_000, help="how many hostile responses (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first response: to see one again")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
