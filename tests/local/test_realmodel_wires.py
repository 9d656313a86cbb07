"""The Anthropic and the Responses wire against a real model behind a real server: structure, never what it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import AllModelsFailed, Config, ContextTooLong, Provider, Rejected, Reply, Router, Step, local

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = "Tell me a story."
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "w", "parameters": CITY}}


@pytest.fixture(scope="module")
def server() -> Iterator[local.Server]:
    with local.serve(name="real", slots=2, key="sk-local") as running:
        yield running


@pytest.fixture(params=["anthropic", "responses"])
def config(server: local.Server, request: pytest.FixtureRequest) -> Config:
    """The server as the only provider, asked at the address of this wire."""
    key = server.provider().key
    provider = Provider(name=server.name, base_url=server.base_url, wire=request.param, key=key)
    models = {server.alias: server.model()}
    return Config(default_provider=server.name, providers={server.name: provider}, models=models)


@pytest.mark.parametrize("wire_stream", [True, False])
def test_chat_gives_an_answer_with_its_usage(config: Config, wire_stream: bool) -> None:
    """A reply has the tokens that were asked for, all of the prompt's are counted, and the limit is why it ended."""

    async def scenario() -> Reply:
        async with Router(config) as asked:
            step = Step(model="smollm2", wire_stream=wire_stream)
            return await asked.chat(PROMPT, chain=[step], max_tokens=20, temperature=0)

    reply = asyncio.run(scenario())
    assert reply.text
    assert (reply.finish_reason, reply.model, reply.served_model) == ("length", "smollm2", "smollm2")
    assert reply.usage is not None
    assert reply.usage.output_tokens == 20
    assert 10 < reply.usage.input_tokens < 30
    assert (reply.cost_usd, reply.trace.cost_estimated) == (0.0, False)
    assert (reply.trace.attempts[0].outcome, reply.trace.attempts[0].status) == ("won", 200)
    assert reply.raw["object"] == "chat.completion"


def test_a_stream_gives_its_answer_piece_by_piece(config: Config) -> None:
    """The pieces are the reply's text, and the last one has the finish reason and the usage."""

    async def scenario() -> None:
        system = {"role": "system", "content": "Be brief."}
        async with Router(config) as asked:
            messages = [system, {"role": "user", "content": PROMPT}]
            async with asked.stream(messages, model="smollm2", max_tokens=16) as stream:
                chunks = [chunk async for chunk in stream]
            assert "".join(chunk.text for chunk in chunks) == stream.reply.text
            assert 3 < len(chunks)
            assert (stream.reply.finish_reason, stream.reply.usage) == (chunks[-1].finish_reason, chunks[-1].usage)
            assert stream.reply.usage is not None

    asyncio.run(scenario())


def test_a_conversation_goes_on(config: Config) -> None:
    """The message of the first answer stands in the history of the second as it is, with the server's items."""

    async def scenario() -> Reply:
        async with Router(config) as asked:
            user = {"role": "user", "content": "Say hi."}
            first = await asked.chat([user], model="smollm2", max_tokens=16, temperature=0)
            history = [user, first.raw["choices"][0]["message"], {"role": "user", "content": "Again."}]
            return await asked.chat(history, model="smollm2", max_tokens=16, temperature=0)

    assert asyncio.run(scenario()).text


def test_a_round_of_tools(config: Config) -> None:
    """A tool is called with arguments of its schema, and call and result are understood when sent back."""

    async def scenario() -> tuple[Reply, Reply]:
        async with Router(config) as asked:
            first = await asked.chat(
                "Weather in Paris?", model="smollm2", max_tokens=24, temperature=0, tools=[WEATHER],
                tool_choice="required",
            )
            call = first.tool_calls[0]  # it never stops calling: the last one is cut
            call_message = {"role": "assistant", "tool_calls": [call]}
            result = {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"}
            messages = [{"role": "user", "content": "Weather in Paris?"}, call_message, result]
            return first, await asked.chat(messages, model="smollm2", max_tokens=16, temperature=0, tools=[WEATHER])

    first, second = asyncio.run(scenario())
    function = first.tool_calls[0]["function"]
    assert isinstance(function, dict)
    assert function["name"] == "get_weather"
    assert list(orjson.loads(function["arguments"])) == ["city"]
    assert second.text or second.tool_calls


def test_a_prompt_that_does_not_fit_is_named(config: Config) -> None:
    """A prompt that does not fit is a `ContextTooLong` on these wires, too."""

    async def scenario() -> None:
        async with Router(config) as asked:
            await asked.chat("fox " * 3000, model="smollm2")

    with pytest.raises(AllModelsFailed, match="exceeds the available context size") as raised:
        asyncio.run(scenario())
    assert [type(attempt.error) for attempt in raised.value.trace.attempts] == [ContextTooLong]


def test_what_the_api_cannot_do_is_rejected_before_it_is_sent(config: Config) -> None:
    """What only Chat Completions can do is an attempt that is rejected, unsent and free."""

    async def scenario() -> None:
        async with Router(config) as asked:
            await asked.chat(PROMPT, model="smollm2", n=2)

    with pytest.raises(AllModelsFailed) as raised:
        asyncio.run(scenario())
    [attempt] = raised.value.trace.attempts
    assert (type(attempt.error), attempt.sent, attempt.cost_usd) == (Rejected, None, 0.0)


def test_models_are_listed(config: Config) -> None:
    """The models are listed at the same address with the same key."""

    async def scenario() -> list[str]:
        async with Router(config) as asked:
            return await asked.models()

    assert asyncio.run(scenario()) == ["smollm2"]
