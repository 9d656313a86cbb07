"""The arguments of one call of `batch.run`, checked, as one object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._job_options import JobOptions
from asyncrouter.batch._paths import check_paths, errors_path
from asyncrouter.batch._source import Source, source_of
from asyncrouter.batch._stop_rules import StopRules, check_counts
from asyncrouter.batch._storage import is_remote
from asyncrouter.batch._table_output import check_table, is_table, journal_path

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from asyncrouter.batch._estimate import Estimate
    from asyncrouter.batch._lines import Format
    from asyncrouter.batch._report import Progress
    from asyncrouter.batch._vendors.options import LaneOptions
    from asyncrouter.batch._worker import MakeRouter


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `batch.run` was called with, see there.

    `chat` are those of its arguments that `Router.chat` takes. Raises `BatchError` for values that make no sense.
    """

    chat: dict[str, object]
    format: Format
    include_raw: bool
    concurrency: int
    patience: float
    limit: int | None
    budget_usd: float | None
    max_error_rate: float | None
    min_rows: int
    restart: bool
    retry_failed: bool
    force: bool
    dedupe: bool
    ordered: bool
    fsync: bool
    processes: int
    make_router: MakeRouter | None
    progress: Callable[[Progress], None] | None
    stop: asyncio.Event | None
    lane: LaneOptions | None = None

    def __post_init__(self) -> None:
        if self.format not in {"native", "openai"}:
            raise BatchError(f'format: expected "native" or "openai", got {self.format!r}')
        check_counts(
            concurrency=self.concurrency, limit=self.limit, min_rows=self.min_rows, processes=self.processes
        )
        if not (isinstance(self.patience, int | float) and self.patience > 0):
            raise BatchError(f"patience: expected seconds above 0, got {self.patience!r}")
        if self.lane is not None and self.processes != 1:
            raise BatchError('processes: via="provider" is the work of one process; leave it out')

    def rules(self, estimate: Estimate) -> StopRules:
        """The rules by which the run stops; until a row has ended, one costs what it does in the estimate."""
        return StopRules(
            budget_usd=self.budget_usd, max_error_rate=self.max_error_rate, min_rows=self.min_rows,
            usd_a_row=estimate.most_usd / max(1, estimate.rows - estimate.copies),
        )

    def job_options(self, rules: StopRules, rows: int) -> JobOptions:
        """The options of the job; its calls have the priority of batch work."""
        return JobOptions(
            chat={**self.chat, "priority": "batch"}, format=self.format, raw=self.include_raw,
            concurrency=self.concurrency, patience=self.patience, limit=self.limit, rows=rows,
            dedupe=self.dedupe, rules=rules,
        )


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run: `output` has the lines of the answers, `None` is standard output. `table`, a path or a URL,
    is made of it in the end.
    """

    source: Source
    output: Path | None
    errors: Path
    table: str | None = None

    @classmethod
    def of(
        cls, source: str | os.PathLike[str] | Source, template: str | None, output: str | os.PathLike[str] | None,
        errors: str | os.PathLike[str] | None,
    ) -> Files:
        """The files of these arguments. Raises `BatchError` if two are one, or one cannot be used; `TypeError`."""
        rows = source_of(source, template)
        location = None if output is None else os.fspath(output)
        table = location if location is not None and is_table(location) else None
        if table is not None:
            check_table(table)
            rows = Source(rows.location, rows.template, rows.name, with_columns=False)
        out = journal_path(table) if table is not None else None if location is None else Path(location)
        err = errors_path(out, errors)
        check_paths(rows.path, out, err, None if table is None or is_remote(table) else Path(table))
        return cls(rows, out, err, table)

    @property
    def with_columns(self) -> Source:
        """The input with the columns that stand in a table only, not in its journal."""
        return Source(self.source.location, self.source.template, self.source.name)

    @property
    def name(self) -> str:
        """The output's path or URL, "-" for standard output."""
        return self.table or str(self.output or "-")
