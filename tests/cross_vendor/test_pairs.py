"""Each vendor's turn through each other vendor: 4 × 4 wires, five kinds of conversation, streamed and not."""

import json
from itertools import product

import pytest

from asyncrouter.sim import Clock
from tests.helpers.cross_vendor import PARAMS, VENDORS, converse

TABLE = """
first \\ second   chat         responses    anthropic    gemini
chat             T R F P S    T R F P S    T R F P S    T R F P S
responses        T R F P S    T R F P S    T R F P S    T R F P S
anthropic        T R F P S    T R F P S    T R F P S    T R F P S
gemini           T R F P S    T R F P S    T R F P S    T R F P S
"""
"""Whose answer goes to whom: T text, R thinking, F function tools, P pictures, S structured output."""
LETTERS = {"T": "text", "R": "thinking", "F": "tools", "P": "pictures", "S": "structured"}


def pairs() -> list[tuple[str, str, str]]:
    """The conversations of the table: first vendor, second vendor, feature."""
    head, *rows = [line.split() for line in TABLE.split("\n") if line]
    columns = head[3:]
    return [
        (first, columns[index // len(LETTERS)], LETTERS[letter])
        for first, *letters in rows for index, letter in enumerate(letters)
    ]


def test_the_table_is_complete() -> None:
    """The table has every vendor with every other and with itself, in every kind of conversation."""
    assert sorted(pairs()) == sorted(product(VENDORS, VENDORS, PARAMS))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("first", "second", "feature"), pairs())
def test_a_conversation_is_accepted_by_each_vendor(
    clock: Clock, first: str, second: str, feature: str, stream: bool
) -> None:
    """A conversation begun at one vendor goes on at another, and again at the first; none of them refuses it."""
    seen = converse(clock, first, second, feature, stream=stream)

    assert [request.status for request in seen] == [200, 200, 200]
    assert [request.model for request in seen] == [VENDORS[vendor][2] for vendor in (first, second, first)]


THOUGHTS = {"responses": "encrypted_content", "anthropic": "signature", "gemini": "thoughtSignature"}
"""The field in which each vendor proves that thoughts are its own."""


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("first", "second"), [pair for pair in product(THOUGHTS, VENDORS) if pair[0] != pair[1]])
def test_thoughts_go_back_to_their_vendor_alone(clock: Clock, first: str, second: str, stream: bool) -> None:
    """The second vendor sees none of the first one's thoughts, and the first one gets them back as they came."""
    [_, elsewhere, back] = converse(clock, first, second, "tools", stream=stream)
    own = [value for value in _values(back.body, THOUGHTS[first]) if value != "skip_thought_signature_validator"]

    assert len(own) == 1
    assert own[0] not in json.dumps(elsewhere.body)


def _values(document: object, name: str) -> list[object]:
    """Every value that a field of this name has anywhere in a document."""
    if isinstance(document, dict):
        return [found for key, value in document.items()
                for found in ([value] if key == name else _values(value, name))]
    return [found for item in document for found in _values(item, name)] if isinstance(document, list) else []
