"""Says what of an assistant's message Anthropic can read: its own blocks as they came, of others what everybody reads.

A thought is bound to the model that had it, and goes back to no other one; one without a signature is another vendor's.
Server blocks (searches, code that ran there) can be read by every Claude. A turn goes back block for block, because
thoughts are checked with what stands beside them; so does one that ended with `pause_turn`, which is how it goes on.
If the caller has changed what the message says, the caller's words count, and no kept block is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.families import family_of
from asyncrouter._wire.conversation import Media, Other, Text, Thought, ToolUse
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.origin import read_origin, same_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import Part
    from asyncrouter._wire.lost_thoughts import LostThoughts
    from asyncrouter._wire.origin import Origin

_SIGNED = {"thinking": "signature", "redacted_thinking": "data"}
"""The field that proves a thought to be Anthropic's, by the block's type."""


def readable_parts(
    target: Origin, lost: LostThoughts | None, path: str, message: Message, parts: list[Part]
) -> list[Part]:
    """The parts that go out to `target`, without `lost` thoughts.

    Pictures are left out: the API takes them from the user only.
    """
    blocks, thoughts = _what_is_read(message, target)
    kept = _kept_parts(path, message, parts) if blocks else None
    found = parts if kept is None else kept
    return [
        part for part in found
        if not isinstance(part, Media) and (not isinstance(part, Thought) or (thoughts and _is_read(part, lost)))
    ]


def is_server_block(part: Part) -> bool:
    """Whether it is a block of a tool that runs at Anthropic; a turn that ends with one goes on from there."""
    kind = part.part.get("type") if isinstance(part, Other) else None
    return isinstance(kind, str) and kind.endswith(("_tool_use", "_tool_result"))


def _what_is_read(message: Message, target: Origin) -> tuple[bool, bool]:
    """Whether the message's own blocks, and its thoughts, can be read at `target`."""
    origin = read_origin(message)
    if origin is None:
        return True, True
    blocks = origin.host == target.host or (_is_claude(origin.model) and _is_claude(target.model))
    return blocks, blocks and same_model(origin.model, target.model)


def _is_claude(model_id: str) -> bool:
    family = family_of(model_id)
    return family is not None and family.vendor == "anthropic"


def _is_read(thought: Thought, lost: LostThoughts | None) -> bool:
    return _is_signed(thought) and (lost is None or not lost.holds(thought.block))


def _is_signed(thought: Thought) -> bool:
    block = thought.block
    proof = block.get(_SIGNED.get(str(block.get("type")), ""))
    return isinstance(proof, str) and bool(proof) and isinstance(block.get("thinking", ""), str)


def _kept_parts(path: str, message: Message, parts: Sequence[Part]) -> list[Part] | None:
    """The blocks as they came; `None` if none are kept, or if the message says something else by now."""
    blocks = message.get("content_blocks")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return None
    uses = [part for part in parts if isinstance(part, ToolUse)]
    own = [block for block in blocks if block.get("type") == "tool_use"]
    if [(use.name, use.arguments) for use in uses] != [(block.get("name"), object_in(block, "input")) for block in own]:
        return None
    said = "".join(part.text for part in parts if isinstance(part, Text))
    if said != "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text"):
        return None
    ids = iter(uses)
    return [_kept_part(f"{path}.content_blocks[{index}]", block, ids) for index, block in enumerate(blocks)]


def _kept_part(path: str, block: Message, uses: Iterator[ToolUse]) -> Part:
    """A block as the part it is; the tool calls have the ids that go out."""
    kind = block.get("type")
    if str(kind) in _SIGNED:
        return Thought(path, block)
    rest = {name: value for name, value in block.items() if name not in {"type", "text", "id", "name", "input"}}
    if kind == "tool_use":
        use = next(uses)
        return ToolUse(path, use.id, use.name, use.arguments, {**use.rest, **rest})
    if kind == "text":
        return Text(str(block.get("text", "")), rest)
    return Other(path, block)
