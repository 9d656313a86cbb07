"""The value of an answer as plain JSON, for whoever writes it down."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass


def to_json(value: object) -> object:
    """A checked value as JSON has it: objects, lists, texts, numbers. What came of a JSON schema stays as it is."""
    if value is None:
        return None
    try:
        from pydantic_core import to_jsonable_python  # a class was checked with it; a JSON schema needs none of it
    except ImportError:
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    plain: object = to_jsonable_python(value)
    return plain
