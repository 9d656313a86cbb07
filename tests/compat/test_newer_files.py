"""Files of a newer asyncrouter are refused: the error names the file, both versions, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import Router, batch, bench
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, World

WRITTEN = Path(__file__).parent / "written_by_0_1_0"
NEWER = "by a newer asyncrouter, and this one reads versions up to 1: upgrade asyncrouter"


def run(clock: Clock, world: World, folder: Path, **options: object) -> Report:
    world.model("a", Act(text="anew"))

    async def scene() -> Report:
        config = world.config(tasks={"default": ["a"]})
        async with Router(config, transport=world.transport()) as router:
            return await batch.run(router, folder / "rows.jsonl", folder / "answers.jsonl", **options)  # type: ignore[arg-type]

    return clock.run(scene())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished batch without its answers."""
    (tmp_path / "rows.jsonl").write_bytes((WRITTEN / "batch_finished" / "rows.jsonl").read_bytes())
    return tmp_path


def change(path: Path, **fields: object) -> None:
    """Lay fields over the first line of a file, or over the only object in it."""
    whole = path.read_bytes()
    first, rest = (whole, b"") if whole.startswith(b"{\n") else whole.split(b"\n", 1)
    path.write_bytes(orjson.dumps({**orjson.loads(first), **fields}) + b"\n" + rest)


def test_a_newer_side_file_is_refused(clock: Clock, world: World, folder: Path) -> None:
    """The batch could be begun again elsewhere, or go on by ids."""
    run(clock, world, folder)
    change(folder / "answers.jsonl.batch.json", version=2)

    with pytest.raises(batch.BatchError) as refused:
        run(clock, world, folder)

    assert str(refused.value) == (
        f"{folder}/answers.jsonl.batch.json: was written in version 2 {NEWER}, or name another output, throw it "
        "away with --restart (restart=True), or go on by ids alone with --force"
    )


@pytest.mark.parametrize("text", ["[]", "1", '{"version":"2"}'])
def test_what_is_no_side_file_is_refused(clock: Clock, world: World, folder: Path, text: str) -> None:
    """Nothing can be told of the batch from it."""
    run(clock, world, folder)
    (folder / "answers.jsonl.batch.json").write_text(text)

    with pytest.raises(batch.BatchError, match=r"answers\.jsonl\.batch\.json: cannot be read: it is no side file"):
        run(clock, world, folder)


@pytest.mark.parametrize("form", ["native", "openai"])
def test_a_newer_line_of_answers_is_refused(clock: Clock, world: World, folder: Path, form: str) -> None:
    """In either form, `force` or not: it cannot be told whose answer it is."""
    run(clock, world, folder, format=form)
    newer = {"schema_version": 2}
    change(folder / "answers.jsonl", **(newer if form == "native" else {"asyncrouter": newer}))

    with pytest.raises(batch.BatchError) as refused:
        run(clock, world, folder, format=form, force=True)

    assert str(refused.value) == (
        f"{folder}/answers.jsonl: line 1 was written in version 2 {NEWER}, or name another output"
    )


@pytest.mark.parametrize("form", ["native", "openai"])
def test_a_line_of_answers_carries_its_version(clock: Clock, world: World, folder: Path, form: str) -> None:
    """In OpenAI's form beside what else is ours."""
    run(clock, world, folder, format=form)

    line = orjson.loads((folder / "answers.jsonl").read_bytes().splitlines()[0])
    assert (line if form == "native" else line["asyncrouter"])["schema_version"] == 1


def test_a_newer_line_of_a_trace_is_refused(tmp_path: Path) -> None:
    """With the number of the line."""
    path = Path(shutil.copy(WRITTEN / "trace.jsonl", tmp_path))
    change(path, schema_version=2)

    with pytest.raises(ValueError, match="newer") as refused:
        bench.read_trace(path)

    assert str(refused.value) == f"{path}:1: was recorded in version 2 {NEWER}"


def test_a_newer_report_is_refused(tmp_path: Path) -> None:
    """Whether the file is named or its directory."""
    path = Path(shutil.copy(WRITTEN / "report_before" / "report.json", tmp_path))
    change(path, schema_version=2)

    with pytest.raises(ValueError, match="newer") as refused:
        bench.Report.read(tmp_path)

    assert str(refused.value) == f"{path}: was written in version 2 {NEWER}"
