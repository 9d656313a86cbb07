"""The same for Anthropic's Messages and Google's generateContent, and how to read a request of any of the four."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import orjson

from .wire_openai import Document, Kind, OpenAI, event, spoken, word
from .wire_responses import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Request


class Anthropic(OpenAI):
    """The Messages API: blocks that begin and end."""

    done = event({"type": "message_stop"}, b"message_stop")
    limits = "anthropic-ratelimit-requests-limit"
    left = "anthropic-ratelimit-requests-remaining"
    request_id = "request-id"
    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use",
    }
    interruptions = ("error", "cancelled", "aborted")
    _types: ClassVar[Mapping[int, str]] = {
        401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
        429: "rate_limit_error", 529: "overloaded_error",
    }
    _blocks = 0
    _open: Kind | None = None

    def opening(self) -> bytes:
        """The empty message, with a first count of its tokens; none where none will come."""
        usage = self._usage() | {"output_tokens": min(1, self.script.words)}
        message: Document = {"type": "message", "model": "served", "content": [], "usage": usage}
        return self._event({"type": "message_start", "message": message}) + self._event({"type": "ping"})

    def word(self, index: int) -> bytes:
        """The delta of one word, and before it the beginning of its block."""
        kind, said = self.script.kind_of(index), word(self.number, index)
        begun = b""
        if kind != self._open:
            begun = self._stop() + self._event(
                {"type": "content_block_start", "index": self._blocks, "content_block": _block(kind, said, "")}
            )
            self._open, self._blocks = kind, self._blocks + 1
        if kind == "tool":
            delta: Document = {"type": "input_json_delta", "partial_json": self.script.arguments}
        elif kind == "thought":
            delta = {"type": "thinking_delta", "thinking": said}
        else:
            delta = {"type": "text_delta", "text": said}
        return begun + self._event({"type": "content_block_delta", "index": self._blocks - 1, "delta": delta})

    def closing(self) -> list[bytes]:
        """The stop reason and the final count."""
        return [self.early_end()]

    def early_end(self) -> bytes:
        """The events that end a block, and the message but for its last event."""
        delta: Document = {"type": "message_delta", "delta": {"stop_reason": self.finish}, "usage": self._usage()}
        return self._stop() + self._event(delta)

    def whole(self) -> bytes:
        """The message as one JSON body."""
        thoughts, text, tools = spoken(self.script, self.number)
        blocks = [_block("thought", "", thoughts)] * bool(thoughts) + [_block("text", "", text)] * bool(text)
        calls = [_block("tool", said, "") for said in tools]
        if self.script.arguments != "{}":
            calls = [call | {"input": self.script.arguments} for call in calls]
        return orjson.dumps({
            "type": "message", "model": "served", "content": blocks + calls,
            "stop_reason": self.finish, "usage": self._usage(),
        })

    def failure(self, status: int, message: str, code: str) -> Document:
        """The body of an error; its code is in the details."""
        kind = self._types.get(status, "invalid_request_error" if status < 500 else "api_error")
        details = {"details": {"error_code": code}} if code else {}
        return {"type": "error", "error": {"type": kind, "message": message, **details}}

    def broken(self, status: int) -> bytes:
        """The event of an error in the middle of a stream."""
        return event(self.failure(status, f"it broke #{self.number}", ""), b"error")

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return self._event({"type": "content_block_stop", "index": self._blocks - 1})

    def _event(self, document: Document) -> bytes:
        return event(document, str(document["type"]).encode())

    def _usage(self) -> Document:
        return {"input_tokens": self.script.prompt_tokens, "output_tokens": self.script.words}


class Gemini(OpenAI):
    """generateContent: each event is an answer of its own, and none says that it is the last."""

    done = b""
    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP",
    }
    interruptions = ("OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
    _states: ClassVar[Mapping[int, str]] = {
        401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    }
    _told: ClassVar[Mapping[str, str]] = {
        "context_length_exceeded": "The input token count exceeds the maximum number of tokens allowed",
        "content_policy_violation": "The request was blocked by our safety system",
        "model_not_found": "models/m is not found for API version v1beta, or is not supported for generateContent.",
        "insufficient_quota": "You exceeded your current quota, limit: 0",
    }
    """Where the others have a word for it, Google has a sentence."""

    def opening(self) -> bytes:
        """A comment: there is nothing to say before the first event."""
        return b": begun\n\n"

    def word(self, index: int) -> bytes:
        """The event of one word."""
        return event(self._fragment([_part(self.script.kind_of(index), word(self.number, index))]))

    def closing(self) -> list[bytes]:
        """The last event, with the finish reason or why there is no answer."""
        return [self.early_end()]

    def early_end(self) -> bytes:
        """An event with the finish reason and no word."""
        return event(self._fragment([], self.finish))

    def whole(self) -> bytes:
        """The answer as one JSON body."""
        thoughts, text, tools = spoken(self.script, self.number)
        parts = [_part("thought", thoughts)] * bool(thoughts) + [_part("text", text)] * bool(text)
        return orjson.dumps(self._fragment(parts + [_part("tool", said) for said in tools], self.finish))

    def failure(self, status: int, message: str, code: str) -> Document:
        """The body of an error."""
        told = f"{self._told[code]} {message}" if code in self._told else message
        kind = self._states.get(status, "INVALID_ARGUMENT" if status < 500 else "UNKNOWN")
        return {"error": {"code": status, "message": told, "status": kind}}

    def _fragment(self, parts: list[Document], finish: str | None = None) -> Document:
        if finish == "SAFETY" and not self.script.words:
            return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **self._usage()}
        candidate: Document = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish is None:
            return {"candidates": [candidate], "modelVersion": "served"}
        return {"candidates": [candidate | {"finishReason": finish}], "modelVersion": "served", **self._usage()}

    def _usage(self) -> Document:
        counts = {"promptTokenCount": self.script.prompt_tokens, "candidatesTokenCount": self.script.words}
        return {"usageMetadata": counts}


WIRES: Mapping[str, type[OpenAI]] = {"openai": OpenAI, "responses": Responses, "anthropic": Anthropic, "gemini": Gemini}


LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""The names of a limit of tokens."""


def request_parts(request: Request) -> tuple[str, str, bool, int | None]:
    """The model, the number of the call, whether a stream is wanted, and the most tokens of the answer."""
    body = orjson.loads(request.body)
    if (turns := body.get("contents")) is not None:
        model, _, method = request.url.partition("?")[0].rpartition("/")[2].partition(":")
        text, stream = turns[-1]["parts"][0]["text"], method.startswith("stream")
    elif (items := body.get("input")) is not None:
        said = items if isinstance(items, str) else items[-1]["content"]
        text = said if isinstance(said, str) else said[0]["text"]
        model, stream = body["model"], body.get("stream") is True
    else:
        model, text, stream = body["model"], body["messages"][-1]["content"], body.get("stream") is True
    limits = (*[body.get(name) for name in LIMITS], body.get("generationConfig", {}).get("maxOutputTokens"))
    return model, text.partition(" ")[0], stream, next((limit for limit in limits if limit is not None), None)


def key_in(headers: Mapping[str, str]) -> str:
    """The key of a request."""
    bearer = headers.get("Authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or bearer


def _block(kind: Kind, name: str, text: str) -> Document:
    if kind == "tool":
        return {"type": "tool_use", "id": "call", "name": name, "input": {}}
    return {"type": "thinking", "thinking": text} if kind == "thought" else {"type": "text", "text": text}


def _part(kind: Kind, said: str) -> Document:
    if kind == "tool":
        return {"functionCall": {"name": said, "args": {}}}
    return {"text": said, "thought": True} if kind == "thought" else {"text": said}
