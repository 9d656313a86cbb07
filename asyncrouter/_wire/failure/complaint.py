"""Reads which parameter of a request a provider refuses, from the words of its error.

Vendors name it in a field (`param`), in a path (`body.top_k`), or in the message alone; what they want instead, if
anything, is always in the message. Only a complaint about the parameter itself counts ("unsupported", "unknown", "extra
inputs"), or about a value together with those that are taken. A value that is merely wrong is the caller's mistake: it
says nothing about the next request.

Prompts are echoed in messages, so only their beginnings are looked at, where the provider's own words stand.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_LOOKED_AT: Final = 300
"""Characters of a message in which the provider's own words are looked for."""

_NAME: Final = r"[`'\"]?#?/?(?P<name>[A-Za-z_][\w.\[\]/-]*)[`'\"]?"

_QUOTED: Final = r"[`'\"](?P<name>[A-Za-z_][\w.\[\]-]*)[`'\"]"

_NAMED: Final = tuple(
    re.compile(pattern.replace("NAME", _NAME).replace("QUOTED", _QUOTED), re.IGNORECASE)
    for pattern in (
        r"unsupported param(?:eter)?s?:? NAME",  # OpenAI, llama.cpp
        r"unknown (?:param(?:eter)?|name|field|key|property)s?:? NAME",  # OpenAI, Google, Go, serde
        r"unrecognized request arguments? supplied: NAME",  # OpenAI
        r"unsupported value: NAME does not support",  # OpenAI
        r"not supported(?: on this model| by this model)?: NAME",  # xAI
        r"(?:does not support|unsupported) (?:the )?(?:parameter|argument|field|option) NAME",  # xAI
        r"extraneous key \[NAME\]",  # Bedrock
        r"additional properties are not allowed \(NAME",  # JSON Schema
        r"'loc': \('body', NAME\), 'msg': 'extra inputs",  # vLLM
        r"extra inputs are not permitted, field: NAME",  # Fireworks
        r"NAME: extra inputs are not permitted",  # Anthropic, pydantic, Azure
        r"property QUOTED is unsupported",  # Groq
        r"invalid NAME: only .{1,20} is allowed",  # Moonshot
        r"(?:parameter|argument|field|option) NAME (?:is|are) (?:not (?:supported|allowed|permitted)|unsupported)",
        r"QUOTED (?:is|are) (?:not (?:supported|allowed|permitted|available)|unsupported|deprecated)",  # Anthropic
        r"^NAME (?:is|are) (?:not (?:supported|allowed|permitted)|unsupported|deprecated)",
    )
)
"""How a message names the parameter that is not taken."""

_ABOUT_ITSELF: Final = re.compile(
    r"unsupported|unknown|unrecognized|not supported|(?:does not|doesn't) support|not permitted|not allowed"
    r"|extra inputs|unexpected|deprecated|only the default|must be verified", re.IGNORECASE,
)
"""Words of a complaint about a parameter, and not about a value that happens to be wrong."""

_CODES: Final = frozenset({
    "unsupported_parameter", "unknown_parameter", "unsupported_value", "extra_forbidden", "invalid_parameter_error",
})
"""Codes of such complaints."""

_ALLOWED: Final = re.compile(
    r"supported values are:? (?P<quoted>[^.]*)|set \w+ to [`'\"](?P<one>\w+)[`'\"]|must be one of:? (?P<listed>[^.]*)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[`'\"]([\w-]+)[`'\"]")
_INSTEAD: Final = re.compile(r"\buse [`'\"]?([A-Za-z_]\w*)[`'\"]? instead", re.IGNORECASE)
_MOST: Final = re.compile(
    r"supports at most (\d+)|\b(?:less than or equal to|<=) [`'\"]?(\d+)|max_tokens: \d+ > (\d+)", re.IGNORECASE
)
"""The greatest value that is taken: OpenAI, Groq, Anthropic."""
_ABOUT_MESSAGES: Final = re.compile(r"[`'\"(]*messages[.\[]\d")
"""How Groq begins a complaint about a field of a message, which it names alone."""

_ABOUT_STRICT: Final = re.compile(
    r"compiled grammar is too large|too many strict tools|(?:optional parameters|union types?) .{0,80}strict",
    re.IGNORECASE,
)
"""What Anthropic says of strict tools that are too many together (alphaXiv/agents PR 49)."""

_BESIDE_TOOLS: Final = re.compile(r"(?:function )?tools with", re.IGNORECASE)
"""How OpenAI begins a complaint about an effort beside function tools."""


class Complaint(NamedTuple):
    """A parameter that is refused, as the provider names it, and what it takes instead."""

    name: str
    allowed: tuple[str, ...] = ()
    """The values that it takes, if it says so."""
    instead: str = ""
    """The parameter to use in place of it."""
    most: int | None = None
    """The greatest value that it takes."""
    with_tools: bool = False
    """Whether it is refused beside tools only."""


def read_complaint(message: str, param: str | None, code: str | None) -> Complaint | None:
    """What a provider complains about; `None` if it names no parameter, or only a value that is wrong.

    `param` is what the error has in its field of that name.
    """
    message = message[:_LOOKED_AT]
    most = next((int(value) for found in _MOST.finditer(message) for value in found.groups() if value), None)
    allowed = _allowed(message)
    if _ABOUT_MESSAGES.match(message):
        return None
    if _ABOUT_STRICT.search(message):
        return Complaint("tools.strict")
    name = param if param and (_ABOUT_ITSELF.search(message) or code in _CODES or allowed or most) else _named(message)
    if not name and most is not None and (limit := re.search(r"`?(max_(?:completion_)?tokens)\b", message)):
        name = limit[1]
    if not name:
        return None
    instead = _INSTEAD.search(message)
    beside_tools = len(allowed) == 1 and _BESIDE_TOOLS.match(message) is not None
    return Complaint(name, allowed, instead[1] if instead else "", most, beside_tools)


def _named(message: str) -> str:
    return next((found["name"] for pattern in _NAMED if (found := pattern.search(message))), "")


def _allowed(message: str) -> tuple[str, ...]:
    found = _ALLOWED.search(message)
    if found is None:
        return ()
    return (found["one"],) if found["one"] else tuple(_WORD.findall(found["quoted"] or found["listed"] or ""))
