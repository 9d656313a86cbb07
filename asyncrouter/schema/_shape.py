"""What may be given as `response_format`: told apart, and made into a schema with a check, once for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, get_origin

import orjson

from asyncrouter.schema._json_text import read_json

Check = Callable[[object, str], object]
"""The checked value of an answer, of its JSON value and of the text of that. Raises `NotAccepted`."""

_MAX_SHAPES: Final = 256
"""Shapes that are remembered with their checks; beyond it the one that was used least recently is made anew."""
_MAX_BYTES: Final = 524_288
"""Bytes of a JSON schema. Checking one takes 0.2 ms a property, in which nothing else runs; no vendor takes as much."""
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
"""What may not stand in a schema's name (OpenAI: letters, digits, `_` and `-`, 64 at most)."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSchema:
    """A shape of answers.

    - `name`: of the class, or the schema's title; "answer" if it has none.
    - `schema`: its JSON schema.
    """

    name: str
    schema: dict[str, Any]
    _check: Check

    def __repr__(self) -> str:
        return f"<AnswerSchema {self.name}>"

    def parse(self, text: str) -> Any:
        """The value of an answer: an instance of the class, or what JSON says. Raises `NotAccepted` with its `path`."""
        return self._check(*read_json(text))


def read_shape(shape: object) -> AnswerSchema:
    """The schema and the check for a pydantic model, a dataclass, a TypedDict or a JSON schema.

    Raises `TypeError` or `ValueError` for what is none of them, `ImportError` if a package is missing.
    """
    if isinstance(shape, Mapping):
        return _of_document(_written(shape))
    if not is_class(shape):
        raise TypeError(
            f"response_format: expected a pydantic model, a dataclass, a TypedDict or a JSON schema, got {_what(shape)}"
        )
    try:
        return _of_class(shape)
    except ImportError as missing:
        raise _missing("a class is checked with pydantic", missing) from None


def is_class(shape: object) -> bool:
    """Whether this is a class that says what an answer looks like, perhaps with parameters: `Page[Invoice]`."""
    origin = shape if isinstance(shape, type) else get_origin(shape)
    if not isinstance(origin, type):
        return False
    typed_dict = issubclass(origin, dict) and hasattr(origin, "__required_keys__")
    return typed_dict or is_dataclass(origin) or hasattr(origin, "model_json_schema")


@lru_cache(_MAX_SHAPES)
def _of_class(shape: Any) -> AnswerSchema:
    classes = import_module("asyncrouter.schema._classes")
    name = getattr(shape, "__name__", None) or get_origin(shape).__name__
    schema, check = classes.read_class(shape, name)
    return AnswerSchema(_named(name), schema, check)


@lru_cache(_MAX_SHAPES)
def _of_document(written: bytes) -> AnswerSchema:
    try:
        documents = import_module("asyncrouter.schema._documents")
    except ImportError as missing:
        raise _missing("a JSON schema is checked with jsonschema", missing) from None
    schema = orjson.loads(written)
    title = schema.get("title")
    name = _named(title if isinstance(title, str) else "")
    return AnswerSchema(name, schema, documents.read_document(schema, name if title else ""))


def _written(schema: Mapping[str, object]) -> bytes:
    """A schema as JSON, by which it is known again."""
    try:
        written = orjson.dumps(dict(schema))
    except (TypeError, ValueError) as error:
        raise TypeError(f"response_format: the schema cannot be written as JSON: {error}") from None
    if len(written) > _MAX_BYTES:
        raise ValueError(f"response_format: the schema has {len(written)} bytes as JSON; {_MAX_BYTES} at most")
    return written


def _named(name: str) -> str:
    return _NO_NAME.sub("_", name)[:64].strip("_") or "answer"


def _missing(why: str, missing: ImportError) -> ImportError:
    return ImportError(f"response_format: {why}: pip install 'asyncrouter[schema]'", name=missing.name)


def _what(shape: object) -> str:
    if isinstance(shape, type):
        return f"the class {shape.__name__}"
    return f"{shape!r:.60}" if get_origin(shape) is not None else f"an instance of {type(shape).__name__}"
