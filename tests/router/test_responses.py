"""The Responses API through the router: chosen by itself, streamed and whole, over two turns, and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Chunk, Event, Notice, Provider, Rejected, Reply, Router, Usage
from tests.helpers.canned import CannedTransport
from tests.helpers.decoding import JSON, decode
from tests.helpers.responses_fixtures import WIRE, body, call, message, reasoning, response, stream_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter import Request
    from asyncrouter.sim import Clock

TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]
ANSWER = response(reasoning("Plan."), message("Let me look."), call("now", "{}"))
CHAT = {"id": "c", "object": "chat.completion", "model": "gpt-6-sol", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}


def answer(request: Request) -> tuple[int, str, bytes]:
    """Each API's own answer, streamed where the request asks for that."""
    if "/chat/" in request.url:
        return 200, "application/json", body(CHAT)
    if b'"stream":true' in request.body:
        return 200, "text/event-stream", stream_of(ANSWER)
    return 200, "application/json", body(ANSWER)


def router_over(
    transport: CannedTransport, *, listeners: Sequence[Callable[[Event], None]] = (), **providers: dict[str, object]
) -> Router:
    """A router whose `openai` has a key, and these providers."""
    known = {"openai": Provider(base_url="https://api.openai.com/v1", key=lambda: "sk"), **providers}
    return Router({"default_provider": "openai", "providers": known}, transport=transport, listeners=listeners, seed=1)


@pytest.mark.parametrize("streams", [True, False])
def test_chat_with_tools_on_a_model_that_takes_them_only_there(clock: Clock, streams: bool) -> None:
    """The whole answer, whichever way it comes over the wire."""
    transport = CannedTransport(answer, size=100)

    async def scenario() -> Reply:
        async with router_over(transport) as router:
            step = {"model": "gpt-6-sol", "wire_stream": streams}
            return await router.chat("What time is it?", chain=[step], tools=TOOLS)

    reply = clock.run(scenario())
    [(url, sent)] = transport.seen

    assert url == "https://api.openai.com/v1/responses"
    assert (sent.get("stream", False), sent["store"]) == (streams, False)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Let me look.", "Plan.", "tool_calls")
    assert reply.usage == Usage(30, 20, 10, 8, cache_write_tokens=4)
    assert reply.tool_calls[0]["function"] == {"name": "now", "arguments": "{}"}


def test_stream_gives_the_chunks(clock: Clock) -> None:
    """Piece by piece, and the reply at its end."""
    transport = CannedTransport(answer, size=100)

    async def scenario() -> tuple[list[Chunk], Reply]:
        async with router_over(transport) as router:
            async with router.stream("x", model="gpt-6-sol", tools=TOOLS) as stream:
                chunks = [chunk async for chunk in stream]
            return chunks, stream.reply

    chunks, reply = clock.run(scenario())

    assert "".join(chunk.text for chunk in chunks) == reply.text == "Let me look."
    assert "".join(chunk.reasoning for chunk in chunks) == "Plan."
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("tool_calls", Usage(30, 20, 10, 8, cache_write_tokens=4))


def test_the_next_turn_brings_the_reasoning_back(clock: Clock) -> None:
    """`reply.raw`'s message stands in the history as it is; another vendor gets none of it."""
    transport = CannedTransport(answer)
    local = {"base_url": "http://127.0.0.1/v1"}

    async def scenario() -> None:
        async with router_over(transport, local=local) as router:
            first = await router.chat("What time is it?", model="gpt-6-sol", tools=TOOLS)
            said = first.raw["choices"][0]["message"]
            history = [{"role": "user", "content": "What time is it?"}, said,
                       {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "12:00"}]
            await router.chat(history, model="gpt-6-sol", tools=TOOLS)
            await router.chat(history, model="local:m", tools=TOOLS)

    clock.run(scenario())
    _, (_, again), (url, foreign) = transport.seen

    assert [item["type"] for item in again["input"]] == [  # type: ignore[attr-defined]
        "message", "reasoning", "message", "function_call", "function_call_output"]
    assert again["input"][1]["encrypted_content"] == "gAAAA1"  # type: ignore[index]
    assert url == "http://127.0.0.1/v1/chat/completions"
    assert foreign["messages"][1].keys() >= {"role", "content", "tool_calls"}  # type: ignore[index]
    assert "responses_output" not in foreign["messages"][1]  # type: ignore[index]


def test_what_only_chat_completions_has_goes_there(clock: Clock) -> None:
    """And where neither API can carry a call, it is refused before it is sent."""
    transport = CannedTransport(answer)

    async def scenario() -> tuple[str, AllModelsFailed]:
        async with router_over(transport) as router:
            reply = await router.chat("x", model="gpt-6-sol", stop=["x"])
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="gpt-6-sol", stop=["x"], tools=TOOLS)
            return reply.text, caught.value

    text, error = clock.run(scenario())

    assert text == "Hello."
    assert [url for url, _ in transport.seen] == ["https://api.openai.com/v1/chat/completions"]
    assert isinstance(error.trace.attempts[0].error, Rejected)
    assert error.trace.attempts[0].error.message.startswith("stop=['x']: the Responses API has no such parameter; ")


def refusing(*errors: tuple[int, object]) -> CannedTransport:
    """A transport that refuses so many requests, and answers the ones after them."""
    left = list(errors)

    def reply(request: Request) -> tuple[int, str, bytes]:
        if left:
            status, document = left.pop(0)
            return status, "application/json", body({"error": document})
        return answer(request)

    return CannedTransport(reply)


LOST = [
    (400, {"message": "The encrypted content gAAA could not be verified.", "code": "invalid_encrypted_content"}),
    (400, {"message": "The encrypted content gAAA could not be verified. Reason: …", "code": None}),  # Azure
    (404, {"message": "Item with id 'rs_1' not found. Items are not persisted when `store` is false.", "code": None}),
]


@pytest.mark.parametrize("error", LOST)
def test_reasoning_that_cannot_be_read_is_left_out_at_once_and_later(clock: Clock, error: tuple[int, object]) -> None:
    """Another account's, or one that is gone: the model is asked again without it, and a warning says so."""
    said = decode(WIRE, JSON, ANSWER).reply.raw["choices"][0]["message"]
    history = [{"role": "user", "content": "x"}, said, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]
    transport, notices = refusing(error), []

    async def scenario() -> None:
        async with router_over(transport, listeners=[notices.append]) as router:
            for _ in range(2):
                await router.chat(history, model="gpt-6-sol", retry={"attempts": 1})

    clock.run(scenario())

    assert [[item["type"] for item in sent["input"]].count("reasoning") for _, sent in transport.seen] == [1, 0, 0]  # type: ignore[attr-defined]
    assert [event.text for event in notices if isinstance(event, Notice)] == [
        "gpt-6-sol: the reasoning of earlier answers cannot be read there any more and is left out from now on"]


@pytest.mark.parametrize("error", [
    (404, {"message": "This model is only supported in v1/responses and not in v1/chat/completions."}),
    (400, {"message": "Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. "
                      "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
           "param": "reasoning_effort"}),
])
def test_a_deployment_that_chat_completions_sends_on_is_asked_there(clock: Clock, error: tuple[int, object]) -> None:
    """Its name says nothing about the model behind it; what the provider says is remembered for it."""
    transport = refusing(error)

    async def scenario() -> str:
        async with router_over(transport) as router:
            for _ in range(2):
                await router.chat("x", model="my-deployment", tools=TOOLS, retry={"attempts": 1})
            return router.explain(model="my-deployment").steps[0].wire

    assert clock.run(scenario()) == "responses"
    assert [url.rpartition("/v1")[2] for url, _ in transport.seen] == ["/chat/completions", "/responses", "/responses"]


def test_what_only_chat_completions_can_carry_stays_there(clock: Clock) -> None:
    """With stop words the other API is no way out: the effort is, which the error names, too."""
    transport = refusing((400, {
        "message": "Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. "
                   "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
        "param": "reasoning_effort"}))

    async def scenario() -> None:
        async with router_over(transport) as router:
            await router.chat("x", model="my-deployment", tools=TOOLS, stop=["x"], retry={"attempts": 1})

    clock.run(scenario())

    assert [url.rpartition("/v1")[2] for url, _ in transport.seen] == ["/chat/completions", "/chat/completions"]
    assert transport.seen[1][1]["reasoning_effort"] == "none"


def test_a_parameter_that_is_refused_is_left_out(clock: Clock) -> None:
    """`include` is one that some hosts do not know."""
    transport = refusing((400, {"message": "Unknown parameter: 'include'.", "param": "include"}))

    async def scenario() -> None:
        async with router_over(transport) as router:
            await router.chat("x", model="gpt-6-sol", retry={"attempts": 1})

    clock.run(scenario())

    assert ["include" in sent for _, sent in transport.seen] == [True, False]


def test_explain_says_which_api_and_why() -> None:
    """For the parameters of the call and of each step; nothing is sent."""
    transport = CannedTransport(answer)
    router = router_over(transport, old={"base_url": "https://api.openai.com/v1", "wire": "openai"})
    seeded = {"model": "gpt-6-sol", "params": {"seed": 7}}
    plan = router.explain(chain=["gpt-6-sol", seeded, "gpt-4o", "old:gpt-6-sol", "anthropic::claude-x"])

    assert [(step.wire, step.wire_reason) for step in plan.steps] == [
        ("responses", "a reasoning model goes on where it was if its reasoning goes back"),
        ("openai", "the Responses API has no seed"),
        ("openai", "not known as a reasoning model, and nothing in the call needs another API"),
        ("openai", 'wire = "openai" is configured'),
        ("anthropic", ""),
    ]
    assert str(plan).splitlines()[1].endswith(
        "; wire responses (a reasoning model goes on where it was if its reasoning goes back)")
    assert [router.explain(model="gpt-6-sol", params={"tools": TOOLS}).steps[0].wire_reason,
            router.explain(model="gpt-6-sol", tools=TOOLS).steps[0].wire_reason] == [
        'Chat Completions takes no function tools for this model unless reasoning_effort is "none"'] * 2
    assert transport.seen == []


def test_explain_refuses_what_the_call_would_refuse() -> None:
    """A misspelt argument would go to the provider."""
    with pytest.raises(TypeError, match="did you mean"):
        router_over(CannedTransport(answer)).explain(model="gpt-6-sol", modle="x")
