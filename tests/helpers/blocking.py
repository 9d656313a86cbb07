"""A program that blocks its event loop: nothing runs for some seconds, while replies arrive."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncrouter.sim import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim import World


def block(at: float, seconds: float) -> None:
    """Block the running loop at this instant of its clock, for so long; in virtual time if that is the loop's."""
    loop = asyncio.get_running_loop()
    loop.call_at(at, _stand_still, loop, seconds)


def _stand_still(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    if isinstance(loop, VirtualLoop):
        loop._now += seconds
        loop._sharpen()
    else:
        time.sleep(seconds)


@contextmanager
def serving_in_a_thread(world: World) -> Iterator[str]:
    """The base URL of a server of this world, which runs on in a thread while the test's own loop is blocked."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = world.server()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5.0)
        yield server.base_url
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(5.0)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
