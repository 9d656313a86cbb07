"""Shapes that people have met in the field, cut after each of their bytes and closed as if that were all."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AttemptError, ConnectionFailed
from asyncrouter.sim import WIRES, Act, Clock, World
from tests.helpers import anthropic_fixtures, gemini_fixtures, openai_fixtures, responses_fixtures
from tests.helpers.decoding import JSON, SSE, decode, decode_cuts
from tests.helpers.simulated import wire_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.api import Decoder, Wire

WIRE_OF: Mapping[str, Wire] = {
    "openai": openai_fixtures.WIRE, "responses": responses_fixtures.WIRE, "anthropic": anthropic_fixtures.WIRE,
    "gemini": gemini_fixtures.WIRE,
}
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


def said(decoder: Decoder) -> tuple[object, ...]:
    """What a caller reads, without the ids, which may be made up, and the usage, which may come after the end."""
    reply, message = decoder.reply, decoder.reply.raw["choices"][0]["message"]  # type: ignore[index]
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls]
    return reply.text, reply.reasoning, calls, reply.finish_reason, message.get("images")


def successes(wire: str, headers: Mapping[str, str], body: bytes) -> list[tuple[int, tuple[object, ...]]]:
    """The lengths at which a cut body is a success, with what is read then. Every other one is an attempt's error."""
    found = []
    for length, decoder in decode_cuts(WIRE_OF[wire], headers, body):
        error = decoder.close()
        if error is None:
            found.append((length, said(decoder)))
        else:
            assert isinstance(error, AttemptError)
    return found


CASES = [
    *product(WIRES, ANSWERS.items()), *product(("openai", "responses", "gemini"), PICTURES.items()),
    *product(("openai",), CHAT_ANSWERS.items()),
]


@pytest.mark.parametrize("stream", [True, False], ids=["events", "body"])
@pytest.mark.parametrize(("wire", "case"), CASES, ids=[f"{wire}-{name}" for wire, (name, _) in CASES])
def test_a_cut_answer_is_whole_or_an_error(
    world: World, clock: Clock, wire: str, case: tuple[str, Act], stream: bool
) -> None:
    """An answer that is cut is a success only where all of it has come."""
    headers, body = body_of(world, clock, case[1], wire, stream=stream)
    whole = decode(WIRE_OF[wire], headers, body)
    found = successes(wire, headers, body)

    assert whole.close() is None
    assert [read for _, read in found] == [said(whole)] * len(found)
    assert [length for length, _ in found] == [*range(found[0][0], len(body) + 1)]


BAD = [*product(WIRES, NO_ANSWERS.items()), *product(("openai",), NUMBERS.items())]


@pytest.mark.parametrize("stream", [True, False], ids=["events", "body"])
@pytest.mark.parametrize(("wire", "case"), BAD, ids=[f"{wire}-{name}" for wire, (name, _) in BAD])
def test_what_is_no_answer_is_none_wherever_it_is_cut(
    world: World, clock: Clock, wire: str, case: tuple[str, Act], stream: bool
) -> None:
    """Interruptions, thoughts alone, calls that cannot be read and errors in a success never succeed."""
    headers, body = body_of(world, clock, case[1], wire, stream=stream)

    assert successes(wire, headers, body) == []
