"""Deterministic simulation: whole routers over a world of faulty models, in virtual time, everything from one seed.

`python -m tests.simulation --seeds 1000` runs seeds 0 to 999; `--seed 17` replays one and prints all that happened.
Each seed is a bad day of its own kind (`day.py`), lived through by a router, a world (`world.py`) and callers
(`callers.py`); `run.py` ends the faults, looks whether everything comes back to life, and `checks*.py` say what must
have held. `mutants.py` breaks the router on purpose: each break must be noticed.
"""
