"""Numbers as people read them: seconds, tokens, dollars; what is not known is a dash or a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Price


def seconds(value: float | None) -> str:
    """A limit."""
    return "none" if value is None else f"{value:g} s"


def tokens(value: int | None) -> str:
    """A window."""
    return "–" if value is None else f"{value:,}"


def dollars_per_million(price: Price | None) -> tuple[str, str]:
    """What a million tokens in, and out, cost."""
    return ("–", "–") if price is None else (f"{price.input:g}", f"{price.output:g}")


def count(number: int, thing: str) -> str:
    """So many of a thing."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def dollars(value: float | None, *, estimated: bool = False) -> str:
    """What was paid."""
    if value is None:
        return "cost unknown"
    return f"{'about ' if estimated else ''}${value:.6f}".rstrip("0").rstrip(".") if value else "$0"
