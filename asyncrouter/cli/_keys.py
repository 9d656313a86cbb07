"""Whether the key of a provider is set; the key itself is never read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Provider


def key_variable(provider: Provider) -> str | None:
    """The environment variable that holds its key; `None` when it needs none, or has a function for it."""
    return provider.key.removeprefix("env:") if isinstance(provider.key, str) else None


def key_problem(provider: Provider) -> str | None:
    """That its variable is not set or blank, or holds what cannot be sent, as a message; `None` when all is well."""
    name = key_variable(provider)
    key = "" if name is None else os.environ.get(name, "").strip()
    if name is None or (key.isascii() and key.isprintable() and key):
        return None
    return f"the key in {name} has characters in it that cannot be sent" if key else f"{name} is not set"
