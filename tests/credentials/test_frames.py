"""No local variable of the library's frames, in any exception that leaves it, shows a secret.

The plugin `tests.helpers.planted` searches the frames of every exception that a test expects, and of the error of every
call. These tests raise where the request is at hand. They fail when a frame shows one of the planted secrets.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import (
    AiohttpTransport,
    AllModelsFailed,
    AttemptError,
    CallError,
    ConfigError,
    DeadlineExceeded,
    Provider,
    Request,
    Router,
)
from asyncrouter._credentials.secret import Secret
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.loopback import Peer, serving
from tests.helpers.planted import CALLERS, HEADER, KEY, PASSWORD, QUERY, VARIABLE, frames_of, shown, spelt, texts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).parents[2]
SMALL, LARGE = "x", "x" * 200_000
"""Prompts that go the short way, and through aiohttp's session."""
OWN: dict[str, Any] = {"headers": {"X-User": CALLERS, "Authorization": f"Bearer {CALLERS}"}}


def leaks(error: BaseException) -> list[str]:
    """Where an exception shows a secret: its texts, and the variables of the library's frames."""
    texts = ["its text"] if spelt(texts_of(error)) else []
    return texts + [
        f"{name} in {place}" for place, variables in frames_of(error) for name, value in variables.items()
        if spelt("\n".join(shown(value)))
    ]  # fmt: skip


def with_secrets(port: int, **more: object) -> dict[str, object]:
    """A provider on this port with a secret in every place that can hold one."""
    sim = {
        "base_url": f"http://127.0.0.1:{port}/v1", "key": f"env:{VARIABLE}", "headers": {"X-Auth": HEADER},
        "query": {"code": QUERY}, **more,
    }
    return {"default_provider": "sim", "providers": {"sim": sim}}


async def never(peer: Peer) -> None:
    """Read a request and do not answer it."""
    await peer.request()
    await asyncio.sleep(30)


def raised_by(
    ask: Callable[[Router], Awaitable[object]], peer: Callable[[Peer], Awaitable[None]] = never, **provider: object
) -> BaseException:
    """What a call over sockets raises, in asyncio's debug mode with all logs on."""

    async def main() -> BaseException:
        async with serving(peer) as server, Router(with_secrets(server.port, **provider)) as router:
            try:
                await ask(router)
            except BaseException as error:
                return error
            raise AssertionError("nothing was raised")

    return asyncio.run(main(), debug=True)


async def stream(router: Router, **arguments: Any) -> None:
    async with router.stream("x", model="a", **arguments) as chunks:
        async for _ in chunks:
            pass


@pytest.mark.parametrize("prompt", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("more", [{}, OWN], ids=["our key", "the caller's key"])
def test_a_call_that_is_timed_out_from_outside(prompt: str, more: dict[str, Any]) -> None:
    """`asyncio.wait_for` around a call, or `asyncio.timeout`, while the answer is awaited."""

    async def timeout(router: Router) -> None:
        async with asyncio.timeout(0.05):
            await router.chat(prompt, model="a", **more)

    for ask in (lambda router: asyncio.wait_for(router.chat(prompt, model="a", **more), 0.05), timeout):
        error = raised_by(ask)
        assert isinstance(error, TimeoutError)
        assert leaks(error) == []


def test_a_stream_and_a_list_that_are_timed_out() -> None:
    """The same of `stream()` and of `models()`."""
    for ask in (stream, lambda router: router.models()):
        error = raised_by(lambda router, ask=ask: asyncio.wait_for(ask(router), 0.05))
        assert leaks(error) == []


def test_an_embedding_that_fails() -> None:
    """`embed()` that is timed out, whose provider repeats the request, and whose arguments are refused."""

    async def echo(peer: Peer) -> None:
        head = (await peer.request()).split(b"\r\n\r\n")[0].replace(b"\r\n", b" ").replace(b'"', b"")
        await peer.reply(b'{"error": "' + head + b'"}', "401 No")

    def embed(**arguments: Any) -> Callable[[Router], Awaitable[object]]:
        return lambda router: asyncio.wait_for(router.embed(["x"], model="a", **arguments), 0.2)

    errors = [
        raised_by(embed()), raised_by(embed(headers=OWN["headers"])), raised_by(embed(), echo),
        raised_by(embed(headers=OWN["headers"]), echo), raised_by(embed(headers={"X-User": f"{CALLERS}\n"})),
        raised_by(embed(params={"api_key": KEY})), raised_by(embed(api_key=KEY)),
    ]

    assert [leaks(error) for error in errors] == [[]] * 7
    assert [type(error) for error in errors] == [
        TimeoutError, TimeoutError, AllModelsFailed, AllModelsFailed, ValueError, TypeError, TypeError,
    ]


def test_a_call_whose_task_is_cancelled() -> None:
    """The `CancelledError`, with the message that it was given."""

    async def ask(router: Router) -> None:
        task = asyncio.create_task(router.chat("x", model="a", **OWN))
        await asyncio.sleep(0.05)
        task.cancel("enough")
        await task

    error = raised_by(ask)

    assert leaks(error) == []
    assert (type(error), error.args) == (asyncio.CancelledError, ("enough",))


def test_a_call_that_is_cancelled_while_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name look-up never ends, for a proxy with a password, too."""

    async def hanging(*_: object, **__: object) -> object:
        return await asyncio.sleep(30)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", hanging)
    for provider in ({}, {"proxy": f"http://user:{PASSWORD}@proxy.test:8080"}):
        there = {"base_url": "http://models.test/v1", **provider}
        error = raised_by(lambda router: asyncio.wait_for(router.chat("x", model="a"), 0.05), **there)
        assert leaks(error) == []


@pytest.mark.parametrize("status", [401, 403, 500, 302])
@pytest.mark.parametrize(
    "ask", [lambda router: router.models(), lambda router: router.chat("x", model="a", retry=ONCE)],
    ids=["models", "chat"],
)
def test_an_error_response(status: int, ask: Callable[[Router], Awaitable[object]]) -> None:
    """An error response that repeats the whole request, to a call and to `models()`."""

    async def echo(peer: Peer) -> None:
        request = await peer.request()
        head = request.split(b"\r\n\r\n")[0].replace(b"\r\n", b" ").replace(b'"', b"")
        await peer.reply(b'{"error": "' + head + b'"}', f"{status} No")

    error = raised_by(ask, echo)

    assert isinstance(error, AttemptError | CallError)
    assert leaks(error) == []


def test_a_parameter_that_cannot_be_written(clock: Clock, world: World) -> None:
    """A `TypeError` or `ValueError` from the place where the key is at hand."""
    world.model("a")
    for params in ({"seed": object()}, {"user": "\ud800"}, {"temperature": float("nan")}, {"metadata": {1: datetime}}):

        async def ask(params: dict[str, object] = params) -> None:
            async with Router(world.config(), transport=world.transport()) as router:
                await router.chat("x", model="a", params=params, **OWN)

        with pytest.raises((TypeError, ValueError)) as caught:
            clock.run(ask())
        assert leaks(caught.value) == []


WRONG_HEADERS: list[Any] = [
    {"X-User": f"{CALLERS}\ud800"},
    {"X-User": f"{CALLERS}\r\nX-Other: 1"},
    {"X-User": f"{CALLERS}\0"},
    {"X-User": f"{CALLERS}“"},
    {"X User": CALLERS},
    {"X-User": CALLERS, "x-user": CALLERS},
    {"X-User": [CALLERS]},
    {"X-User": CALLERS.encode()},
    {"sim": {"X-User": f"{CALLERS}\n"}},
    {"nobody": {"X-User": CALLERS}},
    [("X-User", CALLERS)],
    CALLERS,
]


@pytest.mark.parametrize("headers", WRONG_HEADERS, ids=lambda one: "")
@pytest.mark.parametrize("how", ["chat", "stream"])
def test_headers_that_are_refused(clock: Clock, world: World, how: str, headers: Any) -> None:
    """The field is named, nothing is sent, and neither the message nor a frame has the value."""
    world.model("a")

    async def ask() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            if how == "chat":
                await router.chat("x", model="a", headers=headers)
            else:
                await stream(router, headers=headers)

    with pytest.raises((TypeError, ValueError), match="headers") as caught:
        clock.run(ask())
    assert leaks(caught.value) == []
    assert not world.seen


@pytest.mark.parametrize("given", [{"api_key": KEY}, {"params": {"api_key": KEY}}, {"extra_headers": {"X": KEY}}])
def test_credentials_among_parameters(clock: Clock, world: World, given: dict[str, Any]) -> None:
    """A key that stands where other libraries take it is refused, and no frame keeps it."""

    async def ask(how: str) -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await (router.chat("x", model="a", **given) if how == "chat" else stream(router, **given))

    for how in ("chat", "stream"):
        with pytest.raises(TypeError) as caught:
            clock.run(ask(how))
        assert leaks(caught.value) == []


def test_a_deadline_and_a_failure_of_all_models(clock: Clock, world: World) -> None:
    """`DeadlineExceeded` and `AllModelsFailed`, and all errors of their attempts."""
    world.model("a", Act(fault="hang", at="headers"))
    world.model("b", Act(status=500, message=f"{KEY} {HEADER} {CALLERS}"))

    async def ask(model: str) -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model=model, deadline=3, **OWN)

    for model, kind in (("a", DeadlineExceeded), ("b", AllModelsFailed)):
        with pytest.raises(kind) as caught:
            clock.run(ask(model))
        assert [found for error in (caught.value, *caught.value.errors) for found in leaks(error)] == []


@pytest.mark.parametrize("body", [b"{}", b"x" * 100_000], ids=["small", "large"])
@pytest.mark.parametrize("session", [False, True], ids=["ours", "the caller's session"])
def test_a_request_made_by_hand(body: bytes, session: bool) -> None:
    """A header that HTTP cannot carry is named by the public transport, on its short way and on aiohttp's."""
    import aiohttp

    requests: list[bytes] = []

    async def note(peer: Peer) -> None:
        requests.append(await peer.request())

    async def send(url: str, headers: dict[str, str]) -> None:
        async with aiohttp.ClientSession() as theirs:
            transport = AiohttpTransport(session=theirs if session else None)
            try:
                await transport.send(Request("POST", url, headers, body))
            finally:
                await transport.aclose()

    async def main() -> None:
        async with serving(note) as server:
            for value in ("\ud800", "a\r\nX-Other: 1", "a\0", "a\udc80", "a“"):
                with pytest.raises(ValueError, match="headers\\['x'\\]: expected") as caught:
                    await send(f"http://127.0.0.1:{server.port}/v1", {"Authorization": f"Bearer {KEY}", "x": value})
                assert type(caught.value) is ValueError
                assert leaks(caught.value) == []
            with pytest.raises(ValueError, match="headers\\['x'\\]: given twice"):
                await send(f"http://127.0.0.1:{server.port}/v1", {"X": "a", "x": "b"})
            with pytest.raises(ValueError, match="headers\\['Transfer-Encoding'\\]"):
                await send(f"http://127.0.0.1:{server.port}/v1", {"Transfer-Encoding": "chunked"})
            assert requests == []

    asyncio.run(main())


# ── configurations ───────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = {"base_url": "http://h/v1"}
WRONG_PROVIDERS: list[dict[str, Any]] = [
    {**GOOD, "key": KEY},
    {**GOOD, "key": f"env:{KEY}"},
    {**GOOD, "key": "env:gsk_" + "pl4nt3d" * 5},
    {**GOOD, "key": f"env: {KEY}"},
    {**GOOD, "key": KEY.encode()},
    {**GOOD, "headers": {"Authorization": f"Bearer {KEY}\ud800"}},
    {**GOOD, "headers": {"X-Auth": [HEADER]}},
    {**GOOD, "headers": {"X-Auth": HEADER, "x-auth": HEADER}},
    {**GOOD, "query": {"code": f"{QUERY}\ud800"}},
    {**GOOD, "proxy": f"ftp://user:{PASSWORD}@proxy"},
    {"base_url": f"http://user:{PASSWORD}@h/v1"},
    {"base_url": f"http://h/v1?key={KEY}"},
    {"base_url": KEY},
    {"base_url": f"env:{KEY}"},
    {**GOOD, "headers": {"X-Auth": HEADER}, "wire": "none"},
]


@pytest.mark.parametrize("provider", WRONG_PROVIDERS, ids=lambda one: "")
def test_a_configuration_that_is_refused(provider: dict[str, Any]) -> None:
    """The value is named by its place and quoted nowhere: not in the message, nor on the error, nor in a frame."""
    for build in (
        lambda: Router({"providers": {"p": provider}}),
        lambda: Provider(name="p", **provider),
    ):
        with pytest.raises(ConfigError) as caught:
            build()
        assert leaks(caught.value) == []
        assert spelt(repr(caught.value.value)) is None


def test_a_file_that_is_refused(tmp_path: Any) -> None:
    """The same of a file; and one that is no TOML is not quoted."""
    path = tmp_path / "router.config"
    for text in (f'[providers.p]\nbase_url = "http://h/v1"\nkey = "{KEY}"', f'[providers.p]\nkey = "{KEY}\n'):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            Router.from_toml(path)
        assert leaks(caught.value) == []


# ── the holder, and logs ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_holder_is_opaque() -> None:
    """Neither `repr`, `str`, formatting, attributes nor a copy shows what is inside, and it cannot be pickled."""
    secret = Secret(KEY)
    attributes = [repr(getattr(secret, name)) for name in dir(secret) if name != "__doc__"]
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr(copy.deepcopy([secret])), *attributes):
        assert spelt(text) is None
    for way in (pickle.dumps, copy.copy):
        if way is pickle.dumps:
            with pytest.raises(TypeError, match="a secret cannot be pickled"):
                way(secret)
        else:
            assert way(secret) is secret


def test_requests_are_sealed(clock: Clock, world: World) -> None:
    """A transport's request shows no secret when its parts are walked; its properties give them out."""
    requests: list[Request] = []
    inner = world.transport()

    class Keeping:
        async def send(self, request: Request) -> object:
            requests.append(request)
            return await inner.send(request)

        async def aclose(self) -> None:
            await inner.aclose()

    world.model("a")
    proxy = f"http://user:{PASSWORD}@proxy.test:8080"
    config = world.config(providers={"sim": {"query": {"code": QUERY}, "proxy": proxy}})

    async def ask() -> None:
        async with Router(config, transport=Keeping()) as router:  # type: ignore[arg-type]
            await router.chat("x", model="a", headers={"X-User": CALLERS})

    clock.run(ask())
    [request] = requests
    assert spelt("\n".join(shown(request))) is None
    with pytest.raises(TypeError):
        pickle.dumps(request)
    assert (request.headers["Authorization"], request.headers["X-User"]) == (f"Bearer {KEY}", CALLERS)
    assert request.url.endswith(f"?code={QUERY}")
    assert request.proxy == proxy


@pytest.mark.parametrize("prompt", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("own", [False, True], ids=["our session", "the caller's session"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_while_a_request_is_sent(
    monkeypatch: pytest.MonkeyPatch, prompt: str, own: bool, kind: type[BaseException]
) -> None:
    """Ctrl-C twice raises between any two steps, also where the request is in plain text."""
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

    def interrupted(*_: object, **__: object) -> None:
        raise kind

    async def main() -> BaseException:
        async with serving(never) as server, aiohttp.ClientSession() as session:
            transport = AiohttpTransport(session=session if own else None)
            async with Router(with_secrets(server.port), transport=transport) as router:
                try:
                    await router.chat(prompt, model="a", **OWN)
                except BaseException as error:
                    return error
                raise AssertionError("nothing was raised")

    monkeypatch.setattr(ResponseHandler, "read", interrupted)
    error = asyncio.run(main())

    assert type(error) is kind
    assert leaks(error) == []


ABANDONED = """
import asyncio, gc, logging, sys, warnings
import aiohttp
from asyncrouter import AiohttpTransport, Router
from tests.helpers.planted import HEADER, PASSWORD, QUERY, VARIABLE

logging.basicConfig(level=logging.DEBUG)
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\\n\\n'

async def answer(reader, writer):
    await reader.read(100)
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\n\\r\\n" + EVENT)
    await asyncio.sleep(30)

async def main(through_proxy, own_session):
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sim = {"base_url": f"http://{here}/v1", "key": f"env:{VARIABLE}"}
    sim |= {"query": {"code": QUERY}, "headers": {"X": HEADER}}
    if through_proxy:
        sim |= {"base_url": "http://models.test/v1", "proxy": f"http://user:{PASSWORD}@{here}"}
    session = aiohttp.ClientSession() if own_session else None
    transport = AiohttpTransport(session=session)
    router = Router({"default_provider": "sim", "providers": {"sim": sim}}, transport=transport)
    streams = [router.stream("x" * size, model="a") for size in (1, 200_000)]
    for stream in streams:
        await anext(await stream.__aenter__())
    streams = stream = None
    gc.collect()
    calls = [asyncio.create_task(router.chat("x" * size, model="a")) for size in (1, 200_000)]
    calls.append(asyncio.create_task(router.models()))
    await asyncio.sleep(0.2)

for through_proxy in (False, True):
    for own_session in (False, True):
        asyncio.run(main(through_proxy, own_session), debug=True)
        gc.collect()
"""


def test_a_router_that_is_never_closed() -> None:
    """What Python, asyncio and aiohttp say, in development mode, of calls and streams that a program abandons.

    The short way and aiohttp's, with a proxy and a session of the caller's and without. (It runs a Python of its own,
    which takes some seconds.)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "dev", "-c", ABANDONED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert "Unclosed client session" in done.stderr
    assert "Unclosed connection" in done.stderr or sys.version_info >= (3, 13)  # there asyncio ends the stream before
    assert done.returncode == 0
    assert spelt(done.stdout + done.stderr) is None


def test_logs_in_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    """Everything that asyncio, aiohttp and we log at DEBUG in asyncio's debug mode, with slow callbacks."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        async with serving(never) as server, Router(with_secrets(server.port)) as router:
            for prompt in (SMALL, LARGE):
                with pytest.raises(CallError):
                    await router.chat(prompt, model="a", deadline=0.05, **OWN)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "took" in caplog.text
    assert spelt(caplog.text) is None
