"""When a hedge starts, and how many attempts run at once."""

from __future__ import annotations

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptTimeout,
    DeadlineExceeded,
    Hedge,
    HedgeDenied,
    Refused,
    Reply,
    Retry,
    ServerFailed,
    Step,
    Trace,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.racing import chat_once, open_router, timeline

BLOCKED = Act(status=400, code="content_filter", message="blocked by the content policy")

pytestmark = pytest.mark.usefixtures("models_say_their_names")


# ── when a hedge fires ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_late_model_is_raced_and_the_first_content_wins(clock: Clock, world: World) -> None:
    """The next model starts `after` seconds after the first was sent, and its first content decides."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(text="hi", first_token=0.5))

    reply = chat_once(clock, world, ["a", "b"], hedge=1.5)

    assert (reply.text, reply.model) == ("hi", "b")
    assert timeline(reply.trace) == [("a", "first", "superseded", 0.0, 2.0), ("b", "hedge", "won", 1.5, 2.0)]
    assert (reply.trace.seconds, clock.now) == (2.0, 2.0)


def test_the_first_model_may_still_answer_first(clock: Clock, world: World) -> None:
    """A hedge that is slower than what was left of the first model loses."""
    world.model("a", Act(text="mine", first_token=2.0))
    world.model("b", Act(first_token=9.0))

    reply = chat_once(clock, world, ["a", "b"], hedge=1.5)

    assert reply.text == "mine"
    assert timeline(reply.trace) == [("a", "first", "won", 0.0, 2.0), ("b", "hedge", "superseded", 1.5, 2.0)]
    assert clock.now == 2.0


def test_a_model_that_is_not_late_is_not_raced(clock: Clock, world: World) -> None:
    """A model with content just before `after` is not raced, however long its answer then takes."""
    world.model("a", Act(tokens=20, first_token=1.25, gap=0.5))

    reply = chat_once(clock, world, ["a", "b"], hedge=1.5)

    assert reply.trace.seconds == 1.25 + 19 * 0.5
    assert [seen.model for seen in world.seen] == ["a"]


def test_without_hedge_and_rescue_nothing_is_raced(clock: Clock, world: World) -> None:
    """Without a hedge, and with rescues off, a slow first model is waited for."""
    world.model("a", Act(first_token=20.0))

    chat_once(clock, world, ["a", "b"], hedge=None, config={"defaults": {"rescue": "off"}})

    assert [seen.model for seen in world.seen] == ["a"]
    assert clock.now == 20.0


def test_lateness_counts_from_the_sending_and_not_from_the_queue(clock: Clock, world: World) -> None:
    """A first model that is held for 0.5 s and then sent is late 1.5 s into the call, when `after` is one second."""
    world.model("a", Act(status=429, retry_after=0.5), Act(first_token=9.0))
    world.model("b", Act(first_token=0.25))

    async def scenario() -> Reply:
        async with open_router(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["a"], retry=ONCE)
            return await router.chat("hello", chain=["a", "b"], hedge=1.0)

    trace = clock.run(scenario()).trace

    assert timeline(trace) == [("a", "first", "superseded", 0.5, 1.75), ("b", "hedge", "won", 1.5, 1.75)]


@pytest.mark.parametrize(("hold", "after"), [(0.5, 0.125), (0.75, 0.5), (1.9375, 0.25)])
def test_a_model_in_the_queue_is_not_late(clock: Clock, world: World, hold: float, after: float) -> None:
    """A first model that is held is late `after` seconds after its sending, however short `after` is."""
    world.model("a", Act(status=429, retry_after=hold), Act(first_token=9.0))

    async def scenario() -> Trace:
        async with open_router(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["a"], retry=ONCE)
            return (await router.chat("hello", chain=["a", "b"], hedge=after)).trace

    first, hedge = clock.run(scenario()).attempts

    assert (first.sent, hedge.sent) == (hold, hold + after)


def test_a_fallback_in_the_queue_is_not_late(clock: Clock, world: World) -> None:
    """A fallback that is held when the failed step before it would have been late is not raced."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(status=429, retry_after=1.5), Act(first_token=0.25))
    events: list[object] = []

    async def scenario() -> Trace:
        async with open_router(world, events.append) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("hello", chain=["b"], retry=ONCE)
            events.clear()
            return (await router.chat("hello", chain=["a", "b", "c"], hedge=1.0, retry=ONCE)).trace

    trace = clock.run(scenario())

    assert timeline(trace) == [("a", "first", "failed", 0.0, 0.5), ("b", "fallback", "won", 1.5, 1.75)]
    assert not [event for event in events if isinstance(event, HedgeDenied)]


def test_lateness_counts_from_the_newest_try_of_a_model(clock: Clock, world: World) -> None:
    """A retry is a new attempt: the model is late `after` seconds after that one was sent."""
    world.model("a", Act(status=429, retry_after=0.25, first_token=0.25), Act(first_token=9.0))
    world.model("b", Act(first_token=0.5))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0, retry=Retry()).trace

    assert timeline(trace) == [
        ("a", "first", "failed", 0.0, 0.25),
        ("a", "retry", "superseded", 0.5, 2.0),
        ("b", "hedge", "won", 1.5, 2.0),
    ]


def test_a_model_is_late_in_the_pause_before_its_retry(clock: Clock, world: World) -> None:
    """A model in the pause before its retry may be raced; the pause ends when the hedge wins."""
    world.model("a", Act(status=429, retry_after=1.75, first_token=0.5))
    world.model("b", Act(first_token=0.5))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0, retry=Retry()).trace

    assert timeline(trace) == [("a", "first", "failed", 0.0, 0.5), ("b", "hedge", "won", 1.0, 1.5)]
    assert clock.now == 1.5


@pytest.mark.parametrize("after", [0.001, 0.0078125])
def test_a_very_short_delay_is_kept(clock: Clock, world: World, after: float) -> None:
    """An `after` of a millisecond is kept exactly."""
    world.model("a", Act(first_token=9.0))

    assert chat_once(clock, world, ["a", "b"], hedge=after).trace.attempts[1].sent == after


def test_time_before_the_connection_counts(clock: Clock, world: World) -> None:
    """A model that cannot be reached is late like one that is silent."""
    world.model("a", Act(fault="hang", at="connect"))
    world.model("b", Act(first_token=0.5))

    trace = chat_once(clock, world, ["a", "b"], hedge=1.0).trace

    assert timeline(trace) == [("a", "first", "superseded", 0.0, 1.5), ("b", "hedge", "won", 1.0, 1.5)]


def test_headers_comments_and_roles_do_not_make_a_model_less_late(clock: Clock, world: World) -> None:
    """Headers and SSE comments are no content: a model that sends only those is late."""
    world.model("a", Act(first_token=9.0, headers_after=0.0, comments=0.25))
    world.model("b", Act(first_token=0.5))

    assert [each.sent for each in chat_once(clock, world, ["a", "b"], hedge=1.0).trace.attempts] == [0.0, 1.0]


def test_reasoning_is_content_too(clock: Clock, world: World) -> None:
    """A model that has begun to reason is not late."""
    world.model("a", Act(reasoning="hm", text="so", first_token=0.5, gap=2.0))

    assert len(chat_once(clock, world, ["a", "b"], hedge=1.0).trace.attempts) == 1


# ── who runs at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_most_two_run_at_once(clock: Clock, world: World) -> None:
    """While two models are silent no third one is asked, whatever `after` is."""
    world.model("a", Act(fault="hang"))
    world.model("b", Act(first_token=8.0))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace) == [("a", "first", "superseded", 0.0, 9.0), ("b", "hedge", "won", 1.0, 9.0)]


def test_nothing_starts_while_the_successor_of_the_failed_one_lives(clock: Clock, world: World) -> None:
    """When the first of two fails and the second is not late yet, no third one is asked."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(first_token=0.75))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace) == [("a", "first", "failed", 0.0, 1.25), ("b", "hedge", "won", 1.0, 1.75)]


def test_the_successor_of_a_failed_one_may_be_late_itself(clock: Clock, world: World) -> None:
    """Once the first of two has failed, the second is raced `after` seconds after its own sending."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(first_token=9.0))
    world.model("c", Act(first_token=0.5))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace) == [
        ("a", "first", "failed", 0.0, 1.25),
        ("b", "hedge", "superseded", 1.0, 2.5),
        ("c", "hedge", "won", 2.0, 2.5),
    ]


def test_a_successor_that_is_late_already_is_raced_at_once(clock: Clock, world: World) -> None:
    """When the older of two fails and the newer is late already, the next model is asked at that instant."""
    world.model("a", Act(status=500, first_token=4.0))
    world.model("b", Act(fault="hang"))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace)[2] == ("c", "hedge", "won", 4.0, 4.0)


def test_when_none_is_alive_the_next_is_a_fallback(clock: Clock, world: World) -> None:
    """When both of two have failed, the third is a fallback and costs no token."""
    world.model("a", Act(status=500, first_token=1.25))
    world.model("b", Act(status=500, first_token=0.5))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace) == [
        ("a", "first", "failed", 0.0, 1.25),
        ("b", "hedge", "failed", 1.0, 1.5),
        ("c", "fallback", "won", 1.5, 1.5),
    ]


def test_when_the_newest_fails_the_next_starts_at_once(clock: Clock, world: World) -> None:
    """When the newer of two fails, the next model is the older one's hedge at once."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(status=500, first_token=0.5))
    world.model("c", Act(first_token=0.25))

    trace = chat_once(clock, world, ["a", "b", "c"], hedge=1.0).trace

    assert timeline(trace) == [
        ("a", "first", "superseded", 0.0, 1.75),
        ("b", "hedge", "failed", 1.0, 1.5),
        ("c", "hedge", "won", 1.5, 1.75),
    ]


def test_a_failure_never_wins_while_another_attempt_lives(clock: Clock, world: World) -> None:
    """When the hedges fail, the first model is waited for and may still answer."""
    world.model("a", Act(text="at last", first_token=9.0))
    world.model("b", Act(status=500))
    world.model("c", Act(status=400))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=1.0)

    assert reply.text == "at last"
    assert [each.outcome for each in reply.trace.attempts] == ["won", "failed", "failed"]


def test_a_refusal_does_not_win_over_a_living_attempt(clock: Clock, world: World) -> None:
    """A refusal ends the chain, but the attempt beside it may still answer."""
    world.model("a", Act(text="gladly", first_token=3.0))
    world.model("b", BLOCKED)

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=1.0)

    assert reply.text == "gladly"
    assert [each.model for each in reply.trace.attempts] == ["a", "b"]


def test_a_refusal_is_raised_when_the_other_has_failed_too(clock: Clock, world: World) -> None:
    """After a refusal nothing is started, and it is raised when the attempt beside it has failed."""
    world.model("a", Act(status=400, code="content_filter", message="content policy", first_token=1.25))
    world.model("b", Act(status=500, first_token=2.0))

    with pytest.raises(Refused) as caught:
        chat_once(clock, world, ["a", "b", "c"], hedge=1.0)

    assert clock.now == 3.0
    assert caught.value.trace is not None
    assert [each.model for each in caught.value.trace.attempts] == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (Act(status=500, first_token=2.0), {}),
        (Act(status=400, code="context_length_exceeded", first_token=2.0), {"on_context": "long"}),
        (Act(status=401, first_token=2.0), {}),
    ],
    ids=["another member of its pool", "a model for long prompts", "a member with another key"],
)
def test_after_a_refusal_nothing_takes_the_place_of_a_hedge_that_fails(
    clock: Clock, world: World, answer: Act, options: dict[str, object]
) -> None:
    """A hedge that fails after the first model has refused the prompt has no successor of any kind."""
    world.model("a", Act(status=400, code="content_filter", message="content policy", first_token=1.25))
    for name in ("b1", "b2"):
        world.model(name, answer)
    models = {"b": {"any": ["b1", "b2"]}}

    with pytest.raises(Refused) as caught:
        chat_once(clock, world, ["a", "b"], hedge=1.0, config={"models": models}, **options)

    assert clock.now == 3.0
    assert caught.value.trace is not None
    assert [(each.model, each.cause) for each in caught.value.trace.attempts] == [("a", "first"), ("b", "hedge")]


def test_when_all_fail_the_error_has_all_of_them(clock: Clock, world: World) -> None:
    """The error's group has the error of every attempt, in the order in which they began."""
    world.model("a", Act(status=500, first_token=2.0))
    world.model("b", Act(fault="hang"))

    with pytest.raises(AllModelsFailed) as caught:
        chat_once(clock, world, ["a", Step(model="b", first_token=3.0)], hedge=1.0)

    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert [type(error) for error in caught.value.__cause__.exceptions] == [ServerFailed, AttemptTimeout]
    assert clock.now == 4.0


def test_the_deadline_ends_both(clock: Clock, world: World) -> None:
    """The deadline ends a call with two silent models, and both attempts."""
    world.model("a", Act(fault="hang"))
    world.model("b", Act(fault="hang", at="headers"))

    with pytest.raises(DeadlineExceeded) as caught:
        chat_once(clock, world, ["a", "b"], hedge=1.0, deadline=6.0)

    # Half of the six seconds for the first of two; the second, the last, has all that is left.
    assert timeline(caught.value.trace) == [
        ("a", "first", "failed", 0.0, 3.0), ("b", "hedge", "failed", 1.0, 6.0)
    ]
    assert clock.now == 6.0


def test_the_same_model_can_be_raced(clock: Clock, world: World) -> None:
    """`same=True` sends the late model's request once more, and leaves the next model alone."""
    world.model("a", Act(fault="hang"), Act(text="again", first_token=0.5))

    reply = chat_once(clock, world, ["a", "b"], hedge=Hedge(after=1.0, same=True))

    assert reply.text == "again"
    assert timeline(reply.trace) == [("a", "first", "superseded", 0.0, 1.5), ("a", "hedge", "won", 1.0, 1.5)]


def test_a_chain_of_one_can_race_itself(clock: Clock, world: World) -> None:
    """With `same=True` a single model is hedged too."""
    world.model("a", Act(fault="hang"), Act(first_token=0.5))

    trace = chat_once(clock, world, ["a"], hedge=Hedge(after=1.0, same=True)).trace

    assert [each.outcome for each in trace.attempts] == ["superseded", "won"]


def test_a_chain_of_one_is_not_hedged_otherwise(clock: Clock, world: World) -> None:
    """A chain of one model is not hedged, and no event says so."""
    world.model("a", Act(first_token=9.0))
    events: list[object] = []

    chat_once(clock, world, ["a"], hedge=1.0, listeners=[events.append])

    assert not [event for event in events if isinstance(event, HedgeDenied)]


def test_a_failed_hedge_on_the_same_model_is_followed_by_the_next_one(clock: Clock, world: World) -> None:
    """When a hedge on the same model fails, the next model is the hedge."""
    world.model("a", Act(fault="hang"), Act(status=500, first_token=0.5))

    trace = chat_once(clock, world, ["a", "b"], hedge=Hedge(after=1.0, same=True)).trace

    assert timeline(trace) == [
        ("a", "first", "superseded", 0.0, 1.5), ("a", "hedge", "failed", 1.0, 1.5), ("b", "hedge", "won", 1.5, 1.5)
    ]


def test_a_chain_of_one_does_not_race_itself_again(clock: Clock, world: World) -> None:
    """In a chain of one a hedge that failed is not followed by another one."""
    world.model("a", Act(first_token=2.5), Act(status=500))

    trace = chat_once(clock, world, ["a"], hedge=Hedge(after=1.0, same=True)).trace

    assert timeline(trace) == [
        ("a", "first", "won", 0.0, 2.5), ("a", "hedge", "failed", 1.0, 1.0)
    ]
