"""A provider whose keys have limits that it does not announce: `python _pool_server.py KEYS` prints its port.

KEYS is JSON: of each key `{"rate": 20}`, answers a second behind a token bucket of one second; or
`{"factor": 3, "after": 20}`, a deployment without a limit that is three times slower from 20 s after the first request
on. Answers take lognormal seconds, median 1 s, a 429 50 ms (`_pool_models.py`). `GET /counts` says when each key was
asked, in seconds since the first request: the instants that were served, and those that were rejected. It serves until
stdin ends, on loopback.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from _pool_models import Deployment, Limited
from _web_server import serve_until_closed
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1767225600, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 10, "total_tokens": 22},
}
LIMITED = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}


class Keys:
    """The keys of the provider, by their names."""

    def __init__(self, keys: Mapping[str, Mapping[str, float]]) -> None:
        self._members = {name: _member(name, settings) for name, settings in keys.items()}
        self._began: float | None = None

    async def ask(self, request: web.Request) -> web.Response:
        """Answer a request of one of them, or reject it."""
        await request.read()
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        result = self._members[request.headers["Authorization"].removeprefix("Bearer ")](now - self._began)
        await asyncio.sleep(result.seconds)
        return web.json_response(ANSWER if result.status == 200 else LIMITED, status=result.status)

    async def counts(self, request: web.Request) -> web.Response:
        """When each was asked."""
        return web.json_response({
            name: {"served": list(member.served), "rejected": list(member.rejected)}
            if isinstance(member, Limited) else {"served": list(member.sent), "rejected": []}
            for name, member in self._members.items()
        })


def _member(name: str, settings: Mapping[str, float]) -> Limited | Deployment:
    if "rate" in settings:
        return Limited(settings["rate"], name)
    return Deployment(name, lambda now: settings.get("factor", 1.0) if now >= settings.get("after", 0.0) else 1.0)


async def main() -> None:
    keys = Keys(json.loads(sys.argv[1]))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", keys.ask)
    app.router.add_get("/counts", keys.counts)
    await serve_until_closed(app)


if __name__ == "__main__":
    asyncio.run(main())
