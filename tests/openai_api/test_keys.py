"""Keys of a server's clients: who gets in, how often, and for how much."""

from __future__ import annotations

import pytest

from asyncrouter import Attempt, ConfigError, Trace
from asyncrouter.openai_api import ClientKey, KeyRing, secret_of
from tests.helpers.planted import KEY, ROTATED

HOUR = 3600.0


def spent(usd: float) -> Trace:
    """The trace of a call that cost this."""
    return Trace(None, 0.0, [Attempt(1, "m", "p", "first", cost_usd=usd)])


@pytest.mark.parametrize(("headers", "found"), [
    ({"authorization": f"Bearer {KEY}"}, "a"), ({"authorization": f"bearer  {ROTATED} "}, "b"),
    ({"api-key": ROTATED}, "b"), ({}, None), ({"authorization": "Bearer "}, None),
    ({"authorization": f"Basic {KEY}"}, None), ({"authorization": f"Bearer {KEY[:-1]}"}, None),
    ({"authorization": f"Bearer {KEY}x"}, None), ({"authorization": f"Bearer {KEY.upper()}"}, None),
    ({"authorization": KEY}, None), ({"authorization": "Bearer \udcff"}, None), ({"x-api-key": KEY}, None),
])
def test_only_a_whole_key_is_let_in(headers: dict[str, str], found: str | None) -> None:
    """As a bearer token, or in `api-key`, which Azure's client sends; the ring shows no key."""
    ring = KeyRing([ClientKey("a", KEY), ClientKey("b", ROTATED)])
    key = ring.find(headers)

    assert (None if key is None else key.name) == found
    assert repr(ring.keys) == "(<ClientKey a>, <ClientKey b>)"


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever matches, each is compared once, by digests of one length."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    KeyRing([ClientKey(name, KEY) for name in "abc"]).find({"authorization": f"Bearer {KEY}"})

    assert compared == [(32, 32)] * 3


def test_requests_a_minute_are_counted() -> None:
    """As many in a row, then one each time another is due; a refusal says when."""
    key = ClientKey("a", KEY, rpm=3)
    refused = [key.admit(now, 0.0) for now in (0.0, 0.0, 0.0, 0.0, 19.9, 20.0, 20.0)]

    assert [None if one is None else (one.status, one.headers["retry-after"]) for one in refused] == [
        None, None, None, (429, "20"), (429, "1"), None, (429, "20"),
    ]


def test_a_budget_ends_with_its_period() -> None:
    """What calls have cost counts; used up, it is a 429 until the next hour of UTC begins."""
    key = ClientKey("a", KEY, usd=1.0, per="hour")
    refused = []
    for wall, usd in ((100.0, 0.6), (200.0, 0.6), (300.0, 0.6), (HOUR + 1, 0.1)):
        if (refusal := key.admit(0.0, wall)) is None:
            key.settle(spent(usd), wall)
        refused.append(None if refusal is None else (refusal.status, refusal.headers["retry-after"]))

    assert refused == [None, None, (429, "3300"), None]


def test_calls_in_flight_count_at_the_dearest_so_far() -> None:
    """Hundreds that begin at once do not overdraw a budget hundreds of times."""
    key = ClientKey("a", KEY, usd=1.0, per="run")
    assert key.admit(0.0, 0.0) is None
    key.settle(spent(0.25), 0.0)
    refused = [key.admit(0.0, 0.0) is not None for _ in range(5)]

    assert refused == [False, False, False, True, True]


def test_a_request_that_was_no_call_costs_nothing() -> None:
    """It is settled without a trace, or with one whose cost is unknown."""
    key = ClientKey("a", KEY, usd=0.01, per="run")
    for trace in (None, Trace(None, 0.0, [Attempt(1, "m", "p", "first", cost_usd=None)])):
        assert key.admit(0.0, 0.0) is None
        key.settle(trace, 0.0)

    assert key.admit(0.0, 0.0) is None


@pytest.mark.parametrize("given", [KEY, "env:", "env:A B", "ENV:X", "env:NOT_SET", "env:BLANK"])
def test_a_key_comes_from_the_environment(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A literal is refused without being shown, as are variables that are not set or blank."""
    monkeypatch.setenv("RIGHT", f" {KEY} ")
    monkeypatch.setenv("BLANK", " ")
    with pytest.raises(ConfigError, match=r"^serve\.keys\.a\.key: "):
        secret_of(given, "serve.keys.a.key")

    assert secret_of("env:RIGHT", "") == KEY
