"""Files that are written without following links, and JSON of whatever can be read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter.files import ascii_json, json_bytes, open_to_append, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Point:
    """A record."""

    x: int
    name: object


def nested(levels: int, kind: str = "list") -> object:
    value: object = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize("kind", ["list", "dict"])
@pytest.mark.parametrize("levels", [1, 254, 255, 300, 1000, 1024])
def test_what_orjson_reads_is_written(levels: int, kind: str) -> None:
    """As deep as orjson reads, in lists and objects, and it can be read again."""
    opening, closing = (b"[", b"]") if kind == "list" else (b'{"a":', b"}")
    written = json_bytes(nested(levels, kind))
    orjson.loads(written)
    assert written == opening * levels + b"1" + closing * levels


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_what_could_not_be_read_again_is_not_written(kind: str) -> None:
    """One level more is an error, which names the limit."""
    with pytest.raises(ValueError, match="nested deeper than 1,024 levels"):
        json_bytes(nested(1025, kind))


@pytest.mark.parametrize(("value", "written"), [
    ({"n": 2**64}, b'{"n":18446744073709551616}'),
    ({"n": -(2**70)}, b'{"n":-1180591620717411303424}'),
    (["\ud83d\ude00", "a\ud800b"], "[\"\U0001f600\",\"a\ufffdb\"]".encode()),
    ({"\udc00": 1, 2: None}, "{\"\ufffd\":1,\"2\":null}".encode()),
    ([2**64, float("nan"), float("inf"), 1.5, True], b"[18446744073709551616,null,null,1.5,true]"),
    ([2**64, Point(1, "\ud800"), (1, 2)], "[18446744073709551616,{\"x\":1,\"name\":\"\ufffd\"},[1,2]]".encode()),
    ([2**64, {1}], b'[18446744073709551616,"{1}"]'),
    ([], b"[]"),
    ({}, b"{}"),
])
def test_what_orjson_refuses_is_written(value: object, written: bytes) -> None:
    """Integers of more than 64 bits, halves of characters, other keys; NaN is null, what is unknown is its text."""
    assert json_bytes(value) == written
    orjson.loads(written)


def test_a_circle_is_an_error() -> None:
    """A list that holds itself ends in the error for depth."""
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="nested deeper"):
        json_bytes(circle)


def test_a_line_ends_once() -> None:
    """With `line` there is one newline, whichever way it is written."""
    assert json_bytes({"a": 1}, line=True) == b'{"a":1}\n'
    assert json_bytes({"a": 2**64}, line=True) == b'{"a":18446744073709551616}\n'


def test_json_in_ascii_holds_no_control_character() -> None:
    """Everything else is an escape, and reads as it was."""
    value = {"é\x1b\x7f": ["\x9b\u202e\U0001f600", 1.5, None, Point(1, "\x85")]}
    written = ascii_json(value)
    assert written.isascii()
    assert not set(range(0x20)) & set(written)
    assert 0x7F not in written
    assert orjson.loads(written) == {"é\x1b\x7f": ["\x9b\u202e\U0001f600", 1.5, None, {"x": 1, "name": "\x85"}]}


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_appended_through_a_link(tmp_path: Path, there: bool) -> None:
    """A symbolic link is refused, whether its target exists or not, and the target stays as it is."""
    target = tmp_path / "precious"
    if there:
        target.write_text("mine")
    (tmp_path / "out.jsonl").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        open_to_append(tmp_path / "out.jsonl")
    assert target.exists() is there


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_replaced_through_a_link(tmp_path: Path, there: bool) -> None:
    """Nor is a link replaced: whoever put it there expects to find it."""
    target = tmp_path / "precious"
    if there:
        target.write_text("mine")
    (tmp_path / "report.json").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), replacing(tmp_path / "report.json") as file:
        file.write(b"new")
    assert (target.read_text() if there else target.exists()) == ("mine" if there else False)
    assert sorted(path.name for path in tmp_path.iterdir() if path != target) == ["report.json"]


def test_the_systems_links_are_followed() -> None:
    """/dev/stdout and its like are links, too."""
    os.close(open_to_append_of_the_system())


def open_to_append_of_the_system() -> int:
    from pathlib import Path

    return open_to_append(Path("/dev/null"))


def test_a_file_that_is_replaced_is_whole_or_as_before(tmp_path: Path) -> None:
    """An exception in the block leaves the old file, and nothing beside it."""
    path = tmp_path / "side.json"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["side.json"]


def test_the_name_of_the_new_file_cannot_be_guessed(tmp_path: Path) -> None:
    """Two replacements go through two names, neither of which follows from the path."""
    seen = []
    for _ in range(2):
        with replacing(tmp_path / "out"):
            seen += [each.name for each in tmp_path.iterdir() if each.name != "out"]
    assert len(set(seen)) == 2
    assert all(name.startswith(".out.") and len(name) == len(".out..tmp") + 16 for name in seen)


@pytest.mark.usefixtures("_open_umask")
def test_permissions_are_the_umasks(tmp_path: Path) -> None:
    """A new file has what the umask leaves; one that is replaced never gets more than it had."""
    os.close(open_to_append(tmp_path / "appended"))
    with replacing(tmp_path / "new"):
        pass
    private = tmp_path / "private"
    private.write_bytes(b"")
    private.chmod(0o600)
    with replacing(private):
        pass
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"appended": 0o640, "new": 0o640, "private": 0o600}
