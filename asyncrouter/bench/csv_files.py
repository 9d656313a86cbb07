"""The calls and the figures of a run as CSV, for a spreadsheet or a data frame; a missing value is an empty cell."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import TYPE_CHECKING

from asyncrouter.bench.measures import seconds_of
from asyncrouter.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncrouter.bench.report import Report

NOT_IN_A_CELL = {"attempts", "gaps", "answer", "scores"}
"""Fields of a row that are lists, or texts of many lines; requests.jsonl and answers.jsonl have them."""
SECONDS = ("e2e", "ttft", "tpot", "service", "waiting")
"""The kinds of seconds that a line of requests.csv has, beside the fields of its row."""


def requests_csv(rows: Iterable[Row]) -> str:
    """A line for each call: the fields of its row, the number of requests it sent, and its latencies in seconds.

    A latency of a failed call is empty.
    """
    names = [field.name for field in fields(Row) if field.name not in NOT_IN_A_CELL]
    return _table([*names, "requests", *SECONDS], (
        [*(getattr(row, name) for name in names), len(row.sent), *(_seconds(kind, row) for kind in SECONDS)]
        for row in rows
    ))


def report_csv(report: Report) -> str:
    """A line for each measure of each arm: its value, the ends of its 95 % interval, and the calls it rests on."""
    return _table(["arm", "measure", "value", "low", "high", "n", "enough"], (
        [arm.name, name, one.value, one.low, one.high, one.n, one.enough]
        for arm in report.arms for name, one in arm.measures.items()
    ))


def _seconds(kind: str, row: Row) -> float | None:
    value = seconds_of(kind, row)
    return None if value is None or value == float("inf") else round(value, 6)


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _cell(value: object) -> object:
    """A value as it is, a name that a spreadsheet would run as a formula with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
