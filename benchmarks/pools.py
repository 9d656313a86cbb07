"""Pools in simulation: throughput of several keys, a deployment that becomes slow, sessions, and weights.

Run it: python benchmarks/pools.py [keys] [slow] [sessions] [weights] [over_time] [litellm]
        [--litellm DIR] [--json FILE]

Every scenario is a whole router in virtual time, over members that are functions (`_pool_models.py`). But "litellm",
which needs `--litellm DIR`, runs in real time, half an hour, over sockets of this machine: asyncrouter and LiteLLM's
Router with its strategies and its Redis (a `redis-server` of its own), each in a process of its own
(`_pool_sockets.py`). LiteLLM is installed into an environment in DIR, if it is not there yet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import _pool_sockets
from _machine import environment
from _pool_models import (
    Deployment,
    Limited,
    PeakEwma,
    RandomPick,
    RoundRobin,
    arrive,
    quantile,
    run_pool,
    saturate,
)
from _simulation_log import MESSAGES, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import Event, Router

CALLERS = 150
CALLERS_A_REQUEST = 2.5
"""Callers for each request a second at least: 150 that wait 1.13 s for an answer ask 132 times a second at most."""
UNTIL = 320.0
"""Seconds of a saturated run; the first twenty are the search for the limits."""
SLOW_AT = 100.0
"""The instant at which a deployment becomes three times slower."""


def keys() -> Iterator[Figure]:
    """Keys with a hidden limit of 20 a second each; then three members with 10, 40 and 5."""
    for name, rates in (
        *((f"{count} × 20/s", [20.0] * count) for count in (1, 2, 4, 8)), ("10, 40 and 5/s", [10.0, 40.0, 5.0]),
    ):
        members = {f"k{number}": Limited(rate, f"{name}:{number}") for number, rate in enumerate(rates)}
        callers = max(CALLERS, int(CALLERS_A_REQUEST * sum(rates)))
        failed = run_pool(members, partial(saturate, callers=callers, until=UNTIL), deadline=120.0)
        served = sum(20.0 <= at < UNTIL for member in members.values() for at in member.served)
        rejected = sum(20.0 <= at < UNTIL for member in members.values() for at in member.rejected)
        first = [
            sum(at < 60.0 for member in members.values() for at in getattr(member, kind))
            for kind in ("served", "rejected")
        ]
        yield Figure(f"{name}: share of the limits, 20 to 320 s", served / (sum(rates) * 300.0), 0.98, True)
        yield Figure(f"{name}: rejections a success, 20 to 320 s", rejected / served, 0.02, False)
        yield Figure(f"{name}: rejections a success, first minute", first[1] / first[0], 0.08, False)
        yield Figure(f"{name}: failed calls", failed, 0, False)
    crowd = Limited(20.0, "crowd")
    run_pool({"k": crowd}, lambda router: saturate(router, CALLERS, 60.0, begin=0.0), deadline=120.0)
    rejected = sum(at < 60.0 for at in crowd.rejected) / sum(at < 60.0 for at in crowd.served)
    details = f"{sum(at < 1.0 for at in crowd.rejected)} of them before the first 429: nothing was known yet"
    yield Figure("1 × 20/s, all callers at one instant: first minute", rejected, None, False, details)


def slow_calls(
    rate: float, pick: object, listener: Callable[[Event], None] | None = None, hedge: object = None,
    until: float = SLOW_AT + 540.0,
) -> tuple[list[tuple[float, float]], dict[str, Deployment]]:
    """Calls to three deployments, one of which becomes three times slower: when each began, and how long it took."""
    members = {
        "a": Deployment("a", lambda now: 3.0 if now >= SLOW_AT else 1.0), "b": Deployment("b"), "c": Deployment("c"),
    }
    options = {} if hedge is None else {"hedge": hedge}
    seconds = run_pool(
        members, lambda router: arrive(router, rate, until, rate, **options), pick=pick,
        listeners=() if listener is None else (listener,),
    )
    return seconds, members


def slow_run(
    rate: float, pick: object, listener: Callable[[Event], None] | None = None, hedge: object = None
) -> dict[str, float]:
    """The p99 of calls that began after one of three deployments had become three times slower."""
    seconds, members = slow_calls(rate, pick, listener, hedge)
    after = [took for began, took in seconds if began >= SLOW_AT]
    early = [took for began, took in seconds if SLOW_AT <= began < SLOW_AT + 100.0]
    share = sum(at >= SLOW_AT for at in members["a"].sent) / sum(
        at >= SLOW_AT for member in members.values() for at in member.sent
    )
    return {"p99": quantile(after, 0.99), "p99_first_100_s": quantile(early, 0.99), "share": share}


def oracle_p99() -> float:
    """The p99 of somebody who knows: the deployments that are as usual."""
    random = Random("oracle")
    return quantile([random.lognormvariate(0.0, 0.5) for _ in range(400_000)], 0.99)


def slow() -> Iterator[Figure]:
    """Three deployments, one of them three times slower from one instant to the next."""
    best = oracle_p99()
    for rate in (3.0, 30.0, 150.0):
        for name in ("least-busy", "fastest"):
            hedge = {"after": "p95", "cap": 3.0} if rate < 30.0 else None
            found = slow_run(rate, name, hedge=hedge)
            what = f"{rate:g}/s: {name}{' with a hedge' if hedge else ''}, p99 / that of somebody who knows"
            yield Figure(what, found["p99"] / best, 1.3, False, f"slow one {found['share']:.1%}; first 100 s "
                         f"{found['p99_first_100_s'] / best:.2f}")
        ewma = PeakEwma(rate)
        for name, pick, listener in (
            ("random", RandomPick(rate), None), ("round robin", RoundRobin(), None),
            ("peak-EWMA, best of two", ewma, ewma.listen),
        ):
            found = slow_run(rate, pick, listener)
            yield Figure(f"{rate:g}/s: {name}", found["p99"] / best, None, False, f"slow one {found['share']:.1%}")


def over_time() -> dict[str, list[tuple[float, float]]]:
    """At 30 calls a second, by rule: the p99 of the calls that began in each ten seconds, as a deployment becomes slow.
    """
    ewma, until = PeakEwma(30.0), SLOW_AT + 150.0
    rules: dict[str, tuple[object, Callable[[Event], None] | None]] = {
        "least-busy": ("least-busy", None), "fastest": ("fastest", None), "random": (RandomPick(30.0), None),
        "round robin": (RoundRobin(), None), "peak-EWMA, best of two": (ewma, ewma.listen),
    }
    curves = {}
    for name, (pick, listener) in rules.items():
        seconds, _ = slow_calls(30.0, pick, listener, until=until)
        windows = {at: [took for began, took in seconds if at <= began < at + 10.0] for at in range(40, int(until), 10)}
        curves[name] = [(at + 5.0, round(quantile(window, 0.99), 3)) for at, window in windows.items()]
        print(f"  {name:<24} {curves[name]}", flush=True)
    return curves


SESSIONS, TURNS, MEMBERS = 1000, 20, 5
PROCESSES = 8
CACHE_SECONDS = 300.0
"""Seconds for which a provider keeps a prompt."""
PROMPT, TURN, CACHED_PRICE = 2000, 500, 0.1


def session_run(*, affinity: bool, dead: Callable[[str, float], bool] = lambda name, now: False) -> dict[str, object]:
    """A thousand sessions of twenty calls: who got them, and what a cache of each member's would have saved."""
    members = {name: Deployment(name, dead=lambda now, name=name: dead(name, now)) for name in "abcde"}  # type: ignore[misc]
    asked: dict[int, list[tuple[float, str]]] = {}
    prompts = cached = 0
    seen: dict[tuple[str, int], tuple[float, int]] = {}  # of a session at a member: when, and how much of its prompt

    async def run(router: Router) -> None:
        loop, random = asyncio.get_running_loop(), Random("sessions")

        async def session(number: int, begins: float) -> None:
            nonlocal prompts, cached
            await asyncio.sleep(begins)
            for turn in range(TURNS):
                reply = await router.chat(MESSAGES, **({"session": f"s{number}"} if affinity else {}))  # type: ignore[arg-type]
                member, now = reply.trace.attempts[-1].member or "", loop.time()
                asked.setdefault(number, []).append((now, member))
                size = PROMPT + TURN * turn
                at, known = seen.get((member, number), (-CACHE_SECONDS, 0))
                prompts += size
                cached += min(known, size) if now - at < CACHE_SECONDS else 0
                seen[member, number] = (now, size)
                await asyncio.sleep(random.uniform(4.0, 12.0))

        await asyncio.gather(*(session(number, random.uniform(0.0, 60.0)) for number in range(SESSIONS)))

    run_pool(members, run)
    return {
        "asked": asked, "cached": cached / prompts,
        "cost": (cached * CACHED_PRICE + prompts - cached) / prompts,
        "loads": {name: len(member.sent) for name, member in members.items()},
    }


def sessions() -> Iterator[Figure]:
    """A thousand sessions of twenty calls over five members, with and without affinity, and with a member that dies."""
    without, quiet = session_run(affinity=False), session_run(affinity=True)
    yield Figure("on the session's own member, nobody fails", _on_main(quiet), 0.98, True)
    loads = quiet["loads"].values()  # type: ignore[attr-defined]
    yield Figure("busiest member / mean", max(loads) / (sum(loads) / MEMBERS), 1.5, False)
    yield Figure("cached share of the prompts", quiet["cached"], None, True, f"without: {without['cached']:.3f}")  # type: ignore[arg-type]
    yield Figure("price of the prompts", quiet["cost"], None, False, f"without: {without['cost']:.3f}")  # type: ignore[arg-type]
    down = session_run(affinity=True, dead=lambda name, now: name == "a" and 80.0 <= now < 140.0)
    moved = {number: names for number, calls in down["asked"].items() if len(names := {name for _, name in calls}) > 1}  # type: ignore[attr-defined]
    theirs = sum("a" in {name[0] for name in names} for names in moved.values())
    yield Figure(
        "sessions that moved when a member died for 60 s", len(moved), None, False, f"{theirs} of them its own"
    )
    yield Figure("sessions that moved and were not its own", len(moved) - theirs, 5, False, "the others were full")
    back = sum(
        later[1].startswith("a") and not earlier[1].startswith("a") and 140.0 <= later[0] < 160.0
        for calls in down["asked"].values() for earlier, later in pairwise(calls)  # type: ignore[attr-defined]
    )
    yield Figure("sessions that rushed back within 20 s", back, 10, False)


def _on_main(run: dict[str, object]) -> float:
    counts = [Counter(name for _, name in calls) for calls in run["asked"].values()]  # type: ignore[attr-defined]
    return sum(max(one.values()) for one in counts) / sum(sum(one.values()) for one in counts)


def weights() -> Iterator[Figure]:
    """Weights of 98 : 1 : 1 and 3 : 1 : 1 : 2: how far any hundred calls are off, also of eight processes together."""
    for shares in ((98.0, 1.0, 1.0), (3.0, 1.0, 1.0, 2.0)):
        for callers in (1, 100):
            members = {name: Deployment(name) for name in "abcd"[: len(shares)]}
            order: list[str] = []

            def watch(name: str, member: Deployment, order: list[str] = order) -> Callable[[float], object]:
                def ask(now: float) -> object:
                    order.append(name)
                    return member(now)

                return ask

            watched = {name: watch(name, member) for name, member in members.items()}

            async def run(router: Router, callers: int = callers) -> None:
                async def caller() -> None:
                    for _ in range(2000 // callers):
                        await router.chat(MESSAGES)

                await asyncio.gather(*(caller() for _ in range(callers)))

            run_pool(watched, run, pick="weighted", weights=shares)  # type: ignore[arg-type]
            wanted = dict(zip(members, shares, strict=True))
            name = " : ".join(f"{share:g}" for share in shares)
            yield Figure(
                f"{name}, {callers} callers: most off in any 100", _most_off(order, wanted), len(shares) - 1, False
            )
            if callers == 1:
                together = _interleaved([order] * PROCESSES)
                yield Figure(f"{name}, {PROCESSES} processes: most off in any 100", _most_off(together, wanted), None,
                             False, "each has turns of its own: nothing is promised")


def _most_off(order: list[str], shares: dict[str, float]) -> float:
    """By how many calls a member's part of any hundred is off its share."""
    whole = sum(shares.values())
    return max(
        abs(order[begin : begin + 100].count(name) - 100.0 * share / whole)
        for begin in range(len(order) - 99) for name, share in shares.items()
    )


def _interleaved(orders: list[list[str]]) -> list[str]:
    """The calls of several processes as they come one after the other, by chance."""
    random, left = Random("processes"), [iter(order) for order in orders]
    turns = [number for number, order in enumerate(orders) for _ in order]
    random.shuffle(turns)
    return [next(left[number]) for number in turns]


SCENARIOS = {"keys": keys, "slow": slow, "sessions": sessions, "weights": weights}
CURVES, SOCKETS = "over_time", "litellm"


def litellm(folder: Path) -> dict[str, object]:
    """Both routers on the same traffic, over sockets."""
    found = []
    for row in _pool_sockets.rows(folder):
        print("  " + "  ".join(map(str, _pool_sockets.cells(row))), flush=True)
        found.append(row._asdict())
    seconds = [_pool_sockets.BEGIN, _pool_sockets.UNTIL]
    return {"version": _pool_sockets.version_of_litellm(folder), "seconds": seconds, "rows": found}


def main() -> None:
    """Run the scenarios that are named, or all; print their figures, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--litellm", type=Path, metavar="DIR", help="the environment of LiteLLM")
    parser.add_argument("--json", type=Path, help="file to write the figures to; others that it holds are kept")
    options = parser.parse_args()
    names = options.scenarios or [*SCENARIOS, CURVES, *([SOCKETS] if options.litellm else [])]
    if unknown := [name for name in names if name not in {*SCENARIOS, CURVES, SOCKETS}]:
        parser.error(f"no scenario {unknown[0]!r}; there are {', '.join([*SCENARIOS, CURVES, SOCKETS])}")
    if SOCKETS in names and options.litellm is None:
        parser.error("the scenario litellm needs --litellm DIR")
    found: dict[str, list[dict[str, object]]] = {}
    for name in [name for name in names if name in SCENARIOS]:
        print(f"{name}: {(SCENARIOS[name].__doc__ or '').strip()}", flush=True)
        for figure in SCENARIOS[name]():
            print(figure, flush=True)
            found.setdefault(name, []).append({**figure._asdict(), "passed": figure.passed})
    others: dict[str, object] = {CURVES: over_time()} if CURVES in names else {}
    if SOCKETS in names:
        others[SOCKETS] = {**environment(), **litellm(options.litellm)}
    if options.json is not None:
        before = json.loads(options.json.read_text("utf-8")) if options.json.exists() else {"scenarios": {}}
        head = {"date": datetime.now(UTC).date().isoformat(), "environment": environment()} if found else {}
        after = {**before, **head, "scenarios": {**before["scenarios"], **found}, **others}
        options.json.write_text(json.dumps(after, indent=1) + "\n", encoding="utf-8")
    if any(one["passed"] is False for figures in found.values() for one in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
