"""Retries: the same model again after a pause, as long as its settings, its error and the retry budget allow.

After one error the request is changed instead: a provider has named a parameter that it refuses (`Wire.adapt`). The
request is written without it, and the model is asked once more at once. That is no retry of a failure, so it counts
neither as one of the `attempts` nor against the retry budget.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from asyncrouter._engine.attempt import attempt
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._errors import AttemptError, Rejected
from asyncrouter._events import Notice

if TYPE_CHECKING:
    from asyncrouter._config.config import Retry
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.reading import ChunkReader
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._types import Call, Reply, Trace

MAX_ADAPTATIONS = 3
"""How often one step may be asked again because the provider named a parameter that it refuses: each names one."""

_ABOUT_THE_REQUEST = frozenset({400, 404, 422})
"""The statuses of a request that is wrong. With 404 it names what is not there, such as an item of an earlier answer,
or a model that another API serves; FastAPI's is the last one."""

UNHINTED_MAX_PAUSE = 1.0
"""Seconds that the pause after a rate limit without a Retry-After has at most; it is drawn from U(0, this)."""


async def retry(engine: Engine, call: Call, trace: Trace, step_run: StepRun) -> Reply | ChunkReader | AttemptError:
    """Make attempts until the step answers, or another one makes no sense; then the error of the last one."""
    tries = adaptations = 0
    while True:
        result = await attempt(engine, call, trace, step_run)
        if not isinstance(result, AttemptError):
            return result
        if adaptations < MAX_ADAPTATIONS and not engine.closed and _has_adapted(engine, step_run, result):
            adaptations += 1
            step_run.cause = "retry"
            continue
        tries += 1
        pause = pause_before_next(engine, step_run, result, tries)
        if pause is None or engine.closed or not _policies_allow(engine, step_run, result):
            return result
        step_run.cause = "retry"
        await engine.sleep(pause)


def _has_adapted(engine: Engine, step_run: StepRun, error: AttemptError) -> bool:
    """Whether the next request will be written otherwise, because the provider has said what it refuses in this one."""
    sent = step_run.attempt
    if not isinstance(error, Rejected) or error.status not in _ABOUT_THE_REQUEST or not isinstance(sent, SentAttempt):
        return False
    warning = sent.wire.adapt(step_run.step.model, sent.request, error)
    if warning is None:
        return False
    engine.events.notice(Notice(step_run.step.name, f"{step_run.step.name}: {warning}"))
    return True


def pause_before_next(engine: Engine, step_run: StepRun, error: AttemptError, tries: int) -> float | None:
    """Seconds until the same model may be tried again after `tries` tries; `None`: not again.

    A pause the provider asked for is kept as it is. Other pauses are drawn at random ("full jitter"), so that callers
    that failed together do not come back together.
    """
    settings = step_run.step.retry
    if tries >= settings.attempts or error.again == "never":
        return None
    if error.retry_after is not None:
        return error.retry_after if step_run.should_wait(error.retry_after) else None
    if error.again == "jitter":
        pause = engine.random.uniform(0.0, _longest_pause(engine, settings, tries))
    elif tries > 1:
        return None
    elif error.again == "quick":
        pause = engine.random.uniform(0.0, settings.base)
    else:
        # A rate limit without a hint is only worth a pause when no other step could answer.
        pause = engine.random.uniform(0.0, UNHINTED_MAX_PAUSE)
        if not step_run.is_alone(pause):
            return None
    return pause if step_run.fits(pause) else None


def _longest_pause(engine: Engine, settings: Retry, tries: int) -> float:
    """The upper end of the pause after `tries` tries: `base`, doubled with each further one, `cap` at most."""
    pauses = engine.exponential_backoff(base=2, factor=settings.base, max_value=settings.cap)
    return next(islice(pauses, tries, None))  # a generator of `backoff` yields `None` before the first pause


def _policies_allow(engine: Engine, step_run: StepRun, error: AttemptError) -> bool:
    """Whether the policies let a retry go: the breaker has not just opened, and the retry budget has room for it."""
    refusal = engine.policies.refusal(step_run.step.model, engine.loop.time())
    if refusal is not None and refusal.hold is None and not (refusal.forcible and step_run.is_last()):
        return False
    return engine.policies.may_retry(step_run.step.model, error)
