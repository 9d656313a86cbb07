"""What vendors refuse in a request for embeddings: too many texts, too many tokens in all, empty texts.

Sources: OpenAI, "Create embeddings"; Mistral's error 3210; Google's `BatchEmbedContentsRequest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.sim._embeddings import texts_in
from asyncrouter.sim._strict.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim._request_log import LoggedRequest

_MOST_TEXTS = {"openai": 2048, "mistral": 512}
_MOST_TOKENS = {"openai": 300_000, "mistral": 16_384}
"""A word is a token here, as everywhere in a world."""
_GOOGLES_MOST = 100


def complaints(request: LoggedRequest) -> Iterator[Complaint]:
    """What is wrong with a request, in the vendor's words."""
    texts = texts_in(request.body)
    if request.wire == "gemini":
        if len(texts) > _GOOGLES_MOST:
            yield Complaint("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch")
        return
    host = request.strict if request.strict in _MOST_TEXTS else "openai"
    tokens, most = sum(len(text.split()) for text in texts), _MOST_TOKENS[host]
    if len(texts) > _MOST_TEXTS[host]:
        yield Complaint(
            "Too many inputs in request, split into more batches." if host == "mistral" else
            f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_TEXTS[host]}, but got an "
            f"array with length {len(texts)} instead.", "array_above_max_length", "input",
        )
    if tokens > most:
        yield Complaint(
            f"Too many tokens in batch. Max is {most} got {tokens}" if host == "mistral" else
            f"Invalid 'input': maximum request size is {most} tokens per request.", "max_tokens_per_request", "input",
        )
    if "" in texts:
        yield Complaint("Invalid 'input': input cannot be an empty string.", None, "input")
