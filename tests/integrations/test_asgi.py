"""The ASGI application: mounted in a service, driven by a server's events, left by its clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from asyncrouter import ConfigError
from asyncrouter.integrations import asgi
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body, events_of
from tests.helpers.planted import KEY
from tests.helpers.routers import router_of
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.sim import Clock, World

Message = dict[str, Any]
CHAT = "/v1/chat/completions"


class Client:
    """A client of an ASGI application: the events that it will send, and what it has got, with the instants."""

    def __init__(self, clock: Clock, *events: Message | float) -> None:
        self._clock = clock
        self._events = list(events)
        self.got: list[tuple[float, Message]] = []

    async def receive(self) -> Message:
        """The next event; a number is a pause in seconds before it, and after the last one nothing comes."""
        while self._events:
            event = self._events.pop(0)
            if isinstance(event, dict):
                return event
            await asyncio.sleep(event)
        return await asyncio.Future()

    async def send(self, event: Message) -> None:
        """Take an event of the application."""
        self.got.append((self._clock.now, event))

    @property
    def status(self) -> int:
        """The status that it got; 0 for none."""
        return next((event["status"] for _, event in self.got if "status" in event), 0)

    @property
    def body(self) -> bytes:
        """All of the body that it got."""
        return b"".join(event.get("body", b"") for _, event in self.got)


def scope(path: str = CHAT, *, headers: Sequence[tuple[bytes, bytes]] = (), method: str = "POST") -> Message:
    """The scope of a request."""
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> Message:
    """A part of a request's body."""
    return {"type": "http.request", "body": data, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def serve(clock: Clock, world: World, client: Client, asked: Message, **options: Any) -> None:
    """Serve one request to its end."""

    async def scenario() -> None:
        async with router_of(world) as router:
            await asgi.app(router, **options)(asked, client.receive, client.send)

    clock.run(scenario())


def test_a_stream_comes_as_it_is_made(clock: Clock, world: World) -> None:
    """Each content goes out at its own instant."""
    world.model("m", Act(text=PROMPT, first_token=1.0, gap=2.0))
    client = Client(clock, body(chat_body(stream=True)))
    serve(clock, world, client, scope())
    parts = [(at, len(events_of(event["body"]))) for at, event in client.got[1:]]

    assert (client.status, parts) == (200, [(1.0, 1), (3.0, 1), (5.0, 1), (5.0, 2), (5.0, 0)])


def test_a_body_may_come_in_parts(clock: Clock, world: World) -> None:
    """A whole answer has its length."""
    world.model("m", Act(text="one"))
    data = chat_body()
    client = Client(clock, body(data[:9], more=True), 0.5, body(data[9:]))
    serve(clock, world, client, scope())
    headers = dict(client.got[0][1]["headers"])

    assert (client.status, headers[b"content-length"]) == (200, str(len(client.body)).encode())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_call(clock: Clock, world: World, stream: bool) -> None:
    """At once, whether its answer had begun or not."""
    world.model("m", Act(text=PROMPT, first_token=1.0, gap=2.0))
    client = Client(clock, body(chat_body(stream=stream)), 2.0 if stream else 0.5, GONE)
    serve(clock, world, client, scope())

    assert (clock.now, world.open) == (2.0 if stream else 0.5, 0)


def test_a_client_that_leaves_before_its_body_has_asked_nothing(clock: Clock, world: World) -> None:
    """No answer is made for it."""
    client = Client(clock, body(b"{", more=True), GONE)
    serve(clock, world, client, scope())

    assert (client.got, len(world.seen)) == ([], 0)


@pytest.mark.parametrize(("headers", "status"), [
    ([], 401), ([(b"authorization", b"Bearer x")], 401), ([(b"authorization", f"Bearer {KEY}".encode())], 200),
    ([(b"authorization", f"Bearer {KEY}".encode()), (b"authorization", b"Bearer x")], 401),
    ([(b"authorization", b"Bearer x"), (b"authorization", f"Bearer {KEY}".encode())], 401),
])
def test_a_key_is_asked_for(
    clock: Clock, world: World, headers: list[tuple[bytes, bytes]], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from the environment."""
    monkeypatch.setenv("DOOR", KEY)
    world.model("m", Act(text="one"))
    client = Client(clock, body(chat_body()))
    serve(clock, world, client, scope(headers=headers), key="env:DOOR")

    assert (client.status, len(world.seen)) == (status, int(status == 200))


@pytest.mark.parametrize("key", ["a-literal", "", [], ["env:NOT_SET"]])
def test_a_key_that_cannot_be_used_is_an_error(world: World, key: Any) -> None:
    """An application never begins open because its key was forgotten."""
    with pytest.raises(ConfigError, match=r"^key: "):
        asgi.app(router_of(world), key=key)


@pytest.mark.parametrize("events", [
    [body(b"x" * 60, more=True), body(b"x" * 60)], [body(b"x" * 101)],
])
def test_a_large_body_is_refused(clock: Clock, world: World, events: list[Message]) -> None:
    """As soon as it is over the limit; an announced one without a byte."""
    client, told = Client(clock, *events), Client(clock)
    serve(clock, world, client, scope(), max_body=100)
    serve(clock, world, told, scope(headers=[(b"content-length", b"101")]), max_body=100)

    assert (client.status, told.status) == (413, 413)


@pytest.mark.parametrize("path", ["/", "/chat/completions", "/v1", "/v2/chat/completions", "/v1chat/completions"])
def test_other_paths_are_unknown(clock: Clock, world: World, path: str) -> None:
    """Only what is below `/v1` is served."""
    client = Client(clock, body(chat_body()))
    serve(clock, world, client, scope(path))

    assert client.status == 404


def test_the_lifespan_opens_and_closes_the_router(clock: Clock, world: World) -> None:
    """As a server without a service around it has it."""
    router = router_of(world)
    client = Client(clock, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    clock.run(asgi.app(router)({"type": "lifespan"}, client.receive, client.send))

    assert [event["type"] for _, event in client.got] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert repr(router) == "<Router closed, 0 calls in flight>"


def test_it_is_mounted_in_a_service(clock: Clock, world: World) -> None:
    """Below a path of the service's choice."""
    world.model("m", Act(text="one"))

    async def scenario() -> httpx.Response:
        service = FastAPI()
        async with router_of(world) as router:
            service.mount("/llm", asgi.app(router))
            transport = httpx.ASGITransport(service)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.post(f"/llm{CHAT}", content=chat_body())

    response = clock.run(scenario())

    assert (response.status_code, response.json()["choices"][0]["message"]["content"]) == (200, "one")
