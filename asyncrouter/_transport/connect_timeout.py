"""The connect timeout, which a blocked event loop does not spend."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LATE_SECONDS: Final = 0.01
"""Seconds after its instant from which on the connect timeout is late: the event loop was blocked."""


@asynccontextmanager
async def connect_timeout(seconds: float | None) -> AsyncIterator[None]:
    """`asyncio.timeout(seconds)`, once longer by the time that the event loop was blocked when it was due.

    A peer has often done its part by then, and a handshake takes several turns: looking once would not be enough.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle | None = None

        def due(when: float, *, again: bool) -> None:
            nonlocal timer
            now = loop.time()
            if again and now - when > LATE_SECONDS:
                timer = loop.call_at(now + min(now - when, seconds or 0.0), partial(due, when, again=False))
            else:
                limit.reschedule(now)

        if seconds is not None:
            when = loop.time() + seconds
            timer = loop.call_at(when, partial(due, when, again=True))
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
