"""Files on this machine, and elsewhere through fsspec: `s3://bucket/in.parquet`, `gs://…`, `memory://…`."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from asyncrouter.batch._errors import BatchError
from asyncrouter.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")
_STATE = ("size", "ETag", "etag", "md5Hash", "mtime", "LastModified", "created", "generation")
"""What file systems tell of a file that changes with its content."""


def is_remote(location: str) -> bool:
    """Whether this is a URL, and not a path."""
    return _URL.match(location) is not None


def check_url(location: str) -> None:
    """Raise `BatchError` for a URL that nothing here can open; nothing is sent."""
    with _fsspec(location) as fsspec:
        fsspec.core.url_to_fs(location)


def open_to_read(location: str) -> IO[bytes]:
    """The file, opened to read. Raises `OSError`, and `BatchError` for a URL that nothing here can open."""
    if not is_remote(location):
        return Path(location).open("rb")
    with _fsspec(location) as fsspec:
        return cast("IO[bytes]", fsspec.open(location, "rb").open())


def state_of(location: str) -> tuple[str, ...] | None:
    """What tells whether a file is as it was: its size, and when it was changed; `None` if there is no file."""
    try:
        if not is_remote(location):
            state = Path(location).stat()
            return str(state.st_size), str(state.st_mtime_ns)
        with _fsspec(location) as fsspec:
            info = fsspec.open(location).fs.info(location)
            return tuple(str(info[name]) for name in _STATE if name in info)
    except OSError:
        return None


@contextmanager
def writing(location: str) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `location` when the block ends well; else nothing has changed.

    Elsewhere it is written to a temporary file here first. Raises `OSError` and `BatchError`.
    """
    if not is_remote(location):
        with replacing(Path(location)) as file:
            yield file
        return
    with tempfile.NamedTemporaryFile(prefix="asyncrouter-") as local:
        yield cast("IO[bytes]", local)
        local.flush()
        with _fsspec(location) as fsspec:
            fsspec.open(location).fs.put_file(local.name, location)


@contextmanager
def _fsspec(location: str) -> Iterator[Any]:
    """The module `fsspec`. Raises `BatchError` without it, and where it cannot open such a URL."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise BatchError(f"{location}: a URL needs a package: pip install 'asyncrouter[parquet]'") from None
    try:
        yield fsspec
    except (ImportError, ValueError) as error:  # no package for this protocol, or no such protocol
        raise BatchError(f"{location}: {error}") from None
