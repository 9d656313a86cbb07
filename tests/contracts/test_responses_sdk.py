"""Contract with OpenAI's SDK on the Responses API: its types accept our requests, its client reads the same replies.

Its accumulator wants every event in full and a `completed` at the end. Where it refuses a good end, as it does with
`incomplete`, and where a recorded server leaves events out, its events or its body are the judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import openai
import orjson
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseInputItemParam, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from asyncrouter._config.catalog import Model
from asyncrouter._config.response_format import AnswerFormat
from asyncrouter._wire.responses.kept import KEPT
from tests.helpers import anthropic_fixtures, gemini_fixtures
from tests.helpers.captured import read, rows
from tests.helpers.decoding import JSON, SSE, decode
from tests.helpers.responses_fixtures import (
    ANSWERS,
    LOOSE_WIRE,
    WIRE,
    body,
    call,
    events,
    events_of,
    message,
    reasoning,
    refusal,
    request,
    response,
    stream_of,
)
from tests.helpers.validated import read_iterators

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Reply

ADDRESS = "https://api.openai.com/v1"
BODIES = [row["capture"] for row in rows("/v1/responses")
          if row["status"] == "200 OK" and row["content-type"] == "application/json"
          and row["capture"] != "llamacpp-responses/35-chat-only-fields"]  # a list of two

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA}}
CUSTOM = {"type": "custom", "custom": {"name": "sql", "description": "d", "format": {
    "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
SQL = {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}


def said(*output: dict[str, object]) -> dict[str, object]:
    """The assistant's message of an answer of these items."""
    kept: dict[str, object] = decode(WIRE, JSON, response(*output)).reply.raw["choices"][0]["message"]
    return kept


SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed",
          "action": {"type": "search", "query": "q", "queries": ["q"]}}

REQUESTS: list[tuple[list[dict[str, object]], dict[str, object]]] = [
    ([HI], {}),
    ([{"role": "system", "content": "Brief."}, {"role": "developer", "content": [{"type": "text", "text": "So."}]}, HI],
     {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex"}),
    ([HI], {"reasoning_effort": "max", "verbosity": "low", "logprobs": True, "top_logprobs": 2, "store": True}),
    ([HI], {"reasoning": {"effort": "low", "summary": "auto"}, "safety_identifier": "s", "prompt_cache_key": "k"}),
    ([HI], {"response_format": {"type": "json_schema", "json_schema": {
        "name": "w", "schema": SCHEMA, "strict": True, "description": "d"}}}),
    ([HI], {"response_format": {"type": "json_object"}}),
    ([HI], {"response_format": AnswerFormat("w", SCHEMA)}),
    ([HI], {"response_format": AnswerFormat("w", {"type": "array", "items": SCHEMA})}),
    ([{"role": "user", "content": [
        {"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://h/x.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}, {"type": "file", "file": {"file_id": "f"}},
    ]}], {}),
    ([HI, {"role": "assistant", "content": "See.", "tool_calls": [CALL, SQL]},
      {"role": "tool", "tool_call_id": "call_1", "content": [
          {"type": "text", "text": "18"}, {"type": "image_url", "image_url": {"url": PNG}}]},
      {"role": "tool", "tool_call_id": "call_2", "content": "1"},
      {"role": "assistant", "content": None, "refusal": "No."}, HI],
     {"tools": [TOOL, CUSTOM], "tool_choice": "required", "parallel_tool_calls": False}),
    *([[HI], {"tools": [TOOL, CUSTOM, {"type": "web_search"}], "tool_choice": choice}] for choice in (
        "auto", "none", {"type": "function", "function": {"name": "get_weather"}},
        {"type": "custom", "custom": {"name": "sql"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL, TOOL]}},
    )),
    ([HI, said(reasoning("Plan."), message("Look.", phase="commentary"), reasoning(number=2),
               call("get_weather", '{"city":"Paris"}')),
      {"role": "tool", "tool_call_id": "call_1", "content": "18"}], {"tools": [TOOL]}),
    ([HI, said(refusal("No.")), HI], {}),
    ([HI, said(SEARCH, message("So.")), HI], {}),
    ([HI, said(message("So.", id="?", phase="final_answer")), HI], {}),
    ([{"role": "tool", "tool_call_id": "call_1", "content": "18"}], {"previous_response_id": "resp_1"}),
]


@pytest.mark.parametrize(("messages", "params"), REQUESTS)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-6-sol", "my-deployment"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_types_accept_what_we_send(
    messages: list[dict[str, object]], params: dict[str, object], model: str, stream: bool
) -> None:
    """They know every key: what comes out of their validation is what went in, item by item."""
    sent = request(messages, params, Model(provider="openai", id=model), stream=stream)
    types = TypeAdapter(ResponseCreateParamsStreaming if stream else ResponseCreateParamsNonStreaming)
    items = TypeAdapter(ResponseInputItemParam)

    assert read_iterators(types.validate_python(sent)) == sent
    assert [read_iterators(items.validate_python(item)) for item in sent["input"]] == sent["input"]  # type: ignore[attr-defined]


FOREIGN = {
    "anthropic": [decode(anthropic_fixtures.WIRE, SSE, data).reply for data in anthropic_fixtures.STREAMS.values()],
    "gemini": [gemini_fixtures.stream(*documents).reply for documents in gemini_fixtures.STREAMS.values()],
}


@pytest.mark.parametrize("vendor", FOREIGN)
def test_the_answers_of_other_vendors_can_be_sent(vendor: str) -> None:
    """Their message stands in the history as it is; what only they can read is left out."""
    items = TypeAdapter(ResponseInputItemParam)
    for reply in FOREIGN[vendor]:
        kept = reply.raw["choices"][0]["message"]
        results = [{"role": "tool", "tool_call_id": made["id"], "content": "1"} for made in kept.get("tool_calls", [])]
        sent = request([HI, kept, *results, HI])["input"]

        assert [read_iterators(items.validate_python(item)) for item in sent] == sent  # type: ignore[attr-defined]


def client(answer: httpx2.Response) -> openai.OpenAI:
    """The SDK's client, with this answer where the network would be."""
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    return openai.OpenAI(api_key="k", base_url=ADDRESS, http_client=http, max_retries=0)


def answer_of(kind: dict[str, str], data: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers=kind, content=data)


def accumulated(data: bytes) -> Response:
    """What the SDK's accumulator makes of a stream."""
    with client(answer_of(SSE, data)) as sdk, sdk.responses.stream(model="m", input="x") as stream:
        return stream.get_final_response()


def events_read(data: bytes) -> list[ResponseStreamEvent]:
    """The events that the SDK's client reads in a stream."""
    with client(answer_of(SSE, data)) as sdk:
        return list(sdk.responses.create(model="m", input="x", stream=True))


def body_read(data: bytes) -> Response:
    """The response that the SDK's client reads in a body."""
    with client(answer_of(JSON, data)) as sdk:
        return sdk.responses.create(model="m", input="x")


def read_by_us(kind: dict[str, str], data: bytes) -> tuple[Reply, AttemptError | None]:
    decoder = decode(WIRE, kind, data)
    return decoder.reply, decoder.close()


def assert_same(reply: Reply, theirs: Response, *, cut: bool = False) -> None:
    """Text, refusals, tool calls, model and usage are those of the SDK's response; so is every item."""
    refusals = "".join(part.refusal for item in theirs.output if item.type == "message"
                       for part in item.content if part.type == "refusal")
    calls = [(item.call_id, item.name, item.arguments) for item in theirs.output if item.type == "function_call"]
    assert reply.text == theirs.output_text + refusals
    assert [(made["id"], made["function"]["name"], made["function"]["arguments"]) for made in reply.tool_calls] == calls
    assert reply.served_model == theirs.model
    summaries = [part.text for item in theirs.output if item.type == "reasoning" for part in item.summary]
    assert reply.reasoning == "\n\n".join(summaries)
    if theirs.usage is not None:
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
            theirs.usage.input_tokens, theirs.usage.output_tokens)
    ends = {"max_output_tokens": "length", "content_filter": "content_filter", "steered": "other"}
    if theirs.incomplete_details is not None:
        assert reply.finish_reason == ends[str(theirs.incomplete_details.reason)]
    elif not cut:
        assert reply.finish_reason == ("tool_calls" if calls else "stop")
    kept = reply.raw["choices"][0]["message"][KEPT]
    assert [(item["type"], item["id"]) for item in kept] == [(item.type, item.id) for item in theirs.output]


COMPLETED = [name for name, answer in ANSWERS.items() if answer["status"] == "completed"]


@pytest.mark.parametrize("name", COMPLETED)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_the_accumulator_makes_the_same_of_a_stream(name: str, size: int) -> None:
    """Of every completed one."""
    data = stream_of(ANSWERS[name], size)
    reply, error = read_by_us(SSE, data)

    assert error is None
    assert_same(reply, accumulated(data))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_event_of_our_fixtures_is_one_of_the_apis(name: str) -> None:
    """So that what is tested with them is tested with the API's own shapes; the last one ends the same."""
    types = TypeAdapter(ResponseStreamEvent)
    for event in events_of(ANSWERS[name]):
        types.validate_python(event)
    last = events_read(stream_of(ANSWERS[name]))[-1]
    reply, error = read_by_us(SSE, stream_of(ANSWERS[name]))

    assert error is None
    assert_same(reply, last.response)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_body_is_the_same_reply(name: str) -> None:
    """As the SDK reads it."""
    reply, error = read_by_us(JSON, body(ANSWERS[name]))

    assert error is None
    assert_same(reply, body_read(body(ANSWERS[name])))


@pytest.mark.parametrize("name", BODIES)
def test_a_recorded_body_is_the_same_reply(name: str) -> None:
    """llama.cpp's, which calls every answer completed."""
    _, headers, data, params = read(name)
    decoder = decode(LOOSE_WIRE, headers, data, params)

    assert decoder.close() is None
    assert_same(decoder.reply, body_read(data), cut=True)


@pytest.mark.parametrize("name", ANSWERS)
def test_raw_is_a_chat_completion(name: str) -> None:
    """The SDK's type takes it, but for an end that Chat Completions has no word for."""
    raw = orjson.loads(orjson.dumps(decode(WIRE, JSON, ANSWERS[name]).reply.raw))
    if name == "steered":
        raw["choices"][0]["finish_reason"] = "stop"
    completion = ChatCompletion.model_validate(raw)

    assert completion.choices[0].message.content == raw["choices"][0]["message"]["content"]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 50


@pytest.mark.parametrize("name", COMPLETED)
def test_a_cut_that_the_accumulator_refuses_we_refuse(name: str) -> None:
    """After every event but the last: neither takes it for an answer."""
    told = events_of(ANSWERS[name])
    for length in range(1, len(told)):
        with pytest.raises(RuntimeError):
            accumulated(events(*told[:length]))

        assert read_by_us(SSE, events(*told[:length]))[1] is not None


@pytest.mark.parametrize("event", [
    {"type": "error", "code": "server_error", "message": "x", "param": None, "sequence_number": 1},
    {"type": "error", "error": {"type": "server_error", "code": "server_error", "message": "x"}, "sequence_number": 1},
    {"type": "response.failed", "response": response(status="failed", error={"code": "server_error", "message": "x"}),
     "sequence_number": 1},
])
def test_an_error_in_a_stream_is_one_for_both(event: dict[str, object]) -> None:
    """Flat, nested, or a response that failed."""
    data = events(events_of(ANSWERS["text"])[0], event)
    with pytest.raises((RuntimeError, openai.APIError)):
        accumulated(data)

    assert read_by_us(SSE, data)[1] is not None
