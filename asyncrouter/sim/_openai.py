"""OpenAI's wire: the chunks, bodies and errors of Chat Completions.

Shapes: OpenAI's API reference; the four places of errors as OpenRouter's errors page describes them; "bare" errors as
Mistral and older vLLM send them; numbers as MiniMax and Zhipu send them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._chat_oddities import BLANK_CHOICE, OF_CALLS, OF_DELTAS, odd_call, odd_deltas, placeholder
from asyncrouter.sim._encoder import CREATED, Encoder, Piece, joined
from asyncrouter.sim._retry_after import in_body
from asyncrouter.sim._vendor_errors import numbered_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""


class OpenAIEncoder(Encoder):
    """Encodes Chat Completions, in the style of OpenAI, OpenRouter or older vLLM."""

    wire = "openai"
    keep_alive = b": OPENROUTER PROCESSING\n\n"
    interruptions = ("abort", "network_error", "insufficient_system_resource", "cancelled", "timeout", "preempted")
    _head: bytes | None = None

    def opening(self) -> bytes:
        """The chunk with the role and no content."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def content(self, piece: Piece) -> bytes:
        """The chunk of one content."""
        if not OF_DELTAS.isdisjoint(self.act.sse):
            field = _field(piece, self._reasoning_field)
            return b"".join(map(self._chunk, odd_deltas(piece, field, self.act.sse)))
        return self._chunk(_delta(piece, self._reasoning_field))

    def text_event(self, text: bytes) -> bytes:
        """A chunk whose text is exactly these bytes, even if they are no UTF-8."""
        return self._chunk(b'{"content":"' + text + b'"}')

    def closing(self) -> bytes:
        """The chunks of finish reason and usage, and [DONE], as far as the act sends them."""
        odd, data = self.act.sse, self.early_end() if self.sends_finish_reason else b""
        if "blank_envelope" in odd:
            data += _event({"id": "", "object": "", "created": 0, "model": "", "choices": [BLANK_CHOICE]})
        if self._wants_usage() and "usage_in_choice" not in odd:
            data += _event({**self._envelope("chat.completion.chunk"), "choices": [], "usage": self.usage()})
        return data + DONE * self.end_count

    def early_end(self) -> bytes:
        """The chunk of the finish reason."""
        odd, more = self.act.sse, b""
        calls = sum(piece.kind == "call" for piece in self.pieces)
        if "placeholder_call" in odd and calls:
            more = self._chunk(orjson.dumps({"tool_calls": [placeholder(calls)]}))
        choice: dict[str, object] = {"index": 0, "delta": {}, "finish_reason": self.finish_reason}
        if "whole_message" in odd:
            choice["message"] = self._message(self.pieces)
        if "usage_in_choice" in odd and self._wants_usage():
            choice["usage"] = self.usage()
        if len(choice) == len(("index", "delta", "finish_reason")):
            return more + self._chunk(b"{}", orjson.dumps(self.finish_reason))
        return more + _event({**self._envelope("chat.completion.chunk"), "choices": [choice]})

    def error_event(self) -> bytes:
        """An error in the middle of a stream. OpenRouter ends the stream with it, vLLM still sends [DONE]."""
        if self.act.style == "openrouter":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            return _event({**self._envelope("chat.completion.chunk"), "error": self._error(), "choices": [choice]})
        return b"data: " + self.error_body() + b"\n\n" + DONE

    def body(self, count: int | None = None) -> bytes:
        """The answer as one JSON body; with a `count`, as it is when an error struck after so many contents."""
        if count == 0 or (count is not None and self.act.style not in ("openai", "openrouter")):
            return self.error_body()
        return orjson.dumps(self._document(self.pieces[:count], self.finish_reason if count is None else "error"))

    def error_body(self) -> bytes:
        """The body of an error response."""
        if self.act.style in ("minimax", "zhipu"):
            return orjson.dumps(numbered_error(self.act, self._error_text()))
        return orjson.dumps(self._error() if self.act.style == "bare" else {"error": self._error()})

    def usage(self, count: int | None = None) -> Mapping[str, object]:
        """The usage: one token for each word of the prompt, and for each content or the first `count` of them."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        sent = self.pieces[:count]
        usage: dict[str, object] = {"prompt_tokens": self.prompt_tokens, "completion_tokens": len(sent),
                                    "total_tokens": self.prompt_tokens + len(sent)}
        if self.act.reasoning and (reasoning := sum(piece.kind == "reasoning" for piece in sent)):
            usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
        if self.act.cost is not None:
            usage["cost"] = self.act.cost
        return usage

    @property
    def _reasoning_field(self) -> str:
        return "reasoning" if self.act.style == "openrouter" else "reasoning_content"

    def _wants_usage(self) -> bool:
        if self.act.usage is False or self.act.fault == "no_end":
            return False
        options = self._request_body.get("stream_options")
        return self.act.style == "openrouter" or (isinstance(options, dict) and options.get("include_usage") is True)

    def _envelope(self, kind: str) -> dict[str, object]:
        return {"id": f"sim-{self.number}", "object": kind, "created": CREATED, "model": self._model}

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        if self._head is None:
            envelope = orjson.dumps(self._envelope("chat.completion.chunk"))
            self._head = b"data: " + envelope[:-1] + b',"choices":[{"index":0,"delta":'
        return self._head + delta + b',"finish_reason":' + finish_reason + b"}]}\n\n"

    def _document(self, pieces: Sequence[Piece], finish_reason: str) -> Mapping[str, object]:
        choice: dict[str, object] = {"index": 0, "message": self._message(pieces), "logprobs": None,
                                     "finish_reason": finish_reason if self.sends_finish_reason else None}
        if finish_reason == "error":
            choice["error"] = self._error()
        body = {**self._envelope("chat.completion"), "choices": [choice]}
        if self.act.usage is False:
            return body
        if "usage_in_choice" in self.act.sse:
            choice["usage"] = self.usage(len(pieces))
            return body
        return body | {"usage": self.usage(len(pieces))}

    def _message(self, pieces: Sequence[Piece]) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": None}
        calls: list[dict[str, object]] = []
        images: list[dict[str, object]] = []
        for piece in joined(pieces):
            if piece.kind == "arguments":
                function = {"name": piece.name, "arguments": piece.text}
                calls.append({"id": piece.id, "type": "function", "function": function})
            elif piece.kind == "picture":
                images.append(_image(piece, len(images)))
            else:
                message[_field(piece, self._reasoning_field)] = piece.text
        if message["content"] is None and not self.act.tool_calls and not self.act.refusal:
            message["content"] = ""
        if calls and not OF_CALLS.isdisjoint(self.act.sse):
            calls = [odd_call(call, self.act.sse) for call in calls]
            calls += [placeholder(len(calls))] if "placeholder_call" in self.act.sse else []
        if images:
            message["images"] = images
        return message | {"tool_calls": calls} if calls else message

    def _error(self) -> dict[str, object]:
        act, text, pause = self.act, self._error_text(), in_body(self.act, self.wire)
        if act.style == "openrouter":
            error: dict[str, object] = {"code": text.status if text.code is None else text.code,
                                        "message": text.message}
            if act.why is not None:
                error["metadata"] = {"error_type": text.kind}
            if pause is not None:
                error["availability"] = {"code": "capacity_exhausted", "retryable": True, "retry_after": pause}
        else:
            error = {"message": text.message, "type": text.kind, "param": self.act.param, "code": text.code}
            if act.style == "bare":
                error |= {"object": "error", "raw_status_code": text.status}
            if pause is not None:
                error["retry_after"] = pause
        return error if act.metadata is None else error | {"metadata": act.metadata}


def _event(body: Mapping[str, object]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _image(piece: Piece, index: int) -> dict[str, object]:
    """A picture as OpenRouter writes it."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{piece.text}"}, "index": index}


def _field(piece: Piece, reasoning_field: str) -> str:
    return {"reasoning": reasoning_field, "text": "content"}.get(piece.kind, piece.kind)


@lru_cache(maxsize=4096)
def _delta(piece: Piece, reasoning_field: str) -> bytes:
    match piece.kind:
        case "call":
            function = {"name": piece.name, "arguments": ""}
            call = {"index": piece.call, "id": piece.id, "type": "function", "function": function}
            return orjson.dumps({"tool_calls": [call]})
        case "arguments":
            return orjson.dumps({"tool_calls": [{"index": piece.call, "function": {"arguments": piece.text}}]})
        case "picture":
            return orjson.dumps({"images": [_image(piece, 0)]})
    return orjson.dumps({_field(piece, reasoning_field): piece.text})
