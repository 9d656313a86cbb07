"""Again, the same model, after a pause."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from asyncrouter._engine.attempt import attempt
from asyncrouter._errors import AttemptError

if TYPE_CHECKING:
    from random import Random

    from asyncrouter._config.config import Retry
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.reading import ReplyReader
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._types import Call, Reply, Trace

UNHINTED = 1.0
"""A rate limit without a Retry-After is retried once, after U(0, this) seconds."""


async def retry(engine: Engine, call: Call, trace: Trace, lane: StepRun) -> Reply | ReplyReader | AttemptError:
    """Try a step until it answers or another try makes no sense; then the error of its last attempt."""
    tries = 0
    while True:
        result = await attempt(engine, call, trace, lane)
        if not isinstance(result, AttemptError):
            return result
        tries += 1
        pause = pause_before_next(result, tries, lane, engine.random)
        if pause is None or engine.closed or not _worth(engine, lane, result):
            return result
        lane.cause = "retry"
        await engine.pause(pause)


def pause_before_next(error: AttemptError, tries: int, lane: StepRun, random: Random) -> float | None:
    """Seconds until the same model may be tried again after `tries` tries; `None` to give it up (DESIGN §7)."""
    settings = lane.step.retry
    if tries >= settings.attempts or error.again == "never":
        return None
    if error.retry_after is not None:
        return error.retry_after if lane.waits(error.retry_after) else None
    if error.again == "jitter":
        pause = random.uniform(0.0, _step(settings, tries))
    elif tries > 1:
        return None
    elif error.again == "quick":
        pause = random.uniform(0.0, settings.base)
    else:
        # A limit without a hint is only worth a pause when nothing else could answer.
        pause = random.uniform(0.0, UNHINTED)
        if not lane.alone(pause):
            return None
    return pause if lane.fits(pause) else None


def _worth(engine: Engine, lane: StepRun, error: AttemptError) -> bool:
    """Whether the policies would let a retry go: the breaker has not just opened, and the budget has room for it."""
    refusal = engine.policies.refusal(lane.step.model, engine.loop.time())
    if refusal is not None and refusal.hold is None and not (refusal.forcible and lane.last()):
        return False
    return engine.policies.may_retry(lane.step.model, error)


def _step(settings: Retry, tries: int) -> float:
    """The upper end of the pause after `tries` tries; the first `next` of a `backoff` generator yields nothing."""
    from backoff import expo  # three milliseconds at import that a router without failures need not pay

    steps = expo(base=2, factor=settings.base, max_value=settings.cap)
    return next(islice(steps, tries, None))
