"""Compares chains and models by measurement: arms run under the same load, and estimates made from recorded calls.

```python
from asyncrouter import bench

arms = [bench.Arm("plain", {"chain": ["primary", "secondary"]}),
        bench.Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": "p95"}})]
run = bench.run(arms, bench.Load.poisson(rate=20, calls=500), scenario="heavy-tail")
run.write("out")                      # report.html, report.json and .csv, requests.jsonl and .csv
run.report().arms[1].measures["p99_e2e"]
```

Which model is good enough? Scorers judge the answers, and the report says which arm to choose, and how sure that is:

```python
from asyncrouter import bench

models = [bench.Arm(name, {"model": name}) for name in ("primary", "secondary", "tertiary")]
run = bench.run(models, bench.Load.poisson(rate=10, calls=200), scenario="sums", scorers=[bench.Scorer.exact()])
choice = run.report().choice          # `None` without scorers
print(choice and choice.chosen)       # the cheapest whose answers are not shown to be worse, or at least `good_enough`
```

With models of your own: `prompts=bench.read_dataset("questions.jsonl")` instead of a scenario, where each line is
`{"prompt": …, "expected": …}` or has one of the other usual forms; `calls=3 * len(prompts)` asks each three times, and
errors are clustered by prompt. Answers are written to answers.jsonl; `rescore` judges them again without asking again.

`JsonlTrace` is a listener that records the calls of a service; `replay` estimates from the recording what another
hedge, other timeouts or another order of models would have done. All but `JsonlTrace` needs the extra `bench` (numpy,
plotly).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from asyncrouter.bench.trace import JsonlTrace, read_trace

if TYPE_CHECKING:
    from asyncrouter.bench.arm_run import ArmRun
    from asyncrouter.bench.arms import Arm, parse_arm, standard
    from asyncrouter.bench.capacity import MaxRate, max_rate
    from asyncrouter.bench.changes import Change
    from asyncrouter.bench.choice import Choice
    from asyncrouter.bench.comparison import compare
    from asyncrouter.bench.conditions import Condition, broken, parse_conditions
    from asyncrouter.bench.dataset import read_dataset
    from asyncrouter.bench.definitions import DEFINITIONS
    from asyncrouter.bench.formatting import COLUMNS, figure
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.policy import Policy
    from asyncrouter.bench.probes import Probe
    from asyncrouter.bench.progress import Progress
    from asyncrouter.bench.replay_estimate import Replayed, as_recorded, replay
    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.rescoring import rescore
    from asyncrouter.bench.result import Run
    from asyncrouter.bench.rows import AttemptRow, Row
    from asyncrouter.bench.runner import INTERRUPTED, run, run_real
    from asyncrouter.bench.sample import Sample
    from asyncrouter.bench.saturation import Sweep, sweep
    from asyncrouter.bench.scenarios import SCENARIOS, Day, Scenario
    from asyncrouter.bench.scorers import Scorer, parse_scorer
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stats import Estimate
    from asyncrouter.bench.stop import Stop
    from asyncrouter.bench.synthetic_prompts import Shape, synthetic

__all__ = [
    "COLUMNS", "DEFINITIONS", "INTERRUPTED", "SCENARIOS", "Arm", "ArmReport", "ArmRun", "AttemptRow", "Change",
    "Choice", "Condition", "Day", "Estimate", "JsonlTrace", "Load", "MaxRate", "Policy", "Probe", "Progress",
    "Replayed", "Report", "Row", "Run", "Sample", "Scenario", "Scorer", "Settings", "Shape", "Stop", "Sweep",
    "as_recorded", "broken", "compare", "figure", "max_rate", "parse_arm", "parse_conditions", "parse_scorer",
    "read_dataset", "read_trace", "replay", "rescore", "run", "run_real", "standard", "sweep", "synthetic",
]

_EXPORTS = {
    "arm_run": ("ArmRun",), "arms": ("Arm", "parse_arm", "standard"), "capacity": ("MaxRate", "max_rate"),
    "changes": ("Change",), "choice": ("Choice",), "comparison": ("compare",),
    "conditions": ("Condition", "broken", "parse_conditions"), "dataset": ("read_dataset",),
    "definitions": ("DEFINITIONS",), "formatting": ("COLUMNS", "figure"), "load": ("Load",), "policy": ("Policy",),
    "probes": ("Probe",), "progress": ("Progress",), "replay_estimate": ("Replayed", "as_recorded", "replay"),
    "report": ("ArmReport", "Report"), "rescoring": ("rescore",), "result": ("Run",), "rows": ("AttemptRow", "Row"),
    "runner": ("INTERRUPTED", "run", "run_real"), "saturation": ("Sweep", "sweep"),
    "scenarios": ("SCENARIOS", "Day", "Scenario"), "settings": ("Settings",), "stats": ("Estimate",),
    "sample": ("Sample",), "scorers": ("Scorer", "parse_scorer"), "stop": ("Stop",),
    "synthetic_prompts": ("Shape", "synthetic"),
}
"""The public names of each module."""
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a service that only records needs neither numpy nor plotly."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"asyncrouter.bench.{_MODULE_OF[name]}"), name)
