"""Errors of OpenAI's API: the status, the words and the pause that a client gets for each failure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter.openai_api import ApiRequest, OpenAIApi
from asyncrouter.sim import Act
from tests.helpers.api_requests import HI, chat, respond
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

PATH = "/chat/completions"


@pytest.mark.parametrize(("act", "status", "kind", "code"), [
    (Act(status=500), 502, "server_error", "all_models_failed"),
    (Act(fault="refuse"), 502, "server_error", "all_models_failed"),
    (Act(why="key"), 502, "server_error", "all_models_failed"),
    (Act(why="credit"), 502, "server_error", "all_models_failed"),
    (Act(why="context"), 400, "invalid_request_error", "context_length_exceeded"),
    (Act(why="policy"), 400, "invalid_request_error", "content_filter"),
])
@pytest.mark.parametrize("stream", [False, True])
def test_each_failure_has_its_status(
    clock: Clock, world: World, act: Act, status: int, kind: str, code: str, stream: bool
) -> None:
    """Never a 401, 402 or 403, which would be about the client's own key; and no client is to try again."""
    world.model("m", act)
    answer, body = respond(clock, world, chat(stream=stream))

    assert (answer.status, body["error"]["type"], body["error"]["code"]) == (status, kind, code)
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert answer.headers["x-should-retry"] == "false"
    assert int(answer.headers["x-asyncrouter-attempts"]) >= 1


def test_the_parameter_that_a_provider_names_is_named(clock: Clock, world: World) -> None:
    """A client sees which one is wrong."""
    world.model("m", Act(why="bad_request", message="no such temperature", param="top_k"))
    answer, body = respond(clock, world, chat())

    assert (answer.status, body["error"]["param"]) == (400, "top_k")


def test_a_limit_everywhere_is_a_429_with_its_pause(clock: Clock, world: World) -> None:
    """Retry-After is the shortest pause that a provider asked for, in whole seconds."""
    world.model("m", Act(why="rate_limit", retry_after=500.5))
    answer, body = respond(clock, world, chat())

    assert (answer.status, body["error"]["type"], answer.headers["retry-after"]) == (429, "rate_limit_error", "501")


@pytest.mark.parametrize("name", ["nope", "task:nope", "tier:nope", "m,nope", "nope:m", "task:", "sim:", "x" * 5000])
def test_an_unknown_name_is_a_404(clock: Clock, world: World, name: str) -> None:
    """As OpenAI has it, so that SDKs raise `NotFoundError`; its text is cut."""
    world.model("m", Act(text="one"))
    tables = {"default_provider": "openrouter", "models": {"m": {"provider": "sim", "id": "m"}}}
    answer, body = respond(clock, world, chat(name), **tables)

    assert (answer.status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")
    assert len(body["error"]["message"]) < 260
    assert len(world.seen) == 0


def body_of(**fields: object) -> bytes:
    """A chat's body with these fields in the place of the right ones; `None` leaves one out."""
    right = {"model": "m", "messages": HI}
    return orjson.dumps({name: value for name, value in {**right, **fields}.items() if value is not None})


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"1", b'"text"', b"null", b"\xff\xfe", b'{"model": NaN}', b"[" * 100_000,
    body_of(model=None), body_of(model=7), body_of(model=" "), body_of(model=","), body_of(model="m," * 25 + "m"),
    body_of(messages=None), body_of(messages="hi"), body_of(messages={}), body_of(messages=[]),
    body_of(messages=[1]), body_of(messages=[{}]), body_of(messages=[{"role": 1, "content": "x"}]),
    body_of(stream="yes"), body_of(stream_options=[1], stream=True), body_of(n=2, stream=True),
    body_of(api_key="abc"), body_of(response_format={"type": "json_schema", "json_schema": {"schema": {"type": 7}}}),
])  # fmt: skip
def test_a_body_that_cannot_be_used_is_a_400(clock: Clock, world: World, body: bytes) -> None:
    """It says what was expected, nothing is sent, and the client's key among the parameters is not repeated."""
    world.model("m", Act(text="one"))
    answer, told = respond(clock, world, ApiRequest("POST", PATH, {}, body))

    assert (answer.status, told["error"]["type"]) == (400, "invalid_request_error")
    assert "abc" not in told["error"]["message"]
    assert len(world.seen) == 0


@pytest.mark.parametrize("headers", [
    {"x-asyncrouter-deadline": "soon"}, {"x-asyncrouter-deadline": "-1"}, {"x-asyncrouter-deadline": "nan"},
    {"x-asyncrouter-deadline": "inf"}, {"X-AsyncRouter-Tsak": "t"},
])
def test_a_header_field_of_ours_that_cannot_be_used_is_a_400(
    clock: Clock, world: World, headers: dict[str, str]
) -> None:
    """A slip is told instead of ignored."""
    world.model("m", Act(text="one"))
    answer, _ = respond(clock, world, chat(headers=headers))

    assert (answer.status, len(world.seen)) == (400, 0)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", PATH, 405), ("DELETE", "/embeddings", 405), ("POST", "/models", 405), ("GET", "/", 404),
    ("POST", "/chat/completions/", 404), ("POST", "//chat/completions", 404), ("POST", "/chat/../models", 404),
    ("POST", "/responses", 404), ("POST", "/Chat/Completions", 404), ("GET", "/models/..%2f", 404),
])
def test_other_paths_and_methods_are_refused(clock: Clock, world: World, method: str, path: str, status: int) -> None:
    """A path is what it is: nothing is normalised."""
    answer, body = respond(clock, world, ApiRequest(method, path, {}, b"{}"))

    assert (answer.status, body["error"]["type"]) == (status, "invalid_request_error")


def test_a_name_cannot_break_out_of_a_header(clock: Clock, world: World) -> None:
    """A model's name with line breaks and beyond ASCII is one line of ASCII there."""
    name = "mé\r\nx-evil: 1"
    world.model(name, Act(text="one"))
    answer, _ = respond(clock, world, chat(name))

    assert answer.headers["x-asyncrouter-model"] == "m\\xe9\\r\\nx-evil: 1"


def test_a_bug_is_a_500_without_its_text(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the client nor the log sees what an unexpected exception says."""

    def broken(*args: object, **options: object) -> object:
        raise LookupError("the prompt was hi")

    router = router_of(world)
    monkeypatch.setattr(router, "stream", broken)
    with caplog.at_level(logging.DEBUG):
        answer = clock.run(OpenAIApi(router).respond(chat(stream=True)))
    assert isinstance(answer.body, bytes)

    assert (answer.status, b"prompt" in answer.body, "prompt" in caplog.text) == (500, False, False)
    assert "LookupError" in caplog.text


def test_a_closed_router_asks_the_client_to_come_back(clock: Clock, world: World) -> None:
    """A 503 with Retry-After: another server may be there, so the client's own retry makes sense."""

    async def scenario() -> tuple[int, str | None, str | None]:
        router = router_of(world)
        await router.aclose()
        answer = await OpenAIApi(router).respond(chat())
        return answer.status, answer.headers.get("retry-after"), answer.headers.get("x-should-retry")

    assert clock.run(scenario()) == (503, "1", None)


def test_a_client_of_the_responses_api_is_told_what_to_change(clock: Clock, world: World) -> None:
    """Newer clients ask by it unless they are told not to."""
    answer, body = respond(clock, world, ApiRequest("POST", "/responses", {}, b"{}"))

    assert (answer.status, body["error"]["message"]) == (
        404,
        "there is no such path here; there are /chat/completions, /embeddings and /models; set your client to Chat "
        "Completions",
    )
