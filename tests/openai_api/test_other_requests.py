"""Embeddings and the list of models of OpenAI's API, and what a key may use."""

from __future__ import annotations

import base64
from array import array
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter.openai_api import ApiRequest, OpenAIApi
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat, respond
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def embed(**fields: object) -> ApiRequest:
    """A request for embeddings by the model "m"."""
    return ApiRequest("POST", "/embeddings", {}, orjson.dumps({"model": "m", **fields}))


def get(path: str) -> ApiRequest:
    """A GET."""
    return ApiRequest("GET", path, {})


def test_vectors_come_as_numbers_in_order(clock: Clock, world: World) -> None:
    """With the index of each, the usage and the call's summary."""
    world.model("m", Act(dimensions=3))
    answer, body = respond(clock, world, embed(input=["a", "b c"]))

    assert [(one["object"], one["index"], len(one["embedding"])) for one in body["data"]] == [
        ("embedding", 0, 3), ("embedding", 1, 3)
    ]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (answer.status, answer.headers["x-asyncrouter-model"]) == (200, "m")


@pytest.mark.parametrize("given", ["a", ["a"]])
def test_vectors_come_in_base64_as_numbers_of_32_bits(clock: Clock, world: World, given: object) -> None:
    """It is what OpenAI's own clients ask for."""
    world.model("m", Act(dimensions=3))
    _, plain = respond(clock, world, embed(input=given))
    _, encoded = respond(clock, world, embed(input=given, encoding_format="base64", dimensions=3))
    numbers = array("f", base64.b64decode(encoded["data"][0]["embedding"]))

    assert numbers == array("f", plain["data"][0]["embedding"])


@pytest.mark.parametrize("fields", [
    {}, {"input": ""}, {"input": []}, {"input": 7}, {"input": ["a"], "encoding_format": "int8"},
    {"input": "a", "model": "m,n"}, {"input": "a", "model": "tier:low"}, {"input": [{}]},
])
def test_embeddings_that_cannot_be_made_are_a_400(clock: Clock, world: World, fields: dict[str, Any]) -> None:
    """Nothing is sent."""
    world.model("m", Act(text="one"))
    world.model("n", Act(text="one"))
    answer, _ = respond(clock, world, embed(**fields), tiers={"low": ["m"]})

    assert (answer.status, len(world.seen)) == (400, 0)


TABLES = {"tasks": {"t": ["m", "n"]}, "tiers": {"low": ["n"]}, "models": {"own/x": {"provider": "sim", "id": "x"}}}


def test_the_models_are_those_of_the_configuration(clock: Clock, world: World) -> None:
    """Its models, those of its chains, its tasks and its tiers, each of which may stand as `model`."""
    _, body = respond(clock, world, get("/models"), **TABLES)

    assert [one["id"] for one in body["data"]] == ["own/x", "m", "n", "task:t", "tier:low"]


@pytest.mark.parametrize(("path", "status"), [
    ("own/x", 200), ("own%2Fx", 200), ("task:t", 200), ("nope", 404), ("m/", 404), ("%00", 404),
])
def test_one_model_is_shown_or_unknown(clock: Clock, world: World, path: str, status: int) -> None:
    """Its name may be percent-encoded, as SDKs write it."""
    answer, _ = respond(clock, world, get(f"/models/{path}"), **TABLES)

    assert answer.status == status


def test_an_unknown_model_says_where_the_list_is(clock: Clock, world: World) -> None:
    """There may be thousands."""
    _, body = respond(clock, world, get("/models/nope"))

    assert body["error"]["message"] == "unknown model 'nope'; GET /v1/models lists those that there are"


@pytest.mark.parametrize(("name", "headers", "status"), [
    ("m", {}, 200), ("n", {}, 404), ("m,n", {}, 404), ("task:t", {}, 404), ("sim:m", {}, 404),
    ("m", {"x-asyncrouter-task": "t"}, 404),
])
def test_a_name_that_is_not_allowed_looks_unknown(
    clock: Clock, world: World, name: str, headers: dict[str, str], status: int
) -> None:
    """However it is written, and also as a part of a chain or beside a task."""
    world.model("m", Act(text="one"))
    world.model("n", Act(text="one"))

    async def scenario() -> tuple[int, list[str]]:
        async with router_of(world, **TABLES) as router:
            api = OpenAIApi(router)
            answer = await api.respond(chat(name, headers), {"m"}.__contains__)
            listed = await api.respond(get("/models"), {"m"}.__contains__)
            assert isinstance(listed.body, bytes)
            return answer.status, [one["id"] for one in orjson.loads(listed.body)["data"]]

    assert clock.run(scenario()) == (status, ["m"])


MANY = {f"t{number}": ["m"] for number in range(22)}


@pytest.mark.parametrize(("tables", "name", "headers", "message"), [
    (TABLES, "task:codng", {}, "unknown task 'codng'; there are t"),
    (TABLES, "m", {"x-asyncrouter-task": "codng"}, "unknown task 'codng'; there are t"),
    (TABLES, "tier:hgh", {}, "unknown tier 'hgh'; there are low"),
    ({}, "tier:hgh", {}, "unknown tier 'hgh'; there is none"),
    ({"tasks": MANY}, "task:x", {}, f"unknown task 'x'; there are {', '.join(list(MANY)[:20])}, …"),
])  # fmt: skip
def test_an_unknown_name_says_which_ones_there_are(
    clock: Clock, world: World, tables: dict[str, object], name: str, headers: dict[str, str], message: str
) -> None:
    """The tasks and tiers by name, the first twenty of them."""
    world.model("m", Act(text="one"))
    answer, body = respond(clock, world, chat(name, headers), unknown_task="error", **tables)

    assert (answer.status, body["error"]["code"], body["error"]["message"]) == (404, "model_not_found", message)


def test_names_that_a_key_may_not_use_are_not_listed(clock: Clock, world: World) -> None:
    """A client learns nothing of the others by asking for what there is not."""
    messages = []

    async def scenario() -> None:
        async with router_of(world, tasks={"mine": ["m"], "theirs": ["m"]}) as router:
            for name in ("task:theirs", "task:nope"):
                answer = await OpenAIApi(router).respond(chat(name), {"task:mine"}.__contains__)
                assert isinstance(answer.body, bytes)
                messages.append(orjson.loads(answer.body)["error"]["message"])

    clock.run(scenario())

    assert messages == ["unknown task 'theirs'; there are mine", "unknown task 'nope'; there are mine"]


def test_a_session_stays_at_one_member_of_a_pool(clock: Clock, world: World) -> None:
    """The header field names the conversation; each one's requests go to one host, and the hosts share them all."""
    world.model("m", Act(text="one"))
    hosts = {name: {"base_url": "http://sim.test/v1", "headers": {"X-Host": name}} for name in "abc"}
    pool = {"any": [f"{name}:m" for name in hosts]}
    found: list[list[str]] = []

    async def scenario() -> None:
        async with router_of(world, providers=hosts, models={"pool": pool}) as router:
            for session in range(12):
                before = len(world.seen)
                for _ in range(4):
                    await OpenAIApi(router).respond(chat("pool", {"X-Asyncrouter-Session": f"chat {session}"}))
                found.append([seen.headers["x-host"] for seen in list(world.seen)[before:]])

    clock.run(scenario())

    assert [len(set(hosts_asked)) for hosts_asked in found] == [1] * 12
    assert {hosts_asked[0] for hosts_asked in found} == set(hosts)


def test_a_session_is_no_blank(clock: Clock, world: World) -> None:
    """It is a 400 that names it; for embeddings, which meet no prompt cache, it means nothing."""
    world.model("m", Act(text="one"))
    blank, body = respond(clock, world, chat(headers={"x-asyncrouter-session": " "}))
    vectors, _ = respond(clock, world, embed(input="a")._replace(headers={"x-asyncrouter-session": "a"}))

    assert (blank.status, body["error"]["message"][:9], vectors.status) == (400, "session: ", 200)
