"""How providers are told which requests belong to one session, so that their prompt cache serves them.

Each knows another field; what it gets is a hash of the session, keyed by the provider's name: the same for every
process, nothing of what the caller has called it, and another one at another provider. A provider that is not listed is
told nothing. Sources: OpenAI, "Prompt caching" (also Azure); OpenRouter, "Prompt caching" (`session_id`, at most 256
characters); xAI, "Maximizing cache hits" (a header for Chat Completions); Fireworks, session affinity.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from asyncrouter._config.catalog import base_name

OWN_FIELDS: Final = ("prompt_cache_key", "session_id")
"""Fields by which a caller says it itself: then nothing is added."""


class SessionFields(NamedTuple):
    """The fields of a provider: of the body of Chat Completions and of Responses, and a header of Chat Completions."""

    chat: str | None = None
    responses: str | None = None
    header: str | None = None


NONE: Final = SessionFields()
"""Of a provider that knows none."""
_HOSTS: Final = (
    (re.compile(r"(?:[a-z]+\.)?api\.openai\.com"), SessionFields("prompt_cache_key", "prompt_cache_key")),
    (
        re.compile(r".+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com"),
        SessionFields("prompt_cache_key", "prompt_cache_key"),
    ),
    (re.compile(r"openrouter\.ai"), SessionFields("session_id", "session_id")),
    (re.compile(r"(?:.+\.)?api\.x\.ai"), SessionFields(None, "prompt_cache_key", "x-grok-conv-id")),
    (re.compile(r"api\.fireworks\.ai"), SessionFields("prompt_cache_key", None, "x-session-affinity")),
)


def session_fields(base_url: str) -> SessionFields:
    """The fields of the provider at this address."""
    host = urlsplit(base_url).hostname or ""
    return next((fields for pattern, fields in _HOSTS if pattern.fullmatch(host)), NONE)


def session_key(session: str, provider: str) -> str:
    """What a provider is told of a session: 32 hexadecimal digits."""
    key = base_name(provider).encode()[:64]
    return blake2b(session.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()


def put_session(body: dict[str, object], field: str | None, session: str, provider: str) -> None:
    """Tell the provider of the session, unless the caller has done so."""
    if field is not None and not any(name in body for name in OWN_FIELDS):
        body[field] = session_key(session, provider)
