"""Contract with OpenRouter's SDK: its types accept our requests, its client reads the same replies in the same bytes.

The answers have the shapes of OpenRouter's pages "Errors and debugging", "Streaming" and "API reference".
"""

from __future__ import annotations

import math
from typing import Any

import httpx
import orjson
import pytest
from openrouter import OpenRouter, components, errors

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._types import Call
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.decoding import JSON, SSE, decode
from tests.helpers.openrouter_fixtures import COUNTS, HEAD, STREAMS, WHOLE, chunk, error, sse
from tests.helpers.openrouter_fixtures import MODEL as SERVED

ADDRESS = "https://openrouter.ai/api/v1"
WIRE = OpenAI(Provider(name="openrouter", base_url=ADDRESS), wall=lambda: 0.0)
MODEL = Model(provider="openrouter", id=SERVED)

HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
REQUESTS: list[tuple[list[dict[str, object]], dict[str, object]]] = [
    ([HI], {}),
    ([{"role": "system", "content": "Brief."}, HI], {
        "max_tokens": 16, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "top_a": 0.2, "seed": 1,
        "frequency_penalty": 0.1, "presence_penalty": 0.1, "repetition_penalty": 1.1, "stop": ["a"], "user": "u"}),
    ([HI, {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
      {"role": "tool", "tool_call_id": "c1", "content": "12"}, HI], {
        "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False}),
    ([HI], {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}}),
    ([{"role": "user", "content": [
        {"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "https://h/x.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
    ]}], {"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA, "strict": True}}}),
    ([HI], {
        "reasoning": {"effort": "high"}, "models": ["a/b", "c/d"], "session_id": "s", "metadata": {"k": "v"},
        "provider": {"order": ["anthropic"], "allow_fallbacks": False, "sort": "price", "require_parameters": True},
    }),
]


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_types_accept_what_we_send(
    messages: list[dict[str, object]], params: dict[str, object], stream: bool
) -> None:
    """They know every key: what they write again is what they read."""
    call = Call(messages, {}, {}, 0.0, math.inf)
    body = WIRE.encode(call, MODEL, params, "k", stream=stream, connect=None).body
    theirs = components.ChatRequest.model_validate_json(body).model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert {"stream": False, **orjson.loads(body)} == {"stream": False, **theirs}


class Client:
    """The SDK's client, whose network gives `answer`; `seen` is the last request."""

    def __init__(self) -> None:
        self.answer = httpx.Response(200)
        self.seen: httpx.Request | None = None
        self._sdk = OpenRouter(api_key="k", client=httpx.Client(transport=httpx.MockTransport(self._respond)))

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.seen = request
        return self.answer

    def ask(self, status: int, headers: dict[str, str], data: bytes) -> Any:
        """What the SDK reads in these bytes: chunks, or a result."""
        self.answer = httpx.Response(status, headers=headers, content=data)
        stream = headers is SSE
        answered = self._sdk.chat.send(model=MODEL.id, messages=[HI], stream=stream, retries=None)
        return list(answered) if stream else answered


@pytest.fixture(scope="module")
def sdk() -> Client:
    """One client for all tests: making one takes longer than all of them."""
    return Client()


def test_the_same_address_and_key(sdk: Client) -> None:
    """Address, key and body of a request are the same."""
    sdk.ask(200, JSON, orjson.dumps(WHOLE))
    ours = WIRE.encode(Call([HI], {}, {}, 0.0, math.inf), MODEL, {}, "k", stream=False, connect=None)

    assert ours.url == str(sdk.seen.url)
    assert ours.headers["Authorization"] == sdk.seen.headers["authorization"]
    assert {**orjson.loads(ours.body), "stream": False} == orjson.loads(sdk.seen.content)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_reply(sdk: Client, name: str) -> None:
    """Text, reasoning, tool calls, usage and cost are the same."""
    data = sse(*STREAMS[name], {**chunk(), "choices": [], "usage": COUNTS})
    theirs = sdk.ask(200, SSE, data)
    decoder = decode(WIRE, SSE, data)
    reply = decoder.reply
    deltas = [choice.delta for each in theirs for choice in each.choices]
    pieces = [call for delta in deltas for call in delta.tool_calls or ()]

    assert decoder.close() is None
    assert reply.text == "".join(delta.content or "" for delta in deltas)
    assert reply.reasoning == "".join(delta.reasoning or "" for delta in deltas)
    assert "".join(call["function"]["arguments"] for call in reply.tool_calls) == "".join(
        call.function.arguments or "" for call in pieces
    )
    assert reply.finish_reason == [choice.finish_reason for each in theirs for choice in each.choices][-1]
    counts = theirs[-1].usage
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (counts.prompt_tokens, counts.completion_tokens)
    assert reply.usage.cached_tokens == counts.prompt_tokens_details.cached_tokens
    assert reply.usage.reasoning_tokens == counts.completion_tokens_details.reasoning_tokens
    assert decoder.cost_usd == counts.cost


def test_a_body_is_the_same_reply(sdk: Client) -> None:
    """Text, reasoning, model and cost are the same."""
    data = orjson.dumps(WHOLE)
    theirs = sdk.ask(200, JSON, data)
    decoder = decode(WIRE, JSON, data)

    assert decoder.close() is None
    message = theirs.choices[0].message
    assert (decoder.reply.text, decoder.reply.reasoning) == (message.content, message.reasoning)
    assert (decoder.reply.served_model, decoder.cost_usd) == (theirs.model, theirs.usage.cost)


FAILURES = [
    (400, error(400, error_type="context_length_exceeded"), ContextTooLong),
    (400, error(400, error_type="invalid_request"), Rejected),
    (400, error(400, error_type="content_policy_violation"), Refused),
    (401, error(401, error_type="authentication"), Unauthorized),
    (402, error(402, error_type="payment_required"), OutOfCredit),
    (402, error(402, reason="in_flight_budget_exhausted", limit_source="openrouter_in_flight_budget"), RateLimited),
    (403, error(403, error_type="permission_denied"), Unauthorized),
    (403, error(403, reasons=["violence"], flagged_input="…"), Refused),
    (404, error(404, "No endpoints found for a/b.", error_type="not_found"), Rejected),
    (408, error(408, error_type="timeout"), ServerFailed),
    (413, error(413, error_type="payload_too_large"), Rejected),
    (422, error(422, error_type="unprocessable"), Rejected),
    (429, error(429, error_type="rate_limit_exceeded"), RateLimited),
    (500, error(500, error_type="server"), ServerFailed),
    (502, error(502, error_type="provider_unavailable"), ServerFailed),
    (503, error(503, error_type="provider_overloaded"), ServerFailed),
    (529, error(529, error_type="provider_overloaded"), RateLimited),
]


@pytest.mark.parametrize(("status", "document", "kind"), FAILURES)
def test_a_failed_response_is_the_same(sdk: Client, status: int, document: dict[str, Any], kind: type) -> None:
    """An error before anything is generated has the SDK's status and message."""
    data = orjson.dumps(document)
    with pytest.raises(errors.OpenRouterError) as raised:
        sdk.ask(status, JSON, data)
    ours = WIRE.failure(status, JSON, data)

    assert type(ours) is kind
    assert (ours.status, ours.message) == (raised.value.status_code, raised.value.data.error.message)


def test_an_error_in_the_middle_of_a_stream(sdk: Client) -> None:
    """In a chunk with a finish reason the SDK gives it as data; for us it ends the answer."""
    broken = {**chunk("error", content=""), **error(502, "Provider disconnected", error_type="provider_unavailable")}
    data = sse(chunk(content="Hel"), broken)
    *_, last = sdk.ask(200, SSE, data)
    decoder = decode(WIRE, SSE, data)
    ours = decoder.close()

    assert (type(ours), decoder.done) == (ServerFailed, True)
    assert (ours.status, ours.message) == (last.error.code, last.error.message)
    assert last.choices[0].finish_reason == "error"


CHOICE_ERROR = {"code": 502, "message": "broke", "metadata": {"error_type": "provider_unavailable"}}
ERRORS_IN_A_200 = [
    pytest.param({**error(502, error_type="provider_unavailable")}, ServerFailed, id="no choices"),
    pytest.param({**HEAD, "choices": [], **error(429, error_type="rate_limit_exceeded")}, RateLimited, id="beside"),
    pytest.param({**WHOLE, "choices": [{**WHOLE["choices"][0], "finish_reason": "error", "error": CHOICE_ERROR}]},
                 ServerFailed, id="in the choice"),
    pytest.param({**WHOLE, "choices": [{**WHOLE["choices"][0], "finish_reason": "error"}]}, BadReply, id="only named"),
    pytest.param({**WHOLE, "choices": []}, BadReply, id="nothing"),
]


@pytest.mark.parametrize(("document", "kind"), ERRORS_IN_A_200)
def test_an_error_in_a_200(sdk: Client, document: dict[str, Any], kind: type[AttemptError]) -> None:
    """The SDK gives what it can read as an answer and raises for the rest; we always read an error."""
    data = orjson.dumps(document)

    assert type(decode(WIRE, JSON, data).close()) is kind
    if "choices" not in document:
        with pytest.raises(errors.ResponseValidationError):
            sdk.ask(200, JSON, data)
    else:
        assert {"error"} >= {choice.finish_reason for choice in sdk.ask(200, JSON, data).choices}
