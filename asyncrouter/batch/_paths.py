"""Which files a batch reads and writes, and that no two of them are one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._source import PACKED

if TYPE_CHECKING:
    import os


def errors_path(out: Path | None, errors: str | os.PathLike[str] | None) -> Path:
    """Where the failures go."""
    if errors is not None:
        return Path(errors)
    if out is None or (out.exists() and not out.is_file()):
        return Path("batch.errors.jsonl")
    return out.with_name(f"{out.stem if out.suffix == '.jsonl' else out.name}.errors.jsonl")


def check_paths(source: Path, out: Path | None, err: Path) -> None:
    """No file may be two things. Raises `BatchError`."""
    if out is not None and out.suffix in PACKED:
        raise BatchError(f"{out}: an output that can be resumed is plain JSON lines: leave {out.suffix} out")
    if source.exists() and not source.is_file() and not source.is_dir():  # a directory says so when it is read
        raise BatchError(f"{source}: can be read only once, and a batch reads its input twice: put it into a file")
    named = [("input", source), *([("output", out)] if out is not None else []), ("errors file", err)]
    for index, (what, path) in enumerate(named):
        for other, elsewhere in named[index + 1 :]:
            if _same(path, elsewhere):
                raise BatchError(f"{elsewhere}: is the {what} as well as the {other}: name another {other}")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) and one.is_file()
    except OSError:
        return one.absolute() == other.absolute()
