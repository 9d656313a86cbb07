"""Data sets: the prompts of a run, read from files. `dataset_rows` says which rows are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from asyncrouter.bench.dataset_rows import read_row
from asyncrouter.bench.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

SEPARATOR = "---"
"""The line between two prompts of one text file."""
TEXTS = {".txt", ".md"}
"""The suffixes of the files of a directory that are prompts; others are passed over."""


def read_dataset(path: str | Path, *, separator: str = SEPARATOR) -> list[Sample]:
    """The samples of a file or a directory, in their order; in a directory, by the files' names.

    - JSON lines (`.jsonl`, or a file that begins with `{`): one row a line;
    - a JSON array (a file that begins with `[`): ShareGPT, or rows of any other form;
    - a directory: each `.txt` or `.md` file is a prompt of as many lines as it has;
    - any other file: prompts of many lines, with a line that is just `separator` between two of them.

    ShareGPT conversations without an answer are left out. Raises `ValueError`, with file and row, for what is none of
    these or has no prompt at all, `OSError` for what cannot be read.
    """
    source = Path(path)
    samples = [sample for sample in _samples(source, separator) if sample is not None]
    if not samples:
        raise ValueError(f"{source}: no prompt in it")
    return samples


def _samples(source: Path, separator: str) -> Iterator[Sample | None]:
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if file.suffix in TEXTS and file.is_file())
        if not files:
            raise ValueError(f"{source}: expected a prompt in each .txt or .md file, there is none")
        yield from (_of_file(file) for file in files)
        return
    text = _read(source)
    if text.lstrip().startswith("["):
        for number, row in enumerate(_json_array(source, text), 1):
            yield read_row(row, f"{source} row {number}")
    elif source.suffix in {".jsonl", ".ndjson"} or text.lstrip().startswith("{"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield read_row(_json_line(source, number, line), f"{source} line {number}")
    else:
        yield from _separated(source, text, separator)


def _of_file(file: Path) -> Sample:
    text = _read(file).strip()
    if not text:
        raise ValueError(f"{file}: the prompt is empty")
    return Sample(prompt=text, id=file.stem)


def _separated(source: Path, text: str, separator: str) -> Iterator[Sample]:
    """The parts of a text between the lines that are the separator; empty ones are left out."""
    lines: list[str] = []
    number = 0
    for line in [*text.splitlines(), separator]:
        if line.strip() != separator:
            lines.append(line)
            continue
        if part := "\n".join(lines).strip():
            number += 1
            yield Sample(prompt=part, id=f"{source.stem}-{number}")
        lines.clear()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{file}: expected UTF-8 ({wrong})") from None


def _json_array(source: Path, text: str) -> list[object]:
    try:
        rows = orjson.loads(text)
    except ValueError as wrong:
        raise ValueError(f"{source}: begins like a JSON array, and is none: {wrong}") from None
    assert isinstance(rows, list)
    return rows


def _json_line(source: Path, number: int, line: str) -> object:
    try:
        return orjson.loads(line)
    except ValueError as wrong:
        raise ValueError(f"{source} line {number}: expected a JSON object on each line: {wrong}") from None
