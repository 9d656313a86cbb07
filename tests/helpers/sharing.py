"""Callers that keep several routers busy which share their limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Router
    from asyncrouter.sim import Clock


async def saturate(clock: Clock, all_of_them: list[Router], callers: int, seconds: float) -> None:
    """So many callers of each router, who ask one call after the other until the clock says so."""

    async def caller(router: Router) -> None:
        while clock.now < seconds:
            await router.chat("x")

    async with asyncio.TaskGroup() as group:
        for router in all_of_them:
            for _ in range(callers):
                group.create_task(caller(router))
    for router in all_of_them:
        await router.aclose()
