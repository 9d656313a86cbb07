"""A server that is stopped, or reads its configuration again, while hundreds of answers are under way: none is half."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, ServeOptions, Server
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body, events_of
from tests.helpers.commandline import ROOT
from tests.helpers.loopback import run
from tests.helpers.planted import KEY
from tests.helpers.routers import router_of
from tests.helpers.served import request, serving, status_of, talk, until

if TYPE_CHECKING:
    from asyncrouter.sim import World
    from tests.helpers.commandline import Shell

STREAMS = 200
WORDS = "one two three four five six seven eight nine ten"
STREAM = request(chat_body(stream=True))


def text_of(answer: bytes) -> str:
    """The text of a streamed answer that has come whole: with its `[DONE]` and its last chunk. Fails for any other."""
    head, _, body = answer.partition(b"\r\n\r\n")
    data, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        data, rest = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    *events, done = events_of(data)

    assert (status_of(head), body[-5:], done) == (200, b"0\r\n\r\n", "[DONE]")
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def test_two_hundred_streams_end_before_the_server_does(world: World) -> None:
    """They come to their end; those that take longer than the server gives them (5 s) get an error event instead."""
    world.model("m", Act(text=WORDS, gap=0.1))
    world.model("endless", Act(text=WORDS, gap=60.0))

    async def scenario() -> None:
        async with serving(world, drain=5.0) as server:
            long = request(chat_body("endless", stream=True))
            calls = [asyncio.create_task(talk(server, STREAM, 15.0)) for _ in range(STREAMS)]
            calls += [asyncio.create_task(talk(server, long, 15.0)) for _ in range(20)]
            await until(lambda: world.open == STREAMS + 20, 10.0)
            began = time.monotonic()
            server.stop()
        took = time.monotonic() - began
        answers = await asyncio.gather(*calls)

        assert [text_of(answer) for answer in answers[:STREAMS]] == [WORDS] * STREAMS
        assert [b'"code":"stream_interrupted"' in answer for answer in answers[STREAMS:]] == [True] * 20
        assert [answer[-5:] for answer in answers[STREAMS:]] == [b"0\r\n\r\n"] * 20
        assert (took < 7.0, world.open) == (True, 0)

    run(scenario())


def test_a_configuration_that_changes_under_load(world: World) -> None:
    """Two hundred streams and as many whole answers while it is read again twenty times: all of them whole."""
    world.model("a", Act(text=WORDS, gap=0.02))
    world.model("b", Act(text=WORDS, gap=0.02))
    names = itertools.cycle("ab")

    def load() -> Loaded:
        return Loaded(router_of(world, tasks={"t": [next(names)]}), KeyRing([ClientKey("a", KEY)]))

    async def scenario() -> None:
        async with Server(load, ServeOptions(port=0)) as server:
            calls = []
            for number in range(2 * STREAMS):
                body = chat_body("task:t", stream=number % 2 == 0)
                calls.append(asyncio.create_task(talk(server, request(body), 15.0)))
                if number % 20 == 0:
                    assert server.reload()
                    await asyncio.sleep(0.01)
            answers = await asyncio.gather(*calls)

        assert [text_of(answer) for answer in answers[::2]] == [WORDS] * STREAMS
        assert {(status_of(answer), WORDS.encode() in answer) for answer in answers[1::2]} == {(200, True)}
        assert ({seen.model for seen in world.seen}, len(world.seen), world.open) == ({"a", "b"}, 2 * STREAMS, 0)

    run(scenario())


def test_what_was_learned_stays_when_the_configuration_changes(world: World) -> None:
    """A model whose provider has asked for a pause gets no request before that is over."""
    world.model("held", Act(why="rate_limit", retry_after=600))
    world.model("m", Act(text="one"))
    names = itertools.cycle([["held", "m"], ["m", "held"], ["held", "m"]])

    def load() -> Loaded:
        return Loaded(router_of(world, tasks={"t": next(names)}), KeyRing([ClientKey("a", KEY)]))

    async def scenario() -> None:
        async with Server(load, ServeOptions(port=0)) as server:
            answers = []
            for _ in range(3):
                answers.append(await talk(server, request(chat_body("task:t"))))
                server.reload()

        assert [status_of(answer) for answer in answers] == [200] * 3
        assert [seen.model for seen in world.seen] == ["held", "m", "m", "m"]

    run(scenario())


def test_a_process_that_is_terminated_under_load(shell: Shell) -> None:
    """SIGHUP and then SIGTERM with a hundred streams in flight: each is whole, and the process ends with 0 (4 s)."""
    shell.world.model("a", Act(text=WORDS, gap=0.1))
    command = [sys.executable, "-W", "error", "-m", "asyncrouter", "serve", "--port", "0", "--json"]

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            assert process.stdout is not None
            port = int(json.loads(await process.stdout.readline())["base_url"].split(":")[2].removesuffix("/v1"))
            body = request(chat_body("a", stream=True), key=None)
            calls = [asyncio.create_task(_ask(port, body)) for _ in range(100)]
            await until(lambda: shell.world.open == 100, 10.0)
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            answers = await asyncio.gather(*calls)
            _, err = await asyncio.wait_for(process.communicate(), 7.0)
        finally:
            if process.returncode is None:
                process.kill()

        assert [text_of(answer) for answer in answers] == [WORDS] * 100
        assert (process.returncode, time.monotonic() - began < 7.0) == (0, True)
        assert err.endswith(b"asyncrouter: the configuration was read again\nasyncrouter: stopping\n")

    run(scenario())


async def _ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 15.0)
    finally:
        writer.close()
