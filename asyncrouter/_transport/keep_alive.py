"""TCP sockets whose other side is asked now and then whether it is still there.

A NAT or a firewall forgets a connection on which nothing is sent, after 350 s at AWS, 240 s at Azure, a minute in some
networks, and tells nobody: a long answer that comes in one piece would never arrive, and the silence would look like
thinking. Probes keep the entry alive, and where it is gone, or the host is, the connection fails within a minute.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

IDLE_SECONDS: Final = 30
"""Seconds of silence after which the first probe is sent: below the shortest patience of a NAT that is in use."""
PROBE_SECONDS: Final = 10
"""Seconds between two probes that are not answered."""
PROBES: Final = 3
"""Unanswered probes after which the connection has failed, 60 s after the last sign of life."""
UNACKNOWLEDGED_MS: Final = (IDLE_SECONDS + PROBE_SECONDS * PROBES) * 1000
"""Milliseconds that what was sent may stay unacknowledged; Linux's own limit is about 15 minutes (tcp_retries2)."""
_OPTIONS: Final = (
    ("TCP_KEEPIDLE", IDLE_SECONDS),
    ("TCP_KEEPALIVE", IDLE_SECONDS),  # the name of the same at macOS
    ("TCP_KEEPINTVL", PROBE_SECONDS),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
)
"""Options of TCP and their values; each platform has some of them."""


def open_socket(address: AddrInfoType) -> socket.socket:
    """A socket for this address, with TCP keep-alive as far as the platform has it. Raises `OSError`."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    with contextlib.suppress(OSError):  # a connection without probes is better than none
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS:
            if hasattr(socket, name):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened
