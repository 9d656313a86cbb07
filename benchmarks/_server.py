"""A provider that costs next to nothing: `python _server.py CORE` prints its port and serves until stdin ends.

It answers a Chat Completions request with one fixed body; one that asks to stream, with 200 tokens, an event a write and
a write every `PACE` seconds, so that a client reads about one event at a time, as from a real provider. What is asked
under `/hold` is never answered; `GET /held` tells how many requests wait there. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Final

TOKENS: Final = 200
PACE: Final = 0.005

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

    held = 0

    def __init__(self) -> None:
        self._received = b""
        self._holds = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        Provider.held -= self._holds
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if found and len(body) >= int(length or 0):
            self._received = b""
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path == b"/held":
            self._transport.write(_response(b"%d" % Provider.held))
        elif path.startswith(b"/hold/"):
            Provider.held += 1
            self._holds = True
        elif b'"stream":true' in body:
            self._transport.write(STREAM)
            self._tell(0, asyncio.get_running_loop().time())
        else:
            self._transport.write(ANSWER)

    def _tell(self, number: int, due: float) -> None:
        self._transport.write(EVENTS[number])
        if number + 1 < len(EVENTS):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(due + PACE, self._tell, number + 1, due + PACE)


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
