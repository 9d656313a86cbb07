"""Observations and recorded calls as tests of `asyncrouter.bench` write them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter.bench.policy_run import Bucket, Outcome, PolicyRun
from asyncrouter.bench.survival import Observation
from asyncrouter.bench.trace import CallRow

if TYPE_CHECKING:
    from asyncrouter.bench import AttemptRow, Policy

USD = 0.001
"""What every whole answer costs; a prompt alone costs a tenth."""


def answer(model: str, first: float, end: float) -> Observation:
    """An answer whose first content came after `first` seconds."""
    return Observation(model, 0.0, first, end, True, True, True, USD, 10, 10)


def failure(model: str, at: float) -> Observation:
    """A failure without any content, which costs nothing."""
    return Observation(model, 0.0, at, at, False, False, True, 0.0)


def censored(model: str, at: float) -> Observation:
    """A model that was cut off at this instant, and would have answered later."""
    return Observation(model, 0.0, at, at, True, True, False, USD)


def run_policy(policy: Policy, *given: Observation, after: float = inf, bucket: Bucket | None = None) -> Outcome:
    """One call under a policy, whose chain is the models of these observations."""
    known = {one.model: one for one in given}
    run = PolicyRun(policy, tuple(known), after, known.__getitem__, lambda _: USD / 10)
    return run.run(bucket or Bucket(None))


def recorded_call(at: float, *attempts: AttemptRow) -> CallRow:
    """A call that began at this instant and ended with its last attempt."""
    return CallRow(at, attempts[-1].ended or 0.0, None, None, list(attempts))
