"""Sessions stay on one member of a pool, and only those move that must."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Pool
from asyncrouter._policies.pools.affinity import REMEMBERED, Affinity
from tests.helpers.pools import always, pool_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._policies.pools.pool import PoolState

FIVE = tuple(f"{host}:x" for host in "abcde")


@pytest.fixture
def state() -> Iterator[PoolState]:
    loop = asyncio.new_event_loop()
    yield pool_state(loop, Pool(FIVE))
    loop.close()


def placed(affinity: Affinity, session: str, now: float, *, down: str = "") -> str:
    """The member that a call of the session goes to; that one is down."""
    member = affinity.place(session, now, lambda one: one.name != down)
    assert member is not None
    return member.name


def test_the_same_in_every_process(state: PoolState) -> None:
    """The order of the members is a hash of names, not of places in the list, nor Python's own."""
    order = [state.members[index].name for index in state.affinity.order("user-42")]

    assert order == ["c:x", "a:x", "e:x", "b:x", "d:x"]


def test_sessions_are_spread_over_the_members(state: PoolState) -> None:
    """Of a thousand sessions each member has a fifth, give or take chance."""
    counts = Counter(placed(state.affinity, f"s{number}", 0.0) for number in range(1000))

    assert all(150 <= counts[name] <= 250 for name in FIVE)


def test_only_the_sessions_of_a_dead_member_move(state: PoolState) -> None:
    """One member dies: its own sessions move, each of them once, and to all the others."""
    affinity = state.affinity
    before = {f"s{number}": placed(affinity, f"s{number}", 0.0) for number in range(1000)}
    after = {session: placed(affinity, session, 1.0, down="a:x") for session in before}

    assert all(after[session] == name for session, name in before.items() if name != "a:x")
    assert {after[session] for session, name in before.items() if name == "a:x"} == {"b:x", "c:x", "d:x", "e:x"}


def test_nobody_rushes_back(state: PoolState) -> None:
    """The member recovers: its sessions stay where they are warm, until they have been idle for five minutes."""
    affinity = state.affinity
    assert placed(affinity, "user-42", 0.0) == "c:x"
    assert placed(affinity, "user-42", 1.0, down="c:x") == "a:x"
    assert placed(affinity, "user-42", 100.0) == "a:x"
    assert placed(affinity, "user-42", 399.0) == "a:x"

    assert placed(affinity, "user-42", 699.0) == "c:x"


def test_an_overloaded_substitute_sends_it_home(state: PoolState) -> None:
    """More in flight than one and a half times the mean and four: the session goes to the next it prefers."""
    affinity = state.affinity
    placed(affinity, "user-42", 0.0, down="c:x")
    for index, running in enumerate((10, 2, 2, 2, 2)):
        for _ in range(running - (index == 0)):
            state.members[index].slots.take(batch=False)
    assert placed(affinity, "user-42", 1.0) == "a:x"
    state.members[0].slots.take(batch=False)

    assert placed(affinity, "user-42", 2.0) == "c:x"


def test_a_hedge_prefers_where_it_was_warm(state: PoolState) -> None:
    """The member that the session has left lately comes first, then its usual order."""
    affinity = state.affinity
    placed(affinity, "user-42", 0.0)
    placed(affinity, "user-42", 1.0, down="c:x")
    placed(affinity, "user-42", 2.0, down="a:x")

    assert [state.members[index].name for index in affinity.warm("user-42", 3.0)] == ["a:x", "c:x", "e:x", "b:x", "d:x"]
    assert next(state.members[index].name for index in affinity.warm("user-42", 900.0)) == "c:x"


def test_none_may_be_asked(state: PoolState) -> None:
    """With every member away there is no place."""
    assert state.affinity.place("user-42", 0.0, lambda member: False) is None


def test_memory_is_bounded(state: PoolState) -> None:
    """Ten thousand sessions are remembered; an older one finds its home again by its hash."""
    for number in range(REMEMBERED + 500):
        state.affinity.place(f"s{number}", 0.0, always)

    assert repr(state.affinity) == f"<Affinity {REMEMBERED} sessions>"
