"""A command's event loop: the first Ctrl-C cancels it, a second one ends the process there and then."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, TypeVar

from asyncrouter.cli._endings import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import FrameType

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """`asyncio.run`, but for a second Ctrl-C.

    asyncio raises that one wherever the loop happens to be. If it was about to wake a task, nobody ever will, and the
    process waits for that task until a third comes. There is nothing left to lose: what was printed is out.
    """
    restored = signal.getsignal(signal.SIGINT)
    try:
        return asyncio.run(_guarded(main))
    finally:
        signal.signal(signal.SIGINT, restored)


async def _guarded(main: Coroutine[object, object, T]) -> T:
    cancel = signal.getsignal(signal.SIGINT)  # asyncio's: it cancels this task
    heard = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard or not callable(cancel):
            os._exit(INTERRUPTED)
        heard = True
        cancel(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    return await main
