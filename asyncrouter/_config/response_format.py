"""The `response_format` of a call: a class or a JSON schema becomes what every wire can write, and a check of answers.

The check lives behind a door, `asyncrouter.schema`, which is imported when a call first asks for one. What is given as
a keyword is checked; in `params`, of a call or of the configuration, it is the provider's own and passes as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._types import Message

NAME: Final = "response_format"
_UNCHECKED: Final = ("json_object", "text")
"""The types of OpenAI's formats that say nothing to check."""
_MAX_FORMATS: Final = 256
"""Shapes whose translations are remembered."""
NOT_CHECKED = "answers are not checked against response_format: pip install 'asyncrouter[schema]'"


class AnswerSchema(Protocol):
    """What the door makes of a shape of answers."""

    def __hash__(self) -> int:
        """By identity: the door makes one for each shape."""
        ...

    @property
    def name(self) -> str:
        """A name for the schema, of letters, digits, `_` and `-`."""
        ...

    @property
    def schema(self) -> Message:
        """The JSON schema."""
        ...

    def parse(self, text: str) -> object:
        """The value of an answer. Raises `NotAccepted` with the path of what does not fit."""
        ...


class AnswerFormat(dict[str, object]):
    """A `response_format` in OpenAI's form, of a schema by which every answer is checked.

    So a wire may write it otherwise than it stands here, as far as the model that is asked takes it. `written`
    remembers how, by the name of a vendor's rules.
    """

    __slots__ = ("written",)

    def __init__(self, name: str, schema: Message) -> None:
        super().__init__(type="json_schema", json_schema={"name": name, "schema": schema})
        self.written: dict[str, object] = {}

    @property
    def name(self) -> str:
        """The name of the schema."""
        return str(self._described["name"])

    @property
    def schema(self) -> Message:
        """The schema by which answers are checked."""
        return self._described["schema"]  # type: ignore[return-value]  # as it was put in

    @property
    def _described(self) -> Message:
        return self["json_schema"]  # type: ignore[return-value]  # as above


def take_format(params: Mapping[str, object]) -> tuple[dict[str, object], Callable[[str], object] | None]:
    """Parameters with their `response_format` as wires want it, and the check of the answers' texts, `None` for none.

    Raises `TypeError` or `ValueError` for what is no format, `ImportError` if a package for it is missing.
    """
    given = params[NAME]
    if given is None or (isinstance(given, Mapping) and given.get("type") in _UNCHECKED):
        return dict(params), None
    if isinstance(given, Mapping) and "json_schema" in given:
        return {**params, NAME: dict(given)}, _parse_of_envelope(given)
    answer = _read_shape(given)
    return {**params, NAME: _format_of(answer)}, answer.parse


def unchecked(text: str) -> object:
    """Stands for a check whose package is missing: nothing is checked, and the caller is told so."""
    return None


def _parse_of_envelope(given: Mapping[str, object]) -> Callable[[str], object] | None:
    """The check by the schema in OpenAI's form; one without a schema is the wires' to judge."""
    described = given["json_schema"]
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if not isinstance(schema, Mapping):
        return None
    try:
        return _read_shape(schema).parse
    except ImportError:
        return unchecked


def _read_shape(shape: object) -> AnswerSchema:
    from asyncrouter.schema import read_shape  # a door: only calls with a format need it

    return read_shape(shape)


@lru_cache(_MAX_FORMATS)
def _format_of(answer: AnswerSchema) -> AnswerFormat:
    return AnswerFormat(answer.name, answer.schema)
