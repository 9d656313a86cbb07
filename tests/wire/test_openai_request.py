"""Requests of the OpenAI wire: address, headers, body, and mistakes that are named before anything is sent."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import AttemptError, BadReply
from asyncrouter._types import Call
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.planted import KEY

PROVIDER = Provider(name="openrouter", base_url="https://openrouter.ai/api/v1/", headers={"X-Title": "app"})
WIRE = OpenAI(PROVIDER, wall=lambda: 0.0)
MODEL = Model(provider="openrouter", id="a/b", drop=("top_k",))
MESSAGES = [{"role": "user", "content": "Hi"}]


def call(messages: object = MESSAGES, **headers: str) -> Call:
    return Call(messages, {}, headers, 0.0, math.inf)


def encode(messages: object = MESSAGES, *, stream: bool = False, key: str | None = "sk-1", **params: object):
    return WIRE.encode(call(messages), MODEL, params, key, stream=stream, connect=5.0)


def test_a_request_is_complete() -> None:
    """A plain call has an address, headers and a body."""
    request = encode(temperature=0.2, top_k=5)

    assert (request.method, request.connect) == ("POST", 5.0)
    assert request.url == "https://openrouter.ai/api/v1/chat/completions"
    assert request.headers == {
        "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "asyncrouter",
        "Authorization": "Bearer sk-1", "X-Title": "app",
    }
    assert orjson.loads(request.body) == {"model": "a/b", "messages": MESSAGES, "temperature": 0.2}


def test_a_stream_asks_for_usage_and_no_compression() -> None:
    """A stream is asked for with its usage, and uncompressed: a compressor would hold tokens back and hide a cut."""
    request = encode(stream=True)

    assert request.headers["Accept-Encoding"] == "identity"
    sent = orjson.loads(request.body)
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_without_a_key_there_is_no_auth_header() -> None:
    """A local server needs none."""
    assert "Authorization" not in encode(key=None).headers


def test_headers_are_built_once_for_a_key() -> None:
    """The same mapping serves every call with a key; another key has its own."""
    assert encode().sealed_headers is encode().sealed_headers
    assert encode(key="sk-2").headers["Authorization"] == "Bearer sk-2"
    assert encode().headers["Authorization"] == "Bearer sk-1"


def test_the_calls_headers_override_all_others_whatever_their_case() -> None:
    """No header is sent twice."""
    mine = call(authorization="Basic x", **{"x-title": "mine"})
    request = WIRE.encode(mine, MODEL, {}, "k", stream=False, connect=None)

    assert (request.headers["authorization"], request.headers["x-title"]) == ("Basic x", "mine")
    assert len(request.headers) == len({name.lower() for name in request.headers})


def test_the_providers_query_proxy_and_ca_are_in_the_request() -> None:
    """The request says how its provider is reached."""
    wire = OpenAI(Provider(base_url="http://h/v1", query={"v": "1 2"}, proxy="http://p", ca="/c.pem"))
    request = wire.encode(call(), MODEL, {}, None, stream=False, connect=None)

    assert (request.url, request.proxy, request.ca) == ("http://h/v1/chat/completions?v=1+2", "http://p", "/c.pem")
    assert wire.list_models(None).url == "http://h/v1/models?v=1+2"


def test_the_callers_objects_are_not_changed() -> None:
    """Messages and parameters can be used again."""
    messages, params = copy.deepcopy(MESSAGES), {"tools": [{"x": 1}], "top_k": 1}
    before = copy.deepcopy((messages, params))
    encode(messages, stream=True, **params)

    assert (messages, params) == before


def test_parameters_cannot_change_the_model_or_the_stream() -> None:
    """A parameter named like one of our fields does not replace it."""
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
def test_a_parameter_that_json_cannot_express_is_named(params: dict[str, object], error: type, named: str) -> None:
    """The exception begins with the path of the mistake and says what is wrong."""
    with pytest.raises(error) as raised:
        encode(**params)

    assert type(raised.value) is error
    assert str(raised.value).startswith(named)


def test_a_message_that_json_cannot_express_is_named() -> None:
    """The path leads to the place in the messages."""
    with pytest.raises(ValueError, match=r"^messages\[1\]\.content: not valid Unicode, .* at position 2$"):
        encode([*MESSAGES, {"role": "user", "content": "ab\udfff"}])


def test_what_json_can_express_is_sent_unchanged() -> None:
    """null, unsigned 64-bit integers, deep nesting and every plane of Unicode arrive as they were given."""
    params = {
        "metadata": {"stop": None}, "seed": 2**64 - 1, "x": deep(250), "user": "é🙂\x00", "t": 1e300, "words": "null",
    }

    assert {name: orjson.loads(encode(**params).body)[name] for name in params} == params


def test_models_are_listed() -> None:
    """The list is read from OpenAI's envelope or Together's bare list; anything else is a `BadReply`."""
    assert (WIRE.list_models("k").method, WIRE.list_models("k").body) == ("GET", b"")
    assert "Content-Type" not in WIRE.list_models("k").headers
    assert WIRE.parse_models(b'{"data":[{"id":"a"},{"id":"b"},{},3]}') == ["a", "b"]
    assert WIRE.parse_models(b'[{"id":"a"}]') == ["a"]
    for strange in (b"", b"<html>", b"{}", b"null", b'{"data":{}}'):
        with pytest.raises(BadReply):
            WIRE.parse_models(strange)


def test_the_request_id_is_read_from_the_headers() -> None:
    """OpenAI's header counts before OpenRouter's."""
    assert WIRE.request_id({"x-generation-id": "gen-1"}) == "gen-1"
    assert WIRE.request_id({"x-generation-id": "gen-1", "x-request-id": "a"}) == "a"
    assert WIRE.request_id({}) is None


def test_no_repr_shows_a_secret() -> None:
    """Keys and headers are in no repr."""
    request = encode(key=KEY)

    assert KEY not in repr(WIRE) + repr(request)


def test_failures_carry_the_request_id() -> None:
    """An error has the id by which the provider knows the request."""
    error = WIRE.failure(500, {"x-request-id": "r1"}, b"")

    assert isinstance(error, AttemptError)
    assert error.request_id == "r1"
