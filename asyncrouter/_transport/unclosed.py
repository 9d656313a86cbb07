"""Closes what a transport leaves that is collected, or moves to another event loop, without having been closed.

Without this aiohttp and asyncio would complain once each for session, pool and connection, without a word of what to
do, and the sockets would stay open until each of these is collected. A `finalize` holds the session, so that this runs
before anything of it is collected. It may run in any thread, at any point of the program.

Names of asyncio's and aiohttp's that begin with an underscore are used here. Where another version has none of that
name, the connections are left to the collector.
"""

from __future__ import annotations

import asyncio
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

if TYPE_CHECKING:
    import aiohttp

CURE: Final = (
    "a router was not closed; its connections are closed now. Write `async with Router() as router: …`, or "
    "`await router.aclose()` when it is needed no longer"
)
"""The warning about a router, or a transport of its own, that is collected unclosed."""


def watch(transport: object, session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> finalize[..., object]:
    """Close the session with a warning when `transport` is collected; `detach()` what this returns, to prevent that."""
    return finalize(transport, _collected, session, loop)


def _collected(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    if not session.closed:
        dispose(session, loop)
        warnings.warn(CURE, ResourceWarning, stacklevel=2)


def dispose(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close a session of an event loop that may be closed, or run in another thread, and say nothing."""
    connector = session.connector
    session.detach()
    if connector is None or connector.closed:
        return
    if loop.is_closed():
        _close_connections(connector)
    elif asyncio._get_running_loop() is loop:
        connector._close()
    else:
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(connector._close)


def _close_connections(connector: aiohttp.BaseConnector) -> None:
    """Close the connections of a loop that is closed: it will call nobody back."""
    protocols = {protocol for pooled in connector._conns.values() for protocol, _ in pooled} | connector._acquired
    connector._close()
    for protocol in protocols:
        if (transport := protocol.transport) is not None:
            _close_now(transport)


def _close_now(transport: Any) -> None:
    """Close a connection's socket, and that below its TLS."""
    below: Any = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    for each in (transport, below):
        with suppress(Exception):  # the loop is closed: it cannot be told
            each.abort()
    with suppress(Exception):
        below._call_connection_lost(None)
