"""Is a healthy model ever taken for a slow one, or a healthy answer for a dead one? A million answers of several laws.

    python benchmarks/false_alarms.py [--answers 200000] [--only "sigma 1.2"] [--json FILE]

No router and no loop: each answer takes and ends a lease of the router's policies, as an attempt does, five times a
second; while it is silent it is counted against its model, as an attempt that is watched. For each law:

- `demoted`: how often the model, which never changes, was taken for one that has become slow.
- `cut`: answers whose first content, or a silence in them, is longer than the "auto" limit (30 s, or what the model's
  memory says, whichever is longer). In a chain such an answer is raced, and cut only where nobody could be.
- `beyond`: the same for the memory alone, without the 30 s, from 500 samples of that kind of request on.

A law that was measured before stays in the file, so that parts can be measured one at a time. The bounds are 95 % ones
(Poisson). "kinds" has ten kinds of request beside the usual one, of 0.05 to 5 % of the traffic
each, whose first contents take up to 8 times as long ("long kinds": 32 times, more than 30 s); its figures are those of
the ten.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from _answers import Answer, Law
from _machine import environment

from asyncrouter._config.catalog import Model
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.lateness import CLOCK_SAMPLES, automatic_limit
from asyncrouter._policies.memory import ANY_KIND, RequestKind
from asyncrouter._policies.memory import Answer as Seen
from asyncrouter._policies.pacing import Rank
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from asyncrouter import Event
    from asyncrouter._policies.estimate import Estimate
    from asyncrouter._policies.lease import Lease

CAP = 30.0
"""Seconds of the "auto" limits' own cap."""
RATE = 5.0
"""Answers a second."""
KINDS = {0.0005: 8.0, 0.001: 3.0, 0.002: 6.0, 0.005: 2.0, 0.01: 5.0, 0.015: 7.0, 0.02: 1.5, 0.03: 4.0, 0.04: 8.0,
         0.05: 2.5}
"""The shares of the ten kinds, and how many times longer their first contents take."""
KINDS_TIMES = 6
"""Times as many answers of the laws with several kinds, as only a sixth of them is judged."""
LONG_KINDS = 4.0
"""The same once more in the law "long kinds": some of them usually take as long as the 30 s."""
LAWS: dict[str, Law] = {
    "sigma 0.35": Law(), "sigma 0.6": Law().with_sigma(0.6), "sigma 1.2": Law().with_sigma(1.2),
    "5 % after 20 s": Law(late=0.05), "5 % after 60 s": Law(late=0.05, late_by=60.0),
    "20 s of silence in 5 %": Law(silent=0.05), "lengths 0.8, paces 0.5": Law(lengths=0.8, paces=0.5),
    "20 % in one piece": Law(one_piece=0.2, lengths=0.6), "kinds": Law(), "long kinds": Law(),
}


class Counts(NamedTuple):
    """What was counted for one law."""

    answers: int
    judged: int
    demoted: int
    cut: int
    beyond: int
    at: list[int]


def upper_bound(count: int, share: float = 0.95) -> float:
    """The largest mean of a Poisson distribution that is not refuted by a count."""
    low, high = 0.0, 10.0 + 3.0 * count
    for _ in range(60):
        mean = 0.5 * (low + high)
        most = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count + 1))
        low, high = (mean, high) if most > 1.0 - share else (low, mean)
    return high


class Limit:
    """The "auto" limit of one duration, worked out again only where it could matter."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, float]] = {}

    def of(self, estimate: Estimate, value: float) -> float:
        """The limit at this moment, as far as `value` is near it."""
        added, limit = self._known.get(id(estimate), (-1000, 0.0))
        if estimate.histogram.added - added >= 500 or value > 0.4 * limit:
            limit = automatic_limit(estimate)
            self._known[id(estimate)] = estimate.histogram.added, limit
        return limit


async def count(name: str, law: Law, answers: int, seed: int) -> Counts:
    """Play so many answers of a law."""
    loop, demoted = asyncio.get_running_loop(), []

    def listen(event: Event) -> None:
        if getattr(event, "state", "") == "slow":
            demoted.append(round(now * RATE))

    events = Events([listen])
    random, limit = Random(f"{name}:{seed}"), Limit()
    policies = Policies(loop, random, events)
    state, now = policies.state_of(Model(provider="p", id="m")), 0.0
    judged = cut = beyond = 0
    times, several = LONG_KINDS if name == "long kinds" else 1.0, name.endswith("kinds")
    kinds = [(share, times * factor, RequestKind(effort=str(index)))
             for index, (share, factor) in enumerate(KINDS.items())]
    for _ in range(answers):
        now += 1.0 / RATE
        answer, kind = law.draw(random, 0), ANY_KIND
        if several:
            drawn = random.random()
            for share, factor, one in kinds:
                if drawn < share:
                    answer, kind = answer._replace(first=factor * answer.first), one
                    break
                drawn -= share
        lease = policies.lease_now(state, Rank.FIRST, 100.0)
        assert lease is not None
        lease.mark_sent(now, 500, None, streams=True, kind=kind)
        usual, silence = lease.usual, max(answer.stall + answer.gap, answer.gap)
        if not several or kind is not ANY_KIND:
            judged += 1
            for estimate, value in ((usual.first, answer.first), (usual.silence, silence)):
                if value < 2.0:
                    continue
                most = limit.of(estimate, value)
                cut += value > max(CAP, most)
                beyond += value > most and estimate.histogram.count >= CLOCK_SAMPLES
        _watch(lease, answer, now)
        seconds = answer.gap * (answer.contents - 1) + answer.stall
        lease.began(answer.first, now + answer.first)
        lease.end(now + answer.first + seconds, "won", answer=Seen(answer.contents, seconds, silence))
    return Counts(answers, judged, len(demoted), cut, beyond, demoted[:5])


def _watch(lease: Lease, answer: Answer, now: float) -> None:
    """Count it against the model while nothing has come, as the watch of an attempt does."""
    first = lease.usual.first
    if answer.first > first.near:
        for silent in first.rarities:
            if answer.first > silent:
                lease.is_late("first", silent, now + silent)


def main() -> None:
    """Count for each law, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200_000, help="answers of a law (default: 200000)")
    parser.add_argument("--only", default="", help="parts of the names of laws, with commas (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the answers (default: 0)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    print(f"{'law':<26}{'judged':>9}{'demoted':>9}{'cut':>6}{'≤ per 100,000':>15}{'beyond':>8}{'≤ per 100,000':>15}")
    laws: dict[str, dict[str, Any]] = {}
    for name, law in LAWS.items():
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        began = time.process_time()
        answers = options.answers * (KINDS_TIMES if name.endswith("kinds") else 1)
        one = Clock().run(count(name, law, answers, options.seed))
        bounds = [100_000 * upper_bound(number) / one.judged for number in (one.cut, one.beyond)]
        laws[name] = one._asdict() | {"cut_bound": bounds[0], "beyond_bound": bounds[1]}
        print(f"{name:<26}{one.judged:>9,}{one.demoted:>9}{one.cut:>6}{bounds[0]:>15.2f}{one.beyond:>8}{bounds[1]:>15.2f}"
              f"   ({time.process_time() - began:.0f} s) {one.at or ''}", flush=True)
    total = _totals(laws)
    print(f"{total['answers']:,} answers: {total['demoted']} demotions (≤ "
          f"{1e6 * upper_bound(total['demoted']) / total['answers']:.1f} in a million), {total['cut']} cut (≤ "
          f"{1e5 * upper_bound(total['cut']) / total['judged']:.2f} in 100,000)")
    if options.json is not None:
        _write(options.json, laws, options.seed, options.answers)


def _totals(laws: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {key: sum(one[key] for one in laws.values()) for key in ("answers", "judged", "demoted", "cut", "beyond")}


def _write(path: Path, laws: dict[str, dict[str, Any]], seed: int, answers: int) -> None:
    """Write the figures of these laws beside those of the others."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"laws": {}}
    made = environment()
    document["laws"] |= {name: {"date": made["date"], "seed": seed, **law} for name, law in laws.items()}
    document |= made | {"seed": seed, "answers": answers, "total": _totals(document["laws"])}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
