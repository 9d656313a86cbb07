"""How long a provider asks us to wait: in headers, in error objects, in sentences."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._wire.failure.classify import Classifier
from asyncrouter._wire.failure.retry_after import (
    parse_retry_after,
    reset_in_headers,
    retry_after_in_error,
    retry_after_in_headers,
    retry_after_in_text,
)

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def now() -> float:
    return NOW


def wait_of(status: int, error: object, **headers: str) -> float | None:
    """`retry_after` of the error for such a response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Classifier(now).response_error(status, named, orjson.dumps({"error": error})).retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0), ("0.25", 0.25), (" 7 ", 7.0), (5, 5.0), (1.5, 1.5), ("-4", 0.0), ("1e2", 100.0), (".5", 0.5),
        ("100ms", 0.1), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1.5s", 1.5), ("2d", 172800.0), ("38s", 38.0),
        ("-5s", 0.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0), ("Fri Jan 15 08:01:00 2027", 60.0),
        ("2027-01-15T08:00:10Z", 10.0), ("2027-01-15T09:00:10.5+01:00", 10.5), ("2027-01-15T08:00:10", 10.0),
        ("", None), ("soon", None), ("nan", None), ("inf", None), ("1e999", None), ("1_000", None), ("٣", None),
        ("5 parsecs", None),
        (None, None), (True, None), (float("nan"), None), (10**30, None), ("Fri, 99 Jan 2027 08:01:00 GMT", None),
        ([], None), ("9" * 5000, None),
    ],
)
def test_every_form_of_a_wait_is_read(value: object, seconds: float | None) -> None:
    """Numbers, durations and dates are seconds from now; the past is 0, and garbage is `None`."""
    assert parse_retry_after(value, now) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 5.289s. Visit x", 5.289), ("try again in 1m2s", 62.0),
        ("Please retry after 60 seconds.", 60.0),
        ("Please retry in 38.1s.", 38.1), ("try again in 20ms", 0.02), ("Try again in 2 minutes", 120.0),
        ("try again in 1h 5m", 3900.0), ("try again in 300 milliseconds", 0.3), ("wait 3 seconds", 3.0),
        ("Available in 3 minutes.", 180.0), ("Resets in 6hr 29min.", 23340.0), ("quota will reset after 58s", 58.0),
        ("available 3 days a week", None), ("resets 5 minutes ago", None),
        ("try again later", None), ("try again in 5 marathons", None), ("in 5s", None), ("", None),
    ],
)
def test_a_wait_in_a_sentence(text: str, seconds: float | None) -> None:
    """Groq, OpenAI, Google and Azure write it into the message."""
    assert retry_after_in_text(text) == pytest.approx(seconds)


def test_a_wait_in_the_headers() -> None:
    """Milliseconds count before seconds, unless they cannot be read."""
    assert retry_after_in_headers({"retry-after-ms": "250", "retry-after": "1"}, now) == 0.25
    assert retry_after_in_headers({"retry-after-ms": "x", "retry-after": "1"}, now) == 1.0
    assert retry_after_in_headers({}, now) is None


@pytest.mark.parametrize(
    ("reset", "seconds"), [("1800000005", 5.0), ("1800000005000", 5.0), ("30", 30.0), ("1799999999", 0.0)]
)
def test_a_rate_limit_reset_is_read_in_either_unit(reset: str, seconds: float) -> None:
    """It is in seconds or milliseconds since the epoch, or in seconds from now."""
    assert reset_in_headers({"x-ratelimit-reset": reset}, now) == seconds
    assert wait_of(429, {"message": "m"}, x_ratelimit_reset=reset) == seconds


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"availability": {"code": "capacity_exhausted", "retry_after": 12}}, 12.0),
        ({"details": [{"@type": "QuotaFailure"}, {"@type": "RetryInfo", "retryDelay": "38s"}]}, 38.0),
        ({"metadata": {"headers": {"Retry-After": "4"}}}, 4.0),
        ({"resets_in_seconds": 90, "resets_at": NOW + 80}, 90.0), ({"resets_at": NOW + 80}, 80.0),
        ({"estimated_time": 20.5}, 20.5), ({"retryAfter": "12s"}, 12.0), ({"retry_after_seconds": 9}, 9.0),
        ({"retry_after_ms": 1500}, 1.5), ({"retryAfterMs": 250.0}, 0.25), ({"retry_after_ms": True}, None),
        ({"retry_after_ms": 1e300}, None), ({"retry_after_ms": "soon"}, None),
        ({"metadata": "?", "details": 5, "availability": []}, None),
    ],
)
def test_a_wait_in_an_error_object(error: dict[str, object], seconds: float | None) -> None:
    """OpenRouter and Google have fields of their own for it."""
    assert retry_after_in_error(error, now) == seconds
    assert wait_of(429, error) == seconds


@pytest.mark.parametrize("error", [{"message": "m"}, "m", ["m"]])
def test_a_wait_beside_the_error(error: object) -> None:
    """Gateways write it into the document instead; what the error itself says counts more."""
    beside = Classifier(now).response_error(429, {}, orjson.dumps({"error": error, "retryAfter": 3}))
    inside = {"error": {"message": "m", "retry_after": 2}, "retry_after": 3}

    assert Classifier(now).response_error(429, {}, orjson.dumps(inside)).retry_after == 2.0
    assert beside.retry_after == 3.0


@pytest.mark.parametrize(("reset", "seconds"), [("12", 12.0), (str(int(NOW) + 30), 30.0), ("soon", None)])
def test_the_reset_of_the_ietfs_drafts(reset: str, seconds: float | None) -> None:
    """`RateLimit-Reset` counts where neither a wait nor `X-RateLimit-Reset` says otherwise."""
    assert wait_of(429, {"message": "m"}, ratelimit_reset=reset, retry_after="1") == 1.0
    assert wait_of(429, {"message": "m"}, ratelimit_reset=reset, x_ratelimit_reset="7") == 7.0
    assert wait_of(429, {"message": "m"}, ratelimit_reset=reset) == seconds


def test_headers_come_before_the_body_before_the_message() -> None:
    """The wait is taken from the first place that has one; a message counts only where a retry makes sense."""
    sentence = {"message": "try again in 3s"}

    assert wait_of(429, {**sentence, "availability": {"retry_after": 2}}, retry_after="1") == 1.0
    assert wait_of(429, {**sentence, "availability": {"retry_after": 2}}) == 2.0
    assert wait_of(429, sentence) == 3.0
    assert wait_of(400, sentence) is None
