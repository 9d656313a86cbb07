"""A provider that costs next to nothing: `python _server.py CORE` prints its port and serves until stdin ends.

It answers a Chat Completions request with one fixed body; one that asks to stream, with 200 tokens. `GET /tick` writes
one more event to every open stream, so that a client which ticks when it has read reads one event at a time, as from a
real provider, on a busy machine too (with a timer here, events pile up whenever the client has to wait for its core).
What is asked under `/hold` is never answered; `GET /held` tells how many requests wait there. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS: Final = 200

_HEAD = {"id": "chatcmpl-1", "created": 1767225600, "model": "m", "system_fingerprint": "fp_1"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS}


def _completion() -> bytes:
    message = {"role": "assistant", "content": "Hello there, how can I help you today?"}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _compact({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def _events() -> list[bytes]:
    """What is written, one after the other: the role and the first token, the other tokens, the end."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": f" word{number}"} for number in range(TOKENS))]
    events = [_event(choices=[_choice(delta, None)]) for delta in deltas]
    end = _event(choices=[_choice({}, "stop")]) + _event(choices=[], usage=_USAGE) + _chunk(b"data: [DONE]\n\n")
    return [events[0] + events[1], *events[2:], end + b"0\r\n\r\n"]


def _choice(delta: dict[str, str], finish: str | None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(**body: object) -> bytes:
    return _chunk(b"data: " + _compact({**_HEAD, "object": "chat.completion.chunk", "usage": None, **body}) + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


ANSWER: Final = _response(_completion())
STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS: Final = _events()


class Provider(asyncio.Protocol):
    """One connection."""

    held: ClassVar[set[Provider]] = set()
    streams: ClassVar[dict[Provider, Iterator[bytes]]] = {}

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.held.discard(self)
        self.streams.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if found and len(body) >= int(length or 0):
            self._received = b""
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path == b"/tick":
            for stream in tuple(self.streams):
                stream._tell()
            self._transport.write(_response(b""))
        elif path == b"/held":
            self._transport.write(_response(b"%d" % len(self.held)))
        elif path.startswith(b"/hold/"):
            self.held.add(self)
        elif b'"stream":true' in body:
            self._transport.write(STREAM)
            self.streams[self] = iter(EVENTS)
        else:
            self._transport.write(ANSWER)

    def _tell(self) -> None:
        event = next(self.streams[self], None)
        if event is None:
            del self.streams[self]
        else:
            self._transport.write(event)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # Whoever started this holds the other end: when they are gone, however they went, so are we.
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(main())
