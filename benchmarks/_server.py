"""A provider that uses little CPU: `python _server.py CORE` prints its port and serves until stdin ends.

It answers a Chat Completions request with one fixed body, or with tokens if the request asks to stream. The model's
name says how many, and when: with `t500`, each `GET /tick` writes one more event to every open stream. A client that
ticks when it has read everything thus reads one event at a time, as from a real provider, on a busy machine too (with a
timer, events pile up whenever the client waits for its core). `t500@0.01` writes one every 10 ms instead, and
`t500@0.01!100` stops writing after 100. Requests under `/hold` are never answered; `GET /held` returns how many wait
there. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import sys
from functools import cache
from math import inf
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = {"id": "chatcmpl-1", "created": 1767225600, "model": "m", "system_fingerprint": "fp_1"}
_STREAMS = re.compile(rb'"stream":\s*true')
_PLAN = re.compile(rb'"model":\s*"t(\d+)(?:@([\d.]+))?(?:!(\d+))?"')


def _completion() -> bytes:
    message = {"role": "assistant", "content": "Hello there, how can I help you today?"}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _compact({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _usage(10)})


@cache
def _events(tokens: int) -> list[bytes]:
    """The events of a stream in their order: the role with the first token, the other tokens, the end."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": f" word{number}"} for number in range(tokens))]
    events = [_event(choices=[_choice(delta, None)]) for delta in deltas]
    end = _event(choices=[_choice({}, "stop")]) + _event(choices=[], usage=_usage(tokens)) + _chunk(b"data: [DONE]\n\n")
    return [events[0] + events[1], *events[2:], end + b"0\r\n\r\n"]


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 12, "completion_tokens": tokens, "total_tokens": 12 + tokens}


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


class Provider(asyncio.Protocol):
    """One connection to the provider."""

    held: ClassVar[set[Provider]] = set()
    streams: ClassVar[set[Provider]] = set()

    def __init__(self) -> None:
        self._received = b""
        self._events: Iterator[bytes] = iter(())
        self._left = inf
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.held.discard(self)
        self.streams.discard(self)
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
        if path == b"/tick":
            for stream in tuple(self.streams):
                stream._write_event()
            self._transport.write(_response(b""))
        elif path == b"/held":
            self._transport.write(_response(b"%d" % len(self.held)))
        elif path.startswith(b"/hold/"):
            self.held.add(self)
        elif _STREAMS.search(body):
            self._stream(_PLAN.search(body))
        else:
            self._transport.write(ANSWER)

    def _stream(self, plan: re.Match[bytes] | None) -> None:
        tokens, gap, silent = (b"200", None, None) if plan is None else plan.groups()
        self._events, self._left = iter(_events(int(tokens))), inf if silent is None else int(silent)
        self._transport.write(STREAM)
        if self._timer is not None:
            self._timer.cancel()  # the last reply's timer must not write an event of this one
        if gap is None:
            self.streams.add(self)
        else:
            self._write_every(float(gap), asyncio.get_running_loop().time())

    def _write_every(self, gap: float, due: float) -> None:
        """Write the next event, and set a timer for the one after it, which is not late because this one was."""
        if self._write_event():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(due + gap, self._write_every, gap, due + gap)

    def _write_event(self) -> bool:
        event = next(self._events, None) if self._left else None
        self._left -= 1
        if event is None or self._transport.is_closing():
            self.streams.discard(self)
            return False
        self._transport.write(event)
        return True


async def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=16384)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # The process that started this one holds the other end of stdin: when it is gone, this one ends too.
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(main())
