"""Chats of OpenAI's API, whole and streamed: what a client sends, and every byte that it gets back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter.openai_api import EventStream, OpenAIApi
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat, events_of, read_all, respond
from tests.helpers.routers import models_asked, router_of
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def shape(schema: object) -> dict[str, object]:
    """A `response_format` as OpenAI's SDK writes it."""
    return {"type": "json_schema", "json_schema": {"name": "number", "schema": schema}}


def ours(headers: dict[str, str]) -> dict[str, str]:
    """The header fields of an answer that are about its call, without the id that differs each time."""
    return {name: value for name, value in headers.items() if name.startswith("x-") and "trace-id" not in name}


def test_a_whole_answer_is_a_chat_completion(clock: Clock, world: World) -> None:
    """It is the provider's own, with the call's summary in its header fields."""
    world.model("m", Act(text="one two", cost=0.25))
    answer, body = respond(clock, world, chat())

    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "one two"}, "logprobs": None, "finish_reason": "stop"}
    ]
    assert (body["object"], body["model"], body["usage"]["total_tokens"]) == ("chat.completion", "m", 3)
    assert answer.status == 200
    assert ours(answer.headers) == {
        "x-should-retry": "false", "x-asyncrouter-attempts": "1", "x-asyncrouter-model": "m",
        "x-asyncrouter-cost-usd": "0.25",
    }


def test_the_trace_id_is_in_the_header(clock: Clock, world: World) -> None:
    """It is the one of the call's events and log records."""
    world.model("m", Act(text="one"))
    answer, _ = respond(clock, world, chat())

    assert answer.trace is not None
    assert answer.headers["x-asyncrouter-trace-id"] == answer.trace.id


def test_a_dead_model_costs_no_answer(clock: Clock, world: World) -> None:
    """The next one of the chain answers, and the header says which and after how many attempts."""
    world.model("dead", Act(fault="refuse"))
    world.model("m", Act(text="one"))
    answer, body = respond(clock, world, chat("dead, m"))

    assert body["choices"][0]["message"]["content"] == "one"
    assert (answer.headers["x-asyncrouter-model"], answer.headers["x-asyncrouter-attempts"]) == ("m", "3")


def test_a_stream_is_events_with_the_role_first(clock: Clock, world: World) -> None:
    """Each content is one event, then comes the finish reason, then `[DONE]`; no usage unless it is asked for."""
    world.model("m", Act(reasoning="hm", text="one two"))
    answer, events = respond(clock, world, chat(stream=True))
    choices = [event["choices"][0] for event in events[:-1]]

    assert choices == [
        {"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": "one"}, "finish_reason": None},
        {"index": 0, "delta": {"content": " two"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert {(event["id"], event["object"], event["model"]) for event in events[:-1]} == {
        (f"chatcmpl-{answer.headers['x-asyncrouter-trace-id']}", "chat.completion.chunk", "m")
    }
    assert events[-1] == "[DONE]"


def test_usage_comes_in_an_event_of_its_own_when_asked_for(clock: Clock, world: World) -> None:
    """It stands before `[DONE]`, without a choice, as OpenAI sends it."""
    world.model("m", Act(text="one two"))
    _, events = respond(clock, world, chat(stream=True, stream_options={"include_usage": True}))
    last = events[-2]

    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == ([], 1, 2)


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini", "responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_from_every_wire(clock: Clock, world: World, wire: str, stream: bool) -> None:
    """Their pieces have an index, an id and a name, and their arguments together are JSON."""
    world.model("m", Act(text="", tool_calls=({"name": "f", "arguments": '{"n": 1}'},)))
    name = "m" if wire == "openai" else f"sim-{wire}:m"
    _, body = respond(clock, world, chat(name, stream=stream, tools=[TOOL]))
    if stream:
        pieces = [piece for event in body[:-1] for piece in event["choices"][0]["delta"].get("tool_calls", [])]
        assert {piece["index"] for piece in pieces} == {0}
        call: dict[str, Any] = {"function": {"name": "", "arguments": ""}}
        for piece in pieces:
            call |= {key: piece[key] for key in ("id", "type") if piece.get(key)}
            for key in ("name", "arguments"):
                call["function"][key] += piece.get("function", {}).get(key) or ""
        finish = body[-2]["choices"][0]["finish_reason"]
    else:
        [call] = body["choices"][0]["message"]["tool_calls"]
        finish = body["choices"][0]["finish_reason"]

    assert (call["type"], bool(call["id"]), finish) == ("function", True, "tool_calls")
    assert call["function"]["name"] == "f"
    assert call["function"]["arguments"].replace(" ", "") == '{"n":1}'


@pytest.mark.parametrize("wire", ["anthropic", "gemini", "responses"])
def test_every_wire_makes_a_whole_chat_completion(clock: Clock, world: World, wire: str) -> None:
    """Id, date, model, choices and usage are there, whatever the provider speaks."""
    world.model("m", Act(text="one two"))
    _, body = respond(clock, world, chat(f"sim-{wire}:m"))

    assert all(body[name] for name in ("id", "object", "created", "model", "usage"))
    assert body["choices"][0]["message"]["content"] == "one two"
    assert body["choices"][0]["finish_reason"] == "stop"


def test_what_is_not_streamed_comes_with_the_finish_reason(clock: Clock, world: World) -> None:
    """Signed thoughts are no content, but the next turn needs them."""
    world.model("m", Act(text="one", reasoning="hm"))
    _, events = respond(clock, world, chat("sim-anthropic:m", stream=True, reasoning_effort="high"))
    delta = events[-2]["choices"][0]["delta"]

    assert delta["thinking_blocks"][0]["thinking"] == "hm"
    assert delta.keys().isdisjoint({"content", "reasoning"})


def test_parameters_go_to_the_provider(clock: Clock, world: World) -> None:
    """Known and unknown ones, also those that mean something to the router, except what the translation writes."""
    world.model("m", Act(text="one"))
    respond(clock, world, chat(temperature=0.5, user="u", made_up={"a": 1}, deadline=3, task="x", hedge=1))
    sent = world.seen[0].body

    assert {name: sent[name] for name in ("temperature", "user", "made_up", "deadline", "task", "hedge")} == {
        "temperature": 0.5, "user": "u", "made_up": {"a": 1}, "deadline": 3, "task": "x", "hedge": 1,
    }


def test_header_fields_of_the_client_go_nowhere(clock: Clock, world: World) -> None:
    """Neither its key nor any other field reaches a provider."""
    world.model("m", Act(text="one"))
    respond(clock, world, chat(headers={"authorization": "Bearer of-a-client", "x-mine": "1", "cookie": "a=b"}))
    sent = {name.lower(): value for name, value in world.seen[0].headers.items()}

    assert "client" not in str(sent.get("authorization"))
    assert sent.keys().isdisjoint({"x-mine", "cookie"})


def test_the_model_may_be_a_task_or_a_tier(clock: Clock, world: World) -> None:
    """`task:NAME` is its chain with its parameters, `tier:NAME` the tiers up to it."""
    world.model("a", Act(text="one"))
    world.model("b", Act(text="two"))
    tables = {"tasks": {"t": {"models": ["b"], "params": {"temperature": 0.1}}}, "tiers": {"low": ["a"]}}
    _, of_task = respond(clock, world, chat("task:t"), **tables)
    _, of_tier = respond(clock, world, chat("tier:low"), **tables)

    assert [one["choices"][0]["message"]["content"] for one in (of_task, of_tier)] == ["two", "one"]
    assert world.seen[0].body["temperature"] == 0.1


def test_a_header_adds_a_task_and_a_deadline(clock: Clock, world: World) -> None:
    """The task's parameters stand beside the model of the request; the deadline ends the call with a 504."""
    world.model("m", Act(fault="hang"))
    headers = {"X-Asyncrouter-Task": "t", "X-Asyncrouter-Deadline": "2.5"}
    tables = {"tasks": {"t": {"models": ["m"], "params": {"seed": 7}}}}
    answer, body = respond(clock, world, chat(headers=headers), **tables)

    assert (answer.status, body["error"]["code"], clock.now) == (504, "deadline", 2.5)
    assert world.seen[0].body["seed"] == 7


def test_an_answer_that_misses_its_schema_is_the_next_models_turn(clock: Clock, world: World) -> None:
    """A schema of the client is checked as one of a caller is."""
    world.model("a", Act(text='{"n": "x"}'))
    world.model("b", Act(text='{"n": 1}'))
    _, body = respond(clock, world, chat("a,b", response_format=shape(SCHEMA)))

    assert body["choices"][0]["message"]["content"] == '{"n": 1}'
    assert models_asked(world) == ["a", "b"]


def test_a_regular_expression_of_a_client_is_never_run(clock: Clock, world: World) -> None:
    """The provider gets such a schema, but the answer is not checked here: it could take for ever."""
    evil = {"type": "object", "properties": {"s": {"type": "string", "pattern": "^(a+)+$"}}}
    world.model("m", Act(text='{"s": "' + "a" * 64 + '!"}'))
    answer, _ = respond(clock, world, chat(response_format=shape(evil)))

    assert answer.status == 200
    assert world.seen[0].body["response_format"]["json_schema"]["schema"] == evil


def test_a_stream_that_breaks_ends_with_an_error(clock: Clock, world: World) -> None:
    """The last event has the error, and there is no `[DONE]`."""
    world.model("m", Act(text=PROMPT, fault="cut", at=2))
    answer, events = respond(clock, world, chat(stream=True))

    assert (answer.status, events[-1]["error"]["code"]) == (200, "stream_interrupted")
    assert events[-1]["error"]["type"] == "server_error"
    assert "[DONE]" not in events


def test_a_stream_fails_with_a_status_before_its_first_content(clock: Clock, world: World) -> None:
    """Nothing has gone out yet, so it is an ordinary error."""
    world.model("m", Act(status=500))
    answer, body = respond(clock, world, chat(stream=True))

    assert (answer.status, body["error"]["type"]) == (502, "server_error")


def test_leaving_a_stream_ends_its_call(clock: Clock, world: World) -> None:
    """The provider's connection is closed at once, and closing again does nothing."""
    world.model("m", Act(text=PROMPT, gap=1.0))

    async def scenario() -> None:
        async with router_of(world) as router:
            answer = await OpenAIApi(router).respond(chat(stream=True))
            assert isinstance(answer.body, EventStream)
            await anext(answer.body)
            await answer.body.aclose()
            await answer.body.aclose()
            assert [part async for part in answer.body] == []
            assert (world.open, answer.body.trace.attempts[0].outcome) == (0, "cancelled")

    clock.run(scenario())

    assert clock.now == 0.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_cancelled_request_ends_its_call(clock: Clock, world: World, stream: bool) -> None:
    """The cancellation is passed on and nothing stays open, before the first content and after it."""
    world.model("m", Act(text=PROMPT, first_token=1.0, gap=1.0))

    async def scenario() -> list[int]:
        left = []
        async with router_of(world) as router:
            api = OpenAIApi(router)

            async def ask() -> bytes:
                return await read_all(await api.respond(chat(stream=stream)))

            for seconds in (0.5, 1.5):
                task = asyncio.create_task(ask())
                await asyncio.sleep(seconds)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.sleep(0)
                left.append(world.open)
        return left

    assert clock.run(scenario()) == [0, 0]


def test_a_stream_of_a_closed_router_ends_with_an_error(clock: Clock, world: World) -> None:
    """Its reader is told, instead of being left with half an answer."""
    world.model("m", Act(text=PROMPT, gap=1.0))

    async def scenario() -> bytes:
        router = router_of(world)
        answer = await OpenAIApi(router).respond(chat(stream=True))
        assert isinstance(answer.body, EventStream)
        first = await anext(answer.body)
        await router.aclose()
        return first + await read_all(answer)

    events = events_of(clock.run(scenario()))

    assert events[-1]["error"]["code"] == "stream_interrupted"
