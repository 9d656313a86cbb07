"""`JsonlTrace`: what a service records of its calls, and how that is read."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Router
from asyncrouter.bench import JsonlTrace, read_trace
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from pathlib import Path


def record(path: Path, clock: Clock, world: World, *prompts: str) -> None:
    async def main() -> None:
        with JsonlTrace(path) as trace:
            transport = world.transport()
            async with Router(world.config(), transport=transport, listeners=[trace], wall=clock.wall) as router:
                for prompt in prompts:
                    try:
                        await router.chat(prompt, chain=["a", "b"], retry={"attempts": 1}, tags={"user": "planted-tag"})
                    except AllModelsFailed:
                        continue

    clock.run(main())


def test_calls_are_recorded_with_their_attempts(tmp_path: Path, clock: Clock, world: World) -> None:
    """There is one line a call, answered or not, with the models, causes, outcomes and times of its attempts."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(first_token=1.0), Act(status=400))
    record(tmp_path / "t.jsonl", clock, world, "x", "y")
    first, second = read_trace(tmp_path / "t.jsonl")

    assert (first.seconds, first.error, second.error) == (1.5, None, "AllModelsFailed")
    assert [(one.model, one.cause, one.outcome, one.error, one.ended) for one in first.attempts] == [
        ("a", "first", "failed", "ServerFailed", 0.5), ("b", "fallback", "won", None, 1.5),
    ]
    assert second.started == first.started + 1.5


def test_no_text_is_recorded(tmp_path: Path, clock: Clock, world: World) -> None:
    """Neither prompt nor answer nor tags are in the file, nor a provider's message, which may quote them."""
    world.model("a", Act(status=400, message="planted-words"))
    world.model("b", Act(text="planted-answer"))
    record(tmp_path / "t.jsonl", clock, world, "planted-prompt")

    assert b"planted" not in (tmp_path / "t.jsonl").read_bytes()


def test_a_recording_can_be_continued(tmp_path: Path, clock: Clock, world: World) -> None:
    """A second service, or the same one later, appends to the file."""
    record(tmp_path / "t.jsonl", clock, world.model("a", Act()) and world, "x")
    record(tmp_path / "t.jsonl", clock, world, "y", "z")

    assert len(read_trace(tmp_path / "t.jsonl")) == 3


def test_an_incomplete_last_line_is_ignored(tmp_path: Path, clock: Clock, world: World) -> None:
    """A process that was killed loses its last line, not the recording; any other bad line is an error."""
    world.model("a", Act())
    path = tmp_path / "t.jsonl"
    record(path, clock, world, "x", "y")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])

    assert len(read_trace(path)) == 1
    path.write_bytes(b"not json\n" + whole)
    with pytest.raises(ValueError, match=r"t\.jsonl:1"):
        read_trace(path)


def test_another_kind_of_file_is_told_what_writes_a_recording(tmp_path: Path) -> None:
    """A line of `requests.jsonl`, for example: the error names the listener that records calls."""
    (tmp_path / "t.jsonl").write_text('{"arm":"plain","call":0}\n')

    with pytest.raises(ValueError, match=r"t\.jsonl:1: no recorded call .*; a listener `JsonlTrace` writes"):
        read_trace(tmp_path / "t.jsonl")


def test_recording_needs_neither_numpy_nor_plotly() -> None:
    """A service that records installs nothing for it."""
    code = "import sys, asyncrouter.bench\nassert not {'numpy', 'plotly', 'asyncrouter.sim'} & set(sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("cut", [1, 5, 30, -3])
def test_half_a_line_anywhere_is_skipped_and_counted(
    tmp_path: Path, clock: Clock, world: World, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk leaves half a line in the middle, with or without the next one right behind it: all others count."""
    world.model("a", Act())
    path = tmp_path / "t.jsonl"
    record(path, clock, world, "x", "y", "z")
    first, second, third = path.read_bytes().splitlines(keepends=True)

    path.write_bytes(first + second[:cut] + b"\n" + third)
    assert (len(read_trace(path)), read_trace(path).skipped) == (2, 1)
    path.write_bytes(first + second[:cut] + third)
    assert (len(read_trace(path)), read_trace(path).skipped) == (2, 1)
    path.write_bytes(first + second + third[:cut])
    assert (len(read_trace(path)), read_trace(path).skipped) == (2, 1)
    assert caplog.messages[0] == f"{path}: 1 incomplete line(s) skipped: the disk was full, or a process killed"


def test_a_whole_recording_has_nothing_skipped(tmp_path: Path, clock: Clock, world: World) -> None:
    """Nothing is counted, and nothing is warned about."""
    world.model("a", Act())
    path = tmp_path / "t.jsonl"
    record(path, clock, world, "x")

    assert read_trace(path).skipped == 0


def test_after_half_a_line_the_next_one_begins_anew(
    tmp_path: Path, clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a disk that was full has room again, what is recorded then is whole, in this process and in the next one."""
    world.model("a", Act())
    path = tmp_path / "t.jsonl"
    write, room = os.write, [100]

    def short_of_room(file: int, data: bytes) -> int:
        return write(file, data[: room.pop()] if room else data)

    monkeypatch.setattr("asyncrouter.bench.trace.os.write", short_of_room)
    record(path, clock, world, "x", "y")
    assert (len(read_trace(path)), read_trace(path).skipped) == (1, 1)

    room.append(50)
    record(path, clock, world, "z")
    record(path, clock, world, "x")
    assert (len(read_trace(path)), read_trace(path).skipped) == (2, 2)


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_recorded_through_a_link(tmp_path: Path, there: bool) -> None:
    """A symbolic link is refused: it may lead anywhere."""
    target = tmp_path / "precious"
    if there:
        target.write_text("mine")
    (tmp_path / "t.jsonl").symlink_to(target)

    with pytest.raises(OSError, match="symbolic link"):
        JsonlTrace(tmp_path / "t.jsonl")
    assert (target.read_text() if there else target.exists()) == ("mine" if there else False)
