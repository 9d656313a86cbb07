"""The server: it listens, answers, reads its configuration again, and drains.

One handler runs for each request. Whatever ends it (the answer, its time, a client that leaves, the server), its
stream is closed and its visit is counted in the same `finally`. A client that leaves cancels the handler; aiohttp does
that at the connection's end. While the server drains, handlers run on; those left at the end find their router closed,
so their clients get an error instead of a cut.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from asyncrouter import ConfigError, Router
from asyncrouter.openai_api import Answer, ApiRequest, Gate, OpenAIApi, problem_answer
from asyncrouter.serve._bodies import read_body
from asyncrouter.serve._connections import Connections
from asyncrouter.serve._local_only import refuse_web_page
from asyncrouter.serve._options import Load, ServeOptions, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.openai_api import Visit

    Page = Callable[[Router], Answer]

logger = logging.getLogger("asyncrouter.serve")

_PREFIX: Final = "/v1"
_BACKLOG: Final = 4096
"""Connections that may wait to be accepted."""
_GRACE: Final = 30.0
"""Seconds beyond the longest call in which a client has to send its body and read its answer."""
_SMALL: Final = 32 << 10
"""Bytes of an answer that fit into the socket's buffer, so that no slow reader holds anything back."""
_END_SECONDS: Final = 1.0
"""Seconds for the last answers to go out, once the router is closed."""


class Server:
    """Serves OpenAI's HTTP API. An async context manager: it listens inside the block.

    - `load`: makes the router and the keys, now and at each `reload()`, which takes the configuration of the new router
      and leaves the rest of it.
    - `options`: see `ServeOptions`.
    - `pages`: functions of the router by path (`/metrics`), for whoever has a key that may use all models.

    Raises `ConfigError` for a host beyond loopback without a key, and where the state that the router shares cannot be
    reached; `OSError` where the port is taken.
    """

    def __init__(
        self, load: Load, options: ServeOptions | None = None, *, pages: dict[str, Page] | None = None
    ) -> None:
        self.options: ServeOptions = options or ServeOptions()
        self._load = load
        self.pages: dict[str, Page] = pages or {}
        router, keys = load()
        self._check(bool(keys))
        self._gate = Gate(keys, max_calls=self.options.max_calls, clock=time.monotonic, wall=time.time)
        self._api = OpenAIApi(router, longest=self.options.longest)
        self._busy: set[web.RequestHandler] = set()
        self._stopping = asyncio.Event()
        self._quiet = asyncio.Event()  # set when no request is being answered
        self._connections: Connections
        self._listener: asyncio.Server
        self.port: int = self.options.port

    def __repr__(self) -> str:
        return f"<Server at {self.base_url}, {len(self._busy)} requests>"

    @property
    def base_url(self) -> str:
        """The address for clients; its port is known inside the block."""
        host = self.options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{_PREFIX}"

    async def __aenter__(self) -> Self:
        await self._api.router.__aenter__()  # what it shares with other processes has to be there now
        self._connections = Connections(self._handle, self.options)
        loop, options = asyncio.get_running_loop(), self.options
        try:
            self._listener = await loop.create_server(self._connections, options.host, options.port, backlog=_BACKLOG)
        except BaseException:
            await self._api.router.aclose()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._drain()

    # Its life.

    def handle_signals(self) -> None:
        """Stop at SIGTERM and SIGINT, read the configuration again at SIGHUP."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    async def wait(self) -> None:
        """Wait until the server is to stop."""
        await self._stopping.wait()

    def stop(self) -> None:
        """End `wait()`; leaving the block drains. A second time: requests in flight get no more time."""
        if self._stopping.is_set():
            self._quiet.set()
        self._stopping.set()

    def reload(self) -> bool:
        """Read the configuration again; `False`, with a line in the log, if it cannot be used: then the old one stays.

        New requests use the new one at once, calls in flight end with the old one. What the router and the keys have
        learned and used stays.
        """
        try:
            loaded, keys = self._load()
            self._check(bool(keys))
            self._api.router.reload(loaded.config)
        except ConfigError as error:
            logger.error("the configuration was not read again: %s", error)  # noqa: TRY400  # its words say it all
            return False
        keys.adopt(self._gate.keys)
        self._gate.keys = keys
        logger.info("the configuration was read again")
        return True

    def _check(self, has_keys: bool) -> None:
        host = self.options.host
        if not has_keys and not is_loopback(host):
            raise ConfigError(f"{host} can be reached by others; give them keys: --key env:NAME, or serve.keys", "host")

    async def _drain(self) -> None:
        """Take no new requests, let those in flight end, close everything."""
        self._stopping.set()
        self._listener.close()
        self._connections.close_idle(self._busy)
        try:
            await self._until_quiet(self.options.drain)
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        await self._api.router.aclose()
        await self._until_quiet(_END_SECONDS)
        await self._connections.shutdown(0.1)

    async def _until_quiet(self, seconds: float) -> None:
        if self._busy:
            self._quiet.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), seconds)

    # A request.

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._busy.add(connection)
        response: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(self.options.longest + _GRACE):
                response = await self._respond(request)
        except TimeoutError:
            connection.force_close()
            raise ConnectionResetError("the client has used up its time") from None
        finally:
            self._busy.discard(connection)
            if not self._busy:
                self._quiet.set()
        if self._stopping.is_set():
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if len(request.headers.getall("authorization", ())) > 1:  # a proxy in front may have looked at the other one
            return _whole(problem_answer(400, "authorization: expected once"))
        if path == "/healthz" and request.method == "GET":
            return _whole(self._health())
        if not self._gate.keys and (refusal := refuse_web_page(request.headers)) is not None:
            return _whole(refusal)
        if path in self.pages and request.method == "GET":
            return _whole(self._gate.check_page(request.headers) or self.pages[path](self._api.router))
        if self._stopping.is_set():
            return _whole(problem_answer(503, "the server is closing", "closing", retry_after=1.0))
        visit = self._gate.enter(request.headers)
        if isinstance(visit, Answer):
            return _whole(visit)
        return await self._answer(request, path, visit)

    async def _answer(self, request: web.BaseRequest, path: str, visit: Visit) -> web.StreamResponse:
        answer: Answer | None = None
        try:
            body = await read_body(request, self.options)
            if isinstance(body, Answer):
                return _whole(body)
            below = path[len(_PREFIX) :] if path.startswith(f"{_PREFIX}/") else f"?{path}"
            asked = ApiRequest(request.method, below, request.headers, body)
            answer = await self._api.respond(asked, visit.may_use)
            return await _send(request, answer)
        finally:
            if answer is not None and not isinstance(answer.body, bytes):
                await answer.body.aclose()
            visit.end(None if answer is None else answer.trace)

    def _health(self) -> Answer:
        if self._stopping.is_set():
            return problem_answer(503, "draining", "draining")
        return Answer(200, {"content-type": "application/json"}, b'{"status":"ok"}')


def _whole(answer: Answer) -> web.StreamResponse:
    assert isinstance(answer.body, bytes)
    response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
    if "connection" in answer.headers:
        response.force_close()
    return response


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Send an answer; a small one is left to aiohttp, which sends it at once."""
    body = answer.body
    if isinstance(body, bytes):
        response = _whole(answer)
        if len(body) > _SMALL:
            await response.prepare(request)
            await response.write_eof()
        return response
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(request)
    async for part in body:
        await response.write(part)
    await response.write_eof()
    return response
