"""The input of a batch: a file, or a copy on disk of what comes from standard input or another pipe."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.batch import Source

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def open_source(given: str, template: str | None) -> Iterator[Source]:
    """The rows of a path or a URL, or of standard input for "-". A pipe is first copied to disk."""
    path = Path(given)
    if "://" in given:
        yield Source(given, template)
        return
    if given != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        yield Source(path, template)
        return
    with tempfile.NamedTemporaryFile(prefix="asyncrouter-", suffix=".jsonl") as file:
        with contextlib.nullcontext(sys.stdin.buffer) if given == "-" else path.open("rb") as pipe:
            shutil.copyfileobj(pipe, file)
        file.flush()
        yield Source(Path(file.name), template, "-")
