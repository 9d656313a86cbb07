"""Shapes that people have met in the field, cut after each of their bytes and closed as if that were all."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AttemptError
from asyncrouter.sim import WIRES, Act, Clock, World
from tests.helpers import anthropic_fixtures, gemini_fixtures, openai_fixtures, responses_fixtures
from tests.helpers.decoding import decode, decode_cuts
from tests.helpers.field_shapes import ANSWERS, CHAT_ANSWERS, NO_ANSWERS, NUMBERS, PICTURES, body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.api import Decoder, Wire

WIRE_OF: Mapping[str, Wire] = {
    "openai": openai_fixtures.WIRE, "responses": responses_fixtures.WIRE, "anthropic": anthropic_fixtures.WIRE,
    "gemini": gemini_fixtures.WIRE,
}


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
