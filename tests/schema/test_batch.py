"""Structured answers of a batch: every row is checked, and the lines of the output have the values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import NotAccepted, Reply, batch
from asyncrouter.batch import BatchError, InvalidInput
from asyncrouter.sim import Act
from tests.helpers.batching import read_lines, router_of, rows, run, write_lines
from tests.helpers.shapes import BAD, ENVELOPE, GOOD, INVOICE, Film, Invoice, Line, Point, Shelf
from tests.schema.test_texts import Times

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from asyncrouter.sim import Clock, World

CHAIN = {"tasks": {"default": ["a", "b"]}}
AS_JSON = {"number": "A-1", "lines": [{"amount": 3}]}


@pytest.mark.parametrize(("shape", "text", "parsed"), [
    (Invoice, GOOD, AS_JSON), (INVOICE, GOOD, AS_JSON), (ENVELOPE, f"```json\n{GOOD}\n```", AS_JSON),
    (Point, '{"x": 1}', {"x": 1, "y": 0.0, "tags": []}), (Shelf, '{"owner": "me"}', {"owner": "me"}),
    (Times, '{"day": "2026-11-30"}', {"day": "2026-11-30", "at": None, "took": None, "name": "", "price": "0",
                                      "id": None, "ratio": 0.0, "done": False}),
])
def test_run(clock: Clock, world: World, tmp_path: Path, shape: object, text: str, parsed: object) -> None:
    """An answer that does not fit moves on to the next model; the line has the value as JSON."""
    world.model("a", Act(text="no"))
    world.model("b", Act(text=text))
    report = run(clock, world, write_lines(tmp_path / "in", rows(2)), tmp_path / "out", config=CHAIN,
                 response_format=shape)

    assert (report.done, report.failed) == (2, 0)
    lines = read_lines(tmp_path / "out")
    assert [line["parsed"] for line in lines] == [parsed, parsed]
    assert [line["text"] for line in lines] == [text, text]


def test_run_without_an_answer_that_fits(clock: Clock, world: World, tmp_path: Path) -> None:
    """The failure has the reason and the place, and is not worth a retry."""
    for name in ("a", "b"):
        world.model(name, Act(text=BAD))
    report = run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out", config=CHAIN,
                 response_format=INVOICE)

    assert (report.done, report.failed) == (0, 1)
    [line] = read_lines(tmp_path / "out.errors.jsonl")
    error: Any = line["_error"]
    assert (error["class"], error["retryable"]) == ("NotAccepted", False)
    assert 'lines[0].amount: expected integer, got "3"' in error["message"]


def test_map(clock: Clock, world: World) -> None:
    """A result is a reply with its value, or the error that says why there is none."""
    world.model("m", Act(text=GOOD), Act(text=BAD))

    async def main() -> list[object]:
        async with router_of(world) as router:
            results = batch.map(router, ["x", "y"], concurrency=1, response_format=Invoice)
            return [result.parsed if isinstance(result, Reply) else result async for _, result in results]

    value, error = clock.run(main())
    assert value == Invoice(number="A-1", lines=[Line(amount=3)])
    assert isinstance(error.errors[0], NotAccepted)  # type: ignore[attr-defined]


OPENAI_ROW = {"custom_id": "1", "body": {
    "model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": ENVELOPE}}


@pytest.mark.parametrize("row", [
    {"id": "1", "prompt": "x", "response_format": ENVELOPE}, {"id": "1", "prompt": "x", "response_format": INVOICE},
    OPENAI_ROW,
])
@pytest.mark.parametrize("text", [GOOD, BAD])
def test_a_rows_own_format(clock: Clock, world: World, tmp_path: Path, row: dict[str, object], text: str) -> None:
    """It is checked as well, and goes before the one for all rows."""
    world.model("m", Act(text=text))
    report = run(clock, world, write_lines(tmp_path / "in", [row]), tmp_path / "out", response_format=Film)

    assert (report.done, report.failed) == ((1, 0) if text == GOOD else (0, 1))


def test_a_rows_params_are_the_providers(clock: Clock, world: World, tmp_path: Path) -> None:
    """What stands in them is not checked."""
    world.model("m", Act(text="no"))
    row = {"id": "1", "prompt": "x", "params": {"response_format": ENVELOPE}}
    run(clock, world, write_lines(tmp_path / "in", [row]), tmp_path / "out")

    assert "parsed" not in read_lines(tmp_path / "out")[0]
    assert world.seen[-1].body["response_format"] == ENVELOPE


def test_a_row_with_an_impossible_format(clock: Clock, world: World, tmp_path: Path) -> None:
    """It is found before anything is sent, with its line."""
    good = {"id": "1", "prompt": "x"}
    bad = {"id": "2", "prompt": "x", "response_format": {"type": "strng"}}

    with pytest.raises(InvalidInput, match=r"response_format: no JSON schema: type"):
        run(clock, world, write_lines(tmp_path / "in", [good, bad]), tmp_path / "out")
    assert world.requests == 0


@pytest.mark.parametrize("shape", [int, {"type": "strng"}])
def test_an_impossible_format_for_all_rows(clock: Clock, world: World, tmp_path: Path, shape: object) -> None:
    """It is refused before the input is read."""
    with pytest.raises((TypeError, ValueError), match=r"^response_format: "):
        run(clock, world, tmp_path / "none", tmp_path / "out", response_format=shape)


def test_another_format_is_another_batch(clock: Clock, world: World, tmp_path: Path) -> None:
    """A resume with it is refused; with an equal one, as a class or as its schema, it goes on."""
    world.model("m", Act(text='{"title": "M"}'))
    source = write_lines(tmp_path / "in", rows(2))
    run(clock, world, source, tmp_path / "out", response_format=Film, limit=1)

    with pytest.raises(BatchError, match="response_format was "):
        run(clock, world, source, tmp_path / "out", response_format=Point)
    with pytest.raises(BatchError, match="response_format was "):
        run(clock, world, source, tmp_path / "out")
    assert run(clock, world, source, tmp_path / "out", response_format=Film).done == 1
