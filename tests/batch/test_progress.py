"""Progress that a person can trust at a glance: what failed, what it waits for, that it stops."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.cli import _batch_output
from asyncrouter.cli._batch_output import progress_display, progress_line, render
from asyncrouter.sim import Act
from tests.batch.test_command import PROGRESS
from tests.helpers.batching import poisoned, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch import Progress
    from asyncrouter.sim import Clock, World


def waited_for(clock: Clock, world: World, tmp_path: Path, **options: object) -> dict[int, str | None]:
    """What a run of 100 rows waited for, by the whole second."""
    seen: list[Progress] = []
    source = write_lines(tmp_path / "in", rows(100))
    run(clock, world, source, tmp_path / "out", progress=seen.append, **options)
    return {int(each.seconds): each.waiting_for for each in seen if each.seconds % 1 == 0}


def test_a_server_that_is_down_is_named_with_its_failure(clock: Clock, world: World, tmp_path: Path) -> None:
    """While nobody answers, progress says so: since when, why, when it asks again, when it gives up."""
    world.model("m", Act(first_token=1.0))
    world.rule(lambda seen, _: Act(fault="refuse") if 2 <= seen.at < 30 else None)

    found = waited_for(clock, world, tmp_path)

    assert found[1] is None
    assert found[20] == (
        "nobody answers, for 18 s now: m: connection refused; asking again in 5 s, giving up in 30 min"
    )
    assert found[max(found)] is None


def test_a_limit_is_named_with_its_model(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where the rows queue for a limit, progress names the model, the limit and the queue."""
    world.model("m", Act(first_token=0.1))

    found = waited_for(
        clock, world, tmp_path, config={"models": {"m": {"provider": "sim", "id": "m", "rpm": 60}}}
    )

    assert found[40] is not None
    assert found[40].startswith("the limit of m, 58.8 requests a minute: ")
    assert found[40].endswith(" rows wait for their turn")


def test_rate_limits_from_the_provider(clock: Clock, world: World, tmp_path: Path) -> None:
    """A provider that turns everything down for a while is named with its words."""
    world.model("m", Act(first_token=0.1))
    world.rule(lambda seen, _: Act(why="rate_limit", retry_after=30) if seen.at < 20 else None)

    found = waited_for(clock, world, tmp_path)

    assert found[15] == "no answer for 15 s: m: held for 15.00 s more: Rate limit reached for requests."


def test_answers_that_take_long_are_no_outage(clock: Clock, world: World, tmp_path: Path) -> None:
    """Requests that are on the wire for long are said to be that."""
    world.model("m", Act(first_token=100.0))

    found = waited_for(clock, world, tmp_path)

    assert (found[5], found[60]) == (
        None, "answers that take long: 16 requests on the wire, no answer for 60 s"
    )


def test_failures_by_kind_and_what_stops_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """Progress counts failed rows by class while it runs, and says that it stops, and why."""
    world.model("m", poisoned)
    given = [{"id": n, "prompt": "malformed" if n % 10 == 0 else f"say {n}"} for n in range(400)]
    source, seen, stop = write_lines(tmp_path / "in", given), list[batch.Progress](), asyncio.Event()

    def look(progress: Progress) -> None:
        seen.append(progress)
        if progress.seconds >= 1.0:
            stop.set()

    async def scenario() -> None:
        async with router_of(world) as router:
            await batch.run(router, source, tmp_path / "out", progress=look, stop=stop, concurrency=8)

    clock.run(scenario())
    assert seen[2].errors == {"Rejected": seen[2].failed}
    assert (seen[0].stopping, seen[-1].stopping) == (None, "interrupted")


@pytest.mark.parametrize(("changes", "line"), [
    ({"errors": {"Refused": 1, "Rejected": 2}}, "; failed rows: 2 Rejected, 1 Refused"),
    ({"waiting_for": "nobody answers: gone"}, "; WAITING: nobody answers: gone"),
    ({"waiting_for": "x", "stopping": "interrupted"},
     "; STOPPING: 64 rows in flight are finished; Ctrl-C again cancels them"),
    ({"stopping": "the budget is spent"}, "; STOPPING: 64 rows in flight are finished; the budget is spent"),
])
def test_what_the_line_says_beside_the_numbers(changes: dict[str, object], line: str) -> None:
    """Failures by kind, what it waits for, and that it stops, stand on the line of a log and on a terminal."""
    from rich.console import Console

    progress = replace(PROGRESS, **changes)  # type: ignore[arg-type]  # fields of it
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(render(progress))

    assert line[2:] in captured.get()
    assert progress_line(progress) == progress_line(PROGRESS) + line


def test_a_log_has_a_line_at_once_when_the_state_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal there is a line every five seconds, and one at once when it begins or ends to wait."""
    now = 0.0
    monkeypatch.setattr(_batch_output.time, "monotonic", lambda: now)
    with progress_display("plain") as display:
        assert display is not None
        for now in (0.0, 1.0, 2.0, 2.25, 3.0, 8.5, 9.0):
            display(replace(PROGRESS, done=int(now * 4), waiting_for="x" if now in {2.0, 2.25} else None))

    written = [line.split(" ")[0] for line in capsys.readouterr().err.splitlines()]
    assert written == ["100", "108", "112", "134"]


def test_an_error_cannot_write_to_the_terminal() -> None:
    """Control characters in what a provider says are shown, not obeyed."""
    assert "\x1b" not in progress_line(replace(PROGRESS, waiting_for="a\x1b[2Jb"))
