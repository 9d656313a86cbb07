"""The columns of an output that is a table: their names and types, known before the first answer. Pure.

A row has the columns of the input, under their own names, and those of the answer. Of an answer with a schema each
property is a column. What has no fixed shape (tool calls, attempts, nested properties) is JSON text, so that no answer
can differ from the columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from asyncrouter.files import json_bytes
from asyncrouter.schema import read_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Kind = Literal["text", "int", "float", "bool", "json", "vectors"]
"""The type of a column: "json" is text, "vectors" are lists of lists of numbers."""
MAX_INT = 2**63 - 1
"""The largest integer of a column: beyond it there is no value in the table, though there is in the text."""
_FIRST: tuple[tuple[str, Kind], ...] = (("text", "text"),)
_LAST: tuple[tuple[str, Kind], ...] = (
    ("finish_reason", "text"), ("model", "text"), ("served_model", "text"), ("usage.input_tokens", "int"),
    ("usage.output_tokens", "int"), ("usage.cached_tokens", "int"), ("usage.reasoning_tokens", "int"),
    ("cost_usd", "float"), ("seconds", "float"), ("queued", "float"), ("reasoning", "text"), ("tool_calls", "json"),
    ("attempts", "json"), ("same_as", "text"),
)
"""Paths of an answer's line, before and after the properties of a schema; a column has the last name of its path."""
_KINDS: dict[str, Kind] = {"string": "text", "integer": "int", "number": "float", "boolean": "bool"}
"""Types of a JSON schema that have a column of their own type."""


class Column(NamedTuple):
    """One column of the answers: its name in the table, its path in the line of an answer, its type."""

    name: str
    path: tuple[str, ...]
    kind: Kind

    def value(self, record: Mapping[str, object]) -> object:
        """The value of an answer; `None` where it has none that suits the type."""
        found: object = record
        for name in self.path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return _suited(found, self.kind)


def answer_columns(
    taken: Collection[str], response_format: object = None, *, raw: bool = False, embeds: bool = False
) -> list[Column]:
    """The columns of the answers, in order; `taken` are names that are not theirs, such as "id".

    `response_format` is what all answers have to fit, `raw` adds the provider's own answer, `embeds` vectors.
    """
    last = [*_LAST, *([("raw", "json")] if raw else []), *([("embeddings", "vectors")] if embeds else [])]
    plain = [Column(path.rpartition(".")[2], tuple(path.split(".")), kind) for path, kind in (*_FIRST, *last)]  # type: ignore[arg-type]  # a kind
    names = {*taken, *(column.name for column in plain)}
    properties = []
    for name, kind in _properties(response_format):
        properties.append(Column(new_name(name, "parsed", names), ("parsed", name), kind))
        names.add(properties[-1].name)
    return [plain[0], *properties, *plain[1:]]


def input_names(columns: Sequence[str], answers: Collection[str]) -> list[str]:
    """The names of an input's columns in the output: their own, or `input_…` where the answer has one of that name."""
    names = {"id", *answers}
    given = []
    for column in columns:
        given.append(new_name(column, "input", names))
        names.add(given[-1])
    return given


def new_name(name: str, prefix: str, names: Collection[str]) -> str:
    """The name, with the prefix as often as it takes not to be one of `names`."""
    while name in names:
        name = f"{prefix}_{name}"
    return name


def _properties(response_format: object) -> list[tuple[str, Kind]]:
    """The properties of a schema, and the types of their columns; none where it is no object."""
    schema = _schema(response_format)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [(name, _kind(described)) for name, described in properties.items()]


def _schema(response_format: object) -> Mapping[str, object]:
    if response_format is None:
        return {}
    if isinstance(response_format, Mapping):
        inner = response_format.get("json_schema", response_format)
        inner = inner.get("schema", inner) if isinstance(inner, Mapping) else {}
        return inner if isinstance(inner, Mapping) else {}
    schema: object = read_shape(response_format).schema
    return schema if isinstance(schema, Mapping) else {}


def _kind(described: object) -> Kind:
    """The type of a property's column: JSON text where it may be of several types, or is a list or an object."""
    if not isinstance(described, Mapping):
        return "json"
    given = described.get("type")
    types = [one for one in (given if isinstance(given, list) else [given]) if one != "null"]
    if types == [None] and (of := described.get("enum")) and all(isinstance(one, str) for one in of):
        return "text"
    return _KINDS.get(str(types[0]), "json") if len(types) == 1 else "json"


def _suited(value: object, kind: Kind) -> object:
    if value is None:
        return None
    match kind:
        case "text":
            return whole(value) if isinstance(value, str) else json_bytes(value).decode()
        case "json":
            return json_bytes(value).decode()
        case "bool":
            return value if isinstance(value, bool) else None
        case "int":
            number = _number(value)
            return int(number) if number is not None and number == int(number) and abs(number) <= MAX_INT else None
        case "float":
            return None if (number := _number(value)) is None else float(number)
        case "vectors":
            return value


def whole(text: str) -> str:
    """The text with U+FFFD for half a character, which no file can hold."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _number(value: object) -> int | float | None:
    """A number that a column can hold; JSON's true is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None
