"""Runs seeds."""
import sys
from .run import run_seed
import time
n=int(sys.argv[1]); t=time.perf_counter(); calls=req=0
for s in range(n):
    r=run_seed(s); calls+=r.calls; req+=r.requests
    for v in r.violations[:2]: print(s, v)
d=time.perf_counter()-t
print(calls, req, f"{calls/d:.0f} calls/s, {n/d:.1f} seeds/s")
