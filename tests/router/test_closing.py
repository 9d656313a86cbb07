"""The closing of a router: bounded, shielded, with calls in flight, and after they have ended (`drain`)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncrouter import (
    AllModelsFailed,
    ConnectionFailed,
    Hedge,
    Request,
    Response,
    Retry,
    Router,
    RouterClosed,
    StreamInterrupted,
)
from asyncrouter.sim import Act, Clock, VirtualLoop, World
from tests.helpers.routers import SlowToClose, models_asked, router_of

ROOT = Path(__file__).parents[2]


def test_closing_twice_is_closing_once(clock: Clock, world: World) -> None:
    """`aclose()` is idempotent, before the first call and after the block has been left, too."""
    world.model("a")
    transport = SlowToClose(world, 0.5)

    async def scenario() -> None:
        router = Router(world.config(), transport=transport)
        await router.aclose()
        async with router:
            await router.chat("x", model="a")
            await router.aclose()
            await router.aclose()
        await router.aclose()

    clock.run(scenario())
    assert transport.closed == ["begun", "ended"]


def test_a_closed_router_takes_no_calls(clock: Clock, world: World) -> None:
    """Every kind of call raises `RouterClosed` and sends nothing; `explain()` and `health()` still work."""
    world.model("a")

    async def scenario() -> None:
        router = router_of(world)
        await router.aclose()
        with pytest.raises(RouterClosed, match="enter it again"):
            await router.chat("x", model="a")
        with pytest.raises(RouterClosed):
            async with router.stream("x", model="a"):
                pass
        with pytest.raises(RouterClosed):
            await router.models()
        assert router.explain(model="a").steps[0].standing == "ready"
        assert router.health() == {}

    clock.run(scenario())
    assert models_asked(world) == []


@pytest.mark.parametrize(("takes", "ends"), [(0.0, 0.0), (1.5, 1.5), (900.0, 2.0)])
def test_closing_is_bounded(clock: Clock, world: World, takes: float, ends: float) -> None:
    """A transport that does not close delays `aclose()` by two seconds at most."""
    world.model("a")

    async def scenario() -> None:
        router = Router(world.config(), transport=SlowToClose(world, takes))
        await router.chat("x", model="a")
        await router.aclose()

    clock.run(scenario())
    assert clock.now == ends


def test_closing_is_shielded(clock: Clock, world: World) -> None:
    """A cancellation that comes while the router closes is raised when it is closed."""
    world.model("a")
    transport = SlowToClose(world, 1.0)

    async def scenario() -> bool:
        router = Router(world.config(), transport=transport)
        await router.chat("x", model="a")
        closing = asyncio.create_task(router.aclose())
        await asyncio.sleep(0.5)
        closing.cancel()
        await asyncio.wait([closing])
        return closing.cancelled()

    cancelled = clock.run(scenario())
    assert (transport.closed, clock.now) == (["begun", "ended"], 1.0)
    assert cancelled


def test_closing_inside_a_cancelled_scope(clock: Clock, world: World) -> None:
    """A router is closed to the end when its block is left because an anyio scope around it was cancelled."""
    world.model("a", Act(first_token=60.0))
    transport = SlowToClose(world, 1.0)

    async def scenario() -> None:
        with anyio.move_on_after(3.0):
            async with Router(world.config(), transport=transport) as router:
                await router.chat("x", model="a")

    clock.run(scenario())
    assert (transport.closed, clock.now) == (["begun", "ended"], 4.0)


def test_closing_waits_for_a_task_that_is_being_cancelled(clock: Clock, world: World) -> None:
    """The task of a lost race is waited for, up to two seconds, if it is slow to end; its result is retrieved."""
    world.model("a", Act(first_token=1.0))
    world.model("b", Act(first_token=9.0))

    class Clinging(SlowToClose):
        async def send(self, request: Request) -> Response:
            try:
                if b'"b"' in request.body:
                    await asyncio.sleep(9.0)
                return await super().send(request)
            except asyncio.CancelledError:
                await asyncio.sleep(1.25)
                raise

    async def scenario() -> int:
        async with Router(world.config(), transport=Clinging(world, 0.0)) as router:
            assert (await router.chat("x", chain=["a", "b"], hedge=Hedge(after=0.5))).model == "a"
            assert clock.now == 1.0
        return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1
    assert clock.now == 2.25


def test_calls_in_flight_fail_when_the_router_closes(clock: Clock, world: World) -> None:
    """`chat()` raises `RouterClosed`, a stream `StreamInterrupted`; no connection is left open."""
    world.model("a", Act(text="one two", gap=9.0))

    async def read(router: Router) -> None:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass

    async def scenario() -> list[object]:
        router = router_of(world)
        calls = [asyncio.create_task(router.chat("x", model="a")), asyncio.create_task(read(router))]
        await asyncio.sleep(1.0)
        await router.aclose()
        assert world.open == 0
        return list(await asyncio.gather(*calls, return_exceptions=True))

    chat, stream = clock.run(scenario())
    assert isinstance(chat, RouterClosed)
    assert isinstance(stream, StreamInterrupted)
    assert isinstance(stream.__cause__, ConnectionFailed)
    assert stream.partial == "one"
    assert clock.now == 1.0


@pytest.mark.parametrize(
    ("acts", "rpm", "before"),
    [
        ((Act(status=429, retry_after=60), Act()), None, 1),  # held
        ((Act(status=429, retry_after=60), Act()), None, 0),  # pausing before a retry
        ((Act(),), 2, 1),  # waiting for its turn
    ],
    ids=["held", "pausing", "queued"],
)
def test_a_call_that_waits_ends_when_the_router_closes(
    clock: Clock, world: World, acts: tuple[Act, ...], rpm: int | None, before: int
) -> None:
    """It raises `RouterClosed` at once, whatever it waited for, and sends nothing more."""
    world.model("a", *acts)
    tables = {"models": {"a": {"provider": "sim", "id": "a"} | ({"rpm": rpm} if rpm else {})}}

    async def scenario() -> object:
        router = router_of(world, **tables)
        asking = [router.chat("x", model="a", retry=Retry(attempts=1)) for _ in range(before)]
        await asyncio.gather(*asking, return_exceptions=True)
        call = asyncio.create_task(router.chat("x", model="a"))
        await asyncio.sleep(1.0)
        await router.aclose()
        return (await asyncio.gather(call, return_exceptions=True))[0]

    error = clock.run(scenario())
    assert isinstance(error, RouterClosed)
    assert (clock.now, len(world.seen)) == (1.0, max(before, 1))


def test_a_call_that_is_dropped_when_its_loop_is_gone(world: World) -> None:
    """A call that is closed after its event loop is not counted as in flight any more."""
    world.model("a", Act(first_token=5.0))
    router, loop = router_of(world), VirtualLoop()
    call = router.chat("x", model="a")

    loop.set_exception_handler(lambda loop, context: None)  # asyncio reports the destroyed task
    task = loop.create_task(call)
    loop.run_until_complete(asyncio.sleep(1.0))
    assert repr(router) == "<Router open, 1 calls in flight>"
    loop.close()
    call.close()

    assert (task.done(), repr(router)) == (False, "<Router open, 0 calls in flight>")


CLOSING_WITHOUT_IMPORTS = '''
import asyncio, contextlib, sys

from asyncrouter import Router, RouterClosed

BODY = b'{"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}'


class Refusing:
    def find_spec(self, name, path=None, target=None):
        raise AssertionError(f"imported while the router closes: {name}")


async def serve(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            length = head.lower().partition(b"content-length:")[2].split()[0]
            if b"silent" not in await reader.readexactly(int(length)):
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    router = Router({"default_provider": "here", "providers": {"here": {"base_url": url}}})
    assert (await router.chat("x", model="a")).text == "hi"
    calls = [router.chat("x", model="silent"), router.chat("x", chain=["silent", "silent2"], hedge=0.01)]
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0.1)
    sys.meta_path.insert(0, Refusing())
    await router.aclose()
    await asyncio.wait(tasks)
    sys.meta_path.pop(0)
    assert [type(task.exception()) for task in tasks] == [RouterClosed, RouterClosed]
    server.close()


asyncio.run(main())
'''


def test_nothing_is_imported_while_a_router_closes() -> None:
    """At the end of a process, or under load, an import would be slow or fail; so everything is there before."""
    command = [sys.executable, "-c", CLOSING_WITHOUT_IMPORTS]

    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "")


def test_drain_waits_for_calls_in_flight(clock: Clock, world: World) -> None:
    """No new call is taken any more; those in flight end as usual, and then the router closes."""
    world.model("a", Act(text="hi", first_token=3.0))
    transport = SlowToClose(world, 0.5)

    async def scenario() -> list[float]:
        router, ends = Router(world.config(), transport=transport), []

        async def call() -> None:
            assert (await router.chat("x", model="a")).text == "hi"
            ends.append(clock.now)

        async def drain() -> None:
            await router.drain()
            ends.append(clock.now)

        async with asyncio.TaskGroup() as group:
            group.create_task(call())
            await asyncio.sleep(1.0)
            group.create_task(drain())
            await asyncio.sleep(1.0)
            with pytest.raises(RouterClosed):
                await router.chat("x", model="a")
            assert transport.closed == []
        return ends

    assert clock.run(scenario()) == [3.0, 3.5]


def test_drain_waits_for_streams_and_failures(clock: Clock, world: World) -> None:
    """A stream counts until its last chunk, a failed or cancelled call until it has ended."""
    world.model("a", Act(text="one two", gap=2.0))
    world.model("bad", Act(status=400, first_token=1.0))

    async def read(router: Router) -> None:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass
            await asyncio.sleep(5.0)

    async def scenario() -> None:
        router = router_of(world)
        calls = [
            asyncio.create_task(read(router)),
            asyncio.create_task(router.chat("x", model="bad")),
            asyncio.create_task(router.chat("x", model="a")),
        ]
        await asyncio.sleep(0.5)
        calls[2].cancel()
        await router.drain()
        # The call of a stream is over with its last chunk, not with the block around it.
        assert clock.now == 2.0
        await asyncio.wait(calls)
        assert calls[2].cancelled()
        assert isinstance(calls[1].exception(), AllModelsFailed)

    clock.run(scenario())


def test_drain_without_calls_and_by_several(clock: Clock, world: World) -> None:
    """Without calls in flight `drain()` returns at once; two tasks that drain both return."""
    world.model("a", Act(first_token=1.0))

    async def scenario() -> None:
        await router_of(world).drain()
        assert clock.now == 0.0
        router = router_of(world)
        call = asyncio.create_task(router.chat("x", model="a"))
        await asyncio.sleep(0.5)
        await asyncio.gather(router.drain(), router.drain())
        assert clock.now == 1.0
        await call
        async with router:
            await router.chat("x", model="a")
            await router.drain()

    clock.run(scenario())
