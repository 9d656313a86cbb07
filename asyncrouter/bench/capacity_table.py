"""The table of a sweep or a search: a line for each level of load."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.probes import By, Probe

COLUMNS = {
    "calls": "calls", "rate": "answered / s", "output_tokens_per_second": "tokens / s", "success": "success",
    "p50_ttft": "ttft p50", "p95_ttft": "ttft p95", "p50_tpot": "tpot p50", "p50_e2e": "p50", "p95_e2e": "p95",
    "p99_e2e": "p99",
}
"""The figures of a level, and their labels."""


def level_name(by: By) -> str:
    """What a level counts."""
    return "streams" if by == "streams" else "calls / s"


def rows(by: By, probes: Sequence[Probe]) -> list[list[str]]:
    """A line of text cells for each level, by rising level."""
    return [_row(by, one) for one in sorted(probes, key=lambda one: one.level)]


def _row(by: By, probe: Probe) -> list[str]:
    level = f"{probe.level:.0f}" if by == "streams" else f"{probe.level:.4g}"
    return [level, *(_cell(name, probe) for name in COLUMNS)]


def _cell(name: str, probe: Probe) -> str:
    if name == "calls":
        return f"{probe.calls:,}"
    value = probe.rate if name == "rate" else probe.figures.get(name)
    if value is None:
        return "–"
    if name == "success":
        return f"{value:.2%}"
    return f"{value:,.2f}" if name in {"rate", "output_tokens_per_second"} else f"{value:.3f}"
