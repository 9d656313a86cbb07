"""Each vendor's turn at the hosts of Chat Completions that have rules of their own, and back at the vendor."""

from itertools import product

import pytest

from asyncrouter.sim import Clock
from tests.helpers.cross_vendor import HOSTS, PARAMS, VENDORS, converse

JSON_SCHEMAS = frozenset({"mistral", "groq", "cerebras"})
"""The hosts that take a JSON schema; DeepSeek's API refuses it, which the caller's `drop` can mend."""


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("first", "host", "feature"),
    [
        (first, host, feature) for first, host, feature in product(VENDORS, HOSTS, PARAMS)
        if feature != "structured" or host in JSON_SCHEMAS
    ],
)
def test_a_conversation_goes_on_at_a_host(clock: Clock, first: str, host: str, feature: str, stream: bool) -> None:
    """A conversation begun at a vendor goes on at a host with rules of its own, and again at the vendor."""
    seen = converse(clock, first, host, feature, stream=stream)

    assert [request.status for request in seen] == [200, 200, 200]
    assert [request.model for request in seen] == [VENDORS[first][2], HOSTS[host][2], VENDORS[first][2]]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("first", "second", "feature"), [*product(HOSTS, HOSTS, ("text", "thinking", "tools"))])
def test_a_conversation_goes_from_host_to_host(
    clock: Clock, first: str, second: str, feature: str, stream: bool
) -> None:
    """A conversation goes from one such host to another and back."""
    seen = converse(clock, first, second, feature, stream=stream)

    assert [request.status for request in seen] == [200, 200, 200]
