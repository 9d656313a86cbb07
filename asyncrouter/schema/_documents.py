"""JSON schemas: checked themselves when they are given, then answers by them (package jsonschema).

Nothing is ever fetched: a reference leads to a place within the schema, or the schema is refused.
"""

from __future__ import annotations

from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator, FormatChecker, SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from asyncrouter.schema._path import misfit, path_of, quoted
from asyncrouter.schema._patterns import with_patterns

if TYPE_CHECKING:
    from jsonschema import ValidationError

    from asyncrouter.schema._shape import Check

_MAX_MISFITS: Final = 50
"""Faults of an answer among which the most telling is looked for."""
_IN_PLACE: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE_ONE: Final = ("not", "if", "then", "else")
"""Keywords whose schemas judge the same value as the schema that they stand in."""
_FORMATS: Final = FormatChecker(formats=["email", "idn-email", "ipv4", "ipv6", "regex", "uuid"])
"""The formats that are checked, with those below; an unknown one says nothing, as the specification has it."""


def _is_date(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and bool(date.fromisoformat(value)))


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or (
        value[10:11] in {"T", "t", " "} and datetime.fromisoformat(value.upper()).tzinfo is not None
    )


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or (value[2:3] == ":" and time.fromisoformat(value.upper()).tzinfo is not None)


for _kind, _is_one in (("date", _is_date), ("date-time", _is_date_time), ("time", _is_time)):
    _FORMATS.checks(_kind, raises=ValueError)(_is_one)


def read_document(schema: dict[str, Any], name: str) -> Check:
    """The check by a JSON schema. Raises `ValueError` for what is none."""
    validator_class = validator_for(schema, default=Draft202012Validator)
    try:
        validator_class.check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        where = path_of(error.absolute_path) or "schema"
        raise ValueError(f"response_format: no JSON schema: {where}: {error.message:.200}") from None
    except RecursionError:
        raise ValueError("response_format: the schema is nested too deep") from None
    validator = with_patterns(validator_class)(schema, registry=Registry(), format_checker=_FORMATS)

    def check(value: object, text: str) -> object:
        try:
            fault = best_match(islice(validator.iter_errors(value), _MAX_MISFITS))
        except RecursionError:
            raise misfit("", "nested too deep to be checked", name) from None
        except ArithmeticError:
            raise misfit("", "it has a number that cannot be checked", name) from None
        if fault is not None:
            raise misfit(path_of(fault.absolute_path), _reason(fault), name)
        return value

    return check


def _reason(fault: ValidationError) -> str:
    """What is wrong, in words that do not grow with the answer."""
    expected, got = fault.validator_value, quoted(fault.instance)
    match fault.validator:
        case "type":
            kinds = expected if isinstance(expected, list) else [expected]
            return f"expected {' or '.join(map(str, kinds))}, got {got}"
        case "required":
            missing = [key for key in expected if key not in fault.instance]
            return f"{', '.join(map(quoted, missing[:5]))} {'is' if len(missing) == 1 else 'are'} missing"
        case "enum" | "const":
            return f"expected {'one of ' if fault.validator == 'enum' else ''}{quoted(expected)}, got {got}"
        case None:
            return f"nothing is allowed here, got {got}"
    return f"{fault.validator} {quoted(expected)} does not hold for {got}"


def _check_references(schema: dict[str, Any]) -> None:
    """Raise `ValueError` for a reference that leads out of the schema, nowhere, or back to itself without end."""
    specification = specification_with(schema.get("$schema", ""), default=DRAFT202012)
    root = specification.create_resource(schema)
    registry: Registry[Any] = Registry().with_resource("", root)
    goes_on: dict[int, list[int]] = {}
    waiting, seen = [(registry.resolver(), root)], set[int]()
    while waiting:
        resolver, resource = waiting.pop()
        contents = resource.contents
        if not isinstance(contents, dict) or id(contents) in seen:
            continue
        seen.add(id(contents))
        resolver = resolver if resource is root else resolver.in_subresource(resource)
        next_ones = [id(one) for name in _IN_PLACE for one in contents.get(name, ()) if isinstance(one, dict)]
        next_ones += [id(contents[name]) for name in _IN_PLACE_ONE if isinstance(contents.get(name), dict)]
        for name in ("$ref", "$dynamicRef"):
            if name in contents:
                found = _looked_up(resolver, contents[name])
                next_ones.append(id(found.contents))
                waiting.append((found.resolver, specification.create_resource(found.contents)))
        goes_on[id(contents)] = next_ones
        waiting += [(resolver, inner) for inner in resource.subresources()]
    if _has_circle(goes_on):
        raise ValueError("response_format: the schema has references that lead back to themselves, so it says nothing")


def _looked_up(resolver: Any, reference: str) -> Any:
    try:
        return resolver.lookup(reference)
    except (Unresolvable, ValueError, LookupError, TypeError):
        raise ValueError(
            f"response_format: $ref {reference!r:.80} leads to nothing within the schema; others are not followed"
        ) from None


def _has_circle(goes_on: dict[int, list[int]]) -> bool:
    """Whether some schema judges a value by itself again."""
    done: set[int] = set()
    for start in goes_on:
        way, entered = [(start, iter(goes_on[start]))], {start}
        while way and start not in done:
            node, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                entered.discard(node)
                done.add(node)
            elif following in entered:
                return True
            elif following not in done:
                entered.add(following)
                way.append((following, iter(goes_on.get(following, ()))))
    return False
