"""How to break a router on purpose: a register of mutants, and a way to replace one function."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MUTANTS: dict[str, Callable[[], Any]] = {}
"""Context managers, by what they do wrong."""


def mutant(function: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Register a mutant under its name, which no other one has."""
    assert function.__name__ not in MUTANTS, function.__name__
    MUTANTS[function.__name__] = contextmanager(function)
    return function


def around(where: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Replace a function by what `make` makes of it."""
    return patch.object(where, name, make(getattr(where, name)))
