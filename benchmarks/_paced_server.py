"""A paced provider that keeps a record: `python _paced_server.py` prints its port and serves until stdin ends.

The n-th request after a report waits for its first token, and between two tokens, as drawn for n; so whoever makes the
same number of requests meets the same sample. `GET /report` returns what was served since the last one: of each request
the prompt, and when it had arrived and its first and last token were written, in seconds of the server's clock.
Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import time
from random import Random

from _web_server import serve_until_closed
from aiohttp import web

TOKENS = 40
FIRST_MEDIAN, FIRST_SIGMA = 0.25, 0.4
"""Of the lognormal distribution of the seconds to the first token."""
GAP = 0.02
"""Seconds between two tokens, on average; those of an answer are drawn between 0.7 and 1.3 times it."""
USAGE = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS}
_served: list[dict[str, object]] = []
_drawn = 0


async def complete(request: web.Request) -> web.StreamResponse:
    """Stream an answer at its pace."""
    global _drawn
    body = await request.json()
    arrived, random = time.perf_counter(), Random(_drawn)
    _drawn += 1
    due = arrived + random.lognormvariate(0.0, FIRST_SIGMA) * FIRST_MEDIAN
    gap = GAP * random.uniform(0.7, 1.3)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(TOKENS):
        await asyncio.sleep(due + number * gap - time.perf_counter())
        delta = {"content": f" word{number}"} | ({"role": "assistant"} if number == 0 else {})
        await response.write(_event(delta, None))
        if number == 0:
            first = time.perf_counter()
    last = time.perf_counter()
    await response.write(_event({}, "stop") + _event(None, None) + b"data: [DONE]\n\n")
    content = body["messages"][-1]["content"]
    prompt = content if isinstance(content, str) else "".join(part["text"] for part in content)
    _served.append({"prompt": prompt, "arrived": arrived, "first": first, "last": last})
    return response


async def report(_: web.Request) -> web.Response:
    """What was served since the last report; the draws begin again."""
    global _drawn
    served, _drawn = list(_served), 0
    _served.clear()
    return web.json_response(served)


async def models(_: web.Request) -> web.Response:
    """The list of models, which harnesses ask for before they begin."""
    return web.json_response({"object": "list", "data": [{"id": "paced", "object": "model", "owned_by": "us"}]})


def _event(delta: dict[str, str] | None, finish: str | None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    usage = {"usage": USAGE} if delta is None else {}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "paced", "choices": choices}
    return b"data: " + json.dumps(event | usage).encode() + b"\n\n"


async def main() -> None:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models),
                    web.get("/health", models), web.get("/report", report)])
    await serve_until_closed(app)


if __name__ == "__main__":
    asyncio.run(main())
