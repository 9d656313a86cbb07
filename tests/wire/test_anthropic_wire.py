"""The Anthropic wire: what is sent, and what is made of what comes back.

The shapes are those of Anthropic's API reference ("Messages", "Streaming messages", "Errors").
"""

from __future__ import annotations

import copy
import math

import orjson
import pytest

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
from asyncrouter._types import Call, Chunk, Usage
from asyncrouter._wire.anthropic.wire import Anthropic
from asyncrouter._wire.registry import wire_for
from tests.helpers.planted import KEY

PROVIDER = Provider(name="anthropic", base_url="https://api.anthropic.com/v1/", wire="anthropic")
WIRE = Anthropic(PROVIDER, wall=lambda: 1_700_000_000.5)
MODEL = Model(provider="anthropic", id="claude-x", drop=("top_p",))
HI = {"role": "user", "content": "Hi"}
SSE = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_1"}
JSON = {"content-type": "application/json", "request-id": "req_1"}
PNG = "data:image/png;base64,iVBORw0KGgo="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def request(*messages: object, model: Model = MODEL, stream: bool = False, key: str | None = "sk-1", **params: object):
    call = Call(messages or [HI], {}, {}, 0.0, math.inf)
    return WIRE.encode(call, model, params, key, stream=stream, connect=5.0)


def sent(*messages: object, model: Model = MODEL, **params: object) -> dict[str, object]:
    """The body that goes out."""
    return orjson.loads(request(*messages, model=model, **params).body)


def turns(*messages: object) -> object:
    return sent(*messages)["messages"]


def use(name: str = "get_weather", arguments: object = '{"city":"Paris"}', id: str = "c1") -> dict[str, object]:  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function(**fields: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, **fields}}


# What is sent


def test_a_request_is_complete() -> None:
    """Address, headers and body of a plain call."""
    made = request(temperature=0.2, top_p=0.5)

    assert (made.method, made.url, made.connect) == ("POST", "https://api.anthropic.com/v1/messages", 5.0)
    assert made.headers == {
        "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "asyncrouter",
        "x-api-key": "sk-1", "anthropic-version": "2023-06-01",
    }
    body = {"model": "claude-x", "max_tokens": 4096, "messages": [HI], "temperature": 0.2}
    assert body == orjson.loads(made.body)


def test_headers_are_built_once_for_a_key() -> None:
    """The same mapping serves every call; without a key there is none; a stream is not compressed."""
    assert request().headers is request().headers
    assert "x-api-key" not in request(key=None).headers
    assert request(stream=True).headers["Accept-Encoding"] == "identity"
    assert True is orjson.loads(request(stream=True).body)["stream"]


def test_the_registry_knows_it() -> None:
    """A provider's `wire` says which one speaks to it."""
    assert isinstance(wire_for(PROVIDER, lambda: 0.0), Anthropic)


@pytest.mark.parametrize(
    ("max_output", "params", "expected"),
    [
        (None, {}, 4096), (1024, {}, 1024), (1024, {"max_tokens": 5}, 5), (1024, {"max_completion_tokens": 7}, 7),
        (None, {"max_tokens": 5, "max_completion_tokens": 7}, 7), (None, {"max_tokens": None}, 4096),
        (None, {"max_tokens": 0}, 0),  # warms the cache
    ],
)
def test_max_tokens_is_always_sent(max_output: int | None, params: dict[str, object], expected: int) -> None:
    """The caller's, else the model's, else 4096."""
    body = sent(model=Model(provider="a", id="m", max_output=max_output), **params)

    assert body["max_tokens"] == expected
    assert "max_completion_tokens" not in body


def test_system_messages_go_to_the_top() -> None:
    """Wherever they stand, under either name, joined; marked ones stay blocks."""
    developer = {"role": "developer", "content": [{"type": "text", "text": "Kind."}]}
    marked = {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]}
    body = sent({"role": "system", "content": "Brief."}, HI, developer)

    assert (body["system"], body["messages"]) == ("Brief.\n\nKind.", [HI])
    assert sent({"role": "system", "content": "Brief."}, HI, system="Be.")["system"] == "Be.\n\nBrief."
    assert [{"type": "text", "text": "Kind."}, marked["content"][0]] == sent(developer, marked, HI)["system"]
    blocks = [{"type": "text", "text": "Be."}]
    assert [*blocks, {"type": "text", "text": "Kind."}] == sent(developer, HI, system=blocks)["system"]
    assert blocks == sent(HI, system=blocks)["system"]
    assert "system" not in sent(HI)


def test_messages_of_one_side_become_one_turn() -> None:
    """The API wants them to take turns; what says nothing is left out."""
    assert turns(
        {"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": None}, {"role": "user", "content": "d", "name": "me"},
    ) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    assert turns(HI, {"role": "assistant", "content": ""}) == [HI]
    both = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}]
    assert [{"role": "user", "content": both}] == turns(HI, {"role": "assistant", "content": ""}, HI)


def test_a_system_message_alone_is_what_the_user_says() -> None:
    """The API wants somebody to have spoken."""
    body = sent({"role": "system", "content": "Be brief."})

    assert (body["messages"], "system" in body) == ([{"role": "user", "content": "Be brief."}], False)


def test_a_round_of_tools() -> None:
    """Calls become tool_use, arguments parsed; results become the user's, before anything else said by them."""
    assert turns(
        HI,
        {"role": "assistant", "content": "Let me see.",
         "tool_calls": [use(), use("now", "", "functions.f:0")]},
        {"role": "tool", "tool_call_id": "c1", "content": "18"},
        {"role": "user", "content": "And?"},
        {"role": "tool", "tool_call_id": "functions.f:0", "is_error": True, "content": [
            {"type": "text", "text": "it is"}, {"type": "image_url", "image_url": {"url": PNG}}]},
    ) == [
        HI,
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "functions_f_0", "name": "now", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "18"},
            {"type": "tool_result", "tool_use_id": "functions_f_0", "is_error": True, "content": [
                {"type": "text", "text": "it is"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"type": "text", "text": "And?"},
        ]},
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
         {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
        ({"type": "image_url", "image_url": "https://h/x.png"},
         {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}}),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
         {"type": "document", "title": "a.pdf",
          "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
         {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
         {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}),
    ],
)
def test_parts_are_translated(part: dict[str, object], block: dict[str, object]) -> None:
    """Images and files in either form; the API's own blocks and marks pass as they are."""
    assert [{"role": "user", "content": [block]}] == turns({"role": "user", "content": [part]})


def test_thoughts_come_back_unchanged_and_first() -> None:
    """`raw`'s message can be sent in the next turn as it is: with tools the API demands the signed thoughts again."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "s=="}
    content = [thought, {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]
    said = body(message(content, "tool_use")).reply.raw["choices"][0]["message"]

    assert [HI, {"role": "assistant", "content": content}] == turns(HI, said)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None), ("auto", None, {"type": "auto"}), ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}), (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}), ("auto", True, {"type": "auto"}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
        ({"type": "any"}, None, {"type": "any"}),
    ],
)
def test_tool_choices(choice: object, parallel: object, expected: object) -> None:
    """Each has its word here; without tools nothing is said about them."""
    params = {"tool_choice": choice, "parallel_tool_calls": parallel}

    assert sent(tools=[function()], **params).get("tool_choice") == expected
    assert not {"tool_choice", "tools", "parallel_tool_calls"} & sent(tools=[], **params).keys()


def test_tools() -> None:
    """A function's schema is its input schema, empty if it takes nothing; the server's own tools pass."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    marked = {**function(description="d", strict=True), "cache_control": {"type": "ephemeral"}}

    assert [
        {"name": "get_weather", "input_schema": WEATHER, "description": "d", "strict": True,
         "cache_control": {"type": "ephemeral"}},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        search,
    ] == sent(tools=[marked, {"type": "function", "function": {"name": "now"}}, search])["tools"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"stop": "END"}, {"stop_sequences": ["END"]}), ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": None}, {}), ({"temperature": 1.7}, {"temperature": 1}), ({"temperature": 0}, {"temperature": 0}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
        ({"user": "u", "metadata": {"user_id": "mine"}}, {"metadata": {"user_id": "mine"}}),
        ({"user": "u", "metadata": {"job": "7"}}, {"metadata": {"user_id": "u"}}), ({"metadata": {"job": "7"}}, {}),
        ({"reasoning_effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ({"reasoning": {"effort": "minimal"}}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 2000}},
         {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"}}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "strict": True, "schema": WEATHER}},
          "output_config": {"effort": "max"}},
         {"output_config": {"effort": "max", "format": {"type": "json_schema", "schema": WEATHER}}}),
        ({"response_format": {"type": "json_object"}}, {}), ({"response_format": {"type": "text"}}, {}),
        ({"seed": 1, "logprobs": True, "top_logprobs": 2, "presence_penalty": 1, "frequency_penalty": 1,
          "logit_bias": {"1": 2}, "n": 1, "store": True, "moderation": {}, "service_tier": "flex"}, {}),
        ({"top_k": 5, "service_tier": "standard_only", "container": "c"},
         {"top_k": 5, "service_tier": "standard_only", "container": "c"}),
        ({"top_p": 0.5}, {}),  # the model drops it
        ({"model": "other", "messages": [], "stream": True}, {}),
    ],
)
def test_parameters_are_translated(params: dict[str, object], expected: dict[str, object]) -> None:
    """What the API has a word for, what it does without, and what is its own."""
    plain = {"model": "claude-x", "max_tokens": 4096, "messages": [HI]}

    call = Call([HI], {}, {}, 0.0, math.inf)
    assert {**plain, **expected} == orjson.loads(
        WIRE.encode(call, MODEL, params, None, stream=False, connect=None).body)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"n": 2}, "n=2: "), ({"web_search_options": {}}, "web_search_options={}: "),
        ({"functions": [{}]}, "functions=[{}]: "),
        ({"tools": [function()], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [function()]}}}, "tool_choice: "),
    ],
)
def test_what_the_api_cannot_do_moves_the_chain_on(params: dict[str, object], named: str) -> None:
    """It is `Rejected` before anything is sent: another provider of the chain may well do it."""
    with pytest.raises(Rejected) as raised:
        request(**params)

    assert str(raised.value).startswith(named)
    left_out = Model(provider="a", id="m", drop=tuple(params))
    assert sent(model=left_out, **params).keys() == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ],
)
def test_parts_the_api_does_not_take_move_the_chain_on(part: dict[str, object]) -> None:
    """With their place."""
    with pytest.raises(Rejected, match=r"^messages\[0\]\.content\[0\]: the Messages API takes no "):
        request({"role": "user", "content": [part]})


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "assistant", "tool_calls": [use(arguments='{"a":')]},
         "messages[1].tool_calls[0].function.arguments: not JSON: "),
        ({"role": "assistant", "tool_calls": [use(arguments="[1]")]},
         "messages[1].tool_calls[0].function.arguments: expected a JSON object, got [1]"),
        ({"role": "assistant", "tool_calls": [use(name="")]}, "messages[1].tool_calls[0].function.name: expected text"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[1].tool_calls[0]: expected a call of a function"),
        ({"role": "assistant", "tool_calls": [use(id="")]}, "messages[1].tool_calls[0]: expected the id"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id: expected the id"),
        ({"role": "function", "content": "x"}, "messages[1].role: expected system, developer, user, assistant or tool"),
        ({"role": "user", "content": 5}, "messages[1].content: expected a list, got 5"),
        ({"role": "user", "content": [5]}, "messages[1].content[0]: expected a part with a type, got 5"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0].text: expected text, got None"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x.png"}}]},
         "messages[1].content[0].image_url.url: expected https://"),
        ({"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
         "messages[1].content: expected text in a system message"),
        ({"role": "user", "content": "\ud800"}, "messages[1].content: not valid Unicode"),
    ],
)
def test_a_message_that_is_wrong_is_named(message: dict[str, object], named: str) -> None:
    """The place is the caller's, not the one in the translation."""
    with pytest.raises(ValueError) as raised:
        request({"role": "system", "content": "s"}, message)

    assert str(raised.value).startswith(named)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"temperature": math.nan}, "temperature: JSON has no nan"), ({"tools": 5}, "tools: expected a list, got 5"),
        ({"tools": [5]}, "tools[0]: expected a tool"), ({"tools": [function()], "tool_choice": "x"}, "tool_choice: "),
        ({"tools": [function(name=None)]}, "tools[0].function.name: expected text"),
        ({"response_format": {"type": "x"}}, "response_format.type: expected"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema: "),
    ],
)
def test_a_parameter_that_is_wrong_is_named(params: dict[str, object], named: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError) as raised:
        request(**params)

    assert str(raised.value).startswith(named)


def test_the_callers_objects_are_not_touched() -> None:
    """Neither messages nor parameters are changed."""
    messages = [{"role": "system", "content": "s"}, HI, {"role": "assistant", "tool_calls": [use()]},
                {"role": "tool", "tool_call_id": "c1", "content": "x"}]
    params = {"tools": [function()], "output_config": {"effort": "low"}, "reasoning_effort": "high", "user": "u"}
    before = copy.deepcopy((messages, params))
    request(*messages, **params)

    assert before == (messages, params)


def test_models_are_listed_on_one_page() -> None:
    """The API gives 20 unless asked for more."""
    listing = WIRE.list_models("k")

    assert (listing.method, listing.url) == ("GET", "https://api.anthropic.com/v1/models?limit=1000")
    assert listing.headers["anthropic-version"] == "2023-06-01"
    assert WIRE.parse_models(b'{"data":[{"type":"model","id":"a"}],"has_more":false}') == ["a"]


# What comes back, as a stream


def sse(*events: object) -> bytes:
    """Events as the API writes them, named by their type."""
    written = b""
    for event in events:
        if isinstance(event, dict):
            written += b"event: " + str(event.get("type", "message")).encode() + b"\n"
        written += b"data: " + (event if isinstance(event, bytes) else orjson.dumps(event)) + b"\n\n"
    return written


def start(**usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1, **usage}}}


def begin(index: int, kind: str, **fields: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def grow(index: int, kind: str, **fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def close(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def stop(reason: str | None = "end_turn", usage: object = None, **fields: object) -> dict[str, object]:
    counts = {"output_tokens": 7} if usage is None else usage
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": counts}


END = {"type": "message_stop"}
TEXT = (begin(0, "text", text=""), grow(0, "text_delta", text="Hel"), grow(0, "text_delta", text="lo"), close(0))


def events(*documents: object, params: dict[str, object] | None = None, chunks: list[Chunk] | None = None):
    decoder = WIRE.decoder(SSE, params or {})
    decoder.feed(sse(*documents), chunks)
    return decoder


def message(content: object, reason: str | None = "end_turn", **fields: object) -> dict[str, object]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": content,
            "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 7}, **fields}


def body(document: object, params: dict[str, object] | None = None):
    decoder = WIRE.decoder(JSON, params or {})
    decoder.feed(document if isinstance(document, bytes) else orjson.dumps(document))
    return decoder


def test_a_stream_becomes_a_reply() -> None:
    """Text, finish reason, served model and usage; the raw object is a Chat Completion."""
    decoder = events(
        start(cache_read_input_tokens=100, cache_creation_input_tokens=20), {"type": "ping"}, *TEXT,
        stop(usage={"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}), END,
    )
    reply = decoder.reply

    assert decoder.close() is None
    assert (decoder.content, decoder.done, decoder.cost_usd, decoder.skipped) == (2, True, None, 0)
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("Hello", "", ())
    assert (reply.finish_reason, reply.served_model, reply.usage) == ("stop", "claude-x-1", Usage(130, 7, 100, 3))
    assert reply.raw == {
        "id": "msg_1", "model": "claude-x-1", "object": "chat.completion", "created": 1_700_000_000,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop",
                     "native_finish_reason": "end_turn"}],
        "usage": {"prompt_tokens": 130, "completion_tokens": 7, "total_tokens": 137,
                  "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
                  "completion_tokens_details": {"reasoning_tokens": 3}},
    }


def test_the_last_count_stands() -> None:
    """Counts are cumulative: the delta's replace the start's, those it leaves out stay; before it there are none."""
    begun = events(start(cache_read_input_tokens=5), *TEXT)
    ended = events(start(cache_read_input_tokens=5), *TEXT, stop(usage={"input_tokens": 12, "output_tokens": 9,
                                                                         "cache_read_input_tokens": None}), END)

    assert begun.reply.usage is None
    assert "usage" not in begun.reply.raw
    assert ended.reply.usage == Usage(17, 9, 5, 0)


def test_thinking_and_tool_calls() -> None:
    """Reasoning, then text, then two calls: numbered from 0, arguments as JSON text, whatever the blocks' numbers."""
    chunks: list[Chunk] = []
    decoder = events(
        start(), begin(0, "thinking", thinking="", signature=""), grow(0, "thinking_delta", thinking="hm"),
        grow(0, "signature_delta", signature="s=="), close(0),
        begin(1, "text", text=""), grow(1, "text_delta", text="See:"), close(1),
        begin(2, "tool_use", id="t1", name="f", input={}), grow(2, "input_json_delta", partial_json=""),
        grow(2, "input_json_delta", partial_json='{"x"'), grow(2, "input_json_delta", partial_json=":1}"), close(2),
        begin(3, "tool_use", id="t2", name="g", input={}), close(3), stop("tool_use"), END, chunks=chunks,
    )
    reply = decoder.reply

    assert (decoder.close(), reply.finish_reason) == (None, "tool_calls")
    assert (reply.text, reply.reasoning) == ("See:", "hm")
    assert (use("f", '{"x":1}', "t1"), use("g", "{}", "t2")) == reply.tool_calls
    assert [
        Chunk(reasoning="hm"), Chunk("See:"),
        Chunk(tool_calls=({"index": 0, **use("f", "", "t1")},)),
        Chunk(tool_calls=({"index": 0, "function": {"arguments": '{"x"'}},)),
        Chunk(tool_calls=({"index": 0, "function": {"arguments": ":1}"}},)),
        Chunk(tool_calls=({"index": 1, **use("g", "", "t2")},)),
        Chunk(tool_calls=({"index": 1, "function": {"arguments": "{}"}},)),
    ] == chunks
    assert decoder.final() == Chunk(finish_reason="tool_calls", usage=Usage(10, 7))
    said = reply.raw["choices"][0]["message"]
    assert said["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "s=="}]
    assert ("hm", list(reply.tool_calls)) == (said["reasoning"], said["tool_calls"])


def test_a_body_is_the_same_reply_as_its_stream() -> None:
    """Down to the raw object."""
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Hello"},
               {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]
    streamed = events(
        start(), begin(0, "thinking", thinking="", signature=""), grow(0, "thinking_delta", thinking="hm"),
        grow(0, "signature_delta", signature="s"), close(0), begin(1, "text", text="He"),
        grow(1, "text_delta", text="llo"), close(1), begin(2, "tool_use", id="t1", name="f", input={}),
        grow(2, "input_json_delta", partial_json='{"x":1}'), close(2), stop("tool_use"), END,
    )
    buffered = body(message(content, "tool_use"))

    assert streamed.close() is buffered.close() is None
    assert streamed.reply == buffered.reply
    assert streamed.reply.raw == buffered.reply.raw
    last = buffered.final()
    assert ("Hello", "hm", buffered.reply.tool_calls) == (last.text, last.reasoning, last.tool_calls)
    assert (last.finish_reason, last.usage) == ("tool_calls", Usage(10, 7))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("something_new", "stop"),
        ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_stop_reasons(reason: str, expected: str) -> None:
    """In one of four words; the API's own stands in `raw`."""
    for decoder in (events(start(), *TEXT, stop(reason), END), body(message([{"type": "text", "text": "a"}], reason))):
        assert (decoder.close(), decoder.reply.finish_reason) == (None, expected)
        assert reason == decoder.reply.raw["choices"][0]["native_finish_reason"]


def test_a_refusal_with_nothing_in_it_is_refused() -> None:
    """With the reason the API gives; thoughts alone are no answer either."""
    details = {"type": "refusal", "category": "cyber", "explanation": "This could enable harm."}
    bare = events(start(), stop("refusal", stop_details=details), END)
    thought = events(start(), begin(0, "thinking", thinking="hm"), close(0), stop("refusal"), END)

    for decoder, told in ((bare, ("This could enable harm.", "cyber")),
                          (thought, ("the model refused to answer (refusal)", "refusal")),
                          (body(message([], "refusal", stop_details=details)), ("This could enable harm.", "cyber"))):
        error = decoder.close()
        assert type(error) is Refused
        assert told == (error.message, error.code)
        assert error.request_id == "req_1"


def test_blocks_that_chat_completions_has_no_word_for_are_kept() -> None:
    """Searches, code, citations: in `raw`, whole, as if they had not been streamed."""
    cited = {"type": "char_location", "cited_text": "x"}
    decoder = events(
        start(), begin(0, "server_tool_use", id="s1", name="web_search", input={}),
        grow(0, "input_json_delta", partial_json='{"query":"x"}'), close(0),
        begin(1, "web_search_tool_result", tool_use_id="s1", content=[]), close(1),
        begin(2, "text", text=""), grow(2, "citations_delta", citation=cited), grow(2, "text_delta", text="So."),
        close(2), begin(3, "from_the_future", x=1), grow(3, "future_delta", y=2), close(3), stop(), END,
    )

    assert (decoder.close(), decoder.reply.text, decoder.reply.tool_calls) == (None, "So.", ())
    assert [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "text", "text": "So.", "citations": [cited]}, {"type": "from_the_future", "x": 1},
    ] == decoder.reply.raw["choices"][0]["message"]["content_blocks"]


def test_nothing_but_content_counts_as_content() -> None:
    """No start, ping, empty delta, signature, stop or usage wins a race."""
    decoder = events(
        start(), {"type": "ping"}, begin(0, "text", text=""), grow(0, "text_delta", text=""), close(0),
        begin(1, "thinking", thinking=""), grow(1, "signature_delta", signature="s"), close(1), stop(), END,
    )
    decoder.feed(b": keep-alive\n\n")

    assert (decoder.content, decoder.skipped) == (0, 0)
    assert decoder.close().message == "empty: neither text nor tool call (stop reason 'end_turn')"


@pytest.mark.parametrize(
    "block",
    [
        begin(0, "text", text="x"), begin(0, "thinking", thinking="x"), begin(0, "redacted_thinking", data="x"),
        begin(0, "tool_use", id="t", name="f", input={}), begin(0, "server_tool_use", id="s", name="web_search"),
    ],
)
def test_every_kind_of_content_counts(block: dict[str, object]) -> None:
    """Each wins a race as soon as it begins."""
    assert events(start(), block).content == 1


@pytest.mark.parametrize(
    ("reason", "params", "kind"),
    [
        ("max_tokens", {}, None), ("model_context_window_exceeded", {}, None), ("stop_sequence", {}, None),
        ("end_turn", {"stop": "x"}, None), ("end_turn", {}, BadReply), ("tool_use", {}, BadReply),
        (None, {}, BadReply),
    ],
)
def test_an_empty_answer(reason: str | None, params: dict[str, object], kind: type | None) -> None:
    """Is one only where its tokens were spent unseen, or where it began with the caller's stop word."""
    error = events(start(), stop(reason), END, params=params).close()

    assert (kind or type(None)) is type(error)


def test_a_cut_stream_is_no_answer() -> None:
    """Without a stop reason it is truncated, however much has come; message_stop adds nothing to it."""
    assert events().close().message == "no message came"
    for cut in ((start(),), (start(), *TEXT), (start(), *TEXT, stop(None)), (start(), *TEXT, END)):
        error = events(*cut).close()
        assert (error.message, error.request_id) == ("truncated: no stop reason has come", "req_1")
    assert events(start(), *TEXT, stop()).close() is None


@pytest.mark.parametrize(
    "lost",
    [
        (start(), *TEXT[1:]),  # the block's beginning
        (start(), TEXT[0], close(0), grow(0, "text_delta", text="x")),
        (start(), begin(1, "text", text="x")),
        (start(), begin(0, "text", text="x"), begin(0, "text", text="y")),
        (start(), begin(0, "tool_use", id="t", input={})), (start(), begin(0, "tool_use", name="f", input={})),
        (start(), begin(0, "text", text="x"), grow(0, "text_delta")),
        (start(), begin(0, "text", text="x"), {"type": "content_block_delta", "index": 0}),
        (start(), begin(0, "text", text="x"), {"type": "content_block_delta", "index": [], "delta": {"type": {}}}),
        (start(), begin(0, "text", text="x"), {"type": "content_block_start", "index": 1, "content_block": 5}),
        (start(), begin(0, "text")), (start(), close(0)),
        (start(), TEXT[0], grow(0, {})), (start(), TEXT[0], grow(0, None)),
        (start(), {"x": 1}), (start(), {"type": []}),
        TEXT,  # the message's beginning
        (stop(), start(), *TEXT), (*TEXT, start()), (start(), stop(), *TEXT),
    ],
)
def test_a_stream_that_lost_something_is_no_answer(lost: tuple[object, ...]) -> None:
    """However whole its end is: what is left is another answer."""
    error = events(*lost, stop(), END).close()

    assert type(error) is BadReply
    assert error.message.startswith("something was lost on the way: ")


def test_malformed_events_are_skipped_and_counted() -> None:
    """What never was an object took nothing with it; nothing at all and [DONE] are not even counted."""
    decoder = events(start(), b"{", *TEXT, b"5", stop(), END)

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (2, "Hello", None)
    assert events(b"", start(), *TEXT, stop(), b" ").skipped == 0


def test_a_broken_event_leaves_a_hole() -> None:
    """It was a piece of the answer: what is left is another one, however whole its end is."""
    decoder = events(start(), *TEXT[:2], b'{"type":"content_block_delta","ind', *TEXT[2:], stop(), END)

    assert type(decoder.close()) is BadReply
    assert decoder.close().message == """a broken event: '{"type":"content_block_delta","ind'"""
    assert (decoder.skipped, decoder.done) == (1, True)


def test_arguments_that_are_no_json_are_no_answer() -> None:
    """A tool call must be callable, unless the tokens ran out in it; then it is a reply like any other that was cut."""
    half = (start(), begin(0, "tool_use", id="t", name="f", input={}), grow(0, "input_json_delta", partial_json='{"a'))

    assert events(*half, close(0), stop("tool_use"), END).close().message == "a tool call whose arguments are no JSON"
    cut = events(*half, close(0), stop("max_tokens"), END)
    assert (cut.close(), cut.reply.finish_reason) == (None, "length")
    assert (use("f", '{"a', "t"),) == cut.reply.tool_calls
    after = events(*half, close(0), begin(1, "text", text="x"), stop("max_tokens"), END)
    assert after.close().message == "a tool call whose arguments are no JSON"


@pytest.mark.parametrize("piece", [{"partial_json": ':{"query":"x"}'}, {"partial_json": None}, {}])
def test_the_input_of_a_server_s_tool_must_be_whole_as_well(piece: dict[str, object]) -> None:
    """A piece of it that is lost or no JSON is a hole in the message, like any other."""
    search = (begin(0, "server_tool_use", id="s", name="web_search", input={}), grow(0, "input_json_delta", **piece))
    decoder = events(start(), *search, close(0), begin(1, "text", text="So."), stop(), END)

    assert type(decoder.close()) is BadReply


def test_usage_that_is_not_whole_is_not_known() -> None:
    """Half a count would be a wrong price: then it is estimated."""
    missing = start()
    del missing["message"]["usage"]

    assert events(missing, *TEXT, stop(), END).reply.usage is None
    for lacking in (5, {}, {"input_tokens": 5}):
        assert events(start(), *TEXT, stop(usage=lacking), END).reply.usage is None


def test_the_last_event_may_lack_its_blank_line() -> None:
    """It counts at an end, and what no chunk has carried stands in the last one; going on is still possible."""
    decoder, chunks = WIRE.decoder(SSE, {}), []
    decoder.feed(sse(start(), begin(0, "tool_use", id="t", name="f", input={}), stop("tool_use"))[:-1], chunks)

    assert decoder.close() is None
    last = decoder.final()
    assert (last.finish_reason, last.usage) == ("tool_calls", Usage(10, 7))
    assert last.tool_calls == ({"index": 0, "function": {"arguments": "{}"}},)
    assert len(chunks) == 1
    decoder.feed(b"\n" + sse(END), chunks)
    assert decoder.final() == Chunk(finish_reason="tool_calls", usage=Usage(10, 7))
    assert len(chunks) == 2


def test_nothing_counts_after_the_end() -> None:
    """message_stop ends it, and so does an error, in the same read or a later one."""
    late = sse(begin(1, "text", text="more"), {"type": "error", "error": {"type": "api_error", "message": "x"}})
    for decoder in (events(start(), *TEXT, stop(), END, late), events(start(), *TEXT, stop(), END)):
        decoder.feed(late)
        assert (decoder.close(), decoder.done, decoder.reply.text) == (None, True, "Hello")
        assert decoder.content == 2
    failed = events(start(), {"type": "error", "error": {"type": "api_error", "message": "x"}})
    failed.feed(sse(*TEXT, stop(), END))
    assert (ServerFailed, "") == (type(failed.close()), failed.reply.text)


def test_an_error_may_lack_its_blank_line_too() -> None:
    """A connection that is closed right after it has said enough."""
    decoder = events(start(), *TEXT, stop())
    decoder.feed(sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})[:-1])

    assert (RateLimited, False) == (type(decoder.close()), decoder.done)


@pytest.mark.parametrize(
    "lost",
    [
        ({**start(), "message": {**start()["message"], "content": None}}, *TEXT),
        ({**start(), "message": "x"}, *TEXT),
        (start(), begin(0, "text", text="x"), {**begin(1, "x"), "content_block": {"type": ["x"]}}),
        (start(), begin(0, "tool_use", id="t", name="f", input="x"), close(0)),
        (start(), begin(0, "tool_use", id="t", name="f"), close(0)),
    ],
)
def test_a_shape_in_which_nothing_can_be_read_fails_the_answer(lost: tuple[object, ...]) -> None:
    """A message's beginning, a block's type, a tool's input that are none."""
    error = events(*lost, stop(), END).close()

    assert type(error) is BadReply
    assert error.message.startswith("something was lost on the way: ")


def test_an_error_that_says_nothing_is_one() -> None:
    """By its type alone."""
    decoder = events(start(), *TEXT, {"type": "error"}, stop(), END)

    assert (True, BadReply) == (decoder.done, type(decoder.close()))


def test_marks_nobody_knows_change_nothing() -> None:
    """Deltas of other kinds than their block's, and events of kinds to come."""
    strange = [grow(0, kind, text="x", thinking="y") for kind in ("", "x", "thinking_delta")]
    decoder = events(start(), TEXT[0], *strange, *TEXT[1:], {"type": "future", "index": 0}, stop(), END)

    assert (decoder.close(), decoder.reply.text, decoder.reply.reasoning, decoder.content) == (None, "Hello", "", 2)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, RateLimited),
        ({"type": "api_error", "message": "Internal server error"}, ServerFailed),
        ({"type": "rate_limit_error", "message": "Slow down"}, RateLimited),
        ({"type": "timeout_error", "message": "x"}, ServerFailed),
        ({"type": "conflict_error", "message": "x"}, ServerFailed),
        ({"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
         ContextTooLong),
    ],
)
def test_an_error_in_a_stream(error: dict[str, object], kind: type) -> None:
    """Ends it, whatever had come, and is what its type says."""
    decoder = events(start(), *TEXT, {"type": "error", "error": error, "request_id": "req_2"})

    assert (True, kind, "req_1") == (decoder.done, type(decoder.close()), decoder.close().request_id)
    assert (error["message"], error["type"]) == (decoder.close().message, decoder.close().code)


def test_an_error_in_other_words() -> None:
    """As llama.cpp sends it: an error event without its envelope, or OpenAI's shape in an event without a name."""
    bare = events(start())
    bare.feed(b'event: error\ndata: {"code":500,"message":"m","type":"server_error"}\n\n')
    unnamed = events(start())
    unnamed.feed(b'data: {"error":{"code":503,"message":"m","type":"unavailable_error"}}\n\n')
    text = events(start())
    text.feed(b"event: error\ndata: upstream gone\n\n")

    assert (ServerFailed, ServerFailed, BadReply) == (type(bare.close()), type(unnamed.close()), type(text.close()))
    assert (bare.close().message, unnamed.close().message, text.close().message) == ("m", "m", "upstream gone")


@pytest.mark.parametrize(
    ("came", "kind", "told"),
    [
        (b"<html><title>Bad gateway</title></html>", BadReply, "no event stream: 'Bad gateway'"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', RateLimited, "Overloaded"),
    ],
)
def test_what_is_no_event_stream(came: bytes, kind: type, told: str) -> None:
    """A page or a JSON body under the name of a stream."""
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(came)

    assert (kind, told) == (type(decoder.close()), decoder.close().message)


# What comes back, as one body


@pytest.mark.parametrize(
    ("document", "kind", "told"),
    [
        (b"", BadReply, "an empty body"), (b"<html>x</html>", BadReply, "not whole JSON: 'x'"),
        (b"[]", BadReply, "no answer: '[]'"), (b"{}", BadReply, "no message came"),
        ({"type": "error", "error": {"type": "api_error", "message": "m"}}, ServerFailed, "m"),
        ({"error": {"code": 503, "message": "m", "type": "unavailable_error"}}, ServerFailed, "m"),
        (message([{"type": "text", "text": "a"}], None), BadReply,
         "truncated: no stop reason has come"),
        (message([]), BadReply, "empty: neither text nor tool call (stop reason 'end_turn')"),
        (message([5]), BadReply, "something was lost on the way: a block out of its turn"),
        (message("a"), BadReply, "no message came"),
        (message([{"type": "tool_use", "id": "t", "name": "f"}]), BadReply,
         "something was lost on the way: a tool's input"),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}, BadReply, "no message came"),
    ],
)
def test_a_body_that_is_no_answer(document: object, kind: type, told: str) -> None:
    """Each with what is wrong about it."""
    decoder = body(document)

    assert (kind, told) == (type(decoder.close()), decoder.close().message)


def test_a_stream_that_calls_itself_json() -> None:
    """Is read as what it is."""
    decoder = body(sse(start(), *TEXT, stop(), END))

    assert (decoder.close(), decoder.reply.text, decoder.content) == (None, "Hello", 2)


# Errors of the API, as its reference lists them


def failure(status: int, kind: str, told: str = "m", headers: dict[str, str] | None = None, **fields: object):
    document = {"type": "error", "error": {"type": kind, "message": told, **fields}, "request_id": "req_9"}
    return WIRE.failure(status, headers or {}, orjson.dumps(document))


@pytest.mark.parametrize(
    ("status", "type_", "told", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "invalid_request_error",
         "input length and `max_tokens` exceed context limit: 199211 + 20000 > 200000", ContextTooLong),
        (400, "invalid_request_error", "Output blocked by content filtering policy", Refused),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", OutOfCredit),
        (400, "invalid_request_error",
         "You have reached your specified API usage limits. You will regain access on 2026-12-01.", OutOfCredit),
        (400, "invalid_request_error",
         "You have reached your specified workspace API usage limits. You will regain access soon.", OutOfCredit),
        (400, "invalid_request_error", "max_tokens: Field required", Rejected),
        (401, "authentication_error", "invalid x-api-key", Unauthorized),
        (402, "billing_error", "m", OutOfCredit), (403, "permission_error", "m", Unauthorized),
        (404, "not_found_error", "model: claude-3-opus-20240229", Rejected), (409, "conflict_error", "m", ServerFailed),
        (413, "request_too_large", "Request exceeds the maximum size", ContextTooLong),
        (429, "rate_limit_error", "m", RateLimited), (500, "api_error", "m", ServerFailed),
        (504, "timeout_error", "m", ServerFailed), (529, "overloaded_error", "Overloaded", RateLimited),
    ],
)
def test_error_responses(status: int, type_: str, told: str, kind: type[AttemptError]) -> None:
    """Status, type and message as they came."""
    error = failure(status, type_, told)

    assert (kind, status, type_, told, "req_9") == (type(error), error.status, error.code, error.message,
                                                    error.request_id)


def test_a_spend_limit_is_no_rate_limit() -> None:
    """It has the same status and type; only `details.error_code` tells, and a retry would fail until next month."""
    spent = failure(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    ramp = failure(429, "rate_limit_error", details={"error_code": "ramp_limit_exceeded"}, headers={"retry-after": "9"})

    assert (OutOfCredit, "enforced_spend_limit_reached", None) == (type(spent), spent.code, spent.retry_after)
    assert (RateLimited, "ramp_limit_exceeded", 9.0) == (type(ramp), ramp.code, ramp.retry_after)


def test_no_repr_shows_a_secret() -> None:
    """Keys, headers and prompts stay out of sight."""
    made = request({"role": "user", "content": "secret"}, key=KEY)

    assert "secret" not in repr(WIRE) + repr(made)
    assert "secret" not in repr(events(start(), begin(0, "text", text="secret")))
