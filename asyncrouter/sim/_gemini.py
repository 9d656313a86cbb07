"""Google's wire: the events, bodies and errors of generateContent.

Shapes: ai.google.dev, "Generating content", "Troubleshooting".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._anthropic import arguments
from asyncrouter.sim._encoder import Encoder, Piece, joined
from asyncrouter.sim._retry_after import in_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FINISH_REASONS = {
    "stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY", "error": "OTHER",
    "bad_arguments": "MALFORMED_FUNCTION_CALL",
}
"""The finish reasons, by the words of Chat Completions."""
_TYPE_PREFIX = "type.googleapis.com/google.rpc."
"""What the types of error details begin with."""


class GeminiEncoder(Encoder):
    """Encodes generateContent. Each event of its stream is a whole response; a tool call is one content."""

    wire = "gemini"
    event_end = b"\r\n\r\n"
    keep_alive = b": keep-alive\r\n\r\n"
    interruptions = ("OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
    id_header = None
    _tail: bytes | None = None

    def content(self, piece: Piece) -> bytes:
        """The event of one content."""
        part = self._signed(piece) if piece.kind == "arguments" and self._strict is not None else _part(piece)
        return self._event(part)

    def text_event(self, text: bytes) -> bytes:
        """An event whose text is exactly these bytes, even if they are no UTF-8."""
        return self._event(b'{"text":"' + text + b'"}')

    def closing(self) -> bytes:
        """A last event with the finish reason and the usage; this wire has nothing that ends a stream."""
        if not self.sends_finish_reason:
            return b""
        return self.early_end()

    def early_end(self) -> bytes:
        """An event with the finish reason and no content."""
        return b"data: " + orjson.dumps(self._document((), self.finish_reason)) + self.event_end

    def error_event(self) -> bytes:
        """An error in the middle of a stream; in style "bare" it is indented JSON and no event, as SDKs have met it."""
        if self.act.style == "bare":
            return orjson.dumps([orjson.loads(self.error_body())], option=orjson.OPT_INDENT_2)
        return super().error_event()

    def body(self, count: int | None = None) -> bytes:
        """The answer as one JSON body; with a `count`, as it is when an error struck after so many contents."""
        return orjson.dumps(self._document(self.pieces[:count], "error")) if count else super().body(count)

    def error_body(self) -> bytes:
        """The body of an error response; in style "bare" a list with it."""
        text, pause = self._error_text(), in_body(self.act, self.wire)
        details: list[Mapping[str, object]] = [] if self.act.metadata is None else [self.act.metadata]
        if text.code is not None:
            details.append({"@type": f"{_TYPE_PREFIX}ErrorInfo", "reason": f"{text.code}"})
        if pause is not None:
            details.append({"@type": f"{_TYPE_PREFIX}RetryInfo", "retryDelay": f"{pause:g}s"})
        error: dict[str, object] = {"code": text.status, "message": text.message, "status": text.kind}
        document = {"error": error | {"details": details} if details else error}
        return orjson.dumps([document] if self.act.style == "bare" and self.status != 200 else document)

    def usage(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        """The usage: one token for each word of the prompt and for each of these contents."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        thoughts = sum(piece.kind == "reasoning" for piece in pieces)
        counts = {"promptTokenCount": self.prompt_tokens, "candidatesTokenCount": len(pieces) - thoughts,
                  "totalTokenCount": self.prompt_tokens + len(pieces)}
        return counts | {"thoughtsTokenCount": thoughts} if thoughts else counts

    def _pieces(self) -> Sequence[Piece]:
        pieces = super()._pieces()
        if self.act.fault == "bad_arguments":  # they are an object here; where none can be read, the answer says so
            return tuple(piece for piece in pieces if piece.kind not in ("call", "arguments"))
        return tuple(piece for piece in pieces if piece.kind != "call") if self.act.tool_calls else pieces

    @property
    def finish_reason(self) -> str:
        """Why the answer ends; a call whose arguments cannot be read has a reason of its own here."""
        return "bad_arguments" if self.act.fault == "bad_arguments" else super().finish_reason

    def _event(self, part: bytes) -> bytes:
        if self._tail is None:
            self._tail = b'],"role":"model"},"index":0}],' + orjson.dumps(self._ids())[1:] + self.event_end
        return b'data: {"candidates":[{"content":{"parts":[' + part + self._tail

    def _signed(self, piece: Piece) -> bytes:
        """A part as a strict model sends it: with a signature on the first call of the answer."""
        part = _part(piece)
        if piece.kind != "arguments" or piece.call:
            return part
        return part[:-1] + b',"thoughtSignature":' + orjson.dumps(self.signature(piece.name)) + b"}"

    def _ids(self) -> dict[str, object]:
        return {"modelVersion": self._model, "responseId": f"sim-{self.number}"}

    def _document(self, pieces: Sequence[Piece], finish_reason: str) -> Mapping[str, object]:
        usage = {} if self.act.usage is False else {"usageMetadata": self.usage(pieces or self.pieces)}
        if self.act.blocked:
            return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **usage, **self._ids()}
        encode = _part if self._strict is None else self._signed
        parts = [orjson.Fragment(encode(piece)) for piece in joined(pieces) or [Piece("text", "")]]
        candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if self.sends_finish_reason:
            candidate["finishReason"] = _FINISH_REASONS.get(finish_reason, finish_reason)
        return {"candidates": [candidate], **usage, **self._ids()}


@lru_cache(maxsize=4096)
def _part(piece: Piece) -> bytes:
    match piece.kind:
        case "call" | "arguments":
            return orjson.dumps({"functionCall": {"name": piece.name, "args": arguments(piece.text)}})
        case "reasoning":
            return orjson.dumps({"text": piece.text, "thought": True})
        case "picture":
            return orjson.dumps({"inlineData": {"mimeType": "image/png", "data": piece.text}})
    return orjson.dumps({"text": piece.text})
