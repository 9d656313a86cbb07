"""A server that is attacked as any public one: clear errors, nothing lost, nobody in, nothing secret in the log."""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import TYPE_CHECKING

import pytest

from asyncrouter.openai_api import ClientKey
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body
from tests.helpers.loopback import run
from tests.helpers.planted import KEY, ROTATED
from tests.helpers.served import NOBODY, connect, request, serving, status_of, talk, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim import World

PROMPT_MARK = "my private prompt"


@pytest.fixture(autouse=True)
def _nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log line of any test has a prompt in it; that none has a key is what the planted one is for."""
    with caplog.at_level(logging.DEBUG):
        yield

    assert PROMPT_MARK not in caplog.text


def private(model: str = "m", **fields: object) -> bytes:
    """The body of a chat with a prompt that nobody else may see."""
    return chat_body(model, messages=[{"role": "user", "content": PROMPT_MARK}], **fields)


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", ROTATED, "null", "Bearer", "é" * 9])
def test_nobody_gets_in_without_the_key(world: World, key: str | None) -> None:
    """A 401 in OpenAI's form, before the body is read, and nothing is sent."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(private(), key=key))

        assert (status_of(answer), len(world.seen)) == (401, 0)
        assert b'"code":"invalid_api_key"' in answer

    run(scenario())


def test_another_clients_key_has_its_own_limits(world: World) -> None:
    """It may use its own models alone, and its requests do not count for others."""
    world.model("m", Act(text="one"))
    world.model("n", Act(text="one"))
    keys = [ClientKey("a", KEY, rpm=1), ClientKey("b", ROTATED, models=["n"])]

    async def scenario() -> None:
        asked = [("m", KEY), ("m", KEY), ("m", ROTATED), ("n", ROTATED), ("n", ROTATED)]
        async with serving(world, keys) as server:
            answers = [await talk(server, request(private(model), key=key)) for model, key in asked]

        assert [status_of(answer) for answer in answers] == [200, 429, 404, 200, 200]

    run(scenario())


@pytest.mark.parametrize(("headers", "status"), [
    (["Host: evil.example"], 403), (["Host: 127.0.0.1", "Origin: https://evil.example"], 403),
    (["Host: 127.0.0.1", "Origin: null"], 403), (["Host: localhost.evil.example"], 403),
    (["Host: localhost:8000", "Origin: http://localhost:3000"], 200), (["Host: [::1]:8000"], 200),
])
def test_no_web_page_uses_a_server_without_a_key(world: World, headers: list[str], status: int) -> None:
    """Neither from another origin, nor by a host name that leads to this machine."""
    world.model("m", Act(text="one"))
    body = private()
    head = ["POST /v1/chat/completions HTTP/1.1", f"Content-Length: {len(body)}", "Content-Type: text/plain", *headers]

    async def scenario() -> None:
        async with serving(world, NOBODY) as server:
            data = "\r\n".join([*head, "Connection: close", "", ""]).encode() + body
            answer = await talk(server, data)

        assert status_of(answer) == status

    run(scenario())


@pytest.mark.parametrize("told", [True, False], ids=["announced", "chunked"])
def test_a_body_of_100_mb_is_refused(world: World, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its length before a byte of it is read, or else as soon as it is over the limit; no more of it is kept."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        monkeypatch.setattr("asyncrouter.serve._connections._LINGER", 0.1)
        async with serving(world, max_body=1 << 20) as server:
            if told:
                answer = await talk(server, request(b"x", length=100 << 20))
            else:
                chunk = b"%x\r\n%b\r\n" % (1 << 16, b"x" * (1 << 16))
                head = request(headers=["Transfer-Encoding: chunked"]).replace(b"Content-Length: 0\r\n", b"")
                answer = await talk(server, head + chunk * 40)

        assert (status_of(answer), len(world.seen)) == (413, 0)
        assert b"connection: close" in answer.lower()

    run(scenario())


def test_a_slow_body_is_given_up(world: World) -> None:
    """A byte now and then does not hold a place for ever: 408, and the connection is closed."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, body_seconds=0.1) as server:
            reader, writer = await connect(server)
            writer.write(request(b"{", length=1000))
            for _ in range(3):
                await asyncio.sleep(0.04)
                writer.write(b" ")
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.close()

        assert (status_of(answer), len(world.seen)) == (408, 0)

    run(scenario())


@pytest.mark.parametrize("data", [b"", b"POST /v1/chat", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nA: "])
def test_half_a_head_is_given_up(world: World, data: bytes) -> None:
    """A connection without a whole request is closed, however slowly its bytes come."""

    async def scenario() -> None:
        async with serving(world, idle_seconds=0.1) as server:
            answer = await talk(server, data, seconds=3)

        assert status_of(answer) in {0, 408}

    run(scenario())


def test_half_a_request_costs_nothing(world: World) -> None:
    """A client that leaves in the middle of its body has asked nothing, and its place is free again."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, max_calls=1) as server:
            for _ in range(3):
                _, writer = await connect(server)
                writer.write(request(b"{", length=1000))
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.transport.abort()
                await asyncio.sleep(0.01)
            answer = await talk(server, request(private()))

        assert (status_of(answer), len(world.seen)) == (200, 1)

    run(scenario())


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("head", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: -1", "Content-Length: 0x5", "Content-Length : 5",
    "Transfer-Encoding: chunked, identity", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked",
    "X: a\r\n folded: b", "X: a\x00b", "X: a\rb", "Bad Name: 1", ": empty", "X: " + "a" * 9000,
    "\r\n".join(f"X-{number}: 1" for number in range(200)),
    "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nContent-Length: 5", "Transfer-Encoding: identity", "Transfer-Encoding: \x0bchunked",
    "Content-Length: 99999999999999999999", "Content-Length: 1 2", "Content-Length: \xb2", "Host: evil.example",
    "X: 1\nContent-Length: 5", f"Authorization: Bearer {KEY[:-1]}x",
])  # fmt: skip
def test_header_smuggling_ends_the_connection(world: World, head: str) -> None:
    """A head that two servers could read in two ways is a 400, and what follows it is no request."""
    world.model("m", Act(text="one"))
    start = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, f"{start}{head}\r\n\r\n0\r\n\r\n".encode("latin-1") + SMUGGLED)

        assert (status_of(answer), answer.count(b"HTTP/1."), len(world.seen)) == (400, 1, 0)
        assert b'"type":"invalid_request_error"' in answer
        assert KEY.encode() not in answer

    run(scenario())


@pytest.mark.parametrize("body", [
    b"zz\r\nabc\r\n0\r\n\r\n", b"-5\r\nabcde\r\n0\r\n\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"f" * 30 + b"\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"3 5\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n",
])  # fmt: skip
def test_chunks_that_could_be_read_in_two_ways_end_the_connection(world: World, body: bytes) -> None:
    """Their sizes are hexadecimal digits, and each has that many bytes; what follows is no request."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, body_seconds=1.0) as server:
            head = request(headers=["Transfer-Encoding: chunked"]).replace(b"Content-Length: 0\r\n", b"")
            answer = await talk(server, head + body + SMUGGLED)

        assert (status_of(answer), answer.count(b"HTTP/1."), len(world.seen)) == (400, 1, 0)

    run(scenario())


@pytest.mark.parametrize("upgrade", [
    ["Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Key: eA=="],
    ["Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "Connection: Upgrade, HTTP2-Settings, close"],
])
def test_no_other_protocol_is_spoken(world: World, upgrade: list[str]) -> None:
    """A client that asks for one gets its answer in HTTP/1.1, and nothing hides behind it."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(private(), headers=upgrade))

        assert (status_of(answer), b"101 Switching" in answer, len(world.seen)) == (200, False, 1)

    run(scenario())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "NONE"])
def test_a_call_is_a_post(world: World, method: str) -> None:
    """Every other method is a 405 that says so, or no HTTP; nothing is echoed."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(private(), method=method))

        assert (status_of(answer) in {400, 405}, PROMPT_MARK.encode() in answer, len(world.seen)) == (True, False, 0)

    run(scenario())


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 100, b"SSH-2.0-x\r\n\r\n", b"GET\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / FOO/1.1\r\n\r\n", b"\r\n" * 5000,
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_what_is_no_http_is_refused(world: World, data: bytes) -> None:
    """With a 400 or a closed connection, and the server goes on."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, idle_seconds=0.2) as server:
            answer = await talk(server, data)
            after = await talk(server, request(private()))

        assert (status_of(answer) in {0, 400, 505}, status_of(after)) == (True, 200)

    run(scenario())


@pytest.mark.parametrize("path", [
    "/v1/chat/completions/", "/v1//chat/completions", "//v1/chat/completions", "/v1/./chat/completions",
    "/v1/chat%2fcompletions", "/%761/chat/completions", "/v1/chat/completions;x", "/V1/chat/completions",
    "/v1/../v1/chat/completions", "/v1/models/../chat/completions", "http://127.0.0.1/v1/chat/completions", "*",
    "/v1", "/v1/", "/metrics/../v1/chat/completions", "/healthz/../v1/chat/completions", "/v1/chat/completions%00",
])  # fmt: skip
def test_only_the_exact_path_counts(world: World, path: str) -> None:
    """Nothing is decoded or normalised, so no proxy in front can be deceived."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(private(), path=path))

        assert (status_of(answer) in {400, 404, 405}, len(world.seen)) == (True, 0)

    run(scenario())


@pytest.mark.parametrize("headers", [["Content-Encoding: gzip"], ["Content-Encoding: br, gzip"]])
def test_nothing_is_unpacked(world: World, headers: list[str]) -> None:
    """A small body that becomes a huge one is refused by its header field."""

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(b"\x1f\x8b\x08", headers=headers))

        assert status_of(answer) == 415

    run(scenario())


def test_unknown_fields_and_broken_json(world: World) -> None:
    """Unknown fields go to the provider; what is no JSON is a 400."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            bodies = [private(made_up=1), private()[:-1], b"\xff", b"[" * 100_000, b""]
            answers = [await talk(server, request(body)) for body in bodies]

        assert [status_of(answer) for answer in answers] == [200, 400, 400, 400, 400]

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_call(world: World, stream: bool) -> None:
    """The provider's connection is closed at once, whether the answer had begun or not."""
    world.model("m", Act(text="one two three", first_token=0.0 if stream else 60.0, gap=60.0))

    async def scenario() -> None:
        async with serving(world) as server:
            reader, writer = await connect(server)
            writer.write(request(private(stream=stream)))
            if stream:
                await reader.readuntil(b"one")
            await until(lambda: world.open)
            writer.transport.abort()
            await until(lambda: not world.open)

        assert world.open == 0

    run(scenario())


def test_a_reader_that_stops_reading_is_given_up(world: World) -> None:
    """It holds its call no longer than the longest call may take, and half a minute."""
    world.model("m", Act(fault="endless"))

    async def scenario(monkey: pytest.MonkeyPatch) -> None:
        monkey.setattr("asyncrouter.serve._server._GRACE", 0.1)
        async with serving(world, longest=0.3) as server:
            reader, writer = await connect(server)
            writer.write(request(private(stream=True)))
            await reader.readuntil(b"data: ")
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's
            await until(lambda: not world.open)
            writer.transport.abort()

    with pytest.MonkeyPatch.context() as monkey:
        run(scenario(monkey))


def test_more_calls_than_there_is_room_for(world: World) -> None:
    """Those beyond get a 503 that asks them to come back; those inside are answered."""
    world.model("m", Act(text="one", first_token=0.2))

    async def scenario() -> None:
        async with serving(world, max_calls=2) as server:
            answers = await asyncio.gather(*[talk(server, request(private())) for _ in range(5)])

        assert sorted(status_of(answer) for answer in answers) == [200, 200, 503, 503, 503]
        assert {b"retry-after: 1\r\n" in one.lower() for one in answers if status_of(one) == 503} == {True}

    run(scenario())


def test_more_connections_than_there_may_be(world: World) -> None:
    """One too many is closed; the others go on, and its place is free when one of them has gone."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, max_connections=3) as server:
            held = [await connect(server) for _ in range(3)]
            await asyncio.sleep(0.02)
            refused = await talk(server, request(private()))
            held.pop()[1].close()
            await asyncio.sleep(0.02)
            served = await talk(server, request(private()))
            for _, writer in held:
                writer.close()

        assert (status_of(refused), status_of(served)) == (0, 200)

    run(scenario())


def test_a_thousand_silent_connections(world: World) -> None:
    """They hold nobody else up (1,000 connections in one process: 2 s)."""
    world.model("m", Act(text="one"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def scenario() -> None:
        async with serving(world) as server:
            held = await asyncio.gather(*[connect(server) for _ in range(1000)])
            for number, (_, writer) in enumerate(held):
                writer.write(request(private(), length=10_000)[: number % 400])
            answers = await asyncio.gather(*[talk(server, request(private())) for _ in range(20)])
            for _, writer in held:
                writer.transport.abort()

        assert [status_of(answer) for answer in answers] == [200] * 20

    try:
        run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_curl_waits_for_nothing(world: World) -> None:
    """A client that asks whether to send its body is told to go on."""
    world.model("m", Act(text="one"))
    body = private()

    async def scenario() -> None:
        async with serving(world) as server:
            reader, writer = await connect(server)
            writer.write(request(length=len(body), headers=["Expect: 100-continue", "Connection: close"]))
            first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
            writer.write(body)
            answer = await reader.read()
            writer.close()

        assert (first, status_of(answer)) == (b"HTTP/1.1 100 Continue\r\n\r\n", 200)

    run(scenario())


def test_an_error_of_a_provider_does_not_let_the_key_out(world: World) -> None:
    """What a provider says of the key it was sent is masked for the client, too."""
    world.model("m", Act(why="key", message=f"Incorrect API key provided: {KEY}"))

    async def scenario() -> None:
        async with serving(world, [ClientKey("a", ROTATED)]) as server:
            answer = await talk(server, request(private(), key=ROTATED))

        assert (status_of(answer), KEY.encode() in answer) == (502, False)

    run(scenario())
