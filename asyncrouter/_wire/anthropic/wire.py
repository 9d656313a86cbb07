"""The Anthropic wire: the Messages API, as Anthropic and the servers that imitate it speak it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asyncrouter._config.response_format import NAME
from asyncrouter._wire.answer_format import ANTHROPIC, IN_PROMPT, LOOSE
from asyncrouter._wire.anthropic.answer import MessageBuilder
from asyncrouter._wire.anthropic.request import translate
from asyncrouter._wire.base import BaseWire
from asyncrouter._wire.families import rules_of
from asyncrouter._wire.origin import origin_of
from asyncrouter._wire.request_body import write_translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.answer_format import Rules

VERSION = "2023-06-01"
"""The `anthropic-version` we send: it is pinned, for later ones refuse parameters that this one ignores."""


class Anthropic(BaseWire):
    """The Messages API at one provider."""

    __slots__ = ("_messages_url", "_origin")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        origin = self._origin = origin_of(provider)
        super().__init__(provider, wall, lambda: MessageBuilder(int(wall()), origin))
        self._messages_url = self._url("/messages")

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call.

        Raises `TypeError` or `ValueError` that names what cannot be written, `Rejected` for what this API cannot do.
        """
        target, lost = self._origin._replace(model=model.id), self._lost_thoughts
        messages = call.messages
        if NAME in params:
            messages, params = self._ask(call, model, params)
        body = translate(model, messages, params, target, stream=stream, lost=lost)
        written = write_translated(self._finish(body, model), call, params)
        return self._post(self._messages_url, call, written, key, stream="stream" in body, connect=connect)

    def list_models(self, key: Sealed | None) -> Request:
        """The request for the provider's list of models, all on one page."""
        return self._get(self._url("/models", limit="1000"), key)

    def _auth(self, key: Sealed | None) -> Mapping[str, Sealed]:
        return {**self._key_header(key, "x-api-key"), "anthropic-version": VERSION}

    def _format_rules(self, model: Model) -> Rules:
        """By whose rules a schema for the answer is written: nobody's, at a server of other models."""
        return {"none": IN_PROMPT, "limited": ANTHROPIC, "any": LOOSE}[rules_of(model.id).schemas]
