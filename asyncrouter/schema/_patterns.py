"""The regular expressions of a JSON schema: by the engine of pydantic, which takes linear time, else by Python's.

A schema may come from a user of a service, and with Python's engine one pattern can stop everything for ever. What only
Python's engine can (groups that look around, back references) is left to it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jsonschema import ValidationError
from jsonschema.validators import extend

try:
    from pydantic_core import SchemaError, SchemaValidator, core_schema
except ImportError:  # only classes need pydantic
    SchemaValidator = None  # type: ignore[assignment,misc]  # looked at before it is used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_PATTERNS: Final = 1024


@lru_cache(_MAX_PATTERNS)
def _compiled(pattern: str) -> Callable[[str], bool]:
    """Whether a pattern, which has been checked, is found somewhere in a text."""
    if SchemaValidator is not None:
        try:
            return SchemaValidator(core_schema.str_schema(pattern=pattern, strict=True)).isinstance_python
        except SchemaError:
            pass
    search = re.compile(pattern).search
    return lambda text: search(text) is not None


@lru_cache(8)
def with_patterns(validator: Any) -> Any:
    """The validator of a draft of JSON Schema, with these patterns."""
    return extend(validator, {"pattern": _pattern, "patternProperties": _pattern_properties})


def _pattern(validator: Any, pattern: str, instance: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _compiled(pattern)(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: object, schema: object
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for key, value in instance.items():
            if _compiled(pattern)(key):
                yield from validator.descend(value, inner, path=key, schema_path=pattern)
