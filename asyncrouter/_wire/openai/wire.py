"""The OpenAI wire: Chat Completions, as OpenAI, OpenRouter and most other hosts speak it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asyncrouter._config.response_format import NAME
from asyncrouter._wire.base import BaseWire
from asyncrouter._wire.openai.answer import CompletionBuilder
from asyncrouter._wire.openai.format_rules import format_rules
from asyncrouter._wire.openai.quirks import quirks_of
from asyncrouter._wire.openai.request import write_request
from asyncrouter._wire.openai.shortcut import write_plain
from asyncrouter._wire.request_body import write_body
from asyncrouter._wire.sessions import put_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.answer_format import Rules


class OpenAI(BaseWire):
    """Chat Completions at one provider."""

    __slots__ = ("_chat_url", "_quirks")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        super().__init__(provider, wall, lambda: CompletionBuilder(wall()), write_plain)
        self._chat_url = self._url("/chat/completions")
        self._quirks = quirks_of(provider.base_url)

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. Raises `TypeError` or `ValueError` that names what cannot be written."""
        messages = call.messages
        if NAME in params:
            messages, params = self._ask(call, model, params)
        body = write_request(model, messages, params, self._quirks, stream=stream)
        if call.session is not None:
            put_session(body, self._session.chat, call.session, self._provider.name)
        body = self._finish(body, model)
        written = write_body(body)
        header = self._session.header
        return self._post(self._chat_url, call, written, key, stream="stream" in body, connect=connect, session=header)

    def _format_rules(self, model: Model) -> Rules:
        """By whose rules a schema for the answer is written."""
        return format_rules(model, self._quirks)
