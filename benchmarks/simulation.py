"""Are the policies right? Whole routers in virtual time: hedging beside its theoretical optimum, breakers, pacing.

    python benchmarks/simulation.py [--only hedge-5,pacing] [--calls 250000] [--seed 0] [--json FILE]

Hedging is compared with the best that one hedge under a budget can do for a percentile, computed numerically
(`_optimal_hedge.py`). Efficiency is (T_none - T) / (T_none - T*), where T is the measured percentile, T_none that
without a hedge, and T* the optimum: 0 is no gain, 1 is the optimum.

Every figure comes from a real `Router`. Its transport returns whole replies without their bytes
(`_function_models.py`); the part `bytes` makes the same calls once more with `asyncrouter.sim`, which sends every event
of a stream, and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _machine import environment
from _simulated_errors import amplification, errors, outage
from _simulated_hedging import hedge_2, hedge_5, in_bytes, shift
from _simulated_pacing import pacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _simulation_log import Figure

PARTS: dict[str, Callable[[int, int], Iterator[Figure]]] = {
    "hedge-5": hedge_5, "hedge-2": hedge_2, "bytes": in_bytes, "shift": shift, "errors": errors, "pacing": pacing,
    "amplification": amplification, "outage": outage,
}


def _parts(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_parts, default=list(PARTS), metavar="PARTS",
                        help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--calls", type=int, default=250_000, help="calls of a distribution (default: 250000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything that is drawn (default: 0)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    results: dict[str, list[dict[str, object]]] = {}
    missed = 0
    for name in options.only:
        began = time.monotonic()
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        for figure in PARTS[name](options.calls, options.seed):
            print(figure, flush=True)
            missed += figure.passed is False
            results.setdefault(name, []).append(figure._asdict() | {"passed": figure.passed})
        print(f"  ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    count = sum(map(len, results.values()))
    print(f"{missed} of {count} figures missed their goal" if missed else "every goal was met")
    if options.json is not None:
        document = {
            **environment(), "calls": options.calls, "seed": options.seed, "parts": results,
        }
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
