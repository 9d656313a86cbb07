"""Invariants of the time after the faults: whatever was out is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scenario import RECOVERY_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Model

    from .checks import FinishedRun
    from .record import CallRecord

DEMOTED = 125.0
"""Seconds between two probes of a model that has become slow, and a little more."""
PROBED = "has become slow, and is tried again"
"""Words in the reason of an attempt beside a probe, which may well be quicker."""
PROBES = 3
"""Probes after which a model that is well again is back; where calls are rare that takes long."""
MODEL_OPEN, HOST_OPEN, KEY_OPEN = 15.0, 60.0, 600.0
"""The longest that a breaker stays open, and a key out."""


def _probes(run: FinishedRun, model: Model, until: float) -> int:
    """The probes of a model after the faults, up to this instant."""
    began = run.record.recovered_at
    tries = [one for one in run.tries if one.attempt.why == f"{model.name}: {PROBED}"]
    return sum(began <= one.call.began <= until for one in tries)


def recovers(run: FinishedRun) -> None:
    """After the faults the first model serves within one open interval, or when its own Retry-After is over."""
    world, recovered = run.world, run.record.recovered_at
    for call in run.record.calls:
        if not call.after_recovery:
            continue
        model = call.plan.steps[0].model
        until = recovered + (HOST_OPEN if model.provider in world.expected.host_failures else MODEL_OPEN)
        until = max(until, world.expected.held_until(model.name))
        if model.provider in world.expected.key_trouble:
            until = max(until, recovered + KEY_OPEN)
        if _excused(run, call, model) or 0 < _probes(run, model, call.began) <= PROBES:
            continue
        if call.began >= until + DEMOTED and (call.reply is None or call.reply.model != model.name):
            served = call.outcome if call.reply is None else call.reply.model
            after = f"{call.began - recovered:.1f} s after all was well"
            run.flag("alive", f"call {call.number}, {after}: {served}, not {model.name}")


def _excused(run: FinishedRun, call: CallRecord, model: Model) -> bool:
    """Whether the first model need not serve: its pace has no room, or its key has just been found to be an old one."""
    mine = [] if call.trace is None else [one for one in call.trace.attempts if one.model == model.name]
    paced = any(one.outcome == "not_sent" and "no room in time" in getattr(one.error, "message", "") for one in mine)
    return paced or _has_an_old_key(run, call, model)


def answered_in_the_end(run: FinishedRun) -> None:
    """At the end, when everything must have recovered, every call is answered."""
    for call in run.record.calls:
        at_last = call.after_recovery and call.began >= run.record.recovered_at + RECOVERY_CALLS[-1]
        old_key = any(_has_an_old_key(run, call, step.model) for step in call.plan.steps)
        if at_last and call.reply is None and not old_key:
            run.flag("alive", f"call {call.number}, at the very end: {call.outcome}")


def _has_an_old_key(run: FinishedRun, call: CallRecord, model: Model) -> bool:
    """Whether it is this call that finds out that there is a new key."""
    rotated = model.provider in run.scenario.key_rotations
    return rotated and any(exchange.script.kind == "401" for exchange in call.exchanges)


CHECKS: list[Callable[[FinishedRun], None]] = [recovers, answered_in_the_end]
