"""A transport whose models stream answers content by content, in virtual time and without HTTP.

`asyncrouter.sim` sends what a provider sends; here each content is the same line of a stream, made once. That halves
the time of a simulated day. What the router does with the lines is the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING

from _answers import Answer

from asyncrouter import ConnectionFailed

if TYPE_CHECKING:
    from asyncrouter import Request

Model = Callable[[int, float], Answer]
"""A model: its answer to the call of this number, at this instant of the loop's clock."""

CONTENT = (b'data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"word "},'
           b'"finish_reason":null}]}\n\n')
"""A content of five characters."""
LAST = b'data: {"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HEADERS: Mapping[str, str] = MappingProxyType({"content-type": "text/event-stream"})
NUMBER = re.compile(rb'"call (\d+)"')
"""The number of a call, in the text of its prompt."""


@cache
def content_of(characters: int, word: bytes) -> bytes:
    """A content of so many characters, of this word again and again."""
    return CONTENT.replace(b"word ", word * (characters // 5) + word[:characters % 5])


class StreamedAnswer:
    """A response whose contents come when those of an answer do."""

    __slots__ = (
        "_closed", "_ended", "_next", "_sizes", "_times", "_waiter", "connected_at", "headers", "reused", "status",
    )

    def __init__(self, answer: Answer, at: float) -> None:
        self.status = 200
        self.headers = HEADERS
        self.connected_at = at
        self.reused = True
        self._times, self._sizes = answer.parts(at)
        self._next = 0
        self._ended = self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, rest: float = 0.0) -> bytes:
        """What has come after `rest` seconds, or the next content; b"" at the end."""
        loop = asyncio.get_running_loop()
        if self._ended or self._closed:
            return self._end()
        if rest > 0.0:
            await self._wait(loop, loop.time() + rest)
        times = self._times
        if (due := times[self._next]) > loop.time():
            await self._wait(loop, due)
        begin, now = self._next, loop.time()
        while self._next < len(times) and times[self._next] <= now:
            self._next += 1
        if self._next < len(times):
            return self._contents(begin)
        self._ended = True
        return self._contents(begin) + LAST

    def _contents(self, begin: int) -> bytes:
        """The contents from this one to those that have come."""
        if self._sizes is None:
            return CONTENT * (self._next - begin)
        # No later content may begin with the first one: that is how hosts look that send all of the text each time.
        sizes = self._sizes[begin:self._next]
        return b"".join(content_of(size, b"more " if begin or at else b"word ") for at, size in enumerate(sizes))

    def _end(self) -> bytes:
        if self._closed and not self._ended:
            raise ConnectionFailed("closed while reading")
        return b""

    async def _wait(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._waiter = waiter = loop.create_future()
        timer = None if until == inf else loop.call_at(until, _wake, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
        if self._closed:
            raise ConnectionFailed("closed while reading")

    def close(self) -> None:
        """Give up the connection; a pending read raises `ConnectionFailed`."""
        self._closed = True
        if self._waiter is not None:
            _wake(self._waiter)


class AnswerTransport:
    """A transport that asks the function of a model, found by the host of the URL."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = {f"http://{name}.test/v1/chat/completions": model for name, model in models.items()}

    async def send(self, request: Request) -> StreamedAnswer:
        """The headers come at once."""
        found = NUMBER.search(request.body)
        assert found is not None, request.body
        now = asyncio.get_running_loop().time()
        return StreamedAnswer(self._models[request.url](int(found[1]), now), now)

    async def aclose(self) -> None:
        """Nothing to close."""


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
