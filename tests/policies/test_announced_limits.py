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
    *(({"x-ratelimit-limit-tokens": nonsense}, AnnouncedLimits(None, None)) for nonsense in ("0", "1", "99")),
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


async def sending_times(world: World, router: Router, calls: int) -> list[float]:
    """The instants at which so many calls at once have sent their requests to model a, counted from now."""
    began, before = asyncio.get_running_loop().time(), len(world.seen)
    await asyncio.gather(*(router.chat("x", chain=["a"]) for _ in range(calls)))
    return [seen.at - began for seen in list(world.seen)[before:]]


@pytest.mark.parametrize(("rpm", "limit", "remaining"), [(60, 50, 49), (60, 60, 59), (30, 20, 19), (600, 50, 49)])
def test_a_configured_limit_is_kept_whatever_is_left(
    clock: Clock, world: World, rpm: int, limit: int, remaining: int
) -> None:
    """Where the configuration has a limit of its own, no room that a provider announces makes it burst."""
    told = {"x-ratelimit-limit-requests": f"{limit}", "x-ratelimit-remaining-requests": f"{remaining}"}
    world.model("a", Act(headers=told, first_token=1.5))

    async def scenario() -> list[float]:
        models = {"a": {"provider": "sim", "id": "a", "rpm": rpm}}
        async with Router(world.config(models=models), transport=world.transport(), seed=1) as router:
            await router.chat("x", chain=["a"])
            await asyncio.sleep(60.0)
            return await sending_times(world, router, 6)

    apart = 60.0 / (limit * 0.98)
    assert clock.run(scenario()) == pytest.approx([number * apart for number in range(6)], abs=1e-3)


@pytest.mark.parametrize("remaining", ["5", "1", "0"])
def test_who_waits_goes_as_soon_as_there_is_room(clock: Clock, world: World, remaining: str) -> None:
    """A call that waits for a limit is sent at the instant at which the provider says that it may be."""
    limit = {"x-ratelimit-limit-requests": "6", "x-ratelimit-reset-requests": "60"}
    full, room = ({**limit, "x-ratelimit-remaining-requests": left} for left in ("0", remaining))
    world.model("a", Act(headers=full, first_token=1.0), Act(headers=room, headers_after=5.0, first_token=6.0), Act())

    async def scenario() -> list[float]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            calls = [asyncio.ensure_future(router.chat("x", chain=["a"])) for _ in range(2)]
            await asyncio.sleep(2.0)
            await asyncio.gather(*calls, router.chat("x", chain=["a"]))
            return [seen.at for seen in world.seen]

    assert clock.run(scenario()) == pytest.approx([0.0, 0.0, 5.0 + 10.0 / 0.98 if remaining == "0" else 5.0], abs=1e-3)


def test_a_queue_for_a_hidden_limit_counts_the_room_that_is_announced(clock: Clock, world: World) -> None:
    """How long a queue takes is judged by the limit that it waits for, not by one that has room for all of it."""
    told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "50"}
    world.model("a", Act(headers=told), Act(status=429), Act())
    world.model("b", Act())

    async def scenario() -> tuple[list[str], list[float]]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for _ in range(2):
                await router.chat("x", chain=["a", "b"])
            await asyncio.sleep(1.0)
            began = asyncio.get_running_loop().time()
            replies = await asyncio.gather(*(router.chat("x", chain=["a", "b"]) for _ in range(10)))
            return [reply.model for reply in replies], [seen.at - began for seen in list(world.seen)[3:]]

    models, times = clock.run(scenario())

    assert models == ["a"] * 10
    assert times[:3] == pytest.approx([0.0, 0.1, 0.2], abs=0.01)
    assert times[-1] < 0.9
