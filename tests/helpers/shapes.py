"""Shapes of answers that the tests of structured answers share, and answers that fit them or do not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from pydantic import BaseModel

GOOD = '{"number": "A-1", "lines": [{"amount": 3}]}'
BAD = '{"number": "A-1", "lines": [{"amount": "3"}]}'


class Line(BaseModel):
    amount: int


class Invoice(BaseModel):
    number: str
    lines: list[Line]


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Film(TypedDict):
    title: str


class Shelf(TypedDict):
    owner: str
    films: NotRequired[list[Film]]


INVOICE: dict[str, Any] = {
    "title": "Invoice",
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"amount": {"type": "integer"}},
                                             "required": ["amount"]}},
    },
    "required": ["number", "lines"],
}
ENVELOPE = {"type": "json_schema", "json_schema": {"name": "invoice", "schema": INVOICE}}

MISFITS = {
    "wrong type": (BAD, "lines[0].amount"),
    "missing": ('{"lines": []}', None),  # pydantic names the field, jsonschema the object
    "boolean for a number": (GOOD.replace("3", "true"), "lines[0].amount"),
    "null": (GOOD.replace("3", "null"), "lines[0].amount"),
    "no object": ("[]", ""),
    "text": ("The number is A-1.", ""),
    "text around": (f"Here it is:\n```json\n{GOOD}\n```", ""),
    "two values": (f"{GOOD}\n{GOOD}", ""),
    "two fences": (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", ""),
    "cut": (GOOD[:-4], ""),
    "NaN": (GOOD.replace("3", "NaN"), ""),
    "infinity": (GOOD.replace("3", "-Infinity"), ""),
    "too large": (GOOD.replace("3", "1e999"), ""),
    "a key twice": (GOOD.replace('"amount": 3', '"amount": 3, "amount": 4'), "lines[0].amount"),
    "half a surrogate": (GOOD.replace("A-1", "\\ud800"), ""),
    "single quotes": (GOOD.replace('"', "'"), ""),
    "a comma too many": (GOOD.replace("}]}", "}],}"), ""),
    "a comment": (f"{GOOD} // done", ""),
    "endless": ("[" * 5000, ""),
}
"""Answers that are no invoice, and where they are none."""

FITS = {
    "plain": GOOD,
    "fenced": f"```json\n{GOOD}\n```",
    "fenced without a language": f"\n```\n{GOOD}\n```\n",
    "fenced on one line": f"```{GOOD}```",
    "byte order mark": f"\ufeff{GOOD}\n",
    "indented": json.dumps(json.loads(GOOD), indent=2),
    "thoughts before it": f'<think>Is it {{"number": 1}}?</think>\n{GOOD}',
    "the end of thoughts before it": f"Hm.</think>\n```json\n{GOOD}\n```",
}
"""Answers that are the invoice."""
