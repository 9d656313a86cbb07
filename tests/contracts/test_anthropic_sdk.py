"""Contract with Anthropic's SDK: its types accept our requests, its client reads the same replies in the same bytes.

The answers are recorded ones and those of the API's reference ("Streaming messages", "Extended thinking", "Tool use").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._config.response_format import AnswerFormat
from asyncrouter._types import Call
from asyncrouter._wire.anthropic.wire import Anthropic
from tests.helpers.anthropic_fixtures import STREAMS
from tests.helpers.captured import read, rows
from tests.helpers.decoding import decode
from tests.helpers.validated import read_iterators

if TYPE_CHECKING:
    from anthropic.types import Message

    from asyncrouter._types import Reply

ADDRESS = "https://api.anthropic.com"
WIRE = Anthropic(Provider(name="anthropic", base_url=f"{ADDRESS}/v1", wire="anthropic"), wall=lambda: 0.0)
MODEL = Model(provider="anthropic", id="claude-x")
SAMPLING = ("temperature", "top_p", "top_k")
"""Parameters that the API takes for models before Claude 4.7, but this SDK no longer knows."""

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA}}
CALL = {"id": "c.1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


REQUESTS: list[tuple[list[dict[str, object]], dict[str, object]]] = [
    ([HI], {}),
    ([{"role": "system", "content": "Brief."}, HI], {"max_tokens": 5, "stop": ["a"], "temperature": 1.5, "user": "u"}),
    ([{"role": "system", "content": [{"type": "text", "text": "Long.", **EPHEMERAL}]}, HI], {"service_tier": "auto"}),
    ([HI, {"role": "assistant", "content": "a"}, HI, HI], {"reasoning_effort": "high", "metadata": {"user_id": "x"}}),
    ([HI], {"reasoning_effort": "none", "response_format": {
        "type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA, "strict": True}}}),
    ([HI], {"response_format": AnswerFormat("w", SCHEMA)}),
    ([HI], {"response_format": AnswerFormat("w", {"type": "object", "additionalProperties": SCHEMA})}),
    ([HI], {"thinking": {"type": "enabled", "budget_tokens": 1024}, "reasoning": {"effort": "minimal"}}),
    ([{"role": "user", "content": [
        {"type": "text", "text": "What is it?", **EPHEMERAL},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://h/x.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
    ]}], {"seed": 1, "logprobs": True, "n": 1}),
    ([
        HI,
        {"role": "assistant", "content": None, "tool_calls": [CALL], "thinking_blocks": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]},
        {"role": "tool", "tool_call_id": "c.1", "content": "18", "is_error": False},
        {"role": "tool", "tool_call_id": "c.1", "content": [{"type": "text", "text": "18"},
                                                            {"type": "image_url", "image_url": {"url": PNG}}]},
        HI,
    ], {"tools": [TOOL, {"type": "function", "function": {"name": "now", "strict": True}, **EPHEMERAL},
                  {"type": "web_search_20250305", "name": "web_search"}]}),
    *([([HI], {"tools": [TOOL], **choice}) for choice in (
        {"tool_choice": "auto"}, {"tool_choice": "none"}, {"tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}, {"parallel_tool_calls": False},
    )]),
]


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
REQUESTS += [
    ([HI, {"role": "assistant", "content": "So.", "content_blocks": [
        {"type": "thinking", "thinking": "a", "signature": "s"}, SEARCH, FOUND, {"type": "text", "text": "So."}]}], {}),
    ([{**HI, **EPHEMERAL}], {"reasoning_effort": "none", "tools": [TOOL], "tool_choice": "required"}),
    ([HI], {"reasoning": {"max_tokens": 2000}, "response_format": {"type": "json_schema", "json_schema": {
        "name": "w", "schema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}}}}),
]
MODELS = [MODEL, *(Model(provider="anthropic", id=f"claude-{name}") for name in (
    "haiku-4-5", "opus-4-5", "sonnet-4-6", "opus-4-8", "opus-5", "sonnet-5-5", "opus-5-5", "fable-5-2"))]


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_the_sdks_types_accept_what_we_send(
    model: Model, messages: list[dict[str, object]], params: dict[str, object], stream: bool
) -> None:
    """They know every key: what comes out of their validation is what went in."""
    call = Call(messages, {}, {}, 0.0, math.inf)
    sent = orjson.loads(WIRE.encode(call, model, params, "k", stream=stream, connect=None).body)
    body = {name: value for name, value in sent.items() if name not in SAMPLING}
    types = TypeAdapter(MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming)

    assert read_iterators(types.validate_python(body)) == body


def client(answer: httpx2.Response, seen: list[httpx2.Request]) -> anthropic.Anthropic:
    """The SDK's client, whose network gives this answer and notes the requests in `seen`."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return answer

    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    return anthropic.Anthropic(api_key="k", base_url=ADDRESS, http_client=http, max_retries=0)


def as_the_sdk_reads(content_type: str, answer: bytes) -> Message:
    """The message that the official client makes of these bytes."""
    response = httpx2.Response(200, headers={"content-type": content_type}, content=answer)
    with client(response, []) as sdk:
        asked: dict[str, object] = {"model": "m", "max_tokens": 64, "messages": [HI]}
        if "event-stream" not in content_type:
            return sdk.messages.create(**asked)
        with sdk.messages.stream(**asked) as stream:
            return stream.get_final_message()


def as_we_read(content_type: str, answer: bytes) -> Reply:
    """The reply that our decoder makes of these bytes."""
    decoder = decode(WIRE, {"content-type": content_type}, answer)
    assert decoder.close() is None
    return decoder.reply


def assert_same(ours: Reply, theirs: Message) -> None:
    """Text, thinking, tool calls, model, id, stop reason and usage are those of the SDK's message."""
    assert ours.text == "".join(block.text for block in theirs.content if block.type == "text")
    assert ours.reasoning == "".join(block.thinking for block in theirs.content if block.type == "thinking")
    uses = [block for block in theirs.content if block.type == "tool_use"]
    assert [(c["id"], c["function"]["name"]) for c in ours.tool_calls] == [(use.id, use.name) for use in uses]
    if theirs.stop_reason != "max_tokens":  # the last arguments may be cut; the SDK repairs them
        assert [orjson.loads(c["function"]["arguments"]) for c in ours.tool_calls] == [use.input for use in uses]
    choice = ours.raw["choices"][0]
    assert (ours.served_model, ours.raw["id"]) == (theirs.model, theirs.id)
    assert choice["native_finish_reason"] == theirs.stop_reason
    usage = theirs.usage
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    assert (ours.usage.input_tokens, ours.usage.cached_tokens) == (usage.input_tokens + cached + written, cached)
    assert ours.usage.output_tokens == usage.output_tokens
    if kept := choice["message"].get("thinking_blocks"):
        thoughts = [block for block in theirs.content if block.type in {"thinking", "redacted_thinking"}]
        assert kept == [thought.to_dict() for thought in thoughts]


GOOD = [row["capture"] for row in rows("/v1/messages") if row["status"] == "200 OK" and "error" not in row["capture"]]


@pytest.mark.parametrize("name", GOOD)
def test_the_sdk_reads_a_recorded_answer_as_we_do(name: str) -> None:
    """Text, tool calls, stop reason and usage are the same."""
    _, headers, answer, _ = read(name)
    kind = headers["content-type"]

    assert_same(as_we_read(kind, answer), as_the_sdk_reads(kind, answer))


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_a_stream_as_we_do(name: str) -> None:
    """Every kind of event in the reference is read alike, and one that neither knows is skipped by both."""
    kind = "text/event-stream"

    assert_same(as_we_read(kind, STREAMS[name]), as_the_sdk_reads(kind, STREAMS[name]))


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_a_body_as_we_do(name: str) -> None:
    """The message that the SDK makes of a stream is read alike when it comes as one body."""
    whole = as_the_sdk_reads("text/event-stream", STREAMS[name]).to_json(indent=None).encode()

    assert_same(as_we_read("application/json", whole), as_the_sdk_reads("application/json", whole))


def test_our_request_is_the_sdks() -> None:
    """Method, address and body are the same; the SDK uses a later API version, which has no sampling parameters."""
    seen: list[httpx2.Request] = []
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=STREAMS["text"])
    with client(answer, seen) as sdk, sdk.messages.stream(model="m", max_tokens=5, messages=[HI]) as stream:
        stream.until_done()
    call, model = Call([HI], {}, {}, 0.0, math.inf), Model(provider="anthropic", id="m")
    ours = WIRE.encode(call, model, {"max_tokens": 5}, "k", stream=True, connect=None)
    [theirs] = seen

    assert (ours.method, ours.url) == (theirs.method, str(theirs.url))
    assert orjson.loads(ours.body) == orjson.loads(theirs.content)
    assert ours.headers["anthropic-version"] == "2023-06-01"
    assert ours.headers["anthropic-version"] < theirs.headers["anthropic-version"]
