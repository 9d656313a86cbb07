"""Files that commands write, and JSON of whatever can be read: for every door.

A file is never written through a symbolic link: in a checkout or a shared folder of somebody else's a link may stand
under the name that we are about to use, and lead to a file that only we may write. A file that replaces another is
written beside it under a name that nobody can guess. Its permissions are those of the file it replaces, or those of the
umask, so an answer is read by nobody who could not read it before.

A provider or a file of rows may nest values a thousand levels deep, which orjson reads and does not write, or halve a
character: `json_bytes` writes all that orjson reads, or raises `ValueError`.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
from dataclasses import fields, is_dataclass
from json import dumps as _dumps
from typing import IO, TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEEPEST = 1024
"""Levels of nesting that are written: orjson reads no more."""
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_OF_THE_SYSTEM = ("/dev/", "/proc/")
"""Links in these folders are the system's, such as /dev/stdout."""


def open_to_append(path: Path) -> int:
    """A descriptor of a file to append to, made if need be. Raises `OSError`, also for a symbolic link."""
    _check_link(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | _no_follow(path)
    return os.open(path, flags, 0o666)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` in one step when the block ends well; else nothing has changed.

    Raises `OSError`, also where `path` is a symbolic link.
    """
    _check_link(path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode) & 0o777
    except FileNotFoundError:
        mode = 0o666
    half = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.tmp")
    file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | _NO_FOLLOW, mode)
    try:
        with os.fdopen(file, "wb") as opened:
            yield opened
        os.replace(half, path)
    except BaseException:
        with contextlib.suppress(OSError):
            half.unlink()
        raise


def json_bytes(value: object, *, line: bool = False) -> bytes:
    """The value as JSON; with `line` a newline is appended. What JSON does not know is written as its `str`.

    Raises `ValueError` for what is nested deeper than 1,024 levels.
    """
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_APPEND_NEWLINE if line else None)
    except (TypeError, RecursionError):  # deep, an integer of more than 64 bits, or half a character
        return "".join([*_pieces(value), "\n" if line else ""]).encode()


def _plain(value: object) -> float | str:
    return float(value) if isinstance(value, float) else str(value)  # orjson does not know a class derived from float


def ascii_json(value: object) -> bytes:
    """The same in ASCII, all other characters as escapes: a terminal that shows it obeys none of them."""
    written = json_bytes(value)
    if written.isascii() and b"\x7f" not in written:
        return written
    return "".join(_pieces(orjson.loads(written), _quoted)).encode()


def _pieces(value: object, quote: Callable[[str], str] | None = None) -> Iterator[str]:
    """The JSON of a value, piece by piece, without recursion."""
    quote = quote or _mended
    opened: list[tuple[Iterator[tuple[str, object]], str]] = [(iter([("", value)]), "")]
    while opened:
        members, end = opened[-1]
        for before, inner in members:
            yield before
            if is_dataclass(inner):
                inner = {field.name: getattr(inner, field.name) for field in fields(inner)}
            if isinstance(inner, dict):
                opened.append((_fields(inner, quote), "}"))
                yield "{"
                break
            if isinstance(inner, (list, tuple)):
                opened.append((_items(inner), "]"))
                yield "["
                break
            yield _scalar(inner, quote)
        else:
            yield end
            opened.pop()
        if len(opened) > DEEPEST + 1:
            raise ValueError(f"nested deeper than {DEEPEST:,} levels")


def _fields(given: dict[object, object], quote: Callable[[str], str]) -> Iterator[tuple[str, object]]:
    for number, (name, value) in enumerate(given.items()):
        yield f"{',' if number else ''}{quote(str(name))}:", value


def _items(given: list[object] | tuple[object, ...]) -> Iterator[tuple[str, object]]:
    for number, value in enumerate(given):
        yield "," if number else "", value


def _scalar(value: object, quote: Callable[[str], str]) -> str:
    if value is None or isinstance(value, bool):
        return _dumps(value)
    if isinstance(value, int):
        return _dumps(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    return quote(value if isinstance(value, str) else str(value))


def _mended(text: str) -> str:
    """A text as JSON, with U+FFFD for half a character."""
    return _dumps(_whole(text), ensure_ascii=False)


def _quoted(text: str) -> str:
    return _dumps(_whole(text)).replace("\x7f", "\\u007f")


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _no_follow(path: Path) -> int:
    return 0 if str(path).startswith(_OF_THE_SYSTEM) else _NO_FOLLOW


def _check_link(path: Path) -> None:
    """Raise `OSError` for a symbolic link, with words that say so: the system's are about too many of them."""
    if path.is_symlink() and _no_follow(path):
        raise OSError(errno.ELOOP, "is a symbolic link, and links are not written through: name the file", str(path))
