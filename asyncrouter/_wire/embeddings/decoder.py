"""Decodes the answer to one request for embeddings: as many vectors as it had texts, whole and in their order.

How it works. `feed()` only collects bytes, and `close()` reads them once, because half an answer is none. A wire gives
a function that finds the vectors in its vendor's document. Here they are checked, for a wrong vector would be found by
nobody: there is one for each text, all have the same length (that which was asked for), and each number is one.
"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.decoding.first_bytes import without_lead
from asyncrouter._wire.decoding.not_an_answer import bare_error, no_answer
from asyncrouter._wire.decoding.weight import LIGHT_BYTES, TOO_HEAVY, weight
from asyncrouter._wire.fields import cost_in
from asyncrouter._wire.openai.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.failure.classify import Classifier

_MOST_DIMENSIONS: Final = 20_000
"""Numbers of one vector: the largest models have 12,288."""
_BYTES_OF_A_FLOAT: Final = 4
"""Vectors in base64 are 32-bit floats, the lowest byte first (OpenAI)."""


@dataclass(slots=True, repr=False)
class VectorsReply(Reply):
    """The answer to one request for embeddings. `vectors` has one for each text, in the order of the texts."""

    vectors: list[list[float]] = field(default_factory=list, repr=False)


class FoundVectors(NamedTuple):
    """What a vendor's document holds: the vectors, as they stand there, the model's name and the usage."""

    vectors: Sequence[object]
    served_model: object
    usage: Message | None


class VectorsDecoder:
    """Decodes one body. Implements `Decoder`; `find` finds the vectors in a document, `None` where there are none.

    `texts` is how many there were, `dimensions` the length that was asked for, `None` for the model's own.
    """

    __slots__ = (
        "_body", "_classifier", "_closed", "_dimensions", "_error", "_find", "_reply", "_request_id", "_texts",
        "_weight", "characters", "content", "cost_usd", "done", "skipped",
    )

    def __init__(
        self, find: Callable[[Message], FoundVectors | None], classifier: Classifier, texts: int,
        dimensions: int | None, request_id: str | None, told_cost: float | None,
    ) -> None:
        self._find = find
        self._classifier = classifier
        self._texts = texts
        self._dimensions = dimensions
        self._request_id = request_id
        self._body = bytearray()
        self._weight = -1  # of a body that is large; -1: it has not been weighed
        self._closed = False
        self._error: AttemptError | None = None
        self._reply = VectorsReply()
        self.content = self.characters = 0
        self.cost_usd = told_cost
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<VectorsDecoder {len(self._body)} bytes>"

    @property
    def reply(self) -> Reply:
        """The answer so far: empty until it is whole."""
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Collect the next bytes."""
        if self._closed or self.done:
            return
        self._body += data
        if len(self._body) > LIGHT_BYTES:
            self._weigh(data)

    def _weigh(self, data: bytes) -> None:
        """Give up a body that would become too many objects, as soon as that shows."""
        self._weight = weight(self._body) if self._weight < 0 else self._weight + weight(data)
        if self._weight > (self._texts + 1) * _MOST_DIMENSIONS:
            self._error = BadReply(TOO_HEAVY)
            self._body.clear()
            self.done = True

    def would_be_whole(self) -> bool:
        """A document is judged when it is whole."""
        return False

    def close(self) -> AttemptError | None:
        """Read the body: `None` if it is a whole answer, else the error. The first call decides."""
        if not self._closed:
            self._closed = True
            self._error = self._error or self._read(self._body)
            if self._error is not None and self._error.request_id is None:
                self._error.request_id = self._request_id
            self._body = bytearray()
        return self._error

    def final(self) -> Chunk:
        """The last chunk, which nobody reads: embeddings are not streamed."""
        return Chunk(finish_reason="stop", usage=self._reply.usage)

    def _read(self, body: bytearray) -> AttemptError | None:
        if not body.startswith(b"{"):  # a byte order mark, or blanks
            body = bytearray(without_lead(bytes(body)))
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return no_answer(body, "not whole JSON")
        if isinstance(document, dict) and (document.get("error") or bare_error(document)):
            return self._classifier.document_error(bare_error(document) or document, self._request_id)
        found = self._find(document) if isinstance(document, dict) else None
        return no_answer(body, "no embeddings") if found is None else self._keep(found)

    def _keep(self, found: FoundVectors) -> AttemptError | None:
        self._reply.usage = read_usage(found.usage)
        if isinstance(found.served_model, str) and found.served_model:
            self._reply.served_model = found.served_model
        if (stated := cost_in(found.usage)) is not None:
            self.cost_usd = stated
        if len(found.vectors) != self._texts:
            return BadReply(f"{len(found.vectors)} embeddings for {self._texts} texts")
        vectors: list[list[float]] = []
        for index, given in enumerate(found.vectors):
            if (vector := _numbers(given)) is None:
                return BadReply(f"embedding {index} is no list of numbers")
            wanted = self._dimensions or (len(vectors[0]) if vectors else len(vector))
            if len(vector) != wanted:
                return BadReply(f"embedding {index} has {len(vector)} dimensions instead of {wanted}")
            vectors.append(vector)
        self._reply.vectors = vectors
        self.content = self.characters = 1
        return None


def _numbers(given: object) -> list[float] | None:
    """A vector: a list of finite numbers, or base64 of floats; `None` for anything else."""
    vector = _unpacked(given) if isinstance(given, str) else given
    if not isinstance(vector, list) or not vector:
        return None
    try:
        return vector if math.isfinite(sum(vector)) else None
    except (TypeError, OverflowError):  # a null where a server had NaN, text, a list
        return None


def _unpacked(text: str) -> list[float] | None:
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    if len(data) % _BYTES_OF_A_FLOAT:
        return None
    floats = array("f", data)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
