"""Acts of the simulated world in the shapes that people have met in the field, and the bytes that they give."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from asyncrouter import ConnectionFailed
from asyncrouter.sim import Act
from tests.helpers.decoding import JSON, SSE
from tests.helpers.simulated import wire_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim import Clock, World

TOOLS = [{"name": name, "arguments": {"at": at}} for name, at in (("look", "sky"), ("see", "sea"))]
TEXT = "Zö 😀!"
LABELS: Mapping[str, Mapping[str, str]] = {"as_text": {"content-type": "text/plain"}, "as_json": JSON}
ANSWERS = {
    "text": Act(text=TEXT, reasoning="hm"),
    "calls": Act(tool_calls=TOOLS),
    "text and calls": Act(text=TEXT, tool_calls=TOOLS[:1]),
    "unknown end": Act(text=TEXT, finish_reason="sunset"),
    "as_text": Act(text=TEXT, sse=("as_text",)),
    "as_json": Act(text=TEXT, sse=("as_json",)),
    "one_body": Act(text=TEXT, sse=("one_body",)),
}
PICTURES = {"picture": Act(text="", pictures=1), "pictures": Act(text="see", pictures=2)}
CHAT_ANSWERS = {
    "whole_message": Act(text=TEXT, tool_calls=TOOLS, sse=("whole_message",)),
    "usage_in_choice": Act(text=TEXT, sse=("usage_in_choice",), style="openrouter"),
    "blank_envelope": Act(text=TEXT, sse=("blank_envelope",), style="openrouter"),
    "calls_at_zero": Act(tool_calls=TOOLS, sse=("calls_at_zero",)),
    "calls_at_zero, no_ids": Act(tool_calls=TOOLS, sse=("calls_at_zero", "no_ids")),
    "repeated_names": Act(tool_calls=TOOLS, sse=("repeated_names",)),
    "empty_ids": Act(tool_calls=TOOLS, sse=("empty_ids",)),
    "no_ids": Act(tool_calls=TOOLS, sse=("no_ids",)),
    "placeholder_call": Act(tool_calls=TOOLS, sse=("placeholder_call",)),
    "surrogates": Act(text=TEXT, sse=("surrogates",)),
}
NO_ANSWERS = {
    "interrupted": Act(text=TEXT, fault="interrupted", at="end"),
    "interrupted early": Act(text=TEXT, fault="interrupted", at=1),
    "early_end": Act(text=TEXT, fault="early_end", at=0),
    "thoughts_only": Act(text=TEXT, fault="thoughts_only"),
    "thoughts at the limit": Act(text=TEXT, fault="thoughts_only", finish_reason="length"),
    "bad_arguments": Act(text=TEXT, fault="bad_arguments"),
    "bad_arguments of two": Act(fault="bad_arguments", tool_calls=TOOLS),
}
NUMBERS = {
    f"{style} {why}": Act(style=style, why=why, fault="error")  # type: ignore[arg-type]
    for style, why in product(("minimax", "zhipu"), ("credit", "rate_limit", "key"))
}


def body_of(world: World, clock: Clock, act: Act, wire: str, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
    """The content type and the bytes that an act gives, up to its cut if it has one."""
    world.model("m", act)

    async def scenario() -> bytes:
        response, body = await world.transport().send(wire_request(wire, stream=stream)), b""
        try:
            while data := await response.read():
                body += data
        except ConnectionFailed:
            response.close()
        return body

    label = next((LABELS[oddity] for oddity in act.sse if oddity in LABELS), SSE)
    return label if stream else JSON, clock.run(scenario())
