"""A user's code, as a type checker sees it. It is checked by mypy and never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from asyncrouter import (
    AllModelsFailed,
    Attempt,
    Chain,
    Chunk,
    Config,
    Embeddings,
    Event,
    Hedge,
    Message,
    Model,
    Provider,
    Reply,
    Retry,
    Router,
    Step,
    ToolCall,
    Trace,
    Usage,
    tool_result,
)


async def ask() -> None:
    async with Router() as router:
        reply = await router.chat("hi", task="coding", temperature=0.2, tools=[{"type": "function"}])
        assert_type(reply, Reply)
        assert_type(reply.text, str)
        assert_type(reply.usage, Usage | None)
        assert_type(reply.cost_usd, float | None)
        assert_type(reply.trace, Trace)
        assert all(call["function"]["name"] for call in reply.tool_calls)
        vectors = await router.embed(["a", [1, 2]], model="e", dimensions=3)
        assert_type(vectors, Embeddings)
        assert_type(vectors[0], list[float])
        assert_type(vectors[:2], list[list[float]])
        assert_type(vectors.usage, Usage | None)
        await router.embed(text for text in ("a", "b"))
        plain = [{"role": "user", "content": "hi"}]
        await router.chat(plain)
        assert_type(reply.trace.attempts[0], Attempt)
        await router.chat([{"role": "user", "content": "hi"}], tier="standard", deadline=None, hedge=None)
        await router.chat("hi", chain=["a", Step(model="b", total=20)], hedge=Hedge(after=1.5), retry=Retry(attempts=1))
        await router.chat("hi", chain=["a", Step("b", total=20)], hedge=Hedge(1.5), retry=Retry(1), system="Be brief.")
        await router.chat("hi", chain=["a", "b"], hedge="p99", retry=3, headers={"openai": {"Authorization": "x"}})
        await router.chat("hi", model="openai:gpt-x", hedge=1.5, params={"model_kwargs": {}}, headers={"x-a": "b"})
        await router.chat("hi", chain=["a", "b"], hedge="p95")
        await router.chat("hi", accept=lambda reply: bool(reply.text))
        await router.chat("hi", accept=valid, tags={"tenant": "a"}, priority="batch")
        assert_type(await router.models(), list[str])


async def valid(reply: Reply) -> bool:
    return bool(reply.text)


async def read(router: Router) -> None:
    async with router.stream("hi", on_interrupt="restart") as stream:
        async for chunk in stream:
            assert_type(chunk, Chunk)
            assert_type(chunk.text, str)
    assert_type(stream.reply, Reply)


async def fail(router: Router) -> None:
    try:
        await router.chat("hi")
    except AllModelsFailed as error:
        assert_type(error.trace, Trace)


def listen(event: Event) -> None: ...


def configure() -> Router:
    config = Config(
        providers={"local": Provider(base_url="http://127.0.0.1:8080/v1", key="env:LOCAL_KEY")},
        models={"small": Model(provider="local", id="smollm2")},
        tasks={"default": Chain(["small", Step(model="small", total=20.0)], hedge=Hedge(after="p95"), deadline=60.0)},
    )
    return Router(config, listeners=[listen], seed=1)


async def with_defaults(router: Router) -> None:
    quick = router.with_options(task="fast", deadline=5, temperature=0.2)
    assert_type(quick, Router)
    reply = await quick.chat("hi", connect=1.0, first_token=None, on_refusal="next", on_context="big")
    assert_type(reply.trace.attempts[0].headers, Mapping[str, str])
    if reply.usage is not None:
        assert_type(reply.usage.total_tokens, int)


async def use_tools(router: Router) -> None:
    history: list[Message] = [{"role": "user", "content": "What is the weather in Paris?"}]
    reply = await router.chat(history, tools=[{"type": "function", "function": {"name": "weather"}}])
    history.append(reply.message)
    for call in reply.tool_calls:
        assert_type(call, ToolCall)
        assert_type(call["function"]["arguments"], str)
        history.append(tool_result(call, {"sky": "clear"}))
    assert_type((await router.chat([*history, reply])).message, Message)
