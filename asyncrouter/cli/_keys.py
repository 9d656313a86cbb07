"""Whether the key of a provider is set; the key itself is never read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Provider


def key_variables(provider: Provider) -> list[str]:
    """The environment variables that hold its keys; none when it needs no key, or has a function for it."""
    return [key.removeprefix("env:") for key in provider.keys if isinstance(key, str)]


def key_problem(provider: Provider) -> str | None:
    """That a variable is not set or blank, or holds what cannot be sent, as a message; `None` when all is well."""
    return "; ".join(problem for name in key_variables(provider) if (problem := _problem(name))) or None


def _problem(name: str) -> str | None:
    key = os.environ.get(name, "").strip()
    if key.isascii() and key.isprintable() and key:
        return None
    return f"the key in {name} has characters in it that cannot be sent" if key else f"{name} is not set"


def has_no_key(provider: Provider) -> bool:
    """Whether none of its keys could be used: then it cannot be asked."""
    return all(isinstance(key, str) and _problem(key.removeprefix("env:")) for key in provider.keys)
