"""The `repr` of our dataclasses, and the default values that it leaves out."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields


class ShortRepr:
    """Base of dataclasses (with `repr=False`) whose `repr` leaves out fields that have their default values."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = [field for field in fields(self) if field.repr]  # type: ignore[arg-type]  # subclasses are dataclasses
        values = [(field, getattr(self, field.name)) for field in shown]
        text = ", ".join(f"{field.name}={value!r}" for field, value in values if value != default_of(field))
        return f"{type(self).__name__}({text})"


def default_of(field: Field[object]) -> object:
    """The value that a field has if none is given; `MISSING` if one must be."""
    return field.default if field.default_factory is MISSING else field.default_factory()
