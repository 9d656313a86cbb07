"""Bodies that are compressed without having been asked for: what is read of them, and what their head still says."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.compression_utils import HAS_BROTLI

from asyncrouter import ConnectionFailed, Provider, RateLimited, Retry, Router
from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import CHUNKED, Peer, Server, failing, run, serving, whole

if TYPE_CHECKING:
    from asyncrouter import CallError

PLAIN = b"plain" * 99
BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BARE_DEFLATE = BARE.compress(PLAIN) + BARE.flush()
LARGE_BODY = b"x" * 40_000
"""A request's body that does not go the short way."""


async def reading(encoding: str, body: bytes, request: bytes = b"{}", status: str = "200 OK") -> bytes:
    """The body as it is read of a response with this one."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(body, status, Content_Encoding=encoding)

    transport = AiohttpTransport()
    async with serving(handle) as server:
        read = await whole(await transport.send(server.post(request)))
        await transport.aclose()
    return read


@pytest.mark.parametrize("request_body", [b"{}", LARGE_BODY], ids=["short way", "session"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PLAIN, mtime=0)), ("GZIP", gzip.compress(PLAIN, mtime=0)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", BARE_DEFLATE), ("gzip", gzip.compress(PLAIN[:50], mtime=0) + gzip.compress(PLAIN[50:], mtime=0)),
        ("identity", PLAIN), ("none", PLAIN),
    ],
)
def test_a_compressed_body_is_unpacked(encoding: str, body: bytes, request_body: bytes) -> None:
    """Gzip, also in two members, and both kinds of deflate are handed over as plain bytes; other names change nothing.
    """

    async def main() -> None:
        assert await reading(encoding, body, request_body) == PLAIN

    run(main())


def test_a_session_of_the_callers_unpacks_by_itself() -> None:
    """A body that the caller's session has unpacked is not unpacked once more."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(gzip.compress(PLAIN, mtime=0), Content_Encoding="gzip")

    async def main() -> None:
        async with serving(handle) as server:
            for unpacks in (True, False):
                async with aiohttp.ClientSession(auto_decompress=unpacks) as session:
                    transport = AiohttpTransport(session=session)
                    assert await whole(await transport.send(server.post())) == PLAIN
                    await transport.aclose()

    run(main())


def test_a_body_is_unpacked_in_pieces() -> None:
    """A read hands over 64 KiB at most, however much a few bytes unpack to."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            sizes = []
            while data := await response.read():
                sizes.append(len(data))
            assert (max(sizes), sum(sizes)) == (1 << 16, 10_000_000)
            await transport.aclose()

    run(main())


def test_a_piece_is_handed_over_when_it_has_come() -> None:
    """A compressed stream that its server flushes is read live, byte by byte if it comes so."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    first = packer.compress(b"first") + packer.flush(zlib.Z_SYNC_FLUSH)

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        for at in range(len(first)):
            await peer.chunk(first[at : at + 1])
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            read = b""
            while len(read) < len(b"first"):
                read += await response.read()
            assert read == b"first"
            response.close()
            await transport.aclose()

    run(main())


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"nope"), ("deflate", zlib.compress(PLAIN)[:-6])])
def test_a_broken_body_is_a_failure(encoding: str, body: bytes) -> None:
    """What cannot be unpacked, and deflate that is cut, fail the read with an error of ours."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(body, Content_Encoding=encoding)

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            assert error.message == "the body cannot be decompressed"
            assert error.__cause__ is error.__context__ is None
            await transport.aclose()

    run(main())


async def busy(peer: Peer) -> None:
    """Refuse a request for its rate, in a body that cannot be read."""
    await peer.request()
    await peer.reply(b"\x0b\x02\x80{}\x03", "429 Too Many Requests", Content_Encoding="br", Retry_After="7")


@pytest.mark.skipif(HAS_BROTLI, reason="aiohttp can read the body")
@pytest.mark.parametrize("request_body", [b"{}", LARGE_BODY], ids=["short way", "session"])
def test_the_head_of_an_unreadable_body_stands(request_body: bytes) -> None:
    """Status and headers are there; only reading the body fails, and another try would not help."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(busy) as server:
            response = await transport.send(server.post(request_body))
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
            with pytest.raises(ConnectionFailed) as caught:
                await response.read()
            told = f"127.0.0.1:{server.port} compressed its reply in a way that was not asked for: br"
            assert (caught.value.message, caught.value.again) == (told, "never")
            await transport.aclose()

    run(main())


async def refused(server: Server) -> CallError:
    """The error of a call to this server."""
    provider = Provider(base_url=f"http://127.0.0.1:{server.port}/v1", wire="openai")
    async with Router({"providers": {"p": provider}}) as router:
        with pytest.raises(Exception, match="p:m") as caught:
            await router.chat("hi", chain=["p:m"], retry=Retry(attempts=1))
    return caught.value  # type: ignore[return-value]


@pytest.mark.skipif(HAS_BROTLI, reason="aiohttp can read the body")
def test_an_error_status_with_an_unreadable_body_is_what_it_says() -> None:
    """A 429 is a rate limit with its Retry-After, also where its body cannot be read."""

    async def main() -> None:
        async with serving(busy) as server:
            error = await refused(server)
            assert error.trace is not None
            first = error.trace.attempts[0].error
            assert (type(first), first.retry_after) == (RateLimited, 7.0)  # type: ignore[union-attr]

    run(main())


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_unpacked_in_pieces_with_turns_between_them(encoding: str) -> None:
    """While kilobytes unpack to 40 MB the loop turns hundreds of times, and only a piece is in memory."""
    bomb = gzip.compress(bytes(40 << 20)) if encoding == "gzip" else zlib.compress(bytes(40 << 20))

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(bomb, Content_Encoding=encoding)

    async def main() -> None:
        transport, turns_taken = AiohttpTransport(), 0

        async def turn() -> None:
            nonlocal turns_taken
            while True:
                await asyncio.sleep(0)
                turns_taken += 1

        async with serving(handle) as server:
            response = await transport.send(server.post())
            turning, total, longest = asyncio.ensure_future(turn()), 0, 0
            while piece := await response.read():
                total += len(piece)
                longest = max(longest, len(piece))
            turning.cancel()
            assert (total, longest) == (40 << 20, 1 << 16)
            assert turns_taken > 500
            await transport.aclose()

    run(main())
