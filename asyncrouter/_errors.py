"""What can go wrong, and for each: try the same model again? move on to the next?

RouterError
├── ConfigError (ValueError)         something in the configuration, with its path
├── RouterClosed                     the router takes no more calls
├── CallError                        the call as a whole; carries the trace
│   ├── AllModelsFailed              the models are used up
│   ├── DeadlineExceeded (TimeoutError)
│   └── StreamInterrupted            broke after its first chunk was yours
└── AttemptError                     one try at one model
    ├── ConnectionFailed             refused, reset, DNS, TLS, cut body
    ├── AttemptTimeout (TimeoutError)
    ├── RateLimited                  429, 529, a 402 that passes
    ├── ServerFailed                 5xx, 408, 409, 425, 498, 499
    ├── BadReply                     a 200 that is no whole answer
    ├── ContextTooLong
    ├── Refused                      content policy
    ├── NotAccepted                  the caller's `accept` said no
    ├── Rejected                     other 4xx, any 3xx
    ├── Unauthorized                 401, 403
    ├── OutOfCredit                  402, billing 429s
    └── NotSent                      held, out, no key: no request was made
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from asyncrouter._types import Reply, Trace

Again = Literal["never", "quick", "jitter", "hint"]
"""How the same model may be tried again: not; once, soon; with growing pauses; when the provider said."""

ClockName = Literal["connect", "first_token", "idle", "total", "deadline"]

_GONE = frozenset({"model_not_found", "model_deprecated", "no_endpoints", "free_variant_ended"})


class RouterError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigError(RouterError, ValueError):
    """Something in the configuration cannot be used. `path` says where, `value` what stood there."""

    def __init__(self, message: str, path: str = "", value: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.value = value

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class RouterClosed(RouterError):
    """The router has been closed, or is draining, and takes no new calls."""


class CallError(RouterError):
    """A call that ended without a whole answer. `str()` is the reason and the timeline of `trace`."""

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.message = message
        self.trace = trace

    def __str__(self) -> str:
        return f"{self.message}\n{self.trace}"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.trace), self.__dict__


class AllModelsFailed(CallError):
    """Every model of the chain was tried or passed over. `__cause__` is a group of every attempt's error."""


class DeadlineExceeded(CallError, TimeoutError):
    """The call's deadline came first. `__cause__` is a group of the errors until then, if there were any."""


class StreamInterrupted(CallError):
    """A stream broke after its first chunk had been handed over; it is never spliced with another model's.

    `partial` is the text so far; `__cause__` the attempt's error.
    """

    def __init__(self, message: str, trace: Trace, partial: str = "") -> None:
        super().__init__(message, trace)
        self.partial = partial


class AttemptError(RouterError):
    """Why one try at one model did not give an answer.

    `status` is the HTTP status if there was one, `code` the provider's own word, `retry_after` seconds the provider
    asked us to wait. `model` and `provider` are names of the configuration. `trace` is set on an error that is raised
    as it is (`Refused`).
    """

    again: Again = "never"
    rank: ClassVar[int] = 0
    """Which of several failures is most worth telling: the one its reader can do most about."""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.model: str | None = None
        self.provider: str | None = None
        self.trace: Trace | None = None

    def __str__(self) -> str:
        told = f"{self.model}: {self.message}" if self.model else self.message
        return f"{told} (HTTP {self.status})" if self.status is not None else told


class ConnectionFailed(AttemptError):
    """Refused, reset, no such name, TLS, or a body that was cut."""

    again: Again = "quick"
    rank = 1


class AttemptTimeout(AttemptError, TimeoutError):
    """One of the attempt's clocks fired; `clock` says which: connect, first_token, idle, total or deadline."""

    rank = 2

    def __init__(self, clock: ClockName = "total", message: str = "") -> None:
        super().__init__(message or f"the {clock} clock fired")
        self.clock: ClockName = clock

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.clock, self.message), self.__dict__


class RateLimited(AttemptError):
    """The provider asks for a pause: 429, 529, or a 402 with Retry-After."""

    again: Again = "hint"
    rank = 4


class ServerFailed(AttemptError):
    """The provider's fault: 5xx, 408, 409, 425, 498, 499."""

    again: Again = "jitter"
    rank = 3


class BadReply(AttemptError):
    """A 200 that is no whole answer: not JSON, HTML, empty, truncated, too large, or an error in disguise."""

    again: Again = "quick"
    rank = 3


class ContextTooLong(AttemptError):
    """The prompt does not fit this model; a model with a larger window may take it."""

    rank = 8


class Refused(AttemptError):
    """The provider refused the content. Raised as it is unless `on_refusal = "next"`."""

    rank = 9


class NotAccepted(AttemptError):
    """The caller's `accept` turned the reply down; it is kept as `reply`, and its cost counts."""

    rank = 7

    def __init__(self, message: str = "accept() turned the reply down", reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class Rejected(AttemptError):
    """The provider does not take this request: 400, 404, 413, 422, other 4xx; any 3xx."""

    rank = 8

    @property
    def gone(self) -> bool:
        """Whether the model is not there: a 404, or OpenRouter's words for it, some of which come with a 400."""
        return self.status == 404 or self.code in _GONE


class Unauthorized(AttemptError):
    """The key is not good (401), or not for this (403)."""

    rank = 6


class OutOfCredit(AttemptError):
    """The account has nothing left: 402, or a 429 that is about money."""

    rank = 6


class NotSent(AttemptError):
    """No request was made: the model is held or out, its key is out or not set.

    `hold` is the seconds after which it could be sent; `None` when waiting does not help. `actionable` says that the
    reader can mend it (a key that is not set), which makes it the first thing to tell; `key_out` that its key was
    turned down a while ago; `forcible` that the model is tried all the same when nobody else is left (a breaker is
    open).
    """

    def __init__(
        self, message: str = "", *, hold: float | None = None, actionable: bool = False, key_out: bool = False,
        forcible: bool = False,
    ) -> None:
        super().__init__(message, retry_after=hold)
        self.hold = hold
        self.forcible = forcible
        self.key_out = key_out
        self.actionable = actionable
