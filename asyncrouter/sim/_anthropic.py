"""Anthropic's wire: the events, bodies and errors of the Messages API.

Shapes: platform.claude.com, "Messages", "Streaming messages", "Errors".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._encoder import Encoder, Piece, joined
from asyncrouter.sim._retry_after import in_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
"""The event that keeps a silent stream open."""
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""The event that ends a stream."""
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""The stop reasons, by the words of Chat Completions."""
_BLOCK_TYPES = {"reasoning": "thinking", "call": "tool_use", "arguments": "tool_use"}
"""The types of blocks, by kind of content; any other kind is text."""


class AnthropicEncoder(Encoder):
    """Encodes the Messages API. A stream groups contents into blocks: thinking, text, a tool call."""

    wire = "anthropic"
    keep_alive = PING
    id_header = "request-id"
    interruptions = ("error", "cancelled", "aborted")
    _block: Piece | None = None
    _blocks = 0
    _thoughts = ""

    def opening(self) -> bytes:
        """The events `message_start` and `ping`."""
        message = self._message([], None, ())
        return _event("message_start", {"type": "message_start", "message": message}) + PING

    def content(self, piece: Piece) -> bytes:
        """The delta of one content, after the events that end one block and start another where it needs another."""
        data = b"" if self._block is not None and _belongs_to(self._block, piece) else self._start_block(piece)
        if piece.kind == "reasoning":
            self._thoughts += piece.text
        return data if piece.kind == "call" else data + _delta(piece, self._blocks - 1)

    def text_event(self, text: bytes) -> bytes:
        """A delta whose text is exactly these bytes, even if they are no UTF-8."""
        return self.content(Piece("text", "\x01")).replace(b"\\u0001", text, 1)

    def closing(self) -> bytes:
        """The events of stop reason and usage, and `message_stop`, as far as the act sends them."""
        data = self.early_end() if self.sends_finish_reason else self._stop_block()
        return data + MESSAGE_STOP * self.end_count

    def early_end(self) -> bytes:
        """The events that end a block, and the message but for its last event."""
        delta: dict[str, object] = {"type": "message_delta", "delta": self._stop_fields(self.finish_reason)}
        if self.act.usage is not False:
            delta["usage"] = self.usage(self.pieces)
        return self._stop_block() + _event("message_delta", delta)

    def error_event(self) -> bytes:
        """An error in the middle of a stream."""
        return b"event: error\ndata: " + self.error_body() + b"\n\n"

    def error_body(self) -> bytes:
        """The body of an error response."""
        text, pause, details = self._error_text(), in_body(self.act, self.wire), dict(self.act.metadata or {})
        error: dict[str, object] = {"type": text.kind, "message": text.message}
        if text.code is not None:
            details.setdefault("error_code", text.code)
        if details:
            error["details"] = details
        if pause is not None:
            error["retry_after"] = pause
        return orjson.dumps({"type": "error", "error": error, "request_id": f"req-{self.number}"})

    def usage(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        """The usage: one token for each word of the prompt and for each of these contents."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        usage: dict[str, object] = {"input_tokens": self.prompt_tokens, "cache_creation_input_tokens": 0,
                                    "cache_read_input_tokens": 0, "output_tokens": len(pieces)}
        if self.act.reasoning and (thinking := sum(piece.kind == "reasoning" for piece in pieces)):
            usage["output_tokens_details"] = {"thinking_tokens": thinking}
        return usage

    def _pieces(self) -> Sequence[Piece]:
        return tuple(piece for piece in super()._pieces() if piece.kind != "picture")

    def _start_block(self, piece: Piece) -> bytes:
        data, self._block, self._thoughts = self._stop_block(), piece, ""
        start = {"type": "content_block_start", "index": self._blocks, "content_block": _block(piece._replace(text=""))}
        self._blocks += 1
        return data + _event("content_block_start", start)

    def _stop_block(self) -> bytes:
        block, index = self._block, self._blocks - 1
        if block is None:
            return b""
        self._block, data = None, b""
        if block.kind == "reasoning":
            signature = {"type": "signature_delta", "signature": self.signature(self._thoughts)}
            data = _event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": signature})
        return data + _event("content_block_stop", {"type": "content_block_stop", "index": index})

    def _stop_fields(self, finish_reason: str | None) -> dict[str, object]:
        reason = None if finish_reason is None else _STOP_REASONS.get(finish_reason, finish_reason)
        fields: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
        if reason == "refusal":
            fields["stop_details"] = {"type": "refusal", "category": None, "explanation": self.act.message}
        return fields

    def _document(self, pieces: Sequence[Piece], finish_reason: str) -> Mapping[str, object]:
        blocks = [_block(piece, self.signature(piece.text)) for piece in joined(pieces)]
        return self._message(blocks, finish_reason if self.sends_finish_reason else None, pieces)

    def _message(
        self, blocks: list[dict[str, object]], finish_reason: str | None, pieces: Sequence[Piece]
    ) -> dict[str, object]:
        head = {"id": f"msg_sim-{self.number}", "type": "message", "role": "assistant", "model": self._model}
        message = {**head, "content": blocks, **self._stop_fields(finish_reason)}
        return message if self.act.usage is False else message | {"usage": self.usage(pieces)}


def _belongs_to(block: Piece, piece: Piece) -> bool:
    """Whether a piece belongs to the block that this one began."""
    return piece.kind != "call" and _BLOCK_TYPES.get(block.kind) == _BLOCK_TYPES.get(piece.kind)


def _block(piece: Piece, signature: str = "") -> dict[str, object]:
    match piece.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": piece.text, "signature": signature}
        case "call" | "arguments":
            read = arguments(piece.text) or _unreadable(piece.text)
            return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": read}
    return {"type": "text", "text": piece.text}


def arguments(text: str) -> dict[str, object]:
    """A tool's arguments, parsed; `{}` where they are no JSON object, which this wire cannot express."""
    try:
        read = orjson.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _unreadable(text: str) -> object:
    """Arguments that are no JSON, as the text they are; `{}` for readable ones, and for none."""
    try:
        orjson.loads(text or "{}")
    except ValueError:
        return text
    return {}


def _event(name: str, document: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: ".encode() + orjson.dumps(document) + b"\n\n"


@lru_cache(maxsize=4096)
def _delta(piece: Piece, index: int) -> bytes:
    kind, name = {"reasoning": ("thinking_delta", "thinking"), "arguments": ("input_json_delta", "partial_json")}.get(
        piece.kind, ("text_delta", "text"))
    delta = {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece.text}}
    return _event("content_block_delta", delta)
