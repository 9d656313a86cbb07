"""Names that come from callers: what is remembered by them has a limit."""

from __future__ import annotations

import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._errors import AttemptError, RateLimited, Rejected
from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.holds import Holds
from asyncrouter._transport.aiohttp import AiohttpTransport


def gone() -> AttemptError:
    error = Rejected("gone", status=404, code="model_not_found")
    error.definite = True
    return error


def limited() -> AttemptError:
    return RateLimited("slow down", status=429, retry_after=500.0)


@pytest.mark.parametrize("error", [gone, limited])
def test_holds_of_as_many_models_as_callers_invent_are_bounded(error: object) -> None:
    """Beyond the limit those that are over are forgotten first, and else the one that ends first."""
    holds = Holds()
    for number in range(MAX_NAMES + 500):
        holds.learn(Model(provider="p", id=f"invented-{number}"), error(), float(number))  # type: ignore[operator]  # one of two
    assert len(holds.held) + len(holds.models) <= MAX_NAMES
    newest = Model(provider="p", id=f"invented-{MAX_NAMES + 499}")
    assert holds.refusal(newest, MAX_NAMES + 500.0) is not None
    assert holds.refusal(Model(provider="p", id="invented-0"), 1.0) is None


def test_proxies_of_urls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL holds a model's id at some vendors, so URLs come from callers, too."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    transport = AiohttpTransport(trust_env=True)
    for number in range(2000):
        assert transport._env_proxy(f"https://h.test/models/{number}") == "http://proxy.test:3128"
    assert len(transport._proxies) <= 256
