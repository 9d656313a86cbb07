"""Which texts are answers: the value is right, or the answer is not accepted, with the place where it is wrong."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, field_validator

from asyncrouter import NotAccepted
from asyncrouter.schema import read_shape
from tests.helpers.shapes import ENVELOPE, FITS, GOOD, INVOICE, MISFITS, Film, Invoice, Line, Point, Shelf

SHAPES = [Invoice, INVOICE]
VALUE = Invoice(number="A-1", lines=[Line(amount=3)])


def fault(shape: object, text: str) -> NotAccepted:
    with pytest.raises(NotAccepted) as caught:
        read_shape(shape).parse(text)
    return caught.value


@pytest.mark.parametrize("text", FITS.values(), ids=FITS)
def test_what_fits(text: str) -> None:
    """One JSON value, alone or in one Markdown fence."""
    assert read_shape(Invoice).parse(text) == VALUE
    assert read_shape(INVOICE).parse(text) == json.loads(GOOD)


@pytest.mark.parametrize("shape", SHAPES, ids=["class", "schema"])
@pytest.mark.parametrize(("text", "path"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit(shape: object, text: str, path: str | None) -> None:
    """Nothing is guessed, and the error says where."""
    error = fault(shape, text)

    assert error.message.startswith(("the answer does not fit ", "the answer is no JSON: "))
    if path is not None:
        assert error.path == path


def test_the_reason_has_the_shape_the_place_and_the_value() -> None:
    """As much as one needs to see what went wrong, and no more of a long answer."""
    text = GOOD.replace("3", json.dumps("x" * 1000))

    assert fault(Invoice, GOOD.replace("3", '"3"')).message == (
        'the answer does not fit Invoice: lines[0].amount: Input should be a valid integer, got "3"')
    assert fault(INVOICE, GOOD.replace("3", '"3"')).message == (
        'the answer does not fit Invoice: lines[0].amount: expected integer, got "3"')
    assert [len(fault(shape, text).message) < 200 for shape in SHAPES] == [True, True]


def test_a_dataclass_and_a_typed_dict() -> None:
    """Their answers are instances, with the defaults of their fields."""
    assert read_shape(Point).parse('{"x": 1, "y": 2}') == Point(1, 2.0, [])
    assert read_shape(Shelf).parse('{"owner": "me", "films": [{"title": "M"}]}') == (
        {"owner": "me", "films": [{"title": "M"}]})
    assert read_shape(Film).parse('{"title": "M"}') == {"title": "M"}
    assert fault(Shelf, '{"owner": "me", "films": [{}]}').path == "films[0].title"
    assert fault(Point, '{"x": 1.5}').path == "x"


class Times(BaseModel):
    day: date | None = None
    at: datetime | None = None
    took: timedelta | None = None
    name: str = ""
    price: Decimal = Decimal(0)
    id: UUID | None = None
    ratio: float = 0.0
    done: bool = False


@pytest.mark.parametrize(("field", "given", "expected"), [
    ("day", "2026-11-30", date(2026, 11, 30)),
    ("at", "2026-11-30T10:00:00Z", datetime(2026, 11, 30, 10, tzinfo=UTC)),
    ("name", "2024", "2024"), ("price", "1.10", Decimal("1.10")), ("price", 1.1, Decimal("1.1")), ("ratio", 3, 3.0),
    ("id", "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
])
def test_values_that_json_has_no_type_for(field: str, given: object, expected: object) -> None:
    """Dates, decimals and ids are read from the texts that their formats have."""
    assert getattr(read_shape(Times).parse(json.dumps({field: given})), field) == expected


@pytest.mark.parametrize(("field", "given"), [
    ("day", 0), ("day", "0"), ("at", "2024"), ("at", 1700000000), ("at", "1700000000"), ("at", " 12.5 "),
    ("took", "3600"), ("ratio", "NaN"), ("ratio", "1"), ("ratio", True), ("price", "NaN"), ("price", True),
    ("done", "yes"), ("done", 1), ("name", 1), ("id", "x"),
])
def test_nothing_is_converted(field: str, given: object) -> None:
    """A number is no date, though pydantic would take it for seconds since 1970; a text is no number."""
    assert fault(Times, json.dumps({field: given})).path == field


class When(BaseModel):
    when: datetime | str
    years: list[str | date] = []


def test_a_text_of_digits_may_be_a_text() -> None:
    """Where a text would do as well as a time and pydantic takes it for one; never where it would make a time of it."""
    text = '{"when": "soon", "years": ["1999"]}'

    assert read_shape(When).parse(text) == When(when="soon", years=["1999"])
    assert fault(When, text.replace("soon", "2024")).path == "when"


class Cat(BaseModel):
    meow: int


class Dog(BaseModel):
    bark: int


class Owner(BaseModel):
    pet: Cat | Dog
    pets: dict[str, Cat] = {}


def test_the_path_leads_through_the_answer_alone() -> None:
    """It names no member of a union, and quotes keys that are no identifiers."""
    assert fault(Owner, '{"pet": {"meow": "x"}}').path in {"pet.meow", "pet.bark"}
    assert fault(Owner, '{"pet": {"meow": 1}, "pets": {"a b": {"meow": "x"}}}').path == 'pets["a b"].meow'


class Limited(BaseModel):
    name: str = Field(max_length=3)
    even: int = 0

    @field_validator("even")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value

    @field_validator("name")
    @classmethod
    def is_known(cls, value: str) -> str:
        return {"x": "X", "y": "Y"}[value]


def test_validators_of_a_class_hold() -> None:
    """A `ValueError` of theirs says no; anything else is a mistake in the class, and raised."""
    assert read_shape(Limited).parse('{"name": "x"}').name == "X"
    assert fault(Limited, '{"name": "long"}').path == "name"
    assert fault(Limited, '{"name": "x", "even": 1}').message.endswith("even: Value error, must be even, got 1")
    with pytest.raises(KeyError):
        read_shape(Limited).parse('{"name": "z"}')


SCHEMAS: list[tuple[dict[str, Any], list[object], list[object]]] = [
    ({"enum": ["a", 1, None]}, ["a", 1, None], ["b", True, [], 2]),
    ({"const": {"a": 1}}, [{"a": 1}], [{"a": 2}, {}]),
    ({"type": "integer", "minimum": 0}, [0, 7, 10**30], [-1, 0.5, "7", True]),
    ({"type": ["string", "null"], "maxLength": 2}, ["ab", None], ["abc", 1]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, [3, 5.5], [6, 4.5]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "1"}]),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [[1], ["a", 2]]),
    ({"format": "date"}, ["2026-02-28", 5], ["2026-02-30", "20260228", "today"]),
    ({"format": "date-time"}, ["2026-02-28T10:00:00Z", "2026-02-28t10:00:00.5+01:00"], ["2026-02-28T10:00:00", "x"]),
    ({"format": "time"}, ["10:00:00Z"], ["10", "25:00:00Z", "10:00:00"]),
    ({"format": "email"}, ["a@b.de"], ["a"]),
    ({"format": "uuid"}, ["12345678-1234-5678-1234-567812345678"], ["1"]),
    ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}},
                                           "additionalProperties": False}}},
     [{"next": {"next": {}}}], [{"next": {"nxt": {}}}, []]),
    ({"pattern": "^a+$"}, ["aa", 1], ["ab", "a\n", ""]),
    ({"pattern": "^(?!b)a"}, ["ab"], ["b"]),
    ({"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False}, [{"n_a": 1}, {}],
     [{"n_a": "1"}, {"m": 1}]),
    ({"multipleOf": 0.01}, [1.1, 3], [0.001, 10**400]),
    ({}, [1, "a", None, [], {}], []),
]


@pytest.mark.parametrize(("schema", "fits", "misfits"), SCHEMAS)
def test_schemas(schema: dict[str, Any], fits: list[object], misfits: list[object]) -> None:
    """The whole of JSON Schema holds, formats included."""
    answer = read_shape(schema)

    assert [answer.parse(json.dumps(value)) for value in fits] == fits
    assert [fault(schema, json.dumps(value)).path is not None for value in misfits] == [True] * len(misfits)


def test_a_pattern_takes_no_time() -> None:
    """One that would take Python's engine for ever; a schema may come from a stranger."""
    assert fault({"pattern": "^(a|aa|a?)+$"}, json.dumps("a" * 5000 + "b")).path == ""


def test_an_answer_that_is_nested_deeper_than_the_check_goes() -> None:
    """It is not accepted; nothing breaks."""
    depth = 900
    text = '{"next": ' * depth + "{}" + "}" * depth

    assert fault({"type": "object", "properties": {"next": {"$ref": "#"}}}, text).message.endswith("to be checked")


def test_a_shape_is_read_once() -> None:
    """An equal schema is the same shape, and so is the same class."""
    assert read_shape(INVOICE) is read_shape(json.loads(json.dumps(INVOICE)))
    assert read_shape(Invoice) is read_shape(Invoice)
    assert read_shape(ENVELOPE["json_schema"]["schema"]).name == "Invoice"  # type: ignore[index]
