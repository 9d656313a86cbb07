"""The policies of a router without a router, models to ask them about, and routers to models with limits."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from asyncrouter import Model, Router
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies

if TYPE_CHECKING:
    from asyncrouter.sim import World

A = Model(provider="p", id="a", name="a")
B = Model(provider="p", id="b", name="b")
ELSEWHERE = Model(provider="q", id="a", name="a2")
"""A model of the same id at another provider."""
ROUNDED = 1e-9
"""Seconds by which instants that were worked out in another order may differ."""


async def new_policies() -> Policies:
    """Policies on the running loop that know nothing yet."""
    return Policies(asyncio.get_running_loop(), Random(0), Events([]))


def router_with(world: World, **models: object) -> Router:
    """A router to this world whose models have these limits; one try a model."""
    entries = {name: {"provider": "sim", "id": name, **limits} for name, limits in models.items()}  # type: ignore[dict-item]
    config = world.config(models=entries, defaults={"retry": {"attempts": 1}})
    return Router(config, transport=world.transport(), seed=1)


async def sent(world: World, router: Router, calls: int, **options: object) -> list[float]:
    """The instants at which the requests of so many calls at once were sent."""
    await asyncio.gather(*(router.chat("x", chain=["a"], **options) for _ in range(calls)))  # type: ignore[arg-type]
    return [seen.at for seen in world.seen]
