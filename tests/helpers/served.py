"""A server over a simulated world, on a free port, and requests whose every byte a test writes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, ServeOptions, Server
from tests.helpers.planted import KEY
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from asyncrouter.sim import World

NOBODY: Sequence[ClientKey] = ()
"""The keys of a server that asks nobody for one."""


def anybody() -> list[ClientKey]:
    """The keys of a server with one client."""
    return [ClientKey("a", KEY)]


@contextlib.asynccontextmanager
async def serving(
    world: World, keys: Sequence[ClientKey] | None = None, *, tables: dict[str, object] | None = None,
    **options: object,
) -> AsyncIterator[Server]:
    """A server with these keys (`None`: one, `KEY`), the router's tables and the server's options."""
    ring = KeyRing(anybody() if keys is None else keys)
    chosen = ServeOptions(**{"port": 0, "drain": 0.2, **options})
    async with Server(lambda: Loaded(router_of(world, **(tables or {})), ring), chosen) as server:
        yield server


def request(
    body: bytes = b"", *, method: str = "POST", path: str = "/v1/chat/completions", key: str | None = KEY,
    length: int | None = None, headers: Sequence[str] = ("Connection: close",), host: str = "127.0.0.1",
) -> bytes:
    """The bytes of a request; `key` and `length` (`None`: the body's) can be other than right."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [] if key is None else [f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a server."""
    return await asyncio.open_connection("127.0.0.1", server.port)


async def talk(server: Server, data: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes and return all that comes back until the server closes; `b""` if it resets."""
    reader, writer = await connect(server)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), seconds)
        return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    """The status in the bytes of a response; 0 for none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


async def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something holds: there is nothing that says when a server has got so far."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
