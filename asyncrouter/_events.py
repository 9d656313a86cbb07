"""What just happened: events for listeners, and the listener that logs.

Logger `asyncrouter`: one INFO line a call, an attempt's end at DEBUG, and WARNING for what needs a person.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter._types import Attempt, Trace

logger = logging.getLogger("asyncrouter")


class AttemptStarted(NamedTuple):
    """A request is about to be sent."""

    trace: Trace
    attempt: Attempt


class AttemptEnded(NamedTuple):
    """An attempt has its outcome; `attempt` does not change any more."""

    trace: Trace
    attempt: Attempt


class CallEnded(NamedTuple):
    """A call gave its reply, ended with `error`, or was left before its end (no attempt of its trace has won)."""

    trace: Trace
    error: BaseException | None


class HedgeDenied(NamedTuple):
    """A step was late and no hedge was started; `reason` says why. Told once a call, and anew after a restart."""

    trace: Trace
    reason: str


class StateChanged(NamedTuple):
    """A model, a host or a key has changed its standing: `state` is what it is now, in words; `why` the last error."""

    subject: str
    state: str
    why: str


class Notice(NamedTuple):
    """Something a person should know once: an unknown task, a model or key that is out, a request turned down."""

    subject: str
    text: str


REMEMBERED = 1000
"""Things of one kind (notices, plans, models, budgets) that a router remembers: names can come from anywhere, so there
must be an end. A message that is new every time is not a notice."""

Event = AttemptStarted | AttemptEnded | CallEnded | HedgeDenied | StateChanged | Notice


class Events:
    """Where events go. Building one costs nothing when `quiet`: ask first."""

    __slots__ = ("_listeners", "_told")

    def __init__(self, listeners: Sequence[Callable[[Event], None]]) -> None:
        self._listeners = tuple(listeners)
        self._told: set[Notice] = set()

    @property
    def quiet(self) -> bool:
        """Whether nobody would see an ordinary event (notices are always told)."""
        return not self._listeners and not logger.isEnabledFor(logging.INFO)

    def emit(self, event: Event) -> None:
        """Tell every listener; one that raises is logged with its traceback and the call goes on."""
        log(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("listener %r raised on %s", listener, type(event).__name__)

    def notice(self, notice: Notice) -> None:
        """Tell it, unless it has been told before."""
        if notice not in self._told and len(self._told) < REMEMBERED:
            self._told.add(notice)
            self.emit(notice)


def log(event: Event) -> None:
    """Write an event to the logger `asyncrouter`."""
    match event:
        case CallEnded(trace, error):
            _log_call(trace, error)
        case AttemptEnded(_, attempt):
            logger.debug(
                "attempt %d %s %s: %s%s",
                attempt.number, attempt.cause, attempt.model, attempt.outcome,
                f" ({attempt.error})" if attempt.error is not None else "",
            )
        case HedgeDenied(_, reason):
            logger.debug("hedge denied: %s", reason)
        case StateChanged(subject, state, why):
            logger.debug("%s: %s%s", subject, state, f": {why}" if why else "")
        case Notice(_, text):
            logger.warning("%s", text)


def _log_call(trace: Trace, error: BaseException | None) -> None:
    last = trace.attempts[-1].model if trace.attempts else "-"
    winner = next((attempt.model for attempt in trace.attempts if attempt.outcome == "won"), None)
    what = type(error).__name__ if error is not None else "left early" if winner is None else "answered"
    logger.info(
        "%s: %s %s in %.3f s, %d attempt%s", trace.task or "call", winner or last, what, trace.seconds,
        len(trace.attempts), "" if len(trace.attempts) == 1 else "s",
    )
