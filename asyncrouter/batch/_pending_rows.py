"""The rows of an input that have no answer yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._ids import RowIds
from asyncrouter.batch._rows import ROWS_PER_YIELD, Row, RowError

if TYPE_CHECKING:
    from collections.abc import Container, Generator

    from asyncrouter import Config
    from asyncrouter.batch._ids import IdSet
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._source import Rows, Source


def pending_rows(
    source: Rows, options: JobOptions, config: Config, answered: IdSet | None, skipped: Container[int] = ()
) -> Generator[Row | None, None, None]:
    """The rows whose ids are not `answered`, in order; every 500 rows `None`, for the caller to let other tasks run.

    Rows whose numbers are in `skipped` are left out. Of several processes each gets its share. Raises `BatchError` if a
    row is no longer valid: the input has changed since it was checked.
    """
    row_ids, number, pending = RowIds(), -1, -1
    share, shares = options.share
    for line, fields in source.lines():
        try:
            if isinstance(fields, str):
                raise RowError(fields)
            number += 1
            if options.rows is not None and number >= options.rows:
                return
            if number % ROWS_PER_YIELD == ROWS_PER_YIELD - 1:
                yield None
            id = row_ids.next_id(fields)  # noqa: A001  # as the field
            if (answered is not None and id in answered) or (skipped and number in skipped):
                continue
            pending += 1
            if options.limit is not None and pending >= options.limit:
                return
            if pending % shares == share:
                yield Row.of(number, id, fields, options.chat, config)
        except RowError as error:
            raise BatchError(f"{source.name}: has changed since it was read: line {line}: {error}") from None


async def count_answered(source: Source, answered: IdSet) -> int:
    """How many rows of an input have an answer."""
    row_ids, count = RowIds(), 0
    for number, (_, fields) in enumerate(source.lines()):
        if number % ROWS_PER_YIELD == 0:
            await asyncio.sleep(0)
        if isinstance(fields, dict):
            count += row_ids.next_id(fields) in answered
    return count
