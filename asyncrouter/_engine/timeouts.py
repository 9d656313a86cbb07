"""The limits of a silent attempt: an "auto" one may move when it is reached; the error that says which one has cut.

An "auto" limit cuts on a guess, so it cuts only where nobody could be raced instead, and never before its cap, nor
before twice what hardly any answer of the model takes. That is worked out when the limit is reached, and seldom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.settings import AutoSeconds
from asyncrouter._errors import AttemptTimeout
from asyncrouter._policies.lateness import automatic_limit
from asyncrouter._transport.errors import lost_connection

if TYPE_CHECKING:
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import AttemptError, ClockName

LOOK_AGAIN_SECONDS = 1.0
"""Seconds after which an "auto" limit is looked at again that was reached while another model could be raced."""
ROUNDING = 1e-9
"""Seconds by which the instant of a limit may be missed: sums of floats."""
MISSING: dict[ClockName, str] = {
    "connect": "connection", "first_token": "content", "idle": "more content", "total": "end",
}
"""What has not come when a limit is reached."""


def wait_longer(
    sent: SentAttempt, limit_name: ClockName, step_run: StepRun | None, blocked: float = 0.0
) -> bool:
    """Move an "auto" limit that has been reached, if the model may usually take longer, or is being raced.

    `step_run`: that of the attempt; `None` for a stream that has won. `blocked`: seconds that the limit does not count.
    """
    step, silent, usual = sent.step, _silent_for(sent) - blocked, sent.lease.usual
    cap = step.idle if limit_name == "idle" else step.first_token
    if not isinstance(cap, AutoSeconds):
        return False
    limit = max(cap, automatic_limit(usual.silence if limit_name == "idle" else usual.first))
    if silent < limit - ROUNDING:
        sent.moved = limit
    elif step_run is None or step_run.race.may_cut(step_run):
        return False
    else:
        sent.moved = silent + LOOK_AGAIN_SECONDS
    return True


def timeout_error(sent: SentAttempt, limit_name: ClockName) -> AttemptTimeout:
    """The error for a limit that has expired, in words that name it."""
    text, sent.shared_clock = _in_words(sent, limit_name)
    return AttemptTimeout(limit_name, text)


def lost(sent: SentAttempt, error: OSError | EOFError) -> AttemptError:
    """The error for what a transport of the caller's own has raised: a timeout if the clock has closed it."""
    expired = sent.clock.expired
    return lost_connection(error) if expired is None else timeout_error(sent, expired)


def _in_words(sent: SentAttempt, limit_name: ClockName) -> tuple[str, bool]:
    """What has expired, and whether that was the deadline, or the step's share of it."""
    if limit_name == "deadline":
        return "the call's deadline came first", True
    step = sent.step
    seconds = {"connect": step.connect, "first_token": step.first_token, "idle": step.idle, "total": step.total}
    limit, spent, missing = seconds[limit_name], sent.engine.time() - sent.sent_at, MISSING[limit_name]
    reached = limit if sent.moved is None or limit_name == "total" else sent.moved
    counted = spent if limit_name == "connect" else spent - sent.blocked_time()  # as the clock counts
    if limit_name != "idle" and (reached is None or counted < reached - ROUNDING):
        return f"no {missing} within {spent:.3g} s, its share of the deadline", True
    if isinstance(limit, AutoSeconds):
        usual = sent.lease.usual.silence if limit_name == "idle" else sent.lease.usual.first
        return f"no {missing} for {_silent_for(sent):.3g} s; {usual.in_words()}", False
    return f"no {missing} within {limit:g} s", False


def _silent_for(sent: SentAttempt) -> float:
    """Seconds since its last content, or since it was sent."""
    return sent.engine.time() - (sent.sent_at if sent.attempt.first_content is None else sent.content_at)
