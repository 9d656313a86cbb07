"""Forms of Chat Completions that hosts really send and that change nothing of the answer.

Sources: Moonshot (usage in the choice), Azure (a last chunk with an empty envelope), GoModel PR 1068 (the whole message
in the last chunk), unsloth#9807 (calls at index 0), hermes-agent#8259 (the name in each delta), vercel/ai#7834 (empty
ids), cc-switch PR 4158 (a placeholder after a good call).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.sim._encoder import Piece
    from asyncrouter.sim.act import Oddity

OF_DELTAS = frozenset({"calls_at_zero", "repeated_names", "empty_ids", "no_ids", "surrogates"})
"""The oddities that change the deltas of a stream."""
OF_CALLS = frozenset({"empty_ids", "no_ids", "placeholder_call"})
"""The oddities that change the calls of a whole message."""
BLANK_CHOICE = {"index": 0, "delta": {}, "finish_reason": None, "content_filter_offsets": {"check_offset": 1}}
"""The choice of a last chunk whose envelope is empty."""


def odd_deltas(piece: Piece, field: str, oddities: Sequence[Oddity]) -> list[bytes]:
    """The deltas of one content; `field` is the message's field for what is no tool call."""
    if piece.kind in ("call", "arguments"):
        return [orjson.dumps({"tool_calls": [_call_delta(piece, oddities)]})]
    if "surrogates" in oddities and any(ord(character) > 0xFFFF for character in piece.text):
        return [json.dumps({field: half}).encode() for half in _halves(piece.text)]
    return [orjson.dumps({field: piece.text})]


def odd_call(call: dict[str, object], oddities: Sequence[Oddity]) -> dict[str, object]:
    """A call as the host writes it: with an empty id, or with none."""
    if "no_ids" in oddities:
        return {name: value for name, value in call.items() if name != "id"}
    return call | {"id": ""} if "empty_ids" in oddities and "id" in call else call


def placeholder(index: int) -> dict[str, object]:
    """An empty call that follows the good ones."""
    return {"index": index, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}


def _call_delta(piece: Piece, oddities: Sequence[Oddity]) -> dict[str, object]:
    call: dict[str, object] = {"index": 0 if "calls_at_zero" in oddities else piece.call}
    if piece.kind == "call":
        call |= {"id": piece.id, "type": "function", "function": {"name": piece.name, "arguments": ""}}
        return odd_call(call, oddities)
    name = {"name": piece.name} if "repeated_names" in oddities else {}
    return call | {"function": {**name, "arguments": piece.text}}


def _halves(text: str) -> tuple[str, str]:
    """A text cut inside its first character of two UTF-16 units."""
    units = text.encode("utf-16-le")
    at = next(index for index, character in enumerate(text) if ord(character) > 0xFFFF)
    first = units[: 2 * at + 2].decode("utf-16-le", "surrogatepass")
    return first, units[2 * at + 2 :].decode("utf-16-le", "surrogatepass")
