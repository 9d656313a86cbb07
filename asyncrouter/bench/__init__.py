"""Which chain is better, and what does it cost? Arms run side by side, and calls of the past played again.

```python
from asyncrouter import bench

arms = [bench.Arm("plain", {"chain": ["primary", "secondary"]}),
        bench.Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": "p95"}})]
run = bench.run(arms, bench.Load.poisson(rate=20, calls=500), scenario="heavy-tail")
run.write("out")                      # report.html, report.json, requests.jsonl
run.report().arms[1].measures["p99_e2e"]
```

`JsonlTrace` is a listener that records the calls of a service, `replay` estimates from them how another hedge, other
clocks or another order would have done. All but `JsonlTrace` needs the extra `bench` (numpy, plotly).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from asyncrouter.bench.trace import JsonlTrace, read_trace

if TYPE_CHECKING:
    from asyncrouter.bench.arms import Arm, parse_arm, standard
    from asyncrouter.bench.comparison import Change, compare
    from asyncrouter.bench.conditions import Condition, broken, parse_conditions
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.measures import DEFINITIONS
    from asyncrouter.bench.policy import Policy
    from asyncrouter.bench.progress import Progress
    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.result import ArmRun, Run
    from asyncrouter.bench.rows import AttemptRow, Row
    from asyncrouter.bench.runner import INTERRUPTED, run, run_real
    from asyncrouter.bench.scenarios import SCENARIOS, Day, Scenario
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stats import Estimate
    from asyncrouter.bench.stop import Stop
    from asyncrouter.bench.whatif import Replayed, replay
    from asyncrouter.bench.words import COLUMNS, figure

__all__ = [
    "COLUMNS", "DEFINITIONS", "INTERRUPTED", "SCENARIOS", "Arm", "ArmReport", "ArmRun", "AttemptRow", "Change",
    "Condition", "Day", "Estimate", "JsonlTrace", "Load", "Policy", "Progress", "Replayed", "Report", "Row", "Run",
    "Scenario", "Settings", "Stop", "broken", "compare", "figure", "parse_arm", "parse_conditions", "read_trace",
    "replay", "run", "run_real", "standard",
]

_ROOMS = {
    "arms": ("Arm", "parse_arm", "standard"), "comparison": ("Change", "compare"),
    "conditions": ("Condition", "broken", "parse_conditions"), "load": ("Load",),
    "measures": ("DEFINITIONS",), "policy": ("Policy",),
    "progress": ("Progress",), "report": ("ArmReport", "Report"), "result": ("ArmRun", "Run"),
    "rows": ("AttemptRow", "Row"), "runner": ("INTERRUPTED", "run", "run_real"),
    "scenarios": ("SCENARIOS", "Day", "Scenario"), "settings": ("Settings",), "stats": ("Estimate",), "stop": ("Stop",),
    "whatif": ("Replayed", "replay"), "words": ("COLUMNS", "figure"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    """Fetch a name from its room: a service that only records its calls needs neither numpy nor plotly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"asyncrouter.bench.{_HOMES[name]}"), name)
