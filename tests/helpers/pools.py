"""Members of a pool without a router, and what their requests did."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from asyncrouter import Chain, Config, Pool, Provider
from asyncrouter._config.plan import resolve
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.pools.pool import PoolState

HOSTS = {name: Provider(base_url=f"http://{name}.test/v1") for name in "abcde"}


def pool_state(loop: asyncio.AbstractEventLoop, pool: Pool, seed: int = 0) -> PoolState:
    """The state of a pool at the hosts a to e, of which nothing is known yet."""
    return pool_and_policies(loop, pool, seed)[0]


def pool_and_policies(loop: asyncio.AbstractEventLoop, pool: Pool, seed: int = 0) -> tuple[PoolState, Policies]:
    """The same, with the policies that it belongs to."""
    config = Config(default_provider="a", providers=HOSTS, models={"pool": pool}, tasks={"default": Chain(["pool"])})
    [step] = resolve(config).steps
    assert step.pool is not None
    policies = Policies(loop, Random(seed), Events([]))
    return policies.pool_of(step.pool), policies


def answered(member: Member, sent_at: float, seconds: float) -> None:
    """The member answers a request that was sent then, after so many seconds."""
    member.times.end(member.times.begin(sent_at), seconds, "won")


def always(member: Member) -> bool:
    """Every member could be asked at once."""
    return True
