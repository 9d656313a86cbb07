"""The rules of a pool: least busy, fastest, cheapest, weighted, first, and a function."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Model, Pool, PoolMember, Price
from tests.helpers.pools import answered, pool_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import MemberView
    from asyncrouter._policies.pools.pool import PoolState

THREE = ("a:x", "b:x", "c:x")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def picked(state: PoolState, calls: int, *, now: float = 0.0) -> list[str]:
    """The members that so many calls go to, each of which runs on."""
    names = []
    for _ in range(calls):
        member = state.choose(now)
        assert member is not None
        member.slots.take(batch=False)
        names.append(member.name)
    return names


@pytest.mark.parametrize("calls", [3, 30, 999])
def test_a_herd_is_spread_evenly(loop: asyncio.AbstractEventLoop, calls: int) -> None:
    """Calls at one instant see each other: each member gets a third."""
    counts = Counter(picked(pool_state(loop, Pool(THREE)), calls))

    assert dict(counts) == dict.fromkeys(THREE, calls // 3)


def test_ties_are_broken_at_random(loop: asyncio.AbstractEventLoop) -> None:
    """One call at a time, which always finds all idle, does not always go to the first."""
    state = pool_state(loop, Pool(THREE))
    counts = Counter(member.name for _ in range(300) if (member := state.choose(0.0)) is not None)

    assert all(70 <= counts[name] <= 130 for name in THREE)


def test_least_busy_goes_by_the_share_of_max_concurrent(loop: asyncio.AbstractEventLoop) -> None:
    """Where all say how many may run, a member of eight gets four times what one of two gets."""
    sizes = {"a": 8, "b": 2}
    state = pool_state(loop, Pool([Model(provider=name, id="x", max_concurrent=size) for name, size in sizes.items()]))

    assert Counter(picked(state, 5)) == {"a:x": 4, "b:x": 1}


@pytest.mark.parametrize(("weights", "windows"), [((98, 1, 1), 100), ((3, 1, 1, 2), 7), ((2, 4), 3), ((0.5, 1.5), 4)])
def test_weights_are_exact_in_every_window(
    loop: asyncio.AbstractEventLoop, weights: tuple[float, ...], windows: int
) -> None:
    """Smooth weighted round robin: any window of the sum over the common divisor holds each share exactly."""
    members = [PoolMember(f"{host}:x", weight=weight) for host, weight in zip("abcd", weights, strict=False)]
    names = picked(pool_state(loop, Pool(members, pick="weighted")), 1000)

    total = sum(weights)
    for begin in range(1000 - windows):
        counts = Counter(names[begin : begin + windows])
        assert [counts[one.model] for one in members] == [windows * weight / total for weight in weights]


def test_a_retry_does_not_step_the_weights(loop: asyncio.AbstractEventLoop) -> None:
    """Retries and hedges take whose turn it would be, and leave the turn to the next call."""
    state = pool_state(loop, Pool([PoolMember("a:x", weight=3), PoolMember("b:x")], pick="weighted"))
    again = [member.name for _ in range(9) if (member := state.choose(0.0, step=False)) is not None]

    assert again == ["a:x"] * 9
    assert picked(state, 4) == ["a:x", "a:x", "b:x", "a:x"]


def test_who_cannot_go_neither_earns_nor_pays(loop: asyncio.AbstractEventLoop) -> None:
    """While one is away the others keep their proportion, and it gets no more than its share afterwards."""
    state = pool_state(loop, Pool([PoolMember(f"{name}:x", weight=w) for name, w in zip("abc", (2, 1, 1), strict=True)],
                                  pick="weighted"))
    without_a = [member.name for _ in range(10) if (member := state.choose(0.0, without={0})) is not None]

    assert Counter(without_a) == {"b:x": 5, "c:x": 5}
    assert Counter(picked(state, 4)) == {"a:x": 2, "b:x": 1, "c:x": 1}


def test_fastest_takes_the_quickest_and_tries_the_unknown(loop: asyncio.AbstractEventLoop) -> None:
    """A member 1.4 times slower gets nothing while a quick one or an unknown one can go."""
    state = pool_state(loop, Pool(THREE, pick="fastest"))
    a, b, _ = state.members
    for number in range(20):
        answered(a, number / 10, 1.0)
        answered(b, number / 10, 1.4)

    assert Counter(picked(state, 10, now=9.0)) == {"a:x": 5, "c:x": 5}


def test_cheapest_goes_by_price(loop: asyncio.AbstractEventLoop) -> None:
    """The lowest price first, an unknown one last; where it cannot go, the next one."""
    prices = {"a": Price(input=2, output=3), "b": Price(input=1, output=2), "c": None}
    state = pool_state(loop, Pool(
        [Model(provider=name, id="x", usd_per_mtok=price) for name, price in prices.items()], pick="cheapest"
    ))
    dearer = state.choose(0.0, without={1})
    last = state.choose(0.0, without={0, 1})

    assert picked(state, 3) == ["b:x"] * 3
    assert dearer is not None
    assert last is not None
    assert (dearer.name, last.name) == ("a:x", "c:x")


def test_first_keeps_the_order(loop: asyncio.AbstractEventLoop) -> None:
    """The first that can go at once."""
    state = pool_state(loop, Pool(THREE, pick="first"))
    second = state.choose(0.0, without={0})

    assert picked(state, 3) == ["a:x"] * 3
    assert second is not None
    assert second.name == "b:x"


def test_none_could_go(loop: asyncio.AbstractEventLoop) -> None:
    """Where every member would make the call wait, none is chosen."""
    state = pool_state(loop, Pool(THREE, max_concurrent=1))

    assert Counter(picked(state, 3)) == dict.fromkeys(THREE, 1)
    assert state.choose(0.0) is None


@pytest.mark.parametrize("pick", [
    lambda members: members[-1], lambda members: members[-1].name, lambda members: [members[2], members[0]],
    lambda members: max(members, key=lambda one: one.provider),
])  # fmt: skip
def test_a_function_returns_a_member_or_its_name(
    loop: asyncio.AbstractEventLoop, pick: Callable[[list[MemberView]], object]
) -> None:
    """It sees what is known of the members, and returns one, its name, or several in the order of its preference."""
    assert picked(pool_state(loop, Pool(THREE, pick=pick)), 3) == ["c:x"] * 3


def test_a_function_that_fails_is_no_failure(loop: asyncio.AbstractEventLoop) -> None:
    """What raises, or returns no member, costs no call: the least busy one is taken."""
    def fails(members: list[MemberView]) -> object:
        raise KeyError("no")

    assert Counter(picked(pool_state(loop, Pool(THREE, pick=fails)), 9)) == dict.fromkeys(THREE, 3)
    assert Counter(picked(pool_state(loop, Pool(THREE, pick=lambda members: None)), 9)) == dict.fromkeys(THREE, 3)
