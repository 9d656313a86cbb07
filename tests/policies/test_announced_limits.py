"""Rate limits in the headers of a response."""

from __future__ import annotations

import pytest

from asyncrouter._policies.announced_limits import AnnouncedLimits, read_limits


@pytest.mark.parametrize(("headers", "limits"), [
    ({"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "30000"}, AnnouncedLimits(500.0, 30_000.0)),
    ({"anthropic-ratelimit-requests-limit": "50"}, AnnouncedLimits(50.0, None)),
    ({"anthropic-ratelimit-tokens-limit": "4e4"}, AnnouncedLimits(None, 40_000.0)),
    ({"x-ratelimit-limit-requests": "many"}, AnnouncedLimits(None, None)),
    ({"content-type": "application/json"}, AnnouncedLimits(None, None)),
])  # fmt: skip
def test_limits_are_read_from_the_headers_of_two_vendors(headers: dict[str, str], limits: AnnouncedLimits) -> None:
    """OpenAI's and Anthropic's headers announce requests and tokens a minute; what is no number announces nothing."""
    assert read_limits(headers) == limits
