"""Simulated embeddings: the vectors, the bill, the faults, what a strict model refuses, and the same over sockets."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import AllModelsFailed, Router
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from asyncrouter import Embeddings


def answer(world: World, path: str, **body: object) -> tuple[int, dict[str, object]]:
    """Status and document with which a world answers a request at once."""
    request, play = world.begin(f"http://sim.test/v1{path}", {}, orjson.dumps(body), 0.0)
    world.end(request, 0.0)
    return play.status, orjson.loads(b"".join(part.data for part in play.body))


def test_a_text_has_one_vector_of_length_one(world: World) -> None:
    """The same in every request, another one from another model, and each of Euclidean length 1."""
    world.model("a")
    world.model("b")
    documents = [answer(world, "/embeddings", model=model, input=["x", "y"])[1] for model in ("a", "a", "b")]
    vectors = [[entry["embedding"] for entry in document["data"]] for document in documents]  # type: ignore[attr-defined,index]

    assert vectors[0] == vectors[1]
    assert vectors[0][0] not in (vectors[0][1], vectors[2][0])
    assert [round(math.hypot(*vector), 6) for vector in vectors[0]] == [1.0, 1.0]


def test_both_wires_and_both_forms_say_the_same(clock: Clock, world: World) -> None:
    """Google's wire, floats and base64 give the same numbers."""
    world.model("a", Act(dimensions=5))

    async def scenario() -> list[Embeddings]:
        async with Router(world.config(), transport=world.transport()) as router:
            return [
                await router.embed(["x", "y"], model=model, params=params)
                for model, params in (("a", {}), ("sim-gemini:a", {}), ("a", {"encoding_format": "base64"}))
            ]

    one, two, three = clock.run(scenario())

    assert (one.dimensions, one.vectors == two.vectors == three.vectors) == (5, True)


def test_the_bill_has_no_answer(clock: Clock, world: World) -> None:
    """One token a word of the texts, none for the vectors, at the price of input; an error costs nothing."""
    model = world.model("a", Act(), Act(status=500)).price(input=2.0, output=100.0)

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.embed(["one two", "three"], model="a")
            with pytest.raises(AllModelsFailed):
                await router.embed("four", model="a", retry=1)

    clock.run(scenario())

    assert (model.bill.input_tokens, model.bill.output_tokens, model.bill.usd) == (3, 0, 6e-6)


@pytest.mark.parametrize(("strict", "path", "body", "message"), [
    (True, "/embeddings", {"input": ["a"] * 2049}, "Invalid 'input': array too long. Expected an array with maximum "
     "length 2048, but got an array with length 2049 instead."),
    (True, "/embeddings", {"input": ["a " * 150_001] * 2}, "Invalid 'input': maximum request size is 300000 tokens per "
     "request."),
    (True, "/embeddings", {"input": ["a", ""]}, "Invalid 'input': input cannot be an empty string."),
    ("mistral", "/embeddings", {"input": ["a"] * 513}, "Too many inputs in request, split into more batches."),
    ("mistral", "/embeddings", {"input": ["a " * 8_193] * 2}, "Too many tokens in batch. Max is 16384 got 16386"),
    (True, "/models/a:batchEmbedContents", {"requests": [{"content": {"parts": [{"text": "a"}]}}] * 101},
     "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"),
])
def test_a_strict_model_refuses(world: World, strict: object, path: str, body: dict[str, object], message: str) -> None:
    """Each vendor's own limits, in its own words."""
    world.model("a", strict=strict)  # type: ignore[arg-type]
    status, document = answer(world, path, model="a", **body)

    assert (status, document["error"]["message"]) == (400, message)  # type: ignore[index]


def test_it_is_served_over_sockets() -> None:
    """The same vectors come through a server."""
    world = World()
    world.model("a")

    async def scenario() -> tuple[list[list[float]], list[list[float]]]:
        async with world.server() as server, Router(world.config(base_url=server.base_url)) as over_sockets, \
                Router(world.config(), transport=world.transport()) as in_process:
            return (
                (await over_sockets.embed(["x"] * 3, model="a")).vectors,
                (await in_process.embed(["x"] * 3, model="a")).vectors,
            )

    one, two = asyncio.run(scenario())

    assert one == two


def test_texts_may_be_tokens(world: World) -> None:
    """A text in tokens, alone or in a list, has a vector, too."""
    world.model("a")

    assert [len(answer(world, "/embeddings", model="a", input=given)[1]["data"]) for given in (  # type: ignore[arg-type]
        "x", [1, 2], [[1, 2], [3]], ["x", "y", "z"])] == [1, 1, 2, 3]
