"""The base of every record that can be pickled: its pickles outlive changes of its fields."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from asyncrouter._repr import default_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = dict[str, object]
    State = tuple[int, Values] | tuple[Values | None, Values] | list[object]
    """A version and values by field. In version 1: attributes and slots or, of a frozen class, values by position."""

VERSION = 2
"""The version that a pickled record carries.

Raise it when an older asyncrouter must not read what this one pickles. A new field alone is no reason: an older
asyncrouter drops it. Version 1 is what 0.1.0 pickled; it carries no number.
"""

FIELDS_1: Mapping[str, tuple[str, ...]] = {
    "Price": ("input", "output", "cached_input"),
    "Provider": ("name", "base_url", "wire", "key", "headers", "query", "proxy", "ca"),
    "Model": (
        "provider", "id", "name", "context", "max_output", "usd_per_mtok", "drop", "max_concurrent", "rpm", "tpm",
        "retired", "successor",
    ),
    "Retry": ("attempts", "base", "cap", "patience"),
    "Hedge": ("after", "budget", "cap", "same"),
    "Defaults": (
        "connect", "first_token", "idle", "total", "deadline", "retry", "hedge", "on_refusal", "breaker",
        "max_response_bytes", "wire_stream",
    ),
    "Step": (
        "connect", "first_token", "idle", "total", "retry", "on_refusal", "max_response_bytes", "wire_stream",
        "params", "model",
    ),
    "Chain": (
        "connect", "first_token", "idle", "total", "retry", "on_refusal", "max_response_bytes", "wire_stream",
        "params", "models", "hedge", "deadline",
    ),
    "Config": ("default_provider", "unknown_task", "providers", "models", "defaults", "tasks", "tiers"),
}
"""Fields of the frozen classes of 0.1.0, whose pickles hold their values in this order and no names."""


RENAMED = {"build_raw": "_build_raw"}
"""Fields of 0.1.0 that have another name now."""


class PickledByName:
    """A dataclass that is pickled with a version and the names of its fields.

    A field that the pickle does not have gets its default; what is no field any more is dropped. Loading raises
    `ValueError` for a pickle of a newer version.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        # dataclass() gives a frozen class with slots two methods that go by position, unless it has its own.
        for name in ("__getstate__", "__setstate__"):
            setattr(cls, name, getattr(cls, name))

    def __getstate__(self) -> tuple[int, Values]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # its heirs are dataclasses
        return VERSION, {**getattr(self, "__dict__", {}), **values}

    def __setstate__(self, state: State) -> None:
        values = _values(type(self).__name__, state)
        for field in fields(self):  # type: ignore[arg-type]  # as above
            value = values.pop(field.name) if field.name in values else default_of(field)
            object.__setattr__(self, field.name, value)  # it may be frozen
        getattr(self, "__dict__", {}).update(values)  # what somebody's own subclass has beside its fields


def _values(name: str, state: State) -> Values:
    """A record's values by field. Raises `ValueError`."""
    if isinstance(state, list):  # version 1 of a frozen class
        return dict(zip(FIELDS_1[name], state, strict=True))
    version, values = state
    if not isinstance(version, int):  # version 1
        return {RENAMED.get(name, name): value for name, value in {**(version or {}), **values}.items()}
    if version > VERSION:
        raise ValueError(
            f"this {name} was pickled in version {version} by a newer asyncrouter, and this one reads versions up to "
            f"{VERSION}: upgrade asyncrouter"
        )
    return {**values}
