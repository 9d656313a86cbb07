"""Settings of capacity searches and sweeps that the command line shows, too; nothing here needs numpy."""

MAX_CALLS = 30_000
"""Calls of a search unless `max_calls` is given: a Poisson rate is then known to about ±6 % (8 slots, measured)."""
WARMUP_SHARE = 0.25
"""The share of a probe's calls that is not measured: an empty server would flatter the first ones."""
