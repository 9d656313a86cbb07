"""A pool looks at its members when something has changed, and not at each call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Pool, RateLimited, Unauthorized
from tests.helpers.pools import pool_and_policies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.pools.pool import PoolState

THREE = ("a:x", "b:x", "c:x")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def chosen(state: PoolState, now: float) -> set[str]:
    """The members that thirty calls at this instant go to."""
    return {member.name for _ in range(30) if (member := state.choose(now)) is not None}


def rate_limited(policies: Policies, member: Member, now: float) -> None:
    error = RateLimited("slow down")
    error.retry_after = 7.0
    member.state.learn(error, now)


def unauthorized(policies: Policies, member: Member, now: float) -> None:
    member.state.learn(Unauthorized("no such key"), now)


def key_not_set(policies: Policies, member: Member, now: float) -> None:
    policies.disable_key(member.model, Unauthorized("OPENAI_KEY is not set"))


def held_elsewhere(policies: Policies, member: Member, now: float) -> None:
    policies.holds.adopt("held", (member.model.provider, "x", True), 7.0, 7.0, "elsewhere", now, of_key=True)


def key_out_elsewhere(policies: Policies, member: Member, now: float) -> None:
    policies.holds.adopt("key", member.model.provider, 60.0, 60.0, "elsewhere", now, of_key=True)


def model_breaks(policies: Policies, member: Member, now: float) -> None:
    for _ in range(3):
        member.state.breaker.failed(member.state.breaker.generation, now, "500")


def host_breaks(policies: Policies, member: Member, now: float) -> None:
    for _ in range(5):
        member.state.provider.host.failed(member.state.provider.host.generation, now, "connection refused")


@pytest.mark.parametrize("happens", [
    rate_limited, unauthorized, key_not_set, held_elsewhere, key_out_elsewhere, model_breaks, host_breaks,
])  # fmt: skip
def test_a_member_that_refuses_is_out_at_once(
    loop: asyncio.AbstractEventLoop, happens: Callable[[Policies, Member, float], None]
) -> None:
    """A hold, a key that is out or an open breaker, met here or by another process, counts for the very next call."""
    state, policies = pool_and_policies(loop, Pool(THREE))
    now = loop.time()
    assert chosen(state, now) == set(THREE)
    assert state.nothing_refuses

    happens(policies, state.members[0], now)

    assert not state.nothing_refuses
    assert chosen(state, now) == {"b:x", "c:x"}


def test_it_is_in_again_within_a_tenth_of_a_second_after_the_hold(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody says that a hold is over, so the pool looks while one is."""
    state, policies = pool_and_policies(loop, Pool(THREE))
    now = loop.time()
    rate_limited(policies, state.members[0], now)
    assert chosen(state, now) == {"b:x", "c:x"}

    chosen(state, now + 6.95)

    assert "a:x" in chosen(state, now + 7.1)
    assert state.nothing_refuses


def test_a_limit_of_tokens_that_headers_announce_counts_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """The next call to the pool says how many tokens it needs."""
    state, policies = pool_and_policies(loop, Pool(THREE))
    now = loop.time()
    chosen(state, now)
    assert not state.counts_tokens

    policies.read_limits(state.members[0].state, {
        "x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "29000", "x-ratelimit-reset-tokens": "2s",
    })
    chosen(state, now)

    assert state.counts_tokens


def test_members_are_asked_again_only_when_something_has_happened(loop: asyncio.AbstractEventLoop) -> None:
    """Of sixty calls in three seconds only the first asks what refuses the members; after a hold the next one does."""
    state, policies = pool_and_policies(loop, Pool(THREE))
    asked: list[str] = []
    refuses = policies.refusal
    state._refusal = lambda member, now: asked.append(member.name) or refuses(member.model, now)  # type: ignore[func-returns-value]

    for call in range(60):
        state.choose(call / 20)
    assert asked == list(THREE)

    rate_limited(policies, state.members[0], 3.0)
    state.choose(3.0)
    assert asked[3:6] == list(THREE)
