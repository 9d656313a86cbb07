"""Simulated embeddings on OpenAI's and Google's wires: the same text gets the same vector from the same model.

Shapes: OpenAI's API reference, "Create embeddings"; ai.google.dev, "batchEmbedContents".
"""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from functools import lru_cache
from hashlib import shake_128
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._gemini import GeminiEncoder
from asyncrouter.sim._openai import OpenAIEncoder
from asyncrouter.sim._request import prompt_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim._encoder import Encoder, Piece
    from asyncrouter.sim._request import Wire

_BYTES = 4
"""Bytes of a 32-bit float, and of the whole number that one is made of."""


class OpenAIVectors(OpenAIEncoder):
    """Encodes the answer to `POST /embeddings`."""

    def body(self, count: int | None = None) -> bytes:
        """The vectors as one JSON body; with a `count`, the error that struck."""
        return self.error_body() if count is not None else orjson.dumps(self._vectors())

    def text_body(self, text: bytes) -> bytes:
        """A body with these bytes in the place of a vector."""
        return b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":"' + text + b'"}]}'

    def _pieces(self) -> Sequence[Piece]:
        return ()

    def _vectors(self) -> Mapping[str, object]:
        size, packed = _size(self, "dimensions"), self._request_body.get("encoding_format") == "base64"
        vectors = [vector_of(self._model, text, size) for text in texts_in(self._request_body)]
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ]
        answer: dict[str, object] = {"object": "list", "data": data, "model": self._model}
        if self.act.usage is not False:
            answer["usage"] = self.usage() if self.act.usage is not True else self._counts()
        return answer

    def _counts(self) -> Mapping[str, object]:
        counts: dict[str, object] = {"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens}
        return counts if self.act.cost is None else {**counts, "cost": self.act.cost}


class GeminiVectors(GeminiEncoder):
    """Encodes the answer to `batchEmbedContents`."""

    def body(self, count: int | None = None) -> bytes:
        """The vectors as one JSON body; with a `count`, the error that struck."""
        return self.error_body() if count is not None else orjson.dumps(self._vectors())

    def text_body(self, text: bytes) -> bytes:
        """A body with these bytes in the place of a vector."""
        return b'{"embeddings":[{"values":"' + text + b'"}]}'

    def _pieces(self) -> Sequence[Piece]:
        return ()

    def _vectors(self) -> Mapping[str, object]:
        size = _size(self, "outputDimensionality")
        values = [{"values": vector_of(self._model, text, size)} for text in texts_in(self._request_body)]
        answer: dict[str, object] = {"embeddings": values}
        if self.act.usage is not False:
            given = self.act.usage
            tokens = {"promptTokenCount": self.prompt_tokens, "totalTokenCount": self.prompt_tokens}
            answer["usageMetadata"] = tokens if given is True else given
        return answer


EMBEDDERS: Mapping[Wire, type[Encoder]] = {"openai": OpenAIVectors, "gemini": GeminiVectors}
"""The encoder of each wire that has embeddings."""


def texts_in(body: Mapping[str, object]) -> list[str]:
    """The texts of a request for embeddings; one that is given in tokens is written as a list of numbers."""
    given = body.get("input", body.get("requests"))
    listed = given if isinstance(given, list) and not all(type(one) is int for one in given) else [given]
    return [one if isinstance(one, str) else _text_of(one) for one in listed]


def vector_of(model: str, text: str, size: int) -> list[float]:
    """The vector of a text by a model: `size` numbers drawn from the hash of both, of length 1."""
    return list(_vector(model, text, size))


@lru_cache(maxsize=1024)
def _vector(model: str, text: str, size: int) -> tuple[float, ...]:
    drawn = struct.unpack(f"<{size}i", shake_128(f"{model}\n{text}".encode()).digest(size * _BYTES))
    length = math.sqrt(sum(number * number for number in drawn)) or 1.0
    # Rounded to what 32 bits hold, so that both forms of an answer say the same.
    return struct.unpack(f"<{size}f", struct.pack(f"<{size}f", *(number / length for number in drawn)))


def _packed(vector: Sequence[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _text_of(given: object) -> str:
    """The text of one of Google's requests, or a list of tokens as JSON."""
    return prompt_text(given) if isinstance(given, dict) else orjson.dumps(given).decode()


def _size(encoder: Encoder, name: str) -> int:
    """The length of the vectors: as the request asks, or else as the act says."""
    body = encoder.request_body
    first = body.get("requests")
    asked = (first[0] if isinstance(first, list) and first and isinstance(first[0], dict) else body).get(name)
    return asked if isinstance(asked, int) and asked > 0 else encoder.act.dimensions
