"""Rows and answers that can be read and hardly written: each fails alone, with its line, and the job goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import BadReply, Reply, Usage
from asyncrouter.batch import BatchError
from asyncrouter.batch._lines import answer_line
from asyncrouter.batch._rows import Row
from asyncrouter.files import json_bytes
from asyncrouter.sim import Act
from tests.helpers.batching import poisoned, read_lines, rows, run

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def nested(levels: int, inside: str = "[") -> bytes:
    opening, closing = (b"[", b"]") if inside == "[" else (b'{"a":', b"}")
    return opening * levels + b"1" + closing * levels


PLACES = {
    "metadata": b'{"id":"deep","prompt":"say deep","metadata":%b}',
    "content": b'{"id":"deep","messages":[{"role":"user","content":%b}]}',
    "tools": b'{"id":"deep","prompt":"say deep","params":{"tools":%b}}',
    "no id": b'{"prompt":"say deep","metadata":%b}',
    "openai": b'{"custom_id":"deep","method":"POST","url":"/v1/chat/completions","body":'
              b'{"model":"m","messages":[{"role":"user","content":"say deep"}],"x":%b}}',
}
"""Rows with a place for anything."""


def source_with(path: Path, row: bytes) -> Path:
    """Four good rows, and one among them."""
    lines = [json_bytes(each, line=True) for each in rows(4)]
    path.write_bytes(b"".join([*lines[:2], row + b"\n", *lines[2:]]))
    return path


@pytest.mark.parametrize("levels", [255, 300, 1000])
@pytest.mark.parametrize("inside", ["[", "{"])
@pytest.mark.parametrize("place", list(PLACES))
def test_a_row_that_is_nested_too_deep_fails_alone(
    clock: Clock, world: World, tmp_path: Path, place: str, inside: str, levels: int
) -> None:
    """The others are answered; the row is answered, or stands with its error among the failures; resuming works."""
    world.model("m", poisoned)
    source = source_with(tmp_path / "in.jsonl", PLACES[place] % nested(levels, inside))
    report = run(clock, world, source, tmp_path / "out.jsonl")
    answered = place in {"metadata", "no id"}
    assert (report.done, report.failed, report.left) == (5, 0, 0) if answered else (4, 1, 0)
    if not answered:
        [failure] = read_lines(tmp_path / "out.errors.jsonl")
        assert failure["_error"]["class"] in {"ValueError", "TypeError"}  # type: ignore[index]  # an object
        assert failure.get("id", failure.get("custom_id")) == "deep"
    again = run(clock, world, source, tmp_path / "out.jsonl")
    assert (again.skipped, again.done, again.failed) == ((5, 0, 0) if answered else (4, 0, 0))
    if not answered:  # the failures are a valid input
        other = run(clock, world, tmp_path / "out.errors.jsonl", tmp_path / "other.jsonl")
        assert (other.done, other.failed) == (0, 1)


@pytest.mark.parametrize("options", [{"ordered": True}, {"format": "openai"}, {"include_raw": True}])
def test_deep_rows_and_the_forms_of_a_line(
    clock: Clock, world: World, tmp_path: Path, options: dict[str, object]
) -> None:
    """Sorting, the form of the Batch API and raw answers make no difference."""
    world.model("m", poisoned)
    source = source_with(tmp_path / "in.jsonl", PLACES["metadata"] % nested(1000))
    report = run(clock, world, source, tmp_path / "out.jsonl", **options)
    assert (report.done, report.failed) == (5, 0)
    assert run(clock, world, source, tmp_path / "out.jsonl", **options).skipped == 5


@pytest.mark.parametrize("form", ["native", "openai"])
def test_an_answer_that_could_not_be_read_again_is_a_failure(form: str) -> None:
    """An answer at the limit of depth, in a line around it, would end every resume."""
    deep = orjson.loads(nested(1024))
    reply = Reply("x", _build_raw=lambda: {"deep": deep})
    with pytest.raises(BadReply, match="the answer cannot be written: nested deeper than 1,024 levels"):
        answer_line(Row(0, "r", "p", {}, {}), reply, form, 0.5, raw=True)  # type: ignore[arg-type]  # one of the two


@pytest.mark.parametrize("levels", [254, 300, 1000])
def test_a_deep_answer_is_written(levels: int) -> None:
    """What a provider nests deep goes into the line as it is, and can be read again."""
    deep = orjson.loads(nested(levels))
    reply = Reply("x", _build_raw=lambda: {"deep": deep})
    line = answer_line(Row(0, "r", "p", {}, {}), reply, "native", 0.5, raw=True)
    assert orjson.loads(line)["id"] == "r"
    assert nested(levels) in line


@pytest.mark.parametrize("count", [10**12, 2**63 - 1, 2**63, 2**64 - 1])
def test_counts_beyond_reason_fail_nothing(clock: Clock, world: World, tmp_path: Path, count: int) -> None:
    """A provider that counts more tokens than there are: no row, no sum and no report fails of it."""
    world.model("m", lambda seen, random: Act(text="x", usage=Usage(count, count, count, count)))
    source = source_with(tmp_path / "in.jsonl", b'{"id":"e","prompt":"x"}')
    report = run(clock, world, source, tmp_path / "out.jsonl")
    assert (report.done, report.failed) == (5, 0)
    assert report.input_tokens < 10**13
    orjson.dumps(report)


@pytest.mark.parametrize("text", ["a\\ud800b", "\\udc00", "x\\u0000\\u001b"])
@pytest.mark.parametrize("place", ["id", "prompt", "metadata"])
def test_rows_with_half_a_character(clock: Clock, world: World, tmp_path: Path, place: str, text: str) -> None:
    """Half a character is no JSON: the row is named before anything is sent. Control characters are answered."""
    world.model("m", poisoned)
    row = {"id": b'{"id":"%b","prompt":"x"}', "prompt": b'{"id":"e","prompt":"%b"}',
           "metadata": b'{"id":"e","prompt":"x","metadata":"%b"}'}[place] % text.encode()
    source = source_with(tmp_path / "in.jsonl", row)
    if "\\ud" in text:
        with pytest.raises(BatchError, match="line 3: is not JSON"):
            run(clock, world, source, tmp_path / "out.jsonl")
    else:
        assert run(clock, world, source, tmp_path / "out.jsonl", ordered=True).done == 5


# ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["out.jsonl", "out.errors.jsonl", "out.jsonl.batch.json"])
def test_nothing_is_written_through_a_link(clock: Clock, world: World, tmp_path: Path, name: str) -> None:
    """A link under the name of any file that a batch writes stops it before anything is sent."""
    world.model("m", poisoned)
    source = source_with(tmp_path / "in.jsonl", b'{"id":"e","prompt":"broken"}')
    precious = tmp_path / "precious"
    precious.write_text("")
    (tmp_path / name).symlink_to(precious)
    with pytest.raises(BatchError, match="symbolic link"):
        run(clock, world, source, tmp_path / "out.jsonl")
    assert precious.read_text() == ""
    assert not world.seen


@pytest.mark.parametrize("name", ["out.jsonl.batch.json.tmp", "out.jsonl.ordered.tmp"])
def test_names_that_can_be_guessed_are_not_used(clock: Clock, world: World, tmp_path: Path, name: str) -> None:
    """A link under a name that was used once for a half-written file is left alone, and so is its target."""
    world.model("m", poisoned)
    source = source_with(tmp_path / "in.jsonl", b'{"id":"e","prompt":"x"}')
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / name).symlink_to(precious)
    assert run(clock, world, source, tmp_path / "out.jsonl", ordered=True).done == 5
    assert precious.read_text() == "mine"
    assert (tmp_path / name).is_symlink()


def test_answers_are_as_private_as_the_umask(clock: Clock, world: World, tmp_path: Path) -> None:
    """With a umask of 077 nobody else reads an answer, a failure or the side file, sorted or not."""
    world.model("m", poisoned)
    source = source_with(tmp_path / "in.jsonl", b'{"id":"e","prompt":"filtered"}')
    before = os.umask(0o077)
    try:
        run(clock, world, source, tmp_path / "out.jsonl", ordered=True)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("out*")}
    assert modes == dict.fromkeys(("out.jsonl", "out.errors.jsonl", "out.jsonl.batch.json"), 0o600)
