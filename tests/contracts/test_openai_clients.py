"""Contract: today's clients of OpenAI's API work over a chain, through the transport and through the server.

A dead model stands first in every chain: each client gets one whole answer, makes no retry of its own, and warns of
nothing (warnings are errors here).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from asyncrouter.integrations.openai import RouterTransport
from asyncrouter.sim import Act
from tests.helpers.loopback import run
from tests.helpers.planted import KEY
from tests.helpers.routers import models_asked, router_of
from tests.helpers.served import serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncrouter.sim import World

DOORS = ["transport", "server"]
CHAIN = "dead,m"
HI: Any = [{"role": "user", "content": "hi"}]
CALL = {"name": "get_weather", "arguments": '{"city": "Paris"}'}


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


TOOL: Any = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city.", "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                   "additionalProperties": False},
}}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Each of the two doors."""
    return str(request.param)


@contextlib.asynccontextmanager
async def opened(door: str, world: World, **options: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client behind a door."""
    world.model("dead", Act(status=500))
    if door == "transport":
        async with (
            router_of(world) as router, httpx2.AsyncClient(transport=RouterTransport(router)) as http,
        ):
            yield openai.AsyncOpenAI(api_key="unused", http_client=http, **options)
    else:
        async with (
            serving(world) as server,
            openai.AsyncOpenAI(api_key=KEY, base_url=server.base_url, **options) as client,
        ):
            yield client


# OpenAI's own client.


def test_a_chat(door: str, world: World) -> None:
    """One whole answer with its usage; the client has not tried again."""
    world.model("m", Act(text="one two"))

    async def scenario() -> None:
        async with opened(door, world) as client:
            raw = await client.chat.completions.with_raw_response.create(model=CHAIN, messages=HI)
        answer = raw.parse()

        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two", "stop")
        assert (answer.usage.total_tokens if answer.usage else 0) == 3
        assert (raw.retries_taken, raw.headers["x-asyncrouter-attempts"]) == (0, "3")
        assert models_asked(world) == ["dead", "dead", "m"]

    run(scenario())


def test_a_stream(door: str, world: World) -> None:
    """Chunk by chunk, with the usage at its end, and as the client's own helper assembles it."""
    world.model("m", Act(text="one two three"))

    async def scenario() -> None:
        async with opened(door, world) as client:
            options: Any = {"include_usage": True}
            stream = await client.chat.completions.create(
                model=CHAIN, messages=HI, stream=True, stream_options=options
            )
            chunks = [chunk async for chunk in stream]
            async with client.chat.completions.stream(model=CHAIN, messages=HI) as helped:
                final = await helped.get_final_completion()

        assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ["one", " two", " three", None]
        assert (chunks[-1].usage.completion_tokens if chunks[-1].usage else 0) == 3
        assert final.choices[0].message.content == "one two three"

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_tools(door: str, world: World, stream: bool) -> None:
    """The call of a tool, parsed by the client's own helpers."""
    world.model("m", Act(text="", tool_calls=(CALL,)))

    async def scenario() -> None:
        async with opened(door, world) as client:
            if stream:
                async with client.chat.completions.stream(model=CHAIN, messages=HI, tools=[TOOL]) as helped:
                    answer: Any = await helped.get_final_completion()
            else:
                answer = await client.chat.completions.create(model=CHAIN, messages=HI, tools=[TOOL])
        [call] = answer.choices[0].message.tool_calls

        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
        assert (bool(call.id), answer.choices[0].finish_reason) == (True, "tool_calls")

    run(scenario())


def test_parse(door: str, world: World) -> None:
    """A class; a model whose answer does not fit is the next one's turn."""
    world.model("misses", Act(text='{"city": "Paris"}'))
    world.model("m", Act(text='{"city": "Paris", "degrees": 18}'))

    async def scenario() -> None:
        async with opened(door, world) as client:
            answer = await client.chat.completions.parse(
                model="dead,misses,m", messages=HI, response_format=Weather
            )

        assert answer.choices[0].message.parsed == Weather(city="Paris", degrees=18)

    run(scenario())


def test_embeddings_and_models(door: str, world: World) -> None:
    """Vectors in base64, which the client asks for, and the list of models."""
    world.model("m", Act(dimensions=3))

    async def scenario() -> None:
        async with opened(door, world) as client:
            vectors = await client.embeddings.create(model="m", input=["a", "b"])
            plain = await client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
            listed = [model.id async for model in client.models.list()]

        assert [len(one.embedding) for one in vectors.data] == [3, 3]
        assert vectors.data[1].embedding == pytest.approx(plain.data[1].embedding, rel=1e-6)
        assert isinstance(listed, list)

    run(scenario())


@pytest.mark.parametrize(("act", "error", "requests"), [
    (Act(status=500), openai.InternalServerError, 2), (Act(why="context"), openai.BadRequestError, 1),
    (Act(why="policy"), openai.BadRequestError, 1), (Act(why="rate_limit", retry_after=900), openai.RateLimitError, 1),
    (Act(why="key"), openai.InternalServerError, 1),
])
def test_errors(door: str, world: World, act: Act, error: type[openai.APIStatusError], requests: int) -> None:
    """Each of its class, without a retry: the provider is asked as often as the router wants it, and no more."""
    world.model("m", act)

    async def scenario() -> None:
        async with opened(door, world) as client:
            with pytest.raises(error):
                await client.chat.completions.create(model="m", messages=HI)
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(model="task:nope", messages=HI)

        assert len(world.seen) == requests

    run(scenario())


def test_a_stream_that_breaks(door: str, world: World) -> None:
    """The client raises, instead of taking half an answer for a whole one."""
    world.model("m", Act(text="one two three", fault="cut", at=2))

    async def scenario() -> None:
        async with opened(door, world) as client:
            stream = await client.chat.completions.create(model=CHAIN, messages=HI, stream=True)
            with pytest.raises(openai.APIError, match="the stream broke"):
                async for _ in stream:
                    pass

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_cancellation(door: str, world: World, stream: bool) -> None:
    """A client that times out, or leaves its stream, leaves nothing open at the provider."""
    world.model("m", Act(text="one two", first_token=0.0 if stream else 60.0, gap=60.0))

    async def scenario() -> None:
        async with opened(door, world, max_retries=0) as client:
            if stream:
                events = await client.chat.completions.create(model="m", messages=HI, stream=True)
                await anext(aiter(events))
                await events.close()
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.chat.completions.create(model="m", messages=HI), 0.5)
            await until(lambda: not world.open)

        assert len(world.seen) == 1

    run(scenario())


def test_two_hundred_at_once(door: str, world: World) -> None:
    """All are answered, half of them streamed."""
    world.model("m", Act(text="one two", first_token=0.01))

    async def scenario() -> None:
        async with opened(door, world) as client:

            async def ask(number: int) -> str:
                if number % 2:
                    answer = await client.chat.completions.create(model="m", messages=HI)
                    return answer.choices[0].message.content or ""
                stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            texts = await asyncio.gather(*map(ask, range(200)))

        assert set(texts) == {"one two"}
        assert (len(world.seen), world.open) == (200, 0)

    run(scenario())


# What stands on it.


def test_langchain(door: str, world: World) -> None:
    """Whole, streamed, with a tool and with a structured answer."""
    langchain = pytest.importorskip("langchain_openai")
    world.model("m", Act(text='{"city": "Paris", "degrees": 18}'))
    world.model("tool", Act(text="", tool_calls=(CALL,)))

    async def scenario() -> None:
        async with opened(door, world) as client:

            def model(name: str) -> Any:
                return langchain.ChatOpenAI(
                    model=name, api_key=KEY, base_url=str(client.base_url), http_async_client=client._client
                )

            whole = await model(CHAIN).ainvoke("hi")
            parts = [chunk.content async for chunk in model(CHAIN).astream("hi")]
            called = await model("dead,tool").bind_tools([TOOL]).ainvoke("hi")
            parsed = await model(CHAIN).with_structured_output(Weather, method="json_schema").ainvoke("hi")

        assert whole.content == "".join(parts) == '{"city": "Paris", "degrees": 18}'
        assert (called.tool_calls[0]["name"], called.tool_calls[0]["args"]) == ("get_weather", {"city": "Paris"})
        assert parsed == Weather(city="Paris", degrees=18)

    run(scenario())


def test_pydantic_ai(door: str, world: World) -> None:
    """Whole, streamed, and an agent whose tool is called before it answers."""
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def play(request: Any, random: Any) -> Act:
        answered = any(message["role"] == "tool" for message in request.body["messages"])
        return Act(text="18 degrees") if answered else Act(text="", tool_calls=(CALL,))

    world.model("m", Act(text="one two"))
    world.model("agent", play)
    asked = []

    async def scenario() -> None:
        async with opened(door, world) as client:

            def agent(name: str) -> Any:
                return pydantic_ai.Agent(OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client)))

            whole = await agent(CHAIN).run("hi")
            async with agent(CHAIN).run_stream("hi") as streamed:
                text = "".join([part async for part in streamed.stream_text(delta=True)])
            with_tool = agent("dead,agent")

            @with_tool.tool_plain
            def get_weather(city: str) -> str:
                """Weather of a city."""
                asked.append(city)
                return "18"

            answered = await with_tool.run("How warm is it in Paris?")

        assert (whole.output, text, answered.output, asked) == ("one two", "one two", "18 degrees", ["Paris"])

    run(scenario())


@pytest.mark.parametrize("mode", ["JSON_SCHEMA", "TOOLS"])
def test_instructor(door: str, world: World, mode: str) -> None:
    """A class, by a schema and by a tool."""
    instructor = pytest.importorskip("instructor")
    text = '{"city": "Paris", "degrees": 18}'
    world.model("m", Act(text=text) if mode == "JSON_SCHEMA" else Act(
        text="", tool_calls=({"name": "Weather", "arguments": text},)
    ))

    async def scenario() -> None:
        async with opened(door, world) as client:
            wrapped = instructor.from_openai(client, mode=instructor.Mode[mode])
            found = await wrapped.chat.completions.create(model=CHAIN, messages=HI, response_model=Weather)

        assert found.model_dump() == {"city": "Paris", "degrees": 18}  # its class is a subclass

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_curl(world: World, stream: bool) -> None:
    """What people try first; also with a body so long that curl asks whether it may send it."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    world.model("m", Act(text="one two"))
    world.model("dead", Act(status=500))
    body = json.dumps({"model": CHAIN, "messages": [{"role": "user", "content": "x" * 2_000_000}], "stream": stream})

    async def scenario() -> None:
        async with serving(world) as server:
            process = await asyncio.create_subprocess_exec(
                curl, "--silent", "--show-error", "--fail", "--max-time", "20", f"{server.base_url}/chat/completions",
                "-H", f"Authorization: Bearer {KEY}", "--data-binary", "@-",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate(body.encode())

        assert process.returncode == 0
        if stream:
            assert out.endswith(b"data: [DONE]\n\n")
        else:
            assert json.loads(out)["choices"][0]["message"]["content"] == "one two"

    run(scenario())
