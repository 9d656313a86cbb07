"""The router against a real model behind a real server: structure, timing and accounting, never what it says.

The server's facts that these tests lean on: `ignore_eos` makes an answer as long as `max_tokens`; a frozen process
(SIGSTOP) still accepts connections; `/slots` tells which slots are generating.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptStarted,
    AttemptTimeout,
    Config,
    ConnectionFailed,
    ContextTooLong,
    Hedge,
    Router,
    ServerFailed,
    Step,
    StreamInterrupted,
    local,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import Attempt, Event, Reply, Trace

PROMPT = "Tell me a story."
LONG = {"max_tokens": 400, "ignore_eos": True, "temperature": 0}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "w",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[local.Server]:
    with local.serve() as running:
        yield running


@pytest.fixture
def victim() -> Iterator[local.Server]:
    """A server of the test's own, to be frozen or killed."""
    with local.serve(name="victim", alias="victim", slots=1) as running:
        yield running


def configuration(*servers: local.Server) -> Config:
    return Config(
        default_provider=servers[0].name,
        providers={server.name: server.provider() for server in servers},
        models={server.alias: server.model() for server in servers},
    )


def tried(trace: Trace) -> list[tuple[str, str, str | None, type | None]]:
    """Cause, model, outcome and error class of each attempt."""
    return [(each.cause, each.model, each.outcome, type(each.error) if each.error else None) for each in trace.attempts]


def generating(server: local.Server) -> bool:
    with urllib.request.urlopen(server.base_url.replace("/v1", "/slots"), timeout=10) as response:
        return any(slot["is_processing"] for slot in json.load(response))


async def idle(server: local.Server, every: float = 0.02) -> None:
    """Return when the server has stopped generating.

    While it writes an answer in one piece it looks for its client once a second; being asked starts that second anew.
    """
    while await asyncio.to_thread(generating, server):  # noqa: ASYNC110  -- it has no way to tell us
        await asyncio.sleep(every)


def when_answering(model: str, then: Callable[[], None]) -> Callable[[Event], None]:
    """A listener that does something once this model's first content has come."""

    async def watch(attempt: Attempt) -> None:
        while attempt.first_content is None:  # noqa: ASYNC110  -- no event says so
            await asyncio.sleep(0.005)
        then()

    def listen(event: Event) -> None:
        if isinstance(event, AttemptStarted) and event.attempt.model == model and event.attempt.cause == "first":
            watching.append(asyncio.create_task(watch(event.attempt)))

    watching: list[asyncio.Task[None]] = []
    return listen


@contextlib.contextmanager
def frozen(server: local.Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("wire_stream", [True, False])
def test_chat_gives_an_answer_with_its_usage_and_its_trace(server: local.Server, wire_stream: bool) -> None:
    """A reply has the server's usage, a cost of 0, and a trace of one attempt whose instants are in order."""

    async def scenario() -> Reply:
        async with Router(server.config()) as router:
            step = Step(model="smollm2", wire_stream=wire_stream)
            return await router.chat(PROMPT, chain=[step], max_tokens=5, ignore_eos=True)

    reply = asyncio.run(scenario())
    assert reply.text
    assert (reply.finish_reason, reply.model, reply.served_model) == ("length", "smollm2", "smollm2")
    assert reply.usage is not None
    assert reply.usage.output_tokens == 5
    assert 10 < reply.usage.input_tokens < 30
    assert (reply.cost_usd, reply.trace.cost_usd, reply.trace.cost_estimated) == (0.0, 0.0, False)
    assert tried(reply.trace) == [("first", "smollm2", "won", None)]
    [attempt] = reply.trace.attempts
    assert attempt.status == 200
    instants = [attempt.sent, attempt.connected, attempt.first_content, attempt.last_content, attempt.ended]
    known = [instant for instant in instants if instant is not None]
    assert len(known) == 5
    assert sorted(known) == known
    assert reply.trace.seconds >= known[-1]


def test_a_stream_gives_its_answer_piece_by_piece(server: local.Server) -> None:
    """The pieces are the reply's text, and the last one has the finish reason and the usage."""

    async def scenario() -> None:
        async with Router(server.config()) as router:  # its model is the `default` task
            async with router.stream(PROMPT, max_tokens=8, ignore_eos=True) as stream:
                chunks = [chunk async for chunk in stream]
            assert "".join(chunk.text for chunk in chunks) == stream.reply.text
            assert 3 < len(chunks)
            assert chunks[-1].finish_reason == "length"
            assert stream.reply.usage == chunks[-1].usage
            assert chunks[-1].usage is not None
            assert chunks[-1].usage.output_tokens == 8

    asyncio.run(scenario())


def test_leaving_a_stream_early_stops_the_generation(server: local.Server) -> None:
    """After a stream is left early the server is idle long before its 400 tokens are written."""

    async def scenario() -> None:
        async with Router(configuration(server)) as router:
            async with router.stream(PROMPT, model="smollm2", **LONG) as stream:
                async for chunk in stream:
                    if chunk.text:
                        break
                assert await asyncio.to_thread(generating, server)
            async with asyncio.timeout(2.0):
                await idle(server)

    asyncio.run(scenario())


def test_a_prompt_too_long_for_one_model_goes_to_one_with_a_larger_window(server: local.Server) -> None:
    """A prompt too long for one model goes at once to one with a larger window. (Over 1 s: it starts a model.)"""

    async def scenario(small: local.Server) -> Reply:
        async with Router(configuration(server, small)) as router:
            return await router.chat("word " * 260, chain=["small", "smollm2"], max_tokens=2, ignore_eos=True)

    with local.serve(name="small", alias="small", slots=1, context=256) as small:
        trace = asyncio.run(scenario(small)).trace
    assert tried(trace) == [("first", "small", "failed", ContextTooLong), ("fallback", "smollm2", "won", None)]


def test_a_prompt_too_long_for_all_says_so(server: local.Server) -> None:
    """A prompt too long for all models is tried once, and the error has the server's count."""

    async def scenario() -> AllModelsFailed:
        async with Router(configuration(server)) as router:
            with pytest.raises(AllModelsFailed, match="1024 tokens") as raised:
                await router.chat("word " * 1100, model="smollm2")
            return raised.value

    assert tried(asyncio.run(scenario()).trace) == [("first", "smollm2", "failed", ContextTooLong)]


def test_a_server_killed_in_mid_answer_is_replaced(server: local.Server, victim: local.Server) -> None:
    """An answer cut by a kill gets one quick retry, then the next model gives a whole one."""

    async def scenario() -> Reply:
        kill = when_answering("victim", lambda: os.kill(victim.pid, signal.SIGKILL))
        async with Router(configuration(server, victim), listeners=[kill]) as router:
            steps = [Step(model="victim", params={**LONG, "max_tokens": 200}), "smollm2"]
            return await router.chat(PROMPT, chain=steps, max_tokens=5, ignore_eos=True)

    reply = asyncio.run(scenario())
    assert tried(reply.trace) == [
        ("first", "victim", "failed", ConnectionFailed),
        ("retry", "victim", "failed", ConnectionFailed),
        ("fallback", "smollm2", "won", None),
    ]
    assert reply.trace.attempts[0].first_content is not None
    assert reply.usage is not None
    assert reply.usage.output_tokens == 5


def test_a_stream_whose_server_is_killed_is_interrupted(server: local.Server, victim: local.Server) -> None:
    """A stream whose server is killed keeps its text as `partial`, and no other model goes on with it."""

    async def scenario() -> None:
        text = ""
        async with Router(configuration(server, victim)) as router:
            with pytest.raises(StreamInterrupted) as raised:
                async with router.stream(PROMPT, chain=["victim", "smollm2"], **LONG) as stream:
                    async for chunk in stream:
                        if not text and chunk.text:
                            os.kill(victim.pid, signal.SIGKILL)
                        text += chunk.text
            assert text
            assert raised.value.partial == text
            assert isinstance(raised.value.__cause__, ConnectionFailed)

    asyncio.run(scenario())


def test_a_killed_stream_can_begin_again_elsewhere(server: local.Server, victim: local.Server) -> None:
    """With `on_interrupt="restart"` one chunk announces the restart, and a whole answer follows."""

    async def scenario() -> None:
        text, restarts = "", 0
        async with Router(configuration(server, victim)) as router:
            steps = [Step(model="victim", params={"max_tokens": 200}), "smollm2"]
            params = {**LONG, "max_tokens": 5}
            async with router.stream(PROMPT, chain=steps, on_interrupt="restart", **params) as stream:
                async for chunk in stream:
                    if chunk.restart:
                        text, restarts = "", restarts + 1
                    elif not text and not restarts and chunk.text:
                        os.kill(victim.pid, signal.SIGKILL)
                    text += chunk.text
        assert restarts == 1
        assert stream.reply.text == text
        assert stream.reply.model == "smollm2"
        assert stream.reply.trace.attempts[-1].cause == "restart"

    asyncio.run(scenario())


def test_a_frozen_server_is_given_up_when_its_first_token_is_late(server: local.Server, victim: local.Server) -> None:
    """A server that accepts and sends nothing is given up by the first-token timeout, without a retry."""

    async def scenario() -> Reply:
        async with Router(configuration(server, victim)) as router:
            return await router.chat(PROMPT, chain=[Step(model="victim", first_token=0.3), "smollm2"], max_tokens=2)

    with frozen(victim):
        reply = asyncio.run(scenario())
    assert tried(reply.trace) == [("first", "victim", "failed", AttemptTimeout), ("fallback", "smollm2", "won", None)]
    late = reply.trace.attempts[0]
    assert isinstance(late.error, AttemptTimeout)
    assert late.error.clock == "first_token"
    assert late.sent is not None
    assert late.ended is not None
    assert 0.29 < late.ended - late.sent < 1.5


def test_a_server_that_freezes_in_mid_answer_is_given_up(server: local.Server, victim: local.Server) -> None:
    """A server that falls silent between tokens is given up by the idle timeout, and the next model answers."""

    async def scenario() -> Reply:
        freeze = when_answering("victim", lambda: os.kill(victim.pid, signal.SIGSTOP))
        async with Router(configuration(server, victim), listeners=[freeze]) as router:
            steps = [Step(model="victim", idle=0.3, params={**LONG, "max_tokens": 200}), "smollm2"]
            return await router.chat(PROMPT, chain=steps, max_tokens=2)

    reply = asyncio.run(scenario())
    assert tried(reply.trace) == [("first", "victim", "failed", AttemptTimeout), ("fallback", "smollm2", "won", None)]
    stalled = reply.trace.attempts[0].error
    assert isinstance(stalled, AttemptTimeout)
    assert stalled.clock == "idle"


def test_an_error_in_the_middle_of_a_200_is_no_answer(server: local.Server) -> None:
    """An error in the middle of a stream is no answer, and the next model is asked.

    With tools offered and none demanded this model's output never parses; with one demanded a grammar makes it.
    """

    async def scenario() -> Reply:
        async with Router(configuration(server)) as router:
            steps = [
                Step(model="smollm2", wire_stream=True, retry={"attempts": 1}),
                Step(model="smollm2", params={"tool_choice": "required"}),
            ]
            params = {"tools": [WEATHER], "tool_choice": "auto", "temperature": 0, "max_tokens": 40}
            return await router.chat("What is the weather in Paris?", chain=steps, params=params)

    reply = asyncio.run(scenario())
    assert tried(reply.trace) == [("first", "smollm2", "failed", ServerFailed), ("fallback", "smollm2", "won", None)]
    assert {call["function"]["name"] for call in reply.raw["choices"][0]["message"]["tool_calls"]} == {"get_weather"}


@pytest.mark.parametrize("hedged", ["victim", "smollm2"])
def test_the_loser_of_a_hedge_is_stopped_on_the_server(
    server: local.Server, victim: local.Server, hedged: str
) -> None:
    """The loser of a hedge, the first attempt or the second, is stopped on the server while it writes.

    On the buffered wire the end of an answer decides a race, so both lanes write until then. (Over 1 s: see `idle`.)
    """

    async def scenario() -> Reply:
        brief = Step(model="smollm2", wire_stream=False, params={"max_tokens": 30})
        endless = Step(model="victim", wire_stream=False, params={"max_tokens": 900})
        chain = [endless, brief] if hedged == "victim" else [brief, endless]
        async with Router(configuration(server, victim)) as router:
            reply = await router.chat(PROMPT, chain=chain, hedge=Hedge(after=0.05), ignore_eos=True)
            assert await asyncio.to_thread(generating, victim)
            async with asyncio.timeout(4.0):
                await idle(victim, every=1.2)
            return reply

    trace = asyncio.run(scenario()).trace
    outcomes = {"victim": "superseded", "smollm2": "won"}
    other = "smollm2" if hedged == "victim" else "victim"
    assert tried(trace) == [("first", hedged, outcomes[hedged], None), ("hedge", other, outcomes[other], None)]


def test_two_hundred_prompts_at_once_through_one_session(server: local.Server) -> None:
    """With 8 slots, 200 callers at once are each answered at the first try. (8 s: 800 tokens.)"""

    async def scenario() -> list[Reply]:
        async with Router(configuration(server)) as router:
            step = Step(model="smollm2", first_token=None)
            asking = (router.chat("Hi", chain=[step], max_tokens=4, ignore_eos=True) for _ in range(200))
            return await asyncio.gather(*asking)

    replies = asyncio.run(scenario())
    assert {reply.usage.output_tokens for reply in replies if reply.usage} == {4}
    assert {attempt for reply in replies for attempt in tried(reply.trace)} == {("first", "smollm2", "won", None)}
    assert len(replies) == 200
