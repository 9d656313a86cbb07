"""What a service records of its calls, and how it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Router
from asyncrouter.bench import JsonlTrace, read_trace
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from pathlib import Path


def record(path: Path, clock: Clock, world: World, *prompts: str) -> None:
    async def scene() -> None:
        with JsonlTrace(path) as trace:
            transport = world.transport()
            async with Router(world.config(), transport=transport, listeners=[trace], wall=clock.wall) as router:
                for prompt in prompts:
                    try:
                        await router.chat(prompt, chain=["a", "b"], retry={"attempts": 1}, tags={"user": "planted-tag"})
                    except AllModelsFailed:
                        continue

    clock.run(scene())


def test_calls_are_recorded_with_their_attempts(tmp_path: Path, clock: Clock, world: World) -> None:
    """One line a call: models, causes, outcomes and clocks; answered or not."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(first_token=1.0), Act(status=400))
    record(tmp_path / "t.jsonl", clock, world, "x", "y")
    first, second = read_trace(tmp_path / "t.jsonl")

    assert (first.seconds, first.error, second.error) == (1.5, None, "AllModelsFailed")
    assert [
        (one.model, one.cause, one.outcome, one.error, one.ended) for one in first.attempts
    ] == [("a", "first", "failed", "ServerFailed", 0.5), ("b", "fallback", "won", None, 1.5)]
    assert second.started == first.started + 1.5


def test_no_text_is_recorded(tmp_path: Path, clock: Clock, world: World) -> None:
    """Neither prompt, answer nor tags, nor what a provider says, which may quote them."""
    world.model("a", Act(status=400, message="planted-words"))
    world.model("b", Act(text="planted-answer"))
    record(tmp_path / "t.jsonl", clock, world, "planted-prompt")

    assert b"planted" not in (tmp_path / "t.jsonl").read_bytes()


def test_a_recording_goes_on(tmp_path: Path, clock: Clock, world: World) -> None:
    """A second service, or the same one later, appends; calls come back in the order in which they began."""
    record(tmp_path / "t.jsonl", clock, world.model("a", Act()) and world, "x")
    record(tmp_path / "t.jsonl", clock, world, "y", "z")

    assert len(read_trace(tmp_path / "t.jsonl")) == 3


def test_a_line_cut_short_at_the_end_is_passed_over(tmp_path: Path, clock: Clock, world: World) -> None:
    """A process that was killed loses its last line, not the recording; any other bad line is named."""
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
    """A service installs nothing for it."""
    import subprocess
    import sys

    code = "import sys, asyncrouter.bench\nassert not {'numpy', 'plotly', 'asyncrouter.sim'} & set(sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
