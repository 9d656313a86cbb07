"""Hosts that move: names that are looked up again, and connections that retire."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router
from asyncrouter._transport import connector as _connector
from asyncrouter._transport import names as _names
from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import Peer, Server, answering, failing, free_port, run, serving, turns, whole
from tests.helpers.names import name_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from asyncrouter._transport.api import Request, Response

HOST = "models.test"


async def unavailable(peer: Peer) -> None:
    """Answer every request with a 503."""
    while True:
        await peer.request()
        await peer.reply(b"old", "503 Service Unavailable")


@contextlib.asynccontextmanager
async def two_hosts(
    old: Callable[[Peer], Awaitable[object]], new: Callable[[Peer], Awaitable[object]]
) -> AsyncIterator[int]:
    """Servers on one port of 127.0.0.1 and 127.0.0.2: the port."""
    port = free_port()
    async with serving(old, port=port), serving(new, address="127.0.0.2", port=port):
        yield port


def post(port: int) -> Request:
    return Server(port).post(host=HOST)


async def status(transport: AiohttpTransport, port: int) -> int:
    response: Response = await transport.send(post(port))
    await whole(response)
    return response.status


def test_a_moved_host_is_found_while_its_old_address_answers_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after an old address answers 503 on a busy connection, the new address is asked."""

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1") as server:
            async with two_hosts(unavailable, answering) as port:
                transport, loop = AiohttpTransport(), asyncio.get_running_loop()
                assert await status(transport, port) == 503
                server.addresses, moved = ["127.0.0.2"], loop.time()
                while await status(transport, port) == 503:
                    await turns()
                assert loop.time() - moved < 3.0
                await transport.aclose()

    run(main())


def test_a_moved_host_is_found_while_its_old_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without any error a name in use is looked up again, and busy connections to an old address retire."""
    monkeypatch.setattr(_names, "REFRESH_SECONDS", 0.3)

    async def old(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.reply(b"old")

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1") as server:
            async with two_hosts(old, answering) as port:
                transport, loop = AiohttpTransport(), asyncio.get_running_loop()
                assert await whole(await transport.send(post(port))) == b"old"
                server.addresses, moved = ["127.0.0.2"], loop.time()
                while await whole(await transport.send(post(port))) == b"old":
                    await turns()
                assert loop.time() - moved < 2.0
                await transport.aclose()

    run(main())


def test_the_times_add_up_to_less_than_half_a_minute() -> None:
    """A new address is found within 30 s: a name in use is looked up every 10 s, any other after 30 s at most."""
    assert (_names.REFRESH_SECONDS, _names.DOUBTED_SECONDS, _connector.DNS_SECONDS) == (10.0, 1.0, 30)


def test_a_lost_connection_lets_the_name_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a pooled connection dies and the request is sent again, it goes to the address that the name has now."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.reply(b"old")
        await peer.request()

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1") as server:
            async with two_hosts(once, answering) as port:
                transport = AiohttpTransport()
                assert await whole(await transport.send(post(port))) == b"old"
                server.addresses = ["127.0.0.2"]
                assert await whole(await transport.send(post(port))) == b"hello"
                assert (transport.resends, server.asked) == (1, 2)
                await transport.aclose()

    run(main())


def test_a_refused_connection_lets_the_name_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a connection that was refused the next request goes to the address that the name has by then."""

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.3") as server:
            async with two_hosts(answering, answering) as port:
                transport = AiohttpTransport()
                error = await failing(transport, post(port))
                assert error.message == f"{HOST}:{port} refused the connection"
                server.addresses = ["127.0.0.2"]
                assert await status(transport, port) == 200
                await transport.aclose()

    run(main())


def test_a_name_service_that_is_away_takes_no_host_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """While names cannot be looked up, busy connections go on, and new ones use what was known."""
    monkeypatch.setattr(_names, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(_connector, "DNS_SECONDS", 0.05)

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1") as server:
            async with two_hosts(answering, answering) as port:
                transport = AiohttpTransport()
                await whole(await transport.send(post(port)))
                server.silent = True
                await asyncio.sleep(0.1)
                responses = await asyncio.gather(transport.send(post(port)), transport.send(post(port)))
                assert [response.status for response in responses] == [200, 200]
                assert [response.reused for response in responses] == [True, False]
                for response in responses:
                    await whole(response)
                third = await transport.send(post(port))
                assert third.reused
                await whole(third)
                await transport.aclose()

    run(main())


def test_several_addresses_of_a_name_all_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any of a name's addresses is reused, in whichever order they come."""
    monkeypatch.setattr(_names, "REFRESH_SECONDS", 0.05)

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1", "127.0.0.2") as server:
            async with two_hosts(answering, answering) as port:
                transport = AiohttpTransport()
                assert await status(transport, port) == 200
                for _ in range(3):
                    server.addresses.reverse()
                    await asyncio.sleep(0.06)
                    response = await transport.send(post(port))
                    assert response.reused
                    await whole(response)
                assert server.asked > 1
                await transport.aclose()

    run(main())


def test_a_busy_connection_has_a_maximum_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection past its age takes no further request: it is closed between two, never during one."""
    monkeypatch.setattr(_connector, "MAX_AGE_SECONDS", 0.2)

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            reused = []
            for _ in range(12):
                response = await transport.send(server.post())
                reused.append(response.reused)
                assert await whole(response) == b"hello"
                await asyncio.sleep(0.03)
            assert reused.count(False) in {2, 3, 4}
            assert transport.resends == 0
            await transport.aclose()

    run(main())


def test_connections_that_opened_together_do_not_retire_together() -> None:
    """Of a hundred connections opened at once, the ages at which they retire are spread over half of the longest."""

    async def main() -> None:
        transport, arrived = AiohttpTransport(), asyncio.Barrier(100)

        async def together(peer: Peer) -> None:
            await peer.request()
            await arrived.wait()
            await peer.reply()

        async with serving(together) as server:
            responses = await asyncio.gather(*(transport.send(server.post()) for _ in range(100)))
            session = transport._session
            assert session is not None
            assert isinstance(session.connector, _connector.Connector)
            pooled = [protocol for pool in session.connector._conns.values() for protocol, _ in pool]
            opened = [each.opened for each in pooled if isinstance(each, _connector._Protocol)]
            ends = sorted(each.until for each in opened if each is not None)
            longest = max(later - sooner for sooner, later in pairwise(ends))
            assert len(ends) == 100
            assert longest < 3.0
            assert 55.0 < ends[-1] - ends[0] < 62.0
            for response in responses:
                await whole(response)
            await transport.aclose()

    run(main())


def test_a_name_that_is_doubted_while_requests_wait_for_its_look_up_loses_none() -> None:
    """A connection that fails at the instant a name's look-up ends fails no other request that waited for it."""

    async def main() -> None:
        connector = _connector.Connector()
        found = asyncio.get_running_loop().create_future()
        connector._names.resolve = lambda *_, **__: found  # type: ignore[assignment]
        waiting = [asyncio.ensure_future(connector._resolve_host("models.test", 80)) for _ in range(3)]
        await turns()
        found.set_result([{"host": "127.0.0.1"}])
        await asyncio.sleep(0)  # the look-up has ended, and those who waited have not run yet
        connector._forget_name(("models.test", 80))
        addresses = [[address["host"] for address in result] for result in await asyncio.gather(*waiting)]
        await connector.close()
        assert addresses == [["127.0.0.1"]] * 3

    run(main())


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names are looked up, so many are remembered."""
    monkeypatch.setattr(_names, "MAX_NAMES", 4)

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1"):
            names = _names.Names()
            for number in range(10):
                await names.resolve(f"host{number}.test", 80)
            assert repr(names) == "<Names 2 known>"
            await names.close()

    run(main())


# ── under load, through a router ──────────────────────────────────────────────────────────────────────────────────────

ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}]}'


def saying(word: bytes) -> Callable[[Peer], Awaitable[object]]:
    """A host that answers every request with this word."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.reply(ANSWER % word, content_type="application/json")

    return handle


@pytest.mark.parametrize("end", ["unavailable", "reset"])
def test_an_address_that_moves_under_load_costs_no_call(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """While a host moves every call is answered, by the next model if need be, and the new address within 30 s.

    It is in real time, some seconds: names are looked up by the system, over a name server on loopback.
    """
    moved, busy = asyncio.Event(), asyncio.Event()

    async def old(peer: Peer) -> None:
        while True:
            await peer.request()
            if not moved.is_set():
                await peer.reply(ANSWER % b"old", content_type="application/json")
            elif end == "reset":
                peer.reset()
                return
            else:
                await peer.reply(b"gone", "503 Service Unavailable")

    async def main() -> None:
        with name_server(monkeypatch, "127.0.0.1") as names:
            async with two_hosts(old, saying(b"new")) as port, serving(saying(b"other")) as other:
                providers = {
                    "a": {"base_url": f"http://{HOST}:{port}/v1"}, "b": {"base_url": f"http://127.0.0.1:{other.port}/v1"},
                }
                models = {name: {"provider": name, "id": name} for name in "ab"}
                config = {"providers": providers, "default_provider": "a", "models": models,
                          "tasks": {"default": ["a", "b"]}}
                loop, said, when = asyncio.get_running_loop(), list[str](), 0.0
                async with Router(config) as router:

                    async def load() -> None:
                        while "new" not in said:
                            said.append((await router.chat("Hi")).text)
                            if len(said) > 20:
                                busy.set()
                            await asyncio.sleep(0.02)

                    calls = [asyncio.ensure_future(load()) for _ in range(8)]
                    await busy.wait()
                    names.addresses, when = ["127.0.0.2"], loop.time()
                    moved.set()
                    await asyncio.gather(*calls)  # raises what a call has raised
                    assert loop.time() - when < 30.0
                assert set(said) <= {"old", "other", "new"}
                assert said.count("old") > 8

    asyncio.run(asyncio.wait_for(main(), 40))
