"""The OpenAI wire: Chat Completions, as OpenAI, OpenRouter and most other hosts speak it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asyncrouter._wire.base import BaseWire
from asyncrouter._wire.decoding.body import BodyDecoder
from asyncrouter._wire.decoding.events import StreamDecoder
from asyncrouter._wire.openai.answer import Answer
from asyncrouter._wire.openai.quirks import quirks_of
from asyncrouter._wire.openai.shortcut import write_plain
from asyncrouter._wire.request_body import write_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.api import Decoder


class OpenAI(BaseWire):
    """Chat Completions at one provider."""

    __slots__ = ("_chat_url", "_quirks")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        super().__init__(provider, wall)
        self._chat_url = self._url("/chat/completions")
        self._quirks = quirks_of(provider.base_url)

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: str | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. Raises `TypeError`/`ValueError` that names what cannot be written."""
        ours: dict[str, object] = {"model": model.id, "messages": call.messages}
        if stream:
            ours["stream"] = True
            ours["stream_options"] = {"include_usage": True}
        if model.drop:
            params = {name: value for name, value in params.items() if name not in model.drop}
        body = {**ours, **params, **ours}  # ours come first, and hold whatever a parameter is called
        if self._quirks is not None:
            self._quirks.settle(body)
        stream = "stream" in body
        return self._post(self._chat_url, call, write_body(body), key, stream=stream, connect=connect)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers."""
        request_id = self.request_id(headers)
        if "event-stream" in headers.get("content-type", "").lower():
            return StreamDecoder(Answer(), self._classifier, params, request_id)
        return BodyDecoder(Answer, self._classifier, params, request_id, write_plain)
