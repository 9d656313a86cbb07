"""What a reply and its trace tell: every field of a call that took three models, and a timeline to read."""

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
    Retry,
    Router,
    ServerFailed,
    Step,
    Trace,
    Unauthorized,
    Usage,
)
from asyncrouter.sim import Act, Clock, World

ONCE = Retry(attempts=1)
PRICES = {
    "b": {"provider": "sim", "id": "b", "usd_per_mtok": {"input": 2.0, "output": 4.0}},
    "c": {"provider": "sim", "id": "c", "usd_per_mtok": {"input": 4.0, "output": 8.0}},
}


def story(clock: Clock, world: World) -> Reply:
    """The first model fails, the second is late, the third answers. Every instant is a whole number of eighths."""
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
    """Who, why, how it ended, when what happened, what it cost."""
    reply = story(clock, world)

    failed, late, won = reply.trace.attempts
    assert isinstance(failed.error, ServerFailed)
    assert Attempt(
        number=1, model="a", provider="sim", cause="first", outcome="failed", error=failed.error, status=500,
        request_id="req-1", queued=0.0, sent=0.0, connected=0.125, first_content=None, last_content=None, ended=0.5,
        usage=None, cost_usd=0.0, cost_estimated=False,
    ) == failed
    assert late == Attempt(
        number=2, model="b", provider="sim", cause="fallback", outcome="superseded", error=None, status=200,
        request_id="req-2", queued=0.5, sent=0.5, connected=0.625, first_content=None, last_content=None, ended=2.5,
        usage=None, cost_usd=pytest.approx(3 * 2.0 / 1e6), cost_estimated=True,
    )
    assert won == Attempt(
        number=3, model="c", provider="sim", cause="hedge", outcome="won", error=None, status=200,
        request_id="req-3", queued=2.0, sent=2.0, connected=2.125, first_content=2.5, last_content=3.5, ended=3.75,
        usage=Usage(1, 3), cost_usd=pytest.approx((4.0 + 3 * 8.0) / 1e6), cost_estimated=False,
    )


def test_every_field_of_an_error(clock: Clock, world: World) -> None:
    """An attempt's error names its model, provider, status, code, request and pause."""
    world.model("a", Act(status=429, code="slow", message="too fast", retry_after=7))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", chain=["a", "a2"], retry=ONCE)

    world.model("a2", Act(status=400))
    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    error = caught.value.trace.attempts[0].error
    assert isinstance(error, RateLimited)
    assert (
        error.model, error.provider, error.status, error.code, error.message, error.request_id, error.retry_after
    ) == ("a", "sim", 429, "slow", "too fast", "req-1", 7.0)
    assert str(error) == "a: too fast (HTTP 429)"


def test_the_trace_of_the_story(clock: Clock, world: World) -> None:
    """Task, wall clock, seconds, tags, and the money of all attempts, which is partly an estimate."""
    trace = story(clock, world).trace

    assert (
        trace.task, trace.started, trace.seconds, trace.tags
    ) == ("coding", 1_767_225_600.0, 3.75, {"user": "u-1"})
    assert (trace.cost_usd, trace.cost_estimated) == (pytest.approx((6.0 + 28.0) / 1e6), True)


def test_the_reply_of_the_story(clock: Clock, world: World) -> None:
    """Its name here and there, its words, its own money."""
    reply = story(clock, world)

    assert (
        reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.model, reply.served_model,
        reply.usage,
    ) == ("the quick brown", "", (), "stop", "c", "c-2026", Usage(1, 3))
    assert reply.cost_usd == pytest.approx(28.0 / 1e6)


def test_the_timeline_of_the_story(clock: Clock, world: World) -> None:
    """`print(reply.trace)`: a line an attempt."""
    assert (
        " 1     0.000 s →    0.500 s  first     a  failed, ServerFailed: The simulated model answers 500.\n"
        " 2     0.500 s →    2.500 s  fallback  b  superseded, ≈$0.000006\n"
        " 3     2.000 s →    3.750 s  hedge     c  won, first content at 2.500 s, 1+3 tokens, $0.000028"
    ) == str(story(clock, world).trace)


def test_the_timeline_of_nothing() -> None:
    """A trace without attempts says so; one that runs has no end yet."""
    assert str(Trace(None, 0.0)) == "no attempt was made"
    running = Trace(None, 0.0, [Attempt(1, "a", "sim", "first", queued=0.0, sent=0.25)])
    assert str(running) == " 1     0.250 s →             first     a  running"


def test_started_is_the_wall_clock_and_instants_are_since_the_call_began(clock: Clock, world: World) -> None:
    """A later call starts later on the wall, and its attempts begin at 0 again."""
    world.model("a", Act(connect=0.5, first_token=1.0))

    async def scenario() -> list[Trace]:
        async with Router(world.config(), transport=world.transport(), wall=clock.wall) as router:
            return [(await router.chat("x", model="a")).trace for _ in range(2)]

    traces = clock.run(scenario())
    assert [trace.started for trace in traces] == [1_767_225_600.0, 1_767_225_601.5]
    assert [
        (attempt.sent, attempt.connected, attempt.first_content) for trace in traces for attempt in trace.attempts
    ] == [(0.0, 0.5, 1.5)] * 2
    assert [trace.seconds for trace in traces] == [1.5, 1.5]
    assert [trace.task for trace in traces] == [None, None]


def test_a_model_that_was_not_sent(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the trace with its reason, costs nothing and was never sent."""
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
    assert Attempt(1, "locked:m", "locked", "first", "not_sent", first.error, queued=0.0, ended=0.0) == first
    assert str(trace).startswith(
        " 1     0.000 s →    0.000 s  first     locked:m  not_sent, NotSent: NO_SUCH_KEY is not set\n"
    )


def test_a_call_that_failed_tells_the_same(clock: Clock, world: World) -> None:
    """`str()` of the error is its reason and the timeline; its cause is a group of every attempt's error."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(status=401, first_token=0.25))

    async def scenario() -> None:
        config = world.config(tasks={"coding": ["a", "b"]})
        async with Router(config, transport=world.transport(), wall=clock.wall) as router:
            await router.chat("x", task="coding", retry=ONCE, tags={"k": "v"})

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    error = caught.value
    assert (
        "All coding models failed: b: The simulated model answers 401. (key of sim from env:PLANTED_KEY) (HTTP 401)\n"
        " 1     0.000 s →    0.500 s  first     a  failed, ServerFailed: The simulated model answers 500.\n"
        " 2     0.500 s →    0.750 s  fallback  b  failed, Unauthorized: The simulated model answers 401. "
        "(key of sim from env:PLANTED_KEY)"
    ) == str(error)
    assert (
        error.trace.seconds, error.trace.tags, error.trace.cost_usd, error.trace.cost_estimated
    ) == (0.75, {"k": "v"}, 0.0, False)
    assert isinstance(error.__cause__, ExceptionGroup)
    assert [ServerFailed, Unauthorized] == [type(each) for each in error.__cause__.exceptions]
    assert list(error.__cause__.exceptions) == [attempt.error for attempt in error.trace.attempts]


def test_a_deadline_tells_the_same(clock: Clock, world: World) -> None:
    """The timeline of a call that came too late."""
    world.model("a", Act(first_token=9.0))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model="a", deadline=2.0)

    with pytest.raises(CallError) as caught:
        clock.run(scenario())
    assert DeadlineExceeded is type(caught.value)
    assert caught.value.message == "no whole answer within the deadline of 2 s: a: the call's deadline came first"
    assert caught.value.trace.seconds == 2.0


def test_retries_are_attempts_of_their_own(clock: Clock, world: World) -> None:
    """A second try at the same model is the next number with cause `retry`, queued when its pause was over."""
    world.model("a", Act(status=503, retry_after=1.5), Act(text="hi"))

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport()) as router:
            return (await router.chat("x", model="a")).trace

    first, second = clock.run(scenario()).attempts
    assert (first.number, first.cause, first.outcome, first.ended) == (1, "first", "failed", 0.0)
    assert (second.number, second.cause, second.outcome, second.queued) == (2, "retry", "won", 1.5)


def test_a_reply_that_was_not_accepted(clock: Clock, world: World) -> None:
    """Its attempt is `not_accepted`, the next one `escalate`; the turned down reply is kept."""
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
    """Streamed or not, `raw` is the object a Chat Completions client would have got."""
    world.model("a", Act(text="one two", reasoning="hm", served_model="a-2026", cost=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=[Step(model="a", wire_stream=stream)])

    raw = clock.run(scenario()).raw
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "one two", "reasoning_content": "hm"},
        "finish_reason": "stop",
    }
    usage = {
        "prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4, "cost": 0.5,
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert {
        "id": "sim-1", "object": "chat.completion", "created": 1_767_225_600, "model": "a-2026",
        "choices": [choice if stream else {**choice, "logprobs": None}], "usage": usage,
    } == raw


def test_raw_of_one_body_is_that_body(clock: Clock, world: World) -> None:
    """What we have no word for is still there."""
    body = {
        "id": "x", "object": "chat.completion", "model": "m", "system_fingerprint": "fp", "citations": ["u"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "annotations": [1]},
                     "finish_reason": "stop", "native_finish_reason": "STOP"}],
    }
    world.model("a", Act(body=orjson.dumps(body)))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=[Step(model="a", wire_stream=False)])

    assert body == clock.run(scenario()).raw


def test_raw_of_a_reply_made_by_hand() -> None:
    """A `Reply` without a wire behind it has an empty `raw`."""
    assert Reply("hi").raw == {}


def test_a_rejected_request_names_its_model(clock: Clock, world: World) -> None:
    """The most useful cause leads the message, with the model that gave it."""
    world.model("a", Act(status=422, message="no such parameter"))
    world.model("b", Act(fault="refuse"))

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", chain=["a", "b"], retry=ONCE)

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    assert caught.value.message == "All models failed: a: no such parameter (HTTP 422)"
    assert isinstance(caught.value.trace.attempts[0].error, Rejected)
