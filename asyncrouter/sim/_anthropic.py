"""How Anthropic's Messages API words things (platform.claude.com, "Messages", "Streaming messages", "Errors")."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._pauses import in_body
from asyncrouter.sim._speech import Piece, Speech, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_BLOCKS = {"reasoning": "thinking", "call": "tool_use", "arguments": "tool_use"}


class Anthropic(Speech):
    """The Messages API."""

    wire = "anthropic"
    keepalive = PING
    id_header = "request-id"
    _block: Piece | None = None
    _blocks = 0

    def opening(self) -> bytes:
        """The message's beginning, and a ping."""
        message = self._message([], None, ())
        return _event("message_start", {"type": "message_start", "message": message}) + PING

    def content(self, piece: Piece) -> bytes:
        """The delta of one content, with the start of its block and the end of the one before where they are due."""
        said = b"" if self._block is not None and _same(self._block, piece) else self._turn_to(piece)
        return said if piece.kind == "call" else said + _delta(piece, self._blocks - 1)

    def text_event(self, text: bytes) -> bytes:
        """A delta with a text of exactly these bytes, whatever they are."""
        return self.content(Piece("text", "\x01")).replace(b"\\u0001", text, 1)

    def closing(self) -> bytes:
        """Stop reason, usage and `message_stop`, as far as the act sends them."""
        said = self._stop_block()
        if self.finishes:
            delta: dict[str, object] = {"type": "message_delta", "delta": self._stopped(self.finish)}
            if self.act.usage is not False:
                delta["usage"] = self.usage(self.pieces)
            said += _event("message_delta", delta)
        return said + STOP * self.ends

    def error_event(self) -> bytes:
        """An error in the middle of a stream."""
        return b"event: error\ndata: " + self.failure() + b"\n\n"

    def failure(self) -> bytes:
        """The body of an error response."""
        words, pause, details = self._words(), in_body(self.act, self.wire), dict(self.act.metadata or {})
        error: dict[str, object] = {"type": words.kind, "message": words.message}
        if words.code is not None:
            details.setdefault("error_code", words.code)
        if details:
            error["details"] = details
        if pause is not None:
            error["retry_after"] = pause
        return orjson.dumps({"type": "error", "error": error, "request_id": f"req-{self.number}"})

    def usage(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        """What the request took: a token for each word of the prompt and each content sent."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        usage: dict[str, object] = {"input_tokens": self.read, "cache_creation_input_tokens": 0,
                                    "cache_read_input_tokens": 0, "output_tokens": len(pieces)}
        if self.act.reasoning and (thought := sum(piece.kind == "reasoning" for piece in pieces)):
            usage["output_tokens_details"] = {"thinking_tokens": thought}
        return usage

    def _turn_to(self, piece: Piece) -> bytes:
        said, self._block = self._stop_block(), piece
        start = {"type": "content_block_start", "index": self._blocks, "content_block": _block(piece._replace(text=""))}
        self._blocks += 1
        return said + _event("content_block_start", start)

    def _stop_block(self) -> bytes:
        block, index = self._block, self._blocks - 1
        if block is None:
            return b""
        self._block, said = None, b""
        if block.kind == "reasoning":
            signature = {"type": "signature_delta", "signature": "c2lt"}
            said = _event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": signature})
        return said + _event("content_block_stop", {"type": "content_block_stop", "index": index})

    def _stopped(self, finish: str | None) -> dict[str, object]:
        reason = None if finish is None else _REASONS.get(finish, finish)
        stopped: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
        if reason == "refusal":
            stopped["stop_details"] = {"type": "refusal", "category": None, "explanation": self.act.message}
        return stopped

    def _whole(self, pieces: Sequence[Piece], finish: str) -> Mapping[str, object]:
        blocks = [_block(piece, whole=True) for piece in joined(pieces)]
        return self._message(blocks, finish if self.finishes else None, pieces)

    def _message(
        self, blocks: list[dict[str, object]], finish: str | None, pieces: Sequence[Piece]
    ) -> dict[str, object]:
        head = {"id": f"msg_sim-{self.number}", "type": "message", "role": "assistant", "model": self._model}
        message = {**head, "content": blocks, **self._stopped(finish)}
        return message if self.act.usage is False else message | {"usage": self.usage(pieces)}


def _same(block: Piece, piece: Piece) -> bool:
    """Whether a piece goes on with the block."""
    return piece.kind != "call" and _BLOCKS.get(block.kind) == _BLOCKS.get(piece.kind)


def _block(piece: Piece, *, whole: bool = False) -> dict[str, object]:
    match piece.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": piece.text, "signature": "c2lt" if whole else ""}
        case "call" | "arguments":
            return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": arguments(piece.text)}
    return {"type": "text", "text": piece.text}


def arguments(text: str) -> dict[str, object]:
    """A tool's arguments as the object they stand for; what is none, or was cut, cannot be said on this wire."""
    try:
        read = orjson.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _event(name: str, document: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: ".encode() + orjson.dumps(document) + b"\n\n"


@lru_cache(maxsize=4096)
def _delta(piece: Piece, index: int) -> bytes:
    kind, name = {"reasoning": ("thinking_delta", "thinking"), "arguments": ("input_json_delta", "partial_json")}.get(
        piece.kind, ("text_delta", "text"))
    delta = {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece.text}}
    return _event("content_block_delta", delta)
