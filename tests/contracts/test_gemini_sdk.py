"""Contract with Google's SDK: its types accept our requests, its client reads the same replies in the same bytes."""

from __future__ import annotations

import math
from typing import Any

import httpx
import orjson
import pytest
from google import genai
from google.genai import errors, types

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._config.response_format import AnswerFormat
from asyncrouter._errors import Refused
from asyncrouter._types import Call, Usage
from asyncrouter._wire.gemini.wire import Gemini
from tests.helpers.decoding import JSON, SSE, decode
from tests.helpers.gemini_fixtures import BARE_ERROR, BLOCKED, OVERLOADED, STREAMS, TEXT, sse

ADDRESS = "https://generativelanguage.googleapis.com"
WIRE = Gemini(Provider(name="gemini", base_url=f"{ADDRESS}/v1beta", wire="gemini"), wall=lambda: 0.0)
MODEL = Model(provider="gemini", id="gemini-3.1-pro")
OLD = Model(provider="gemini", id="gemini-2.5-flash")
Fragment = types.GenerateContentResponse

HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "CiQB4/H/", "function_call_id": "c1"}}}

REQUESTS: list[tuple[list[dict[str, object]], dict[str, object]]] = [
    ([HI], {}),
    ([{"role": "system", "content": "Brief."}, HI], {"max_tokens": 5, "stop": ["a"], "temperature": 1.5, "user": "u"}),
    ([HI, {"role": "assistant", "content": "a"}, HI, HI], {
        "n": 2, "seed": 3, "top_p": 0.5, "presence_penalty": 0.1, "frequency_penalty": -0.1, "logprobs": True,
        "top_logprobs": 2, "modalities": ["text"]}),
    ([HI], {"response_format": {"type": "json_object"}}),
    ([HI], {"response_format": AnswerFormat("w", SCHEMA)}),
    ([HI], {"response_format": AnswerFormat("w", {"type": "object", "properties": {"a": {"$ref": "#"}}})}),
    ([HI], {"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA}}}),
    *(([HI], {"reasoning_effort": effort}) for effort in ("none", "minimal", "low", "medium", "high", "xhigh")),
    ([{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://h/x.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
        {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1.0}},
    ]}], {}),
    *(([
        HI, {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [
            {"type": "text", "text": "12"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        HI,
    ], {"tools": [TOOL, {"googleSearch": {}}]}) for call in (CALL, SIGNED)),
    *(([HI], {"tools": [TOOL], "tool_choice": choice}) for choice in (
        "auto", "none", "required", {"type": "function", "function": {"name": "weather"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
    )),
    ([HI], {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1", "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}),
]


class Client:
    """The SDK's client, whose network gives `answer` and notes the requests in `seen`."""

    def __init__(self) -> None:
        self.answer = httpx.Response(200)
        self.seen: list[httpx.Request] = []
        http = httpx.Client(transport=httpx.MockTransport(self._respond))
        options = types.HttpOptions(api_version="v1beta", httpx_client=http)
        self.models = genai.Client(api_key="k", http_options=options).models

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.answer

    def ask(self, data: bytes, headers: dict[str, str], status: int = 200, **asked: Any) -> list[Fragment]:
        """What the SDK reads in these bytes."""
        self.answer = httpx.Response(status, headers=headers, content=data)
        asked = {"model": "m", "contents": "Hi", **asked}
        if headers is SSE:
            return list(self.models.generate_content_stream(**asked))
        return [self.models.generate_content(**asked)]


@pytest.fixture(scope="module")
def client() -> Client:
    """One client for all tests: making one takes longer than all of them."""
    return Client()


@pytest.fixture
def sdk(client: Client) -> Client:
    client.seen.clear()
    return client


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize(
    ("model", "stream"),
    [(MODEL, False), (OLD, True), *((Model(provider="gemini", id=f"gemini-{name}"), False) for name in (
        "2.0-flash", "3-pro-preview", "3-pro-image-preview", "3.8-flash", "4-argon"))],
    ids=lambda value: value.id if isinstance(value, Model) else None,
)
def test_the_sdk_would_send_the_same(
    sdk: Client, messages: list[dict[str, object]], params: dict[str, object], model: Model, stream: bool
) -> None:
    """Its types, which allow no unknown field, read our body, and its client writes it again."""
    call = Call(messages, {}, {}, 0.0, math.inf)
    ours = WIRE.encode(call, model, params, "k", stream=stream, connect=None)
    body: dict[str, Any] = orjson.loads(ours.body)
    config = {**body.pop("generationConfig", {})}
    contents = [types.Content.model_validate(content) for content in body.pop("contents")]
    asked = types.GenerateContentConfig.model_validate({**config, **body})
    asked.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
    data, headers = (sse(TEXT[2]), SSE) if stream else (orjson.dumps(TEXT[2]), JSON)
    sdk.ask(data, headers, model=model.id, contents=contents, config=asked)

    (theirs,) = sdk.seen
    assert ours.url == str(theirs.url)
    assert ours.headers["x-goog-api-key"] == theirs.headers["x-goog-api-key"]
    assert plain({"generationConfig": {}, **orjson.loads(ours.body)}) == plain(orjson.loads(theirs.content))


def plain(value: object, key: str = "") -> object:
    """The value in one spelling: the SDK mixes two for keys and two for base64, and orders tools differently."""
    if isinstance(value, dict):
        return {(name := camel(key)): plain(inner, name) for key, inner in value.items()}
    if isinstance(value, list):
        listed = [plain(inner) for inner in value]
        return sorted(listed, key=str) if key == "tools" else listed
    return value.replace("+", "-").replace("/", "_") if key == "thoughtSignature" else value


def camel(name: str) -> str:
    """A name in camel case."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def as_the_sdk_reads(fragments: list[Fragment]) -> tuple[str, str, list[object], object, object]:
    """Text, thoughts, calls, the last count and the finish reason."""
    text, thoughts, calls, counts, finish = "", "", [], None, None
    for fragment in fragments:
        counts = fragment.usage_metadata or counts
        for candidate in fragment.candidates or ():
            finish = candidate.finish_reason or finish
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.thought:
                    thoughts += part.text or ""
                else:
                    text += part.text or ""
                if part.function_call:
                    calls.append((part.function_call.name, part.function_call.args or {}))
    return text, thoughts, calls, counts, finish


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "body"])
def test_the_same_bytes_are_the_same_reply(sdk: Client, name: str, stream: bool) -> None:
    """Text, thoughts, tool calls, usage, model and finish reason are the same."""
    data, headers = (sse(*STREAMS[name]), SSE) if stream else (orjson.dumps(STREAMS[name][-1]), JSON)
    fragments = sdk.ask(data, headers)
    reply = decode(WIRE, headers, data).reply
    text, thoughts, calls, counts, finish = as_the_sdk_reads(fragments)

    assert (reply.text, reply.reasoning) == (text, thoughts)
    assert [
        (call["function"]["name"], orjson.loads(call["function"]["arguments"])) for call in reply.tool_calls
    ] == calls
    assert (reply.served_model, reply.raw["id"]) == (fragments[-1].model_version, fragments[-1].response_id)
    assert reply.raw["choices"][0]["native_finish_reason"] == finish.value
    assert reply.usage.input_tokens + reply.usage.output_tokens == counts.total_token_count
    assert reply.usage == Usage(
        counts.prompt_token_count + (counts.tool_use_prompt_token_count or 0),
        (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0),
        counts.cached_content_token_count or 0,
        counts.thoughts_token_count or 0,
    )


@pytest.mark.parametrize("data", [sse(TEXT[0], OVERLOADED), sse(TEXT[0]) + BARE_ERROR], ids=["event", "bare"])
def test_the_same_error_in_a_stream(sdk: Client, data: bytes) -> None:
    """Status, name and message are those of the SDK's exception."""
    with pytest.raises(errors.ServerError) as raised:
        sdk.ask(data, SSE)
    error = decode(WIRE, SSE, data).close()

    assert (error.status, error.code, error.message) == (raised.value.code, raised.value.status, raised.value.message)


@pytest.mark.parametrize("document", [OVERLOADED, [OVERLOADED]], ids=["object", "list"])
def test_the_same_failed_response(sdk: Client, document: object) -> None:
    """Status, name and message are those of the SDK's exception, also when the error is in a list."""
    data = orjson.dumps(document)
    with pytest.raises(errors.ServerError) as raised:
        sdk.ask(data, JSON, 503)
    error = WIRE.failure(503, JSON, data)

    assert (error.status, error.code, error.message) == (raised.value.code, raised.value.status, raised.value.message)


def test_the_same_blocked_prompt(sdk: Client) -> None:
    """There are no candidates, and the reason is the same."""
    (theirs,) = sdk.ask(orjson.dumps(BLOCKED), JSON)
    error = decode(WIRE, JSON, BLOCKED).close()

    assert not theirs.candidates
    assert (type(error), error.code) == (Refused, theirs.prompt_feedback.block_reason.value)


def test_the_same_list_of_models(sdk: Client) -> None:
    """The ids are those the SDK takes, without the name of their collection."""
    listed = {"models": [{"name": "models/gemini-x", "inputTokenLimit": 8}, {"name": "models/gemini-y"}]}
    sdk.answer = httpx.Response(200, headers=JSON, content=orjson.dumps(listed))
    names = [model.name for model in sdk.models.list(config={"page_size": 1000})]

    assert [f"models/{name}" for name in WIRE.parse_models(orjson.dumps(listed))] == names
    ours, theirs = httpx.URL(WIRE.list_models("k").url), sdk.seen[0].url
    assert (ours.path, ours.params["pageSize"]) == (theirs.path, theirs.params["pageSize"])
