"""Which wire speaks to a provider. A wire's module is read when the first provider needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import ConfigError
from asyncrouter._wire.openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._catalog import Provider
    from asyncrouter._wire import Wire


def wire_for(provider: Provider, wall: Callable[[], float]) -> Wire:
    """The wire of this provider. Raises `ConfigError` for one that is not known."""
    match provider.wire:
        case "openai":
            return OpenAI(provider, wall)
        case "anthropic":
            from asyncrouter._wire.anthropic import Anthropic

            return Anthropic(provider, wall)
        case "gemini":
            from asyncrouter._wire.gemini import Gemini

            return Gemini(provider, wall)
    known = 'expected "openai" or "anthropic" or "gemini"'
    raise ConfigError(f"{known}, got {provider.wire!r}", f"providers.{provider.name}.wire", provider.wire)
