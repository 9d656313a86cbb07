"""Resuming a batch: whether the files belong to the same batch, and which rows are answered.

Theory of operation. A run leaves three files. The output has the lines of the answers: a row is answered if and only if
the output has a whole line with its id, so nothing else has to be kept in step with it. The errors file has the rows
that have failed for good, in the same way; `retry_failed` empties it, so that they are asked again. The side file,
`<output>.batch.json`, is written before the first request. It holds the fingerprint of the batch: a digest of the
input's content, and what was asked for and of whom, but no time and no path, so that copied files can be resumed.

A run with the same fingerprint goes on. Another one is refused, with the differences, so that answers of two batches
never mix; `restart` empties the output, `force` keeps it and trusts the ids alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from asyncrouter import ConfigError
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._ids import IdSet
from asyncrouter.batch._lines import SCHEMA, schema_version
from asyncrouter.batch._preflight import choice_of
from asyncrouter.batch._rows import ROWS_PER_YIELD
from asyncrouter.files import json_bytes, replacing
from asyncrouter.schema import read_shape

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter import Router
    from asyncrouter.batch._preflight import Preflight
    from asyncrouter.batch._source import Source

CHOICE = ("task", "tier", "chain", "model")
"""The arguments of `Router.chat` that choose the models of a batch."""
VERSION = 1
"""The version of a side file. Raise it when an older asyncrouter must not read what this one writes."""

Fingerprint = dict[str, object]
"""What identifies a batch, as it stands in the side file."""


def fingerprint(
    router: Router, source: Source, preflight: Preflight, options: Mapping[str, object], form: str, *, raw: bool
) -> Fingerprint:
    """What identifies a batch: the content of its input, its models and where they are, its parameters, its form."""
    choice = {name: value for name, value in choice_of(options).items() if name in CHOICE}
    return {
        "version": VERSION, "input": preflight.digest, "rows": preflight.estimate.rows, "format": form,
        "include_raw": raw, "template": source.template,
        **{name: _as_json(choice.get(name)) for name in CHOICE}, "models": _models(router, choice),
        "endpoints": _endpoints(router, choice), "task_params": _task_params(router, choice),
        "params": _as_json(options.get("params") or {}),
        "response_format": _shape(options.get("response_format")),
    }


def side_file(output: Path) -> Path:
    """The path of an output's side file."""
    return output.with_name(f"{output.name}.batch.json")


def check_same(output: Path, now: Fingerprint) -> None:
    """Raise `BatchError` if an output that is not empty belongs to another batch, or its side file cannot be read."""
    side = side_file(output)
    cure = "name another output, throw it away with --restart (restart=True), or go on by ids alone with --force"
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
            f"{VERSION}: upgrade asyncrouter, or {cure}"
        )
    # What a side file does not name was not known to the asyncrouter that wrote it.
    changed = [name for name in now if name != "version" and name in before and before[name] != now[name]]
    if changed:
        changes = "; ".join(_change(name, before.get(name), now[name]) for name in changed)
        raise BatchError(f"{output}: belongs to another batch: {changes}; {cure}")


def is_same(output: Path, now: Fingerprint) -> bool:
    """Whether the side file of an output is there, and that of this batch."""
    try:
        check_same(output, now)
    except BatchError:
        return False
    return True


def check_errors_file(path: Path) -> None:
    """Raise `BatchError` if a file that will be emptied holds anything but the failures of an earlier run."""
    with path.open("rb") as file:
        first = file.readline()
    # A line that was cut short by a kill may end before its `_error`.
    known = b'"_error":' in first or b'"asyncrouter":{"class":' in first or b'"error":{"code":' in first
    ours = first.startswith((b'{"id":', b'{"custom_id":')) and (known or not first.endswith(b"\n"))
    if not ours:
        raise BatchError(f"{path}: is not empty, and not the failures of an earlier run: name another errors file")


def write_side_file(output: Path, now: Fingerprint) -> None:
    """Replace the side file in one step. Raises `BatchError` when it cannot be written."""
    side = side_file(output)
    try:
        with replacing(side) as file:
            file.write(orjson.dumps(now, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise BatchError(f"{side}: cannot be written: {error.strerror}") from None


async def ended_ids(files: Sequence[tuple[Path, int]]) -> IdSet:
    """The ids of the results in files, each a path and its size. Raises `BatchError` for a line that is none."""
    ids = IdSet()
    for path, size in files:
        await add_ids(ids, path, size)
    return ids


async def add_ids(ids: IdSet, path: Path, size: int) -> None:
    """Add the ids of the results in the first `size` bytes of a file. Raises `BatchError` for a line that is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if size <= 0:
                break
            size -= len(line)
            if number % ROWS_PER_YIELD == 0:
                await asyncio.sleep(0)
            ids.add(answer_id(line, path, number))


def answer_id(line: bytes, output: Path, number: int) -> str | int:
    """The id in the line of an answer; `number` is that of the line, from 1.

    Raises `BatchError` if there is no id in it, or a newer asyncrouter has written it.
    """
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


def _endpoints(router: Router, choice: dict[str, object]) -> list[list[str]]:
    """Each model with its provider's own id of it and base URL, without what may be secret in that."""
    found = []
    for name in _models(router, choice):
        try:
            model = router.config.model(name)
            url = router.config.provider(model.provider).base_url
        except ConfigError:  # a `Model` that was given as such: its name says it all
            continue
        found.append([name, model.id, url.split("?")[0].rpartition("@")[2]])
    return found


def _task_params(router: Router, choice: dict[str, object]) -> object:
    """The parameters that the configuration gives the task, or all of them where each row names its own."""
    tasks = router.config.tasks
    task = choice.get("task", None if choice else "default")
    names = [task] if isinstance(task, str) and task in tasks else [] if choice else sorted(tasks)
    return _as_json({name: dict(params) for name in names if (params := tasks[name].params)})


def _models(router: Router, choice: dict[str, object]) -> list[str]:
    try:
        return [step.model for step in router.explain(**choice).steps]  # type: ignore[arg-type]  # checked by explain
    except ConfigError:  # there is no default task, and each row names its own
        return []


def _as_json(value: object) -> object:
    """The value as it will be when it is read from the side file."""
    plain: object = orjson.loads(_json(value))
    return plain


def _shape(given: object) -> object:
    """What a `response_format` asks for: its schema, if it is a class."""
    if given is None or isinstance(given, Mapping):
        return _as_json(given)
    return _as_json(read_shape(given).schema)


def _change(name: str, before: object, now: object) -> str:
    if name == "input":
        return "the content of the input has changed"
    return f"{name} was {_shortened(before)} and is {_shortened(now)}"


def _shortened(value: object) -> str:
    return f"{_json(value).decode():.80}"


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # parameters that no request can carry
        return json_bytes(value)
