"""Headers of 64 KB, the most that is read, in the place of pauses, limits and costs: each takes no time."""

from __future__ import annotations

import time

import pytest

from asyncrouter._policies.announced_limits import read_limits
from asyncrouter._wire.failure.retry_after import parse_retry_after, retry_after_in_text
from asyncrouter._wire.registry import wire_for
from tests.fuzz.check import PROVIDERS

SHAPES = ["0", "1.", "0 ", "1s", " ", "-", "1h1m", "e", "1e", "2026-", "Wed, ", "µ"]
HEADERS = [
    "retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-reset", "llm_provider-retry-after",
    "x-litellm-response-cost", "location", "x-request-id", "content-type",
]
SECONDS = 0.05
"""Of processor time, the most that a response may hold the loop; with quadratic time it would be minutes."""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_value_takes_no_time(shape: str) -> None:
    """A pause, an instant or a sentence of 64 KB is none, and that is found at once."""
    text = shape * (65_000 // len(shape)) + "!"
    began = time.process_time()
    assert parse_retry_after(text, lambda: 0.0) is None
    retry_after_in_text(text[:500])
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("header", HEADERS)
def test_a_long_header_takes_no_time(header: str) -> None:
    """Each header that is read, with each shape, on a failed response and on an answer."""
    wire = wire_for(PROVIDERS["openai"], lambda: 0.0)
    for shape in SHAPES:
        headers = {"content-type": "application/json", header: shape * (65_000 // len(shape)) + "!"}
        began = time.process_time()
        error = wire.failure(429, headers, b"{}")
        decoder = wire.decoder(headers, {})
        decoder.feed(b"{}")
        decoder.close()
        read_limits(headers)
        assert time.process_time() - began < SECONDS, shape
        assert error.retry_after is None
