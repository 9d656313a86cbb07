"""The queue in real time, where every look at the clock is a later instant, unlike in a simulation."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import Router
from asyncrouter.sim import Act, World


@pytest.mark.parametrize("limit", [{"max_concurrent": 1}, {"rpm": 900}])
def test_those_who_wait_are_served(limit: dict[str, object]) -> None:
    """Twenty calls at once, to a model that takes one at a time or fifteen a second, are all answered by it."""
    world = World()
    world.model("m", Act(text="hi"))

    async def scene() -> list[int]:
        async with world.server() as server:
            models = {"m": {"provider": "sim", "id": "m", **limit}}
            async with Router(world.config(base_url=server.base_url, models=models)) as router:
                replies = await asyncio.gather(*(router.chat("hello", model="m", deadline=10.0) for _ in range(20)))
        return [len(reply.trace.attempts) for reply in replies]

    assert asyncio.run(scene()) == [1] * 20
