"""Whether a provider's key is there, without ever looking at it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Provider


def variable(provider: Provider) -> str | None:
    """The environment variable that holds its key; `None` when it wants none, or has a function for it."""
    return provider.key.removeprefix("env:") if isinstance(provider.key, str) else None


def missing(provider: Provider) -> str | None:
    """What to say when its variable is not set, or is blank."""
    name = variable(provider)
    return f"{name} is not set" if name is not None and not os.environ.get(name, "").strip() else None
