"""The OpenAI wire: what is sent, and what is made of what comes back."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import AttemptError, BadReply, ContextTooLong, RateLimited, Refused, ServerFailed
from asyncrouter._types import Call, Chunk, Usage
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.planted import KEY

PROVIDER = Provider(name="openrouter", base_url="https://openrouter.ai/api/v1/", headers={"X-Title": "app"})
WIRE = OpenAI(PROVIDER, wall=lambda: 0.0)
MODEL = Model(provider="openrouter", id="a/b", drop=("top_k",))
MESSAGES = [{"role": "user", "content": "Hi"}]
SSE = {"content-type": "text/event-stream; charset=utf-8", "x-generation-id": "gen-1"}
JSON = {"content-type": "application/json"}


def call(messages: object = MESSAGES, **headers: str) -> Call:
    return Call(messages, {}, headers, 0.0, math.inf)


def encode(messages: object = MESSAGES, *, stream: bool = False, key: str | None = "sk-1", **params: object):
    return WIRE.encode(call(messages), MODEL, params, key, stream=stream, connect=5.0)


def sse(*events: object) -> bytes:
    written = (event if isinstance(event, bytes) else orjson.dumps(event) for event in events)
    return b"".join(b"data: " + data + b"\n\n" for data in written)


def delta(finish: str | None = None, index: int = 0, **fields: object) -> dict[str, object]:
    return {"id": "c1", "model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def whole(finish: str | None = "stop", **message: object) -> dict[str, object]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def events(*documents: object, params: dict[str, object] | None = None, chunks: list[Chunk] | None = None):
    decoder = WIRE.decoder(SSE, params or {})
    decoder.feed(sse(*documents), chunks)
    return decoder


def body(document: object, params: dict[str, object] | None = None):
    decoder = WIRE.decoder(JSON, params or {})
    decoder.feed(document if isinstance(document, bytes) else orjson.dumps(document))
    return decoder


DONE = b"[DONE]"


# What is sent


def test_a_request_is_complete() -> None:
    """Address, headers and body of a plain call."""
    request = encode(temperature=0.2, top_k=5)

    assert (request.method, request.connect) == ("POST", 5.0)
    assert request.url == "https://openrouter.ai/api/v1/chat/completions"
    assert request.headers == {
        "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "asyncrouter",
        "Authorization": "Bearer sk-1", "X-Title": "app",
    }
    assert orjson.loads(request.body) == {"model": "a/b", "messages": MESSAGES, "temperature": 0.2}


def test_a_stream_asks_for_usage_and_no_compression() -> None:
    """A compressor would hold tokens back and hide a cut."""
    request = encode(stream=True)

    assert request.headers["Accept-Encoding"] == "identity"
    sent = orjson.loads(request.body)
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_no_key_no_auth_header() -> None:
    """A local server needs none."""
    assert "Authorization" not in encode(key=None).headers


def test_headers_are_built_once_for_a_key() -> None:
    """The same mapping serves every call; another key, or a stream, has its own."""
    assert encode().headers is encode().headers
    assert encode(key="sk-2").headers["Authorization"] == "Bearer sk-2"
    assert encode().headers["Authorization"] == "Bearer sk-1"


def test_the_calls_headers_lie_over_all_others_whatever_their_case() -> None:
    """A header is never sent twice."""
    mine = call(authorization="Basic x", **{"x-title": "mine"})
    request = WIRE.encode(mine, MODEL, {}, "k", stream=False, connect=None)

    assert (request.headers["authorization"], request.headers["x-title"]) == ("Basic x", "mine")
    assert len(request.headers) == len({name.lower() for name in request.headers})


def test_a_query_proxy_and_ca_go_along() -> None:
    """What the provider's entry says about the way there."""
    wire = OpenAI(Provider(base_url="http://h/v1", query={"v": "1 2"}, proxy="http://p", ca="/c.pem"))
    request = wire.encode(call(), MODEL, {}, None, stream=False, connect=None)

    assert (request.url, request.proxy, request.ca) == ("http://h/v1/chat/completions?v=1+2", "http://p", "/c.pem")
    assert wire.list_models(None).url == "http://h/v1/models?v=1+2"


def test_the_callers_objects_are_not_touched() -> None:
    """Neither messages nor parameters are changed."""
    messages, params = copy.deepcopy(MESSAGES), {"tools": [{"x": 1}], "top_k": 1}
    before = copy.deepcopy((messages, params))
    encode(messages, stream=True, **params)

    assert before == (messages, params)


def test_parameters_cannot_change_the_model_or_the_stream() -> None:
    """What the router decides stays decided."""
    params = {"model": "x/y", "messages": [], "stream": False}
    sent = orjson.loads(WIRE.encode(call(), MODEL, params, None, stream=True, connect=None).body)

    assert (sent["model"], sent["messages"], sent["stream"]) == ("a/b", MESSAGES, True)


@dataclasses.dataclass
class Point:
    x: int = 1


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("params", "error", "named"),
    [
        ({"temperature": math.nan}, ValueError, "temperature: JSON has no nan"),
        ({"temperature": math.inf}, ValueError, "temperature: JSON has no inf"),
        ({"logit_bias": {"5": [1.0, -math.inf]}}, ValueError, "logit_bias.5[1]: JSON has no -inf"),
        ({"stop": None, "x": math.nan}, ValueError, "x: JSON has no nan"),
        ({"seed": 2**64}, ValueError, "seed: an integer of 65 bits"),
        ({"seed": -(2**63) - 1}, ValueError, "seed: an integer of 64 bits"),
        ({"seed": 10**6000}, ValueError, "seed: an integer of 19932 bits"),
        ({"user": "\ud800"}, ValueError, "user: not valid Unicode, a lone surrogate at position 0"),
        ({"metadata": {"\ud800": 1}}, ValueError, "metadata: the key: not valid Unicode"),
        ({"logit_bias": {5: 1}}, TypeError, "logit_bias: a key must be a str, got 5 (int)"),
        ({"stop": {"a"}}, TypeError, "stop: set cannot be written as JSON"),
        ({"stop": b"a"}, TypeError, "stop: bytes cannot be written as JSON"),
        ({"metadata": {"at": datetime.date(2026, 1, 1)}}, TypeError, "metadata.at: date cannot"),
        ({"tools": [Point()]}, TypeError, "tools[0]: Point cannot"),
        ({"tools": deep(300)}, ValueError, "tools: nested deeper than 254 levels"),
        ({"tools": LOOP}, ValueError, "tools: nested deeper than 254 levels"),
    ],
)
def test_a_parameter_that_json_cannot_say_is_named(params: dict[str, object], error: type, named: str) -> None:
    """Before anything is sent: which argument, where in it, and what is wrong."""
    with pytest.raises(error) as raised:
        encode(**params)

    assert type(raised.value) is error
    assert str(raised.value).startswith(named)


def test_a_message_that_json_cannot_say_is_named() -> None:
    """The path leads to the place."""
    with pytest.raises(ValueError, match=r"^messages\[1\]\.content: not valid Unicode, .* at position 2$"):
        encode([*MESSAGES, {"role": "user", "content": "ab\udfff"}])


def test_what_json_can_say_passes() -> None:
    """null, unsigned 64-bit, deep, and every plane of Unicode."""
    params = {"stop": None, "seed": 2**64 - 1, "x": deep(250), "user": "é🙂\x00", "t": 1e300, "words": "null"}

    assert params == {name: orjson.loads(encode(**params).body)[name] for name in params}


def test_models_are_listed() -> None:
    """OpenAI's envelope, Together's bare list; anything else is a `BadReply`."""
    assert (WIRE.list_models("k").method, WIRE.list_models("k").body) == ("GET", b"")
    assert "Content-Type" not in WIRE.list_models("k").headers
    assert WIRE.parse_models(b'{"data":[{"id":"a"},{"id":"b"},{},3]}') == ["a", "b"]
    assert WIRE.parse_models(b'[{"id":"a"}]') == ["a"]
    for strange in (b"", b"<html>", b"{}", b"null", b'{"data":{}}'):
        with pytest.raises(BadReply):
            WIRE.parse_models(strange)


def test_request_ids() -> None:
    """OpenAI's name before OpenRouter's."""
    assert WIRE.request_id(SSE) == "gen-1"
    assert WIRE.request_id({**SSE, "x-request-id": "a"}) == "a"
    assert WIRE.request_id({}) is None


def test_no_repr_shows_a_secret() -> None:
    """Keys and headers stay out of sight."""
    request = encode(key=KEY)

    assert "secret" not in repr(WIRE) + repr(request)


# What comes back, as a stream


def test_a_stream_becomes_a_reply() -> None:
    """Text, finish reason, served model, usage and cost; the raw object as if it had not been streamed."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cost": 0.001,
             "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1}}
    decoder = events(
        {"id": "c1", "model": "m", "object": "chat.completion.chunk", "created": 5, "system_fingerprint": "f",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        delta(content="Hel"), delta(content="lo"), delta("stop"), {"id": "c1", "choices": [], "usage": usage}, DONE,
    )
    reply = decoder.reply

    assert decoder.close() is None
    assert (decoder.content, decoder.done, decoder.cost_usd, decoder.skipped) == (2, True, 0.001, 0)
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("Hello", "", ())
    assert (reply.finish_reason, reply.served_model) == ("stop", "m")
    assert reply.usage == Usage(9, 2, 4, 1)
    assert {
        "id": "c1", "model": "m", "object": "chat.completion", "created": 5, "system_fingerprint": "f", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    } == reply.raw


def test_chunks_come_as_the_words_do() -> None:
    """One for each event that brings content; the last one alone has finish reason and usage."""
    chunks: list[Chunk] = []
    decoder = events(
        delta(role="assistant", content=""), delta(reasoning="hm"), delta(content="a"),
        delta(role="assistant", content="b"), delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, DONE, chunks=chunks,
    )

    assert chunks == [Chunk(reasoning="hm"), Chunk("a"), Chunk("b")]
    assert decoder.final() == Chunk(finish_reason="stop", usage=Usage(1, 2))


def test_nothing_but_content_counts_as_content() -> None:
    """No role, empty delta, comment, usage, id or `[DONE]` wins a race."""
    decoder = events(
        delta(role="assistant"), delta(role="assistant", content=""), delta(content=None), delta(), {"choices": []},
        {"choices": [], "usage": {"prompt_tokens": 1}}, delta(tool_calls=[{"index": 0, "id": "x", "type": "function"}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}]), delta("stop"),
    )
    decoder.feed(b": OPENROUTER PROCESSING\n\ndata:\n\n")

    assert (decoder.content, decoder.skipped) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "x"}, {"reasoning": "x"}, {"reasoning_content": "x"}, {"refusal": "x"},
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, {"tool_calls": [{"index": 0,
         "function": {"name": "f", "arguments": "{"}}]},
        {"content": [{"type": "text", "text": "x"}]}, {"content": [{"type": "thinking", "thinking": [{"type": "text",
         "text": "x"}]}]},
    ],
)
def test_every_kind_of_content_counts(fields: dict[str, object]) -> None:
    """Each is one piece, and each makes an answer that is not empty."""
    decoder = events(delta(**fields), delta("stop"), DONE)

    assert (decoder.content, decoder.close()) == (1, None)


def test_reasoning_under_two_names_is_told_once() -> None:
    """Some hosts send both; the raw object keeps both."""
    chunks: list[Chunk] = []
    reply = events(delta(reasoning="a", reasoning_content="a"), delta("stop", content="b"), chunks=chunks).reply

    assert reply.reasoning == "a"
    assert [chunk.reasoning for chunk in chunks] == ["a", ""]
    message = reply.raw["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "b", "reasoning": "a", "reasoning_content": "a"}


def test_a_refusals_words_are_the_text() -> None:
    """So that a reader sees them; the raw object keeps them in their own field."""
    streamed = events(delta(refusal="I "), delta("stop", refusal="won't"), DONE)
    buffered = body(whole(role="assistant", content=None, refusal="I won't"))

    for decoder in (streamed, buffered):
        assert decoder.close() is None
        assert decoder.reply.text == "I won't"
        message = decoder.reply.raw["choices"][0]["message"]
        assert message == {"role": "assistant", "content": None, "refusal": "I won't"}


def test_parallel_tool_calls_are_put_together_by_index() -> None:
    """Arguments of two calls may come interleaved."""
    chunks: list[Chunk] = []
    deltas = [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}, {"index": 1, "function": {"arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
    ]
    decoder = events(*(delta(tool_calls=calls) for calls in deltas), delta("tool_calls"), DONE, chunks=chunks)
    expected = (
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    )

    assert (decoder.close(), decoder.reply.finish_reason) == (None, "tool_calls")
    assert decoder.reply.tool_calls == expected
    assert list(expected) == decoder.reply.raw["choices"][0]["message"]["tool_calls"]
    assert [tuple(calls) for calls in deltas] == [chunk.tool_calls for chunk in chunks]


@pytest.mark.parametrize(
    "deltas",
    [
        # no index: by id, and what has no id continues the last
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}, {"id": "b", "function": {"name": "g"}},
         {"function": {"arguments": "3"}}, {"id": "a", "function": {"arguments": "2"}}],
        # neither index nor id but names
        [{"function": {"name": "f", "arguments": "12"}}, {"function": {"name": "g", "arguments": "3"}}],
        # index 0 for all
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "12"}},
         {"index": 0, "id": "b", "function": {"name": "g", "arguments": "3"}}],
        # the head repeated with every piece
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}},
         {"index": 0, "id": "a", "function": {"name": "f", "arguments": "2"}},
         {"index": 1, "function": {"name": "g", "arguments": "3"}}],
        # the index alone
        [{"index": 0, "function": {"name": "f", "arguments": "12"}},
         {"index": 1, "function": {"name": "g", "arguments": "3"}}],
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_tool_calls_without_proper_numbers(deltas: list[dict[str, object]], together: bool) -> None:
    """The same two calls, however a host numbers them, in one chunk or one by one."""
    groups = [deltas] if together else [[one] for one in deltas]
    calls = events(*(delta(tool_calls=group) for group in groups), delta("tool_calls"), DONE).reply.tool_calls

    assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [("f", "12"), ("g", "3")]


def test_arguments_may_come_as_an_object() -> None:
    """Ollama's way; a reader always finds text."""
    reply = body(whole("tool_calls", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}])).reply

    assert reply.tool_calls[0]["function"]["arguments"] == '{"x":1}'


def test_tool_arguments_cut_by_length_are_a_reply() -> None:
    """The finish reason says so; the caller decides."""
    decoder = events(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"x'}}]), delta("length"))

    assert (decoder.close(), decoder.reply.finish_reason) == (None, "length")


def test_two_choices() -> None:
    """The reply speaks of index 0; the raw object has both; an end needs both finished."""
    decoder, chunks = WIRE.decoder(SSE, {"n": 2}), []
    decoder.feed(sse(delta(index=0, content="a1"), delta(index=1, content="b1"), delta(index=1, content="b2")), chunks)
    decoder.feed(sse(delta("length", index=1)), chunks)
    assert isinstance(decoder.close(), BadReply)
    decoder.feed(sse(delta(index=0, content="a2"), delta("stop", index=0)), chunks)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("a1a2", "stop")
    assert [chunk.text for chunk in chunks] == ["a1", "a2"]
    assert [
        (choice["message"]["content"], choice["finish_reason"]) for choice in decoder.reply.raw["choices"]
    ] == [("a1a2", "stop"), ("b1b2", "length")]


def test_the_second_choice_must_have_begun() -> None:
    """With n = 2 one finished choice is half of the answer, unless the provider says it is all."""
    decoder = events(delta("stop", content="a"), params={"n": 2})
    assert isinstance(decoder.close(), BadReply)
    decoder.feed(sse(DONE))

    assert decoder.close() is None


def test_logprobs_are_joined() -> None:
    """Token by token into one list; fields of a choice that we do not know are kept."""
    chunks = [delta(content="a"), delta(content="b"), delta("stop", content="c")]
    for chunk in chunks:
        choice = chunk["choices"][0]
        choice["logprobs"] = {"content": [{"token": choice["delta"]["content"]}], "refusal": None}
    chunks[2]["choices"][0]["native_finish_reason"] = "end"
    choice = events(*chunks).reply.raw["choices"][0]

    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}, {"token": "c"}]}
    assert choice["native_finish_reason"] == "end"


def test_words_beside_fields_that_say_nothing() -> None:
    """Hosts name the reasoning and the calls that there are not with every token."""
    chunks: list[Chunk] = []
    nothing = {"role": "assistant", "reasoning_content": None, "reasoning_details": [], "tool_calls": None}
    decoder = events(
        delta(content="a", **nothing), delta(content="b", **nothing), delta(content="c", reasoning="d"), delta("stop"),
        chunks=chunks,
    )

    assert (decoder.close(), decoder.reply.text, decoder.reply.reasoning) == (None, "abc", "d")
    assert chunks == [Chunk("a"), Chunk("b"), Chunk("c", "d")]


def test_reasoning_details_are_whole_again() -> None:
    """Each thought with the signature that its last piece brings; what comes in one piece stays as it is."""
    sealed = {"type": "reasoning.encrypted", "data": "abc", "index": 1}
    pieces = [
        {"type": "reasoning.text", "text": "Let me", "signature": None, "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": " see.", "index": 0},
        {"type": "reasoning.text", "signature": "S", "index": 0},
        sealed, sealed,
        {"type": "reasoning.summary", "summary": "Saw", "index": 2},
        {"type": "reasoning.summary", "summary": "n.", "index": 2},
        {"type": "reasoning.summary", "summary": "Next.", "index": 3},
    ]
    decoder = events(*(delta(reasoning_details=[piece]) for piece in pieces), delta("stop", content="So."))

    assert [
        {**pieces[0], "text": "Let me see.", "signature": "S"},
        sealed, sealed,
        {"type": "reasoning.summary", "summary": "Sawn.", "index": 2},
        {"type": "reasoning.summary", "summary": "Next.", "index": 3},
    ] == decoder.reply.raw["choices"][0]["message"]["reasoning_details"]


def test_fields_of_a_delta_that_we_do_not_know_are_kept() -> None:
    """Lists grow; of the rest the last one stands."""
    message = events(
        delta(content="a", annotations=[1], x=1), delta(annotations=[2], reasoning_details=[3], x=2), delta("stop")
    ).reply.raw["choices"][0]["message"]

    assert message == {"role": "assistant", "content": "a", "annotations": [1, 2], "reasoning_details": [3], "x": 2}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 2}, Usage(3, 4, 2)),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}, Usage(3, 0)),
        ({"prompt_tokens": 3.0, "completion_tokens": "x", "completion_tokens_details": [1]}, Usage(3, 0)),
        ({}, None), ({"prompt_tokens": None}, None), ({"total_tokens": 3}, None), ([1], None), (None, None),
    ],
)
def test_usage(usage: object, expected: Usage | None) -> None:
    """Every host's way of counting, in a body, in a last chunk and in Groq's own place."""
    assert body({**whole(content="a"), "usage": usage}).reply.usage == expected
    assert events(delta("stop", content="a"), {"choices": [], "usage": usage}).reply.usage == expected
    assert events({**delta("stop", content="a"), "x_groq": {"usage": usage}}).reply.usage == expected


def test_the_last_usage_counts() -> None:
    """Some hosts count up in every chunk."""
    chunks = [{**delta(content="x"), "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]

    assert events(*chunks).reply.usage == Usage(5, 3)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0.5, 0.5), (0, 0.0), ("1", None), (True, None), (-1, None), ({"total": 1}, None), (None, None)],
)
def test_cost(cost: object, expected: float | None) -> None:
    """A number that the provider charged, and nothing that only looks like one."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}

    assert events(delta("stop", content="a"), {"choices": [], "usage": usage}).cost_usd == expected
    assert body({**whole(content="a"), "usage": usage}).cost_usd == expected


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("stop", "stop"), ("eos", "stop"), ("length", "length"), ("model_length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"), ("content_filter", "content_filter"), ("STOP", "stop"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(native: str, expected: str) -> None:
    """One of four words; the native one stays in the raw object."""
    for decoder in (events(delta(native, content="a")), body(whole(native, content="a"))):
        assert (decoder.close(), decoder.reply.finish_reason) == (None, expected)
        assert native == decoder.reply.raw["choices"][0]["finish_reason"]


# What an end is


@pytest.mark.parametrize(
    ("documents", "params", "expected"),
    [
        ([], {}, BadReply),
        ([DONE], {}, BadReply),
        ([delta(content="a")], {}, BadReply),
        ([delta(content="a"), DONE], {}, None),
        ([delta(content="a"), delta("stop")], {}, None),
        ([delta("stop"), DONE], {}, BadReply),
        ([delta("stop"), DONE], {"stop": ["\n"]}, None),
        ([delta("length"), DONE], {}, None),
        ([delta("tool_calls"), DONE], {}, BadReply),
        ([delta("content_filter"), DONE], {}, Refused),
        ([delta("content_filter"), DONE], {"stop": "x"}, Refused),
        ([delta(content="a"), delta("content_filter")], {}, None),
        ([delta(content="a"), delta("error")], {}, BadReply),
        ([delta(content="a"), delta("stop"), {"error": {"code": 502, "message": "m"}}], {}, ServerFailed),
        ([delta(content="a"), {"error": {"code": "server_error", "message": "m"},
         "choices": [{"finish_reason": "error"}]}], {}, ServerFailed),
        ([{"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "m"}}]}],
         {}, RateLimited),
        ([delta(content="a"), {"x_groq": {"error": "over capacity"}, "choices": []}], {}, ServerFailed),
        ([{"error": {"message": "maximum context length", "code": 400}}, DONE], {}, ContextTooLong),
        ([{"object": "error", "message": "maximum context length"}, DONE], {}, ContextTooLong),
        ([delta(content="a"), {**delta(content="b"), "error": {"code": 502, "message": "m"}}], {}, ServerFailed),
        ([delta(content="a"), {"choices": [{"index": 0, "delta": {"content": "b"}, "error": {"code": 502}}]}], {},
         ServerFailed),
        ([{"error": "warming up"}], {}, BadReply),
        ([{"error": None, **delta("stop", content="a")}], {}, None),
        ([{"choices": [None, 3, {}]}, {"choices": "x"}, {"choices": [{"delta": 5}]},
         {"choices": [{"delta": {"content": 5}}]}], {}, BadReply),
        ([{"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}], {}, None),
    ],
)
def test_what_an_end_of_a_stream_is(documents: list[object], params: dict[str, object], expected: type | None) -> None:
    """A whole answer, or the error that says why it is none; asking twice gives the same."""
    decoder = events(*documents, params=params)

    for _ in range(2):
        error = decoder.close()
        assert (None if error is None else type(error)) is expected


@pytest.mark.parametrize(
    ("document", "params", "expected"),
    [
        (b"", {}, BadReply), (b"   \n\n", {}, BadReply), (b"<html>hi</html>", {}, BadReply),
        (b'{"choices":', {}, BadReply),
        (b"null", {}, BadReply), (b"[]", {}, BadReply), (b'"x"', {}, BadReply), (b"[" * 2000, {}, BadReply),
        ({}, {}, BadReply),
        ({"choices": []}, {}, BadReply), ({"choices": [{}]}, {}, BadReply), (whole(None, content="a"), {}, BadReply),
        (whole(content="a"), {}, None), (whole(content=""), {}, BadReply), (whole(content=None), {}, BadReply),
        (whole(content=""), {"stop": "x"}, None), (whole("length", content=""), {}, None),
        (whole("content_filter", content=""), {}, Refused),
        (whole("content_filter", content="a"), {}, None), (whole("error", content="a"), {}, BadReply),
        ({"error": {"code": 503, "message": "m"}}, {}, ServerFailed), ({"error": "warming up"}, {}, BadReply),
        ([{"error": {"code": 429, "message": "m"}}], {}, RateLimited),
        ({"detail": "prompt is too long"}, {}, ContextTooLong),
        ({"object": "error", "message": "m", "code": 429}, {}, RateLimited),
        ({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "error", "error": {"code": 502}}]},
         {}, ServerFailed),
        (whole("stop", function_call={"name": "f", "arguments": "{}"}, content=None), {}, None),
    ],
)
def test_what_a_body_is(document: object, params: dict[str, object], expected: type | None) -> None:
    """A whole answer, or the error that says why it is none."""
    error = body(document, params).close()

    assert (None if error is None else type(error)) is expected


def test_a_malformed_event_amid_good_ones_is_skipped_and_counted() -> None:
    """Only the whole-answer check decides."""
    decoder = events(delta(content="a"), b"{oops", b"3", b'"text"', delta(content="b"), delta("stop"), DONE)

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (3, "ab", None)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"id":"c1","model":"m","choices":[{"ind', b'ices":[{"index":0,"delta":{"content":"x"}}]}', b"null}]}",
        b'{"choices":[]}\ndata: {"choices":[]}', b'[{"choices":[]},{"choices":[]}',
    ],
)
def test_a_broken_event_fails_the_answer(broken: bytes) -> None:
    """It was an object of the answer: what is left has a hole, whatever comes after. So it need not be read."""
    decoder = events(delta(content="a"), broken, delta(content="b"), delta("stop"), DONE)
    error = decoder.close()

    assert type(error) is BadReply
    assert error.message.startswith("a broken event: ")
    assert (decoder.skipped, decoder.done, decoder.reply.text) == (1, True, "a")


@pytest.mark.parametrize("line", [b"dta: ", b"", b"\xffdata: ", b"event: x", b"id: 7data: "])
def test_an_event_that_lost_its_field_fails_the_answer(line: bytes) -> None:
    """A garbled name, or a line end that is missing: the standard passes over it, and half an answer looks whole."""
    lost = line + orjson.dumps(delta(content="b")) + b"\n\n"
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(sse(delta(content="a")) + lost + sse(delta("stop"), DONE))

    assert type(decoder.close()) is BadReply
    assert decoder.skipped == 1


def test_lines_of_the_future_are_counted_and_change_nothing() -> None:
    """Fields this standard does not know, without an object in them; beside data and alone."""
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(b"priority: 1\n" + sse(delta(content="a")) + b"hello\n\n" + sse(delta("stop"), DONE))

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (2, "a", None)


def test_an_error_without_a_field_is_one() -> None:
    """Bare JSON in the middle of a stream, at once or when the stream ends with it."""
    error = b'{"error":{"message":"Overloaded","code":503}}'
    for end in (b"\n\n", b"\n", b""):
        decoder = WIRE.decoder(SSE, {})
        decoder.feed(sse(delta(content="a")) + error + end)

        assert type(decoder.close()) is ServerFailed
        assert (end == b"\n\n") is decoder.done


CALL = {"id": "x", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "document",
    [
        {"choices": "x"}, {"choices": {}}, {"choices": [None]}, {"choices": ["x"]},
        {"choices": [{"index": 0, "delta": "x"}]}, {"choices": [{"index": 0, "delta": ""}]},
        {"choices": [{"index": "0", "delta": {"content": "x"}}]}, {"choices": [{"index": -1, "delta": {}}]},
        delta(3), delta(content=7), delta(content=["x"]), delta(content={"text": "x"}), delta(tool_calls="x"),
        delta(tool_calls=["x"]), delta(tool_calls=[{**CALL, "index": [0]}]), delta(tool_calls=[{"function": "f"}]),
        delta(tool_calls=[{"function": {"name": 1}}]), delta(tool_calls=[{"function": {"name": "f", "arguments": 1}}]),
        delta(function_call="f"), delta(refusal=["x"]), delta(tool_calls=[{**CALL, "index": True}]),
        {"choices": [{"index": True, "delta": {"content": "x"}}]},
    ],
)
def test_a_shape_in_which_nothing_can_be_read_fails_the_answer(document: dict[str, object]) -> None:
    """What stood there is lost; an end that looks whole does not bring it back."""
    error = events(delta(content="a"), document, delta("stop"), DONE).close()

    assert type(error) is BadReply
    assert error.message.startswith("malformed: ")


def test_a_tool_call_without_a_name_is_none() -> None:
    """Nobody could carry it out."""
    error = events(delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]), delta("tool_calls"), DONE).close()

    assert error.message == "a tool call without a name"


def test_arguments_nested_beyond_all_reason_fail_the_answer() -> None:
    """They can be read, but not be written as the text that a tool call has."""
    deep = b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":%b}}]}}]}'
    decoder = events(deep % (b'{"a":' * 300 + b"1" + b"}" * 300), delta("stop"), DONE)

    assert decoder.close().message == "malformed: a tool call"


def test_arguments_that_come_as_an_object_are_handed_on_as_text() -> None:
    """In the reply and in the chunk."""
    chunks: list[Chunk] = []
    call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}
    decoder = events(delta(tool_calls=[call]), delta("stop"), DONE, chunks=chunks)

    assert decoder.reply.tool_calls[0]["function"]["arguments"] == '{"a":1}'
    assert chunks[0].tool_calls[0]["function"]["arguments"] == '{"a":1}'


def test_choices_without_an_index_are_the_only_one() -> None:
    """Where there are several, a piece without an index could be any one's."""
    bare = {"choices": [{"delta": {"content": "x"}}]}

    assert events(bare, bare, delta("stop")).reply.text == "xx"
    assert events(bare, delta("stop", index=1), delta("stop"), DONE).close().message == "malformed: a choice's index"


def test_the_calls_of_a_body_are_told_apart_by_their_places() -> None:
    """Two with one id are two."""
    assert len(body(whole("tool_calls", tool_calls=[CALL, CALL])).reply.tool_calls) == 2


def test_a_call_that_is_no_function_is_one() -> None:
    """OpenAI's custom tools, whole and in pieces: their input is text."""
    call = {"id": "x", "type": "custom", "custom": {"name": "python", "input": "print(1)"}}
    first = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "python", "input": "print"}}
    pieces = [first, {"index": 0, "custom": {"input": "(1)"}}]
    decoder = events(*(delta(tool_calls=[piece]) for piece in pieces), delta("tool_calls"), DONE)

    assert (decoder.close(), decoder.content) == (None, 2)
    buffered = body(whole("tool_calls", tool_calls=[call]))
    assert [call] == list(decoder.reply.tool_calls) == list(buffered.reply.tool_calls)


def test_a_body_that_goes_on_after_its_end_is_no_answer_any_more() -> None:
    """Asked between two reads, it looked whole."""
    decoder = body(whole(content="x", role="assistant"))
    assert (decoder.close(), decoder.reply.text) == (None, "x")
    decoder.feed(b"{")

    assert type(decoder.close()) is BadReply
    assert (decoder.reply.text, decoder.cost_usd, decoder.content) == ("", None, 0)


def test_two_completions_in_a_list_are_none() -> None:
    """One is taken out of it."""
    assert body([whole(content="x")]).close() is None
    assert type(body([whole(content="x"), whole(content="y")]).close()) is BadReply


def test_an_event_named_error_is_one() -> None:
    """Whatever its shape."""
    for data in (b"it broke", b'{"message": "it broke"}', b'{"error": {"message": "it broke"}}'):
        decoder = WIRE.decoder(SSE, {})
        decoder.feed(b"event: error\ndata: " + data + b"\n\n")
        assert decoder.done
        assert decoder.close().message == "it broke"


def test_an_error_stops_the_reading_and_carries_the_request_id() -> None:
    """What comes after it is nobody's answer."""
    decoder = events({"error": {"code": 502, "message": "m"}}, delta("stop", content="late"))

    assert (decoder.done, decoder.reply.text, decoder.content) == (True, "", 0)
    assert (decoder.close().request_id, decoder.close().status) == ("gen-1", 502)


def test_a_missing_last_blank_line_is_forgiven() -> None:
    """The event counts for `end()`, `reply` and `final()`, and may still go on: nothing is changed by asking."""
    stream = sse(delta(content="a"), delta("stop", content="b"))
    decoder, chunks = WIRE.decoder(SSE, {}), []
    decoder.feed(stream[:-2], chunks)

    assert decoder.close() is None
    assert decoder.reply.text == "ab"
    assert decoder.final() == Chunk("b", finish_reason="stop")
    assert chunks == [Chunk("a")]
    decoder.feed(b"\n\n", chunks)
    assert chunks == [Chunk("a"), Chunk("b")]
    assert decoder.reply.text == "ab"
    assert decoder.final() == Chunk(finish_reason="stop")


def test_an_event_too_deep_to_look_ahead_is_no_exception() -> None:
    """A host that nests a thousand levels and forgets the blank line is judged by what came before."""
    decoder = events(orjson.dumps(delta(content="a", x=0)).replace(b"0}", b"[" * 900 + b"]" * 900 + b"}"))
    assert decoder.content == 1
    decoder.feed(sse(delta("stop"))[:-2])

    assert isinstance(decoder.close(), BadReply)


@pytest.mark.parametrize("mark", [b"data: [DONE]", b"data:[DONE]\n", b"data: [DONE] \n"])
def test_a_done_mark_without_its_blank_line(mark: bytes) -> None:
    """It ends the answer all the same."""
    decoder = events(delta(content="a"))
    decoder.feed(mark)

    assert decoder.close() is None


def test_an_event_stream_under_another_name() -> None:
    """A gateway that forgets the content type loses the streaming, not the answer."""
    decoder = body(sse(delta(content="a"), delta("stop"), DONE))

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.content) == ("a", 1)


@pytest.mark.parametrize(
    ("page", "expected"),
    [(b'{"error":{"code":429,"message":"slow"}}', RateLimited), (b"<title>Oops</title>\n", BadReply), (b"", BadReply)],
)
def test_no_event_stream_under_that_name(page: bytes, expected: type) -> None:
    """An error page that calls itself an event stream is told from a cut one."""
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(page)

    assert expected is type(decoder.close())


def test_a_body_that_is_no_json_is_quoted() -> None:
    """So that a person sees whose page it is."""
    assert body(b"<html><title>Bad gateway</title></html>").close().message == "not whole JSON: 'Bad gateway'"


def test_a_bodys_one_chunk() -> None:
    """A reader of a stream that came as one body gets it in one piece."""
    decoder = body({**whole(content="a", reasoning="r"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    assert decoder.content == 0
    assert decoder.close() is None
    assert decoder.content == 1
    assert decoder.final() == Chunk("a", "r", finish_reason="stop", usage=Usage(1, 2))


def test_the_reply_is_one_object() -> None:
    """The router writes its own fields on it."""
    for decoder in (events(delta("stop", content="a")), body(whole(content="a"))):
        decoder.reply.model = "mine"
        assert decoder.reply.model == "mine"
        assert decoder.reply is decoder.reply


def test_failures_carry_the_request_id() -> None:
    """Support asks for it."""
    error = WIRE.failure(500, {"x-request-id": "r1"}, b"")

    assert isinstance(error, AttemptError)
    assert error.request_id == "r1"
