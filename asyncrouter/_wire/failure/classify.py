"""Classifies failed responses by HTTP status, names and message: which of our errors each is, and how long to wait.

How it decides. Three things are looked at, in this order of trust:

1. The HTTP status. For most it decides alone: 401, 404, 5xx. 402 is an empty account unless there is a wait or a name
   for one; under 429 such an account is told from a rate limit, under 403 also a filter or a long prompt from a bad
   key. An error inside a 200 has no status; then the one its body gives counts, or the one its name stands for. Where
   OpenRouter gives its own documented name, that is plainer than the status it happened to choose
   (`_effective_status`).
2. The provider's names for the error, in `code`, `type`, `status` and half a dozen other fields. They overrule the
   status for billing and content filters, and they decide for the statuses under which everything is filed: 400, 412,
   413, 422 and 500, and no status at all.
3. The message, as a last resort and only for those statuses, for 403 and 429, and for Google's quotas (`quota.py`).
   Prompts are echoed in messages, so a number in one proves nothing, and phrases are matched only where neither status
   nor name says more.

A gateway passes on the errors of another provider. Those about the request count, such as context and content; those
about keys and money are about the gateway's own account, so they do not.

The wait is taken from the first place that has one: headers, error object, message.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._errors import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._repr import visible_name
from asyncrouter._wire.failure import vocabulary as words
from asyncrouter._wire.failure.error_body import ErrorBody, one_line, read_error_body, read_error_document
from asyncrouter._wire.failure.quota import exhausted_quota, until_google_day_ends, until_openrouter_day_ends
from asyncrouter._wire.failure.quotes import without_quotes
from asyncrouter._wire.failure.retry_after import (
    parse_retry_after,
    reset_in_headers,
    retry_after_in_error,
    retry_after_in_headers,
    retry_after_in_text,
)
from asyncrouter._wire.failure.vocabulary import plain, plain_message
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.failure.retry_after import Wall

_SECRET_PARTS: Final = re.compile(r"(?<=//)[^/?#@]*@|[?#].*", re.DOTALL)
"""The parts of a URL that may hold secrets: user and password, query, fragment."""

_TRANSIENT: Final = frozenset({408, 409, 425, 498, 499})
"""Statuses below 500 that say nothing about the request: the same one may succeed later."""

_UNSPECIFIC: Final = frozenset({None, 400, 412, 413, 422, 500})
"""Statuses under which providers file errors of every kind, so that names and message are asked."""

_LONGEST_NAME = 40
"""Up to so many characters a message without any name may be a name itself (Groq in a stream: "over capacity")."""


_TOLD: Final = "_told"
"""Where an error keeps what it was made of, until somebody has looked for quotes in it."""


class Told(NamedTuple):
    """What a provider has said: all that an error is made of. `should_retry` is the header of that name."""

    status: int | None
    body: ErrorBody
    retry_after: float | None
    should_retry: str = ""


class Classifier:
    """Turns a provider's errors into exceptions. `wall` is the wall clock, for waits given as dates."""

    __slots__ = ("_wall",)

    def __init__(self, wall: Wall) -> None:
        self._wall = wall

    def response_error(
        self, status: int, headers: Mapping[str, str], body: bytes, request_id: str | None = None
    ) -> AttemptError:
        """The error for a response that is not 2xx."""
        read = read_error_body(body)
        if 300 <= status < 400:
            target = one_line(_SECRET_PARTS.sub("", headers.get("location", "")))
            read.message = f"redirected{' to ' + target if target else ''}; redirects are not followed"
        retry_after = retry_after_in_headers(headers, self._wall)
        if retry_after is None and status == 429:
            retry_after = reset_in_headers(headers, self._wall)
        # By this header OpenAI, Anthropic and Together say whether the same request could succeed.
        told = Told(status, read, retry_after, headers.get("x-should-retry", "").lower())
        return self._first_judged(told, request_id)

    def document_error(self, document: object, request_id: str | None = None) -> AttemptError:
        """The error for an error document inside a 200: as its body, in a choice, or in the middle of a stream."""
        read = read_error_document(document)
        return self._first_judged(Told(read.status, read, None), request_id)

    def reconsider(self, error: AttemptError, request: bytes) -> AttemptError:
        """The error without what its message quotes from the request; the same object unless that makes a difference.

        Its message stays as it is.
        """
        told = error.__dict__.pop(_TOLD, None)
        if not isinstance(told, Told):
            return error
        own_words = without_quotes(told.body.message, request)
        if own_words is told.body.message:
            return error
        judged = self._judge(told._replace(body=replace(told.body, message=own_words)))
        judged.message, judged.args, judged.request_id = error.message, error.args, error.request_id
        return judged

    def _first_judged(self, told: Told, request_id: str | None) -> AttemptError:
        error, body = self._judge(told), told.body
        error.request_id = request_id or (body.request_id and visible_name(body.request_id))
        if words.JUDGED.search(plain_message(body.message)):
            error.__dict__[_TOLD] = told
        return error

    def _judge(self, told: Told) -> AttemptError:
        error = self._error(told.status, told.body, told.retry_after)
        match told.should_retry:
            case "false":
                error.again = "never"
            case "true" if error.again == "never" and not isinstance(error, OutOfCredit):
                error.again = "quick"
        return error

    def _error(self, status: int | None, body: ErrorBody, retry_after: float | None) -> AttemptError:
        names = {plain(name) for name in (*body.names, body.meaning) if name}
        if status is None:
            status = _status_of_names(body)
        if retry_after is None:
            retry_after = retry_after_in_error(body.error, self._wall)
        kind = _error_class(_effective_status(status, body), body, names, asks_to_wait=retry_after is not None)
        if retry_after is None:
            retry_after = self._wait_of(kind, body)
        error = kind(body.message or _phrase(status), status=status, code=_code(body), retry_after=retry_after)
        if isinstance(param := body.error.get("param"), str) and param:
            error.param = visible_name(param)
        if kind is RateLimited and exhausted_quota(body, names) == "model":
            # Google's own RetryInfo is about the minute, and wrong here.
            error.again, error.retry_after = "never", until_google_day_ends(self._wall())
        elif _unknown_availability(body, retryable=False) or (retry_after is None and _is_in_vain(error, body)):
            error.again = "never"
        if kind is ContextTooLong and status == 429:
            error.retry_after = None  # no pause makes the request smaller
        if kind is RateLimited and (limit := words.TOKENS_A_MINUTE.search(body.message.lower())) is not None:
            error.tokens_a_minute = int(limit[1].replace(",", "") or 0) or None
        error.definite = _is_definite(error, body, names)
        return error

    def _wait_of(self, kind: type[AttemptError], body: ErrorBody) -> float | None:
        """Seconds to wait where neither headers nor the usual fields give any."""
        if kind in {RateLimited, ServerFailed}:
            return until_openrouter_day_ends(body, self._wall()) or retry_after_in_text(body.message)
        if kind is OutOfCredit:  # OpenRouter says when a spending limit starts again
            return parse_retry_after(object_in(body.error, "metadata").get("resets_at"), self._wall)
        return None


def _error_class(
    status: int | None, body: ErrorBody, names: set[str], *, asks_to_wait: bool
) -> type[AttemptError]:
    if status == 402:
        # With a wait it is credit reserved by requests in flight; without one the account is empty.
        return RateLimited if asks_to_wait or names & words.IN_FLIGHT_NAMES else OutOfCredit
    if names & (words.OPENROUTER_BILLING_NAMES if body.relayed else words.BILLING_NAMES):
        throttled = status == 429 and words.THROTTLE_PHRASES.search(body.message.lower())
        return RateLimited if throttled else OutOfCredit
    if body.openrouter_name is not None and plain(body.openrouter_name) in words.FILTER_NAMES - {"invalidprompt"}:
        return Refused
    if status == 401:
        return Unauthorized
    if status == 403:
        return _forbidden_class(body, names)
    if status in {429, 529}:
        return _limited_class(status, body, names, asks_to_wait=asks_to_wait)
    if status in _UNSPECIFIC:
        found = _class_of_names(body, names, status) or _class_of_message(body, names, status)
        if found is not None:
            return found
    if status is None and words.RATE_PHRASES.search(plain_message(body.message)):
        return RateLimited
    return _class_of_status(status)


def _limited_class(status: int, body: ErrorBody, names: set[str], *, asks_to_wait: bool) -> type[AttemptError]:
    """A 429 or 529: a limit, a request that is larger than one, or an account without money."""
    message = plain_message(body.message)
    if status == 429 and (_exceeds_whole_limit(body.message) or words.LONG_CONTEXT_PHRASES.search(message)):
        return ContextTooLong
    unpaid = not (body.relayed or asks_to_wait) and words.BILLING_PHRASES.search(message)
    return OutOfCredit if unpaid or exhausted_quota(body, names) == "account" else RateLimited


def _class_of_names(body: ErrorBody, names: set[str], status: int | None) -> type[AttemptError] | None:
    """Content filter or context by name; `None` for neither."""
    filters = words.FILTER_NAMES if body.openrouter_name is None else words.FILTER_NAMES - {"invalidprompt"}
    if status != 500 and names & filters:
        return Refused
    too_long = "stringabovemaxlength" in names and words.MESSAGES.match(str(body.error.get("param")))
    return ContextTooLong if too_long or names & words.CONTEXT_NAMES else None


def _class_of_message(body: ErrorBody, names: set[str], status: int | None) -> type[AttemptError] | None:
    """What the message says; `None` if nothing we know, or if OpenRouter's name has said it."""
    if body.openrouter_name is not None:
        return None
    message = plain_message(body.message)
    # A `user` field that is too long has nothing to do with the context window.
    about_user = "stringabovemaxlength" in names or "invalid 'user'" in message
    if words.CONTEXT_PHRASES.search(message) and not about_user:
        return ContextTooLong
    blocked = "blocked" in message and "invalidrequesterror" in names
    if status != 500 and (blocked or words.FILTER_PHRASES.search(message)):
        return Refused
    return None if body.relayed else _class_of_account_message(message, names)


def _class_of_account_message(message: str, names: set[str]) -> type[AttemptError] | None:
    """Money, country or key, by phrases in a message about our own account."""
    if words.BILLING_PHRASES.search(message):
        return OutOfCredit
    if "failedprecondition" in names and words.ACCOUNT_PHRASES.search(message):
        return Unauthorized
    return Unauthorized if words.KEY_PHRASES.search(message) else None


def _class_of_status(status: int | None) -> type[AttemptError]:
    if status is None:
        return BadReply
    if status in _TRANSIENT or 500 <= status < 600:
        return ServerFailed
    return Rejected if 300 <= status < 500 else BadReply


def _is_definite(error: AttemptError, body: ErrorBody, names: set[str]) -> bool:
    """Whether the provider's words name the model, the key or the account, so that it is not about one request."""
    if names & words.DEFINITE_NAMES:
        return True
    message = plain_message(body.message)
    if isinstance(error, Rejected):
        found = words.DEFINITE_NOT_FOUND_PHRASES.search(message)
        return error.status in {404, 410} and bool(found) and not words.OF_A_REQUEST_PHRASES.search(message)
    if isinstance(error, Unauthorized):
        named = bool(body.error) and bool(words.DEFINITE_FORBIDDEN_PHRASES.search(message))
        return error.status != 403 or (named and not words.OF_A_FIREWALL_PHRASES.search(message))
    if isinstance(error, OutOfCredit):
        if words.OF_A_SIZE_PHRASES.search(message):
            return False
        return error.status != 402 or bool(words.DEFINITE_CREDIT_PHRASES.search(message))
    return False


def _is_in_vain(error: AttemptError, body: ErrorBody) -> bool:
    """Whether the provider's words say that the same request cannot succeed later, whatever its status says."""
    message = plain_message(body.message)
    if words.NO_RETRY_PHRASES.search(message):
        return True
    found = isinstance(error, ServerFailed) and not body.relayed and words.DEFINITE_NOT_FOUND_PHRASES.search(message)
    return bool(found) and not words.OF_A_REQUEST_PHRASES.search(message)


def _exceeds_whole_limit(message: str) -> bool:
    """Whether a 429 says that this request alone is larger than the limit, which no pause changes."""
    numbers = words.TOO_LARGE_FOR_LIMIT.search(message.lower())
    if numbers is None:
        return False
    limit, requested = (int(number.replace(",", "") or 0) for number in numbers.groups())
    return requested > limit > 0


def _forbidden_class(body: ErrorBody, names: set[str]) -> type[AttemptError]:
    """A 403: moderation (OpenRouter), a prompt over the window (Together), no money (xAI), or a key that may not."""
    metadata = object_in(body.error, "metadata")
    if names & words.FILTER_NAMES or any(metadata.get(name) for name in ("reasons", "flagged_input", "patterns")):
        return Refused
    if names & words.CONTEXT_NAMES:
        return ContextTooLong
    if body.openrouter_name is None and words.TOO_MANY_TOKENS_PHRASES.search(plain_message(body.message)):
        return ContextTooLong
    unpaid = not body.relayed and words.BILLING_PHRASES.search(plain_message(body.message))
    return OutOfCredit if unpaid else Unauthorized


def _effective_status(status: int | None, body: ErrorBody) -> int | None:
    """The status that decides: the response's, unless OpenRouter's own name for the error is plainer."""
    if body.openrouter_name is None or status in {402, 403, 529}:
        return status
    if status != 429 and _unknown_availability(body, retryable=True):
        return 503
    return words.STATUS_OF_NAME.get(plain(body.openrouter_name), status)


def _unknown_availability(body: ErrorBody, *, retryable: bool) -> bool:
    """Whether OpenRouter gives a reason that is newer than our list, and says that a retry makes sense (or not)."""
    availability = object_in(body.error, "availability")
    code = availability.get("code")
    unknown = isinstance(code, str) and plain(code) not in words.STATUS_OF_NAME
    return unknown and availability.get("retryable") is retryable


def _status_of_names(body: ErrorBody) -> int | None:
    """The status that the names of an error without one stand for."""
    if body.meaning:
        return words.STATUS_OF_NAME.get(plain(body.meaning))
    told = (*body.names, body.message) if len(body.message) <= _LONGEST_NAME else body.names
    candidates = (plain(part) for name in told for part in (name, name.partition(".")[0]))  # Tencent, Alibaba: a family
    return next((status for name in candidates if (status := words.STATUS_OF_NAME.get(name)) is not None), None)


def _code(body: ErrorBody) -> str | None:
    """What `AttemptError.code` says: the most specific name, else the number."""
    if body.names:
        return body.names[0]
    return str(number) if isinstance(number := body.error.get("code"), (int, str)) else None


def _phrase(status: int | None) -> str:
    """The message for an error without one."""
    if status is None:
        return "an error without a message"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
