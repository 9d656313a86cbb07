"""How a record is shown: what was set, not what is as it always is."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields


class ShortRepr:
    """A dataclass (with `repr=False`) whose `repr` leaves out the fields that have their defaults."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = [field for field in fields(self) if field.repr]  # type: ignore[arg-type]  # its heirs are dataclasses
        values = [(field, getattr(self, field.name)) for field in shown]
        told = ", ".join(f"{field.name}={value!r}" for field, value in values if value != default_of(field))
        return f"{type(self).__name__}({told})"


def default_of(field: Field[object]) -> object:
    """The value a field has when none is given."""
    return field.default if field.default_factory is MISSING else field.default_factory()
