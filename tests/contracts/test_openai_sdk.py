"""Held against OpenAI's own SDK: its client reads the recorded bytes to the same reply, its types take every `raw`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import httpx2
import openai
import orjson
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import AttemptError, BadReply
from asyncrouter._types import Call, Reply
from asyncrouter._wire.anthropic.wire import Anthropic
from asyncrouter._wire.gemini.wire import Gemini
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.captured import read, rows
from tests.helpers.gemini_fixtures import STREAMS as GEMINI_STREAMS
from tests.helpers.gemini_fixtures import sse

ADDRESS = "https://api.openai.com/v1"
WIRE = OpenAI(Provider(name="openai", base_url=ADDRESS), wall=lambda: 0.0)
ROWS = rows("/v1/chat/completions")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
CUT = {"llamacpp-process-faults/01-sigkill-mid-stream", "llamacpp-process-faults/06-sigterm-mid-stream"}
ERROR = "llamacpp-tools-key-ping/11-tool-auto-midstream-error-stream"
TWO = "llamacpp-smollm2/11-chat-n2-stream"
"""Its choices take turns, the second before the first: the SDK's accumulator fails with an IndexError."""

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
REQUESTS: list[tuple[list[dict[str, object]], dict[str, object]]] = [
    ([HI], {}),
    ([HI], {"max_tokens": 5, "temperature": 0.5, "stop": ["a"], "seed": 1, "n": 2}),
    ([HI, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "12"}], {
        "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}}),
    ([{"role": "user", "content": [
        {"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": PNG}}]}], {
        "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA}}}),
]


def materialised(value: object) -> object:
    """What pydantic left as iterators, walked through: that is when their items are validated."""
    if isinstance(value, dict):
        return {name: materialised(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [materialised(inner) for inner in value]
    return value


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize("model", ["gpt-4o", "o3", "gpt-6.1-sol"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_types_accept_what_we_send(
    messages: list[dict[str, object]], params: dict[str, object], model: str, stream: bool
) -> None:
    """And know every key of it: what comes out of their validation is what went in."""
    call = Call(messages, {}, {}, 0.0, math.inf)
    request = WIRE.encode(call, Model(provider="openai", id=model), params, "k", stream=stream, connect=None)
    sent = orjson.loads(request.body)
    types = TypeAdapter(CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming)

    assert materialised(types.validate_python(sent)) == sent


def ask(answer: httpx2.Response, *, stream: bool = False) -> ChatCompletion | list[ChatCompletionChunk]:
    """What the SDK's client makes of an answer where the network would be."""
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    with openai.OpenAI(api_key="k", base_url=ADDRESS, http_client=http, max_retries=0) as sdk:
        answered = sdk.chat.completions.create(model="m", messages=[HI], stream=stream)
        return list(answered) if stream else answered


def decode(name: str) -> tuple[Reply, AttemptError | None]:
    _, headers, body, params = read(name)
    decoder = WIRE.decoder(headers, params)
    decoder.feed(body)
    error = decoder.close()
    return decoder.reply, error


def same(completion: ChatCompletion, reply: Reply) -> None:
    """Text, tool calls, finish reason, model and usage of the first choice."""
    choice = completion.choices[0]
    calls = choice.message.tool_calls or []
    assert (choice.message.content or "") == reply.text
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls
    ]
    assert choice.finish_reason == reply.finish_reason
    assert completion.model == reply.served_model
    if completion.usage is None:
        assert reply.usage is None
    else:
        counts = completion.usage.prompt_tokens, completion.usage.completion_tokens
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == counts


@pytest.mark.parametrize("name", sorted({*STREAMS} - {ERROR, TWO} - CUT))
def test_a_recorded_stream_is_the_same_reply(name: str) -> None:
    """Put together by the SDK's own accumulator; and the choices of `raw` are its choices."""
    _, headers, body, _ = read(name)
    state = ChatCompletionStreamState()
    for chunk in ask(httpx2.Response(200, headers=headers, content=body), stream=True):
        state.handle_chunk(chunk)
    reply, error = decode(name)

    assert error is None
    same(state.current_completion_snapshot, reply)
    theirs = [choice.message.content or None for choice in state.current_completion_snapshot.choices]
    assert [choice.message.content or None for choice in ChatCompletion.model_validate(reply.raw).choices] == theirs


def test_two_recorded_choices_are_the_same() -> None:
    """Added up by hand from the SDK's chunks."""
    _, headers, body, _ = read(TWO)
    texts = ["", ""]
    for chunk in ask(httpx2.Response(200, headers=headers, content=body), stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    reply, error = decode(TWO)

    assert error is None
    assert [choice["message"]["content"] for choice in reply.raw["choices"]] == texts
    assert reply.text == texts[0]


@pytest.mark.parametrize("name", sorted(CUT))
def test_what_the_sdk_takes_for_an_answer_is_none(name: str) -> None:
    """A stream whose server was killed: the SDK hands over half of it in silence; we have the same half, and say so."""
    _, headers, body, _ = read(name)
    chunks = ask(httpx2.Response(200, headers=headers, content=body), stream=True)
    reply, error = decode(name)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == reply.text
    assert type(error) is BadReply


def test_a_recorded_error_in_a_stream_is_the_same() -> None:
    """Its words."""
    _, headers, body, _ = read(ERROR)
    with pytest.raises(openai.APIError) as raised:
        ask(httpx2.Response(200, headers=headers, content=body), stream=True)

    assert raised.value.message == decode(ERROR)[1].message


@pytest.mark.parametrize("name", BODIES)
def test_a_recorded_body_is_the_same_reply(name: str) -> None:
    """A completion in one piece."""
    _, headers, body, _ = read(name)
    reply, error = decode(name)

    assert error is None
    same(ask(httpx2.Response(200, headers=headers, content=body)), reply)


@pytest.mark.parametrize("name", FAILURES)
def test_a_recorded_failure_is_the_same(name: str) -> None:
    """Status and words."""
    status, headers, body, _ = read(name)
    with pytest.raises(openai.APIStatusError) as raised:
        ask(httpx2.Response(status, headers=headers, content=body))
    error = WIRE.failure(status, headers, body)

    assert (raised.value.status_code, raised.value.body["message"]) == (error.status, error.message)


@pytest.mark.parametrize("name", sorted({*STREAMS, *BODIES} - {ERROR} - CUT))
def test_every_raw_is_a_chat_completion(name: str) -> None:
    """As the SDK's type has it, every field in its place; nothing is lost on the way through it."""
    raw = decode(name)[0].raw

    assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


ANTHROPIC = [row["capture"] for row in rows("/v1/messages") if row["status"] == "200 OK"]


@pytest.mark.parametrize("name", ANTHROPIC)
def test_the_anthropic_wires_raw_is_one_too(name: str) -> None:
    """Of every recorded answer that is whole."""
    _, headers, body, params = read(name)
    decoder = Anthropic(Provider(base_url="http://h", wire="anthropic"), wall=lambda: 0.0).decoder(headers, params)
    decoder.feed(body)
    if decoder.close() is None:
        raw = decoder.reply.raw
        assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


@pytest.mark.parametrize("name", GEMINI_STREAMS)
def test_the_gemini_wires_raw_is_one_too(name: str) -> None:
    """Of every documented answer."""
    wire = Gemini(Provider(base_url="http://h", wire="gemini"), wall=lambda: 0.0)
    decoder = wire.decoder({"content-type": "text/event-stream"}, {})
    decoder.feed(sse(*GEMINI_STREAMS[name]))
    raw = decoder.reply.raw

    assert decoder.close() is None
    assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


@pytest.mark.parametrize("name", GEMINI_STREAMS)
def test_the_gemini_wires_chunks_are_chat_completions_too(name: str) -> None:
    """A delta's tool calls validate as the SDK's, and its accumulator makes the reply's calls of them."""
    wire, chunks = Gemini(Provider(base_url="http://h", wire="gemini"), wall=lambda: 0.0), []
    decoder = wire.decoder({"content-type": "text/event-stream"}, {})
    decoder.feed(sse(*GEMINI_STREAMS[name]), chunks)
    state = ChatCompletionStreamState()
    for chunk in [*chunks, decoder.final()]:
        delta = {"content": chunk.text, "tool_calls": list(chunk.tool_calls) or None}
        choice = {"index": 0, "delta": delta, "finish_reason": chunk.finish_reason}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        state.handle_chunk(ChatCompletionChunk.model_validate({**head, "choices": [choice]}))
    message = state.current_completion_snapshot.choices[0].message

    assert (message.content or "") == decoder.reply.text
    assert [(call.id, call.function.arguments) for call in message.tool_calls or ()] == [
        (call["id"], call["function"]["arguments"]) for call in decoder.reply.tool_calls
    ]
