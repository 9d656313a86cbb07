"""Every error that the package raises on purpose, and for each: is the same model tried again, is the next one?

RouterError
├── ConfigError (ValueError)         a value in the configuration, or in the arguments of a call
├── RouterClosed                     the router takes no more calls
├── CallError                        a whole call; has its trace
│   ├── AllModelsFailed              every model failed
│   ├── DeadlineExceeded (TimeoutError)
│   └── StreamInterrupted            a stream broke off after its first chunk
└── AttemptError                     one attempt, at one model
    ├── ConnectionFailed             refused, reset, DNS, TLS, a body that was cut
    ├── AttemptTimeout (TimeoutError)
    ├── RateLimited                  429, 529, a 402 with Retry-After
    ├── ServerFailed                 5xx, 408, 409, 425, 498, 499
    ├── BadReply                     a 200 that is not a complete answer
    ├── ContextTooLong
    ├── Refused                      content policy
    ├── NotAccepted                  it does not fit `response_format`, or the caller's `accept` said no
    ├── Rejected                     other 4xx, any 3xx
    ├── Unauthorized                 401, 403
    ├── OutOfCredit                  402, a 429 about billing
    └── NotSent                      no request was sent: a limit, a breaker, a missing key
        └── OverBudget               the router's budget does not pay for it (`_config/budget.py`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from asyncrouter._repr import visible, visible_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Reply, Trace

Again = Literal["never", "quick", "jitter", "hint"]
"""How the same model is tried again: "never"; "quick": once, after a short pause; "jitter": with growing random pauses;
"hint": after the pause that the provider asked for."""

Scope = Literal["request", "call", "model", "key", "host", "local"]
"""Whose fault a failure is: this prompt with its parameters; this caller's own key, headers or clocks; the model; the
key; the host; or this machine (no descriptor free, a blocked loop). Only a model's, key's or host's are remembered."""

ClockName = Literal["connect", "first_token", "idle", "total", "deadline"]
"""The timeouts of an attempt, and the deadline of its call."""

_GONE = frozenset({"model_not_found", "model_deprecated", "model_decommissioned", "invalid_model", "no_endpoints",
                   "free_variant_ended", "ModelNotFound", "DeploymentNotFound"})
"""Codes of errors that say that a model does not exist (any more)."""


class RouterError(Exception):
    """The base class of every error that the package raises on purpose."""


class ConfigError(RouterError, ValueError):
    """A value in the configuration, or in the arguments of a call, that cannot be used.

    - `path`: where it stands, such as `tasks.coding.models[2].total`; "" if there is no such place.
    - `value`: the value; `None` if it may be a secret.
    - `message`: what was expected. `str()` is path and message.
    """

    def __init__(self, message: str, path: str = "", value: object = None) -> None:
        message, path = visible(message), visible(path)
        super().__init__(message)
        self.message = message
        self.path = path
        self.value = value

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class RouterClosed(RouterError):
    """The router is closed, or draining, and takes no new calls; or it was closed during the call."""


class CallError(RouterError):
    """A call that ended without a complete answer.

    - `message`: the reason, which names the most useful cause.
    - `trace`: the `Trace` of the call, with every attempt and its error.
    - `vectors`: of an `embed()` that failed in part: those that are done, `None` for the others; otherwise empty.

    `str()` is the message and the timeline of the trace.
    """

    vectors: Sequence[list[float] | None] = ()

    def __init__(self, message: str, trace: Trace) -> None:
        message = visible(message, lines=True)
        super().__init__(message)
        self.message = message
        self.trace = trace

    def __str__(self) -> str:
        return f"{self.message}\n{self.trace}"

    @property
    def errors(self) -> list[AttemptError]:
        """The errors of the attempts, in the order in which these began."""
        return [attempt.error for attempt in self.trace.attempts if attempt.error is not None]

    @property
    def last(self) -> AttemptError | None:
        """The error of the attempt that began last; `None` if none has failed."""
        return next(reversed(self.errors), None)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the first of the models may be asked again; `None` if no provider said so."""
        latest = {error.model: error.retry_after for error in self.errors}
        return min((seconds for seconds in latest.values() if seconds is not None), default=None)

    @property
    def http_status(self) -> int:
        """The status for a server that passes this error on to its own client.

        504: the deadline passed. 429: limits, or the budget. 400: every model rejected the request, or its prompt
        is too long for them. 503: nothing was sent. 502: any other. Never 401, 402, 403: about the client's own key.
        """
        return 504 if isinstance(self, DeadlineExceeded) else _http_status(self.errors)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.trace), self.__dict__


class AllModelsFailed(CallError):
    """Every model of the chain failed, or could not be tried.

    `__cause__` is an `ExceptionGroup` of the attempts' errors.
    """


class DeadlineExceeded(CallError, TimeoutError):
    """The deadline of the call passed before a complete answer came.

    `__cause__` is an `ExceptionGroup` of the attempts' errors; `None` if none had failed until then.
    """


class StreamInterrupted(CallError):
    """A stream broke off after its first chunk. It is not continued with another model's answer.

    - `partial`: the text until then.
    - `__cause__`: the error of the attempt.
    """

    def __init__(self, message: str, trace: Trace, partial: str = "") -> None:
        super().__init__(message, trace)
        self.partial = partial


class AttemptError(RouterError):
    """Why one attempt at one model gave no answer. `chat()` raises none of these but `Refused`; they are in the trace.

    - `message`: the reason, in the provider's words where it gave any. Its control characters are shown as escapes.
    - `model`, `provider`: their names in the configuration; `None` before they are known.
    - `status`: the HTTP status; `None` without a response.
    - `code`: the provider's own code for the error, such as "model_not_found"; `None` if it gave none.
    - `param`: the parameter that the provider names as the cause, as it writes it; `None` if it names none.
    - `request_id`: the provider's id of the request; `None` if it gave none.
    - `retry_after`: seconds that the provider asked to wait; `None` if it did not.
    - `trace`: the `Trace` of the call, on an error that `chat()` raises; otherwise `None`.
    - `again`: whether and how the same model is tried again: "never", "quick" (once, after a short pause), "jitter"
      (after growing random pauses), "hint" (after the pause that the provider asked for).
    - `scope`: whose fault it is: "request" (this prompt, these parameters), "call" (this caller's key, headers or
      clocks), "model", "key", "host" or "local" (this machine). `None` if no request was sent, or nobody has said yet.
    - `definite`: whether the words name the model, key or account; else it takes three different requests in a row.
    - `tokens_a_minute`: the limit of tokens that a rate limit's words name, `None` for none.
    """

    again: Again = "never"
    scope: Scope | None = None
    definite: bool = False
    tokens_a_minute: int | None = None
    _blames_others: ClassVar[bool] = False
    """Whether a reader would take an error of this class for no fault of the request."""
    rank: ClassVar[int] = 0
    """Of several errors the one with the highest rank is named first: the one that its reader can do most about."""

    def __init__(
        self, message: str = "", *, status: int | None = None, code: str | None = None, request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        message = visible(message)
        super().__init__(message)
        self.message = message
        self.status = status
        self.code: str | None = None if code is None else visible_name(code)
        self.request_id: str | None = None if request_id is None else visible_name(request_id)
        self.retry_after = retry_after
        self.param: str | None = None
        self.model: str | None = None
        self.provider: str | None = None
        self.trace: Trace | None = None

    def __str__(self) -> str:
        text = f"{visible(self.model)}: {self.message}" if self.model else self.message
        facts = [f"HTTP {self.status}"] if self.status is not None else []
        if self._scope_explains:
            facts.append(f"scope: {self.scope}")
        return f"{text} ({', '.join(facts)})" if facts else text

    @property
    def _scope_explains(self) -> bool:
        """Whether the scope is another one than a reader would expect of an error of this class."""
        return self.scope in {"call", "local"} or (self.scope == "request" and self._blames_others)


class ConnectionFailed(AttemptError):
    """There was no connection, or it broke: refused, reset, an unknown host, a TLS failure, a body that was cut."""

    again: Again = "quick"
    rank = 1


class AttemptTimeout(AttemptError, TimeoutError):
    """A timeout of the attempt passed. `clock` says which: "connect", "first_token", "idle", "total" or "deadline"."""

    rank = 2

    def __init__(self, clock: ClockName = "total", message: str = "") -> None:
        super().__init__(message or f"the {clock} clock fired")
        self.clock: ClockName = clock

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.clock, self.message), self.__dict__


class RateLimited(AttemptError):
    """The provider asked for a pause: 429, 529, or a 402 with Retry-After."""

    again: Again = "hint"
    rank = 4


class ServerFailed(AttemptError):
    """The provider failed: 5xx, 408, 409, 425, 498, 499."""

    again: Again = "jitter"
    rank = 3


class BadReply(AttemptError):
    """A 200 that is not a complete answer: HTML, malformed JSON, empty, cut off, too large, or an error in its body."""

    again: Again = "quick"
    rank = 3


class ContextTooLong(AttemptError):
    """The prompt is too long for this model. Models with a larger context window, or an unknown one, are tried next.

    So is a request that is larger than a whole minute's limit of tokens (429); that says nothing about windows.
    """

    rank = 8

    @property
    def about_window(self) -> bool:
        """Whether it is the model's context window that is too small."""
        return self.status != 429


class Refused(AttemptError):
    """The provider refused the content of the prompt. `chat()` raises it as it is, unless `on_refusal` is "next"."""

    rank = 9


class NotAccepted(AttemptError):
    """The answer does not fit `response_format`, or the caller's `accept` returned false or raised a `ValueError`.

    `reply` is the answer; its cost counts. `path` is where it does not fit (`lines[2].amount`), `None` for `accept`.
    """

    rank = 7

    def __init__(
        self, message: str = "accept() turned the reply down", reply: Reply | None = None, path: str | None = None
    ) -> None:
        super().__init__(message)
        self.reply = reply
        self.path = path


class Rejected(AttemptError):
    """The provider rejected the request: 400, 404, 413, 422, another 4xx; or a 3xx, for redirects are not followed."""

    rank = 8

    @property
    def gone(self) -> bool:
        """Whether the model does not exist: a 404 or 410, or a code that says so, some of which come with a 400."""
        return self.status in {404, 410} or self.code in _GONE

    @property
    def _scope_explains(self) -> bool:
        return super()._scope_explains or (self.scope == "request" and self.gone)


class Unauthorized(AttemptError):
    """The key is not valid (401), or not allowed to use this model (403)."""

    rank = 6
    _blames_others = True


class OutOfCredit(AttemptError):
    """The account has no credit left: 402, or a 403 or 429 about billing."""

    rank = 6
    _blames_others = True


class NotSent(AttemptError):
    """No request was sent: the model is held back or disabled, its key is disabled or not set, or a breaker is open.

    - `hold`: seconds after which it could be sent; `None` if waiting does not help.
    - `actionable`: the reader can mend it (a key that is not set). `key_out`: the provider turned the key down lately.
    - `forcible`: whether the model is tried all the same when no other one is left (its breaker is open).
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

    @property
    def of_limit(self) -> bool:
        """Whether a limit is the reason, which a client may be told as a 429."""
        return self.hold is not None


def _http_status(errors: list[AttemptError]) -> int:
    sent = [error for error in errors if not isinstance(error, NotSent)]
    limited = [error for error in errors if isinstance(error, RateLimited) or getattr(error, "of_limit", False)]
    if limited and all(error in limited or isinstance(error, NotSent) for error in errors):
        return 429
    ours = {None, "request"}
    asked = all(isinstance(one, ContextTooLong) or (isinstance(one, Rejected) and one.scope in ours) for one in sent)
    return 503 if not sent else 400 if asked else 502
