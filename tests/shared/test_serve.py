"""Servers that keep a limit together in a real Redis. (A process takes a second to start.)"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body
from tests.helpers.commandline import command, environment
from tests.helpers.loopback import run
from tests.helpers.served import request, status_of
from tests.shared.test_batch import LIMITED, most_in_a_second

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.helpers.commandline import Shell
    from tests.helpers.redis_server import RedisServer


@asynccontextmanager
async def served(url: str) -> AsyncIterator[int]:
    """`asyncrouter serve --shared` in a process of its own; yields its port."""
    process = await asyncio.create_subprocess_exec(
        *command("serve", "--port", "0", "--json", "--shared", url), env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield int(json.loads(await process.stdout.readline())["base_url"].split(":")[2].removesuffix("/v1"))
    finally:
        process.terminate()
        await process.communicate()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(chat_body("m"), key=None))
        return await asyncio.wait_for(reader.read(), 15.0)
    finally:
        writer.close()


def test_two_servers_keep_one_limit(server: RedisServer, shell: Shell) -> None:
    """Sixty requests, half to each: all answered, at 20 a second together."""
    shell.world.model("m", Act(text="x"))
    shell.write(LIMITED)
    server.command("FLUSHALL")

    async def scenario() -> None:
        async with served(server.url) as one, served(server.url) as other:
            answers = await asyncio.gather(*(ask(port) for port in [one, other] * 30))
        assert [status_of(answer) for answer in answers] == [200] * 60

    run(scenario())
    times = sorted(seen.at for seen in shell.world.seen)
    assert most_in_a_second(times) <= 20 + 20 + 2  # a full bucket, and what comes into it in a second
    assert times[-1] - times[0] >= (60 - 22) / 20


def test_a_redis_that_is_not_there_ends_the_server(shell: Shell) -> None:
    """A Redis that cannot be reached is said before the port is opened, with where and why."""
    shell.write(LIMITED)

    done = shell.run("serve", "--port", "0", "--shared", "redis://127.0.0.1:1/0")

    assert "shared: redis://127.0.0.1:1/0 cannot be used: ConnectionError" in done.err
    assert "serving" not in done.err
    assert done.status == 2
