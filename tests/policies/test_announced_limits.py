"""Rate limits in the headers of a response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Router
from asyncrouter._policies.announced_limits import AnnouncedLimit, AnnouncedLimits, read_limits
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


@pytest.mark.parametrize(("headers", "limits"), [
    ({"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "30000"},
     AnnouncedLimits(AnnouncedLimit(500.0), AnnouncedLimit(30_000.0))),
    ({"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49",
      "anthropic-ratelimit-requests-reset": "2026-11-29T12:00:00Z"},
     AnnouncedLimits(AnnouncedLimit(50.0, 49.0), None)),
    ({"anthropic-ratelimit-tokens-limit": "4e4"}, AnnouncedLimits(None, AnnouncedLimit(40_000.0))),
    ({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": "1m2.5s"}, AnnouncedLimits(AnnouncedLimit(60.0, 0.0, 62.5), None)),
    ({"llm_provider-x-ratelimit-limit-requests": "60"}, AnnouncedLimits(AnnouncedLimit(60.0), None)),
    *(({"x-ratelimit-limit-requests": nonsense}, AnnouncedLimits(None, None))
      for nonsense in ("many", "1e-9", "0", "-5", "nan", "inf")),
    ({"content-type": "application/json"}, AnnouncedLimits(None, None)),
])  # fmt: skip
def test_limits_are_read_from_the_headers_of_two_vendors(headers: dict[str, str], limits: AnnouncedLimits) -> None:
    """OpenAI's and Anthropic's headers announce requests and tokens a minute; nonsense announces nothing."""
    assert read_limits(headers) == limits


@pytest.mark.parametrize(("remaining", "stay"), [("49", 10), ("100", 10)])
def test_nobody_is_sent_away_from_a_model_with_room(clock: Clock, world: World, remaining: str, stay: int) -> None:
    """Ten calls at once go at once to a model whose headers say that there is room for them."""
    told = {"x-ratelimit-limit-requests": "50", "x-ratelimit-remaining-requests": remaining}
    world.model("a", Act(headers=told, first_token=1.0))
    world.model("b", Act(first_token=1.0))

    async def scenario() -> int:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            await router.chat("x", chain=["a", "b"])
            replies: list[Any] = await asyncio.gather(*(router.chat("x", chain=["a", "b"]) for _ in range(10)))
            return sum(reply.model == "a" and reply.trace.seconds < 1.001 for reply in replies)

    assert clock.run(scenario()) == stay
