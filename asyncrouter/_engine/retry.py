"""Retries: the same model again after a pause, as long as its settings, its error and the retry budget allow.

What is a retry, and what is only a wait. A guess of ours (a server error, a lost connection, a bad reply) is a retry:
`retry.attempts` counts it, and the retry budget pays for it. Whatever the provider asked for is a wait: a Retry-After
of any status, a rate limit without one while no other step could serve, and a key that has been renewed. A wait is
charged to nothing but the deadline. Only an `attempts` that somebody has given bounds waits, too.

After one error the request is changed instead: a provider has named a parameter that it refuses (`Wire.adapt`). The
request is written without it, and the model is asked once more at once. That is no retry of a failure, so it counts
neither as one of the `attempts` nor against the retry budget.
"""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.attempt import attempt
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.step_run import Pause
from asyncrouter._errors import AttemptError, RateLimited, Rejected, ServerFailed, Unauthorized
from asyncrouter._events import Notice

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._config.config import Retry
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.reading import ChunkReader
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._types import Call, Reply, Trace

MAX_ADAPTATIONS = 3
"""How often one step may be asked again because the provider named a parameter that it refuses: each names one."""

_ABOUT_THE_REQUEST = frozenset({400, 404, 422})
"""The statuses of a request that is wrong. With 404 it names what is not there, such as an item of an earlier answer or
a model that another API serves; 422 is FastAPI's."""

UNHINTED_FIRST_PAUSE = 1.0
"""Seconds that the first pause after a rate limit without a Retry-After has at most; it is drawn from U(0, this), and
twice as long each further time, up to `retry.cap`."""
UNHINTED_TRIES = 8
"""Requests to a model that asks for pauses without saying how long, where the call was given no deadline."""
UNAVAILABLE = 503
"""The status of a service that cannot serve now; without a Retry-After it is like a rate limit without one."""


class Tries:
    """What a step run has tried: all requests, those that `retry.attempts` counts, limits without a hint.

    `waited` is the sum of the pauses that the provider has asked for, in seconds.
    """

    __slots__ = ("counted", "everything", "renewed", "unhinted", "waited", "zero_hints")

    def __init__(self, before: int) -> None:
        self.everything = before
        self.counted = self.unhinted = self.zero_hints = 0
        self.waited = 0.0
        self.renewed = False

    def __repr__(self) -> str:
        return f"<Tries {self.everything}, {self.counted} counted>"


async def retry(engine: Engine, call: Call, trace: Trace, step_run: StepRun) -> Reply | ChunkReader | AttemptError:
    """Make attempts until the step answers, or another one makes no sense; then the error of the last one."""
    result = await attempt(engine, call, trace, step_run)
    if not isinstance(result, AttemptError):
        return result
    tries, adaptations = Tries(step_run.tried), 0
    if (pool := step_run.pool) is not None:
        tries.counted = pool.failures
        if step_run.step.retry.attempts_given:
            tries.everything = max(tries.everything, pool.tried_before(step_run.step.retry.attempts))
    while True:
        if adaptations < MAX_ADAPTATIONS and not engine.closed and _has_adapted(engine, step_run, result, trace):
            adaptations += 1
        elif step_run.gives_way(result):
            return result
        else:
            pause = pause_before_next(engine, call, step_run, result, tries)
            if pause is None or engine.closed:
                return result
            step_run.race.pausing(step_run)
            if not await _wait_out(engine, step_run, result, tries, pause):
                return result
        if pool is not None:
            pool.again += 1
        step_run.cause = "retry"
        step_run.patient = False  # it was free first; meanwhile another step may be
        result = await attempt(engine, call, trace, step_run)
        if not isinstance(result, AttemptError):
            return result


async def _wait_out(
    engine: Engine, step_run: StepRun, error: AttemptError, tries: Tries, seconds: float
) -> bool:
    """Wait so long before the next request; `False` when the step has given way to another one meanwhile.

    It may where its provider's pauses are longer than its patience: then it waits only as no other one is free sooner.
    """
    sleeper: asyncio.Future[None] = engine.loop.create_future()
    if error.retry_after and tries.waited > step_run.step.retry.patience:
        step_run.pause = Pause(engine.time() + seconds, sleeper)
    try:
        await engine.sleep(seconds, step_run.step.model, step_run.pointless_after(), sleeper)
    finally:
        step_run.pause = None
    return step_run.resumes_at is None


def _has_adapted(engine: Engine, step_run: StepRun, error: AttemptError, trace: Trace) -> bool:
    """Whether the next request will be written otherwise, because the provider has said what it refuses in this one."""
    sent = step_run.attempt
    if not isinstance(error, Rejected) or error.status not in _ABOUT_THE_REQUEST or not isinstance(sent, SentAttempt):
        return False
    warning = sent.wire.adapt(step_run.step.model, sent.request, error)
    if warning is None:
        warning = sent.wire.adapt_format(step_run.step.model, step_run.params, error)
    if warning is None:
        return False
    engine.events.notice(Notice(step_run.step.name, f"{step_run.step.name}: {warning}"), trace)
    return True


def pause_before_next(
    engine: Engine, call: Call, step_run: StepRun, error: AttemptError, tries: Tries
) -> float | None:
    """Seconds until the same model may be tried again; `None`: not again.

    A pause the provider asked for is kept as it is. Other pauses are drawn at random ("full jitter"), so that callers
    that failed together do not come back together.
    """
    settings = step_run.step.retry
    tries.everything += 1
    if error.again == "never" or (settings.attempts_given and tries.everything >= settings.attempts):
        return None
    if isinstance(error, Unauthorized):  # its key has been renewed
        if tries.renewed:
            return None
        tries.renewed = True
        renewal = engine.random.uniform(0.0, settings.base)
        return renewal if step_run.fits(renewal) else None
    if error.retry_after is not None:
        return _pause_asked_for(engine, call, step_run, error.retry_after, tries)
    if isinstance(error, RateLimited) or (isinstance(error, ServerFailed) and error.status == UNAVAILABLE):
        pause = _pause_without_hint(engine, call, step_run, tries)
        if pause is not None or isinstance(error, RateLimited) or step_run.is_alone(0.0):
            return pause
    return _pause_of_retry(engine, step_run, error, tries)


def _pause_asked_for(
    engine: Engine, call: Call, step_run: StepRun, seconds: float, tries: Tries
) -> float | None:
    """The pause the provider asked for. Only the deadline bounds how often (without one, `UNHINTED_TRIES` do); but
    while another step could go, all these pauses together last no longer than `retry.patience`.
    """
    if call.deadline == inf and tries.everything >= UNHINTED_TRIES:
        return None
    if seconds <= 0.0:
        tries.zero_hints += 1
        if tries.zero_hints > 1:  # "at once" did not help: that is no hint
            return _drawn(engine, step_run, UNHINTED_FIRST_PAUSE, tries.zero_hints - 1)
    if not step_run.should_wait(seconds, waited=tries.waited):
        return None
    tries.waited += seconds
    return seconds


def _pause_without_hint(engine: Engine, call: Call, step_run: StepRun, tries: Tries) -> float | None:
    """The pause after a rate limit that says nothing about it; `None` when another step could answer meanwhile."""
    tries.unhinted += 1
    is_enough = tries.everything >= UNHINTED_TRIES and not call.deadline_given
    if step_run.hedged or is_enough or not step_run.is_alone(0.0):
        return None
    pause = 0.0
    if not engine.policies.queues(step_run.step.model):
        pause = engine.random.uniform(
            0.0, _longest_pause(engine, UNHINTED_FIRST_PAUSE, step_run.step.retry, tries.unhinted)
        )
    return pause if step_run.is_alone(pause) and step_run.fits(pause) else None


def _pause_of_retry(engine: Engine, step_run: StepRun, error: AttemptError, tries: Tries) -> float | None:
    """The pause before a retry in the proper sense: a guess of ours, which is counted and paid for."""
    settings = step_run.step.retry
    tries.counted += 1
    if max(tries.counted, tries.everything if settings.attempts_given else 0) >= settings.attempts:
        return None
    if error.again == "jitter":
        pause = engine.random.uniform(0.0, _longest_pause(engine, settings.base, settings, tries.everything))
    elif tries.everything > 1:
        return None
    else:
        pause = engine.random.uniform(0.0, settings.base)
    return pause if step_run.fits(pause) and _policies_allow(engine, step_run, error) else None


def _drawn(engine: Engine, step_run: StepRun, first: float, tries: int) -> float | None:
    pause = engine.random.uniform(0.0, _longest_pause(engine, first, step_run.step.retry, tries))
    return pause if step_run.should_wait(pause) else None


def _longest_pause(engine: Engine, first: float, settings: Retry, tries: int) -> float:
    """The upper end of the pause after `tries` tries: `first`, doubled with each further one, `cap` at most."""
    pauses = engine.exponential_backoff(base=2, factor=first, max_value=max(first, settings.cap))
    return next(islice(pauses, tries, None))  # a generator of `backoff` yields `None` before the first pause


def _policies_allow(engine: Engine, step_run: StepRun, error: AttemptError) -> bool:
    """Whether the policies let a retry go: the breaker has not just opened, and the retry budget has room for it."""
    model = step_run.step.model
    refusal = engine.policies.refusal(model, engine.time(), own_key=step_run.own_key)
    if refusal is not None and refusal.hold is None and not (refusal.forcible and step_run.is_last()):
        return False
    if engine.policies.may_retry(model, error, given=step_run.step.retry.attempts_given):
        return True
    error.message += "; not tried again, because the retry budget of its provider is used up"
    return False
