"""A server of one arm of `serve.py`, in a process of its own: prints its address.

    python benchmarks/_proxies.py asyncrouter|handwritten URL CORE
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import os
import sys

import aiohttp
import orjson
from _handwritten import open_session
from aiohttp import web

from asyncrouter import Router
from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, ServeOptions, Server

KEY = "benchmark-key"


async def serve_asyncrouter(url: str) -> None:
    """`asyncrouter serve`, as it is started, with the defaults of everything but its bounds."""
    config = {
        "default_provider": "local", "providers": {"local": {"base_url": f"{url}/v1"}},
    }
    load = lambda: Loaded(Router(config), KeyRing([ClientKey("bench", KEY)]))  # noqa: E731
    async with Server(load, ServeOptions(port=0, max_calls=20_000)) as server:
        gc.collect()
        gc.freeze()  # as the command does
        print(server.base_url.removesuffix("/v1"), flush=True)
        await server.wait()


async def serve_handwritten(url: str) -> None:
    """A careful proxy on aiohttp: a key, a bound on the body, and the same JSON read, on its way up and down."""
    upstream = f"{url}/v1/chat/completions"

    async def chat(request: web.Request) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {KEY}".encode()):
            return web.json_response({"error": {"message": "the key is wrong"}}, status=401)
        body = orjson.loads(await request.read())
        if not isinstance(body.get("messages"), list):
            return web.json_response({"error": {"message": "messages: expected a list"}}, status=400)
        async with session.post(upstream, data=orjson.dumps(body)) as response:
            if response.status != 200:
                return web.Response(status=502, body=await response.read())
            if not body.get("stream"):
                answer = orjson.loads(await response.read())
                if not answer["choices"][0]["message"]["content"] or not answer["choices"][0]["finish_reason"]:
                    return web.json_response({"error": {"message": "no answer"}}, status=502)
                return web.Response(body=orjson.dumps(answer), content_type="application/json")
            return await relay(request, response)

    async def relay(request: web.Request, response: aiohttp.ClientResponse) -> web.StreamResponse:
        out = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await out.prepare(request)
        rest = b""
        async for data in response.content.iter_any():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line == b"data: [DONE]":
                    await out.write(b"data: [DONE]\n\n")
                elif line.startswith(b"data: "):
                    await out.write(b"data: " + orjson.dumps(orjson.loads(line[6:])) + b"\n\n")
        await out.write_eof()
        return out

    app = web.Application(client_max_size=32 << 20)
    app.add_routes([web.post("/v1/chat/completions", chat)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    async with open_session() as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    arm, address, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    asyncio.run({"asyncrouter": serve_asyncrouter, "handwritten": serve_handwritten}[arm](address))
