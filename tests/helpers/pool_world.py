"""Routers to a pool of simulated models at several hosts, each host a provider of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Event, Reply
    from asyncrouter.sim import World

HOSTS = {name: {"base_url": "http://sim.test/v1"} for name in "abcd"}


def pool_router(
    world: World, *members: str, listeners: tuple[Callable[[Event], None], ...] = (), **pool: object
) -> Router:
    """A router whose model "pool" has these members; "a:m" is the simulated model "m" at the host a."""
    return router_to(world, {"pool": {"any": list(members), **pool}}, listeners=listeners)


def router_to(
    world: World, models: Mapping[str, object], *, listeners: tuple[Callable[[Event], None], ...] = (), **tables: object
) -> Router:
    """A router with these entries, and the hosts a to d as providers."""
    given = tables.pop("providers", {})
    assert isinstance(given, dict)
    config = world.config(providers={**HOSTS, **given}, models=models, **tables)
    return Router(config, transport=world.transport(), seed=1, listeners=listeners)


def members_of(reply: Reply) -> list[tuple[str | None, str, str | None]]:
    """The member, the cause and the outcome of each attempt."""
    return [(attempt.member, attempt.cause, attempt.outcome) for attempt in reply.trace.attempts]
