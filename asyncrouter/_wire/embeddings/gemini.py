"""The wire for embeddings as Google's Gemini API has it: `batchEmbedContents`, one request in it for each text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.embeddings.base import EmbeddingsWire
from asyncrouter._wire.embeddings.decoder import FoundVectors
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.gemini.usage import write_counts
from asyncrouter._wire.gemini.wire import resource
from asyncrouter._wire.request_body import write_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Model
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call, Message

_NAMES: Final = {
    "dimensions": "outputDimensionality", "output_dimension": "outputDimensionality",
    "output_dimensionality": "outputDimensionality", "task_type": "taskType", "input_type": "taskType",
}
"""What this API calls the parameters of others."""
_LEFT_OUT: Final = frozenset({"encoding_format", "user"})
"""Parameters of OpenAI's that change nothing of a vector, and have no place here."""


class GeminiEmbeddings(EmbeddingsWire):
    """batchEmbedContents at one provider."""

    __slots__ = ()

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call. Raises `TypeError` or `ValueError` that names what cannot be written."""
        name = resource(model.id)
        settings: Message = {
            _NAMES.get(param, param): value for param, value in params.items()
            if value is not None and param not in _LEFT_OUT and param not in model.drop
        }
        requests = []
        for index, message in enumerate(call.messages):
            text = message["content"]
            if not isinstance(text, str):
                raise TypeError(f"texts[{index}]: this API takes text, not tokens")
            requests.append({**settings, "model": name, "content": {"parts": [{"text": text}]}})
        url = self._url(f"/{name}:batchEmbedContents")
        return self._post(url, call, write_body({"requests": requests}), key, stream=False, connect=connect)

    def _find(self, document: Message) -> FoundVectors | None:
        found = document.get("embeddings")
        if not isinstance(found, list):
            return None
        values = [entry.get("values") if isinstance(entry, dict) else None for entry in found]
        return FoundVectors(values, document.get("model"), write_counts(object_in(document, "usageMetadata")))

    def _auth(self, key: Sealed | None) -> Mapping[str, Sealed]:
        return self._key_header(key, "x-goog-api-key")
