"""Chat Completions JSON in small, and decoders of the OpenAI wire that were fed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.catalog import Provider
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.decoding import JSON, SSE, decode, sse

if TYPE_CHECKING:
    from asyncrouter._types import Chunk
    from asyncrouter._wire.api import Decoder

WIRE = OpenAI(Provider(name="local", base_url="http://127.0.0.1/v1"), wall=lambda: 0.0)


def delta(finish: str | None = None, index: int = 0, **fields: object) -> dict[str, object]:
    """A chunk with one choice, whose delta has these fields."""
    return {"id": "c1", "model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def completion(finish: str | None = "stop", **message: object) -> dict[str, object]:
    """A completion with one choice, whose message has these fields."""
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def stream(
    *documents: object, params: dict[str, object] | None = None, chunks: list[Chunk] | None = None
) -> Decoder:
    """A decoder of a stream that was fed these documents and closed."""
    return decode(WIRE, {**SSE, "x-request-id": "r1"}, sse(*documents), params, chunks)


def body(document: object, params: dict[str, object] | None = None) -> Decoder:
    """A decoder of a body that was fed this document and closed."""
    return decode(WIRE, JSON, document, params)
