"""A stage for Ray Data that answers the rows of a data set. Clusters, storage and file formats are Ray's business.

```python
ds = ray.data.read_parquet("s3://bucket/in")
answer(ds, "router.toml", task="fast", actors=4, done="s3://bucket/out").write_parquet("s3://bucket/out")
```

Needs the extra `ray`. With `shared=RedisState("redis://…")` all actors keep the limits and the budget of the
configuration together.

Each actor has a router of its own and answers blocks of rows with `batch.map`. There is no journal: Ray writes whole
files, and what they hold is what is done. So `done` reads the ids of the answered rows from the Parquet files of an
earlier run and leaves these rows out; a block that was in flight when a job was killed is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ray
    from pyarrow import fs
    from ray.data import ActorPoolStrategy
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"{_missing.name} is not installed: pip install 'asyncrouter[ray]'", name=_missing.name
    ) from None

from asyncrouter import CallError, Config, Reply, Router, batch
from asyncrouter.batch import ROW_FIELDS, BatchError, IdSet, failure_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from ray.data import Dataset

    from asyncrouter import Shared

    Configured = str | PathLike[str] | Mapping[str, object] | Config | Callable[[], Router]

logger: Final = logging.getLogger("asyncrouter")

ADDED = pa.schema([
    ("text", pa.string()), ("reasoning", pa.string()), ("tool_calls", pa.string()), ("finish_reason", pa.string()),
    ("answered_by", pa.string()), ("input_tokens", pa.int64()), ("output_tokens", pa.int64()),
    ("cost_usd", pa.float64()), ("seconds", pa.float64()), ("error", pa.string()),
])
"""The columns that are added to each row; `tool_calls` and `error` are JSON. Either `text` or `error` is null."""
JSON_COLUMNS = ("messages", "params", "chain")
"""The columns of the input that may hold JSON as text."""


def answer(
    ds: Dataset, router: Configured, *, actors: int = 1, concurrency: int = 1024, batch_size: int = 256,
    id_column: str = "id", done: str | PathLike[str] | None = None, shared: Shared | None = None, **options: object,
) -> Dataset:
    """The data set with columns for the answer, or the error, of each row (`ADDED`).

    A row is as in a file of `batch.run`: its fields are columns, `prompt` or `messages`, and as wanted `task`, `tier`,
    `model`, `deadline`, `params` and parameters of the provider. A null is a field that is not there; `messages`,
    `params` and `chain` may be JSON as text. Other columns pass through. A failed call is JSON in the column `error`
    and does not end the job.

    `router` is the path of a TOML file, a configuration, or a function that makes a router; it is called once in each
    of the `actors`. With `shared`, such as a `RedisState`, they keep limits, holds and the budget as one, together with
    everybody else who uses it; without, each has the limits for itself: divide them (`batch.divided`). A function
    passes `shared` to its router itself. An actor takes `batch_size` rows at a time, with `concurrency` calls in flight
    at most; limits and outages are waited out, as in `batch.map`. `options` are those of `Router.chat`. `done` is a
    directory, as a path or a URI, of Parquet files that an earlier run has written: rows whose `id_column` has an
    answer there are left out, so that the same call resumes; `None` leaves out nothing.

    Raises `BatchError` when a column of the input would be overwritten, or there is no `id_column`.
    """
    names = ds.schema().names
    if overwritten := [name for name in ADDED.names if name in names]:
        raise BatchError(f"the input has a column {overwritten[0]!r}, which would hold what is answered: rename it")
    if done is not None:
        if id_column not in names:
            raise BatchError(f"there is no column {id_column!r} to go on by; the columns are {', '.join(names)}")
        ds = _without(ds, answered(done, id_column), id_column)
    arguments = {"router": router, "concurrency": concurrency, "options": options, "shared": shared}
    return ds.map_batches(
        Answering, fn_constructor_kwargs=arguments, batch_size=batch_size, batch_format="pyarrow",
        compute=ActorPoolStrategy(size=actors), zero_copy_batch=True,
    )


class Answering:
    """The work of one actor: a router, and a method that answers a batch of rows."""

    def __init__(
        self, router: Configured, concurrency: int, options: dict[str, object], shared: Shared | None = None
    ) -> None:
        self._router = _router(router, shared)
        self._concurrency = concurrency
        self._options = options

    async def __call__(self, table: pa.Table) -> pa.Table:
        """The rows of a batch with the columns of their answers."""
        columns = [name for name in table.column_names if name in ROW_FIELDS]
        rows = table.select(columns).to_pylist()
        added: list[dict[str, object]] = [{} for _ in rows]
        calls = ({**_fields(row), "id": number} for number, row in enumerate(rows))
        results = batch.map(
            self._router, calls, concurrency=self._concurrency,
            **self._options,  # type: ignore[arg-type]  # of `chat`, checked there
        )
        async for number, result in results:
            added[int(number)] = _columns(result)
        new = pa.Table.from_pylist(added, ADDED)
        for name in ADDED.names:
            table = table.append_column(ADDED.field(name), new.column(name))
        return table


def answered(directory: str | PathLike[str], id_column: str = "id") -> IdSet:
    """The ids of the rows that have an answer in a directory of Parquet files, as a path or a URI.

    A file that a kill has cut short is deleted: its rows are asked again.
    """
    files, root = fs.FileSystem.from_uri(_uri(directory))
    ids = IdSet()
    for info in files.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True)):
        if info.extension != "parquet":
            continue
        try:
            table = pq.read_table(info.path, filesystem=files, columns=[id_column, "error"])
        except (pa.ArrowInvalid, OSError):
            logger.warning("%s: is incomplete: it is deleted, and its rows are asked again", info.path)
            files.delete_file(info.path)
            continue
        for given, error in zip(table[id_column].to_pylist(), table["error"].to_pylist(), strict=True):
            if error is None:
                ids.add(given)
    return ids


def _without(ds: Dataset, ids: IdSet, id_column: str) -> Dataset:
    if not len(ids):
        return ds
    kept = ray.put(ids)

    def left(table: pa.Table) -> pa.Table:
        known: IdSet = ray.get(kept)
        return table.filter(pa.array([given not in known for given in table[id_column].to_pylist()], pa.bool_()))

    return ds.map_batches(left, batch_format="pyarrow", zero_copy_batch=True)


def _uri(directory: str | PathLike[str]) -> str:
    given = fspath(directory)
    return given if "://" in given else Path(given).absolute().as_uri()


def _router(given: Configured, shared: Shared | None) -> Router:
    if callable(given):
        return given()
    if isinstance(given, Config | Mapping):
        return Router(given, shared=shared)
    return Router.from_toml(given, shared=shared)


def _fields(row: dict[str, object]) -> dict[str, object]:
    """The fields of a row that are not null, with JSON columns parsed."""
    return {
        name: orjson.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items() if value is not None
    }


def _columns(result: Reply | Exception) -> dict[str, object]:
    if isinstance(result, Reply):
        usage = result.usage
        return {
            "text": result.text, "reasoning": result.reasoning or None,
            "tool_calls": orjson.dumps(result.tool_calls).decode() if result.tool_calls else None,
            "finish_reason": result.finish_reason, "answered_by": result.model,
            "input_tokens": None if usage is None else usage.input_tokens,
            "output_tokens": None if usage is None else usage.output_tokens,
            "cost_usd": result.trace.cost_usd, "seconds": result.trace.seconds,
        }
    trace = result.trace if isinstance(result, CallError) else None
    return {
        "error": orjson.dumps(failure_record(result), default=str).decode(),
        "cost_usd": None if trace is None else trace.cost_usd, "seconds": None if trace is None else trace.seconds,
    }
