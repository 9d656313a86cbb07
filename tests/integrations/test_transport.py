"""The transport under SDKs: responses of the library that asked, streams as they come, cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from asyncrouter.integrations.openai import RouterTransport, api_path
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body, events_of
from tests.helpers.routers import router_of
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Clock, World

URL = "https://api.openai.com/v1/chat/completions"


def test_it_takes_a_router() -> None:
    """Anything else is a `TypeError` when the transport is made, not at the first request."""
    with pytest.raises(TypeError, match=r"^router: expected a Router, got str$"):
        RouterTransport("router.toml")  # type: ignore[arg-type]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_response_is_of_the_library_that_asked(clock: Clock, world: World, library: Any) -> None:
    """A whole answer has its status, header fields and body."""
    world.model("m", Act(text="one"))

    async def scenario() -> Any:
        async with router_of(world) as router, library.AsyncClient(transport=RouterTransport(router)) as client:
            return await client.post(URL, content=chat_body())

    response = clock.run(scenario())

    assert isinstance(response, library.Response)
    assert (response.status_code, response.headers["x-asyncrouter-model"]) == (200, "m")
    assert response.json()["choices"][0]["message"]["content"] == "one"


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_stream_comes_as_it_is_made(clock: Clock, world: World, library: Any) -> None:
    """Each content is there at its own instant."""
    world.model("m", Act(text=PROMPT, first_token=1.0, gap=2.0))

    async def scenario() -> list[tuple[float, int]]:
        async with (
            router_of(world) as router, library.AsyncClient(transport=RouterTransport(router)) as client,
            client.stream("POST", URL, content=chat_body(stream=True)) as response,
        ):
            return [(clock.now, len(events_of(part))) async for part in response.aiter_raw()]

    assert clock.run(scenario()) == [(1.0, 1), (3.0, 1), (5.0, 1), (5.0, 2)]


def leave(response: Any) -> Any:
    """Leave the stream after its first piece."""

    async def read() -> None:
        async for _ in response.aiter_raw():
            break

    return read()


def never_read(response: Any) -> Any:
    """Do not read it at all."""
    return asyncio.sleep(0)


@pytest.mark.parametrize("read", [leave, never_read])
def test_leaving_a_stream_ends_the_call(clock: Clock, world: World, read: Callable[[Any], Any]) -> None:
    """Its connection is closed when the response is."""
    world.model("m", Act(text=PROMPT, gap=1.0))

    async def scenario() -> int:
        async with router_of(world) as router, httpx2.AsyncClient(transport=RouterTransport(router)) as client:
            async with client.stream("POST", URL, content=chat_body(stream=True)) as response:
                await read(response)
            return world.open

    assert clock.run(scenario()) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_cancelled_request_ends_the_call(clock: Clock, world: World, stream: bool) -> None:
    """As a timeout of the client's own does."""
    world.model("m", Act(text=PROMPT, first_token=1.0, gap=1.0))

    async def scenario() -> list[int]:
        left = []
        async with router_of(world) as router, httpx2.AsyncClient(transport=RouterTransport(router)) as client:
            for seconds in (0.5, 1.5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.post(URL, content=chat_body(stream=stream)), seconds)
                await asyncio.sleep(0)
                left.append(world.open)
        return left

    assert clock.run(scenario()) == [0, 0]


def test_the_router_stays_its_owners(clock: Clock, world: World) -> None:
    """Closing the client does not close it."""
    world.model("m", Act(text="one"))

    async def scenario() -> str:
        async with router_of(world) as router:
            async with httpx2.AsyncClient(transport=RouterTransport(router)):
                pass
            return (await router.chat("hi", model="m")).text

    assert clock.run(scenario()) == "one"


@pytest.mark.parametrize(("path", "ours"), [
    ("/v1/chat/completions", "/chat/completions"), ("/openai/deployments/x/chat/completions", "/chat/completions"),
    ("/v1/models/a/models/b", "/models/a/models/b"), ("/v1/models", "/models"), ("/v1/responses", "/v1/responses"),
])
def test_the_path_begins_where_the_api_does(path: str, ours: str) -> None:
    """Whatever stands before it in the address of the client."""
    assert api_path(path) == ours
