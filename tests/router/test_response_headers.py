"""The header fields of a response on its attempt, and the sum of a usage."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from asyncrouter import Attempt, Usage
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, ask, play, script
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from asyncrouter import Router
    from asyncrouter.sim import Clock, World

TOLD = {"X-Region": "eu-1", "OpenAI-Processing-Ms": "12", "Set-Cookie": "session=secret"}


@pytest.mark.parametrize("act", [
    Act(headers=TOLD), Act(status=500, headers=TOLD), Act(headers=TOLD, fault="cut", at=1),
])  # fmt: skip
def test_an_attempt_has_the_headers_of_its_response(clock: Clock, world: World, act: Act) -> None:
    """By lower-case name, without cookies, whether it was answered, failed or broke; `{}` without a response."""
    script(world, act, HEALTHY)

    async def scenario(router: Router) -> Any:
        return await ask(router, chain=["missing:x", "a", "b"], retry=ONCE)

    missing = {"missing": {"base_url": "http://m.test/v1", "key": "env:NO_SUCH_KEY_HERE"}}
    trace = play(clock, world, scenario, providers=missing).trace

    first, second = trace.attempts[:2]
    assert (first.outcome, first.headers) == ("not_sent", {})
    told = {name: second.headers.get(name) for name in ("x-region", "openai-processing-ms", "set-cookie")}
    assert told == {"x-region": "eu-1", "openai-processing-ms": "12", "set-cookie": None}
    assert "eu-1" not in repr(trace)


def test_headers_survive_a_pickle() -> None:
    """As plain text, whatever the HTTP client keeps them in; an attempt without any is read as it was."""
    proxy = CIMultiDictProxy(CIMultiDict({"x-region": "EU-1"}))
    attempt = Attempt(1, "a", "p", "first", _read_headers=lambda: proxy)

    copied, plain = pickle.loads(pickle.dumps((attempt, Attempt(1, "a", "p", "first"))))

    assert copied == attempt
    assert [one.headers for one in (pickle.loads(pickle.dumps(copied)), plain)] == [{"x-region": "EU-1"}, {}]


def test_secrets_are_masked_in_headers(clock: Clock, world: World) -> None:
    """A key that the provider repeats in a header field, such as the address of a redirect, is not shown."""
    script(world, Act(status=302, headers={"Location": f"https://h.test/?key={KEY}&x=sk-of-a-tenant"}))

    async def scenario(router: Router) -> Any:
        mine = {"Authorization": "Bearer sk-of-a-tenant"}
        results = await ask(router, chain=["a"], retry=ONCE), await ask(router, chain=["a"], headers=mine)
        return [result.trace.attempts[0].headers["location"] for result in results]

    located = play(clock, world, scenario, providers={"sim": {"key": lambda: KEY}})

    assert located == ["https://h.test/?key=***&x=sk-of-a-tenant", "https://h.test/?key=***&x=***"]


@pytest.mark.parametrize(("usage", "total"), [
    (Usage(3, 4), 7), (Usage(10, 5, cached_tokens=8, reasoning_tokens=5), 15), (Usage(0, 0), 0),
])  # fmt: skip
def test_the_sum_of_a_usage(usage: Usage, total: int) -> None:
    """Tokens of prompt and answer; those cached, and those of reasoning, are among them."""
    assert usage.total_tokens == total
