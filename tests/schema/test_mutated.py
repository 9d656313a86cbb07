"""Answers damaged at random: each is the value that an independent judge finds in it, or is not accepted.

The judge shares nothing with the library: the standard library's JSON, and plain code for each shape. More of them:
`python -m tests.schema.test_mutated 1000000`.
"""

from __future__ import annotations

import json
import re
import sys
from random import Random
from typing import Any

from asyncrouter import NotAccepted
from asyncrouter.schema import read_shape, to_json
from tests.helpers.shapes import GOOD, INVOICE, Invoice

PIECES = [
    '"', "{", "}", "[", "]", ",", ":", " ", "\n", "\\", "3", "3.0", "-0", "1e2", "1e999", "NaN", "Infinity", "null",
    "true", "false", '"3"', '"amount"', '"number"', '"lines"', "```", "```json\n", "\ufeff", "\x00", "\\ud800",
    "\\u0041", "é", "//", "{}", "[]", '{"amount": 3}', GOOD, "Here it is: ", "0x1", "03", "3.", ".5", "+3", "'", "\t",
]
FENCE = re.compile(r"```(?:json)?(.*)```", re.DOTALL | re.IGNORECASE)


def mutated(random: Random) -> str:
    """The good answer with some changes."""
    text = GOOD
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(text) + 1)
        until = min(len(text), at + random.choice((0, 0, 1, 1, 2, 5, 12)))
        text = text[:at] + random.choice(["", *PIECES]) + text[until:]
    return f"```json\n{text}\n```" if random.random() < 0.1 else text


def judged(text: str) -> Any:
    """The invoice in a text, `None` if there is none."""
    text = text.strip("\ufeff \t\r\n")
    if (fence := FENCE.fullmatch(text)) is not None:
        text = fence[1].strip()
    faults: list[object] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            faults.append(found)
        return dict(found)

    def number(text: str) -> float:
        if abs(value := float(text)) == float("inf"):
            faults.append(text)
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=faults.append, parse_float=number)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return None
    return value if not faults and _is_invoice(value) else None


def _is_invoice(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("number")) is str and type(value.get("lines")) is list and all(
        isinstance(line, dict) and _is_whole(line.get("amount")) for line in value["lines"]
    )


def _is_whole(value: object) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


def compare(seed: int) -> str:
    """Damage an answer, and compare what comes of it; what kind it was."""
    text = mutated(Random(seed))
    expected = judged(text)
    try:
        by_schema = read_shape(INVOICE).parse(text)
    except NotAccepted:
        by_schema = None
    assert by_schema == expected, (seed, text)
    try:
        by_class = to_json(read_shape(Invoice).parse(text))
    except NotAccepted:
        by_class = None
    if by_class is not None:  # stricter: 3.0 is no int of Python's; and what the class does not name is left out
        assert expected is not None, (seed, text)
        assert by_class["number"] == expected["number"], (seed, text)  # type: ignore[index]
        lines = [{"amount": line["amount"]} for line in expected["lines"]]
        assert by_class["lines"] == lines, (seed, text)  # type: ignore[index]
    elif expected is not None:
        assert any(type(line["amount"]) is float for line in expected["lines"]), (seed, text)
    return "valid" if expected is not None else "failed"


def test_damaged_answers() -> None:
    """None is given out as another value than it has, and none that fits is turned down."""
    kinds = [compare(seed) for seed in range(600)]

    assert 20 < kinds.count("valid") < 580


if __name__ == "__main__":
    counts = {"valid": 0, "failed": 0}
    for seed in range(int(sys.argv[1])):
        counts[compare(seed)] += 1
    print(counts)  # noqa: T201
