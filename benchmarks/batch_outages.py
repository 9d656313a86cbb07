"""What do outages, slow servers and poisoned rows cost a batch? 20,000 rows through each, in virtual time.

    python -m benchmarks.batch_outages [--rows 20000] [--only NAMES] [--json results/batch_outages.json]

Answers take 50 ms, and at most 64 rows are in flight. `answered` and `failed` count rows (every row that can be
answered has to be, once), `lost` is the seconds over those of the same rows without trouble, `trouble` how long it
lasted, `requests` are those for each row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter import Router, batch
from asyncrouter.sim import Act, Clock, World
from benchmarks._machine import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from asyncrouter.sim import LoggedRequest

    Rule = Callable[[LoggedRequest, Random], Act | None]

LATENCY = 0.05
CONCURRENCY = 64
POISONED = 0.01
POISONS = (
    Act(status=404, message="No endpoints found that support tool use."),
    Act(status=403, type="blocked", message="Request blocked."),
    Act(status=402, message="This request needs more credits, or fewer max_tokens."),
    Act(why="context"),
    Act(status=500),
    Act(fault="malformed"),
)
"""What poisoned rows meet, whenever they are asked; one kind more is nested too deep to be sent."""
DEEP = "[" * 1000 + "1" + "]" * 1000


def number_of(seen: LoggedRequest) -> int:
    """The number of the row in a request."""
    messages = seen.body["messages"]
    assert isinstance(messages, list)
    return int(messages[-1]["content"].split()[-1])


def poison_of(number: int) -> int | None:
    """Which poison a row has: one in a hundred has a fault of its own; the number after the last is nesting."""
    every = round(1 / POISONED)
    return number // every % (len(POISONS) + 1) if number % every == every // 2 else None


def poison(seen: LoggedRequest, random: Random) -> Act | None:
    """The fault of a poisoned row."""
    kind = poison_of(number_of(seen))
    return None if kind is None else POISONS[kind]


def line(number: int, *, poisoned: bool) -> str:
    """A row of the input."""
    deep = f',"params":{{"tools":{DEEP}}}' if poisoned and poison_of(number) == len(POISONS) else ""
    return f'{{"id":{number},"prompt":"say {number}"{deep}}}\n'


def one_slot() -> Rule:
    """A server that answers one request after the other, in the order in which they come."""
    free_at = 0.0

    def rule(seen: LoggedRequest, random: Random) -> Act:
        nonlocal free_at
        free_at = max(seen.at, free_at) + LATENCY
        return Act(text="fine", first_token=free_at - seen.at)

    return rule


def outage(act: Act, begin: float, end: float) -> Rule:
    """All requests get this between two instants."""
    return lambda seen, _: act if begin <= seen.at < end else None


def at_random(act: Act, share: float) -> Rule:
    """A share of the requests gets this."""
    return lambda _, random: act if random.random() < share else None


TROUBLES: dict[str, tuple[Rule | None, float]] = {
    "fair": (None, 0.0),
    "8 s of 503": (outage(Act(status=503), 2.0, 10.0), 8.0),
    "60 s of refused connections": (outage(Act(fault="refuse"), 2.0, 62.0), 60.0),
    "30 s of 500 among random 500s": (
        lambda seen, random: Act(status=500) if 2 <= seen.at < 32 or random.random() < 0.1 else None, 30.0
    ),
    "a restart each five seconds": (lambda seen, _: Act(fault="reset") if seen.at % 5.0 < 1.0 else None, 0.0),
    "a restart each minute": (lambda seen, _: Act(fault="refuse") if seen.at % 60.0 < 5.0 else None, 0.0),
    "one slot": (one_slot(), 0.0),
    "10 % random 500s": (at_random(Act(status=500), 0.1), 0.0),
    "10 % random resets": (at_random(Act(fault="reset"), 0.1), 0.0),
    "ten times as slow for a minute": (outage(Act(text="fine", first_token=10 * LATENCY), 2.0, 62.0), 54.0),
    "1 % poisoned rows": (poison, 0.0),
}


def survive(rule: Rule | None, rows: int, directory: Path) -> dict[str, float]:
    """Run a batch through this trouble. Raises `AssertionError` if an answer stands twice in the output."""
    clock, world = Clock(), World(1, keep=0)
    world.model("m", Act(text="fine", first_token=LATENCY))
    if rule is not None:
        world.rule(rule)
    source, output = directory / "in.jsonl", directory / "out.jsonl"
    source.write_text("".join(line(number, poisoned=rule is poison) for number in range(rows)))

    async def run() -> batch.Report:
        async with Router(world.config(tasks={"default": ["m"]}), transport=world.transport(), seed=1) as router:
            return await batch.run(router, source, output, concurrency=CONCURRENCY, restart=True)

    report = clock.run(run())
    answered = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert len(answered) == len(set(answered)) == report.done
    return {
        "answered": report.done, "failed": report.failed, "left": report.left, "seconds": round(report.seconds, 1),
        "requests": round(world.requests / rows, 3),
    }


def main() -> None:
    """Print the table, and keep it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--only", metavar="NAMES", help="some of them, separated by commas (default: all)")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "batch_outages.json")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(TROUBLES)
    table: dict[str, dict[str, float]] = {}
    print(f"{'trouble':32} answered  failed  left  seconds    lost  trouble  requests")
    with tempfile.TemporaryDirectory() as directory:
        fair = survive(None, options.rows, Path(directory))["seconds"]
        for name in names:
            rule, seconds = TROUBLES[name]
            row = survive(rule, options.rows, Path(directory))
            row |= {"lost": round(row["seconds"] - fair, 1), "trouble": seconds}
            table[name] = row
            print(f"{name:32} {row['answered']:8}  {row['failed']:6}  {row['left']:4}  {row['seconds']:7.1f}"
                  f"  {row['lost']:6.1f}  {seconds:7.1f}  {row['requests']:8.3f}", flush=True)
    options.json.write_text(json.dumps({**environment(), "rows": options.rows, "trouble": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
