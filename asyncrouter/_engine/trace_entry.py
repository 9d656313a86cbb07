"""One attempt's entry in the trace of its call: opened when the attempt begins, settled once, whoever ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.budget import OverBudget
from asyncrouter._config.catalog import base_name
from asyncrouter._config.secret_names import secret_texts
from asyncrouter._credentials import secrets_of_call
from asyncrouter._errors import AttemptError, NotAccepted, NotSent, RouterError
from asyncrouter._events import AttemptEnded, AttemptStarted
from asyncrouter._types import Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._credentials import Credential
    from asyncrouter._credentials.secret import Sealed, Secret
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.spending import Reserved
    from asyncrouter._types import Call, Cause, Outcome, Reply, Trace

_OUTCOMES: Mapping[type, Outcome] = {NotSent: "not_sent", OverBudget: "not_sent", NotAccepted: "not_accepted"}
"""How an attempt with an error of this class has ended; with any other class it has failed."""


_NOT_SHOWN = frozenset({"set-cookie", "set-cookie2"})
"""Header fields of a response that are secret."""


class TraceEntry:
    """An attempt as its trace shows it: `attempt`, filled in as things happen.

    An attempt that is never sent is nothing but its entry. A `SentAttempt` holds its entry, and more to be released.
    """

    __slots__ = ("attempt", "call", "engine", "reserved", "started", "step", "trace")

    def __init__(
        self, engine: Engine, call: Call, trace: Trace, step: PlannedStep, cause: Cause, queued: float | None = None
    ) -> None:
        """`queued` is the instant of the loop's clock at which its waiting began; `None`: now."""
        self.engine = engine
        self.call = call
        self.trace = trace
        self.step = step
        self.started = False  # the listeners know of it
        self.reserved: Reserved | None = None  # of the router's budget
        since = engine.time() if queued is None else queued
        self.attempt = Attempt(
            len(trace.attempts) + 1, step.name, step.model.provider, cause, queued=since - call.began
        )
        if step.member is not None:
            self.bind(step)
        elif step.pool is not None:
            self.attempt.provider = step.pool.providers
        trace.attempts.append(self.attempt)

    def __repr__(self) -> str:
        return f"<TraceEntry {self.attempt.number} {self.attempt.model} {self.attempt.outcome or 'running'}>"

    def bind(self, step: PlannedStep) -> None:
        """The attempt goes to this member of the pool."""
        self.step = step
        self.attempt.member, self.attempt.provider = step.member, base_name(step.model.provider)

    def mark_sent(self, now: float) -> None:
        """The request is sent at the instant `now` of the loop's clock."""
        self.attempt.sent = now - self.call.began
        if self.call.observed and not self.started:
            self.started = True
            self.engine.events.emit(AttemptStarted(self.trace, self.attempt))

    def fail(self, error: AttemptError) -> AttemptError:
        """End an attempt that was not sent, because of `error`; the error with everything a reader needs on it."""
        self.complete_error(error)
        self.attempt.scope = error.scope
        self.end(outcome_of(error), error)
        return error

    def end(self, outcome: Outcome, error: AttemptError | None = None) -> None:
        """End an attempt that was not sent. Only the first call has an effect."""
        self.cancel_reservation()
        if self.settle(outcome, error, self.engine.time()):
            self.announce_end()

    def cancel_reservation(self) -> None:
        """Give back what is reserved of the budget: nothing was sent."""
        if self.reserved is not None:
            self.reserved.settle()
            self.reserved = None

    def note_raised(self, error: BaseException) -> AttemptError | None:
        """What the trace keeps of an exception that is no provider's doing; the exception itself is the caller's."""
        if isinstance(error, RouterError) or not isinstance(error, Exception):
            return None
        noted = AttemptError(f"{type(error).__name__}: {error}")
        noted.scope = "call"
        self.complete_error(noted)
        return noted

    def settle(self, outcome: Outcome, error: AttemptError | None, now: float) -> bool:
        """Enter how the attempt ended; `False` when somebody else has done so before."""
        attempt = self.attempt
        if attempt.outcome is not None:
            return False
        attempt.outcome = outcome
        attempt.error = error
        attempt.ended = now - self.call.began
        return True

    def announce_end(self, reply: Reply | None = None) -> None:
        """Tell the listeners; the entry does not change any more."""
        if self.call.observed:
            self.engine.events.emit(AttemptEnded(self.trace, self.attempt, reply))

    def complete_error(self, error: AttemptError, key: Secret | None = None, hint: str = "") -> None:
        """Put on `error` which model failed; keep `key` and all other secrets out of its texts; `hint` is appended."""
        attempt = self.attempt
        error.model, error.provider = attempt.model, attempt.provider
        error.message = self._mask(error.message, key) + hint
        error.args = (error.message,)
        if error.code is not None:
            error.code = self._mask(error.code, key)
        if error.param is not None:
            error.param = self._mask(error.param, key)
        error.__traceback__ = None  # a trace that is kept would keep our frames alive
        if (request_id := error.request_id or attempt.request_id) is not None:
            error.request_id = attempt.request_id = self._mask(request_id, key)
        attempt.status = attempt.status or error.status

    def keep_headers(self, headers: Mapping[str, str], key: Secret | None) -> None:
        """Keep the header fields of the response for whoever asks: by lower-case name, without cookies, masked."""
        provider = self.step.model.provider
        credential, call = self.engine.credentials[provider], self.call
        sent = call.headers_for(provider) if call.provider_headers else call.headers
        self.attempt._read_headers = _ReadHeaders(headers, credential, key, sent)

    def _mask(self, text: str, key: Secret | None) -> str:
        # `key` too: the credential may have been renewed since this attempt took its key.
        provider = self.step.model.provider
        secrets = secrets_of_call(self.call.headers_for(provider))
        secrets += secret_texts([self.call.params_for(provider), self.step.params])
        return self.engine.credentials[provider].mask(text, key, *secrets)


class _ReadHeaders:
    """Reads the header fields of a response for whoever asks for them: masked, without cookies.

    It holds neither call nor engine, and shows nothing to what prints objects.
    """

    __slots__ = ("_credential", "_headers", "_key", "_sent")

    def __init__(
        self, headers: Mapping[str, str], credential: Credential, key: Secret | None, sent: Mapping[str, Sealed]
    ) -> None:
        self._headers = headers
        self._credential = credential
        self._key = key
        self._sent = sent

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __call__(self) -> Mapping[str, str]:
        secrets = self._key, *secrets_of_call(self._sent)
        return {
            str(name).lower(): self._credential.mask(value, *secrets)
            for name, value in self._headers.items() if str(name).lower() not in _NOT_SHOWN
        }  # fmt: skip


def requests_to(trace: Trace, model: str) -> int:
    """How many requests of a call were sent to this model."""
    return sum(attempt.sent is not None and attempt.model == model for attempt in trace.attempts)


def outcome_of(error: AttemptError) -> Outcome:
    """How an attempt that met `error` has ended."""
    return _OUTCOMES.get(type(error), "failed")
