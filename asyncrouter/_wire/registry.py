"""Finds the wire for a provider; imports a wire's module when the first provider needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import ConfigError
from asyncrouter._wire.openai.wire import OpenAI

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.catalog import Provider
    from asyncrouter._wire.api import Wire
    from asyncrouter._wire.embeddings.base import EmbeddingsWire


def wire_for(provider: Provider, wall: Callable[[], float]) -> Wire:
    """A new wire for this provider; `wall` is the wall clock. Raises `ConfigError` for a wire that does not exist."""
    match provider.wire:
        case "auto":
            from asyncrouter._wire.auto import OpenAIOrResponses

            return OpenAIOrResponses(provider, wall)
        case "openai":
            return OpenAI(provider, wall)
        case "responses":
            from asyncrouter._wire.responses.wire import Responses

            return Responses(provider, wall)
        case "anthropic":
            from asyncrouter._wire.anthropic.wire import Anthropic

            return Anthropic(provider, wall)
        case "gemini":
            from asyncrouter._wire.gemini.wire import Gemini

            return Gemini(provider, wall)
    known = 'expected "auto" or "openai" or "responses" or "anthropic" or "gemini"'
    raise ConfigError(f"{known}, got {provider.wire!r}", f"providers.{provider.name}.wire", provider.wire)


def embeddings_for(provider: Provider, wall: Callable[[], float]) -> EmbeddingsWire:
    """A new wire for the embeddings of this provider, which must not be one of Anthropic's: that has none."""
    if provider.wire == "gemini":
        from asyncrouter._wire.embeddings.gemini import GeminiEmbeddings

        return GeminiEmbeddings(provider, wall)
    from asyncrouter._wire.embeddings.openai import OpenAIEmbeddings

    return OpenAIEmbeddings(provider, wall)
