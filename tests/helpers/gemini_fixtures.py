"""Answers of Google's generateContent, as ai.google.dev documents them and as issues have shown them.

Shapes: "API reference: Generating content" (GenerateContentResponse, Candidate, UsageMetadata, PromptFeedback),
"Thought signatures", "Function calling", "Troubleshooting"; the bare error inside a stream: google-genai's
`_api_client` and its issue python-genai#1897; quotas: google-gemini/gemini-cli#8437 and #10925.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.catalog import Provider
from asyncrouter._wire.gemini.wire import Gemini
from tests.helpers import decoding
from tests.helpers.decoding import JSON, SSE, decode

if TYPE_CHECKING:
    from asyncrouter._types import Chunk
    from asyncrouter._wire.api import Decoder

Json = dict[str, object]

PROVIDER = Provider(name="gemini", base_url="https://generativelanguage.googleapis.com/v1beta", wire="gemini")
WIRE = Gemini(PROVIDER, wall=lambda: 1_700_000_000.5)

sse = partial(decoding.sse, end=b"\r\n\r\n")
"""Server-sent events as Google writes them: with CRLF."""

ANSWER = {"responseId": "mAitaLmkHPPlz7IPvtfUqQ4", "modelVersion": "gemini-3.1-flash"}


def fragment(*parts: Json, finish: str | None = None, usage: Json | None = None, **beside: object) -> Json:
    """One GenerateContentResponse with one candidate."""
    candidate: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **beside}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **({"usageMetadata": usage} if usage else {}), **ANSWER}


def usage(prompt: int, candidates: int | None = None, **more: int) -> Json:
    """A `usageMetadata` with these counts and their total."""
    counts: Json = {"promptTokenCount": prompt, **more}
    if candidates is not None:
        counts["candidatesTokenCount"] = candidates
    numbers = (value for name, value in counts.items() if name != "cachedContentTokenCount")
    return {**counts, "totalTokenCount": sum(value for value in numbers if isinstance(value, int))}


TEXT = (
    fragment({"text": "One, tw"}, usage=usage(9)),
    fragment({"text": "o, thr\u00e9e \u2028"}, usage=usage(9, 4)),
    fragment({"text": " \U0001f600."}, finish="STOP", usage=usage(9, 7)),
)
THOUGHTS = (
    fragment({"text": "**Counting**\n", "thought": True}, usage=usage(5, thoughtsTokenCount=11)),
    fragment({"text": "There are three."}, usage=usage(5, 3, thoughtsTokenCount=20)),
    fragment(
        {"text": "", "thoughtSignature": "EpoBCpcB"}, finish="STOP",
        usage=usage(5, 4, thoughtsTokenCount=20, cachedContentTokenCount=2, toolUsePromptTokenCount=3),
    ),
)
CALLS = (
    fragment(
        {"functionCall": {"name": "weather", "args": {"city": "Ulm", "days": 2}}, "thoughtSignature": "CiQB4/H/"},
        {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}},
        usage=usage(40, 12),
    ),
    fragment({"functionCall": {"name": "now"}}, usage=usage(40, 18)),
    fragment({"text": ""}, finish="STOP", usage=usage(40, 20)),
)
NAMED_CALL = (
    fragment({"text": "Let me see."}),
    fragment(
        {"functionCall": {"id": "7xk2m9ab", "name": "weather", "args": {"city": "Ulm"}}, "thoughtSignature": "QUE="},
        finish="STOP", usage=usage(40, 12),
    ),
)
LENGTH = (
    fragment({"text": "One, tw"}, usage=usage(9)),
    fragment({"text": "o"}, finish="MAX_TOKENS", usage=usage(9, 4)),
)
FILTERED = (
    fragment({"text": "Once upon"}, usage=usage(9, 2)),
    {"candidates": [{
        "finishReason": "SAFETY", "index": 0,
        "safetyRatings": [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}],
    }], "usageMetadata": usage(9, 2), **ANSWER},
)
STREAMS = {
    "text": TEXT, "thoughts": THOUGHTS, "calls": CALLS, "named call": NAMED_CALL, "length": LENGTH,
    "filtered": FILTERED,
}

BLOCKED: Json = {
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
    "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
    **ANSWER,
}


def error(code: int, status: str, message: str = "m", *details: Json) -> Json:
    """A google.rpc.Status as Google's JSON APIs write it."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


RETRY: Json = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}


def quota(*ids: str) -> Json:
    """The detail that names the quotas which are exceeded."""
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violations = [{"quotaMetric": metric, "quotaId": identifier} for identifier in ids]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


OVERLOADED = error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
BARE_ERROR = orjson.dumps(OVERLOADED, option=orjson.OPT_INDENT_2)
"""The error as it breaks off a stream: lines of JSON without `data:`."""


def stream(*documents: object, chunks: list[Chunk] | None = None, **params: object) -> Decoder:
    """A decoder of a stream that was fed these fragments and closed; `params` are the request's."""
    return decode(WIRE, SSE, sse(*documents), params, chunks)


def body(document: object, **params: object) -> Decoder:
    """A decoder of a body that was fed this document and closed; `params` are the request's."""
    return decode(WIRE, JSON, document, params)
