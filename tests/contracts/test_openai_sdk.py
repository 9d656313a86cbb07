"""Contract with OpenAI's SDK: its types accept our requests and every `raw`, its client reads the same replies."""

from __future__ import annotations

import math
from typing import Any, Literal

import httpx2
import openai
import orjson
import pytest
from openai.lib._parsing._completions import type_to_response_format_param
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import BaseModel, Field, TypeAdapter

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._config.response_format import AnswerFormat
from asyncrouter._errors import AttemptError, BadReply
from asyncrouter._types import Call, Reply
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers import anthropic_fixtures, gemini_fixtures
from tests.helpers.captured import read, rows
from tests.helpers.decoding import decode
from tests.helpers.validated import read_iterators

ADDRESS = "https://api.openai.com/v1"
WIRE = OpenAI(Provider(name="openai", base_url=ADDRESS), wall=lambda: 0.0)
ROWS = rows("/v1/chat/completions")
STREAMS = [row["capture"] for row in ROWS if row["content-type"] == "text/event-stream"]
BODIES = [row["capture"] for row in ROWS if row["status"] == "200 OK" and row["content-type"] == "application/json"]
FAILURES = [row["capture"] for row in ROWS if row["status"] != "200 OK"]
CUT = {"llamacpp-process-faults/01-sigkill-mid-stream", "llamacpp-process-faults/06-sigterm-mid-stream"}
ERROR = "llamacpp-tools-key-ping/11-tool-auto-midstream-error-stream"
TWO = "llamacpp-smollm2/11-chat-n2-stream"
"""Its choices alternate, and the second comes before the first: the SDK's accumulator raises an IndexError."""

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
    ([HI], {"response_format": AnswerFormat("w", SCHEMA)}),
    ([HI], {"response_format": AnswerFormat("w", {"type": "array", "items": SCHEMA})}),
]


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize("model", ["gpt-4o", "o3", "gpt-6.1-sol"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_types_accept_what_we_send(
    messages: list[dict[str, object]], params: dict[str, object], model: str, stream: bool
) -> None:
    """They know every key: what comes out of their validation is what went in."""
    call = Call(messages, {}, {}, 0.0, math.inf)
    request = WIRE.encode(call, Model(provider="openai", id=model), params, "k", stream=stream, connect=None)
    sent = orjson.loads(request.body)
    types = TypeAdapter(CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming)

    assert read_iterators(types.validate_python(sent)) == sent


def ask(answer: httpx2.Response, *, stream: bool = False) -> ChatCompletion | list[ChatCompletionChunk]:
    """What the SDK's client reads when the network gives this answer."""
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    with openai.OpenAI(api_key="k", base_url=ADDRESS, http_client=http, max_retries=0) as sdk:
        answered = sdk.chat.completions.create(model="m", messages=[HI], stream=stream)
        return list(answered) if stream else answered


def decoded(name: str) -> tuple[Reply, AttemptError | None]:
    """What our decoder reads in a recorded answer."""
    _, headers, body, params = read(name)
    decoder = decode(WIRE, headers, body, params)
    return decoder.reply, decoder.close()


def assert_same(reply: Reply, completion: ChatCompletion) -> None:
    """Text, tool calls, finish reason, model and usage are those of the completion's first choice."""
    choice = completion.choices[0]
    calls = choice.message.tool_calls or []
    assert reply.text == (choice.message.content or "")
    assert [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls] == [
        (call.id, call.function.name, call.function.arguments) for call in calls
    ]
    assert (reply.finish_reason, reply.served_model) == (choice.finish_reason, completion.model)
    if completion.usage is None:
        assert reply.usage is None
    else:
        counts = completion.usage.prompt_tokens, completion.usage.completion_tokens
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == counts


@pytest.mark.parametrize("name", sorted({*STREAMS} - {ERROR, TWO} - CUT))
def test_a_recorded_stream_is_the_same_reply(name: str) -> None:
    """It is what the SDK's accumulator makes of it, and the choices of `raw` are its choices."""
    _, headers, body, _ = read(name)
    state = ChatCompletionStreamState()
    for chunk in ask(httpx2.Response(200, headers=headers, content=body), stream=True):
        state.handle_chunk(chunk)
    reply, error = decoded(name)

    assert error is None
    assert_same(reply, state.current_completion_snapshot)
    theirs = [choice.message.content or None for choice in state.current_completion_snapshot.choices]
    assert [choice.message.content or None for choice in ChatCompletion.model_validate(reply.raw).choices] == theirs


def test_two_recorded_choices_are_the_same() -> None:
    """Their texts are those of the SDK's chunks."""
    _, headers, body, _ = read(TWO)
    texts = ["", ""]
    for chunk in ask(httpx2.Response(200, headers=headers, content=body), stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    reply, error = decoded(TWO)

    assert error is None
    assert [choice["message"]["content"] for choice in reply.raw["choices"]] == texts
    assert reply.text == texts[0]


@pytest.mark.parametrize("name", sorted(CUT))
def test_a_stream_whose_server_was_killed_is_no_answer(name: str) -> None:
    """The SDK gives half of it without an error; we read the same half and an error."""
    _, headers, body, _ = read(name)
    chunks = ask(httpx2.Response(200, headers=headers, content=body), stream=True)
    reply, error = decoded(name)

    assert reply.text == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert type(error) is BadReply


def test_a_recorded_error_in_a_stream_is_the_same() -> None:
    """It has the same message."""
    _, headers, body, _ = read(ERROR)
    with pytest.raises(openai.APIError) as raised:
        ask(httpx2.Response(200, headers=headers, content=body), stream=True)

    assert decoded(ERROR)[1].message == raised.value.message


@pytest.mark.parametrize("name", BODIES)
def test_a_recorded_body_is_the_same_reply(name: str) -> None:
    """A completion in one piece is read as the SDK reads it."""
    _, headers, body, _ = read(name)
    reply, error = decoded(name)

    assert error is None
    assert_same(reply, ask(httpx2.Response(200, headers=headers, content=body)))


@pytest.mark.parametrize("name", FAILURES)
def test_a_recorded_failure_is_the_same(name: str) -> None:
    """Status and message are those of the SDK's exception."""
    status, headers, body, _ = read(name)
    with pytest.raises(openai.APIStatusError) as raised:
        ask(httpx2.Response(status, headers=headers, content=body))
    error = WIRE.failure(status, headers, body)

    assert (error.status, error.message) == (raised.value.status_code, raised.value.body["message"])


@pytest.mark.parametrize("name", sorted({*STREAMS, *BODIES} - {ERROR} - CUT))
def test_every_raw_is_a_chat_completion(name: str) -> None:
    """The SDK's type knows every field of it, and nothing is lost in the validation."""
    raw = decoded(name)[0].raw

    assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


ANTHROPIC = [row["capture"] for row in rows("/v1/messages") if row["status"] == "200 OK"]


@pytest.mark.parametrize("name", ANTHROPIC)
def test_every_raw_of_the_anthropic_wire_is_one_too(name: str) -> None:
    """The SDK's type knows every field of a recorded answer that is whole."""
    _, headers, body, params = read(name)
    decoder = decode(anthropic_fixtures.WIRE, headers, body, params)
    if decoder.close() is None:
        raw = decoder.reply.raw
        assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


@pytest.mark.parametrize("name", gemini_fixtures.STREAMS)
def test_every_raw_of_the_gemini_wire_is_one_too(name: str) -> None:
    """The SDK's type knows every field of a documented answer."""
    decoder = gemini_fixtures.stream(*gemini_fixtures.STREAMS[name])
    raw = decoder.reply.raw

    assert decoder.close() is None
    assert ChatCompletion.model_validate(raw).to_dict(exclude_unset=True) == raw


@pytest.mark.parametrize("name", gemini_fixtures.STREAMS)
def test_the_chunks_of_the_gemini_wire_are_chat_completions_too(name: str) -> None:
    """Their tool calls are valid for the SDK, and its accumulator makes the reply's calls of them."""
    chunks = []
    decoder = gemini_fixtures.stream(*gemini_fixtures.STREAMS[name], chunks=chunks)
    state = ChatCompletionStreamState()
    for chunk in [*chunks, decoder.final()]:
        delta = {"content": chunk.text, "tool_calls": list(chunk.tool_calls) or None}
        choice = {"index": 0, "delta": delta, "finish_reason": chunk.finish_reason}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        state.handle_chunk(ChatCompletionChunk.model_validate({**head, "choices": [choice]}))
    message = state.current_completion_snapshot.choices[0].message

    assert decoder.reply.text == (message.content or "")
    assert [(call["id"], call["function"]["arguments"]) for call in decoder.reply.tool_calls] == [
        (call.id, call.function.arguments) for call in message.tool_calls or ()
    ]


class Part(BaseModel):
    kind: Literal["a", "b"]
    size: float = Field(ge=0)
    inner: list[Part] | None = None


class Whole(BaseModel):
    """A class with a description, a nested list and an optional field."""

    name: str = Field(pattern="^[a-z]+$")
    parts: list[Part]
    note: str | None


@pytest.mark.parametrize("shape", [Part, Whole])
def test_classes_are_written_as_the_sdk_writes_them(shape: type[BaseModel]) -> None:
    """`response_format=Class` asks for the schema that `client.chat.completions.parse(response_format=Class)` asks for.
    """
    answer = AnswerFormat(shape.__name__, TypeAdapter(shape).json_schema())
    call = Call([HI], {}, {}, 0.0, math.inf)
    params = {"response_format": answer}
    request = WIRE.encode(call, Model(provider="openai", id="gpt-4o"), params, None, stream=False, connect=None)
    described = orjson.loads(request.body)["response_format"]["json_schema"]
    schema = described["schema"]
    expected: Any = type_to_response_format_param(shape)["json_schema"]["schema"]  # type: ignore[index,typeddict-item]

    assert described["strict"] is True
    assert schema["required"] == expected["required"]
    assert schema["properties"] == expected["properties"]
    assert schema["$defs"] == expected["$defs"]
