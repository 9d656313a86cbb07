"""The OpenAI wire: Chat Completions, as OpenAI, OpenRouter and most other hosts speak it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._http import Request
from asyncrouter._wire.body import write_body
from asyncrouter._wire.classify import Classifier
from asyncrouter._wire.document import DocumentDecoder
from asyncrouter._wire.events import EventDecoder
from asyncrouter._wire.told import excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._catalog import Model, Provider
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Call, Message
    from asyncrouter._wire import Decoder

_REQUEST_IDS = ("x-request-id", "x-generation-id", "request-id")  # OpenAI's kind, OpenRouter, Anthropic
_KEYS = 8  # keys whose headers are kept: one, or a few while a function rotates them


class OpenAI:
    """Chat Completions at one provider. Everything that is the same for every call is built once."""

    __slots__ = ("_classifier", "_headers", "_models_url", "_provider", "_url")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        base, query = provider.base_url.rstrip("/"), "?" + urlencode(provider.query) if provider.query else ""
        self._provider = provider
        self._url = f"{base}/chat/completions{query}"
        self._models_url = f"{base}/models{query}"
        self._classifier = Classifier(wall)
        self._headers: dict[tuple[str | None, bool], Mapping[str, str]] = {}

    def __repr__(self) -> str:
        return f"<OpenAI wire of {self._provider.name or self._provider.base_url}>"

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: str | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. Raises `TypeError`/`ValueError` that names what cannot be written."""
        body: dict[str, object] = {"model": model.id, "messages": call.messages}
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        drop = model.drop
        for name, value in params.items():
            if name not in drop:
                body.setdefault(name, value)
        headers = self._headers.get((key, stream)) or self._build_headers(key, stream)
        if call.headers:
            headers = lay_over(headers, call.headers)
        provider = self._provider
        return Request("POST", self._url, headers, write_body(body), connect, provider.proxy, provider.ca)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers."""
        streams = "event-stream" in headers.get("content-type", "").lower()
        return (EventDecoder if streams else DocumentDecoder)(self._classifier, params, self.request_id(headers))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptError:
        """What a response that is not 2xx means."""
        return self._classifier.failure(status, headers, body, self.request_id(headers))

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """The id under which the provider knows this request."""
        for name in _REQUEST_IDS:
            if name in headers:
                return headers[name]
        return None

    def list_models(self, key: str | None) -> Request:
        """The request that lists what the provider serves now."""
        headers = {name: value for name, value in self._build_headers(key, False).items() if name != "Content-Type"}
        return Request("GET", self._models_url, headers, b"", proxy=self._provider.proxy, ca=self._provider.ca)

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in `{"data": [{"id": …}]}`, or in a bare list (Together). Raises `BadReply`."""
        try:
            document: object = orjson.loads(body)
        except ValueError:
            document = None
        listed = document.get("data") if isinstance(document, dict) else document
        if not isinstance(listed, list):
            raise BadReply(f"no list of models: {one_line(excerpt(body))[:200]!r}")
        models: list[Message] = [model for model in listed if isinstance(model, dict)]
        return [model_id for model in models if isinstance(model_id := model.get("id"), str)]

    def _build_headers(self, key: str | None, stream: bool) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if stream else "application/json",
            "User-Agent": "asyncrouter",
        }
        if stream:
            # A compressor holds tokens back, and a gzip stream that is cut does not show it.
            headers["Accept-Encoding"] = "identity"
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if len(self._headers) >= _KEYS:
            self._headers.clear()
        built = self._headers[key, stream] = lay_over(headers, self._provider.headers)
        return built


def lay_over(headers: Mapping[str, str], over: Mapping[str, str]) -> Mapping[str, str]:
    """`over` on top of `headers`; names of headers know no case (RFC 9110, 5.1)."""
    named = {name.lower() for name in over}
    return {**{name: value for name, value in headers.items() if name.lower() not in named}, **over}
