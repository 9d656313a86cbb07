"""Looks up the addresses of hosts, and remembers which ones a name has now.

Providers move: a name gets other addresses, and the old ones may answer for a while, with errors or with nothing. So
a connection serves only while its address is one that its name has (`has`), and names that are in use are looked up
again (`is_due`). A look-up may fail or hang: addresses that are five minutes old at most are used then, because a name
service that is away must not take down calls to hosts that have not moved.
"""

from __future__ import annotations

import asyncio
import math
import socket
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from aiohttp import ClientConnectionError
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import DefaultResolver

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

REFRESH_SECONDS: Final = 10.0
"""Seconds after which the addresses of a name that is in use are looked up again, beside the requests."""
DOUBTED_SECONDS: Final = 1.0
"""The same after an error of the host's: so that a storm of errors is no storm of look-ups."""
STALE_SECONDS: Final = 300.0
"""Seconds that addresses may serve when looking up again fails."""
PATIENCE_SECONDS: Final = 2.0
"""Seconds that a look-up may take where there are addresses that may still serve."""
MAX_NAMES: Final = 256
"""Names remembered: each provider has one, and URLs may come from anywhere."""

Key = tuple[str, int]
"""A host's name and a port."""


@dataclass(slots=True)
class _Name:
    """What a name stood for when it was looked up, and when it is to be looked up again."""

    found: list[ResolveResult]
    addresses: frozenset[str]
    at: float
    due: float
    doubted: bool = False


class Names(AbstractResolver):
    """aiohttp's resolver, with a memory. Instants are the monotonic clock's."""

    def __init__(self) -> None:
        self._resolver: AbstractResolver = DefaultResolver()
        self._names: dict[Key, _Name] = {}
        self.next_due = math.inf
        """No name is due before this instant. It is looked at for every request, so it is one number."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._names)} known>"

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `OSError` when it cannot be looked up and no earlier answer may serve."""
        known = self._names.get((host, port))
        usable = known is not None and monotonic() - known.at < STALE_SECONDS
        try:
            async with asyncio.timeout(PATIENCE_SECONDS if usable else None):
                found = await self._resolver.resolve(host, port, family)
        except (OSError, ClientConnectionError):  # a TimeoutError is an OSError
            if known is None or not usable:
                raise
            known.due = monotonic() + REFRESH_SECONDS
            self._note_due()
            return known.found
        if len(self._names) >= MAX_NAMES:
            self._names.clear()
        now = monotonic()
        self._names[host, port] = _Name(found, frozenset(each["host"] for each in found), now, now + REFRESH_SECONDS)
        self._note_due()
        return found

    def has(self, key: Key, address: str) -> bool:
        """Whether this is one of the addresses that the name is known to have."""
        known = self._names.get(key)
        return known is not None and address in known.addresses

    def is_due(self, key: Key) -> bool:
        """Whether the name is to be looked up again; `False` until it is due the next time."""
        known = self._names.get(key)
        if known is None or (now := monotonic()) < known.due:
            return False
        known.due = now + REFRESH_SECONDS
        self._note_due()
        return True

    def is_doubted(self, key: Key) -> bool:
        """Whether its host has answered with an error since the name was looked up."""
        known = self._names.get(key)
        return known is not None and known.doubted

    def doubt(self, key: Key) -> None:
        """Let the name be looked up again soon: its host has answered with an error."""
        if (known := self._names.get(key)) is not None:
            known.due = min(known.due, max(monotonic(), known.at + DOUBTED_SECONDS))
            known.doubted = True
            self._note_due()

    def forget(self, key: Key) -> None:
        """Let the name be looked up now, without help of what is known: a connection failed, or could not be made."""
        if (known := self._names.get(key)) is not None:
            # The next connection will look it up; if none is opened, the connections that serve will have it done.
            known.at, known.due = -STALE_SECONDS, monotonic() + DOUBTED_SECONDS
            self._note_due()

    def _note_due(self) -> None:
        self.next_due = min((known.due for known in self._names.values()), default=math.inf)

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()
