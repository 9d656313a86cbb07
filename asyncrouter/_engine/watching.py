"""Looks at one running attempt: is it late, in which way, is that beyond doubt, and when should it be looked at again?

Nothing here acts. An answer that flows is looked at every half second or less often, and costs nothing per content.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.settings import Hedge
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._policies.hedge_budget import HedgeBudget
from asyncrouter._policies.lateness import (
    MIN_PACE_SECONDS,
    MIN_SILENCE,
    RESCUE_EARLIEST,
    RESCUE_GAIN,
    YOUNG_SAMPLES,
    is_slow_pace,
    is_usual_pace,
    late_first,
    late_silence,
    rescue_first,
    rescue_silence,
    rule_of_thumb,
)
from asyncrouter._policies.memory import MIN_PACE_CONTENTS
from asyncrouter._policies.stand_in import expected

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._policies.estimate import Estimate
    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.memory import Usual
    from asyncrouter._policies.slowness import Dimension

NO_HEDGE = Hedge(after="p95")
"""What decides when an attempt is late where nobody has asked for hedging, and only rescues come."""
FULL_BUDGET = HedgeBudget(0.05)
"""The budget beside it, which nothing is taken from."""
ROUNDING = 1e-9
"""Seconds by which an instant may be missed: sums of floats."""
FIRST_LOOK_TIMES = 1.2
"""Times the quantile `near` of first contents at which a silent attempt is looked at first, if the p95 is not sooner: a
look costs more than all the rest of the watch."""
ASK_AGAIN_SECONDS = 1.0
"""Seconds after which a rescue that was denied, or had nobody to go to, is asked for again."""
ANSWER_LOOK_SECONDS, LATEST_ANSWER_LOOK = 0.5, 1.0
"""Seconds after the first content at which an answer that is not raced is looked at first, and at the latest: a timer
that is set already may do."""
LEAST_LOOK, MOST_LOOK, LOOK_SHARE = 0.25, 1.0, 0.25
"""Seconds between two looks at an answer that flows: this share of its age, within these bounds."""


class Look(NamedTuple):
    """What a look has found.

    - `dimension`: in which way the attempt is late; `None` if it is not. `value`: how long that has taken.
    - `again_at`: the instant at which to look again.
    - `early`: whether it is late only in view of a model that has become slow, so that nobody is to pay for a race.
    - `sure`: whether it is late beyond doubt, so that it may be rescued.
    - `quiet`: seconds since the last content, or since it was sent.
    - `measure`: what is usual of a slow pace, by contents or by characters.
    """

    dimension: Dimension | None
    value: float
    sure: bool
    quiet: float
    again_at: float
    early: bool = False
    measure: Estimate | None = None


def first_look_at(sent: SentAttempt, hedge: Hedge | None) -> float:
    """The instant at which a silent attempt is looked at first; it is cheap to say."""
    first = sent.lease.usual.first
    after = first.far
    if hedge is None and after <= RESCUE_EARLIEST:
        return sent.sent_at + after
    after = min(after, FIRST_LOOK_TIMES * first.near)
    if first.seen < YOUNG_SAMPLES:
        after = min(after, rule_of_thumb(first))
    if hedge is None:
        return sent.sent_at + max(RESCUE_EARLIEST, after)
    if hedge.cap is not None:
        after = min(after, hedge.cap)
    return sent.sent_at + (after if isinstance(hedge.after, str) else min(after, float(hedge.after)))


def expect(policies: Policies, plan: Plan, step_run: StepRun) -> None:
    """Judge an attempt at a hardly known model by what is usual for a slow model of its chain, if there is one."""
    sent, steps = step_run.attempt, plan.steps[:plan.ordinary]
    if isinstance(sent, SentAttempt) and step_run.pool is None:
        chain = [policies.state_of(step.model) for step in steps if step.pool is None]
        sent.lease.usual = expected(sent.lease.state, chain, streams=step_run.streams) or sent.lease.usual


def begun(step_run: StepRun) -> bool:
    """Whether the newest attempt runs, and its first content has come."""
    sent = step_run.attempt
    return isinstance(sent, SentAttempt) and begun_at(sent) is not None


def begun_at(sent: SentAttempt) -> float | None:
    """The instant of the first content of an attempt that runs."""
    first = sent.attempt.first_content
    return None if first is None or sent.attempt.outcome is not None else sent.entry.call.began + first


def next_look_at(sent: SentAttempt, now: float) -> float | None:
    """When to look again at an answer that flows as usual, as far as that is cheap to say; `None`: `look()` says it."""
    began = begun_at(sent)
    if began is None or now - sent.content_at >= MIN_SILENCE - ROUNDING:
        return None
    age = now - began
    if age < MIN_PACE_SECONDS or is_usual_pace(sent.answer(now), sent.lease.usual):
        return now + max(ANSWER_LOOK_SECONDS - age, min(MOST_LOOK, max(LEAST_LOOK, LOOK_SHARE * age)))
    return None


def next_step_at(sent: SentAttempt, now: float) -> float | None:
    """When to look again at a silent attempt that cannot be rescued yet, nor hedged; `None`: `look()` says it.

    Its silence counts against its model.
    """
    silent, usual = now - sent.sent_at, sent.lease.usual
    if silent >= RESCUE_EARLIEST - ROUNDING or begun_at(sent) is not None or sent.lease.state.slow:
        return None
    if sent.attempt.outcome is None and not sent.was_blocked(now):
        sent.lease.is_late("first", silent, now)
    return sent.sent_at + min(RESCUE_EARLIEST, _next_step(usual.first, silent))


def _next_step(first: Estimate, silent: float) -> float:
    """The next quantile of first contents at which silence becomes more evidence against the model."""
    return next((at for at in first.rarities if at > silent + ROUNDING), inf)


def look(sent: SentAttempt, hedge: Hedge | None, budget: HedgeBudget, other: Usual, now: float) -> Look:
    """Look at an attempt; `other` is what is usual for the model that would be raced with it.

    Between two tries it is as silent as it was.
    """
    if (began := begun_at(sent)) is None:
        return _look_at_silent(sent, hedge, budget, other, now)
    return _look_at_answer(sent, budget.fill, other, now, now - began)


def _look_at_silent(sent: SentAttempt, hedge: Hedge | None, budget: HedgeBudget, other: Usual, now: float) -> Look:
    usual, silent = sent.lease.usual, now - sent.sent_at
    late_at = late_first(hedge or NO_HEDGE, budget, usual, other)
    rescue_at = rescue_first(late_at, usual, other)
    far = usual.first.far - ROUNDING
    if silent >= far and sent.attempt.outcome is None and not sent.was_blocked(now):
        sent.lease.is_late("first", silent, now)
    again = min(at for at in (late_at, rescue_at, _next_step(usual.first, silent), inf) if at > silent + ROUNDING)
    late, sure = silent >= late_at - ROUNDING, silent >= rescue_at - ROUNDING
    if late or sure:
        again = min(again, silent + ASK_AGAIN_SECONDS)
    slow = sent.lease.state.slow and silent >= far
    dimension: Dimension | None = "first" if late or sure or slow else None
    return Look(dimension, silent, sure, silent, sent.sent_at + again, early=not late)


def _look_at_answer(sent: SentAttempt, fill: float, other: Usual, now: float, age: float) -> Look:
    usual, answer, quiet = sent.lease.usual, sent.answer(now), now - sent.content_at
    again_at = now + min(MOST_LOOK, max(LEAST_LOOK, LOOK_SHARE * age))
    if quiet >= MIN_SILENCE - ROUNDING and sent.decoder is not None and sent.decoder.would_be_whole():
        return Look(None, quiet, False, quiet, again_at)  # nothing is missing but the end of the body
    silence = look_at_silence(sent, fill, other, quiet, now)
    again_at = min(again_at, silence.again_at)
    if silence.dimension is not None:
        return silence._replace(again_at=again_at)
    if age >= MIN_PACE_SECONDS - ROUNDING and is_slow_pace(answer, usual, other):
        sure, judged = is_slow_pace(answer, usual, other, RESCUE_GAIN), usual.pace_of(answer)
        measure, pace = judged or (usual.pace, 0.0)
        return Look("pace", pace, sure, quiet, again_at, measure=measure)
    return Look(None, quiet, False, quiet, again_at)


def look_at_silence(sent: SentAttempt, fill: float, other: Usual, quiet: float, now: float) -> Look:
    """Look at an answer from which nothing has come for `quiet` seconds; `fill`: how full the hedge budget is."""
    usual, words = sent.lease.usual, sent.answer(now).words
    limit = late_silence(usual, other, words, fill)
    if quiet < limit - ROUNDING:
        return Look(None, quiet, False, quiet, now + limit - quiet)
    sure_at = rescue_silence(limit, usual, other, words)
    sure = quiet >= sure_at - ROUNDING
    return Look("silence", quiet, sure, quiet, now + (ASK_AGAIN_SECONDS if sure else sure_at - quiet))


def in_words(sent: SentAttempt, found: Look) -> str:
    """Why an attempt is late, in figures."""
    usual = sent.lease.usual
    match found.dimension:
        case "silence":
            return f"{sent.attempt.model}: no more content for {found.value:.3g} s; {usual.silence.in_words()}"
        case "pace":
            if found.measure is usual.word_pace:
                return f"{sent.attempt.model}: {found.value:.3g} s {found.measure.what}; {found.measure.in_words()}"
            return f"{sent.attempt.model}: contents {found.value:.3g} s apart; {usual.pace.in_words()}"
        case _:
            return f"{sent.attempt.model}: no content for {found.quiet:.3g} s; {usual.first.in_words()}"


def judge_probe(step_run: StepRun, now: float) -> bool | None:
    """Whether an attempt that probes a slow model is as quick as usual, which ends its demotion; `None`: not yet known.
    """
    sent = step_run.attempt
    if not step_run.probes or not isinstance(sent, SentAttempt) or sent.attempt.outcome is not None:
        return False
    verdict = sent.lease.is_as_usual(sent.answer(now), now)
    if verdict is not None:
        step_run.probes = False
        if verdict:
            sent.lease.state.slowness.passed(now)
    return verdict


def was_quick(step_run: StepRun) -> bool:
    """Whether an answer that is whole was as quick as usual, however short it is."""
    sent = step_run.attempt
    if not isinstance(sent, SentAttempt) or sent.attempt.first_content is None:
        return False
    now = sent.content_at
    return sent.lease.is_as_usual(sent.answer(now), now, whole=True) is True


def flows_as_usual(step_run: StepRun, now: float) -> bool:
    """Whether so many contents have come at a usual pace that the answer will be whole in time."""
    sent = step_run.attempt
    if not isinstance(sent, SentAttempt) or sent.attempt.outcome is not None:
        return False
    answer = sent.answer(now)
    flows = answer.contents >= MIN_PACE_CONTENTS and answer.quiet < MIN_SILENCE
    return flows and is_usual_pace(answer, sent.lease.usual)
