"""What a request says and asks for, in the words of each of the three wires."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Wire = Literal["openai", "anthropic", "gemini"]
WIRES: tuple[Wire, ...] = ("openai", "anthropic", "gemini")


class Route(NamedTuple):
    """Where a URL leads. `model` and `stream` are `None` where the body says them."""

    path: str
    wire: Wire | None = None
    model: str | None = None
    stream: bool | None = None
    listing: bool = False


@lru_cache(maxsize=1024)
def route(url: str) -> Route:
    """Whose language is spoken at this URL, and to which model; no wire: nobody's."""
    path = urlsplit(url).path
    if path.endswith("/models"):
        return Route(path, "gemini" if "/v1beta/" in path else "openai", listing=True)
    if path.endswith("/chat/completions"):
        return Route(path, "openai")
    if path.endswith("/messages"):
        return Route(path, "anthropic")
    place, colon, method = path.rpartition(":")
    if colon and method in ("generateContent", "streamGenerateContent"):
        model = unquote(place.partition("/models/")[2] or place.rpartition("/")[2])
        return Route(path, "gemini", model, method == "streamGenerateContent")
    return Route(path)


def most_tokens(wire: Wire, body: Mapping[str, object]) -> int | None:
    """How many tokens the answer may have at most."""
    if wire == "gemini":
        config = body.get("generationConfig")
        found = config.get("maxOutputTokens") if isinstance(config, dict) else None
    else:
        found = body.get("max_completion_tokens", body.get("max_tokens"))
    return found if isinstance(found, int) else None


def said(body: Mapping[str, object]) -> str:
    """All the words of the prompt."""
    words: list[str] = []
    for name in ("system", "systemInstruction", "messages", "contents"):
        if name in body:
            _gather(body[name], words)
    return "\n".join(words)


def prompt_tokens(body: Mapping[str, object]) -> int:
    """The prompt's length, a token for each word; at least one."""
    return len(said(body).split()) or 1


def _gather(part: object, words: list[str]) -> None:
    if isinstance(part, str):
        words.append(part)
    elif isinstance(part, list):
        for item in part:
            _gather(item, words)
    elif isinstance(part, dict):
        for name in ("content", "parts", "text"):
            if name in part:
                _gather(part[name], words)
