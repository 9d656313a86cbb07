"""A real Redis that is stopped, paused, emptied, or no Redis at all: no call fails of it. Each takes some real seconds.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Event, Notice, Router, StateChanged
from asyncrouter.integrations.redis import RedisState
from asyncrouter.sim import Act, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers.redis_server import RedisServer

NAMES = count()


def routers(world: World, url: str, heard: list[Event], number: int = 2, **options: object) -> list[Router]:
    """Routers with a model of 100 requests a second for all of them together, of three slots."""
    models = {"a": {"provider": "sim", "id": "a", "rpm": 6000, "max_concurrent": 50}}
    config = world.config(models=models, tasks={"default": ["a"]})
    namespace = f"outages-{next(NAMES)}"
    return [
        Router(config, transport=world.transport(), listeners=[heard.append],
               shared=RedisState(url, namespace=namespace, **options))  # type: ignore[arg-type]
        for _ in range(number)
    ]


async def call_through(
    all_of_them: list[Router], seconds: float, *troubles: tuple[float, Callable[[], object]]
) -> int:
    """Call without end while things happen, each after so many seconds; how many were answered. None may fail."""
    for router in all_of_them:
        await router.chat("x")  # open, whatever this machine has to do
    ends, answered = time.monotonic() + seconds, len(all_of_them)

    async def caller(router: Router) -> None:
        nonlocal answered
        while time.monotonic() < ends:
            await router.chat("x")
            answered += 1

    async with asyncio.TaskGroup() as group:
        for router in all_of_them:
            for _ in range(10):
                group.create_task(caller(router))
        for after, happen in troubles:
            asyncio.get_running_loop().call_later(after, happen)
    for router in all_of_them:
        await router.aclose()
    return answered


def states(heard: list[Event]) -> set[str]:
    return {event.state for event in heard if isinstance(event, StateChanged) and event.subject == "shared state"}


@pytest.mark.parametrize("kind", ["stopped", "paused", "emptied"])
def test_no_call_fails_of_redis(server: RedisServer, world: World, kind: str) -> None:
    """Stopped and started, paused for longer than a question may take, or emptied: every call is answered."""
    world.model("a", Act(text="x", first_token=0.02))
    heard: list[Event] = []
    troubles = {
        "stopped": [(0.7, server.stop), (1.4, server.start)],
        "paused": [(0.7, server.pause), (1.4, server.go_on)],
        "emptied": [(0.7, partial(server.command, "FLUSHALL")), (0.9, partial(server.command, "SCRIPT", "FLUSH"))],
    }[kind]

    answered = asyncio.run(call_through(routers(world, server.url, heard), 4.5, *troubles))

    assert answered == len(world.seen)
    assert answered <= 1.3 * 100 * 4.5 + 100  # what may go in that time, and a bucket that is full at the beginning
    assert states(heard) <= {"away", "back"}
    assert ("away" in states(heard)) == (kind != "emptied")


def test_a_redis_that_need_not_be_there(world: World) -> None:
    """With `required=False` a server that was never there costs no call; it is said once."""
    world.model("a", Act(text="x"))
    heard: list[Event] = []
    (router,) = routers(world, "redis://127.0.0.1:1/0", heard, 1, required=False, processes=2)

    async def scenario() -> float:
        began = time.monotonic()
        async with router:
            await asyncio.gather(*(router.chat("x") for _ in range(5)))
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 1.0
    (notice,) = [event.text for event in heard if isinstance(event, Notice)]
    assert notice.startswith(
        "shared state: cannot be reached: this process goes on with its own share of the limits (ConnectionError: "
    )


def test_what_is_no_redis(world: World) -> None:
    """A server that speaks another language is one that cannot be reached."""
    world.model("a", Act(text="x"))
    heard: list[Event] = []

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> str:
        async with await asyncio.start_server(nonsense, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            (router,) = routers(world, f"redis://127.0.0.1:{port}/0", heard, 1, required=False)
            async with router:
                return (await router.chat("x")).text

    assert asyncio.run(scenario()) == "x"
    assert states(heard) == {"away"}


def test_callers_that_are_cancelled_harm_no_connection(server: RedisServer, world: World) -> None:
    """Hundreds of callers that are cancelled while they wait for Redis leave its connections and slots as they were."""
    world.model("a", Act(text="x", first_token=0.01))
    heard: list[Event] = []

    async def scenario() -> None:
        (router,) = routers(world, server.url, heard, 1)
        async with router:
            for _ in range(20):
                calls = [asyncio.create_task(router.chat("x")) for _ in range(20)]
                await asyncio.sleep(0.002)
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
            assert (await router.chat("x")).text == "x"

    asyncio.run(scenario())
    assert states(heard) == set()
