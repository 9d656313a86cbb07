"""One loop for fallback and hedging: which step comes next, and what a winner that breaks leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncrouter import (
    AllModelsFailed,
    Retry,
    Router,
    Step,
    StreamInterrupted,
    Trace,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE, chat_once, hedge_tokens, timeline

FAILS = Act(status=500, first_token=0.5)

pytestmark = pytest.mark.usefixtures("models_say_their_names")


# ── one after the other ──────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_delay_it_is_a_fallback_chain(clock: Clock, world: World) -> None:
    """Each model starts at the instant at which the one before it failed."""
    world.model("a", FAILS)
    world.model("b", Act(tokens=9, first_token=0.5, gap=0.25, fault="cut", at=4))

    reply = chat_once(clock, world, ["a", "b", "c"])

    assert timeline(reply.trace) == [
        ("a", "first", "failed", 0.0, 0.5), ("b", "fallback", "failed", 0.5, 2.0), ("c", "fallback", "won", 2.0, 2.0)
    ]
    assert reply.text == "c"


def test_the_same_model_may_come_twice(clock: Clock, world: World) -> None:
    """A chain may name a model twice: each is a step of its own."""
    world.model("a", FAILS, Act(text="a again"))
    world.model("b", FAILS)

    reply = chat_once(clock, world, ["a", "b", "a"])

    assert (reply.text, [each.model for each in reply.trace.attempts]) == ("a again", ["a", "b", "a"])


# ── a winner that breaks before its commit ───────────────────────────────────────────────────────────────────────────

BREAKS = Act(tokens=40, first_token=0.5, gap=1 / 32, fault="cut", at=24)
"""Its first content comes after half a second, a usual pace confirms it 0.3 s later, and it is cut after 1.25 s."""
CONFIRMED = pytest.approx(1.8)
"""When its win is confirmed, if it is a hedge that starts after one second."""


def test_a_hedge_that_breaks_before_its_win_is_confirmed_is_followed_by_the_next(clock: Clock, world: World) -> None:
    """While a win is not confirmed the late step runs on; if the hedge breaks, another one starts at once beside it."""
    world.model("a", Act(text="a", first_token=2.75))
    world.model("b", Act(tokens=9, first_token=0.5, gap=0.25, fault="cut", at=4))
    world.model("c", Act(text="c", first_token=0.5))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert timeline(reply.trace) == [
        ("a", "first", "won", 0.0, 2.75), ("b", "hedge", "failed", 1.0, 2.5), ("c", "hedge", "superseded", 2.5, 2.75)
    ]


def test_a_hedge_that_wins_and_breaks_gives_the_cancelled_step_its_place_back(clock: Clock, world: World) -> None:
    """When a hedge's win was confirmed and it breaks, the superseded step is tried again before the models after it."""
    world.model("a", Act(fault="hang"), Act(text="a again"))
    world.model("b", BREAKS)

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert reply.text == "a again"
    assert timeline(reply.trace) == [
        ("a", "first", "superseded", 0.0, CONFIRMED), ("b", "hedge", "failed", 1.0, 2.25),
        ("a", "fallback", "won", 2.25, 2.25),
    ]


def test_a_first_model_that_wins_and_breaks_gives_the_hedge_its_place_back(clock: Clock, world: World) -> None:
    """When the first model has won and breaks, the hedge that lost is the next fallback."""
    world.model("a", replace(BREAKS, first_token=1.5))
    world.model("b", Act(fault="hang"), Act(text="b again"))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert timeline(reply.trace) == [
        ("a", "first", "failed", 0.0, 2.25), ("b", "hedge", "superseded", 1.0, CONFIRMED),
        ("b", "fallback", "won", 2.25, 2.25),
    ]


def test_several_cancelled_steps_come_in_their_old_order(clock: Clock, world: World) -> None:
    """Superseded steps come again in their old order, before those never tried; a failed one does not come again."""
    world.model("a", Act(fault="hang"), FAILS)
    world.model("b", Act(status=500, first_token=0.25))
    world.model("c", BREAKS)

    reply = chat_once(clock, world, ["a", "b", "c", "d"], hedge=HEDGE)

    assert [each[:3] for each in timeline(reply.trace)] == [
        ("a", "first", "superseded"), ("b", "hedge", "failed"), ("c", "hedge", "failed"),
        ("a", "fallback", "failed"), ("d", "fallback", "won"),
    ]


def test_a_broken_winner_is_tried_once_more_before_the_others(clock: Clock, world: World) -> None:
    """A winner that is cut gets its quick retry before the step it superseded comes again."""
    world.model("a", Act(fault="hang"))
    world.model("b", BREAKS, Act(text="b again"))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE, retry=Retry(base=0.0))

    assert timeline(reply.trace) == [
        ("a", "first", "superseded", 0.0, CONFIRMED), ("b", "hedge", "failed", 1.0, 2.25),
        ("b", "retry", "won", 2.25, 2.25),
    ]


def test_the_retry_of_a_broken_winner_is_hedged(clock: Clock, world: World) -> None:
    """The retry of a winner that broke is hedged `after` seconds after its own sending."""
    world.model("a", BREAKS, Act(fault="hang"))

    reply = chat_once(clock, world, ["a", "b"], hedge=HEDGE, retry=Retry(base=0.0))

    assert timeline(reply.trace) == [
        ("a", "first", "failed", 0.0, 1.25), ("a", "retry", "superseded", 1.25, 2.25), ("b", "hedge", "won", 2.25, 2.25)
    ]


def test_a_model_sent_in_the_instant_of_a_win_that_broke_is_hedged(clock: Clock, world: World) -> None:
    """A fallback sent in the very instant in which the model before it won and broke is hedged like any other."""
    world.model("a", Act(tokens=9, fault="cut", at=4))
    world.model("b", Act(fault="hang"))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert timeline(reply.trace) == [
        ("a", "first", "failed", 0.0, 0.0), ("b", "fallback", "superseded", 0.0, 1.0), ("c", "hedge", "won", 1.0, 1.0)
    ]


def test_a_broken_winner_and_nothing_left(clock: Clock, world: World) -> None:
    """When the winner breaks and the superseded step fails too, the error's trace has every attempt."""
    world.model("a", Act(fault="hang"), FAILS)
    world.model("b", BREAKS)

    with pytest.raises(AllModelsFailed) as caught:
        chat_once(clock, world, ["a", "b"], hedge=HEDGE)

    assert [each.outcome for each in caught.value.trace.attempts] == ["superseded", "failed", "failed"]


def test_a_hedge_may_follow_a_broken_winner(clock: Clock, world: World) -> None:
    """A superseded step that comes again may be late again, and then the next one is its hedge."""
    world.model("a", Act(fault="hang"))
    world.model("b", BREAKS)

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE)

    assert timeline(reply.trace) == [
        ("a", "first", "superseded", 0.0, CONFIRMED), ("b", "hedge", "failed", 1.0, 2.25),
        ("a", "fallback", "superseded", 2.25, 3.25), ("c", "hedge", "won", 3.25, 3.25),
    ]


# ── where content cannot be seen before the end ──────────────────────────────────────────────────────────────────────


def test_on_the_buffered_wire_the_race_is_decided_at_the_end(clock: Clock, world: World) -> None:
    """With one JSON body each, the first whole answer wins, whoever began to write first."""
    config = {"defaults": {"wire_stream": False}}
    world.model("a", Act(tokens=20, first_token=0.5, gap=0.5))
    world.model("b", Act(text="short", first_token=2.0))

    reply = chat_once(clock, world, ["a", "b"], hedge=HEDGE, config=config)

    assert reply.text == "short"
    assert timeline(reply.trace) == [("a", "first", "superseded", 0.0, 3.0), ("b", "hedge", "won", 1.0, 3.0)]
    assert not any(seen.stream for seen in world.seen)


def test_on_the_streaming_wire_it_is_decided_by_the_first_content(clock: Clock, world: World) -> None:
    """On the streaming wire a model whose content has begun in time is not raced, however long its answer takes."""
    world.model("a", Act(tokens=20, first_token=0.5, gap=0.5))
    world.model("b", Act(text="short", first_token=2.0))

    reply = chat_once(clock, world, ["a", "b"], hedge=HEDGE)

    assert timeline(reply.trace) == [("a", "first", "won", 0.0, 10.0)]
    assert all(seen.stream for seen in world.seen)


def test_one_of_two_may_be_buffered(clock: Clock, world: World) -> None:
    """A first model whose body comes whole, and late, loses against a hedge that streams at a usual pace."""
    world.model("a", Act(tokens=10, first_token=0.5, gap=0.5))
    world.model("b", Act(tokens=33, first_token=0.5, gap=1 / 32))

    reply = chat_once(clock, world, [Step(model="a", wire_stream=False), "b"], hedge=HEDGE)

    assert timeline(reply.trace) == [("a", "first", "superseded", 0.0, CONFIRMED), ("b", "hedge", "won", 1.0, 2.5)]


def test_an_invalid_body_does_not_win(clock: Clock, world: World) -> None:
    """On the buffered wire an empty answer is a failure, and the other attempt is waited for."""
    config = {"defaults": {"wire_stream": False}}
    world.model("a", Act(text="late but good", first_token=4.0))
    world.model("b", Act(text="", tokens=0, first_token=0.5))

    reply = chat_once(clock, world, ["a", "b"], hedge=HEDGE, config=config)

    assert timeline(reply.trace) == [("a", "first", "won", 0.0, 4.0), ("b", "hedge", "failed", 1.0, 1.5)]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


SHORT_BREAK = Act(tokens=9, first_token=0.5, gap=0.25, fault="cut", at=4)


def test_a_stream_that_breaks_after_its_commit_is_not_spliced(clock: Clock, world: World) -> None:
    """A hedged stream that breaks ends in `StreamInterrupted` with its text so far; the loser is not asked again."""
    world.model("a", Act(fault="hang"))
    world.model("b", SHORT_BREAK)

    async def scenario() -> tuple[str, str, Trace]:
        async with Router(world.config(), transport=world.transport()) as router:
            heard = ""
            with pytest.raises(StreamInterrupted) as caught:
                async with router.stream("hello", chain=["a", "b", "c"], hedge=HEDGE) as stream:
                    async for chunk in stream:
                        heard += chunk.text
            return heard, caught.value.partial, caught.value.trace

    heard, partial, trace = clock.run(scenario())

    assert (heard, partial) == ("the quick brown fox", "the quick brown fox")
    assert timeline(trace) == [("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "failed", 1.0, 2.5)]


def test_a_restart_is_a_race_over_the_later_steps(clock: Clock, world: World) -> None:
    """A restart is hedged from the same budget, into which a call pays once."""
    world.model("a", SHORT_BREAK)
    world.model("b", Act(fault="hang"))
    world.model("c", Act(text="c", first_token=0.5))

    async def scenario() -> tuple[list[str], Trace, float]:
        async with Router(world.config(), transport=world.transport()) as router:
            heard: list[str] = []
            for _ in range(2):
                async with router.stream(
                    "hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE, on_interrupt="restart"
                ) as stream:
                    heard = ["again" if chunk.restart else chunk.text async for chunk in stream]
            return heard, stream.trace, hedge_tokens(router)

    heard, trace, tokens = clock.run(scenario())

    assert [text for text in heard if text] == ["the", " quick", " brown", " fox", "again", "c"]
    assert timeline(trace) == [
        ("a", "first", "failed", 0.0, 1.5), ("b", "restart", "superseded", 1.5, 3.0), ("c", "hedge", "won", 2.5, 3.0)
    ]
    assert tokens == pytest.approx(10.0 - 1.0 + 0.05 - 1.0)
