"""The sections of the results page about pools and shared limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import _pool_charts
from _page import command, image, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _page import Document

SLOW_AT = 100.0
"""Seconds at which a deployment becomes slow in `pools.py`."""


def pools(document: Document) -> Iterable[str]:
    yield "## Pools: several keys, deployments, sessions"
    yield "Whole routers in virtual time, over members that are functions. Limits are told by 429s only."
    if "over_time" in document:
        yield image(_pool_charts.slow_member(document["over_time"], SLOW_AT), "p99 over time by rule")
    yield table(("", "goal", "measured", "", ""), (
        (f"{scenario}: {one['what']}", _goal(one), f"**{one['measured']:.4g}**", one["details"],
         {True: "met", False: "missed", None: ""}[one["passed"]])
        for scenario, figures in document["scenarios"].items() for one in figures
    ))
    yield command({**document, **document["environment"]},
                  "python benchmarks/pools.py --json benchmarks/results/pools.json")
    if "litellm" in document:
        yield from _beside_litellm(document["litellm"])


def _beside_litellm(found: Document) -> Iterable[str]:
    begin, until = found["seconds"]
    yield "### Beside LiteLLM's Router"
    yield (f"Real time over sockets, LiteLLM {found['version']} with a Redis of its own; what counts is the span from "
           f"{begin:g} to {until:g} s. A hundred and fifty callers share the keys, answers take 1 s in the median; "
           "where a deployment becomes three times slower, at the beginning of that span, there are 30 calls a second. "
           "\"retries\": ten with back-off, and a deployment is left out for one second instead of five. A call's "
           "seconds include its retries; a caller whose call has failed calls again after half a second.")
    yield table(
        ("traffic", "router", "share of the limits", "429s an answer", "failed calls an answer", "p50 s", "p99 s",
         "CPU ms an answer", "slow deployment"),
        ((one["traffic"], one["router"], "" if one["share"] is None else f"{one['share']:.3f}",
          f"{one['rejections']:.3f}", f"{one['failed']:.3f}", f"{one['p50']:.2f}", f"{one['p99']:.2f}",
          f"{one['cpu_ms']:.2f}", "" if one["slow"] is None else f"{one['slow']:.1%}") for one in found["rows"]),
    )
    yield command(found, "python benchmarks/pools.py litellm --litellm DIR --json benchmarks/results/pools.json")


def shared(document: Document) -> Iterable[str]:
    yield "## Eight processes as one, by Redis"
    yield (f"Real processes and a real Redis on one machine: {document['limit_a_second']:g} requests a second, or "
           f"{document['tokens_a_minute']:,} tokens a minute, over {document['processes']} processes that ask for "
           f"twice that, {document['seconds']:g} s each. The worst second of an outage may have 1.25 times the limit.")
    if "by_second" in document["stopped"]:
        yield image(_pool_charts.outages(document), "Requests in each second while Redis is in trouble")
    names = ("requests", "tokens", "stopped", "paused", "flushed")
    yield table(("", "share of the limit", "worst second", "429s an answer", "failed calls"), (
        (name, f"{one['share_of_the_limit']:.3f}", one["worst_second"], f"{one['rejections_a_success']:.4f}",
         one["failed"])
        for name in names if (one := document.get(name)) is not None
    ))
    killed, budget, cpu = document["killed"], document["budget"], document["cpu"]
    yield (f"Four of eight processes killed with {killed['slots']} slots in use: these were used again after "
           f"{killed['seconds_until_nine_tenths_are_used_again']:g} s. One budget of {budget['budget_usd']:g} dollars: "
           f"the books differ from the bill by {budget['difference_usd']:.0e} dollars after {budget['calls']:,} calls. "
           f"An admission takes {document['admission']['question_p50_ms']:g} ms (p50); processor time of a call "
           f"{cpu['single_alone_us']:g} µs without Redis and {cpu['single_redis_us']:g} with it, in bursts of ten "
           f"{cpu['burst_of_ten_alone_us']:g} and {cpu['burst_of_ten_redis_us']:g}.")
    yield command({**document, **document["environment"]},
                  "python -m benchmarks.shared --json benchmarks/results/shared.json")


def _goal(figure: Document) -> str:
    return "" if figure["goal"] is None else f"{'≥' if figure['at_least'] else '≤'} {figure['goal']:g}"
