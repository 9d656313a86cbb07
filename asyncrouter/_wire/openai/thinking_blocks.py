"""Joins the pieces in which LiteLLM's proxy streams `thinking_blocks`: Anthropic's signed thoughts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class ThinkingBlocks:
    """The blocks of one choice so far.

    A thought comes in pieces, each a block with a piece of the text, and the signature stands in the last of them
    (BerriAI/litellm#29428). Anthropic takes back only the whole thought with its signature. So a signature ends a
    thought, and everything before it is joined; blocks of other kinds come in one piece.
    """

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[tuple[object, list[str]]] = []  # each with the pieces of its text

    def __repr__(self) -> str:
        return f"<ThinkingBlocks {len(self._blocks)}>"

    def add(self, blocks: Sequence[object]) -> None:
        """Add the blocks of one delta, or of a whole message."""
        for block in blocks:
            if isinstance(block, dict) and block.get("type") == "thinking":
                self._add_piece(block)
            else:
                self._blocks.append((block, []))

    def joined(self) -> list[object]:
        """The blocks as a message of an unstreamed answer has them."""
        return [
            {**block, "thinking": "".join(pieces)} if pieces and isinstance(block, dict) else block
            for block, pieces in self._blocks
        ]

    def _add_piece(self, block: Message) -> None:
        held, pieces = self._blocks[-1] if self._blocks else (None, [])
        if not isinstance(held, dict) or held.get("type") != "thinking" or held.get("signature"):
            held, pieces = {}, []
            self._blocks.append((held, pieces))
        held.update((name, value) for name, value in block.items() if value or name not in held)
        if isinstance(piece := block.get("thinking"), str):
            pieces.append(piece)
