"""The wire for embeddings as OpenAI has it: `POST /embeddings`, which most hosts have, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asyncrouter._wire.embeddings.base import EmbeddingsWire
from asyncrouter._wire.embeddings.decoder import FoundVectors
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.request_body import write_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call, Message

_PACKED: Final = ("api.openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
"""Hosts that are known to write vectors as base64, a quarter of the bytes, as OpenAI's own SDK asks them to."""


class OpenAIEmbeddings(EmbeddingsWire):
    """Embeddings at one provider."""

    __slots__ = ("_defaults", "_embeddings_url")

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        super().__init__(provider, wall)
        host = urlsplit(provider.base_url).hostname or ""
        self._embeddings_url = self._url("/embeddings")
        self._defaults: Message = {"encoding_format": "base64"} if host.endswith(_PACKED) else {}

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. Raises `TypeError` or `ValueError` that names what cannot be written."""
        given = {name: value for name, value in params.items() if value is not None}
        ours = {"model": model.id, "input": [message["content"] for message in call.messages]}
        body = self._finish({**ours, **self._defaults, **given, **ours}, model)
        return self._post(self._embeddings_url, call, write_body(body), key, stream=False, connect=connect)

    def _find(self, document: Message) -> FoundVectors | None:
        data = document.get("data")
        if not isinstance(data, list):
            return None
        entries = [entry if isinstance(entry, dict) else {} for entry in data]
        found = [entry.get("embedding") for entry in _in_order(entries)]
        return FoundVectors(found, document.get("model"), object_in(document, "usage") or None)


def _in_order(entries: list[Message]) -> list[Message]:
    """The entries by their index; as they stand where the indices are missing, or all alike, as some relays have them.
    """
    indices = [entry.get("index") for entry in entries]
    if len({repr(index) for index in indices}) == 1:
        return entries
    places = {index: entry for index, entry in zip(indices, entries, strict=True) if type(index) is int}
    if places.keys() != set(range(len(entries))):
        return []  # one is missing, and another stands there twice
    return [places[index] for index in range(len(entries))]
