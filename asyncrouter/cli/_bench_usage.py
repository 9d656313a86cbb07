"""Turns what `asyncrouter.bench` raises into usage errors, and reads seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from asyncrouter import ConfigError, visible

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

NATURAL, COUNT = click.IntRange(min=0), click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)


def checked(make: Callable[[], T]) -> T:
    """What `make` returns; a `ValueError` or a missing package in it is a `click.UsageError` with the same message."""
    try:
        return make()
    except ConfigError:  # a `ValueError` too, but it has a message of its own
        raise
    except (ValueError, ModuleNotFoundError) as wrong:
        raise click.UsageError(visible(str(wrong), lines=True)) from None


def parse_seconds(option: str, text: str) -> float:
    """2.0 of "2", "2s" or "2000ms". Raises `click.UsageError` with the name of the option."""
    number, scale = (text.removesuffix("ms"), 1000.0) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        return float(number) / scale
    except ValueError:
        raise click.UsageError(f"{option}: expected seconds, got {text!r}") from None
