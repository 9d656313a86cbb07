"""Refusals: their texts, and the error that an attempt ends with."""

from __future__ import annotations

import pytest

from asyncrouter._policies.refusal import BREAKER_OPEN, DISABLED, HELD, KEY_DISABLED, PROBE_RUNNING, Refusal


@pytest.mark.parametrize(("refusal", "text"), [
    (Refusal(HELD, "slow down", 2.25), "held for 2.25 s more: slow down"),
    (Refusal(DISABLED, "gone", 299.9), "disabled for 300 s more: gone"),
    (Refusal(KEY_DISABLED, "bad key", 60.0, "sim"), "the key of sim is disabled for 60 s more: bad key"),
    (Refusal(BREAKER_OPEN, "it broke", 4.0), "breaker open for 4.00 s more: it broke"),
    (Refusal(PROBE_RUNNING, "{odd}"), "breaker half-open, a probe is under way: {odd}"),
    (Refusal(BREAKER_OPEN, "reset", 4.0, "sim", host=True), "sim: breaker open for 4.00 s more: reset"),
])  # fmt: skip
def test_a_refusal_says_what_for_how_long_and_why(refusal: Refusal, text: str) -> None:
    """The text of a refusal names what is refused, the seconds left and the last error, and the provider of a host."""
    assert str(refusal) == text


def test_the_error_of_a_refusal_carries_what_it_says() -> None:
    """The error made from a refusal has its text, its hold and its flags."""
    error = Refusal(HELD, "slow down", 2.0, hold=2.0, forcible=True, key_out=True).error()

    assert (str(error), error.hold) == ("held for 2.00 s more: slow down", 2.0)
    assert (error.forcible, error.key_out, error.actionable) == (True, True, False)
