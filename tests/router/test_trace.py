"""Replies and traces: every field of a call that took three models, the timeline, and `Reply.raw`."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter import (
    AllModelsFailed,
    Attempt,
    CallError,
    DeadlineExceeded,
    Hedge,
    NotSent,
    RateLimited,
    Rejected,
    Reply,
    Router,
    ServerFailed,
    Step,
    Trace,
    Unauthorized,
    Usage,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE

PRICES = {
    "b": {"provider": "sim", "id": "b", "usd_per_mtok": {"input": 2.0, "output": 4.0}},
    "c": {"provider": "sim", "id": "c", "usd_per_mtok": {"input": 4.0, "output": 8.0}},
}


def hedged_reply(clock: Clock, world: World) -> Reply:
    """The first model fails, the second is slow, the third answers. All times are multiples of 0.125 s."""
    world.model("a", Act(connect=0.125, first_token=0.375, status=500))
    world.model("b", Act(connect=0.125, first_token=9.0))
    world.model("c", Act(connect=0.125, first_token=0.375, gap=0.5, tail=0.25, tokens=3, served_model="c-2026"))

    async def scenario() -> Reply:
        config = world.config(models=PRICES, tasks={"coding": ["a", "b", "c"]})
        async with Router(config, transport=world.transport(), wall=clock.wall) as router:
            return await router.chat(
                "12345678", task="coding", hedge=Hedge(after=1.5), retry=ONCE, tags={"user": "u-1"}
            )

    return clock.run(scenario())


def test_every_field_of_three_attempts(clock: Clock, world: World) -> None:
    """Each attempt has its model, cause, outcome, times, tokens and cost."""
    reply = hedged_reply(clock, world)

    failed, late, won = reply.trace.attempts
    assert isinstance(failed.error, ServerFailed)
    assert failed == Attempt(
        number=1, model="a", provider="sim", cause="first", outcome="failed", error=failed.error, status=500,
        request_id="req-1", queued=0.0, sent=0.0, connected=0.125, first_content=None, last_content=None, ended=0.5,
        usage=None, cost_usd=0.0, cost_estimated=False, scope="request",
    )
    assert late == Attempt(
        number=2, model="b", provider="sim", cause="fallback", outcome="superseded", error=None, status=200,
        request_id="req-2", queued=0.5, sent=0.5, connected=0.625, first_content=None, last_content=None, ended=3.75,
        usage=None, cost_usd=pytest.approx(3 * 2.0 / 1e6), cost_estimated=True,
    )
    assert won == Attempt(
        number=3, model="c", provider="sim", cause="hedge", outcome="won", error=None, status=200,
        request_id="req-3", queued=2.0, sent=2.0, connected=2.125, first_content=2.5, last_content=3.5, ended=3.75,
        usage=Usage(1, 3), cost_usd=pytest.approx((4.0 + 3 * 8.0) / 1e6), cost_estimated=False,
        why="b: no content for 1.5 s; nothing known yet",
    )


def test_every_field_of_an_error(clock: Clock, world: World) -> None:
    """The error of an attempt has its model, provider, status, code, message, request id and pause."""
    world.model("a", Act(status=429, code="slow", message="too fast", retry_after=7))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", chain=["a", "a2"], retry=ONCE)

    world.model("a2", Act(status=400))
    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    error = caught.value.trace.attempts[0].error
    assert isinstance(error, RateLimited)
    assert (error.model, error.provider, error.request_id) == ("a", "sim", "req-1")
    assert (error.status, error.code, error.message, error.retry_after) == (429, "slow", "too fast", 7.0)
    assert str(error) == "a: too fast (HTTP 429)"


def test_every_field_of_a_trace(clock: Clock, world: World) -> None:
    """A trace has task, start, seconds, tags, and the cost of all attempts, which here is partly an estimate."""
    trace = hedged_reply(clock, world).trace

    assert (trace.task, trace.tags) == ("coding", {"user": "u-1"})
    assert (trace.started, trace.seconds) == (1_767_225_600.0, 3.75)
    assert (trace.cost_usd, trace.cost_estimated) == (pytest.approx((6.0 + 28.0) / 1e6), True)


def test_every_field_of_a_reply(clock: Clock, world: World) -> None:
    """A reply has its text, its model by both names, its tokens and its own cost."""
    reply = hedged_reply(clock, world)

    assert (reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason) == ("the quick brown", "", (), "stop")
    assert (reply.model, reply.served_model, reply.usage) == ("c", "c-2026", Usage(1, 3))
    assert reply.cost_usd == pytest.approx(28.0 / 1e6)


def test_a_trace_prints_as_a_timeline(clock: Clock, world: World) -> None:
    """`print(reply.trace)` shows a line for each attempt."""
    assert str(hedged_reply(clock, world).trace) == (
        " 1     0.000 s →    0.500 s  first     a  failed, ServerFailed: The simulated model answers 500.\n"
        " 2     0.500 s →    3.750 s  fallback  b  superseded, ≈$0.000006\n"
        " 3     2.000 s →    3.750 s  hedge     c  won, because b: no content for 1.5 s; nothing known yet, first"
        " content at 2.500 s, 1+3 tokens, $0.000028"
    )


def test_the_timeline_without_an_attempt_or_an_end() -> None:
    """A trace without attempts says so; the line of an attempt that runs has no end."""
    assert str(Trace(None, 0.0)) == "no attempt was made"
    running = Trace(None, 0.0, [Attempt(1, "a", "sim", "first", queued=0.0, sent=0.25)])
    assert str(running) == " 1     0.250 s →             first     a  running"


def test_started_is_the_time_of_day_and_all_other_times_are_since_then(clock: Clock, world: World) -> None:
    """A later call has a later `started`, and the times of its attempts begin at 0 again."""
    world.model("a", Act(connect=0.5, first_token=1.0))

    async def scenario() -> list[Trace]:
        async with Router(world.config(), transport=world.transport(), wall=clock.wall) as router:
            return [(await router.chat("x", model="a")).trace for _ in range(2)]

    traces = clock.run(scenario())
    assert [trace.started for trace in traces] == [1_767_225_600.0, 1_767_225_601.5]
    attempts = [attempt for trace in traces for attempt in trace.attempts]
    assert [(attempt.sent, attempt.connected, attempt.first_content) for attempt in attempts] == [(0.0, 0.5, 1.5)] * 2
    assert [trace.seconds for trace in traces] == [1.5, 1.5]
    assert [trace.task for trace in traces] == [None, None]


def test_a_model_that_was_not_sent(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an attempt with the reason, without a time of sending, which costs nothing."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    world.model("a", Act(text="hi"))
    providers = {"locked": {"base_url": "http://locked.test/v1", "key": "env:NO_SUCH_KEY"}}

    async def scenario() -> Trace:
        async with Router(world.config(providers=providers), transport=world.transport()) as router:
            return (await router.chat("x", chain=["locked:m", "a"])).trace

    trace = clock.run(scenario())
    first = trace.attempts[0]
    assert isinstance(first.error, NotSent)
    assert first.error.actionable
    assert first == Attempt(1, "locked:m", "locked", "first", "not_sent", first.error, queued=0.0, ended=0.0)
    assert str(trace).startswith(
        " 1     0.000 s →    0.000 s  first     locked:m  not_sent, NotSent: NO_SUCH_KEY is not set\n"
    )


def test_the_error_of_a_call_has_its_trace(clock: Clock, world: World) -> None:
    """`str()` of the error is its reason and the timeline; its cause is a group of the attempts' errors."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(status=401, first_token=0.25))

    async def scenario() -> None:
        config = world.config(tasks={"coding": ["a", "b"]})
        async with Router(config, transport=world.transport(), wall=clock.wall) as router:
            await router.chat("x", task="coding", retry=ONCE, tags={"k": "v"})

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    error = caught.value
    assert str(error) == (
        "All coding models failed: b: The simulated model answers 401. (key of sim from env:PLANTED_KEY) (HTTP 401)\n"
        " 1     0.000 s →    0.500 s  first     a  failed, ServerFailed: The simulated model answers 500.\n"
        " 2     0.500 s →    0.750 s  fallback  b  failed, Unauthorized: The simulated model answers 401. "
        "(key of sim from env:PLANTED_KEY)"
    )
    assert (error.trace.seconds, error.trace.tags) == (0.75, {"k": "v"})
    assert (error.trace.cost_usd, error.trace.cost_estimated) == (0.0, False)
    assert isinstance(error.__cause__, ExceptionGroup)
    assert [type(each) for each in error.__cause__.exceptions] == [ServerFailed, Unauthorized]
    assert list(error.__cause__.exceptions) == [attempt.error for attempt in error.trace.attempts]


def test_the_error_of_a_deadline_has_the_trace(clock: Clock, world: World) -> None:
    """`DeadlineExceeded` names the deadline, the attempt that ran and the seconds that passed."""
    world.model("a", Act(first_token=9.0))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model="a", deadline=2.0)

    with pytest.raises(CallError) as caught:
        clock.run(scenario())
    assert type(caught.value) is DeadlineExceeded
    assert caught.value.message == "no whole answer within the deadline of 2 s: a: the call's deadline came first"
    assert caught.value.trace.seconds == 2.0


def test_retries_are_attempts_of_their_own(clock: Clock, world: World) -> None:
    """A retry is the next number, with cause `retry`, and queued when its pause was over."""
    world.model("a", Act(status=503, retry_after=1.5), Act(text="hi"))

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport()) as router:
            return (await router.chat("x", model="a")).trace

    first, second = clock.run(scenario()).attempts
    assert (first.number, first.cause, first.outcome, first.ended) == (1, "first", "failed", 0.0)
    assert (second.number, second.cause, second.outcome, second.queued) == (2, "retry", "won", 1.5)


def test_a_reply_that_was_not_accepted(clock: Clock, world: World) -> None:
    """The outcome of its attempt is `not_accepted`, the next cause `escalate`; its error has the reply."""
    world.model("a", Act(text="no"))
    world.model("b", Act(text="yes"))

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport()) as router:
            reply = await router.chat("x", chain=["a", "b"], accept=lambda reply: reply.text == "yes")
            return reply.trace

    first, second = clock.run(scenario()).attempts
    assert (first.outcome, second.cause, second.outcome) == ("not_accepted", "escalate", "won")
    assert first.error.reply.text == "no"  # type: ignore[union-attr]


# ── raw ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [True, False])
def test_raw_is_a_chat_completion(clock: Clock, world: World, stream: bool) -> None:
    """Streamed or not, `raw` is the object that a Chat Completions client would have received."""
    world.model("a", Act(text="one two", reasoning="hm", served_model="a-2026", cost=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=[Step(model="a", wire_stream=stream)])

    reply = clock.run(scenario())
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "one two", "reasoning_content": "hm"},
        "finish_reason": "stop",
    }
    usage = {
        "prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4, "cost": 0.5,
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert reply.raw == {
        "id": "sim-1", "object": "chat.completion", "created": 1_767_225_600, "model": "a-2026",
        "choices": [choice if stream else {**choice, "logprobs": None}], "usage": usage,
    }


def test_raw_of_one_body_is_that_body(clock: Clock, world: World) -> None:
    """Fields of the body that have no place in a `Reply` are in `raw`."""
    body = {
        "id": "x", "object": "chat.completion", "model": "m", "system_fingerprint": "fp", "citations": ["u"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "annotations": [1]},
                     "finish_reason": "stop", "native_finish_reason": "STOP"}],
    }
    world.model("a", Act(body=orjson.dumps(body)))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=[Step(model="a", wire_stream=False)])

    assert clock.run(scenario()).raw == body


def test_raw_of_a_reply_made_by_hand() -> None:
    """A `Reply` that no provider sent has an empty `raw`."""
    assert Reply("hi").raw == {}


def test_a_rejected_request_names_its_model(clock: Clock, world: World) -> None:
    """The message of the call's error begins with the most useful cause and its model."""
    world.model("a", Act(status=422, message="no such parameter"))
    world.model("b", Act(fault="refuse"))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", chain=["a", "b"], retry=ONCE)

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    assert caught.value.message == "All models failed: a: no such parameter (HTTP 422)"
    assert isinstance(caught.value.trace.attempts[0].error, Rejected)
