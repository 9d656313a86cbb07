"""The files that a batch reads and writes, and the check that no two of them are the same file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._source import COMPRESSED

if TYPE_CHECKING:
    import os


def errors_path(out: Path | None, errors: str | os.PathLike[str] | None) -> Path:
    """The path of the errors file: the one given, else beside the output, else in the working directory."""
    if errors is not None:
        return Path(errors)
    if out is None or (out.exists() and not out.is_file()):
        return Path("batch.errors.jsonl")
    return out.with_name(f"{out.stem if out.suffix == '.jsonl' else out.name}.errors.jsonl")


def check_paths(source: Path | None, out: Path | None, err: Path, table: Path | None = None) -> None:
    """Raise `BatchError` if two paths are one file, the output is compressed, or the input can be read only once.

    `source` is `None` for an input that is not on this machine; `table` is made of the output.
    """
    if out is not None and out.suffix in COMPRESSED:
        raise BatchError(f"{out}: an output that can be resumed is plain JSON lines: leave {out.suffix} out")
    # Reading says it of a directory.
    if source is not None and source.exists() and not source.is_file() and not source.is_dir():
        raise BatchError(f"{source}: can be read only once, and a batch reads its input twice: put it into a file")
    all_paths = (("input", source), ("output", table), ("output", out), ("errors file", err))
    named = [(what, path) for what, path in all_paths if path is not None]
    for index, (what, path) in enumerate(named):
        for other, elsewhere in named[index + 1 :]:
            if _is_same(path, elsewhere):
                raise BatchError(f"{elsewhere}: is the {what} as well as the {other}: name another {other}")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) and one.is_file()
    except OSError:  # one of them does not exist yet
        return one.absolute() == other.absolute()
