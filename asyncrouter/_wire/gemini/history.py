"""Says what of an assistant's message Google can read: its own parts as they came, of others what everybody reads.

A signature is bound to the model, the key and the route that made it. It goes back to the same provider and model with
the part it stood on; anywhere else the part goes without it. If the caller has changed what the message says, the
caller's words count, and no kept part is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.conversation import Media, Other, Text, Thought, ToolUse
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.gemini.parts import SIGNATURE, is_picture
from asyncrouter._wire.origin import read_origin, same_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import Part
    from asyncrouter._wire.origin import Origin

_GOOGLES = "extra_content"
"""The field of a part that holds what is Google's own (its page "OpenAI compatibility")."""


def readable_parts(target: Origin, path: str, message: Message, parts: list[Part]) -> list[Part]:
    """The parts that go out to `target`: no thoughts, and signatures only where they were made."""
    origin = read_origin(message)
    if origin is None or (
        (origin.host, origin.provider) == (target.host, target.provider) and same_model(origin.model, target.model)
    ):
        kept = _kept_parts(path, message, parts)
        found = parts if kept is None else kept
    else:
        found = [_unsigned(part) for part in parts]
    return [part for part in found if not isinstance(part, Thought)]


def _unsigned(part: Part) -> Part:
    if isinstance(part, Text | Media | ToolUse):
        part.rest = {name: value for name, value in part.rest.items() if name != _GOOGLES}
    return part


def _kept_parts(path: str, message: Message, parts: Sequence[Part]) -> list[Part] | None:
    """The parts as they came; `None` if none are kept, or if the message says something else by now."""
    kept = message.get("content_parts")
    if not isinstance(kept, list) or not all(isinstance(part, dict) for part in kept):
        return None
    uses = [part for part in parts if isinstance(part, ToolUse)]
    own = [object_in(part, "functionCall") for part in kept if "functionCall" in part]
    if [(use.name, use.arguments) for use in uses] != [(call.get("name"), object_in(call, "args")) for call in own]:
        return None
    said = "".join(part.text for part in parts if isinstance(part, Text))
    if said != "".join(text for part in kept if isinstance(text := part.get("text"), str) and not part.get("thought")):
        return None
    calls = iter(uses)
    return [_kept_part(f"{path}.content_parts[{index}]", part, calls) for index, part in enumerate(kept)]


def _kept_part(path: str, part: Message, uses: Iterator[ToolUse]) -> Part:
    """A part as what it is; the tool calls have the ids by which their results are found."""
    google: Message = {"thought_signature": part[SIGNATURE]} if SIGNATURE in part else {}
    if "functionCall" in part:
        use = next(uses)
        if "id" in object_in(part, "functionCall"):
            google["function_call_id"] = object_in(part, "functionCall")["id"]
        return ToolUse(path, use.id, use.name, use.arguments, {_GOOGLES: {"google": google}})
    data = object_in(part, "inlineData")
    if part.keys() <= {"text", SIGNATURE} and isinstance(text := part.get("text"), str) and text:
        return Text(text, {_GOOGLES: {"google": google}})
    if is_picture(data) and part.keys() <= {"inlineData", SIGNATURE}:
        media_type, content = str(data["mimeType"]), str(data["data"])
        return Media(path, "image", media_type, content, rest={_GOOGLES: {"google": google}})
    return Other(path, part)
