"""Going on where the last run ended: which rows are done, and whether this is the same batch at all.

Beside the output lies `<output>.batch.json`: a fingerprint of the input's content and of what was asked for. It holds
no time and no path, so a copy elsewhere can be resumed.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import orjson

from asyncrouter import ConfigError
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._ids import Ids
from asyncrouter.batch._lines import SCHEMA, schema_version
from asyncrouter.batch._rows import AT_ONCE
from asyncrouter.batch._survey import choice_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asyncrouter import Router
    from asyncrouter.batch._source import Source
    from asyncrouter.batch._survey import Survey

NAMES = ("task", "tier", "chain", "model")
VERSION = 1
"""The version of a side file. Raise it when an older asyncrouter must not read what this one writes."""

Fingerprint = dict[str, object]


def fingerprint(
    router: Router, source: Source, survey: Survey, options: Mapping[str, object], how: str
) -> Fingerprint:
    """What makes this batch this one: the rows, the models, the parameters, the form of the answers."""
    choice = {name: value for name, value in choice_of(options).items() if name in NAMES}
    return {
        "version": VERSION, "input": survey.digest, "rows": survey.estimate.rows, "format": how,
        "template": source.template, **{name: _plain(choice.get(name)) for name in NAMES},
        "models": _models(router, choice), "params": _plain(options.get("params") or {}),
    }


def side_file(output: Path) -> Path:
    """Where the fingerprint of an output lies."""
    return output.with_name(f"{output.name}.batch.json")


def check_same(output: Path, now: Fingerprint) -> None:
    """Raise `BatchError` if the output belongs to another batch, or to none."""
    side = side_file(output)
    cure = "another output, `restart` to throw it away, or `force` to go on by ids alone"
    try:
        before: object = orjson.loads(side.read_bytes())
    except FileNotFoundError:
        raise BatchError(f"{output}: is not empty, and {side.name} is not there to say from what; {cure}") from None
    except (OSError, ValueError) as error:
        raise BatchError(f"{side}: cannot be read: {error}; {cure}") from None
    if not isinstance(before, dict) or not isinstance(version := before.get("version", 1), int):
        raise BatchError(f"{side}: cannot be read: it is no side file of a batch; {cure}")
    if version > VERSION:
        raise BatchError(
            f"{side}: was written in version {version} by a newer asyncrouter, and this one reads versions up to "
            f"{VERSION}: upgrade asyncrouter, or use {cure}"
        )
    changed = [name for name in now if name != "version" and before.get(name) != now[name]]
    if changed:
        changes = "; ".join(_change(name, before.get(name), now[name]) for name in changed)
        raise BatchError(f"{output}: belongs to another batch: {changes}; {cure}")


def check_failures(path: Path) -> None:
    """Raise `BatchError` if a file that will be emptied holds anything but the failures of an earlier run."""
    with path.open("rb") as file:
        first = file.readline()
    # A line that was cut short by a kill may end before its `_error`.
    ours = first.startswith((b'{"id":', b'{"custom_id":')) and (b'"_error":' in first or not first.endswith(b"\n"))
    if not ours:
        raise BatchError(f"{path}: is not empty, and not the failures of an earlier run: name another errors file")


def write_side(output: Path, now: Fingerprint) -> None:
    """Write the fingerprint, whole or not at all. Raises `BatchError`."""
    side = side_file(output)
    half = side.with_name(f"{side.name}.tmp")
    try:
        half.write_bytes(orjson.dumps(now, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        os.replace(half, side)
    except OSError as error:
        raise BatchError(f"{side}: cannot be written: {error.strerror}") from None


async def finished(output: Path, size: int) -> Ids:
    """The ids of the answers in the first `size` bytes of an output. Raises `BatchError` for a line that is none."""
    ids = Ids()
    with output.open("rb") as file:
        for number, line in enumerate(file, 1):
            if size <= 0:
                break
            size -= len(line)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            ids.add(id_in(line, output, number))
    return ids


def id_in(line: bytes, output: Path, number: int) -> str | int:
    """Whose answer a line is. Raises `BatchError`."""
    try:
        record: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = None
    if isinstance(record, dict):
        given, version = record.get("custom_id", record.get("id")), schema_version(record)
        if isinstance(version, int) and version > SCHEMA:
            raise BatchError(
                f"{output}: line {number} was written in version {version} by a newer asyncrouter, and this one reads "
                f"versions up to {SCHEMA}: upgrade asyncrouter, or name another output"
            )
        if isinstance(given, str | int):
            return given
    raise BatchError(f"{output}: line {number} is no answer: was something else written to it?")


def _models(router: Router, choice: dict[str, object]) -> list[str]:
    try:
        return [step.model for step in router.explain(**choice).steps]  # type: ignore[arg-type]  # checked by explain
    except ConfigError:  # there is no default task, and each row names its own
        return []


def _plain(value: object) -> object:
    """As it will be when it is read again."""
    plain: object = orjson.loads(orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS))
    return plain


def _change(name: str, before: object, now: object) -> str:
    if name == "input":
        return "the content of the input has changed"
    return f"{name} was {_told(before)} and is {_told(now)}"


def _told(value: object) -> str:
    return f"{orjson.dumps(value, default=repr).decode():.80}"
