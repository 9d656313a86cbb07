"""What must be true of the time in which nothing fails any more: who was out is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .day import HEALED

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Model

    from .checks import Run
    from .record import CallRecord

DEMOTED = 5.0
"""Seconds between two tries of a model that has been slow, in its old place."""
MODEL_OPEN, HOST_OPEN, KEY_OPEN = 15.0, 60.0, 600.0
"""The longest that a breaker stays open, and a key out."""


def alive_again(run: Run) -> None:
    """Once all is well, the first model serves within one open interval, or when what it has asked for is over."""
    world, healed = run.world, run.record.healed_at
    for call in run.record.calls:
        if not call.healed:
            continue
        model = call.plan.steps[0].model
        until = healed + (HOST_OPEN if model.provider in world.knows.host_failures else MODEL_OPEN)
        until = max(until, world.knows.held.get(model.name, 0.0), world.knows.gone.get(model.name, 0.0))
        if model.provider in world.knows.key_trouble:
            until = max(until, healed + KEY_OPEN)
        if _excused(run, call, model):
            continue
        if call.began >= until + DEMOTED and (call.reply is None or call.reply.model != model.name):
            served = call.outcome if call.reply is None else call.reply.model
            after = f"{call.began - healed:.1f} s after all was well"
            run.flag("alive", f"call {call.number}, {after}: {served}, not {model.name}")


def _excused(run: Run, call: CallRecord, model: Model) -> bool:
    """Whether a model need not serve: it keeps to its pace, or its key has just been found to be an old one."""
    paced = call.trace is not None and any(
        one.model == model.name and one.outcome == "not_sent" and "its pace of" in getattr(one.error, "message", "")
        for one in call.trace.attempts
    )
    return paced or _has_an_old_key(run, call, model)


def answered_in_the_end(run: Run) -> None:
    """When whatever was out must be back, every call gets its answer."""
    for call in run.record.calls:
        at_last = call.healed and call.began >= run.record.healed_at + HEALED[-1]
        old_key = any(_has_an_old_key(run, call, step.model) for step in call.plan.steps)
        if at_last and call.reply is None and not old_key:
            run.flag("alive", f"call {call.number}, at the very end: {call.outcome}")


def _has_an_old_key(run: Run, call: CallRecord, model: Model) -> bool:
    """Whether it is this very call that finds out that there is a new key."""
    return model.provider in run.day.rotates and any(exchange.fate.kind == "401" for exchange in call.exchanges)


CHECKS: list[Callable[[Run], None]] = [alive_again, answered_in_the_end]
