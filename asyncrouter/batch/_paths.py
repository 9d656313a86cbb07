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


def check_paths(source: Path, out: Path | None, err: Path) -> None:
    """Raise `BatchError` if two paths are one file, the output is compressed, or the input can be read only once."""
    if out is not None and out.suffix in COMPRESSED:
        raise BatchError(f"{out}: an output that can be resumed is plain JSON lines: leave {out.suffix} out")
    if source.exists() and not source.is_file() and not source.is_dir():  # reading says it of a directory
        raise BatchError(f"{source}: can be read only once, and a batch reads its input twice: put it into a file")
    named = [("input", source), *([("output", out)] if out is not None else []), ("errors file", err)]
    for index, (what, path) in enumerate(named):
        for other, elsewhere in named[index + 1 :]:
            if _is_same(path, elsewhere):
                raise BatchError(f"{elsewhere}: is the {what} as well as the {other}: name another {other}")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) and one.is_file()
    except OSError:  # one of them does not exist yet
        return one.absolute() == other.absolute()


def file_state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file, which tell whether it is as it was; `None` if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
