"""A member that has become slow is left out, tried from time to time, and comes back when it is quick again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Pool
from tests.helpers.pools import answered, pool_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._policies.pools.pool import PoolState

THREE = ("a:x", "b:x", "c:x")
WHY = "3 s to the end of an answer, 1 s at the quickest member"


@pytest.fixture
def state() -> Iterator[PoolState]:
    """A pool of three, of which each has answered twenty times within a second."""
    loop = asyncio.new_event_loop()
    state = pool_state(loop, Pool(THREE))
    for member in state.members:
        for number in range(20):
            answered(member, number / 10, 1.0)
    yield state
    loop.close()


def chosen(state: PoolState, now: float, calls: int = 12) -> set[str]:
    """The members that so many calls at this instant go to; they are given back at once."""
    members = [member for _ in range(calls) if (member := state.choose(now)) is not None]
    return {member.name for member in members}


def slow_down(state: PoolState, begin: float) -> None:
    """The first member takes three seconds from now on; forty of its calls tell."""
    for number in range(40):
        answered(state.members[0], begin + number / 10, 3.0)


def test_a_slow_member_is_left_out(state: PoolState) -> None:
    """With a median of 1.5 times the shortest a member gets no more calls, and is shown as slow."""
    assert chosen(state, 3.0) == {"a:x", "b:x", "c:x"}
    slow_down(state, 3.0)

    assert chosen(state, 10.0) == {"b:x", "c:x"}
    assert [state.why_slow(member) for member in state.members] == [WHY, "", ""]


@pytest.mark.parametrize("answers", [(32, 31, 31), (31, 33, 30), (30, 31, 40)])
def test_where_all_become_slower_at_once_nobody_is_left_out(state: PoolState, answers: tuple[int, ...]) -> None:
    """A member is compared with what is usual for the others by now: not with medians from before a change for all."""
    assert chosen(state, 3.0) == set(THREE)
    for member, count in zip(state.members, answers, strict=True):
        for number in range(count):
            answered(member, 3.0 + number / 10, 2.0)

    assert chosen(state, 10.0) == set(THREE)
    assert [state.why_slow(member) for member in state.members] == ["", "", ""]


def test_the_others_are_picked_without_a_look_at_who_is_left_out(
    state: PoolState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that is left out costs the calls nothing until it is due for a try."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    asked: list[float] = []
    monkeypatch.setattr(type(state), "is_trial", lambda self, member, now: asked.append(now))

    for now in (10.05, 12.0, 14.9, 15.0):
        chosen(state, now, calls=1)
    assert asked == [15.0]


def test_a_pool_that_nobody_calls_tells_what_is_now(state: PoolState) -> None:
    """A slow member that has answered two other chains quickly is in again, whether or not a call looks."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    slow = state.members[0]
    answered(slow, 20.0, 3.0)
    answered(slow, 30.0, 1.0)
    state.look_if_due(40.0)
    assert state.why_slow(slow) == WHY

    answered(slow, 50.0, 1.0)
    state.look_if_due(60.0)
    assert state.why_slow(slow) == ""


def test_whom_nobody_has_called_for_ten_minutes_is_slower_than_nobody(state: PoolState) -> None:
    """Answers older than that say nothing of now, so no member is left out beside them."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    state.look_if_due(590.0)
    assert state.why_slow(state.members[0]) != ""

    state.look_if_due(680.0)
    assert state.why_slow(state.members[0]) == ""


def test_a_member_that_hangs_is_left_out_before_it_answers(state: PoolState) -> None:
    """Requests under way tell: sixty that are silent after two seconds."""
    for _ in range(60):
        state.members[0].times.begin(3.0)

    assert chosen(state, 4.0) == {"a:x", "b:x", "c:x"}
    assert chosen(state, 6.0) == {"b:x", "c:x"}


def test_where_the_others_are_full_the_slow_one_serves(state: PoolState) -> None:
    """A slow answer is better than none."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    for full in state.members[1:]:
        full.state.limits.configure(replace(full.model, max_concurrent=1))
        full.slots.take(batch=False)
    member = state.choose(10.0)

    assert member is not None
    assert member.name == "a:x"


def test_it_is_tried_by_one_call_after_5_10_20_and_30_seconds(state: PoolState) -> None:
    """A try that is slow postpones the next one."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    tries = []
    for tenth in range(100, 1200):
        now = tenth / 10
        member = state.choose(now)
        assert member is not None
        if member.name == "a:x":
            tries.append(now)
            answered(member, now, 3.0)

    pauses = [round(later - earlier) for earlier, later in zip([10.0, *tries], tries, strict=False)]
    assert pauses == [5, 10, 20, 30, 30]  # and up to two looks, of 0.1 s


def test_two_quick_answers_bring_it_back_one_request_at_a_time(state: PoolState) -> None:
    """After the second quick try it is in; then slow start offers it 1, 2, 4 … requests at once."""
    slow_down(state, 3.0)
    chosen(state, 10.0)
    slow = state.members[0]
    for now in (15.0, 16.5):
        member = state.choose(now)
        assert member is slow
        answered(slow, now, 1.0)
    assert chosen(state, 18.0) == {"a:x", "b:x", "c:x"}
    assert state.why_slow(slow) == ""

    offered = []
    for _ in range(10):
        begun = 0
        while slow.is_offered_more() and begun < 1000:
            slow.slots.take(batch=False)
            begun += 1
        offered.append(begun)
        for _ in range(begun):
            slow.slots.give_back(batch=False)
        answered(slow, 19.0, 1.0)
    assert offered == [1, 2, 4, 8, 16, 32, 64, 128, 1000, 1000]


@pytest.mark.parametrize("pick", ["cheapest", "first", "weighted"])
def test_rules_that_say_whom_they_want_leave_nobody_out(pick: str) -> None:
    """Weights, an order and prices hold for slow members, too."""
    loop = asyncio.new_event_loop()
    state = pool_state(loop, Pool(THREE, pick=pick))  # type: ignore[arg-type]
    for member in state.members:
        for number in range(40):
            answered(member, number / 10, 3.0 if member.index == 0 else 1.0)

    assert "a:x" in chosen(state, 10.0)
    assert not state.is_trial(state.members[0], 60.0)  # no call to it is raced at once
    assert state.why_slow(state.members[0]) == ""
    loop.close()


def test_a_pool_of_one_leaves_nobody_out() -> None:
    """There is no other to compare it with."""
    loop = asyncio.new_event_loop()
    state = pool_state(loop, Pool(["a:x"]))
    for number in range(40):
        answered(state.members[0], number / 10, 3.0)

    assert chosen(state, 10.0) == {"a:x"}
    loop.close()
