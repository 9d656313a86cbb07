"""The shutdown of a router: close its connections, and wait a bounded time for tasks that are being cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from asyncrouter._transport.api import Transport

MAX_SECONDS = 2.0
"""Seconds that closing a router takes at most: the transport, and tasks that are still being cancelled."""


async def shut_down(transport: Transport, tasks: set[asyncio.Task[None]]) -> None:
    """Close the transport and wait for the tasks. A cancellation meanwhile is raised when both are done."""
    with anyio.CancelScope(shield=True):
        await _shielded(asyncio.create_task(_shut_down(transport, tasks)))


async def _shut_down(transport: Transport, tasks: set[asyncio.Task[None]]) -> None:
    with anyio.move_on_after(MAX_SECONDS):
        await transport.aclose()
        if tasks:
            await asyncio.wait(tasks)


async def _shielded(task: asyncio.Task[None]) -> None:
    """Wait for the task to the end; a cancellation, which no scope of anyio holds off, is raised after that."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
