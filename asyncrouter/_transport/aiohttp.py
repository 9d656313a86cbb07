"""Requests over aiohttp: one session for the life of a router, one response for each request.

A small POST to a plain URL goes over the pool directly (`exchange.py`), everything else through the session. No timeout
of aiohttp's is used but the connect timeout; the others are the engine's.

When a pooled connection dies before any byte of the response, the server has not seen the request, or has closed the
connection while it was idle: the request is sent once more, over a new connection, and the idle connections to that
host are dropped. No request is sent a third time, and none after a byte of its response has come.

Exceptions of aiohttp's never leave this package: they hold the request's headers, with the key, so ours are raised
outside the handler, with no cause and no context.
"""

from __future__ import annotations

import asyncio
import io
import math
import ssl as tls
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp

from asyncrouter._credentials.secret import forget_locals
from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.api import FileRequest
from asyncrouter._transport.connector import Connector, connection_info, make_connector
from asyncrouter._transport.errors import attempt_error, is_local, permanent
from asyncrouter._transport.exchange import MAX_HEADER_BYTES, SMALL_BODY, Destination, QuietResponse, exchange, is_plain
from asyncrouter._transport.outgoing import check_fields
from asyncrouter._transport.response import AiohttpResponse
from asyncrouter._transport.unclosed import dispose, watch
from asyncrouter._transport.url import MAX_URLS, parse_url, split_proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from weakref import finalize

    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request, Response
    from asyncrouter._transport.direct_response import DirectResponse

_LARGE_BODY: Final = 1 << 20
"""Bytes of a body from which on aiohttp warns that it holds the loop; from a file in memory it writes them piece by
piece."""
_FAILED_HOST: Final = 500
"""The status from which on a response may come from a host that the name no longer stands for."""
_TURNS_TO_CLOSE: Final = 2
"""Turns of the loop after which closed connections are gone: TCP in the next one, TLS in the one after."""


class AiohttpTransport:
    """Carries requests over one aiohttp session, opened at the first of them.

    There is no limit on connections; at most 32 to a host are being opened at a time, and waiting for that does not
    count towards the connect timeout. When a pooled connection dies before any byte of the reply, the request is sent
    once more on a new one; `resends` counts these. Redirects are not followed.

    `proxy` is the URL for requests that name none, `ssl` what aiohttp takes (a context, a fingerprint, `False` for no
    checks). With `trust_env` the proxy comes from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as they stand when a URL
    is first used; `.netrc` is not read: keys are the configuration's.

    A `session` of yours is used and never closed. It brings its own connector: its limits hold, requests are not sent
    twice, the connect timeout bounds each address that is tried, and `reused` is always `False`.

    Raises `TypeError` or `ValueError` for an argument that cannot be used.
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
        self.resends: int = 0
        self._given = session
        self._proxy = proxy
        self._ssl = True if ssl is None else ssl
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None  # the session's, if it is one of ours
        self._packed = False  # whether compressed bodies come as they are
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unclosed: finalize[..., object] | None = None
        self._open: set[AiohttpResponse] = set()
        self._contexts: dict[str, tls.SSLContext] = {}
        self._destinations: dict[tuple[Sealed, str | None], Destination] = {}
        self._proxies: dict[str, str | None] = {}

    def __repr__(self) -> str:
        state = "closed" if self._session is None else f"{len(self._open)} open"
        return f"<{type(self).__name__} {state}, {self.resends} resent>"

    async def send(self, request: Request) -> Response:
        """Send a request and return the response from its headers on.

        Raises `ConnectionFailed`, `AttemptTimeout("connect")`, and `RuntimeError` on a second event loop.
        """
        loop = asyncio.get_running_loop()
        session = self._session
        if session is None or self._loop is not loop:
            session = self._begin(loop)
        resent = False
        failed: AttemptError | None
        while True:
            began = loop.time()
            if connection_info.get() is not None:
                connection_info.set(None)
            try:
                response = await self._ask(session, request)
                if isinstance(response, aiohttp.ClientResponse) and session is self._given:
                    _hide_query(response)
                if self._session is session:
                    connector = self._connector
                    reused, ready = connection_info.get() or (connector is not None, began)
                    if response.status >= _FAILED_HOST and connector is not None:
                        connector.doubt(response.url)
                    return AiohttpResponse(response, self._open, reused, ready, packed=self._packed)
                response.close()  # closed meanwhile; a session of the caller's goes on
                del response  # it shows its URL
                pool, failed = None, ConnectionFailed("the transport was closed while sending")
            except asyncio.CancelledError as cancelled:
                forget_locals(cancelled, everything=True)
                task = asyncio.current_task()
                if self._session is session or task is None or task.cancelling():
                    raise
                # Nobody has cancelled this task: closing has cancelled the name look-up that it waits for.
                pool, failed = None, ConnectionFailed("the transport was closed while sending")
            except Exception as error:
                failed = attempt_error(error, request)
                if failed is None:
                    forget_locals(error, everything=True)
                    raise
                pool = None if resent else _resend_pool(session, error)
            except BaseException as error:  # Ctrl-C, between any two steps
                forget_locals(error, everything=True)
                raise
            # Raised outside the handler: aiohttp's error holds the request's headers, with the key.
            if pool is None:
                failed.__context__ = None
                raise failed.with_traceback(None)
            # Nothing awaits between here and the pool, so it will be a new connection.
            pool.forget(parse_url(request.sealed_url))
            self.resends += 1
            resent = True

    async def aclose(self) -> None:
        """Close every connection; what is being read or sent fails with `ConnectionFailed`. Idempotent."""
        for response in tuple(self._open):
            response.close()
        session, self._session = self._session, None
        if session is None or session is self._given:
            return
        self._forget_unclosed()
        await session.close()
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        """Open a session on this loop."""
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "this transport's connections belong to another event loop that is still alive: "
                "await aclose() there first, or use one router for each loop"
            )
        self._open.clear()
        self._destinations.clear()
        if self._session is not None and self._loop is not None and self._session is not self._given:
            dispose(self._session, self._loop)
        self._forget_unclosed()
        self._loop = loop
        if self._given is not None:
            self._session, self._connector, self._packed = self._given, None, not self._given.auto_decompress
            return self._given
        self._session = aiohttp.ClientSession(
            connector=make_connector(), cookie_jar=aiohttp.DummyCookieJar(), request_class=_BareRequest,
            response_class=QuietResponse,
            max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES,
            auto_decompress=False,
        )
        self._unclosed = watch(self, self._session, loop)
        connector = self._session.connector
        self._connector, self._packed = connector if isinstance(connector, Connector) else None, True
        return self._session

    def _forget_unclosed(self) -> None:
        if self._unclosed is not None:
            self._unclosed.detach()
            self._unclosed = None

    def _ask(
        self, session: aiohttp.ClientSession, request: Request
    ) -> Awaitable[aiohttp.ClientResponse | DirectResponse]:
        """Send a request, the short way or through the session."""
        method, sealed_url, headers, body, connect, sealed_proxy, ca = request
        timeout = _timeout(connect)
        proxy = None if sealed_proxy is None else request.proxy
        proxy = proxy or self._proxy or (self._env_proxy(request.url) if self._trust_env else None)
        small = method == "POST" and 0 < len(body) <= SMALL_BODY
        pool = self._connector if small and proxy is None else None
        if pool is not None:
            destination = self._destinations.get((sealed_url, ca)) or self._remember(session, request)
            if destination is not None:
                destination.prepare(headers)
                return exchange(pool, destination, request, timeout)
        url = parse_url(sealed_url)
        check_fields(method, headers)
        address, login = (None, None) if proxy is None else split_proxy(proxy)
        tunnelled = url.scheme == "https"  # then the proxy gets a request of its own
        return session.request(
            method,
            url,
            data=request.pieces() if isinstance(request, FileRequest) else _data(body),
            headers=request.headers if login is None or tunnelled else {**request.headers, **login},
            allow_redirects=False,
            raise_for_status=False,
            timeout=timeout,
            proxy=address,
            proxy_headers=login if tunnelled else None,
            ssl=self._ssl_for(request),
        )

    def _remember(self, session: aiohttp.ClientSession, request: Request) -> Destination | None:
        """The destination of a URL that is used for the first time; `None` if it is left to aiohttp's session."""
        url = parse_url(request.sealed_url)
        if not is_plain(url):
            return None
        if len(self._destinations) >= MAX_URLS:
            self._destinations.clear()
        destination = Destination(url, asyncio.get_running_loop(), session, self._ssl_for(request))
        self._destinations[request.sealed_url, request.ca] = destination
        return destination

    def _ssl_for(self, request: Request) -> tls.SSLContext | aiohttp.Fingerprint | bool:
        return self._ssl if request.ca is None else self._context(request.ca)

    def _context(self, path: str) -> tls.SSLContext:
        """The context that trusts this bundle of certificates; the file is read once."""
        context = self._contexts.get(path)
        if context is None:
            try:
                context = tls.create_default_context(cafile=path)
            except OSError as error:
                if is_local(error):
                    raise
                raise permanent(f"ca: {path}: {error.strerror}") from None
            context.set_alpn_protocols(("http/1.1",))
            self._contexts[path] = context
        return context

    def _env_proxy(self, text: str) -> str | None:
        """The proxy that the environment names for a URL."""
        if text not in self._proxies:
            if len(self._proxies) >= MAX_URLS:
                self._proxies.clear()
            url = parse_url(text)
            bypassed = url.host is not None and proxy_bypass(url.host)
            self._proxies[text] = None if bypassed else getproxies().get(url.scheme)
        return self._proxies[text]


def _data(body: bytes) -> bytes | io.BytesIO | None:
    return (body if len(body) <= _LARGE_BODY else io.BytesIO(body)) or None


class _BareRequest(aiohttp.ClientRequest):
    """A request without headers of aiohttp's own choice."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add nothing: the wire has said what to send."""


def _hide_query(response: aiohttp.ClientResponse) -> None:
    """Take the query out of the URL of a response of the caller's session, which aiohttp shows if it is abandoned."""
    url = response._real_url
    if url.raw_query_string:
        response._real_url = response._url = url.with_query(None)


def _resend_pool(session: aiohttp.ClientSession, error: Exception) -> Connector | None:
    """Our pool, if a connection from it died before any byte of the response, so that sending again is safe."""
    pool, connection = session.connector, connection_info.get()
    if not isinstance(pool, Connector) or pool.closed or (connection is not None and not connection.reused):
        return None
    if isinstance(error, aiohttp.ServerDisconnectedError):
        unused = isinstance(error.message, str)  # otherwise it is the half of a response
    else:
        unused = isinstance(error, aiohttp.ClientOSError | ConnectionResetError)
    return pool if unused else None


@lru_cache(maxsize=64)
def _timeout(connect: float | None) -> aiohttp.ClientTimeout:
    """No timeout of aiohttp's but the connect timeout, which travels to the connector as `sock_connect`."""
    return aiohttp.ClientTimeout(sock_connect=connect, ceil_threshold=math.inf)
