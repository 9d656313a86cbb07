"""The base of records whose pickles outlive changes of their fields."""

from __future__ import annotations

from dataclasses import MISSING, fields


class OlderPickles:
    """A dataclass with slots whose older pickles can be loaded: what they do not have gets its default."""

    __slots__ = ()

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        """Set the fields to pickled values, by name."""
        _, values = state
        for one in fields(self):  # type: ignore[arg-type]  # its heirs are dataclasses
            default = one.default if one.default_factory is MISSING else one.default_factory()
            setattr(self, one.name, values.get(one.name, default))
