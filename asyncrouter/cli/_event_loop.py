"""Runs a command's event loop: the first Ctrl-C cancels it, a second one ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, TypeVar

from asyncrouter.cli._exit import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import FrameType

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """`asyncio.run`, except that a second Ctrl-C ends the process.

    asyncio raises `KeyboardInterrupt` for the second one wherever the loop happens to be. If it was about to wake a
    task, that task is never woken, and the process waits for it until a third Ctrl-C. There is nothing to lose by then:
    what was printed is out.
    """
    restored = signal.getsignal(signal.SIGINT)
    try:
        return asyncio.run(_guarded(main))
    finally:
        signal.signal(signal.SIGINT, restored)


async def _guarded(main: Coroutine[object, object, T]) -> T:
    cancel = signal.getsignal(signal.SIGINT)  # asyncio's handler: it cancels this task
    cancelled = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal cancelled
        if cancelled or not callable(cancel):
            os._exit(INTERRUPTED)
        cancelled = True
        cancel(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    return await main
