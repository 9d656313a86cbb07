"""How an OpenAI-like server words things: Chat Completions chunks, bodies and errors.

Shapes: OpenAI's API reference; the four places of errors as OpenRouter's errors page describes them; "bare" errors as
Mistral and older vLLM send them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._pauses import in_body
from asyncrouter.sim._speech import CREATED, Piece, Speech, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DONE = b"data: [DONE]\n\n"


class OpenAI(Speech):
    """Chat Completions."""

    wire = "openai"
    keepalive = b": OPENROUTER PROCESSING\n\n"
    _head: bytes | None = None

    def opening(self) -> bytes:
        """The chunk that only says who speaks: no content."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def content(self, piece: Piece) -> bytes:
        """The chunk of one content."""
        return self._chunk(_delta(piece, self._thinking))

    def text_event(self, text: bytes) -> bytes:
        """A chunk with a text of exactly these bytes, whatever they are."""
        return self._chunk(b'{"content":"' + text + b'"}')

    def closing(self) -> bytes:
        """Finish reason, usage and [DONE], as far as the act sends them."""
        said = self._chunk(b"{}", orjson.dumps(self.finish)) if self.finishes else b""
        if self._usage_wanted():
            said += _event({**self._envelope("chat.completion.chunk"), "choices": [], "usage": self.usage()})
        return said + DONE * self.ends

    def error_event(self) -> bytes:
        """An error in the middle of a stream: OpenRouter then just ends, vLLM says [DONE] all the same."""
        if self.act.style == "openrouter":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            return _event({**self._envelope("chat.completion.chunk"), "error": self._error(), "choices": [choice]})
        return b"data: " + self.failure() + b"\n\n" + DONE

    def whole(self, count: int | None = None) -> bytes:
        """The one JSON body; with a `count`, as it is when an error struck after so many contents."""
        if count == 0 or (count is not None and self.act.style == "bare"):
            return self.failure()
        return orjson.dumps(self._whole(self.pieces[:count], self.finish if count is None else "error"))

    def failure(self) -> bytes:
        """The body of an error response."""
        return orjson.dumps(self._error() if self.act.style == "bare" else {"error": self._error()})

    def usage(self, count: int | None = None) -> Mapping[str, object]:
        """What the request took: a token for each word of the prompt and each content sent."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        sent = self.pieces[:count]
        usage: dict[str, object] = {"prompt_tokens": self.read, "completion_tokens": len(sent),
                                    "total_tokens": self.read + len(sent)}
        if self.act.reasoning and (thought := sum(piece.kind == "reasoning" for piece in sent)):
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        if self.act.cost is not None:
            usage["cost"] = self.act.cost
        return usage

    @property
    def _thinking(self) -> str:
        return "reasoning" if self.act.style == "openrouter" else "reasoning_content"

    def _usage_wanted(self) -> bool:
        if self.act.usage is False or self.act.fault == "no_end":
            return False
        options = self._body.get("stream_options")
        return self.act.style == "openrouter" or (isinstance(options, dict) and options.get("include_usage") is True)

    def _envelope(self, kind: str) -> dict[str, object]:
        return {"id": f"sim-{self.number}", "object": kind, "created": CREATED, "model": self._model}

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        if self._head is None:
            envelope = orjson.dumps(self._envelope("chat.completion.chunk"))
            self._head = b"data: " + envelope[:-1] + b',"choices":[{"index":0,"delta":'
        return self._head + delta + b',"finish_reason":' + finish + b"}]}\n\n"

    def _whole(self, pieces: Sequence[Piece], finish: str) -> Mapping[str, object]:
        told = finish if self.finishes else None
        choice: dict[str, object] = {"index": 0, "message": self._message(pieces), "logprobs": None,
                                     "finish_reason": told}
        if finish == "error":
            choice["error"] = self._error()
        body = {**self._envelope("chat.completion"), "choices": [choice]}
        return body | {"usage": self.usage(len(pieces))} if self.act.usage is not False else body

    def _message(self, pieces: Sequence[Piece]) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": None}
        calls: list[dict[str, object]] = []
        for piece in joined(pieces):
            if piece.kind == "arguments":
                function = {"name": piece.name, "arguments": piece.text}
                calls.append({"id": piece.id, "type": "function", "function": function})
            else:
                message[_field(piece, self._thinking)] = piece.text
        if message["content"] is None and not self.act.tool_calls and not self.act.refusal:
            message["content"] = ""
        return message | {"tool_calls": calls} if calls else message

    def _error(self) -> dict[str, object]:
        act, words, pause = self.act, self._words(), in_body(self.act, self.wire)
        if act.style == "openrouter":
            error: dict[str, object] = {"code": words.status if words.code is None else words.code,
                                        "message": words.message}
            if act.why is not None:
                error["metadata"] = {"error_type": words.kind}
            if pause is not None:
                error["availability"] = {"code": "capacity_exhausted", "retryable": True, "retry_after": pause}
        else:
            error = {"message": words.message, "type": words.kind, "param": None, "code": words.code}
            if act.style == "bare":
                error |= {"object": "error", "raw_status_code": words.status}
            if pause is not None:
                error["retry_after"] = pause
        return error if act.metadata is None else error | {"metadata": act.metadata}


def _event(body: Mapping[str, object]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _field(piece: Piece, thinking: str) -> str:
    return {"reasoning": thinking, "text": "content"}.get(piece.kind, piece.kind)


@lru_cache(maxsize=4096)
def _delta(piece: Piece, thinking: str) -> bytes:
    match piece.kind:
        case "call":
            function = {"name": piece.name, "arguments": ""}
            call = {"index": piece.call, "id": piece.id, "type": "function", "function": function}
            return orjson.dumps({"tool_calls": [call]})
        case "arguments":
            return orjson.dumps({"tool_calls": [{"index": piece.call, "function": {"arguments": piece.text}}]})
    return orjson.dumps({_field(piece, thinking): piece.text})
