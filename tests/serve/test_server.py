"""The server: what it answers, and how it stops, drains and reads its configuration again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError
from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, ServeOptions, Server
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body
from tests.helpers.loopback import run
from tests.helpers.planted import KEY, ROTATED
from tests.helpers.routers import router_of
from tests.helpers.served import NOBODY, connect, request, serving, status_of, talk, until

if TYPE_CHECKING:
    from asyncrouter.sim import World

STREAM = chat_body(stream=True)


def test_a_chat_is_answered(world: World) -> None:
    """Whole and streamed, with the call's summary in the header fields."""
    world.model("m", Act(text="one two"))

    async def scenario() -> None:
        async with serving(world) as server:
            whole = await talk(server, request(chat_body()))
            streamed = await talk(server, request(STREAM))

        assert (status_of(whole), b'"content":"one two"' in whole) == (200, True)
        assert b"x-asyncrouter-model: m\r\n" in whole.lower()
        assert b"content-type: text/event-stream" in streamed.lower()
        assert streamed.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    run(scenario())


def test_a_connection_is_used_again(world: World) -> None:
    """Two requests in a row, also when the second one was sent before the first was answered."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            both = await talk(server, request(chat_body(), headers=()) + request(chat_body()))

        assert (both.count(b"HTTP/1.1 200 OK"), len(world.seen)) == (2, 2)

    run(scenario())


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/models", 200), ("/v1/nope", 404), ("/", 404)])
def test_other_paths(world: World, path: str, status: int) -> None:
    """The list of models, a 404 in OpenAI's form, and whether the server takes requests."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(method="GET", path=path))

        assert status_of(answer) == status

    run(scenario())


def test_health_needs_no_key(world: World) -> None:
    """A load balancer has none, and whatever host it asks for."""

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(method="GET", path="/healthz", key=None, host="10.0.0.1"))

        assert answer.endswith(b'{"status":"ok"}')

    run(scenario())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com", ""])
def test_beyond_loopback_a_key_is_needed(world: World, host: str) -> None:
    """The server does not even begin, and says what to do."""
    with pytest.raises(ConfigError, match="--key env:NAME"):
        Server(lambda: Loaded(router_of(world)), ServeOptions(host=host))


def test_requests_in_flight_end_before_the_server_does(world: World) -> None:
    """They are answered whole, while new requests find nobody and `/healthz` says so."""
    world.model("m", Act(text="one two three", first_token=0.05, gap=0.05))

    async def scenario() -> None:
        async with serving(world, drain=5.0) as server:
            port = server.port
            calls = [asyncio.create_task(talk(server, request(body))) for body in (chat_body(), STREAM)]
            kept, writer = await connect(server)
            await until(lambda: len(world.seen) == 2)
            server.stop()
        answers = [await call for call in calls]

        assert [status_of(answer) for answer in answers] == [200, 200]
        assert answers[1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert await kept.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(scenario())


def test_what_does_not_end_in_time_gets_an_error(world: World) -> None:
    """A whole answer is a 503, a stream ends with an error event instead of a cut."""
    world.model("m", Act(text="one two", gap=60.0))

    async def scenario() -> None:
        async with serving(world, drain=0.1) as server:
            calls = [asyncio.create_task(talk(server, request(body))) for body in (chat_body(), STREAM)]
            await until(lambda: len(world.seen) == 2)
        whole, streamed = [await call for call in calls]

        assert (status_of(whole), b'"code":"closing"' in whole) == (503, True)
        assert (status_of(streamed), b'"code":"stream_interrupted"' in streamed) == (200, True)
        assert (streamed.endswith(b"\r\n0\r\n\r\n"), world.open) == (True, 0)

    run(scenario())


def test_a_request_during_the_drain_is_a_503(world: World) -> None:
    """On a connection that is busy with an earlier one; it asks the client to come back."""
    world.model("m", Act(text="one", first_token=0.1))

    async def scenario() -> None:
        async with serving(world, drain=5.0) as server:
            call = asyncio.create_task(talk(server, request(chat_body(), headers=())))
            await until(lambda: world.seen)
            server.stop()
        answer = await call

        assert (status_of(answer), b"connection: close" in answer.lower()) == (200, True)

    run(scenario())


def test_calls_in_flight_end_with_the_old_configuration(world: World) -> None:
    """After `reload()` new requests use the new one, keys and what they have used included."""
    world.model("old", Act(text="from the old", first_token=0.1))
    world.model("new", Act(text="from the new"))
    chains, secrets = iter(["old", "new"]), iter([KEY, ROTATED])

    def load() -> Loaded:
        router = router_of(world, tasks={"t": [next(chains)]})
        return Loaded(router, KeyRing([ClientKey("a", next(secrets), rpm=2)]))

    async def scenario() -> None:
        body = chat_body("task:t")
        async with Server(load, ServeOptions(port=0)) as server:
            call = asyncio.create_task(talk(server, request(body)))
            await until(lambda: world.seen)
            assert server.reload()
            second = await talk(server, request(body, key=ROTATED))
            stale = await talk(server, request(body))
            third = await talk(server, request(body, key=ROTATED))
            first = await call

        assert [b"from the old" in first, b"from the new" in second] == [True, True]
        assert [status_of(answer) for answer in (first, second, stale, third)] == [200, 200, 401, 429]

    run(scenario())


def test_a_wrong_configuration_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the server goes on with the old one."""
    world.model("m", Act(text="one"))
    good = [True]

    def load() -> Loaded:
        if not good:
            raise ConfigError("expected seconds", "defaults.total")
        good.pop()
        return Loaded(router_of(world), KeyRing([ClientKey("a", KEY)]))

    async def scenario() -> None:
        async with Server(load, ServeOptions(port=0)) as server:
            assert not server.reload()
            answer = await talk(server, request(chat_body()))

        assert status_of(answer) == 200
        assert "the configuration was not read again: defaults.total: expected seconds" in caplog.text

    with caplog.at_level(logging.INFO):
        run(scenario())


def test_pages_are_for_those_with_a_key(world: World) -> None:
    """Such as metrics: without a key they are a 401, like everything else."""
    from asyncrouter.openai_api import Answer

    async def scenario() -> None:
        pages = {"/metrics": lambda router: Answer(200, {"content-type": "text/plain"}, b"up 1")}
        load = lambda: Loaded(router_of(world), KeyRing([ClientKey("a", KEY)]))  # noqa: E731
        async with Server(load, ServeOptions(port=0), pages=pages) as server:
            inside = await talk(server, request(method="GET", path="/metrics"))
            outside = await talk(server, request(method="GET", path="/metrics", key=None))

        assert (inside.endswith(b"up 1"), status_of(outside)) == (True, 401)

    run(scenario())


def test_two_hundred_at_once(world: World) -> None:
    """All are answered, and nothing is left open."""
    world.model("dead", Act(status=500))
    world.model("m", Act(text="one", first_token=0.02))

    async def scenario() -> None:
        async with serving(world, NOBODY) as server:
            bodies = [chat_body("dead,m", stream=number % 2 == 0) for number in range(200)]
            answers = await asyncio.gather(*[talk(server, request(body, key=None), 15.0) for body in bodies])

        assert {status_of(answer) for answer in answers} == {200}
        assert world.open == 0

    run(scenario())
