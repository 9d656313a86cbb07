"""Streams of a router of their own, and what was read of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asyncrouter import Router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncrouter import ReplyStream
    from asyncrouter.sim import World


def opened(world: World, **options: object) -> Router:
    """A router to this world; `options` are its constructor's."""
    return Router(world.config(), transport=world.transport(), seed=1, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def streaming(world: World, **arguments: object) -> AsyncIterator[ReplyStream]:
    """A stream that has been entered, with a router that is closed after it."""
    async with opened(world) as router, router.stream("x", **arguments) as stream:  # type: ignore[arg-type]
        yield stream


async def texts(stream: ReplyStream) -> str:
    """Read to the end: all texts that came, as one."""
    return "".join([chunk.text async for chunk in stream])


def outcomes(stream: ReplyStream) -> list[tuple[str, str, str | None]]:
    """Each attempt of the stream: its model, its cause, its outcome."""
    return [(attempt.model, attempt.cause, attempt.outcome) for attempt in stream.trace.attempts]
