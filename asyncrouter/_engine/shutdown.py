"""How a router ends: everything closed, and what is still being cancelled waited for, but not for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from asyncrouter._engine.engine import Engine

PATIENCE = 2.0
"""Seconds that closing waits for what is still being cancelled."""


async def close(engine: Engine) -> None:
    """Close its connections and wait for its lanes, whoever cancels meanwhile."""
    with anyio.CancelScope(shield=True):
        await _to_the_end(asyncio.create_task(_close(engine)))


async def _close(engine: Engine) -> None:
    with anyio.move_on_after(PATIENCE):
        await engine.transport.aclose()
        if engine.tasks:
            await asyncio.wait(engine.tasks)


async def _to_the_end(task: asyncio.Task[None]) -> None:
    """Wait until it is done; a cancellation (anyio's shields hold off only anyio's) is passed on after that."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
