"""How many texts one request for embeddings may hold, by host; and how an error says that there were too many."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from asyncrouter._errors import BadReply, ContextTooLong, Rejected

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError


class BatchLimits(NamedTuple):
    """The most that one request may hold: texts, and tokens of all its texts together."""

    texts: int
    tokens: float


OPENAI: Final = BatchLimits(2048, 300_000)
"""OpenAI's and Azure's limits (API reference, "Create embeddings"). Servers whose limits are not known get no more."""
GEMINI: Final = BatchLimits(100, 300_000)
"""Google's limit: "at most 100 requests can be in one batch"; of tokens it says nothing."""
MISTRAL: Final = BatchLimits(512, 16_384)
"""Mistral's: error 3210 from 513 texts on; "Too many tokens in batch. Max is 16384"."""
COHERE: Final = BatchLimits(96, 300_000)
"""Cohere's (API reference, "Embed"); of tokens it says nothing."""

_BY_HOST: Final = {
    "generativelanguage.googleapis.com": GEMINI, "api.mistral.ai": MISTRAL, "api.cohere.com": COHERE,
    "api.cohere.ai": COHERE,
}
_TOO_MANY: Final = re.compile(
    r"\bbatch(?:\b|_)|\bbatches\b|too many (?:inputs|tokens|texts|items)|array too long|maximum request size"
    r"|tokens per request|(?:number of (?:inputs|texts)|inputs?|texts) must (?:be|have) (?:at most|less|no more)",
    re.IGNORECASE,
)
"""How hosts say that a request holds too many texts, or too many tokens in all of them: OpenAI ("maximum request size
is 300000 tokens per request", "array too long"), Google, Mistral, Cohere, text-embeddings-inference, DashScope."""
_ONE_TEXT: Final = re.compile(r"\binput\[\d+\]|\btexts?\[\d+\]|\binput at index \d+|physical batch size", re.IGNORECASE)
"""How hosts say which text of a request is the wrong one; a "physical batch" is one text of llama.cpp's."""
_TOO_LARGE: Final = 413
"""The status of a request that is too large."""
_OF_A_WRONG_REQUEST: Final = frozenset({400, 413, 422})
_LOOKED_AT: Final = 500
"""Characters of a message that are looked at: texts are echoed further behind."""


def limits_of(base_url: str, wire: str) -> BatchLimits:
    """The limits of the server at this address."""
    return GEMINI if wire == "gemini" else _BY_HOST.get(urlsplit(base_url).hostname or "", OPENAI)


def about_the_batch(error: AttemptError) -> bool:
    """Whether a request was refused for how many texts it holds, so that any larger one would be, too."""
    if not isinstance(error, Rejected | ContextTooLong) or error.status not in _OF_A_WRONG_REQUEST:
        return False
    message = error.message[:_LOOKED_AT]
    return error.status == _TOO_LARGE or (_ONE_TEXT.search(message) is None and _TOO_MANY.search(message) is not None)


def may_fit_in_two(error: AttemptError) -> bool:
    """Whether the same texts may be taken in two requests."""
    if isinstance(error, BadReply):
        return error.scope == "call"  # the answer was larger than `max_response_bytes`
    if isinstance(error, ContextTooLong):
        return _ONE_TEXT.search(error.message[:_LOOKED_AT]) is None
    return about_the_batch(error)
