"""Requests to a simulated world without a router, and what its responses hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from asyncrouter import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim import Act, Clock, SimTransport, World

PROMPT = "three little words"


def chat_request(
    model: str = "m", *, key: str = "k", prompt: str = PROMPT, connect: float | None = None,
    headers: Mapping[str, str] | None = None, **body: object,
) -> Request:
    """A Chat Completions request for `Transport.send`; `body` are further fields of its body."""
    fields = {"model": model, "messages": [{"role": "user", "content": prompt}], **body}
    sent = {"Authorization": f"Bearer {key}", **(headers or {})}
    return Request("POST", "http://sim.test/v1/chat/completions", sent, json.dumps(fields).encode(), connect)


def wire_request(wire: str, *, stream: bool, model: str = "m") -> Request:
    """A minimal request on each wire."""
    if wire == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        url, body = f"/v1beta/models/{model}:{method}", {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}
    elif wire == "responses":
        url, body = "/v1/responses", {"model": model, "stream": stream, "input": PROMPT}
    else:
        url = "/v1/messages" if wire == "anthropic" else "/v1/chat/completions"
        body = {"model": model, "stream": stream, "max_tokens": 99, "messages": [{"role": "user", "content": PROMPT}]}
    return Request("POST", f"http://sim.test{url}", {}, json.dumps(body).encode())


async def timed_reads(
    transport: SimTransport, request: Request, clock: Clock, rest: float = 0.0
) -> list[tuple[float, bytes]]:
    """Every read of a response with its instant; the last one is the end, `b""`."""
    response = await transport.send(request)
    reads = []
    while data := await response.read(rest):
        reads.append((clock.now, data))
    return [*reads, (clock.now, b"")]


def stream_reads(world: World, clock: Clock, act: Act, **body: object) -> list[tuple[float, bytes]]:
    """The timed reads of a streamed answer of the model "m" with this act."""
    world.model("m", act)
    return clock.run(timed_reads(world.transport(), chat_request(stream=True, **body), clock))


def whole_body(world: World, clock: Clock, act: Act, **body: object) -> dict[str, Any]:
    """The JSON body that the model "m" answers with this act."""
    world.model("m", act)
    [(_, data), _] = clock.run(timed_reads(world.transport(), chat_request(**body), clock))
    found: dict[str, Any] = json.loads(data)
    return found


def events(data: bytes) -> list[dict[str, Any]]:
    """The JSON of each event in the bytes of a stream."""
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]


def contents(data: bytes) -> list[str]:
    """The texts in the bytes of a Chat Completions stream."""
    deltas = [choice["delta"] for event in events(data) for choice in event["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]
