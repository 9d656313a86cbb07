"""Reads fetched results line by line, so that a file of any length takes the memory of its longest line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """The objects of a file of JSON lines, in order. What is no object is left out: its row is asked again.

    Raises `ValueError` for a last line that is not whole: the file was cut, and is fetched again.
    """
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record: object = orjson.loads(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    raise ValueError(f"{path.name}: ends in the middle of a line") from None
                continue
            if isinstance(record, dict):
                yield record
