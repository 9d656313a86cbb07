"""Rows for embeddings: lines of OpenAI's Batch API whose `url` is `/v1/embeddings`. Pure.

Their own `body.model` says which model they ask; options for all rows that belong to chats do not concern them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Embeddings

EMBEDDINGS = "/v1/embeddings"
"""The endpoint of such a row."""
NOT_EMBEDDED = frozenset({"first_token", "idle"})
"""Timeouts that `Router.embed` does not have: its answers come in one piece."""
_OPTIONS = ("deadline", "retry", "connect", "total", "priority", "tags", "headers")
"""The options for all rows that concern these, too."""


def embedding_call(
    body: Mapping[str, object], options: Mapping[str, object]
) -> tuple[list[object], dict[str, object]]:
    """The texts and the arguments of `Router.embed` that a body stands for. Raises `ValueError`."""
    given, model = body.get("input"), body.get("model", options.get("model"))
    if not isinstance(model, str):
        raise ValueError(f"body.model: expected a name, got {model!r:.60}")
    tokens = isinstance(given, list) and bool(given) and all(type(token) is int for token in given)
    texts = [given] if isinstance(given, str) or tokens else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str | list) and text for text in texts):
        raise ValueError(f"body.input: expected text or a list of texts, got {given!r:.60}")
    params = {name: value for name, value in body.items() if name not in {"model", "input"}}
    kept = {name: options[name] for name in _OPTIONS if name in options}
    return texts, {**kept, "model": model, **({"params": params} if params else {})}


def embedding_body(vectors: Embeddings) -> dict[str, object]:
    """The vectors as OpenAI's API writes them."""
    usage = vectors.usage
    counts = None if usage is None else {"prompt_tokens": usage.input_tokens, "total_tokens": usage.total_tokens}
    data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
    return {"object": "list", "data": data, "model": vectors.served_model or vectors.model, "usage": counts}
