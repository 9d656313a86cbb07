"""Contract with OpenAI's and Google's SDKs: they would send the same requests, and read the same vectors."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import openai
import orjson
import pytest
from google import genai
from google.genai import types
from openai.types import CreateEmbeddingResponse, EmbeddingCreateParams
from pydantic import TypeAdapter

from asyncrouter import Model, Provider
from asyncrouter._types import Call
from asyncrouter._wire.registry import embeddings_for
from asyncrouter.sim import Act, World
from tests.helpers.validated import read_iterators

OPENAI = Provider(name="openai", base_url="https://api.openai.com/v1")
GEMINI = Provider(name="gemini", base_url="https://generativelanguage.googleapis.com/v1beta", wire="gemini")
TEXTS = ["a red fox", "a blue whale", "日本"]


def call(*texts: object) -> Call:
    """A call for the embeddings of these texts."""
    return Call([{"role": "user", "content": text} for text in texts], {}, {}, 0.0, math.inf, embeds=True)


def encode(provider: Provider, model: str, *texts: object, **params: object) -> Any:
    """Our request for these texts."""
    wire: Any = embeddings_for(provider, lambda: 0.0)
    return wire.encode(call(*texts), Model(provider=provider.name, id=model), params, "k", stream=False, connect=None)


def vectors(provider: Provider, texts: int, body: bytes) -> Any:
    """What we read in an answer to so many texts."""
    wire = embeddings_for(provider, lambda: 0.0).for_call(call(*TEXTS[:texts]), Model(provider="p", id="m"), {})
    decoder = wire.decoder({}, {})
    decoder.feed(body)
    assert decoder.close() is None
    return decoder.reply


def simulated(url: str, body: bytes, **act: Any) -> bytes:
    """The body with which a simulated model answers a request."""
    world = World(strict=True)
    world.model("m", Act(**act))
    _, play = world.begin(url, {}, body, 0.0)
    return b"".join(part.data for part in play.body)


@pytest.mark.parametrize("params", [{}, {"dimensions": 256, "user": "u"}, {"encoding_format": "float"}])
@pytest.mark.parametrize("texts", [TEXTS, [[1, 2], [3]]])
def test_openais_sdk_would_send_the_same(texts: list[Any], params: dict[str, Any]) -> None:
    """Its types know every field, and its client writes the same body to the same address."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"object": "list", "data": [], "model": "m", "usage": {}})

    ours = encode(OPENAI, "text-embedding-3-small", *texts, **params)
    with openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as sdk, \
            suppress(ValueError):  # there are no vectors in that answer
        sdk.embeddings.create(model="text-embedding-3-small", input=texts, **params)
    sent = orjson.loads(ours.body)

    if texts is TEXTS:  # pydantic reads the first of several iterators only
        assert read_iterators(TypeAdapter(EmbeddingCreateParams).validate_python(sent)) == sent
    assert (ours.url, sent) == (str(seen[0].url), orjson.loads(seen[0].content))


@pytest.mark.parametrize("params", [{}, {"encoding_format": "float"}, {"dimensions": 3}])
def test_openais_sdk_reads_the_same(params: dict[str, Any]) -> None:
    """In the answer of a simulated model, as floats and as base64; so the simulation is one that the SDK reads."""
    request = encode(OPENAI, "m", *TEXTS, **params)
    body = simulated(request.url, request.body)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=orjson.loads(body)))
    with openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)) as sdk:
        theirs: CreateEmbeddingResponse = sdk.embeddings.create(model="m", input=TEXTS, **params)
    reply = vectors(OPENAI, 3, body)

    assert reply.vectors == [entry.embedding for entry in theirs.data]
    assert (reply.usage.input_tokens, reply.served_model) == (theirs.usage.prompt_tokens, theirs.model)


CONFIGS = [({}, {}), (
    {"dimensions": 64, "task_type": "RETRIEVAL_DOCUMENT", "title": "t"},
    {"output_dimensionality": 64, "task_type": "RETRIEVAL_DOCUMENT", "title": "t"},
)]


@pytest.mark.parametrize(("params", "config"), CONFIGS)
def test_googles_sdk_would_send_the_same_and_reads_the_same(params: dict[str, Any], config: dict[str, Any]) -> None:
    """One request for each text, each with the settings, and one vector for each."""
    seen: list[httpx.Request] = []
    ours = encode(GEMINI, "gemini-embedding-001", *TEXTS, **params)
    body = simulated(ours.url.replace("gemini-embedding-001", "m"), ours.body)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    options = types.HttpOptions(api_version="v1beta", httpx_client=http)
    sdk = genai.Client(api_key="k", http_options=options).models
    theirs = sdk.embed_content(model="gemini-embedding-001", contents=TEXTS, config=types.EmbedContentConfig(**config))

    assert ours.url == str(seen[0].url)
    assert plain(orjson.loads(ours.body)) == plain(orjson.loads(seen[0].content))
    assert theirs.embeddings is not None
    assert vectors(GEMINI, 3, body).vectors == [entry.values for entry in theirs.embeddings]


def plain(body: Any) -> Any:
    """A body without what says nothing: a role where there is only one."""
    if isinstance(body, dict):
        return {name: plain(value) for name, value in body.items() if name != "role"}
    return [plain(value) for value in body] if isinstance(body, list) else body
