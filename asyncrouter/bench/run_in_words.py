"""How a run was made, in words for the head of its page: its load, the world it was run in, and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.bench.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARRIVALS = {
    "poisson": "{rate:g} calls a second, Poisson arrivals", "constant": "{rate:g} calls a second at equal distances",
    "gamma": "{rate:g} calls a second, gamma arrivals of shape {shape:g}",
    "ramp": "from {rate:g} to {to:g} calls a second", "recorded": "at the instants of {instants:,} recorded calls",
    "closed": "{concurrency:,} streams, each with its next call when the last one has ended",
}
"""The words for each kind of load, with the fields of its description."""


def load_in_words(load: Mapping[str, object]) -> str:
    """The load of a report, such as "10 calls a second, Poisson arrivals"; empty where it is not known."""
    text = _ARRIVALS.get(str(load.get("kind")), "")
    cap = f", at most {load['cap']:,} in flight" if text and load.get("cap") else ""
    try:
        return text.format(**load) + cap
    except (KeyError, ValueError, TypeError):  # a report of another version
        return ""


def world_in_words(scenario: object) -> str:
    """Where the calls were sent: a scenario with what happens in it, or real providers."""
    if not scenario:
        return "real time"
    what = SCENARIOS[scenario].what if isinstance(scenario, str) and scenario in SCENARIOS else ""
    return f"scenario {scenario} ({what}), virtual time" if what else f"scenario {scenario}, virtual time"


def slo_in_words(slo: Mapping[str, object]) -> str:
    """The limits of a good answer, such as "SLO: ttft ≤ 0.5 s, e2e ≤ 8 s"; "no SLO" without any."""
    limits = ", ".join(f"{name} ≤ {limit} s" for name, limit in slo.items())
    return f"SLO: {limits}" if limits else "no SLO"
