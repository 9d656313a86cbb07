"""Every failure of aiohttp becomes an error of ours, which never holds the key."""

from __future__ import annotations

import inspect
import ssl
import zlib

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions

from asyncrouter._errors import AttemptTimeout, ConnectionFailed
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.api import Request
from asyncrouter._transport.errors import attempt_error
from tests.helpers.loopback import Peer, answering, failing, run, serving
from tests.helpers.planted import KEY

_KEY: object = aiohttp.client_reqrep.ConnectionKey("host", 1, False, True, None, None, None)


def _made(kind: type[Exception]) -> Exception:
    """An instance without its arguments, for those that want aiohttp's own objects."""
    error = kind.__new__(kind)
    for name, value in {"_conn_key": _KEY, "_os_error": OSError(104, ""), "_certificate_error": OSError(1, "")}.items():
        if issubclass(kind, client_exceptions.ClientConnectorError):
            setattr(error, name, value)
    if issubclass(kind, client_exceptions.ClientResponseError):
        error.status = 400  # type: ignore[attr-defined]  # what __init__ would set
    return error


def _exceptions(module: object) -> list[type[Exception]]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Exception)]
    return [kind for kind in classes if kind.__module__.startswith("aiohttp")]


@pytest.mark.parametrize(
    "kind",
    [
        *_exceptions(client_exceptions),
        *_exceptions(http_exceptions),
        aiohttp.EofStream,
        OSError,
        ConnectionResetError,
        TimeoutError,
        ssl.SSLError,
        ssl.SSLCertVerificationError,
        zlib.error,
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_exception_of_aiohttp_is_mapped(kind: type[Exception]) -> None:
    """Each exception of aiohttp becomes an error of ours, but for the TypeError about WebSocket messages."""
    mapped = attempt_error(_made(kind))
    if issubclass(kind, TypeError):
        assert mapped is None
    elif kind is aiohttp.ConnectionTimeoutError:
        assert isinstance(mapped, AttemptTimeout)
    else:
        assert isinstance(mapped, ConnectionFailed)


def test_a_bug_is_raised_as_it_is() -> None:
    """A header that cannot be sent raises ValueError: it is the caller's mistake, not a failed connection."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            request = Request("POST", server.post().url, {"X": "two\r\nlines"}, b"{}")
            with pytest.raises(ValueError, match="header"):
                await transport.send(request)
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("url", ["models.invalid/v1", "ftp://models.invalid/", "http://[::1/", "http:///v1"])
def test_a_url_that_cannot_be_used_fails_for_good(url: str) -> None:
    """An unusable URL fails the attempt for good, with a message that does not repeat the URL: it may hold a key."""

    async def main() -> None:
        transport = AiohttpTransport()
        error = await failing(transport, Request("POST", url, {}, b"{}"))
        assert error.message == "the URL, or its proxy's, cannot be used: it needs http:// or https:// and a host"
        assert error.again == "never"
        await transport.aclose()

    run(main())


def test_no_error_carries_the_key() -> None:
    """Neither an error nor anything chained to it holds the headers of the request."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"nonsense\r\n\r\n")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            assert error.__cause__ is error.__context__ is None
            assert KEY not in repr(vars(error)) + str(error) + repr(server.post())
            await transport.aclose()

    run(main())
