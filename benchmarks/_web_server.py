"""Serves an aiohttp application on loopback, as a process that ends with its standard input."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


async def serve_until_closed(app: web.Application) -> None:
    """Print the port, a free one, and serve until standard input ends."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()
