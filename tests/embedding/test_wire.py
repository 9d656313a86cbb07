"""The requests and answers of the APIs for embeddings: what is sent, what is read, and which answers are none."""

from __future__ import annotations

import math
import struct
from base64 import b64encode

import orjson
import pytest

from asyncrouter import AttemptError, BadReply, ContextTooLong, Model, Provider, RateLimited, Rejected, Usage
from asyncrouter._types import Call
from asyncrouter._wire.embeddings.decoder import VectorsReply
from asyncrouter._wire.embeddings.limits import BatchLimits, about_the_batch, limits_of, may_fit_in_two
from asyncrouter._wire.registry import embeddings_for

OPENAI = Provider(name="openai", base_url="https://api.openai.com/v1")
LOCAL = Provider(name="local", base_url="http://127.0.0.1:8080/v1", query={"api-version": "1"})
GEMINI = Provider(name="gemini", base_url="https://generativelanguage.googleapis.com/v1beta", wire="gemini")


def call(*texts: object) -> Call:
    """A call for the embeddings of these texts."""
    return Call([{"role": "user", "content": text} for text in texts], {}, {}, 0.0, math.inf, embeds=True)


def sent(provider: Provider, *texts: object, drop: tuple[str, ...] = (), **params: object) -> tuple[str, object]:
    """The path and the body of the request for these texts."""
    model = Model(provider=provider.name, id="m", drop=drop)
    request = embeddings_for(provider, lambda: 0.0).encode(
        call(*texts), model, params, "k", stream=True, connect=None
    )  # type: ignore[attr-defined]
    return request.url.removeprefix(provider.base_url), orjson.loads(request.body)


def read(
    provider: Provider, texts: int, document: object, headers: dict[str, str] | None = None, **params: object
) -> tuple[VectorsReply, AttemptError | None, float | None]:
    """What is read in an answer to so many texts: the reply, the error, the cost."""
    wire = embeddings_for(provider, lambda: 0.0).for_call(call(*["a"] * texts), Model(provider="p", id="m"), params)
    decoder = wire.decoder(headers or {}, params)
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    for at in range(0, len(body), 7):
        decoder.feed(body[at : at + 7])
    error = decoder.close()
    assert decoder.close() is error
    assert isinstance(decoder.reply, VectorsReply)
    return decoder.reply, error, decoder.cost_usd


def entries(*vectors: object, first: int = 0) -> dict[str, object]:
    """OpenAI's answer with these vectors."""
    return {"data": [{"index": first + place, "embedding": one} for place, one in enumerate(vectors)]}


# What is sent.


@pytest.mark.parametrize(("provider", "texts", "params", "path", "body"), [
    (LOCAL, ["a", "b"], {}, "/embeddings?api-version=1", {"model": "m", "input": ["a", "b"]}),
    (LOCAL, [[1, 2]], {"user": "u", "dimensions": None}, "/embeddings?api-version=1",
     {"model": "m", "input": [[1, 2]], "user": "u"}),
    (LOCAL, ["a"], {"model": "other", "input": "other"}, "/embeddings?api-version=1", {"model": "m", "input": ["a"]}),
    (OPENAI, ["a"], {"dimensions": 256}, "/embeddings",
     {"model": "m", "input": ["a"], "encoding_format": "base64", "dimensions": 256}),
    (OPENAI, ["a"], {"encoding_format": "float"}, "/embeddings",
     {"model": "m", "input": ["a"], "encoding_format": "float"}),
    (GEMINI, ["a", "b"], {"dimensions": 3, "task_type": "RETRIEVAL_QUERY", "encoding_format": "float", "user": "u"},
     "/models/m:batchEmbedContents", {"requests": [
         {"outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY", "model": "models/m",
          "content": {"parts": [{"text": text}]}} for text in "ab"]}),
])
def test_what_is_sent(
    provider: Provider, texts: list[object], params: dict[str, object], path: str, body: object
) -> None:
    """Each API gets the texts and the parameters in its own form, and OpenAI is asked for short answers."""
    assert sent(provider, *texts, **params) == (path, body)


def test_what_a_model_drops_is_not_sent() -> None:
    """`drop` of a model holds for embeddings, too."""
    assert sent(LOCAL, "a", drop=("dimensions",), dimensions=3)[1] == {"model": "m", "input": ["a"]}
    assert sent(GEMINI, "a", drop=("dimensions",), dimensions=3)[1] == {
        "requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]
    }


def test_tokens_are_not_for_gemini() -> None:
    """Google's API takes text alone."""
    with pytest.raises(TypeError) as caught:
        sent(GEMINI, "a", [1, 2])

    assert str(caught.value) == "texts[1]: this API takes text, not tokens"


def test_what_cannot_be_written_is_named() -> None:
    """A parameter that is no JSON is named with its place."""
    with pytest.raises(ValueError, match="JSON has no nan") as caught:
        sent(LOCAL, "a", dimensions=math.nan)

    assert str(caught.value) == "dimensions: JSON has no nan; give a finite number"


def test_nothing_of_a_refused_request_is_left_out() -> None:
    """A refused `dimensions` is not left out as a parameter of a chat would be: the vectors would be others."""
    wire = embeddings_for(LOCAL, lambda: 0.0)
    model = Model(provider="local", id="m")
    request = wire.encode(call("a"), model, {"dimensions": 3}, None, stream=False, connect=None)  # type: ignore[attr-defined]
    error = Rejected("Unsupported parameter: 'dimensions'", status=400)
    error.param = "dimensions"

    assert wire.adapt(model, request, error) is None


# What is read.


def packed(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(("provider", "document", "vectors"), [
    (LOCAL, entries([1.0, 2], [3.0, 4.5]), [[1.0, 2], [3.0, 4.5]]),
    (LOCAL, {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}, [[1.0], [2.0]]),
    (LOCAL, {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, [[1.0], [2.0]]),
    (LOCAL, {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]}, [[1.0], [2.0]]),
    (OPENAI, entries(packed(0.5, -2.0), packed(1.0, 0.25)), [[0.5, -2.0], [1.0, 0.25]]),
    (OPENAI, entries([0.5], packed(0.25)), [[0.5], [0.25]]),
    (GEMINI, {"embeddings": [{"values": [1.0]}, {"values": [2.0]}]}, [[1.0], [2.0]]),
    (LOCAL, b'\xef\xbb\xbf \n{"data":[{"embedding":[1]},{"embedding":[2]}]}', [[1], [2]]),
])
def test_the_vectors_come_in_the_order_of_the_texts(
    provider: Provider, document: object, vectors: list[list[float]]
) -> None:
    """By their index; as they stand where a relay gives none, or always 0; as numbers or as base64."""
    reply, error, _ = read(provider, 2, document)

    assert error is None
    assert reply.vectors == vectors


@pytest.mark.parametrize(("provider", "document", "headers", "usage", "usd"), [
    (OPENAI, {**entries([1.0]), "model": "served", "usage": {"prompt_tokens": 5, "total_tokens": 5}}, {},
     Usage(5, 0), None),
    (OPENAI, {**entries([1.0]), "model": "served", "usage": {"prompt_tokens": 5, "cost": 0.25}}, {}, Usage(5, 0), 0.25),
    (OPENAI, {**entries([1.0]), "model": "served"}, {"x-litellm-response-cost": "0.5"}, None, 0.5),
    (GEMINI, {"embeddings": [{"values": [1.0]}], "model": "served", "usageMetadata": {"promptTokenCount": 7}}, {},
     Usage(7, 0), None),
    (GEMINI, {"embeddings": [{"values": [1.0]}], "model": "served"}, {}, None, None),
])
def test_usage_and_cost(
    provider: Provider, document: object, headers: dict[str, str], usage: Usage | None, usd: float | None
) -> None:
    """The tokens, the model and the cost are read where the provider says them."""
    reply, error, cost = read(provider, 1, document, headers)

    assert error is None
    assert (reply.usage, reply.served_model, cost) == (usage, "served", usd)


@pytest.mark.parametrize(("provider", "document", "message"), [
    (LOCAL, b"", "an empty body"),
    (LOCAL, b"<html>It works</html>", "not whole JSON: 'It works'"),
    (LOCAL, b'{"data": [{"embedding": [1', "not whole JSON: '{\"data\": [{\"embedding\": [1'"),
    (LOCAL, [], "no embeddings: '[]'"),
    (LOCAL, {"object": "list"}, "no embeddings: '{\"object\":\"list\"}'"),
    (LOCAL, {"data": []}, "0 embeddings for 2 texts"),
    (LOCAL, entries([1.0]), "1 embeddings for 2 texts"),
    (LOCAL, entries([1.0], [1.0], [1.0]), "3 embeddings for 2 texts"),
    (LOCAL, entries([1.0], [2.0], first=1), "0 embeddings for 2 texts"),
    (LOCAL, entries([1.0], None), "embedding 1 is no list of numbers"),
    (LOCAL, entries([1.0], []), "embedding 1 is no list of numbers"),
    (LOCAL, entries([None], [1.0]), "embedding 0 is no list of numbers"),
    (LOCAL, entries([1.0], [[1.0]]), "embedding 1 is no list of numbers"),
    (LOCAL, entries([1.0], ["1"]), "embedding 1 is no list of numbers"),
    (LOCAL, entries("AAAA", "AAAA"), "embedding 0 is no list of numbers"),
    (LOCAL, entries("*", "*"), "embedding 0 is no list of numbers"),
    (LOCAL, entries(packed(math.nan), packed(1.0)), "embedding 0 is no list of numbers"),
    (LOCAL, entries(packed(math.inf), packed(1.0)), "embedding 0 is no list of numbers"),
    (LOCAL, entries([1.0, 2.0], [1.0]), "embedding 1 has 1 dimensions instead of 2"),
    (LOCAL, {"data": [1, 2]}, "embedding 0 is no list of numbers"),
    (GEMINI, {"embedding": {"values": [1.0]}}, "no embeddings: '{\"embedding\":{\"values\":[1.0]}}'"),
    (GEMINI, {"embeddings": [{"values": [1.0]}, {}]}, "embedding 1 is no list of numbers"),
    (GEMINI, {"embeddings": [{"values": [1.0]}]}, "1 embeddings for 2 texts"),
])
def test_an_answer_that_is_not_whole_is_none(provider: Provider, document: object, message: str) -> None:
    """One vector too few, one of another length, a null where a server had NaN: the answer is a `BadReply`."""
    _, error, _ = read(provider, 2, document, {"x-request-id": "r"})

    assert isinstance(error, BadReply)
    assert (error.message, error.request_id) == (message, "r")


@pytest.mark.parametrize("name", ["dimensions", "output_dimension", "outputDimensionality"])
def test_vectors_have_the_length_that_was_asked_for(name: str) -> None:
    """A server that overlooks the parameter gives vectors that fit to no others of the caller's."""
    _, error, _ = read(LOCAL, 1, entries([1.0, 2.0]), **{name: 3})

    assert error is not None
    assert error.message == "embedding 0 has 2 dimensions instead of 3"


@pytest.mark.parametrize(("document", "kind"), [
    ({"error": {"message": "slow down", "code": 429}}, RateLimited),
    ({"object": "error", "message": "no", "code": 400}, Rejected),
    ({"error": {"message": "too long", "code": "context_length_exceeded"}}, ContextTooLong),
])
def test_an_error_in_the_place_of_an_answer(document: object, kind: type) -> None:
    """An error inside a 200 is that error."""
    assert type(read(LOCAL, 1, document)[1]) is kind


def test_more_values_than_vectors_have_are_not_read() -> None:
    """A body that would become too many objects is refused unread; the longest vectors are far below."""
    many = read(LOCAL, 1, b'{"data":[' + b"[]," * 100_000 + b"[]]}")[1]
    early = embeddings_for(LOCAL, lambda: 0.0).for_call(call("a"), Model(provider="p", id="m"), {}).decoder({}, {})
    early.feed(b'{"data":[')
    early.feed(b"[]," * 100_000)
    long = read(LOCAL, 1, entries([0.123456789] * 16_384))[1]

    assert long is None
    assert many is not None
    assert many.message == "more values in it than any answer has"
    assert early.done


# How many texts a request holds.


@pytest.mark.parametrize(("address", "wire", "limits"), [
    ("https://api.openai.com/v1", "openai", BatchLimits(2048, 300_000)),
    ("http://127.0.0.1:8080/v1", "openai", BatchLimits(2048, 300_000)),
    ("https://generativelanguage.googleapis.com/v1beta", "gemini", BatchLimits(100, 300_000)),
    ("https://generativelanguage.googleapis.com/v1beta/openai", "openai", BatchLimits(100, 300_000)),
    ("https://api.mistral.ai/v1", "openai", BatchLimits(512, 16_384)),
    ("https://api.cohere.ai/compatibility/v1", "openai", BatchLimits(96, 300_000)),
])
def test_the_limits_of_a_host(address: str, wire: str, limits: BatchLimits) -> None:
    """Each host's own, OpenAI's where nothing is known."""
    assert limits_of(address, wire) == limits


BATCH = [
    "Invalid 'input': maximum request size is 300000 tokens per request.",
    "Invalid 'input': array too long. Expected an array with maximum length 2048, but got 3000 instead.",
    "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch",
    "Too many inputs in request, split into more batches.",
    "Too many tokens in batch. Max is 16384 got 17555",
    "batch size 64 > maximum allowed batch size 32",
    "InvalidParameter: Value error, batch size is invalid, it should not be larger than 10.: input.contents",
    "invalid request: total number of texts must be at most 96",
]
OTHER = [
    "Invalid 'input[3]': maximum input length is 8192 tokens.",
    "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
    "Unsupported parameter: 'dimensions'",
]


@pytest.mark.parametrize(("message", "is_about_it"), [
    *((text, True) for text in BATCH), *((text, False) for text in OTHER),
])
def test_how_hosts_say_that_a_request_holds_too_much(message: str, is_about_it: bool) -> None:
    """Their words are known; what is wrong with one text is not mended by fewer."""
    error = Rejected(message, status=400)

    assert (about_the_batch(error), may_fit_in_two(error)) == (is_about_it, is_about_it)


def test_which_other_answers_fit_in_two() -> None:
    """A 413, a context that is too long, and an answer over `max_response_bytes`; not a 401 or a bad answer."""
    large = BadReply("more than max_response_bytes = 10")
    large.scope = "call"
    errors = [
        Rejected("too large", status=413), ContextTooLong("maximum context length is 8192 tokens", status=400), large,
        BadReply("not whole JSON"), ContextTooLong("Invalid 'input[3]': too long", status=400), RateLimited("batch"),
    ]

    assert [may_fit_in_two(error) for error in errors] == [True, True, True, False, False, False]
