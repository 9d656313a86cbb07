"""The Anthropic wire: the Messages API, as Anthropic and the servers that imitate it speak it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asyncrouter._wire.anthropic.answer import MessageDraft
from asyncrouter._wire.anthropic.request import translate
from asyncrouter._wire.base import BaseWire
from asyncrouter._wire.decoding.body import BodyDecoder
from asyncrouter._wire.decoding.events import StreamDecoder
from asyncrouter._wire.request_body import write_translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.api import Decoder

VERSION = "2023-06-01"
"""The language spoken. Later versions refuse parameters that this one forgives, so it is pinned."""


class Anthropic(BaseWire):
    """The Messages API at one provider."""

    __slots__ = ("_messages_url", "_wall")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        super().__init__(provider, wall)
        self._messages_url = self._url("/messages")
        self._wall = wall

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: str | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call.

        Raises `TypeError` or `ValueError` that names what cannot be written, `Rejected` for what this API cannot do.
        """
        body = translate(model, call.messages, params, stream=stream)
        written = write_translated(body, call, params)
        return self._post(self._messages_url, call, written, key, stream=stream, connect=connect)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers."""
        request_id, created = self.request_id(headers), int(self._wall())
        if "event-stream" in headers.get("content-type", "").lower():
            return StreamDecoder(MessageDraft(created), self._classifier, params, request_id)
        return BodyDecoder(lambda: MessageDraft(created), self._classifier, params, request_id)

    def list_models(self, key: str | None) -> Request:
        """The request that lists what the provider serves now, all on one page."""
        return self._list(self._url("/models", limit="1000"), key)

    def _auth(self, key: str | None) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        return version if key is None else {"x-api-key": key, **version}
