"""Events for the listeners of a router, and their lines in the log.

The logger `asyncrouter` writes an INFO line for each call; a DEBUG line for each call that begins, each attempt that
ends, each hedge that is denied and each change of state; and a WARNING for each `Notice`. Whatever names and errors
hold, a record is one line. Each has the attribute `call_id`, the id of the call's trace, "" where it is about no call.
"""

from __future__ import annotations

import logging
from inspect import iscoroutine
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._repr import model_at, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter._types import Attempt, Reply, Trace

logger = logging.getLogger("asyncrouter")


def one_visible_line(record: logging.LogRecord) -> bool:
    """Write what is hidden in a record's text as escapes: names of models and words of providers come from outside."""
    text = record.getMessage()
    if not text.isprintable():
        record.msg, record.args = visible(text), ()
    if not hasattr(record, "call_id"):
        record.call_id = ""
    return True


logger.addFilter(one_visible_line)  # a logger takes the same filter only once


class CallStarted(NamedTuple):
    """A call begins. `trace` has its `id` and tags; it grows until the `CallEnded`."""

    trace: Trace


class AttemptStarted(NamedTuple):
    """An attempt is about to send its request. `attempt` changes until its `AttemptEnded`."""

    trace: Trace
    attempt: Attempt


class AttemptEnded(NamedTuple):
    """An attempt has ended, or was not sent. `attempt` does not change any more.

    `reply` is its whole answer, also one that was not accepted; `None` without one.
    """

    trace: Trace
    attempt: Attempt
    reply: Reply | None = None

    def __repr__(self) -> str:
        return f"AttemptEnded(trace={self.trace!r}, attempt={self.attempt!r})"  # without the text of the answer


class CallEnded(NamedTuple):
    """A call has ended: with a reply, with `error`, or because the caller left its stream early.

    `error` is `None` for the first, where an attempt of the trace has won, and the last, where none has.
    """

    trace: Trace
    error: BaseException | None


class HedgeDenied(NamedTuple):
    """A model was slow, and no other one could be started in parallel, for the `reason` given. At most once a race."""

    trace: Trace
    reason: str


class StateChanged(NamedTuple):
    """The state of a model, a provider's host or its key has changed.

    - `subject`: the name of the model or provider.
    - `state`: its state now, in words, such as "held for 20 s" or "open".
    - `why`: the message of the last error; "" if it was none.
    """

    subject: str
    state: str
    why: str


class Notice(NamedTuple):
    """A warning for a person, given once: an unknown task, a rejected request, a key that is missing or turned down.

    - `subject`: the name of the task, the model or the provider.
    - `text`: the warning.
    """

    subject: str
    text: str


MAX_NAMES = 1000
"""Things that a router remembers by name, of each kind (models, plans, budgets, notices). Names may come from a
caller's users, so there is a limit: beyond it the oldest is forgotten, or nothing new is remembered."""

Event = CallStarted | AttemptStarted | AttemptEnded | CallEnded | HedgeDenied | StateChanged | Notice


class Events:
    """Passes events on to the log and to the listeners of a router.

    Whoever has an event asks `quiet` first, so that an event that nobody would see is not even made.
    """

    __slots__ = ("_given", "_listeners")

    def __init__(self, listeners: Sequence[Callable[[Event], None]]) -> None:
        self._listeners = tuple(listeners)
        self._given: set[Notice] = set()  # the notices until now

    @property
    def quiet(self) -> bool:
        """Whether nobody would see an event; notices are not concerned, for they are always logged."""
        return not self._listeners and not logger.isEnabledFor(logging.INFO)

    def emit(self, event: Event, trace: Trace | None = None) -> None:
        """Log an event and call every listener with it; what one raises is logged with its traceback.

        `trace` is that of the call in which it happened, for an event that has none.
        """
        log(event, trace)
        for listener in self._listeners:
            try:
                if iscoroutine(result := listener(event)):
                    result.close()
                    raise TypeError("it returned a coroutine, which nobody runs; a listener is a plain function")
            except Exception:
                logger.exception(
                    "listener %r raised on %s", listener, type(event).__name__,
                    extra=_of(getattr(event, "trace", None)),
                )

    def notice(self, notice: Notice, trace: Trace | None = None) -> None:
        """Emit a notice, unless the same has been given before, or so many that they are no news any more.

        `trace` is that of the call which met it; its log record has the call's id.
        """
        notice = notice._replace(text=visible(notice.text))
        if notice not in self._given and len(self._given) < MAX_NAMES:
            self._given.add(notice)
            self.emit(notice, trace)


def log(event: Event, trace: Trace | None = None) -> None:
    """Write the line of an event to the logger `asyncrouter`; `trace` is that of the call it belongs to, if known."""
    match event:
        case CallEnded(trace, error):
            _log_call(trace, error)
        case CallStarted(trace):
            logger.debug("%s: a call begins", visible(trace.task or "call"), extra=_of(trace))
        case AttemptEnded(trace, attempt):
            logger.debug(
                "attempt %d %s %s: %s%s",
                attempt.number, attempt.cause, model_at(attempt.model, attempt.member), attempt.outcome,
                f" ({attempt.error})" if attempt.error is not None else "", extra=_of(trace),
            )
        case HedgeDenied(trace, reason):
            logger.debug("hedge denied: %s", reason, extra=_of(trace))
        case StateChanged(subject, state, why):
            logger.debug("%s: %s%s", subject, state, f": {why}" if why else "")
        case Notice(_, text):
            logger.warning("%s", text, extra=_of(trace))


def _log_call(trace: Trace, error: BaseException | None) -> None:
    last = trace.attempts[-1].model if trace.attempts else "-"
    winner = next((attempt.model for attempt in trace.attempts if attempt.outcome == "won"), None)
    ended = type(error).__name__ if error is not None else "left early" if winner is None else "answered"
    logger.info(
        "%s: %s %s in %.3f s, %d attempt%s", trace.task or "call", winner or last, ended, trace.seconds,
        len(trace.attempts), "" if len(trace.attempts) == 1 else "s", extra=_of(trace),
    )


def _of(trace: Trace | None) -> Mapping[str, object] | None:
    """What the log records of a call have beside their text."""
    return None if trace is None else {"call_id": trace.id}
