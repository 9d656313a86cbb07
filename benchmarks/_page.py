"""The parts of the results page: tables, images, and the line that says how and when a section was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Document = dict[str, Any]
"""The content of a file of results."""


def interval(low: float, high: float, form: str) -> str:
    return f"{form.format(low)} – {form.format(high)}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def image(path: str, what: str) -> str:
    return f"![{what}]({path})"


def command(document: Document, text: str) -> str:
    """The command that measures a section again, and below it when and with what it was measured."""
    said = circumstances(document)
    return f"`{text}`" + (f"  \n<sub>{said}</sub>" if said else "")


def circumstances(document: Document) -> str:
    """When something was measured, and with which versions, as its file says."""
    parts = [str(document[key]) for key in ("date", "at", "python", "circumstances") if key in document]
    machine = document.get("machine", {})
    if isinstance(machine, dict):
        parts += [f"{name} {value}" for name, value in machine.items() if isinstance(value, str | int | float)]
    for versions in (document.get("versions"), document.get("peers")):
        parts += [f"{name} {value}" for name, value in (versions or {}).items() if value]
    return ", ".join(parts)
