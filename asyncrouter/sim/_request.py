"""What a request asks for, read from its URL and its body on each of the four wires."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Wire = Literal["openai", "responses", "anthropic", "gemini"]
"""The name of a wire."""
WIRES: tuple[Wire, ...] = ("openai", "responses", "anthropic", "gemini")
"""The wires a world understands: OpenAI's Chat Completions and Responses API, Anthropic's Messages, Google's
generateContent.
"""


class Route(NamedTuple):
    """The endpoint of a URL: its `wire`, `None` where no wire has it; `listing` is the list of models,
    `embeds` says that it answers with embeddings.

    `model` and `stream` are what the URL says, `None` where the body says it.
    """

    path: str
    wire: Wire | None = None
    model: str | None = None
    stream: bool | None = None
    listing: bool = False
    embeds: bool = False


@lru_cache(maxsize=1024)
def route(url: str) -> Route:
    """The endpoint of a URL."""
    path = urlsplit(url).path
    if path.endswith("/models"):
        return Route(path, "gemini" if "/v1beta/" in path else "openai", listing=True)
    if path.endswith("/chat/completions"):
        return Route(path, "openai")
    if path.endswith("/embeddings"):
        return Route(path, "openai", embeds=True)
    if path.endswith("/responses"):
        return Route(path, "responses")
    if path.endswith("/messages"):
        return Route(path, "anthropic")
    resource, colon, method = path.rpartition(":")
    if colon and method in ("generateContent", "streamGenerateContent", "batchEmbedContents"):
        model = unquote(resource.partition("/models/")[2] or resource.rpartition("/")[2])
        return Route(
            path, "gemini", model, method == "streamGenerateContent", embeds=method == "batchEmbedContents"
        )
    return Route(path)


def max_answer_tokens(wire: Wire, body: Mapping[str, object]) -> int | None:
    """The limit that a request sets to its answer, in tokens; `None` without one."""
    if wire == "gemini":
        config = body.get("generationConfig")
        found = config.get("maxOutputTokens") if isinstance(config, dict) else None
    elif wire == "responses":
        found = body.get("max_output_tokens")
    else:
        found = body.get("max_completion_tokens", body.get("max_tokens"))
    return found if isinstance(found, int) else None


def prompt_text(body: Mapping[str, object]) -> str:
    """All text of the prompt, the system's included, one line for each part."""
    texts: list[str] = []
    for name in ("system", "systemInstruction", "instructions", "messages", "contents", "input", "requests", "content"):
        if name in body:
            _gather(body[name], texts)
    return "\n".join(texts)


def prompt_tokens(body: Mapping[str, object]) -> int:
    """The length of the prompt: one token for each word, at least one."""
    return len(prompt_text(body).split()) or 1


def _gather(part: object, texts: list[str]) -> None:
    if isinstance(part, str):
        texts.append(part)
    elif isinstance(part, list):
        for item in part:
            _gather(item, texts)
    elif isinstance(part, dict):
        for name in ("content", "parts", "text", "output"):
            if name in part:
                _gather(part[name], texts)
