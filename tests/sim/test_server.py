"""The simulated world behind real sockets, read with a stranger's HTTP client: the same bytes as in-process."""

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import trustme

from asyncrouter import ConnectionFailed, Request, Retry, Router
from asyncrouter.sim import Act, Clock, World
from asyncrouter.sim.__main__ import main
from asyncrouter.sim.server import SimServer, _Connection


@dataclass
class Got:
    """What a client had in the end: `status` None when the connection was lost before any byte."""

    status: int | None
    kind: str | None
    body: bytes
    lost: bool


def asked(stream: bool, **body: object) -> bytes:
    messages = [{"role": "user", "content": "three little words"}]
    return json.dumps({"model": "m", "stream": stream, "messages": messages, **body}).encode()


CHAT = "/v1/chat/completions"
PATHS = {
    "openai": (CHAT, CHAT),
    "responses": ("/v1/responses", "/v1/responses"),
    "anthropic": ("/v1/messages", "/v1/messages"),
    "gemini": ("/v1beta/models/m:streamGenerateContent?alt=sse", "/v1beta/models/m:generateContent"),
}


def by_http(server: SimServer, path: str, body: bytes) -> Got:
    """One request through the standard library's client."""
    where = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
    got = Got(None, None, b"", lost=False)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        got.status, got.kind = response.status, response.getheader("content-type")
        while data := response.read1(65536):
            got.body += data
        # With a Content-Length, http.client takes an early end for the end.
        got.lost = bool(response.length)
        if response.getheader("content-encoding") == "gzip":
            got.body = zlib.decompressobj(31).decompress(got.body)
    except (ConnectionError, http.client.HTTPException):
        got.lost = True
    finally:
        connection.close()
    return got


async def in_process(world: World, path: str, body: bytes) -> Got:
    """The same request through the in-process transport."""
    got = Got(None, None, b"", lost=False)
    try:
        response = await world.transport().send(Request("POST", f"http://sim.test{path}", {}, body))
        got.status, got.kind = response.status, response.headers["content-type"]
        while data := await response.read():
            got.body += data
    except ConnectionFailed:
        got.lost = True
    return got


async def served(world: World, *requests: tuple[str, bytes]) -> list[Got]:
    async with world.server() as server:
        return [await asyncio.to_thread(by_http, server, path, body) for path, body in requests]


ACTS = {
    "healthy": Act(text="one two three"),
    "slow": Act(text="one two three", headers_after=0.01, first_token=0.02, gap=0.01, tail=0.01),
    "tools": Act(reasoning="hm", tool_calls=[{"name": "f", "arguments": {"x": 1}}]),
    "openrouter": Act(style="openrouter", text="one two", cost=0.01, comments=0.01, first_token=0.025),
    "no stream": Act(streams=False),
    "empty": Act(text=""),
    "nothing": Act(body=b""),
    "own body": Act(status=418, body=b"short and stout", headers={"Content-Type": "text/tea"}),
    "429": Act(status=429, retry_after="soon"),
    "500 cut": Act(status=500, fault="cut"),
    "refuse": Act(fault="refuse"),
    "dns": Act(fault="dns"),
    "disconnect": Act(fault="cut", at="headers"),
    "reset": Act(fault="reset", at="headers"),
    "cut": Act(text="one two three", fault="cut", at=1),
    "cut at the end": Act(text="one two three", fault="cut", at="end"),
    "reset midway": Act(text="one two three", fault="reset", at=2, gap=0.01),
    "interrupted": Act(text="one two three", fault="interrupted", at=1),
    "early end": Act(text="one two three", fault="early_end", at=1),
    "thoughts only": Act(text="one two three", fault="thoughts_only"),
    "bad arguments": Act(text="one two three", fault="bad_arguments"),
    "wrong label": Act(text="one two three", sse=("as_text",)),
    "one body": Act(text="one two three", sse=("one_body",)),
    "picture": Act(text="", pictures=2),
    "stall": Act(text="one two three", fault="stall", at=1, pause=0.05),
    "error": Act(text="one two three", fault="error"),
    "error midway": Act(text="one two three", style="openrouter", fault="error", at=1, code="server_error"),
    "malformed": Act(text="one two three", fault="malformed", at=1),
    "not utf8": Act(text="one two three", fault="not_utf8", at=1),
    "truncated": Act(text="one two three", fault="truncated", at=1),
    "gzip": Act(text="one two three", fault="gzip_cut"),
    "huge": Act(fault="huge", size=300_000),
    "html": Act(fault="html"),
    "no finish": Act(fault="no_finish"),
    "no done": Act(fault="no_done"),
    "no end": Act(fault="no_end"),
    "cut at a byte": Act(text="one two three", fault="cut", byte=150),
    "reset at a byte": Act(text="one two three", fault="reset", byte=100),
    "reset behind the end": Act(text="one two three", fault="reset", at="done"),
    "oddities": Act(text="one two three", sse=("crlf", "fields", "two_done", "no_blank_line")),
    "pieces": Act(text="one two three", sse=("bytes",)),
    "cause": Act(why="overloaded", retry_after=2.5),
    "blocked": Act(blocked=True),
}


@pytest.mark.parametrize("wire", PATHS)
@pytest.mark.parametrize("name", ACTS)
def test_both_fronts_give_the_same(name: str, wire: str) -> None:
    """An act gives the same status, bytes, ending and log in process and over a socket."""
    inner, outer, clock = World(), World(), Clock()
    inner.model("m", ACTS[name])
    outer.model("m", ACTS[name])
    requests = list(zip(PATHS[wire], (asked(True), asked(False)), strict=True))

    over_sockets = asyncio.run(served(outer, *requests))

    assert [clock.run(in_process(inner, path, body)) for path, body in requests] == over_sockets
    logs = [[(seen.model, seen.status, seen.contents, seen.gone) for seen in world.seen] for world in (inner, outer)]
    assert logs[0] == logs[1]
    assert inner.open == outer.open == 0


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what another party does, without a sleep of a fixed length."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)


async def raw(server: SimServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(server.base_url)
    return await asyncio.open_connection(where.hostname, where.port)


def post(body: bytes, path: str = CHAT, extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_one_connection_serves_many_requests() -> None:
    """A connection is kept alive; a request may come in parts, and two in one packet are answered in order."""
    world = World()
    world.model("m", Act(text="one", first_token=0.01), Act(text="two"), Act(text="three"))

    async def scenario() -> list[str]:
        async with world.server() as server:
            reader, writer = await raw(server)
            request = post(asked(False))
            for part in (request[:7], request[7:90], request[90:] + request + request):
                writer.write(part)
                await asyncio.sleep(0.005)
            texts = []
            for _ in range(3):
                head = await reader.readuntil(b"\r\n\r\n")
                [length] = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
                texts.append(json.loads(await reader.readexactly(length))["choices"][0]["message"]["content"])
            writer.close()
            return texts

    assert asyncio.run(scenario()) == ["one", "two", "three"]


class Bare(asyncio.BaseTransport):
    """A connection that is no `asyncio.Transport`, as those of uvloop are none."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def test_transports_of_another_event_loop() -> None:
    """The server works on transports that are not subclasses of asyncio's."""
    world, bare = World(), Bare()
    world.model("m", Act(text="hi"))

    async def main() -> None:
        connection = _Connection(world, "http://sim.test", set())
        connection.connection_made(bare)
        body = asked(False)
        connection.data_received(b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
        connection.connection_lost(None)

    asyncio.run(main())
    head, _, body = bare.written.partition(b"\r\n\r\n")
    assert (
        head.split(b"\r\n")[0], json.loads(body)["choices"][0]["message"]["content"],
    ) == (b"HTTP/1.1 200 OK", "hi")


def test_connection_close_is_honoured() -> None:
    """A request with `Connection: close` gets an end of file after its answer."""
    world = World()
    world.model("m")

    async def scenario() -> bytes:
        async with world.server() as server:
            reader, writer = await raw(server)
            writer.write(post(asked(True), extra="Connection: close\r\n"))
            try:
                return await reader.read()
            finally:
                writer.close()

    data = asyncio.run(scenario())
    assert b"connection: close" in data
    assert data.endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_is_noticed() -> None:
    """When a client leaves, the log says so, nothing more is sent, and no connection is left."""
    world = World()
    world.model("m", Act(fault="endless", gap=0.001))

    async def scenario() -> int:
        async with world.server() as server:
            reader, writer = await raw(server)
            writer.write(post(asked(True)))
            await reader.readuntil(b'"the"')
            assert world.open == 1
            writer.close()
            await until(lambda: world.open == 0)
            sent = world.seen[0].contents
            await asyncio.sleep(0.01)
            return sent

    assert asyncio.run(scenario()) == world.seen[0].contents
    assert world.seen[0].gone
    assert world.seen[0].ended is not None


def test_a_slow_client_holds_the_server_back() -> None:
    """A body without end waits for its reader instead of filling the memory."""
    world = World()
    world.model("m", Act(fault="endless"))

    async def scenario() -> None:
        async with world.server() as server:
            reader, writer = await raw(server)
            writer.write(post(asked(True)))
            await reader.readuntil(b'"the"')
            sent = -1
            while sent != world.seen[0].contents:
                sent = world.seen[0].contents
                await asyncio.sleep(0.02)
            for _ in range(200):
                await reader.read(1 << 16)
            await until(lambda: world.seen[0].contents > sent)
            writer.close()
            await until(lambda: world.open == 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [Act(fault="hang", at="connect"), Act(fault="hang", at="headers")])
def test_a_hang_before_the_headers(fault: Act) -> None:
    """A hang sends nothing, and leaving the server resets the connection."""
    world = World()
    world.model("m", fault)

    async def scenario() -> bytes:
        async with world.server() as server:
            reader, writer = await raw(server)
            writer.write(post(asked(True)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    return await reader.read(1)
            assert world.seen[0].status is None
        try:
            return await reader.read(1)
        finally:
            writer.close()

    with pytest.raises(ConnectionResetError):
        asyncio.run(scenario())
    assert world.open == 0


def test_it_serves_over_tls() -> None:
    """With an SSL context the world is served over https."""
    world, authority = World(), trustme.CA()
    world.model("m", Act(text="safe"))
    inside, outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(inside)
    authority.configure_trust(outside)

    def get(server: SimServer) -> bytes:
        where = urlsplit(server.base_url)
        connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=outside, timeout=5)
        connection.request("POST", f"{where.path}/chat/completions", asked(False))
        try:
            return connection.getresponse().read()
        finally:
            connection.close()

    async def scenario() -> bytes:
        async with world.server(tls=inside) as server:
            assert server.base_url.startswith("https://127.0.0.1:")
            return await asyncio.to_thread(get, server)

    assert json.loads(asyncio.run(scenario()))["choices"][0]["message"]["content"] == "safe"


def test_a_chain_over_sockets() -> None:
    """A router falls back from a cut stream to the next model, as it does in virtual time."""
    world = World()
    world.model("a", Act(text="one two", fault="cut", at=1))
    world.model("b", Act(text="hi"))

    async def scenario() -> str:
        async with world.server() as server, Router(world.config(base_url=server.base_url)) as router:
            return (await router.chat("hello", chain=["a", "b"], retry=Retry(attempts=1))).text

    assert asyncio.run(scenario()) == "hi"
    assert [seen.model for seen in world.seen] == ["a", "b"]


def test_python_m_serves_until_interrupted() -> None:
    """`python -m asyncrouter.sim` prints its address, answers there, and ends cleanly on Ctrl-C."""
    mine = 'm={"text": "mine", "first_token": 0.01}'
    command = [sys.executable, "-m", "asyncrouter.sim", "--port", "0", "--model", mine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            where = urlsplit(process.stdout.readline().split()[1])
            with socket.create_connection((where.hostname, where.port), timeout=5) as client:
                client.sendall(post(asked(False), extra="Connection: close\r\n"))
                answer = b"".join(iter(lambda: client.recv(65536), b""))
        finally:
            process.send_signal(signal.SIGINT)

    assert b'"mine"' in answer
    assert process.returncode == 0


def test_an_invalid_model_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid `--model` is a usage error that names it."""
    with pytest.raises(SystemExit) as caught:
        main(["--model", 'x={"fault": "explode"}'])

    assert caught.value.code == 2
    assert "fault: expected one of" in capsys.readouterr().err


def test_times_hold_over_sockets() -> None:
    """A stream of three words 50 ms apart takes 0.1 s and little more."""
    world = World()
    world.model("m", Act(text="one two three", gap=0.05))
    began = time.monotonic()

    asyncio.run(served(world, (CHAT, asked(True))))

    assert 0.1 <= time.monotonic() - began < 2.0


def test_a_connection_that_the_client_has_just_closed_is_dropped() -> None:
    """Its transport has no socket any more, and is ended all the same."""
    ended = []

    class Closed(asyncio.Transport):
        def abort(self) -> None:
            ended.append(self)

    async def scenario() -> None:
        connection = _Connection(World(), "https://127.0.0.1", set())
        connection.connection_made(Closed())
        connection.drop()

    asyncio.run(scenario())

    assert len(ended) == 1
