"""Hostile responses, one after another through a whole router: what may come of one, and what it may cost.

Each response is made from a seed and a number, so any of them can be had again. What must hold: a call ends in a reply
or in an error of the documented tree, no text of which hides anything; the event loop is never held for 50 ms of
processor time; and memory does not grow with the number of responses.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import orjson

from asyncrouter import Router, RouterError
from asyncrouter.files import json_bytes
from tests.fuzz.mutate import mutate, mutate_text
from tests.fuzz.seeds import Answer, answers, failures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Reply, Request, Response

WIRES = ("openai", "anthropic", "gemini", "responses")
LIMIT = 1 << 20
"""`max_response_bytes`, in bytes."""
LONGEST_TURN = 0.05
"""Seconds of processor time for which one response may hold the loop at a time."""
CALLS_A_ROUTER = 20
"""Responses that one router gets: some of them hold its models back for minutes."""
LARGE = 0.002
"""The share of responses of up to a megabyte."""
_HIDDEN = frozenset(map(chr, (
    *range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A),
)))
"""Characters that no text may hold."""

_ANSWERS = answers()
_FAILURES = failures()
_NONSENSE = (
    "1e-9", "-1", "nan", "inf", "1e400", "9" * 400, "", " ", "\x1b[2J", "\u202e1", "0x10", "1_000", "٣", "1;2",
    "Infinity", "Wed, 99 Foo 2026", "0", "99999999999999999999s", "\ud800",
)
_HEADERS = (
    "retry-after", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens", "x-ratelimit-reset",
    "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-reset", "x-should-retry", "x-request-id",
    "location", "content-type", "llm_provider-retry-after", "x-litellm-response-cost", "date",
)
_TYPES = (
    "application/json", "text/event-stream", "text/html", "application/x-ndjson", "", "\x00", "text/event-stream;x",
)
_VALUES = (
    b"[],", b"{},", b'{"a":1},', b"1,", b'"",', b"\\ud800", b"<title", b"\n", b"data: ", b"[", b'{"a":', b"a b ",
    b"\xff",
)


class Hostile(NamedTuple):
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def response_of(random: Random) -> tuple[str, Hostile]:
    """A wire, and a response to a request of it."""
    if random.random() < LARGE:
        wire, body, status = random.choice(WIRES), _large(random), random.choice((200, 200, 400))
        headers = {"content-type": random.choice(_TYPES[:2])}
    elif random.random() < 0.2:
        failure = random.choice(_FAILURES)
        wire, body = random.choice(WIRES), mutate(failure.body, random)
        status = random.choice((failure.status, random.randrange(100, 1000), 200))
        headers = {name: mutate_text(value, random) for name, value in failure.headers.items()}
    else:
        answer: Answer = random.choice(_ANSWERS)
        wire, status, body = answer.wire, 200, mutate(answer.body, random)
        headers = {"content-type": answer.content_type if random.random() < 0.8 else random.choice(_TYPES)}
    for _ in range(random.choice((0, 0, 1, 3))):
        headers[random.choice(_HEADERS)] = random.choice(_NONSENSE)
    return wire, Hostile(status, headers, body)


def _large(random: Random) -> bytes:
    value = random.choice(_VALUES)
    start = random.choice((b"", b'{"x":[', b'data: {"x":[', b'data: {"choices":[{"index":0,"delta":{"content":"', b"["))
    return start + value * (random.randrange(LIMIT // 8, LIMIT + LIMIT // 8) // len(value))


class Wrong(Exception):
    """Something that must hold does not."""


class HostileTransport:
    """Answers every request with one response, in pieces, and measures for how long the loop was held by each."""

    def __init__(self) -> None:
        self.next = Hostile(200, {}, b"")
        self.random = Random(0)
        self.given = 0.0
        self.longest = 0.0

    async def send(self, request: Request) -> Response:
        """Return the response."""
        self.tick()
        await asyncio.sleep(0)
        self.given = time.thread_time()
        return _Pieces(self, self.next)

    async def aclose(self) -> None:
        """There is nothing to close."""

    def tick(self) -> None:
        """The loop goes on: note how long the last piece has held it."""
        if self.given:
            self.longest = max(self.longest, time.thread_time() - self.given)
        self.given = 0.0


class _Pieces:
    """A response whose body comes in pieces."""

    connected_at = 0.0
    reused = False

    def __init__(self, transport: HostileTransport, given: Hostile) -> None:
        self.status = given.status
        self.headers = given.headers
        self._transport = transport
        self._body = given.body
        self._size = transport.random.choice((1 << 16, 1 << 16, 1000, 37)) if len(given.body) < 50_000 else 1 << 16
        self._at = 0

    async def read(self, rest: float = 0.0) -> bytes:
        """The next piece."""
        self._transport.tick()
        await asyncio.sleep(0)
        piece = self._body[self._at : self._at + self._size]
        self._at += len(piece)
        self._transport.given = time.thread_time()
        return piece

    def close(self) -> None:
        """There is nothing to close."""


CONFIG = {
    "default_provider": "openai-x",
    "providers": {f"{wire}-x": {"base_url": "http://hostile.test/v1", "wire": wire} for wire in WIRES},
    "models": {wire: {"provider": f"{wire}-x", "id": "m"} for wire in WIRES},
    "tasks": {"default": ["openai"]},
    "defaults": {"retry": {"attempts": 1}, "max_response_bytes": LIMIT},
}


async def run(seed: int, numbers: range) -> tuple[Counter[str], float]:
    """What came of these responses, and the longest turn. Raises `Wrong` with the number of the response."""
    outcomes: Counter[str] = Counter()
    longest = 0.0
    gc.collect()
    gc.freeze()
    for start in range(numbers.start, numbers.stop, CALLS_A_ROUTER):
        transport = HostileTransport()
        async with Router(CONFIG, transport=transport) as router:
            for number in range(start, min(start + CALLS_A_ROUTER, numbers.stop)):
                try:
                    outcomes[await _one(router, transport, Random(f"{seed}:{number}"))] += 1
                    transport.tick()
                    if transport.longest > LONGEST_TURN:
                        raise Wrong(f"the loop was held for {transport.longest * 1000:.0f} ms")
                except Exception as error:
                    raise Wrong(f"response {number} of seed {seed}: {type(error).__name__}: {error}") from error
                longest, transport.longest = max(longest, transport.longest), 0.0
    return outcomes, longest


async def _one(router: Router, transport: HostileTransport, random: Random) -> str:
    wire, transport.next = response_of(random)
    transport.random = random
    streamed = random.random() < 0.3
    try:
        if streamed:
            async with router.stream("Hi", model=wire, deadline=60) as stream:
                async for _ in stream:
                    pass
            reply = stream.reply
        else:
            reply = await router.chat("Hi", model=wire, deadline=60)
    except RouterError as error:
        _check_texts(str(error), *(f"{each} {each.code} {each.param} {each.request_id}" for each in _attempts(error)))
        if random.random() < 0.05:
            pickle.loads(pickle.dumps(error))
        return f"{wire}: {type(_attempts(error)[-1] if _attempts(error) else error).__name__}"
    _check_reply(reply)
    return f"{wire}: {'stream' if streamed else 'reply'}"


def _attempts(error: RouterError) -> list[RouterError]:
    return list(getattr(error, "errors", [])) or [error]


def _check_texts(*texts: str) -> None:
    for text in texts:
        hidden = _HIDDEN & set(text.replace("\n", ""))
        if hidden:
            raise Wrong(f"hidden in a text: {sorted(map(ascii, hidden))} of {text!r:.200}")


def _check_reply(reply: Reply) -> None:
    _check_texts(str(reply.trace))
    orjson.loads(json_bytes({"text": reply.text, "raw": reply.raw, "tool_calls": reply.tool_calls}))


