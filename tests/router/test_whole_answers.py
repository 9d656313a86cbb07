"""Where nobody reads an answer as it comes, "auto" limits are no reason to stream: it is asked for in one body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.openai_api import OpenAIApi
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat, read_all
from tests.helpers.racing import timeline
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Router
    from asyncrouter.sim import Clock, World


async def by_chat(router: Router) -> None:
    """A call whose program may read along."""
    await router.chat("hi", model="m")


async def by_batch(router: Router) -> None:
    """A call of batch work."""
    await router.chat("hi", model="m", priority="batch")


async def by_map(router: Router) -> None:
    """A call of `batch.map`."""
    assert [result.text async for _, result in batch.map(router, ["hi"], model="m")]


async def by_server(router: Router) -> None:
    """A request to a server."""
    assert await read_all(await OpenAIApi(router).respond(chat()))


async def by_server_with_options(router: Router) -> None:
    """A request to a server that has a view of a router."""
    assert await read_all(await OpenAIApi(router.with_options(tags={"a": "b"})).respond(chat()))


async def by_streaming_server(router: Router) -> None:
    """A request to a server for a stream."""
    assert await read_all(await OpenAIApi(router).respond(chat(stream=True)))


@pytest.mark.parametrize(("ask", "streams"), [
    (by_chat, True), (by_batch, False), (by_map, False), (by_server, False), (by_server_with_options, False),
    (by_streaming_server, True),
])  # fmt: skip
def test_who_reads_along_gets_a_stream(
    clock: Clock, world: World, ask: Callable[[Router], Awaitable[None]], streams: bool
) -> None:
    """`chat()` and streams stream; batch work and a server's unstreamed calls ask for one JSON body."""
    world.model("m", Act())

    async def scenario() -> None:
        async with router_of(world) as router:
            await ask(router)

    clock.run(scenario())

    assert [seen.stream for seen in world.seen] == [streams]


@pytest.mark.parametrize(("defaults", "streams"), [
    ({}, False),
    ({"first_token": 10.0}, True),
    ({"idle": 10.0}, True),
    ({"first_token": {"auto": True, "cap": 90.0}}, False),
    ({"first_token": "none", "idle": "none"}, False),
    ({"hedge": {"after": 5.0}}, True),
    ({"wire_stream": True}, True),
    ({"wire_stream": False, "idle": 10.0}, False),
])  # fmt: skip
@pytest.mark.parametrize("ask", [by_batch, by_server])
def test_numbers_and_hedges_need_a_stream(
    clock: Clock, world: World, ask: Callable[[Router], Awaitable[None]], defaults: dict[str, object], streams: bool
) -> None:
    """A limit that is a number, and a hedge, need to see the contents; what the configuration says is done."""
    world.model("m", Act())

    async def scenario() -> None:
        async with router_of(world, defaults=defaults) as router:
            await ask(router)

    clock.run(scenario())

    assert [seen.stream for seen in world.seen] == [streams]


def test_a_late_body_is_rescued(clock: Clock, world: World) -> None:
    """A server's unstreamed answer that takes far longer than usual is raced, judged on the whole of it."""
    world.model("n", Act(first_token=1.0))

    async def scenario() -> list[tuple[str, str, str | None]]:
        async with router_of(world, tasks={"default": {"models": ["m", "n"]}}) as router:
            for late in (*[False] * 120, True):
                world.model("m", Act(first_token=60.0 if late else 1.0))
                answer = await OpenAIApi(router).respond(chat("task:default"))
            assert answer.trace is not None
            return [line[:3] for line in timeline(answer.trace)]

    assert clock.run(scenario()) == [("m", "first", "superseded"), ("n", "rescue", "won")]
