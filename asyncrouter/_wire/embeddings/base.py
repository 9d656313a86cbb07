"""The base of the wires for embeddings: bound to one request, they know how many texts it has."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.base import BaseWire, told_cost
from asyncrouter._wire.embeddings.decoder import VectorsDecoder
from asyncrouter._wire.embeddings.limits import BatchLimits, about_the_batch, limits_of
from asyncrouter._wire.openai.answer import CompletionBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call, Message
    from asyncrouter._wire.api import Decoder, Wire
    from asyncrouter._wire.embeddings.decoder import FoundVectors

DIMENSIONS: Final = ("dimensions", "output_dimension", "outputDimensionality", "output_dimensionality")
"""The names that providers have for the length of a vector: OpenAI, Mistral and Voyage, Google."""


class EmbeddingsWire(BaseWire):
    """What the wires for embeddings share. `for_call` binds one to a request."""

    __slots__ = ("_limits", "_texts")

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        super().__init__(provider, wall, lambda: CompletionBuilder(wall()))
        self._texts = 0
        self._limits: dict[str, BatchLimits] = {}  # learned, by the id of the model

    def for_call(self, call: Call, model: Model, params: Mapping[str, object]) -> Wire:
        """The wire that carries this call."""
        bound = copy(self)
        bound._texts = len(call.messages)
        return bound  # type: ignore[return-value]  # each wire adds its own `encode`

    def limits(self, model: Model) -> BatchLimits:
        """The most that one request to this model may hold."""
        return self._limits.get(model.id) or limits_of(self._provider.base_url, self._provider.wire)

    def learn_limits(self, model: Model, error: AttemptError, texts: int) -> None:
        """Learn from a request with so many texts that was refused: the next ones hold half as many."""
        known = self.limits(model)
        if about_the_batch(error) and texts <= known.texts and len(self._limits) < MAX_NAMES:
            self._limits[model.id] = BatchLimits(max(1, texts // 2), known.tokens)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers."""
        asked = next((params[name] for name in DIMENSIONS if params.get(name) is not None), None)
        dimensions = asked if isinstance(asked, int) else None
        return VectorsDecoder(
            self._find, self._classifier, self._texts, dimensions, self.request_id(headers), told_cost(headers)
        )

    def adapt(self, model: Model, request: Request, error: AttemptError) -> str | None:
        """Nothing of a request is written otherwise: without one of its parameters the vectors would be others."""
        return None

    def _find(self, document: Message) -> FoundVectors | None:
        """The vectors in a document, `None` where there are none."""
        raise NotImplementedError
