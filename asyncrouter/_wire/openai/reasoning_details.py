"""Joins the pieces in which a stream brings OpenRouter's `reasoning_details`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._types import Message

_TEXT_FIELDS: Mapping[str, str] = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""The field that holds the text of a detail, by the detail's type. Details of other types come in one piece."""


class ReasoningDetails:
    """The details of one choice so far.

    Only the last piece of a thought has its signature, and Anthropic turns down a conversation with a thought that has
    none: the details can go back in a later request only if they are whole again.
    """

    __slots__ = ("_details",)

    def __init__(self) -> None:
        self._details: list[tuple[object, list[str]]] = []  # each with the pieces of its text

    def __repr__(self) -> str:
        return f"<ReasoningDetails {len(self._details)}>"

    def add(self, details: Sequence[object]) -> None:
        """Add the details of one delta."""
        for detail in details:
            text_field = _TEXT_FIELDS.get(str(detail.get("type"))) if isinstance(detail, dict) else None
            if isinstance(detail, dict) and text_field is not None:
                self._add_piece(detail, text_field)
            else:
                self._details.append((detail, []))

    def joined(self) -> list[object]:
        """The details as a message of an unstreamed answer has them."""
        return [
            {**detail, _TEXT_FIELDS[detail["type"]]: "".join(pieces)} if pieces and isinstance(detail, dict) else detail
            for detail, pieces in self._details
        ]

    def _add_piece(self, detail: Message, text_field: str) -> None:
        held, pieces = self._details[-1] if self._details else (None, [])
        if not isinstance(held, dict) or any(held.get(name) != detail.get(name) for name in ("type", "index")):
            held, pieces = {}, []
            self._details.append((held, pieces))
        held.update((name, value) for name, value in detail.items() if value is not None or name not in held)
        if isinstance(piece := detail.get(text_field), str):
            pieces.append(piece)
