"""OpenAI's HTTP API as an ASGI application, to serve by itself or to mount in a service.

```python
from fastapi import FastAPI
from asyncrouter import Router
from asyncrouter.integrations import asgi

service = FastAPI()
service.mount("/llm", asgi.app(Router.from_toml("router.toml"), key="env:LLM_KEY"))
# openai.AsyncOpenAI(base_url="http://…/llm/v1", api_key=…)
```

The paths are those of `help("asyncrouter.openai_api")` below `/v1`. A client that leaves ends its call. Where the
server sends lifespan events (a mounted application gets none), they open and close the router.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from asyncrouter import ConfigError
from asyncrouter.openai_api import (
    MAX_CALLS,
    Answer,
    ApiRequest,
    ClientKey,
    Gate,
    KeyRing,
    OpenAIApi,
    problem_answer,
    secret_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from asyncrouter import Router

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY: Final = 32 << 20
"""Bytes of a request, if nothing else is said: some pictures in base64."""
_PREFIX: Final = "/v1"


def app(
    router: Router, *, key: str | Sequence[str] | None = None, max_body: int = MAX_BODY, max_calls: int = MAX_CALLS,
    longest: float | None = None,
) -> OpenAIApp:
    """The application.

    - `key`: what a client must send as `authorization: Bearer …`: "env:NAME", the environment variable that has it, or
      several of these. `None`: nobody is asked, so the service around it has to.
    - `max_body`: bytes of a request. `max_calls`: requests that are answered at once.
    - `longest`: the longest deadline of a call, in seconds, whatever a client asks for; `None`: the router's own.

    Raises `ConfigError` for a key that cannot be used.
    """
    given = [] if key is None else [key] if isinstance(key, str) else list(key)
    if key is not None and not given:
        raise ConfigError('expected "env:NAME", or None to ask nobody for a key', "key")
    keys = [ClientKey(f"key {number}", secret_of(one, "key")) for number, one in enumerate(given, 1)]
    return OpenAIApp(router, KeyRing(keys), max_body=max_body, max_calls=max_calls, longest=longest)


class OpenAIApp:
    """An ASGI 3 application. Made by `app()`."""

    def __init__(
        self, router: Router, keys: KeyRing, *, max_body: int, max_calls: int, longest: float | None
    ) -> None:
        self._api = OpenAIApi(router, longest=longest)
        self._gate = Gate(keys, max_calls=max_calls, clock=time.monotonic, wall=time.time)
        self._max_body = max_body

    def __repr__(self) -> str:
        return f"<OpenAIApp of {self._api.router!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope: of HTTP, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            raise ValueError(f"scope: expected http or lifespan, got {scope['type']!r:.40}")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._api.router:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        visit = self._gate.enter(headers)
        if isinstance(visit, Answer):
            await _send(send, visit)
            return
        answer: Answer | None = None
        try:
            body = await self._read(headers, receive)
            if body is None:
                return
            if isinstance(body, Answer):
                answer = body
                await _send(send, body)
                return
            request = ApiRequest(scope["method"], _path(scope), headers, body)

            async def respond() -> None:
                nonlocal answer
                answer = await self._api.respond(request, visit.may_use)
                await _send(send, answer)

            await _until_disconnect(respond(), receive)
        finally:
            if answer is not None and not isinstance(answer.body, bytes):
                await answer.body.aclose()
            visit.end(None if answer is None else answer.trace)

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes | Answer | None:
        """The body; an answer if it is too large; `None` if the client has gone."""
        too_large = problem_answer(413, f"the body has more than {self._max_body} bytes", "too_large")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > self._max_body:
            return too_large
        parts, size, more = [], 0, True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            more = event.get("more_body", False)
            if size > self._max_body:
                return too_large
        return b"".join(parts)


def _headers(scope: Scope) -> dict[str, str]:
    """The header fields by name; of one that comes twice the values in one, so that two keys are no key."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _path(scope: Scope) -> str:
    """The path below `/v1`; what is no such path stays as it is, and is unknown."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.removeprefix(_PREFIX) if path.startswith(f"{_PREFIX}/") else f"?{path}"


async def _until_disconnect(main: Any, receive: Receive) -> None:
    """Run to the end, or until the client leaves: then it is cancelled."""
    work = asyncio.ensure_future(main)
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    finally:
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: Answer) -> None:
    body = answer.body
    fields = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if isinstance(body, bytes):
        fields.append((b"content-length", str(len(body)).encode()))
    with suppress(OSError):  # how a server says that the client has gone
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        if not isinstance(body, bytes):
            async for part in body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            body = b""
        await send({"type": "http.response.body", "body": body})
