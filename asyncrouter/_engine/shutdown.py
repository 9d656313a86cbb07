"""The shutdown of a router: close its connections, and wait a bounded time for tasks that are being cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyio import CancelScope

    from asyncrouter._policies.shared_client import SharedClient
    from asyncrouter._transport.api import Transport

MAX_SECONDS = 2.0
"""Seconds that closing a router takes at most: the transport, and tasks that are still being cancelled."""


async def shut_down(
    transport: Transport, tasks: set[asyncio.Task[None]], shield: CancelScope, shared: SharedClient | None = None
) -> None:
    """Close the transport, wait for the tasks, leave what is shared. A cancellation meanwhile is raised after that.

    `shield` holds off the scopes of anyio around the caller, which would cancel again and again until it gives in. Any
    other cancellation comes once, and is kept.
    """
    with shield:
        await _uncancelled(asyncio.create_task(_shut_down(transport, tasks, shared)))


async def _shut_down(
    transport: Transport, tasks: set[asyncio.Task[None]], shared: SharedClient | None
) -> None:
    try:
        async with asyncio.timeout(MAX_SECONDS) as limit:
            await transport.aclose()
            if tasks:
                await asyncio.wait(tasks)
            if shared is not None:
                await shared.aclose()
    except TimeoutError:
        if not limit.expired():  # the transport's own
            raise


async def _uncancelled(task: asyncio.Task[None]) -> None:
    """Wait until the task is done, and only then raise a cancellation that came meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
