"""Headers longer than aiohttp's own limit, as relays send them."""

from __future__ import annotations

import pytest

from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import Peer, run, serving


@pytest.mark.parametrize("size", [9_000, 60_000])
def test_a_long_header_is_read(size: int) -> None:
    """The status and the Retry-After beside it stand."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\nX: " + b"x" * size + b"\r\n\r\n")
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            assert (response.status, response.headers["retry-after"]) == (429, "7")
            await transport.aclose()

    run(main())
