"""Errors in which a character is halved are read like any other."""

from __future__ import annotations

import json

import pytest

from asyncrouter import AttemptError, ContextTooLong, OutOfCredit, RateLimited
from asyncrouter._wire.registry import wire_for
from tests.fuzz.check import PROVIDERS


@pytest.mark.parametrize("wire", sorted(PROVIDERS))
@pytest.mark.parametrize(("status", "error", "kind"), [
    (429, {"message": "slow \ud83d", "code": "rate_limit_exceeded"}, RateLimited),
    (400, {"message": "\udc00 maximum context length is 8 tokens", "code": "context_length_exceeded"}, ContextTooLong),
    (402, {"message": "pay", "code": "insufficient_quota", "\ud800": 1}, OutOfCredit),
])
def test_half_a_character_hides_no_error(
    wire: str, status: int, error: dict[str, object], kind: type[AttemptError]
) -> None:
    """The class and the code are read although the message, or a name beside it, holds half a character."""
    body = json.dumps({"error": error}).encode()
    found = wire_for(PROVIDERS[wire], lambda: 0.0).failure(status, {}, body)
    assert (type(found), found.code) == (kind, error["code"])
    assert found.message.isprintable()
