"""How Google's generateContent words things (ai.google.dev, "Generating content", "Troubleshooting")."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._anthropic import arguments
from asyncrouter.sim._pauses import in_body
from asyncrouter.sim._speech import Piece, Speech, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY", "error": "OTHER"}
_TYPES = "type.googleapis.com/google.rpc."


class Gemini(Speech):
    """generateContent. A fragment of its stream is an answer of its own; a tool call is one content."""

    wire = "gemini"
    end = b"\r\n\r\n"
    keepalive = b": keep-alive\r\n\r\n"
    id_header = None
    _tail: bytes | None = None

    def content(self, piece: Piece) -> bytes:
        """The fragment of one content."""
        return self._fragment(_part(piece))

    def text_event(self, text: bytes) -> bytes:
        """A fragment with a text of exactly these bytes, whatever they are."""
        return self._fragment(b'{"text":"' + text + b'"}')

    def closing(self) -> bytes:
        """A last fragment with the finish reason and the usage; nothing says that this was all."""
        if not self.finishes:
            return b""
        return b"data: " + orjson.dumps(self._whole((), self.finish)) + self.end

    def error_event(self) -> bytes:
        """An error in the middle of a stream; "bare", as the SDK has seen it: lines of JSON that are no event."""
        if self.act.style == "bare":
            return orjson.dumps([orjson.loads(self.failure())], option=orjson.OPT_INDENT_2)
        return super().error_event()

    def whole(self, count: int | None = None) -> bytes:
        """The one JSON body; with a `count`, as it is when an error struck after so many contents."""
        return orjson.dumps(self._whole(self.pieces[:count], "error")) if count else super().whole(count)

    def failure(self) -> bytes:
        """The body of an error response; "bare", a list of it."""
        words, pause = self._words(), in_body(self.act, self.wire)
        details: list[Mapping[str, object]] = [] if self.act.metadata is None else [self.act.metadata]
        if words.code is not None:
            details.append({"@type": f"{_TYPES}ErrorInfo", "reason": f"{words.code}"})
        if pause is not None:
            details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{pause:g}s"})
        error: dict[str, object] = {"code": words.status, "message": words.message, "status": words.kind}
        document = {"error": error | {"details": details} if details else error}
        return orjson.dumps([document] if self.act.style == "bare" and self.status != 200 else document)

    def usage(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        """What the request took: a token for each word of the prompt and each content sent."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        thought = sum(piece.kind == "reasoning" for piece in pieces)
        counts = {"promptTokenCount": self.read, "candidatesTokenCount": len(pieces) - thought,
                  "totalTokenCount": self.read + len(pieces)}
        return counts | {"thoughtsTokenCount": thought} if thought else counts

    def _pieces(self) -> Sequence[Piece]:
        pieces = super()._pieces()
        return tuple(piece for piece in pieces if piece.kind != "call") if self.act.tool_calls else pieces

    def _fragment(self, part: bytes) -> bytes:
        if self._tail is None:
            self._tail = b'],"role":"model"},"index":0}],' + orjson.dumps(self._foot())[1:] + self.end
        return b'data: {"candidates":[{"content":{"parts":[' + part + self._tail

    def _foot(self) -> dict[str, object]:
        return {"modelVersion": self._model, "responseId": f"sim-{self.number}"}

    def _whole(self, pieces: Sequence[Piece], finish: str) -> Mapping[str, object]:
        usage = {} if self.act.usage is False else {"usageMetadata": self.usage(pieces or self.pieces)}
        if self.act.blocked:
            return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **usage, **self._foot()}
        parts = [orjson.Fragment(_part(piece)) for piece in joined(pieces) or [Piece("text", "")]]
        candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if self.finishes:
            candidate["finishReason"] = _REASONS.get(finish, finish)
        return {"candidates": [candidate], **usage, **self._foot()}


@lru_cache(maxsize=4096)
def _part(piece: Piece) -> bytes:
    match piece.kind:
        case "call" | "arguments":
            return orjson.dumps({"functionCall": {"name": piece.name, "args": arguments(piece.text)}})
        case "reasoning":
            return orjson.dumps({"text": piece.text, "thought": True})
    return orjson.dumps({"text": piece.text})
