"""Names under which people pass credentials: header fields, and parameters that would put a key into a request's body.

A key in a body, or in a header of every attempt, would go to every vendor of a chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-.\s]+")
"""Where a word of a name ends: `apiKey`, `api-key`, `api.key`."""
_PARAMETER: Final = re.compile(
    r"(?:.+_)?(?:api_?key|access_?key(?:_id)?|(?:client_|app_)?secret|secret_?(?:access_?)?key|subscription_?key"
    r"|authorization|bearer|(?:api|auth|access|ad|bearer|security|session|refresh|id|hf|hub|github|user)_?token"
    r"(?:_provider)?|password|passwd|passphrase|private_?key|service_account(?:_(?:info|json|key))?|jwt|cookies?"
    r"|credentials?)|key|token|auth"
)
"""A parameter, its words joined by "_", that is a credential in every library that has it."""
_HEADER: Final = re.compile(
    r"(?:.+_)?(?:authorization|auth|api_?key|apikey|access_?key|secret(?:_key)?|subscription_?key|password"
    r"|cookie|jwt|(?:api|auth|access|bearer|security|session|refresh|id)_?token|token|credentials?)"
)
"""The same for a header field: `Authorization`, `x-goog-api-key`, `Ocp-Apim-Subscription-Key`, `Cookie` …"""
_KEY_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Header fields in which a provider reads its key: OpenAI's and most others', Anthropic's, Azure's, Gemini's."""
_VALUE: Final = re.compile(
    r"(?:bearer|basic|token|apikey) |sk-|(?:gsk|hf|xai|pplx|nvapi|csk|fw|tgp|r8|ghp|glpat|rk)[-_][a-z0-9]{12}"
    r"|AIza[\w-]{20}|AKIA[a-z0-9]{12}|eyJ[\w-]{8,2000}\.", re.IGNORECASE,
)
"""How a header field's value begins that is a credential, whatever the field is called: by a scheme, or as the keys of
providers do, or as a JSON web token."""
_KEY_RUN: Final = 16
"""Letters and digits without "_" between them that a key has at least; words of a name are shorter, or have no digit.
"""
_PREFIX: Final = re.compile(r"(?:sk|gsk|hf|xai|pplx|nvapi|csk|fw|tgp|r8|ghp|glm|key)_|AIza|AKIA|ABSK")
"""How keys of providers begin: OpenAI's and Stripe's like, Groq's, Hugging Face's, xAI's … (2026-11)."""
_DIGIT: Final = re.compile(r"[0-9]")
_SMALL: Final = re.compile(r"[a-z]")
_OF_HEADERS: Final = frozenset({"headers", "extra_headers", "default_headers"})
_OF_BODY: Final = re.compile(r"extra_body|\w*(?:params|kwargs|config|settings)")
"""Parameters of other libraries that hold header fields, or more parameters."""
_MIN_SECRET: Final = 7
"""Characters from which on a text is taken for a credential: shorter ones are words, and would be missed in messages.
"""
_REMEMBERED: Final = 1000
"""Names whose answer is kept."""
_LONGEST: Final = 200
"""Characters of a name that are looked at and kept: what makes a credential of it stands at its end."""


def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of this name holds a credential."""
    return _is_parameter(name[-_LONGEST:])


@lru_cache(_REMEMBERED)
def _is_parameter(name: str) -> bool:
    return _PARAMETER.fullmatch(_WORDS.sub("_", name).lower()) is not None


def is_secret_header(name: str) -> bool:
    """Whether a header field of this name holds a credential."""
    return _is_header(name[-_LONGEST:])


@lru_cache(_REMEMBERED)
def _is_header(name: str) -> bool:
    return _HEADER.fullmatch(_WORDS.sub("_", name).lower()) is not None


def is_key_like(name: str) -> bool:
    """Whether what should be the name of an environment variable looks like a key itself."""
    return any(
        len(run) >= _KEY_RUN and (_PREFIX.match(name) or (_DIGIT.search(run) and _SMALL.search(run)))
        for run in name.split("_")
    )


def is_secret_value(value: str) -> bool:
    """Whether the value of a header field is a credential by its form."""
    return _VALUE.match(value) is not None


def is_key_header(name: str) -> bool:
    """Whether a header field of this name brings the key for a model's provider."""
    return name.lower() in _KEY_HEADERS


def secret_in(params: Mapping[str, object]) -> str:
    """The path of a credential among parameters, "" if there is none.

    Tools are not searched: what a tool's server wants to see stands there on purpose.
    """
    for name, value in params.items():
        if not isinstance(name, str):
            continue
        if is_secret_parameter(name):
            return name
        if isinstance(value, Mapping) and (name in _OF_HEADERS or _OF_BODY.fullmatch(name[-_LONGEST:])):
            inner = _secret_header_in(value) if name in _OF_HEADERS else secret_in(value)
            if inner:
                return f"{name}.{inner}"
    return ""


def _secret_header_in(headers: Mapping[str, object]) -> str:
    return next((name for name in headers if isinstance(name, str) and is_secret_header(name)), "")


def secret_texts(params: object) -> list[str]:
    """The texts among parameters, however deep and also in tools, that stand under the name of a credential."""
    found: list[str] = []
    seen: set[tuple[int, bool]] = set()  # a list may contain itself
    left: list[tuple[object, bool]] = [(params, False)]
    while left:
        value, is_secret = left.pop()
        if isinstance(value, str):
            if is_secret and len(value) >= _MIN_SECRET:
                found += [value, value.partition(" ")[2]]
        elif (id(value), is_secret) not in seen:
            seen.add((id(value), is_secret))
            if isinstance(value, Mapping):
                left += [(inner, isinstance(name, str) and _is_credential(name)) for name, inner in value.items()]
            elif isinstance(value, list | tuple):
                left += [(inner, is_secret) for inner in value]
    return [text for text in found if len(text) >= _MIN_SECRET]


def without_secrets(params: object, outer: frozenset[int] = frozenset()) -> object:
    """The same parameters for a person to see: with "***" for each text under the name of a credential.

    `outer` are the ids of what they stand in: "…" is shown for what contains itself.
    """
    if id(params) in outer:
        return "…"
    within = outer | {id(params)}
    if isinstance(params, Mapping):
        return {
            name: (_hidden if isinstance(name, str) and _is_credential(name) else without_secrets)(value, within)
            for name, value in params.items()
        }
    return [without_secrets(value, within) for value in params] if isinstance(params, list | tuple) else params


def _hidden(value: object, outer: frozenset[int]) -> object:
    if isinstance(value, str):
        return "***"
    if isinstance(value, list | tuple) and id(value) not in outer:
        return [_hidden(inner, outer | {id(value)}) for inner in value]
    return without_secrets(value, outer)


def _is_credential(name: str) -> bool:
    return is_secret_parameter(name) or is_secret_header(name)
