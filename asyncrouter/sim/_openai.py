"""How an OpenAI-like server words things: Chat Completions chunks, bodies and errors.

Shapes: OpenAI's API reference; the four places of errors as OpenRouter's errors page describes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim.act import filler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim.act import Act

CREATED = 1_767_225_600
DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"
HTML = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          429: "rate_limit_error"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One content: a field of the delta and its value, with the JSON of the delta."""

    name: str
    value: object
    json: bytes


def pieces(act: Act, limit: int | None) -> tuple[Sequence[Piece], bool]:
    """The contents of an answer, and whether `limit` (max_tokens) cut it short."""
    tokens = 0 if act.tool_calls or act.refusal else act.tokens
    thinking = "reasoning" if act.style == "openrouter" else "reasoning_content"
    found = _spoken(act.text, tokens, act.reasoning, act.refusal, thinking)
    if act.tool_calls:
        found = (*found, *(piece for index, call in enumerate(act.tool_calls) for piece in _called(index, call)))
    if limit is not None and limit < len(found):
        return found[:limit], True
    return found, False


@lru_cache(maxsize=256)
def _spoken(text: str | None, tokens: int, reasoning: str, refusal: str, thinking: str) -> tuple[Piece, ...]:
    fields = ((thinking, reasoning), ("refusal", refusal), ("content", filler(tokens) if text is None else text))
    return tuple(_piece(name, word) for name, said in fields for word in words(said))


def words(text: str) -> list[str]:
    """A text as the words a model would send one by one; joined again they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def _piece(name: str, value: object) -> Piece:
    return Piece(name, value, orjson.dumps({name: value}))


def _called(index: int, call: Mapping[str, object]) -> tuple[Piece, Piece]:
    given = call.get("arguments", "{}")
    arguments = given if isinstance(given, str) else orjson.dumps(given).decode()
    opened = {"index": index, "id": call.get("id", f"call_{index}"), "type": "function",
              "function": {"name": call["name"], "arguments": ""}}
    return (_piece("tool_calls", [opened]),
            _piece("tool_calls", [{"index": index, "function": {"arguments": arguments}}]))


class OpenAI:
    """What this server says about one request."""

    def __init__(self, act: Act, model: str, number: int, body: Mapping[str, object]) -> None:
        self.act = act
        self.number = number
        self.streaming = body.get("stream") is True
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        self.pieces, self.short = pieces(act, limit if isinstance(limit, int) else None)
        self._id = f"sim-{number}"
        self._model = act.served_model or model
        self._body = body
        self._head: bytes | None = None

    def opening(self) -> bytes:
        """The chunk that only says who speaks: no content."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def content(self, piece: Piece) -> bytes:
        """The event of one content."""
        return self._chunk(piece.json)

    def text_event(self, text: bytes) -> bytes:
        """An event with a text of exactly these bytes, whatever they are."""
        return self._chunk(b'{"content":"' + text + b'"}')

    def text_body(self, text: bytes) -> bytes:
        """A whole body with a text of exactly these bytes, whatever they are."""
        choice = {"index": 0, "message": {"role": "assistant", "content": "\x01"}, "finish_reason": "stop"}
        framed = orjson.dumps({**self._envelope("chat.completion"), "choices": [choice], "usage": self.usage()})
        return framed.replace(b"\\u0001", text, 1)

    def malformed(self) -> bytes:
        """An event that is no JSON."""
        return b'data: {"id":"' + self._id.encode() + b'","choices":[{"delta":{"content":"\n\n'

    def closing(self) -> bytes:
        """Finish reason, usage and [DONE], as far as the act sends them."""
        said = b""
        if self.act.fault not in ("no_finish", "no_end"):
            said = self._chunk(b"{}", b'"' + self._finish().encode() + b'"')
        if self._usage_wanted():
            said += self._event({**self._envelope("chat.completion.chunk"), "choices": [], "usage": self.usage()})
        return said if self.act.fault in ("no_done", "no_end") else said + DONE

    def error_event(self) -> bytes:
        """An error in the middle of a stream: OpenRouter then just ends, vLLM says [DONE] all the same."""
        if self.act.style == "openrouter":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            return self._event({**self._envelope("chat.completion.chunk"), "error": self._error(), "choices": [choice]})
        return self._event({"error": self._error()}) + DONE

    def whole(self, count: int | None = None) -> bytes:
        """The one JSON body; with a `count`, as it is when an error struck after so many contents."""
        if count == 0:
            return orjson.dumps({"error": self._error()})
        choice: dict[str, object] = {"index": 0, "message": self._message(self.pieces[:count]), "logprobs": None,
                                     "finish_reason": self._finish()}
        if count is not None:
            choice |= {"finish_reason": "error", "error": self._error()}
        elif self.act.fault in ("no_finish", "no_end"):
            choice["finish_reason"] = None
        body = {**self._envelope("chat.completion"), "choices": [choice]}
        return orjson.dumps(body | {"usage": self.usage(count)} if self.act.usage is not False else body)

    def failure(self) -> bytes:
        """The body of an error response."""
        return orjson.dumps({"error": self._error()})

    def usage(self, count: int | None = None) -> Mapping[str, object]:
        """What the request cost: a token for each word of the prompt and each content sent."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        sent, read = self.pieces[:count], prompt_tokens(self._body)
        usage: dict[str, object] = {"prompt_tokens": read, "completion_tokens": len(sent),
                                    "total_tokens": read + len(sent)}
        if thought := sum(piece.name.startswith("reasoning") for piece in sent):
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        if self.act.cost is not None:
            usage["cost"] = self.act.cost
        return usage

    def _finish(self) -> str:
        if self.act.finish_reason is not None:
            return self.act.finish_reason
        return "length" if self.short else "tool_calls" if self.act.tool_calls else "stop"

    def _usage_wanted(self) -> bool:
        if self.act.usage is False or self.act.fault == "no_end":
            return False
        options = self._body.get("stream_options")
        return self.act.style == "openrouter" or (isinstance(options, dict) and options.get("include_usage") is True)

    def _envelope(self, kind: str) -> dict[str, object]:
        return {"id": self._id, "object": kind, "created": CREATED, "model": self._model}

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        if self._head is None:
            envelope = orjson.dumps(self._envelope("chat.completion.chunk"))
            self._head = b"data: " + envelope[:-1] + b',"choices":[{"index":0,"delta":'
        return self._head + delta + b',"finish_reason":' + finish + b"}]}\n\n"

    @staticmethod
    def _event(body: Mapping[str, object]) -> bytes:
        return b"data: " + orjson.dumps(body) + b"\n\n"

    def _error(self) -> dict[str, object]:
        act, status = self.act, self.act.status if self.act.status != 200 else 500
        message = act.message or f"The simulated model answers {status}."
        if act.style == "openrouter":
            error: dict[str, object] = {"code": status if act.code is None else act.code, "message": message}
        else:
            kind = act.type or _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
            error = {"message": message, "type": kind, "param": None, "code": act.code}
        return error if act.metadata is None else error | {"metadata": act.metadata}

    def _message(self, sent: Sequence[Piece]) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": None}
        for piece in sent:
            if isinstance(piece.value, str):
                message[piece.name] = f"{message.get(piece.name) or ''}{piece.value}"
        if message["content"] is None and not self.act.tool_calls and not self.act.refusal:
            message["content"] = ""
        if calls := _joined(sent):
            message["tool_calls"] = calls
        return message


def _joined(sent: Sequence[Piece]) -> list[dict[str, object]]:
    """The tool calls of a whole message, from the deltas of a stream."""
    calls: list[dict[str, object]] = []
    for piece in sent:
        if piece.name != "tool_calls" or not isinstance(piece.value, list):
            continue
        [delta] = piece.value
        if "id" in delta:
            calls.append({"id": delta["id"], "type": "function", "function": dict(delta["function"])})
        else:
            calls[-1]["function"] = {**_mapping(calls[-1]["function"]), **delta["function"]}
    return calls


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def prompt_tokens(body: Mapping[str, object]) -> int:
    """The words of all messages, at least one."""
    messages = body.get("messages")
    return max(1, sum(_words_in(message) for message in messages)) if isinstance(messages, list) else 1


def _words_in(message: object) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return len(content.split())
    parts = content if isinstance(content, list) else []
    return sum(len(str(part.get("text", "")).split()) for part in parts if isinstance(part, dict))
