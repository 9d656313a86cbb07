"""Feeds bytes to a wire's decoder, whole or cut, and reads everything that the decoder says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter._types import Chunk
    from asyncrouter._wire.api import Decoder, Wire

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
DONE = b"[DONE]"


def sse(*documents: object, end: bytes = b"\n\n") -> bytes:
    """Server-sent events without names; bytes are sent as they are, anything else as JSON."""
    written = (document if isinstance(document, bytes) else orjson.dumps(document) for document in documents)
    return b"".join(b"data: " + document + end for document in written)


def decode(
    wire: Wire,
    headers: Mapping[str, str],
    data: object,
    params: Mapping[str, object] | None = None,
    chunks: list[Chunk] | None = None,
) -> Decoder:
    """A decoder that was fed `data` (bytes, or what is written as JSON) and closed."""
    decoder = wire.decoder(headers, params or {})
    decoder.feed(data if isinstance(data, bytes) else orjson.dumps(data), chunks)
    decoder.close()
    return decoder


def decode_bytewise(
    wire: Wire, headers: Mapping[str, str], data: bytes, params: Mapping[str, object] | None = None
) -> Decoder:
    """A decoder that was fed `data` byte by byte and closed."""
    decoder = wire.decoder(headers, params or {})
    for at in range(len(data)):
        decoder.feed(data[at : at + 1])
    decoder.close()
    return decoder


def decode_cuts(
    wire: Wire, headers: Mapping[str, str], data: bytes, params: Mapping[str, object] | None = None
) -> Iterator[tuple[int, Decoder]]:
    """For each length from nothing to all of `data`, a decoder that was fed so many bytes and closed."""
    for length in range(len(data) + 1):
        yield length, decode(wire, headers, data[:length], params)


def state(decoder: Decoder) -> tuple[object, ...]:
    """Everything a closed decoder says."""
    reply = decoder.reply
    return (
        str(decoder.close()), decoder.content, decoder.done, decoder.skipped, decoder.cost_usd,
        reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.served_model, reply.usage, reply.raw,
    )
