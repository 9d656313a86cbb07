"""The parts of a call for embeddings: each is one request, within the limits of its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.tokens import message_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.embeddings.limits import BatchLimits


class Part(NamedTuple):
    """The texts of one request: those from `start` on, as messages."""

    start: int
    messages: Sequence[Message]

    def halves(self) -> list[Part]:
        """The same texts in two parts; there must be two or more."""
        half = len(self.messages) // 2
        return [Part(self.start, self.messages[:half]), Part(self.start + half, self.messages[half:])]


def split(part: Part, limits: BatchLimits) -> Iterator[Part]:
    """Split the texts of a part into parts within the limits, as long as they can be; their tokens are estimated."""
    start, tokens = 0, 0.0
    for index, message in enumerate(part.messages):
        size = message_tokens(message)
        if index > start and (index - start >= limits.texts or tokens + size > limits.tokens):
            yield Part(part.start + start, part.messages[start:index])
            start, tokens = index, 0.0
        tokens += size
    yield Part(part.start + start, part.messages[start:])
