"""What pydantic's validation leaves as iterators, read to the end."""

from __future__ import annotations

from collections.abc import Iterator


def read_iterators(value: object) -> object:
    """The value with lists in the place of iterators; their items are validated only when they are read."""
    if isinstance(value, dict):
        return {name: read_iterators(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [read_iterators(inner) for inner in value]
    return value
