"""Every failure of aiohttp becomes an error of ours, which never holds the key."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl
import zlib

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey

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


# ── this machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def connect_key() -> ConnectionKey:
    """What aiohttp's errors of a connection carry."""
    return ConnectionKey("host.test", 80, False, False, None, None, None)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOMEM])
def test_what_this_machine_lacks_is_nobodys_fault(number: int) -> None:
    """No descriptor, buffer, memory or port: the scope is local, whoever has met it."""
    met: list[Exception] = [
        OSError(number, "x"), aiohttp.ClientOSError(number, "x"),
        aiohttp.ClientConnectorError(connect_key(), OSError(number, "x")),
        aiohttp.ClientProxyConnectionError(connect_key(), OSError(number, "x")),
        aiohttp.ClientConnectorDNSError(connect_key(), OSError(number, "x")),
    ]

    scopes = [None if failed is None else failed.scope for failed in map(attempt_error, met)]

    assert scopes == ["local"] * 5


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_no_memory_and_no_thread_are_local(error: Exception) -> None:
    """What Python raises when there is no memory, or no thread for a name look-up, is local, too."""
    failed = attempt_error(error)
    assert failed is not None
    assert failed.scope == "local"


def test_a_lookup_without_a_descriptor_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not found while no socket can be opened says nothing about the name."""
    error = aiohttp.ClientConnectorDNSError(connect_key(), socket.gaierror(socket.EAI_AGAIN, "try again"))
    found = attempt_error(error)

    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    crowded = attempt_error(error)

    assert found is not None
    assert crowded is not None
    assert (found.scope, crowded.scope) == (None, "local")


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT])
def test_what_the_other_side_does_is_not_local(number: int) -> None:
    """A refused connection, and a host that cannot be reached, are not this machine's."""
    failed = attempt_error(aiohttp.ClientConnectorError(connect_key(), OSError(number, "x")))
    assert failed is not None
    assert failed.scope is None
