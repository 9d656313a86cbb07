"""Requests of the Anthropic wire: a Chat Completions request translated into one of the Messages API."""

from __future__ import annotations

import copy
import math
import re

import orjson
import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from asyncrouter._wire.anthropic.wire import Anthropic
from asyncrouter._wire.registry import wire_for
from tests.helpers.anthropic_fixtures import PROVIDER, WIRE, block_start, body, message, message_start, stream
from tests.helpers.planted import KEY

MODEL = Model(provider="anthropic", id="claude-x", drop=("top_p",))
HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def request(*messages: object, model: Model = MODEL, stream: bool = False, key: str | None = "sk-1", **params: object):
    call = Call(messages or [HI], {}, {}, 0.0, math.inf)
    return WIRE.encode(call, model, params, key, stream=stream, connect=5.0)


def sent(*messages: object, model: Model = MODEL, **params: object) -> dict[str, object]:
    """The body that goes out."""
    return orjson.loads(request(*messages, model=model, **params).body)


def messages_of(*messages: object) -> object:
    return sent(*messages)["messages"]


def tool_call(name: str = "get_weather", arguments: object = '{"city":"Paris"}', id: str = "c1") -> dict[str, object]:  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function(**fields: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, **fields}}


def test_a_request_is_complete() -> None:
    """A plain call has an address, headers and a body."""
    made = request(temperature=0.2, top_p=0.5)

    assert (made.method, made.url, made.connect) == ("POST", "https://api.anthropic.com/v1/messages", 5.0)
    assert made.headers == {
        "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "asyncrouter",
        "x-api-key": "sk-1", "anthropic-version": "2023-06-01",
    }
    body = {"model": "claude-x", "max_tokens": 4096, "messages": [HI], "temperature": 0.2}
    assert orjson.loads(made.body) == body


def test_headers_are_built_once_for_a_key() -> None:
    """The same mapping serves every call with a key; without one there is no header; a stream is not compressed."""
    assert request().headers is request().headers
    assert "x-api-key" not in request(key=None).headers
    assert request(stream=True).headers["Accept-Encoding"] == "identity"
    assert orjson.loads(request(stream=True).body)["stream"] is True


def test_the_registry_finds_the_wire() -> None:
    """A provider's `wire` says which one it speaks."""
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
    """The limit is the caller's, else the model's, else 4096."""
    body = sent(model=Model(provider="a", id="m", max_output=max_output), **params)

    assert body["max_tokens"] == expected
    assert "max_completion_tokens" not in body


def test_system_messages_become_the_system_field() -> None:
    """They are joined wherever they stand, under either name; ones with fields of their own stay blocks."""
    developer = {"role": "developer", "content": [{"type": "text", "text": "Kind."}]}
    marked = {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]}
    body = sent({"role": "system", "content": "Brief."}, HI, developer)

    assert (body["system"], body["messages"]) == ("Brief.\n\nKind.", [HI])
    assert sent({"role": "system", "content": "Brief."}, HI, system="Be.")["system"] == "Be.\n\nBrief."
    assert sent(developer, marked, HI)["system"] == [{"type": "text", "text": "Kind."}, marked["content"][0]]
    blocks = [{"type": "text", "text": "Be."}]
    assert sent(developer, HI, system=blocks)["system"] == [*blocks, {"type": "text", "text": "Kind."}]
    assert sent(HI, system=blocks)["system"] == blocks
    assert "system" not in sent(HI)


def test_messages_of_one_role_are_joined() -> None:
    """The API wants the roles to alternate, and empty messages are left out."""
    assert messages_of(
        {"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": None}, {"role": "user", "content": "d", "name": "me"},
    ) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    assert messages_of(HI, {"role": "assistant", "content": ""}) == [HI]
    both = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}]
    assert messages_of(HI, {"role": "assistant", "content": ""}, HI) == [{"role": "user", "content": both}]


def test_a_conversation_begins_with_the_user() -> None:
    """The API demands it; an assistant that greets first gets a full stop to answer to."""
    greeting = {"role": "assistant", "content": "Hello!"}

    assert messages_of(greeting, HI) == [{"role": "user", "content": "."}, greeting, HI]
    assert messages_of({"role": "assistant", "content": " "}, HI) == [HI]


def test_a_system_message_alone_becomes_the_users() -> None:
    """The API wants at least one message."""
    body = sent({"role": "system", "content": "Be brief."})

    assert (body["messages"], "system" in body) == ([{"role": "user", "content": "Be brief."}], False)


def test_tool_calls_and_results_are_translated() -> None:
    """Arguments are parsed, and results stand before anything else in the user's message."""
    assert messages_of(
        HI,
        {"role": "assistant", "content": "Let me see.",
         "tool_calls": [tool_call(), tool_call("now", "", "functions.f:0")]},
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


@pytest.mark.parametrize("ids", [("", ""), (None, None), ("call_0", "call_0"), ("a.b", "a:b"), ("x" * 99, "y" * 99)])
def test_each_call_has_an_id_of_its_own(ids: tuple[str | None, str | None]) -> None:
    """In the characters that the API takes, made up where there is none, the same on both sides of the turn."""
    calls = [{**tool_call(), "id": identifier} for identifier in ids]
    results = [{"role": "tool", "tool_call_id": identifier, "content": text}
               for identifier, text in zip(ids, "12", strict=True)]
    _, said, answered = messages_of(HI, {"role": "assistant", "tool_calls": calls}, *results)
    made = [block["id"] for block in said["content"]]

    assert len(set(made)) == 2
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", identifier) for identifier in made)
    assert [block["tool_use_id"] for block in answered["content"]] == made
    assert [block["content"] for block in answered["content"]] == ["1", "2"]


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
    """Images and files are translated in either form; the API's own blocks pass as they are."""
    assert messages_of({"role": "user", "content": [part]}) == [{"role": "user", "content": [block]}]


def test_thoughts_go_back_unchanged_and_first() -> None:
    """The message in `raw` can be sent back as it is: with tools the API demands the signed thoughts again."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "s=="}
    content = [thought, {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]
    assistant = body(message(content, "tool_use")).reply.raw["choices"][0]["message"]

    assert messages_of(HI, assistant) == [HI, {"role": "assistant", "content": content}]


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
def test_tool_choice_is_translated(choice: object, parallel: object, expected: object) -> None:
    """Without tools nothing is sent about them."""
    params = {"tool_choice": choice, "parallel_tool_calls": parallel}

    assert sent(tools=[function()], **params).get("tool_choice") == expected
    assert not {"tool_choice", "tools", "parallel_tool_calls"} & sent(tools=[], **params).keys()


def test_tools_are_translated() -> None:
    """A function's schema is its input schema, and the server's own tools pass as they are."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    marked = {**function(description="d", strict=True), "cache_control": {"type": "ephemeral"}}

    assert sent(tools=[marked, {"type": "function", "function": {"name": "now"}}, search])["tools"] == [
        {"name": "get_weather", "input_schema": WEATHER, "description": "d", "strict": True,
         "cache_control": {"type": "ephemeral"}},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        search,
    ]


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
    """A parameter is translated, left out, or passed as it is."""
    call = Call([HI], {}, {}, 0.0, math.inf)
    written = WIRE.encode(call, MODEL, params, None, stream=False, connect=None).body

    assert orjson.loads(written) == {"model": "claude-x", "max_tokens": 4096, "messages": [HI], **expected}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"n": 2}, "n=2: "), ({"web_search_options": {}}, "web_search_options={}: "),
        ({"functions": [{}]}, "functions=[{}]: "),
        ({"tools": [function()], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [function()]}}}, "tool_choice: "),
    ],
)
def test_what_the_api_cannot_do_is_rejected(params: dict[str, object], named: str) -> None:
    """Another provider of the chain may do it; `drop` on the model leaves the parameter out."""
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
def test_parts_the_api_does_not_take_are_rejected(part: dict[str, object]) -> None:
    """The message begins with the path of the part."""
    with pytest.raises(Rejected, match=r"^messages\[0\]\.content\[0\]: the Messages API takes no "):
        request({"role": "user", "content": [part]})


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "assistant", "tool_calls": [tool_call(arguments='{"a":')]},
         "messages[1].tool_calls[0].function.arguments: not JSON: "),
        ({"role": "assistant", "tool_calls": [tool_call(arguments="[1]")]},
         "messages[1].tool_calls[0].function.arguments: expected a JSON object, got [1]"),
        ({"role": "assistant", "tool_calls": [tool_call(name="")]},
         "messages[1].tool_calls[0].function.name: expected text"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[1].tool_calls[0]: expected a call of a function"),
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
    """The path is that in the caller's arguments, not that in the translation."""
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
    """The exception is raised before anything is sent."""
    with pytest.raises(ValueError) as raised:
        request(**params)

    assert str(raised.value).startswith(named)


def test_the_callers_objects_are_not_changed() -> None:
    """Messages and parameters can be used again."""
    messages = [{"role": "system", "content": "s"}, HI, {"role": "assistant", "tool_calls": [tool_call()]},
                {"role": "tool", "tool_call_id": "c1", "content": "x"}]
    params = {"tools": [function()], "output_config": {"effort": "low"}, "reasoning_effort": "high", "user": "u"}
    before = copy.deepcopy((messages, params))
    request(*messages, **params)

    assert (messages, params) == before


def test_models_are_listed_on_one_page() -> None:
    """The API gives 20 models unless asked for more."""
    listing = WIRE.list_models("k")

    assert (listing.method, listing.url) == ("GET", "https://api.anthropic.com/v1/models?limit=1000")
    assert listing.headers["anthropic-version"] == "2023-06-01"
    assert WIRE.parse_models(b'{"data":[{"type":"model","id":"a"}],"has_more":false}') == ["a"]


def test_no_repr_shows_a_secret() -> None:
    """Keys, headers and prompts are in no repr."""
    made = request({"role": "user", "content": "secret"}, key=KEY)

    assert KEY not in repr(WIRE) + repr(made)
    assert "secret" not in repr(made) + repr(stream(message_start(), block_start(0, "text", text="secret")))


@pytest.mark.parametrize(("given", "sent_as"), [("image/jpg", "image/jpeg"), ("image/X-PNG", "image/png")])
def test_a_media_type_by_another_name(given: str, sent_as: str) -> None:
    """It goes out under its registered name, for any other is a 400."""
    picture = {"type": "image_url", "image_url": {"url": f"data:{given};base64,QUE="}}

    assert f'"media_type":"{sent_as}"' in request({"role": "user", "content": [picture]}).body.decode()


def test_a_budget_of_thinking_that_is_too_small() -> None:
    """It is raised to the least that the API takes."""
    thinking = {"type": "enabled", "budget_tokens": 100}

    assert sent(HI, max_tokens=2000, thinking=thinking)["thinking"] == {**thinking, "budget_tokens": 1024}
