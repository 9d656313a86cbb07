"""The history of a conversation: replies, messages and message objects of other libraries, and results of tools."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from asyncrouter import Message, Reply, Router, ToolCall, tool_result
from asyncrouter.sim import Act
from tests.helpers.openai_fixtures import body

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

CALL: ToolCall = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
HI = {"role": "user", "content": "hi"}


class Function(pydantic.BaseModel):
    name: str
    arguments: str


class SdkCall(pydantic.BaseModel):
    """A tool call as the vendors' SDKs have it."""

    id: str
    type: str = "function"
    function: Function


class SdkMessage(pydantic.BaseModel):
    """A message as the vendors' SDKs have it: what is not there is `None`."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[SdkCall] | None = None


class SdkChoice(pydantic.BaseModel):
    index: int = 0
    message: SdkMessage


class SdkAnswer(pydantic.BaseModel):
    """A whole answer as the vendors' SDKs have it."""

    id: str = "x"
    choices: list[SdkChoice]


class OldMessage:
    """An object whose `model_dump` takes no options."""

    def model_dump(self) -> dict[str, Any]:
        return {"role": "user", "content": "old"}


SDK_CALL = SdkCall(id="call_1", function=Function(name="weather", arguments='{"city": "Paris"}'))
ASKS: Message = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def sent(clock: Clock, world: World, *messages: Any) -> list[object]:
    """The messages that arrive."""
    world.model("a")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat(list(messages), model="a")

    clock.run(scenario())
    return list(world.seen[-1].body["messages"])


@pytest.mark.parametrize(("given", "arrives"), [
    (Reply("hello"), {"role": "assistant", "content": "hello"}), (Reply(tool_calls=(CALL,)), ASKS),
    (Reply("", tool_calls=(CALL,)).message, ASKS), (SdkMessage(content="x"), {"role": "assistant", "content": "x"}),
    (SdkMessage(tool_calls=[SDK_CALL]), ASKS), (SdkMessage(role="user", content="x"), {"role": "user", "content": "x"}),
    (SdkAnswer(choices=[SdkChoice(message=SdkMessage(content="x"))]), {"role": "assistant", "content": "x"}),
    ({"role": "assistant", "content": None, "tool_calls": [SDK_CALL]}, ASKS),
    (OldMessage(), {"role": "user", "content": "old"}),
])  # fmt: skip
def test_what_a_history_may_hold(clock: Clock, world: World, given: Any, arrives: object) -> None:
    """Dicts, replies, SDK messages, whole SDK answers, and SDK tool calls within a dict; sent as plain messages."""
    assert sent(clock, world, HI, given, HI) == [HI, arrives, HI]


@pytest.mark.parametrize(("given", "message"), [
    ("x", "messages[1]: expected a dict with a role, got str"),
    (7, "messages[1]: expected a dict with a role, got int"),
    (SdkMessage, "messages[1]: expected a dict with a role, got ModelMetaclass"),
    (SDK_CALL, 'messages[1]: expected a "role" that is text, got None'),
    (SdkAnswer(choices=[]), "messages[1]: expected a dict with a role, got SdkAnswer"),
])  # fmt: skip
def test_what_is_no_message(clock: Clock, world: World, given: Any, message: str) -> None:
    """It is refused with its place, before anything is sent."""
    with pytest.raises((TypeError, ValueError)) as caught:
        sent(clock, world, HI, given)

    assert str(caught.value) == message
    assert not world.seen


def test_the_callers_messages_are_not_changed(clock: Clock, world: World) -> None:
    """What is made of them is a copy."""
    message = {"role": "assistant", "content": None, "tool_calls": [SDK_CALL]}

    sent(clock, world, HI, message)

    assert message == {"role": "assistant", "content": None, "tool_calls": [SDK_CALL]}


@pytest.mark.parametrize("wire", ["openai", "responses", "anthropic", "gemini"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_tool_loop_over_each_wire(clock: Clock, world: World, wire: str, whole: bool) -> None:
    """`reply.message`, or the reply itself, and `tool_result()` are the whole loop, whoever answers."""
    asks = Act(text="", tool_calls=[{"name": "weather", "arguments": {"city": "Paris"}}])
    world.model("a", asks, Act(text="Sunny."))

    async def scenario() -> str:
        async with Router(world.config(wire=wire), transport=world.transport()) as router:  # type: ignore[arg-type]
            history: list[Message | Reply] = [{"role": "user", "content": "What is the weather in Paris?"}]
            tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
            while True:
                reply = await router.chat(history, model="a", tools=tools)
                history.append(reply if whole else reply.message)
                if not reply.tool_calls:
                    return reply.text
                for call in reply.tool_calls:
                    arguments = json.loads(call["function"]["arguments"])
                    history.append(tool_result(call, {"sky": "sunny", **arguments}))

    assert clock.run(scenario()) == "Sunny."
    sky = json.dumps(world.seen[1].body)
    assert (len(world.seen), "sunny" in sky, "Paris" in sky) == (2, True, True)


@pytest.mark.parametrize("role", [{}, {"role": None}, {"role": ""}])
def test_the_message_of_a_host_that_leaves_the_role_out(role: dict[str, object]) -> None:
    """It is the assistant's all the same, so that it can go back; `raw` stays as it came."""
    answer = {"choices": [{"index": 0, "message": {**role, "content": "hi"}, "finish_reason": "stop"}]}
    reply = body(answer).reply

    assert reply.message == {"role": "assistant", "content": "hi"}
    assert reply.raw["choices"][0]["message"] == {**role, "content": "hi"}


def test_the_message_of_a_streamed_reply(clock: Clock, world: World) -> None:
    """It is the same as that of `chat()`, keys of the provider's own included."""
    world.model("a", Act(text="hi", reasoning="hm"))

    async def scenario() -> tuple[Message, Message]:
        async with Router(world.config(), transport=world.transport()) as router:
            async with router.stream("x", model="a") as stream:
                async for _ in stream:
                    pass
            return stream.reply.message, (await router.chat("x", model="a")).message

    streamed, whole = clock.run(scenario())
    assert streamed == whole
    assert (whole["role"], whole["content"], "hm" in str(whole)) == ("assistant", "hi", True)


def test_the_message_of_a_pickled_reply(clock: Clock, world: World) -> None:
    """A reply keeps it through a pickle."""
    world.model("a", Act(text="hi"))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", model="a")

    reply = clock.run(scenario())
    assert pickle.loads(pickle.dumps(reply)).message == reply.message


@dataclass
class Weather:
    sky: str = "clear"


class Model(pydantic.BaseModel):
    sky: str = "clear"


@pytest.mark.parametrize(("value", "content"), [
    ("sunny", "sunny"), ("", ""), ({"sky": "clear"}, '{"sky":"clear"}'), (Weather(), '{"sky":"clear"}'),
    (Model(), '{"sky":"clear"}'), ([Weather(), 1], '[{"sky":"clear"},1]'), (None, "null"), (True, "true"), (1.5, "1.5"),
    ({1: {2, 1}}, '{"1":[1,2]}'), ({"ä": "é"}, '{"ä":"é"}'), (2**70, "1180591620717411303424"),
    (ValueError("no such city"), "ValueError: no such city"), (KeyError("x"), "KeyError: 'x'"),
])  # fmt: skip
def test_what_a_tool_may_return(value: object, content: str) -> None:
    """Text as it is, an exception as its type and message, anything else as JSON."""
    assert tool_result(CALL, value) == {"role": "tool", "tool_call_id": "call_1", "content": content}


@pytest.mark.parametrize("call", [CALL, SDK_CALL, "call_1"])
def test_whose_result_it_is(call: Any) -> None:
    """A call of a reply, a tool call of an SDK, or its id."""
    assert tool_result(call, "x")["tool_call_id"] == "call_1"


@pytest.mark.parametrize(("call", "value", "message"), [
    ({}, "x", "call: expected a tool call with an id, got dict"), (None, "x", "call: expected a tool call with an id"),
    (CALL, object(), "value: cannot be written as JSON"), (CALL, b"x", "value: cannot be written as JSON"),
])  # fmt: skip
def test_what_is_no_result(call: Any, value: object, message: str) -> None:
    """A `TypeError` that says what was expected."""
    with pytest.raises(TypeError) as caught:
        tool_result(call, value)

    assert str(caught.value).startswith(message)
