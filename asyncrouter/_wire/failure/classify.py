"""Which error a provider means: the status decides first, its words second, the message only where both leave it open.

A number in a message proves nothing (prompts are echoed), so messages are read for 400, 413 and 422, the statuses
under which hosts file everything, and where there is no status at all: inside a 200.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

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
from asyncrouter._wire.failure.error_body import Told, one_line, part, read_document, read_error
from asyncrouter._wire.failure.retry_after import (
    parse_pause,
    pause_in_error,
    pause_in_headers,
    pause_in_text,
    reset_in_headers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.failure.retry_after import Wall

_DAY = 86400.0
_PACIFIC = 8 * 3600.0

# All names are written as `_plain` leaves them: "rate_limit_error" and "RateLimitError" are one.
_OPENROUTER_BILLING: Final = frozenset({
    "openrouterguardrailbudget", "openrouterworkspacebudget", "openrouterkeylimit",
})
_BILLING: Final = _OPENROUTER_BILLING | frozenset({
    "insufficientquota", "creditbalanceexhausted", "organizationspendlimitexceeded", "projectspendlimitexceeded",
    "organizationusagelimitexceeded", "enforcedspendlimitreached", "billingerror", "billinghardlimitreached",
    "billingnotactive", "contractspendlimitreached", "linkedorganizationspendlimitreached",
})
_CONTEXT: Final = frozenset({
    "contextlengthexceeded", "exceedcontextsizeerror", "contextexceeded", "stringtoolong", "requesttoolarge",
    "maxtokensexceeded", "tokenlimitexceeded", "inputtoolarge", "requestbodytoolargeafterdecoding",
})
_FILTER: Final = frozenset({
    "contentpolicyviolation", "contentfilter", "contentfilterpolicy", "responsibleaipolicyviolation", "refusal",
    "invalidprompt", "biopolicy", "cyberpolicy", "safetycheck", "moderation",
})
_STANDS_FOR: Final[Mapping[str, int]] = {
    "authentication": 401, "authenticationerror": 401, "invalidapikey": 401, "unauthenticated": 401,
    "paymentrequired": 402, "permissiondenied": 403, "permissionerror": 403, "regionrestricted": 403,
    "requestforbidden": 403, "unsupportedcountryregionterritory": 403,
    "notfound": 404, "notfounderror": 404, "modelnotfound": 404, "noendpoints": 404, "modeldeprecated": 404,
    "modelunavailableupstream": 404, "freevariantended": 404, "privacyrestricted": 404, "constraintfiltered": 404,
    "ratelimitexceeded": 429, "ratelimiterror": 429, "ratelimited": 429, "toomanyrequests": 429, "slowdown": 429,
    "resourceexhausted": 429, "capacityexhausted": 429, "overloadederror": 529,
    "servererror": 500, "internalservererror": 500, "internalerror": 500, "apierror": 500, "server": 500,
    "unmapped": 500, "internal": 500, "providerunavailable": 502, "serviceunavailable": 503,
    "serviceunavailableerror": 503, "unavailable": 503, "unavailableerror": 503, "overcapacity": 503,
    "capacityexceeded": 503, "servicetiercapacityexceeded": 503, "serverisoverloaded": 503,
    "provideroverloaded": 503, "temporarilyunavailable": 503,
    "conflicterror": 409, "timeout": 504, "timeouterror": 504, "deadlineexceeded": 504,
    "invalidrequest": 400, "invalidrequesterror": 400, "invalidprompt": 400, "badrequesterror": 400,
    "invalidargument": 400, "wrongendpoint": 400, "invalidimage": 400, "preconditionfailed": 412,
    "payloadtoolarge": 413, "unprocessable": 422,
}
"""The status a name stands for where none is given: mid-stream, and in OpenRouter's own words."""

_CONTEXT_WORDS: Final = re.compile(
    r"maximum context length|exceeds the context window|exceed context limit|context size|context length"
    r"|maximum context limit|prompt is too long|input is too long|input too (?:long|large)|input_too_large"
    r"|prompt length|input length|maximum input length|maximum number of tokens|reduce the length"
    r"|requested token count exceeds|input tokens exceed|max_new_tokens|max_tokens must be at least 1"
    r"|size exceeds the limit|exceeded model token limit|current length is\b.*\bwhile limit is"
)
_TOKEN_WORDS: Final = re.compile(_CONTEXT_WORDS.pattern + r"|tokens.*(?:exceed|limit|maximum)|exceed.*tokens")
_FILTER_WORDS: Final = re.compile(
    r"content management|content[ _]filter|content[ _]policy|safety system|safety_check|blocked by"
    r"|model produced invalid content|can't help with that request"
)
_BILLING_WORDS: Final = re.compile(
    r"credit balance is too low|spend(?:ing)? limit|reached your specified (?:workspace )?api usage limits"
)
_ACCOUNT_WORDS: Final = re.compile(r"billing|free tier|\bcountry\b|\blocation\b|\bregion\b")
"""Google files them under FAILED_PRECONDITION, beside a file that is not ready yet."""
_NOTHING_WORDS: Final = re.compile(r"\blimit: 0\b(?!\.\d)(, model:)?")
_KEY_WORDS: Final = re.compile(r"api key (?:not valid|not found|expired)")
"""Google files it under 400."""
_URL: Final = re.compile(r"https?://\S+")
_SECRET_PARTS: Final = re.compile(r"(?<=//)[^/?#@]*@|[?#].*", re.DOTALL)
"""Of an address: who asks, with which password; the query; the fragment."""
_TRANSIENT: Final = frozenset({408, 409, 425, 498, 499})
_OPEN: Final = frozenset({400, 413, 422})


class Classifier:
    """Turns failures into errors. `wall` is the wall clock, for pauses given as dates."""

    __slots__ = ("_wall",)

    def __init__(self, wall: Wall) -> None:
        self._wall = wall

    def failure(
        self, status: int, headers: Mapping[str, str], body: bytes, request_id: str | None = None
    ) -> AttemptError:
        """What a response that is not 2xx means."""
        told = read_error(body)
        if 300 <= status < 400:
            where = one_line(_SECRET_PARTS.sub("", headers.get("location", "")))
            told.message = f"redirected{' to ' + where if where else ''}; redirects are not followed"
        pause = pause_in_headers(headers, self._wall)
        if pause is None and status == 429:
            pause = reset_in_headers(headers, self._wall)
        error = self._error(status, told, pause)
        error.request_id = request_id or told.request_id
        # OpenAI's, Anthropic's and Together's word on whether the same request could succeed.
        match headers.get("x-should-retry", "").lower():
            case "false":
                error.again = "never"
            case "true" if error.again == "never" and not isinstance(error, OutOfCredit):
                error.again = "quick"
        return error

    def inside(self, document: object, request_id: str | None = None) -> AttemptError:
        """What an error means that came in a 200: as its body, in a choice, or in the middle of a stream."""
        told = read_document(document)
        error = self._error(told.status, told, None)
        error.request_id = request_id or told.request_id
        return error

    def _error(self, status: int | None, told: Told, asked: float | None) -> AttemptError:
        names = {_plain(name) for name in told.names}
        if status is None:
            status = _stands_for(told)
        pause = asked if asked is not None else pause_in_error(told.error, self._wall)
        kind = _kind(_ruling(status, told), told, names, paused=pause is not None)
        if pause is None and kind in {RateLimited, ServerFailed}:
            pause = self._until_midnight(told) or pause_in_text(told.message)
        elif pause is None and kind is OutOfCredit:  # OpenRouter says when a spent limit begins anew
            pause = parse_pause(part(told.error, "metadata").get("resets_at"), self._wall)
        error = kind(told.message or _phrase(status), status=status, code=_code(told), retry_after=pause)
        if kind is RateLimited and _used_up(told, names) == "model":
            # Whatever RetryInfo says. Google's day ends at midnight in California, an hour earlier in summer.
            error.again, error.retry_after = "never", _DAY - (self._wall() - _PACIFIC) % _DAY
        elif _unknown_availability(told, retryable=False):
            error.again = "never"
        return error

    def _until_midnight(self, told: Told) -> float | None:
        """OpenRouter's free models have a quota a day (UTC); until then another try is a wasted one."""
        limit = part(told.error, "metadata").get("limit_source")
        if limit != "openrouter_free_tier_daily" and "free-models-per-day" not in told.message:
            return None
        return _DAY - self._wall() % _DAY


def _kind(status: int | None, told: Told, names: set[str], *, paused: bool) -> type[AttemptError]:
    if status == 402:
        # With a pause it is the credit reserved by requests in flight; otherwise the account.
        in_flight = not names.isdisjoint({"inflightbudgetexhausted", "openrouterinflightbudget"})
        return RateLimited if paused or in_flight else OutOfCredit
    if not names.isdisjoint(_OPENROUTER_BILLING if told.relayed else _BILLING):
        return OutOfCredit
    if told.canonical is not None and _plain(told.canonical) in _FILTER - {"invalidprompt"}:
        return Refused
    if status == 401:
        return Unauthorized
    if status == 403:
        return _forbidden(told, names)
    if status in {429, 529}:
        return OutOfCredit if _used_up(told, names) == "account" else RateLimited
    if status is None or status in _OPEN or status == 500:
        named = _by_words(told, names, guess=told.canonical is None, filters=status != 500)
        if named is not None:
            return named
    if status is None:
        return BadReply
    if status in _TRANSIENT or 500 <= status < 600:
        return ServerFailed
    return Rejected if 300 <= status < 500 else BadReply


def _by_words(told: Told, names: set[str], *, guess: bool, filters: bool) -> type[AttemptError] | None:
    """Content filter or context, by name and then (`guess`) by message; `None` when it is neither."""
    # OpenRouter's invalid_prompt is a malformed one, OpenAI's a forbidden one.
    if filters and names & (_FILTER if guess else _FILTER - {"invalidprompt"}):
        return Refused
    if not names.isdisjoint(_CONTEXT):
        return ContextTooLong
    if not guess:
        return None
    message = _URL.sub("", told.message.lower())
    # A `user` field that is too long has nothing to do with the window.
    if "stringabovemaxlength" not in names and "invalid 'user'" not in message and _CONTEXT_WORDS.search(message):
        return ContextTooLong
    if filters and (_FILTER_WORDS.search(message) or ("blocked" in message and "invalidrequesterror" in names)):
        return Refused
    if told.relayed:
        return None
    if _BILLING_WORDS.search(message):  # Anthropic files it under 400
        return OutOfCredit
    if "failedprecondition" in names and _ACCOUNT_WORDS.search(message):
        return Unauthorized
    return Unauthorized if _KEY_WORDS.search(message) else None


def _used_up(told: Told, names: set[str]) -> Literal["", "model", "account"]:
    """What Google says is used up: the money of the account, or what it may ask of one model today."""
    if "resourceexhausted" not in names:
        return ""
    if "credits are depleted" in told.message:
        return "account"
    quotas = _quotas(told)
    daily = [quota for quota in quotas if "PerDay" in quota]
    nothing = _NOTHING_WORDS.search(told.message)
    if not (daily or nothing):
        return ""
    exceeded = daily or quotas
    of_a_model = all("PerModel" in quota for quota in exceeded) if exceeded else bool(nothing and nothing[1])
    return "model" if of_a_model else "account"


def _quotas(told: Told) -> list[str]:
    """The quotas that Google says are exceeded."""
    details = told.error.get("details")
    listed = details if isinstance(details, list) else []
    violations = [detail.get("violations") for detail in listed if isinstance(detail, dict)]
    quotas = [quota for found in violations if isinstance(found, list) for quota in found if isinstance(quota, dict)]
    return [str(quota.get("quotaId")) for quota in quotas]


def _forbidden(told: Told, names: set[str]) -> type[AttemptError]:
    metadata = part(told.error, "metadata")
    if names & _FILTER or any(metadata.get(name) for name in ("reasons", "flagged_input", "patterns")):
        return Refused
    # Together answers a prompt over the window with 403.
    if names & _CONTEXT or (told.canonical is None and _TOKEN_WORDS.search(_URL.sub("", told.message.lower()))):
        return ContextTooLong
    return Unauthorized


def _ruling(status: int | None, told: Told) -> int | None:
    """The status that decides: the real one, unless OpenRouter's own word is plainer."""
    if told.canonical is None or status in {402, 403, 529}:
        return status
    if status != 429 and _unknown_availability(told, retryable=True):
        return 503
    return _STANDS_FOR.get(_plain(told.canonical), status)


def _unknown_availability(told: Told, *, retryable: bool) -> bool:
    """Whether OpenRouter gives a reason we do not know, and says so about another try; of those we know we know it."""
    availability = part(told.error, "availability")
    code = availability.get("code")
    return isinstance(code, str) and _plain(code) not in _STANDS_FOR and availability.get("retryable") is retryable


def _stands_for(told: Told) -> int | None:
    """The status meant by an error that has none."""
    # Groq's mid-stream error is two bare words, "over capacity".
    candidates = (*told.names, told.message) if len(told.message) <= 40 else told.names
    return next((status for name in candidates if (status := _STANDS_FOR.get(_plain(name))) is not None), None)


def _code(told: Told) -> str | None:
    if told.names:
        return told.names[0]
    return str(number) if isinstance(number := told.error.get("code"), (int, str)) else None


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _phrase(status: int | None) -> str:
    if status is None:
        return "an error without a message"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
