"""The Gemini wire: generateContent, as Google's Gemini API speaks it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from asyncrouter._config.names import can_stand_in_address
from asyncrouter._config.response_format import NAME
from asyncrouter._wire.answer_format import GOOGLE
from asyncrouter._wire.base import BaseWire, read_model_ids
from asyncrouter._wire.gemini.answer import ResponseBuilder
from asyncrouter._wire.gemini.request import native_config, translate
from asyncrouter._wire.origin import origin_of
from asyncrouter._wire.request_body import write_translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.answer_format import Rules
    from asyncrouter._wire.api import Decoder

_DECODED: Final = (("n", "candidateCount", "candidate_count"), ("stop", "stopSequences", "stop_sequences"))
"""The parameters that say how an answer is read, and Google's two names for each."""


class Gemini(BaseWire):
    """generateContent at one provider."""

    __slots__ = ("_origin",)

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        origin = self._origin = origin_of(provider)
        super().__init__(provider, wall, lambda: ResponseBuilder(wall(), origin))

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call.

        Raises `TypeError` or `ValueError` that names what cannot be written, `Rejected` for what this API cannot do.
        """
        messages = call.messages
        if NAME in params:
            messages, params = self._ask(call, model, params)
        body = translate(model, messages, params, self._origin._replace(model=model.id))
        written = write_translated(self._finish(body, model), call, params)
        stream = stream and "stream" not in model.drop
        if stream:
            url = self._url(f"/{resource(model.id)}:streamGenerateContent", alt="sse")
        else:
            url = self._url(f"/{resource(model.id)}:generateContent")
        return self._post(url, call, written, key, stream=stream, connect=connect)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers; `n` and `stop` may be given in Google's own words."""
        if config := native_config(params):
            own = ((name, config.get(camel, config.get(snake))) for name, camel, snake in _DECODED)
            params = {**params, **{name: value for name, value in own if value is not None}}
        return super().decoder(headers, params)

    def list_models(self, key: Sealed | None) -> Request:
        """The request for the provider's list of models, all on one page."""
        return self._get(self._url("/models", pageSize="1000"), key)

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in `{"models": [{"name": "models/…"}]}`. Raises `BadReply`."""
        return [name.removeprefix("models/") for name in read_model_ids(body, "models", "name")]

    def _format_rules(self, model: Model) -> Rules:
        """By whose rules a schema for the answer is written."""
        return GOOGLE

    def _auth(self, key: Sealed | None) -> Mapping[str, Sealed]:
        return self._key_header(key, "x-goog-api-key")


def resource(model_id: str) -> str:
    """The name of a model in an address. Raises `ValueError` for an id that would change the address."""
    if not can_stand_in_address(model_id):
        raise ValueError(f"model: expected an id that can stand in an address, got {model_id!r:.80}")
    return model_id if model_id.startswith(("models/", "tunedModels/")) else f"models/{model_id}"
