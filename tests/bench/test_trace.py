"""`JsonlTrace`: what a service records of its calls, and how that is read."""

from __future__ import annotations

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


def test_recording_needs_neither_numpy_nor_plotly() -> None:
    """A service that records installs nothing for it."""
    code = "import sys, asyncrouter.bench\nassert not {'numpy', 'plotly', 'asyncrouter.sim'} & set(sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
