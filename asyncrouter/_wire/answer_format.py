"""Asks for answers that fit a schema, in the way that the model takes: by its API, or in the prompt.

Every answer is checked against the whole schema afterwards (`AnswerFormat`), so an API may be told less than all of it,
or nothing. Where an API has no place for a schema, or cannot say this one, it is put into the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from asyncrouter._config.response_format import NAME, AnswerFormat
from asyncrouter._errors import Rejected
from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.anthropic.schema import accepted_schema as anthropics
from asyncrouter._wire.anthropic.strictness import over_limit
from asyncrouter._wire.gemini.schema import accepted_schema as googles
from asyncrouter._wire.json_schemas import CannotSay, lost_keywords
from asyncrouter._wire.openai.schema import root_object, strict_schema
from asyncrouter._wire.request_body import write_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter._types import Message

_INSTRUCTION: Final = (
    "Answer with one JSON value that is valid under this JSON schema, and with nothing else: no explanation, no "
    "Markdown.\n"
)


class Written(NamedTuple):
    """How one model is asked for a schema."""

    response_format: Message | None
    """In OpenAI's form; `None` to send none."""
    instruction: str = ""
    """What the prompt says of it; "" for nothing."""
    notes: tuple[str, ...] = ()
    """What a person should know about it."""


class Rules(NamedTuple):
    """What the schemas of one API may say. `write` raises `CannotSay` for a schema that it cannot say."""

    name: str
    write: Callable[[AnswerFormat], Written]
    json_mode: bool
    """Whether it can be asked for any JSON object."""


def _openai(wanted: AnswerFormat) -> Written:
    schema = root_object(wanted.schema)
    if schema is None:
        raise CannotSay("its root is no object")
    try:
        strict = strict_schema(schema)
    except CannotSay as why:
        return Written(_envelope(wanted, schema, strict=False), notes=(f"the schema is sent without strict: {why}",))
    return Written(_envelope(wanted, strict, strict=True), notes=_lost(wanted.schema, strict))


def _anthropic(wanted: AnswerFormat) -> Written:
    try:
        schema = anthropics(NAME, wanted.schema)
    except Rejected as why:
        raise CannotSay(why.message.partition(": ")[2]) from None
    if over := over_limit(schema):
        raise CannotSay(over)
    return Written(_envelope(wanted, schema, strict=True), notes=_lost(wanted.schema, schema))


def _google(wanted: AnswerFormat) -> Written:
    schema = googles(wanted.schema)
    return Written(_envelope(wanted, schema, strict=True), notes=_lost(wanted.schema, schema))


def _any(wanted: AnswerFormat) -> Written:
    """For a host about which nothing is known: the whole schema, and strict where that asks for nothing more."""
    try:
        strict = strict_schema(wanted.schema) == wanted.schema
    except CannotSay:
        strict = False
    return Written(_envelope(wanted, wanted.schema, strict=strict or None))


def _nothing(wanted: AnswerFormat) -> Written:
    raise CannotSay("this model takes no schema for its answer")


OPENAI: Final = Rules("openai", _openai, json_mode=False)
ANTHROPIC: Final = Rules("anthropic", _anthropic, json_mode=False)
GOOGLE: Final = Rules("google", _google, json_mode=True)
ANY: Final = Rules("any", _any, json_mode=False)
LOOSE: Final = Rules("loose", lambda wanted: Written(_envelope(wanted, wanted.schema, strict=None)), json_mode=True)
"""For a host that refuses `strict`."""
JSON_MODE: Final = Rules("json mode", _nothing, json_mode=True)
IN_PROMPT: Final = Rules("prompt", _nothing, json_mode=False)


def write_format(wanted: AnswerFormat, rules: Rules) -> Written:
    """How a schema is asked for under these rules; found once for each."""
    written = wanted.written.get(rules.name)
    if not isinstance(written, Written):
        try:
            write_body({f"{NAME}.json_schema.schema": wanted.schema})  # raises if it is nested too deep to walk through
            written = rules.write(wanted)
        except CannotSay as why:
            written = Written(
                {"type": "json_object"} if rules.json_mode and wanted.schema.get("type") == "object" else None,
                _INSTRUCTION + orjson.dumps(wanted.schema).decode(),
                (f"the schema is put into the prompt: {why}",),
            )
        wanted.written[rules.name] = written
    return written


def put_format(
    messages: Sequence[Message], params: Mapping[str, object], written: Written
) -> tuple[Sequence[Message], Mapping[str, object]]:
    """Messages and parameters that ask for it. What belongs to the caller is copied, never changed."""
    params = {**params, NAME: written.response_format}
    return (_instructed(messages, written.instruction) if written.instruction else messages), params


class RefusedSchemas:
    """The schemas that a provider has refused for a model, by name: the prompt has to ask for them."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], None] = {}

    def __contains__(self, asked: tuple[str, str]) -> bool:
        return asked in self._refused

    def add(self, asked: tuple[str, str]) -> None:
        """Remember the id of a model and the name of a schema; beyond `MAX_NAMES` the oldest is forgotten."""
        self._refused[asked] = None
        if len(self._refused) > MAX_NAMES:
            del self._refused[next(iter(self._refused))]


def _envelope(wanted: AnswerFormat, schema: Message, *, strict: bool | None) -> Message:
    described: Message = {"name": wanted.name, "schema": schema}
    return {"type": "json_schema", "json_schema": described if strict is None else {**described, "strict": strict}}


def _lost(schema: Message, written: Message) -> tuple[str, ...]:
    lost = lost_keywords(schema, written)
    return (f"{', '.join(lost)}: said in descriptions, as the API does not take it",) if lost else ()


def _instructed(messages: Sequence[Message], text: str) -> list[Message]:
    """The messages with a text at the end of their system's, which is made if there is none."""
    if messages and messages[0].get("role") in {"system", "developer"}:
        first, content = messages[0], messages[0].get("content")
        if isinstance(content, str):
            return [{**first, "content": f"{content}\n\n{text}"}, *messages[1:]]
        if isinstance(content, list):
            return [{**first, "content": [*content, {"type": "text", "text": text}]}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
