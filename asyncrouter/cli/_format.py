"""Numbers as text: seconds, tokens, dollars. What is not known is a dash or a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter import Price


def seconds(value: float | None) -> str:
    """A limit in seconds; `None` is "none"."""
    return "none" if value is None else f"{value:g} s"


def tokens(value: int | None) -> str:
    """The size of a context window; `None` (unknown) is a dash."""
    return "–" if value is None else f"{value:,}"


def dollars_per_million(price: Price | None) -> tuple[str, str]:
    """Dollars for a million input and output tokens; dashes where they are not known."""
    return ("–", "–") if price is None else (f"{price.input:g}", f"{price.output:g}")


def count(number: int, thing: str) -> str:
    """A number of things: "1 row", "2 rows"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def dollars(value: float | None, *, estimated: bool = False) -> str:
    """What was paid: "$0.000012", "about $0.5" for an estimate, "cost unknown" for `None`."""
    if value is None:
        return "cost unknown"
    return f"{'about ' if estimated else ''}${value:.6f}".rstrip("0").rstrip(".") if value else "$0"
