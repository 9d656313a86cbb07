"""Requests over aiohttp: one session for the life of a router, one response for each request."""

from __future__ import annotations

import asyncio
import io
import math
import ssl as tls
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp

from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.connector import Connector, Line, line
from asyncrouter._transport.errors import failure, never, url_of
from asyncrouter._transport.exchange import SMALL, Destination, exchange, is_plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from asyncrouter._transport.api import Request, Response

# aiohttp warns that bytes beyond 1 MiB hold the loop; from a file in memory it writes them piece by piece.
_LARGE: Final = 1 << 20
_DESTINATIONS: Final = 256


class AiohttpTransport:
    """Carries requests over one aiohttp session, opened at the first of them.

    There is no limit on connections; new ones are opened at most 32 at a time and host, and waiting for that turn does
    not count towards the connect clock. When a pooled connection dies before any byte of the reply, the request is sent
    once more on a new one; `resends` counts these. Redirects are not followed.

    `proxy` is the URL for requests that name none, `ssl` what aiohttp takes (a context, a fingerprint, `False` for no
    checks). With `trust_env` the proxy comes from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as they stand when a URL
    is first used; `.netrc` is not read: keys are the configuration's.

    A `session` of yours is used and never closed. It brings its own connector, so its limits hold, nothing waits for a
    turn or is sent twice, the connect clock bounds each address that is tried, and `reused` is always `False`.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        ssl: tls.SSLContext | aiohttp.Fingerprint | bool | None = None,
        trust_env: bool = False,
    ) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session: expected an aiohttp.ClientSession, got {type(session).__name__}")
        if ssl is not None and not isinstance(ssl, tls.SSLContext | aiohttp.Fingerprint | bool):
            raise TypeError(f"ssl: expected a context, a fingerprint or False, got {type(ssl).__name__}")
        if proxy is not None and not (isinstance(proxy, str) and proxy.startswith(("http://", "https://"))):
            raise ValueError("proxy: expected an address that begins with http:// or https://")
        self.resends = 0
        self._given = session
        self._proxy = proxy
        self._ssl = True if ssl is None else ssl
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[AiohttpResponse] = set()
        self._contexts: dict[str, tls.SSLContext] = {}
        self._destinations: dict[tuple[str, str | None], Destination] = {}
        self._proxies: dict[str, str | None] = {}

    def __repr__(self) -> str:
        state = "closed" if self._session is None else f"{len(self._open)} open"
        return f"<{type(self).__name__} {state}, {self.resends} resent>"

    async def send(self, request: Request) -> Response:
        """The response, from its headers on.

        Raises `ConnectionFailed`, `AttemptTimeout("connect")`, and `RuntimeError` on a second event loop.
        """
        loop = asyncio.get_running_loop()
        session = self._session
        if session is None or self._loop is not loop:
            session = self._begin(loop)
        resent = False
        while True:
            began = loop.time()
            line.set(None)
            try:
                answer = await self._ask(session, request)
                if self._session is not session:  # closed meanwhile; a session of the caller's goes on
                    answer.close()
                    raise ConnectionFailed("the transport was closed while sending")
                at = line.get() or Line(session is not self._given, began)
                return AiohttpResponse(answer, at, self._open)
            except Exception as error:
                failed = failure(error, request)
                if failed is None:
                    raise
                pool = None if resent else _fresh_start(session, error)
            # Raised outside the handler: aiohttp's error holds the request's headers, with the key.
            if pool is None:
                raise failed
            # Nothing awaits between here and the pool, so it will be a new connection.
            pool.forget(url_of(request.url))
            self.resends += 1
            resent = True

    async def aclose(self) -> None:
        """Close every connection; what is being read or sent fails with `ConnectionFailed`. Idempotent."""
        for response in tuple(self._open):
            response.close()
        session, self._session = self._session, None
        if session is None or session is self._given:
            return
        await session.close()
        # Connections that were closed before are let go by the loop: TCP in its next turn, TLS in the one after.
        for _ in range(2):
            await asyncio.sleep(0)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "this transport's connections belong to another event loop that is still alive: "
                "await aclose() there first, or use one router for each loop"
            )
        self._open.clear()
        self._destinations.clear()
        self._loop = loop
        self._session = self._given or aiohttp.ClientSession(
            connector=Connector(), cookie_jar=aiohttp.DummyCookieJar(), request_class=_BareRequest
        )
        return self._session

    def _ask(self, session: aiohttp.ClientSession, request: Request) -> Awaitable[aiohttp.ClientResponse]:
        body, limits = request.body, _limits(request.connect)
        proxy = request.proxy or self._proxy or (self._env_proxy(request.url) if self._trust_env else None)
        if proxy is None and session is not self._given and request.method == "POST" and 0 < len(body) <= SMALL:
            destination = self._destinations.get((request.url, request.ca)) or self._find(session, request)
            if destination is not None:
                return exchange(session, destination, request, limits)
        return session.request(
            request.method,
            url_of(request.url),
            data=(body if len(body) <= _LARGE else io.BytesIO(body)) or None,
            headers=request.headers,
            allow_redirects=False,
            raise_for_status=False,
            timeout=limits,
            proxy=proxy,
            ssl=self._ssl_for(request),
        )

    def _find(self, session: aiohttp.ClientSession, request: Request) -> Destination | None:
        url = url_of(request.url)
        if not is_plain(url):
            return None
        if len(self._destinations) >= _DESTINATIONS:
            self._destinations.clear()
        found = Destination(url, asyncio.get_running_loop(), session, self._ssl_for(request))
        self._destinations[request.url, request.ca] = found
        return found

    def _ssl_for(self, request: Request) -> tls.SSLContext | aiohttp.Fingerprint | bool:
        return self._ssl if request.ca is None else self._context(request.ca)

    def _context(self, path: str) -> tls.SSLContext:
        context = self._contexts.get(path)
        if context is None:
            try:
                context = tls.create_default_context(cafile=path)
            except OSError as error:
                raise never(f"ca: {path}: {error.strerror}") from None
            context.set_alpn_protocols(("http/1.1",))
            self._contexts[path] = context
        return context

    def _env_proxy(self, url: str) -> str | None:
        if url not in self._proxies:
            parsed = url_of(url)
            bypassed = parsed.host is not None and proxy_bypass(parsed.host)
            self._proxies[url] = None if bypassed else getproxies().get(parsed.scheme)
        return self._proxies[url]


class _BareRequest(aiohttp.ClientRequest):
    """A request without headers of aiohttp's own choice."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add nothing; the wire has said what to send."""


class AiohttpResponse:
    """A response from its headers on; it gives its connection back at the end of the body, or drops it in `close()`."""

    __slots__ = ("_answer", "_content", "_open", "_resting", "connected_at", "headers", "reused", "status")

    def __init__(self, answer: aiohttp.ClientResponse, at: Line, among: set[AiohttpResponse]) -> None:
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.reused, self.connected_at = at
        self._answer = answer
        self._content = answer.content
        self._resting: asyncio.Future[None] | None = None
        self._open = among
        among.add(self)

    def __repr__(self) -> str:
        state = "resting" if self._resting is not None else "open" if self in self._open else "closed"
        return f"<{type(self).__name__} {self.status} {state}>"

    async def read(self, rest: float = 0.0) -> bytes:
        """See `Response.read`. A body of unstated length that is reset counts as ended: aiohttp does not tell."""
        try:
            if rest > 0.0:
                await self._leave_alone(rest)
            data = await self._content.readany()
        except Exception as error:
            failed = failure(error)
            if isinstance(error, RuntimeError) and self._lost():  # how aiohttp says that the read began too late
                failed = ConnectionFailed("the connection was closed")
            self.close()
            if failed is None:
                raise
        else:
            if not data:
                self._open.discard(self)
            return data
        raise failed

    def close(self) -> None:
        """See `Response.close`. Once the body is at its end the connection is back in the pool, and stays there."""
        self._open.discard(self)
        if not self._content.is_eof():
            self._answer.close()
        self._wake()

    def _lost(self) -> bool:
        connection = self._answer.connection
        return connection is None or connection.transport is None

    async def _leave_alone(self, seconds: float) -> None:
        connection = self._answer.connection
        transport = None if connection is None or self._content.is_eof() else connection.transport
        if connection is None or transport is None or transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        self._resting = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        # Not the protocol's own pause: after that aiohttp's parser hands over one chunk and keeps the others back.
        transport.pause_reading()
        try:
            await self._resting
        finally:
            timer.cancel()
            self._resting = None
            if connection.transport is transport:
                transport.resume_reading()
        # The loop looks at the socket in its next turn, and what has come is here in the one after.
        for _ in range(2):
            await asyncio.sleep(0)

    def _wake(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)


def _fresh_start(session: aiohttp.ClientSession, error: Exception) -> Connector | None:
    """Our pool, if a connection from it died before any byte of the reply, so that sending again is safe."""
    pool, at = session.connector, line.get()
    if not isinstance(pool, Connector) or pool.closed or (at is not None and not at.reused):
        return None
    if isinstance(error, aiohttp.ServerDisconnectedError):
        unused = isinstance(error.message, str)  # otherwise it is the half of a reply
    else:
        unused = isinstance(error, aiohttp.ClientOSError | ConnectionResetError)
    return pool if unused else None


@lru_cache(maxsize=64)
def _limits(connect: float | None) -> aiohttp.ClientTimeout:
    """No clock of aiohttp's but the connect clock, which travels to the connector as `sock_connect`."""
    return aiohttp.ClientTimeout(sock_connect=connect, ceil_threshold=math.inf)
