"""The caller's `accept`: what it is given, what its verdict does, what it may cost, raise and how long it may take."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pydantic
import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    AttemptTimeout,
    CallEnded,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    Hedge,
    NotAccepted,
    Refused,
    Reply,
    Retry,
    Router,
    Trace,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.racing import HEDGE, PRICED, chat_once, timeline
from tests.helpers.transports import KeptOpen, WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("models_say_their_names")


def says(*models: str) -> Callable[[Reply], bool]:
    """An `accept` that takes only what these models say."""
    return lambda reply: reply.model in models


# ── yes and no ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_that_is_accepted_is_the_answer(clock: Clock, world: World) -> None:
    """`accept` sees the whole reply, with model, cost and trace, and its yes makes it the answer."""
    seen: list[tuple[str, str, float | None, int]] = []
    config = {"models": PRICED}

    def accept(reply: Reply) -> bool:
        seen.append((reply.text, reply.model, reply.cost_usd, len(reply.trace.attempts)))
        return True

    reply = chat_once(clock, world, ["a", "b"], accept=accept, config=config)

    assert [("a", "a", reply.cost_usd, 1)] == seen
    assert reply.cost_usd is not None
    assert [each.outcome for each in reply.trace.attempts] == ["won"]


@pytest.mark.parametrize("hedge", [None, HEDGE])
@pytest.mark.parametrize("wire_stream", [True, False])
def test_a_reply_that_is_not_accepted_goes_on_to_the_next_model(
    clock: Clock, world: World, hedge: Hedge | None, *, wire_stream: bool
) -> None:
    """The attempt is `not_accepted`, the next one's cause is `escalate`, and it starts at once."""
    world.model("a", Act(text="a", first_token=0.5))
    config = {"defaults": {"wire_stream": wire_stream}}

    reply = chat_once(clock, world, ["a", "b"], accept=says("b"), hedge=hedge, config=config)

    assert reply.text == "b"
    assert timeline(reply.trace) == [("a", "first", "not_accepted", 0.0, 0.5), ("b", "escalate", "won", 0.5, 0.5)]
    error = reply.trace.attempts[0].error
    assert isinstance(error, NotAccepted)
    assert error.reply is not None
    assert (error.reply.text, error.model) == ("a", "a")


@pytest.mark.parametrize("verdict", [True, 1, "yes", [0]])
def test_whatever_is_true_is_a_yes(clock: Clock, world: World, verdict: object) -> None:
    """Any true value that `accept` returns accepts the reply."""
    assert chat_once(clock, world, ["a", "b"], accept=lambda _: verdict).text == "a"


@pytest.mark.parametrize("verdict", [False, 0, "", None])
def test_whatever_is_false_is_a_no(clock: Clock, world: World, verdict: object) -> None:
    """Any false value rejects the reply, `None` from a function without a `return` included."""
    with pytest.raises(AllModelsFailed):
        chat_once(clock, world, ["a"], accept=lambda _: verdict)


def test_a_no_is_not_retried_on_the_same_model(clock: Clock, world: World) -> None:
    """A reply that is not accepted is not retried on its model, however many attempts that has."""
    reply = chat_once(clock, world, ["a", "b"], accept=says("b"), retry=Retry(attempts=5))

    assert [each.model for each in reply.trace.attempts] == ["a", "b"]


def test_a_failure_after_a_no_is_followed_by_a_fallback(clock: Clock, world: World) -> None:
    """The cause of an attempt says how the attempt before it ended."""
    world.model("b", Act(status=500))

    assert [
        each.cause for each in chat_once(clock, world, ["a", "b", "c"], accept=says("c")).trace.attempts
    ] == ["first", "escalate", "fallback"]


def test_when_nothing_is_accepted_the_replies_are_in_the_error(clock: Clock, world: World) -> None:
    """When no reply is accepted the call ends in `AllModelsFailed`, whose causes carry the replies."""
    with pytest.raises(AllModelsFailed) as caught:
        chat_once(clock, world, ["a", "b", "c"], accept=lambda _: False)

    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    assert [error.reply.text for error in group.exceptions] == ["a", "b", "c"]  # type: ignore[attr-defined]
    assert "turned the reply down" in str(caught.value)


def test_a_no_says_nothing_against_the_model(clock: Clock, world: World) -> None:
    """A model whose reply was not accepted stays ready, and is tried first in the next call."""

    async def scenario() -> tuple[str, list[str]]:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("hello", chain=["a", "b"], accept=says("b"))
            standing = router.health()["a"].standing
            reply = await router.chat("hello", chain=["a", "b"])
            return standing, [each.model for each in reply.trace.attempts]

    assert clock.run(scenario()) == ("ready", ["a"])


def test_what_was_not_accepted_costs_all_the_same(clock: Clock, world: World) -> None:
    """The trace's cost includes replies that were not accepted; the reply's cost is its own."""
    for name in "ab":
        world.model(name, Act(text=name, usage={"prompt_tokens": 10, "completion_tokens": 1}))

    reply = chat_once(clock, world, ["a", "b"], accept=says("b"), config={"models": PRICED})

    assert reply.cost_usd == 20.0 / 1e6
    assert (reply.trace.cost_usd, reply.trace.cost_estimated) == (40.0 / 1e6, False)
    assert [each.cost_usd for each in reply.trace.attempts] == [20.0 / 1e6] * 2


def test_tiers_are_climbed_until_one_is_good_enough(clock: Clock, world: World) -> None:
    """With `tier` a reply that is not accepted moves on to the next tier."""
    tiers = {"budget": {"models": ["a"]}, "standard": {"models": ["b"]}, "premium": {"models": ["c"]}}

    reply = chat_once(clock, world, tier="premium", accept=says("b", "c"), config={"tiers": tiers})

    assert timeline(reply.trace) == [("a", "first", "not_accepted", 0.0, 0.0), ("b", "escalate", "won", 0.0, 0.0)]


def test_no_tier_above_the_asked_one_is_tried(clock: Clock, world: World) -> None:
    """`accept` does not lead beyond the tier that was asked for."""
    tiers = {"budget": {"models": ["a"]}, "standard": {"models": ["b"]}, "premium": {"models": ["c"]}}

    with pytest.raises(AllModelsFailed, match="All budget-appropriate models failed"):
        chat_once(clock, world, tier="standard", accept=says("c"), config={"tiers": tiers})

    assert [seen.model for seen in world.seen] == ["a", "b"]


def test_only_whole_answers_are_shown_to_accept(clock: Clock, world: World) -> None:
    """`accept` is not called for a cut stream, an empty answer or an error."""
    world.model("a", Act(tokens=9, fault="cut", at=5))
    world.model("b", Act(tokens=9, fault="no_end"))
    shown: list[str] = []

    chat_once(clock, world, ["a", "b", "c"], accept=lambda reply: shown.append(reply.model) or True)

    assert shown == ["c"]


def test_streams_cannot_be_accepted(clock: Clock, world: World) -> None:
    """`stream()` with `accept` is a `TypeError`, and nothing is sent."""
    router = Router(world.config(), transport=world.transport())

    with pytest.raises(TypeError, match="accept"):
        router.stream("hello", chain=["a"], accept=says("a"))


@pytest.mark.parametrize("accept", [True, "yes", 1])
def test_accept_must_be_a_function(clock: Clock, world: World, accept: object) -> None:
    """An `accept` that is no function is a `TypeError` that says so, and nothing is sent."""
    with pytest.raises(TypeError, match="accept: expected a function of a reply"):
        chat_once(clock, world, ["a"], accept=accept)

    assert not world.seen


# ── in the race ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_race_goes_on_while_accept_is_asked(clock: Clock, world: World) -> None:
    """The late step runs on until `accept` has said yes; after a no another one is started beside it at once."""
    world.model("a", Act(fault="hang"), Act(text="a again"))
    world.model("b", Act(text="b", first_token=0.5))

    reply = chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE, accept=says("a", "c"))

    assert reply.text == "c"
    assert timeline(reply.trace) == [
        ("a", "first", "superseded", 0.0, 1.5),
        ("b", "hedge", "not_accepted", 1.0, 1.5),
        ("c", "hedge", "won", 1.5, 1.5),
    ]


def test_a_slow_accept_is_not_late(clock: Clock, world: World) -> None:
    """Only the deadline limits `accept`: no hedge, no idle, no total, no share of a later step."""
    config = {"defaults": {"total": 2.0, "idle": 0.5, "first_token": 1.0}}

    async def accept(_: Reply) -> bool:
        await asyncio.sleep(29.0)
        return True

    reply = chat_once(clock, world, ["a", "b"], hedge=HEDGE, accept=accept, deadline=30.0, config=config)

    assert timeline(reply.trace) == [("a", "first", "won", 0.0, 29.0)]


def test_the_connection_is_free_while_accept_thinks(clock: Clock, world: World) -> None:
    """While `accept` runs no connection is held open."""
    opened: list[int] = []

    async def accept(_: Reply) -> bool:
        opened.append(world.open)
        await asyncio.sleep(5.0)
        return True

    chat_once(clock, world, ["a"], accept=accept)

    assert opened == [0]


# ── raising ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hedged", [False, True])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", [
    KeyError("mine"),
    TimeoutError("mine"),
    DeadlineExceeded("a judge's", Trace(None, 0.0)),
    Refused("a judge's"),
    ConnectionFailed("a judge's"),
    NotAccepted("a judge's"),
    asyncio.CancelledError("mine"),
    ExceptionGroup("mine", [ValueError()]),
], ids=lambda error: type(error).__name__)
def test_what_accept_raises_is_the_calls_error(
    clock: Clock, world: World, error: BaseException, *, later: bool, hedged: bool
) -> None:
    """An exception of `accept`, even one of our classes, is raised unchanged, and no other model is asked."""
    said = str(error)
    if hedged:
        world.model("a", Act(fault="hang"))

    def now(_: Reply) -> bool:
        raise error

    async def then(_: Reply) -> bool:
        await asyncio.sleep(0.25)
        raise error

    events: list[object] = []
    with pytest.raises(type(error)) as caught:
        chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE, accept=then if later else now, listeners=[events.append])

    assert caught.value is error or isinstance(error, asyncio.CancelledError)
    assert str(error) == said
    assert len(world.seen) == hedged + 1
    assert clock.now == hedged + later * 0.25
    assert sum(isinstance(event, CallEnded) for event in events) == 1
    assert sum(isinstance(event, AttemptEnded) for event in events) == hedged + 1


def test_an_exception_of_accept_does_not_count_against_the_model(clock: Clock, world: World) -> None:
    """An exception of `accept` does not count against the model, even if it is one of our classes."""

    def accept(_: Reply) -> bool:
        raise ConnectionFailed("the judge is down")

    async def scenario() -> str:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(ConnectionFailed):
                await router.chat("hello", chain=["a"], accept=accept)
            return router.health()["a"].standing

    assert clock.run(scenario()) == "ready"


def test_accept_may_ask_the_same_router(clock: Clock, world: World) -> None:
    """`accept` may call the router, and the error of that call is raised by the outer one."""
    world.model("c", Act(status=400, code="content_filter", message="content policy", first_token=0.5))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:

            async def judged(reply: Reply) -> bool:
                return "yes" in (await router.chat(f"good? {reply.text}", chain=["c"])).text

            with pytest.raises(Refused) as caught:
                await router.chat("hello", chain=["a", "b"], accept=judged)
            assert caught.value.trace is not None
            assert [each.model for each in caught.value.trace.attempts] == ["c"]
            assert caught.value.model == "c"

    clock.run(scenario())
    assert clock.now == 0.5


# ── the deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hedged", [False, True])
def test_a_slow_accept_meets_the_deadline(clock: Clock, world: World, *, hedged: bool) -> None:
    """The deadline cancels `accept` on time, ends the call with `DeadlineExceeded`, and no other model is asked."""
    if hedged:
        world.model("a", Act(fault="hang"))
    cut: list[float] = []

    async def accept(_: Reply) -> bool:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            cut.append(clock.now)
            raise
        return True

    with pytest.raises(DeadlineExceeded) as caught:
        chat_once(clock, world, ["a", "b", "c"], hedge=HEDGE, accept=accept, deadline=5.0)

    assert cut == [5.0]
    assert clock.now == 5.0
    assert len(caught.value.trace.attempts) == hedged + 1
    error = caught.value.trace.attempts[-1].error
    assert isinstance(error, AttemptTimeout)
    assert error.clock == "deadline"


def test_accept_at_the_very_deadline(clock: Clock, world: World) -> None:
    """An `accept` that returns in the instant of the deadline gives the reply or `DeadlineExceeded`, nothing else."""
    async def accept(_: Reply) -> bool:
        await asyncio.sleep(5.0)
        return True

    with suppress(DeadlineExceeded):
        assert chat_once(clock, world, ["a", "b"], accept=accept, deadline=5.0).text == "a"
    assert clock.now == 5.0


def test_an_accept_without_a_deadline_takes_its_time(clock: Clock, world: World) -> None:
    """With `deadline=None` nothing limits `accept`."""
    async def accept(_: Reply) -> bool:
        await asyncio.sleep(100_000.0)
        return True

    assert chat_once(clock, world, ["a"], accept=accept, deadline=None).text == "a"


@pytest.mark.parametrize("verdict", [True, False])
def test_an_accept_that_keeps_the_deadlines_cancel_to_itself(clock: Clock, world: World, *, verdict: bool) -> None:
    """If `accept` catches the deadline's cancellation and returns, its verdict counts; no cancellation is left over."""
    async def accept(_: Reply) -> bool:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            return verdict
        return True

    if verdict:
        assert chat_once(clock, world, ["a", "b"], accept=accept, deadline=5.0).text == "a"
    else:
        with pytest.raises(DeadlineExceeded):
            chat_once(clock, world, ["a", "b"], accept=accept, deadline=5.0)
    assert clock.now == 5.0


def test_an_accept_that_turns_the_deadlines_cancel_into_an_error(clock: Clock, world: World) -> None:
    """If `accept` turns the deadline's cancellation into an error, that is raised, and no cancellation is left over."""
    async def accept(_: Reply) -> bool:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            raise LookupError("mine") from None
        return True

    with pytest.raises(LookupError):
        chat_once(clock, world, ["a", "b"], accept=accept, deadline=5.0)


def test_a_timeout_inside_accept_is_its_own(clock: Clock, world: World) -> None:
    """A `TimeoutError` of a scope inside `accept` is raised as it is, and not taken for a timeout of ours."""
    async def accept(_: Reply) -> bool:
        async with asyncio.timeout(1.0):
            await asyncio.sleep(60.0)
        return True

    with pytest.raises(TimeoutError) as caught:
        chat_once(clock, world, ["a", "b"], accept=accept, deadline=5.0)

    assert type(caught.value) is TimeoutError
    assert clock.now == 1.0


@pytest.mark.parametrize("act", [Act(text="at once"), Act(text="in two parts", gap=0.25)])
def test_a_cancel_in_accept_is_the_callers_after_a_body_that_did_not_end(clock: Clock, world: World, act: Act) -> None:
    """The limit on draining a body after its [DONE] does not turn a later cancellation in `accept` into a timeout."""
    world.model("a", act)

    async def accept(_: Reply) -> bool:
        await asyncio.sleep(60.0)
        return True

    async def scenario() -> None:
        async with Router(world.config(), transport=WrappingTransport(world, KeptOpen)) as router:
            task = asyncio.create_task(router.chat("hello", chain=["a", "b"], hedge=HEDGE, accept=accept))
            await asyncio.sleep(2.0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert [seen.model for seen in world.seen] == ["a"]

    clock.run(scenario())
    assert clock.now == 2.0


@pytest.mark.parametrize("error", [
    ValueError("no colours"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), json.JSONDecodeError("bad", "x", 0),
])  # fmt: skip
@pytest.mark.parametrize("is_async", [False, True])
def test_a_value_error_says_no(clock: Clock, world: World, error: ValueError, is_async: bool) -> None:
    """As parsers and validators say it: the next model is tried, and the reason is on the attempt."""
    world.model("a", Act(text="x"))
    world.model("b", Act(text="y"))

    def judge(reply: Reply) -> bool:
        if reply.text == "x":
            raise error
        return True

    async def judge_later(reply: Reply) -> bool:
        await asyncio.sleep(1.0)
        return judge(reply)

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=["a", "b"], accept=judge_later if is_async else judge)

    reply = clock.run(scenario())
    [first, second] = reply.trace.attempts
    assert (reply.text, first.outcome, second.cause) == ("y", "not_accepted", "escalate")
    assert isinstance(first.error, NotAccepted)
    assert first.error.message == f"accept() raised {type(error).__name__}: {error}"


def test_a_validation_error_says_no(clock: Clock, world: World) -> None:
    """pydantic's `ValidationError` is a `ValueError`: a model's own check may be the `accept`."""
    world.model("a", Act(text='{"n": "many"}'))
    world.model("b", Act(text='{"n": 3}'))
    shape = pydantic.create_model("Shape", n=(int, ...))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=["a", "b"], accept=lambda reply: shape.model_validate_json(reply.text))

    assert clock.run(scenario()).model == "b"


def test_a_configuration_error_of_accept_ends_the_call(clock: Clock, world: World) -> None:
    """An error of ours, from a call that `accept` makes, is no verdict, though a `ConfigError` is a `ValueError`."""
    world.model("a", Act(text="x"))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:

            async def judge(reply: Reply) -> bool:
                return bool((await router.chat("ok?", tier="none")).text)

            with pytest.raises(ConfigError, match="unknown tier 'none'"):
                await router.chat("x", chain=["a", "b"], accept=judge)

    clock.run(scenario())
