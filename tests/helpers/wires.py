"""One answer in the words of every wire, streamed or whole, and routers whose models answer with such bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from asyncrouter import Model, Provider, Router
from tests.helpers.canned import Answer, CannedTransport
from tests.helpers.decoding import sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Event, Request

WireName = Literal["openai", "anthropic", "gemini"]
WIRES: tuple[WireName, ...] = ("openai", "anthropic", "gemini")
SSE, JSON = "text/event-stream", "application/json"
GOOD: Answer = (200, JSON, orjson.dumps({"choices": [{"message": {"content": "good"}, "finish_reason": "stop"}]}))

Json = dict[str, object]


@dataclass(slots=True)
class Said:
    """What a model says, and the provider's word for its end (`None`: it is cut before that)."""

    text: str = ""
    thoughts: str = ""
    end: str | None = None

    def events(self, wire: WireName) -> list[Json]:
        """As the events of a stream."""
        return {"openai": self._openai, "anthropic": self._anthropic, "gemini": self._gemini}[wire]()

    def bytes(self, wire: WireName, *, streamed: bool) -> Answer:
        """As a response."""
        if streamed:
            return 200, SSE, sse(*self.events(wire))
        return 200, JSON, orjson.dumps(self.document(wire))

    def document(self, wire: WireName) -> Json:
        """As one document."""
        if wire == "openai":
            message = {"role": "assistant", "content": self.text or None, "reasoning_content": self.thoughts or None}
            return {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": self.end}]}
        if wire == "anthropic":
            blocks: list[Json] = [{"type": "thinking", "thinking": self.thoughts}] if self.thoughts else []
            blocks += [{"type": "text", "text": self.text}] if self.text else []
            usage = {"input_tokens": 3, "output_tokens": 5}
            return {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
                    "stop_reason": self.end, "usage": usage}
        parts: list[Json] = [{"text": self.thoughts, "thought": True}] if self.thoughts else []
        parts += [{"text": self.text}] if self.text else []
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if self.end is not None:
            candidate["finishReason"] = self.end
        return {"candidates": [candidate]}

    def _openai(self) -> list[Json]:
        deltas: list[tuple[Json, str | None]] = [({"role": "assistant"}, None)]
        deltas += [({"reasoning_content": piece}, None) for piece in self.thoughts]
        deltas += [({"content": piece}, None) for piece in self.text]
        if self.end is not None:
            deltas.append(({}, self.end))
        return [{"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
                for delta, end in deltas]

    def _anthropic(self) -> list[Json]:
        start = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
                 "usage": {"input_tokens": 3, "output_tokens": 1}}
        events: list[Json] = [{"type": "message_start", "message": start}]
        for kind, name, said in (("thinking", "thinking_delta", self.thoughts), ("text", "text_delta", self.text)):
            if said:
                index = sum(event["type"] == "content_block_start" for event in events)
                block = {"type": kind, kind: ""}
                events.append({"type": "content_block_start", "index": index, "content_block": block})
                events += [{"type": "content_block_delta", "index": index, "delta": {"type": name, kind: piece}}
                           for piece in said]
                events.append({"type": "content_block_stop", "index": index})
        if self.end is not None:
            delta = {"stop_reason": self.end}
            events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}})
            events.append({"type": "message_stop"})
        return events

    def _gemini(self) -> list[Json]:
        parts: list[Json] = [{"text": piece, "thought": True} for piece in self.thoughts]
        parts += [{"text": piece} for piece in self.text]
        found: list[Json] = [{"candidates": [{"content": {"parts": [part]}, "index": 0}]} for part in parts]
        if self.end is not None:
            found.append({"candidates": [{"content": {"parts": []}, "finishReason": self.end, "index": 0}]})
        return found


def two_models(wire: str, answer: Answer, *listeners: Callable[[Event], None], size: int = 1 << 20) -> Router:
    """A router with the chain [first, second]: the first answers with this on this wire, the second with "good"."""

    def reply(request: Request) -> Answer:
        return answer if "//first" in request.url else GOOD

    providers = {
        "first": Provider(base_url="http://first/v1", wire=wire), "second": Provider(base_url="http://second/v1"),
    }
    models = {"first": Model(provider="first", id="m"), "second": Model(provider="second", id="m")}
    config = {"providers": providers, "models": models, "tasks": {"default": {"models": ["first", "second"]}}}
    return Router(config, transport=CannedTransport(reply, size), listeners=listeners, seed=1)
