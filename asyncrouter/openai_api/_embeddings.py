"""A request for embeddings, as a call of `Router.embed`, and its vectors as OpenAI writes them."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any, Final

import orjson

from asyncrouter.openai_api._answer import JSON, Answer, cost_field, summary
from asyncrouter.openai_api._failure import DO_NOT_RETRY, Problem

if TYPE_CHECKING:
    from asyncrouter import Embeddings, Router

_BASE64: Final = "base64"
"""The format that OpenAI's own clients ask for: numbers of 32 bits, little-endian, in base64."""


async def answer(router: Router, fields: dict[str, Any], options: dict[str, Any]) -> Answer:
    """Make the vectors. `fields` are those of the body without `model`; the rest of them goes to the provider."""
    given, encoding = fields.pop("input", None), fields.pop("encoding_format", None) or "float"
    if encoding not in {"float", _BASE64}:
        raise Problem(400, 'encoding_format: expected "float" or "base64"', param="encoding_format")
    options.pop("session", None)  # texts of embeddings meet no prompt cache
    if "tier" in options:
        raise Problem(400, "model: embeddings are made by one model, or a task of one", param="model")
    if isinstance(given, list) and given and all(type(one) is int for one in given):
        given = [given]  # the tokens of one text
    if not isinstance(given, str | list) or not given:
        raise Problem(400, "input: expected a text, or a list of texts", param="input")
    vectors = await router.embed(given, params=fields, **options)
    headers = {"content-type": JSON, **DO_NOT_RETRY, **summary(vectors.trace, vectors.model)}
    body = orjson.dumps(_document(vectors, encoded=encoding == _BASE64))
    return Answer(200, headers | cost_field(vectors.trace), body, vectors.trace)


def _document(vectors: Embeddings, *, encoded: bool) -> dict[str, Any]:
    tokens = 0 if vectors.usage is None else vectors.usage.input_tokens
    return {
        "object": "list", "model": vectors.served_model or vectors.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode(vector) if encoded else vector}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _encode(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers).decode()
