"""What every wire has in common: a provider's address, headers that are built once, errors, the list of models."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._transport.api import Request
from asyncrouter._wire.failure.classify import Classifier
from asyncrouter._wire.failure.error_body import excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Provider
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Call

_REQUEST_IDS = ("x-request-id", "x-generation-id", "request-id")  # OpenAI's kind, OpenRouter, Anthropic
_KEYS = 8  # keys whose headers are kept: one, or a few while a function rotates them


class BaseWire:
    """One provider's address and headers. Everything that is the same for every call is built once."""

    __slots__ = ("_classifier", "_headers", "_provider")

    def __init__(self, provider: Provider, wall: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._classifier = Classifier(wall)
        self._headers: dict[tuple[str | None, bool], Mapping[str, str]] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wire of {self._provider.name or self._provider.base_url}>"

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
        return self._list(self._url("/models"), key)

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in `{"data": [{"id": …}]}`, or in a bare list (Together). Raises `BadReply`."""
        return listed(body, "data", "id")

    def _url(self, path: str, **query: str) -> str:
        """An address at this provider; its own query goes before ours."""
        query = {**self._provider.query, **query}
        return f"{self._provider.base_url.rstrip('/')}{path}{'?' + urlencode(query) if query else ''}"

    def _post(
        self, url: str, call: Call, body: bytes, key: str | None, *, stream: bool, connect: float | None
    ) -> Request:
        headers = self._headers.get((key, stream)) or self._build_headers(key, stream)
        if call.headers:
            headers = lay_over(headers, call.headers)
        return Request("POST", url, headers, body, connect, self._provider.proxy, self._provider.ca)

    def _list(self, url: str, key: str | None) -> Request:
        headers = {name: value for name, value in self._build_headers(key, False).items() if name != "Content-Type"}
        return Request("GET", url, headers, b"", proxy=self._provider.proxy, ca=self._provider.ca)

    def _auth(self, key: str | None) -> Mapping[str, str]:
        """The headers that say who asks, and in which version of the language."""
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def _build_headers(self, key: str | None, stream: bool) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if stream else "application/json",
            "User-Agent": "asyncrouter",
            **self._auth(key),
        }
        if stream:
            # A compressor holds tokens back, and a gzip stream that is cut does not show it.
            headers["Accept-Encoding"] = "identity"
        if len(self._headers) >= _KEYS:
            self._headers.clear()
        built = self._headers[key, stream] = lay_over(headers, self._provider.headers)
        return built


def listed(body: bytes, where: str, name: str) -> list[str]:
    """What the models are called in a list that stands under `where`, or alone. Raises `BadReply`."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        document = None
    models = document.get(where) if isinstance(document, dict) else document
    if not isinstance(models, list):
        raise BadReply(f"no list of models: {one_line(excerpt(body))[:200]!r}")
    return [told for model in models if isinstance(model, dict) and isinstance(told := model.get(name), str)]


def lay_over(headers: Mapping[str, str], over: Mapping[str, str]) -> Mapping[str, str]:
    """`over` on top of `headers`; names of headers know no case (RFC 9110, 5.1)."""
    named = {name.lower() for name in over}
    return {**{name: value for name, value in headers.items() if name.lower() not in named}, **over}
