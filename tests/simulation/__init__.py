"""Deterministic simulation: whole routers over simulated, faulty providers, in virtual time, all drawn from a seed.

`python -m tests.simulation --seeds 1000` runs seeds 0 to 999; `--seed 17` replays one and prints all that happened.
Each seed draws a scenario (`scenario.py`); `run.py` runs a router, its providers (`world.py`) and its callers
(`callers.py`) through it, ends the faults and sees whether everything recovers; `live_checks.py` and `checks.py` say
what must have held. Some days are lived again: with pools and sessions (`pool_days.py`), with several keys of one
provider (`key_days.py`), by two routers that share their limits (`shared_days.py`). `mutants.py` breaks the router on
purpose: each break must be noticed.
"""
