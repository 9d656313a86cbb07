"""Daily quotas that are used up, and when they start again: Google's, and that of OpenRouter's free models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from asyncrouter._wire.failure.error_body import ErrorBody

_DAY = 86400.0
"""Seconds in a day."""

_PACIFIC = 8 * 3600.0
"""Seconds by which midnight in California is later than in UTC; in summer it is an hour less, so we wait longer."""

_NO_QUOTA: Final = re.compile(r"\blimit: 0\b(?!\.\d)(, model:)?")
"""Google's message for a quota of nothing: of one model if it is named, else of the account."""


def exhausted_quota(body: ErrorBody, names: set[str]) -> Literal["", "model", "account"]:
    """Whose quota Google says is used up: the account's money, one model's requests of today, or ("") nobody's."""
    if "resourceexhausted" not in names:
        return ""
    if "credits are depleted" in body.message:
        return "account"
    quotas = _exceeded_quotas(body)
    daily = [quota for quota in quotas if "PerDay" in quota]
    none = _NO_QUOTA.search(body.message)
    if not (daily or none):
        return ""
    exceeded = daily or quotas
    of_a_model = all("PerModel" in quota for quota in exceeded) if exceeded else bool(none and none[1])
    return "model" if of_a_model else "account"


def until_google_day_ends(now: float) -> float:
    """Seconds from `now` (wall clock) until midnight in California, when Google's daily quotas start again."""
    return _DAY - (now - _PACIFIC) % _DAY


def until_openrouter_day_ends(body: ErrorBody, now: float) -> float | None:
    """Seconds until midnight UTC if the daily quota of OpenRouter's free models is used up; otherwise `None`."""
    limit = object_in(body.error, "metadata").get("limit_source")
    if limit != "openrouter_free_tier_daily" and "free-models-per-day" not in body.message:
        return None
    return _DAY - now % _DAY


def _exceeded_quotas(body: ErrorBody) -> list[str]:
    """The ids of the quotas in Google's `QuotaFailure` details."""
    details = body.error.get("details")
    listed = details if isinstance(details, list) else []
    violations = [detail.get("violations") for detail in listed if isinstance(detail, dict)]
    quotas = [quota for found in violations if isinstance(found, list) for quota in found if isinstance(quota, dict)]
    return [str(quota.get("quotaId")) for quota in quotas]
