"""Parquet in and out, here and elsewhere: every row once, the input's columns as they were, readable by others."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asyncrouter.batch import BatchError, InvalidInput, _table_file, _table_output
from asyncrouter.batch._table_columns import answer_columns
from asyncrouter.sim import Act
from tests.batch.test_command import CONFIG
from tests.helpers.batching import asked, poisoned, prompt_of, read_lines, run, write_lines

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World
    from tests.helpers.commandline import Shell


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


def echoing(world: World) -> None:
    """Answers after a random time, so that they come in another order than they were asked in."""
    world.model("m", lambda seen, random: Act(text=f"re {prompt_of(seen)}", first_token=random.random()))


def test_a_table_in_a_table_out(clock: Clock, world: World, tmp_path: Path) -> None:
    """Each row of the input has its answer beside it, in the order of the input, its own columns as they were."""
    echoing(world)
    day = datetime.datetime(2026, 11, 30, 3, 33, tzinfo=datetime.UTC)
    source = written(
        tmp_path / "in.parquet", id=pa.array(range(30), pa.int32()), text=[f"t{n}" for n in range(30)],
        when=[day] * 30, price=[Decimal("1.50")] * 30, blob=[b"\x00\xff"] * 30, tags=[["a", None]] * 30,
        nested=[{"k": 1}] * 30, empty=pa.nulls(30),
    )

    report = run(clock, world, source, tmp_path / "out.parquet", prompt_template="Say {text}")

    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    assert (report.done, report.output, report.exit_status) == (30, str(tmp_path / "out.parquet"), 0)
    for name in before.schema.names:
        passed = "input_text" if name == "text" else name
        assert after.column(passed).equals(before.column(name)), name
        assert after.schema.field(passed).type == before.schema.field(name).type
    assert after.column("text").to_pylist() == [f"re Say t{n}" for n in range(30)]
    assert set(after.column("model").to_pylist()) == {"m"}


def test_others_read_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """pandas, polars and duckdb read the same rows from it."""
    echoing(world)
    source = written(tmp_path / "in.parquet", id=list("abc"), prompt=list("xyz"))
    run(clock, world, source, output := tmp_path / "out.parquet")

    expected = ["re x", "re y", "re z"]
    assert list(pd.read_parquet(output)["text"]) == expected
    assert list(pl.read_parquet(output)["text"]) == expected
    assert [row[0] for row in duckdb.sql(f"select text from '{output}'").fetchall()] == expected


@pytest.mark.parametrize("messages", [
    [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a", "name": "n"}]],
    ['[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a", "name": "n"}]'],
], ids=["structs", "json"])
def test_messages_as_structs_or_as_json(clock: Clock, world: World, tmp_path: Path, messages: list[Any]) -> None:
    """A column of messages is a list of structs, whose nulls are left out, or JSON text."""
    echoing(world)
    run(clock, world, written(tmp_path / "in.parquet", messages=messages), tmp_path / "out.jsonl")

    assert world.seen[0].body["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "a", "name": "n"},
    ]


def test_a_table_to_json_lines(clock: Clock, world: World, tmp_path: Path) -> None:
    """The other columns stand under `columns`: times as text, binary values in base64."""
    echoing(world)
    source = written(
        tmp_path / "in.parquet", prompt=["a"], n=pa.array([1], pa.uint8()), blob=[b"\x00\xff"],
        when=pa.array([1_764_473_580_000_000_001], pa.timestamp("ns")),
    )
    run(clock, world, source, tmp_path / "out.jsonl")

    assert read_lines(tmp_path / "out.jsonl")[0]["columns"] == {
        "n": 1, "blob": "AP8=", "when": "2025-11-30 03:33:00.000000001",
    }


def test_json_lines_to_a_table(clock: Clock, world: World, tmp_path: Path) -> None:
    """Rows of JSON lines have their metadata as JSON text beside the answer."""
    echoing(world)
    given = [{"id": "a", "prompt": "x", "metadata": {"k": [1]}}, {"id": 2, "prompt": "y"}]
    run(clock, world, write_lines(tmp_path / "in.jsonl", given), tmp_path / "out.parquet")

    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["id"], row["metadata"], row["text"]) for row in table] == [
        ("a", '{"k":[1]}', "re x"), ("2", None, "re y"),
    ]


SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["label", "score", "count", "ok", "text", "tags"],
    "properties": {
        "label": {"enum": ["a", "b"]}, "score": {"type": ["number", "null"]}, "count": {"type": "integer"},
        "ok": {"type": "boolean"}, "text": {"type": "string"}, "tags": {"type": "array"},
    },
}


def test_the_properties_of_a_schema_are_columns(clock: Clock, world: World, tmp_path: Path) -> None:
    """Each property is a column of its type; one whose name is taken is `parsed_…`; what has no column's type is
    JSON.
    """
    answer = '{"label": "b", "score": 1, "count": 3, "ok": true, "text": "T", "tags": [1, "x"]}'
    world.model("m", Act(text=answer), Act(text=answer.replace("3", str(2**70)).replace("1,", "null,", 1)))
    source = written(tmp_path / "in.parquet", id=[1, 2], prompt=["x", "y"])

    run(clock, world, source, tmp_path / "out.parquet", response_format=SCHEMA, concurrency=1)

    table = pq.read_table(tmp_path / "out.parquet")
    names = ["id", "text", "label", "score", "count", "ok", "parsed_text", "tags"]
    assert table.schema.names[:8] == names
    assert [str(table.schema.field(name).type) for name in names] == [
        "int64", "string", "string", "double", "int64", "bool", "string", "string",
    ]
    first, second = table.select(names[2:]).to_pylist()
    assert first == {"label": "b", "score": 1.0, "count": 3, "ok": True, "parsed_text": "T", "tags": '[1,"x"]'}
    assert (second["score"], second["count"]) == (None, None)  # 2**70 is in no column, but in the text
    assert str(2**70) in table.column("text").to_pylist()[1]


def test_a_run_that_was_stopped_has_its_answers_in_the_table(clock: Clock, world: World, tmp_path: Path) -> None:
    """The table has what is answered, and the next run, which asks the rest, all; failures are in the errors file."""
    world.model("m", poisoned)
    source = written(
        tmp_path / "in.parquet", id=list(range(50)), prompt=["malformed" if n == 7 else f"say {n}" for n in range(50)]
    )
    output = tmp_path / "out.parquet"

    first = run(clock, world, source, output, limit=20)
    between = pq.read_table(output).column("id").to_pylist()
    second = run(clock, world, source, output)

    expected = [n for n in range(50) if n != 7]
    assert (first.done, first.failed, between) == (19, 1, expected[:19])
    assert (second.skipped, second.done, pq.read_table(output).column("id").to_pylist()) == (19, 30, expected)
    assert [line["id"] for line in read_lines(tmp_path / "out.parquet.errors.jsonl")] == [7]
    assert len(asked(world)) == 50


def test_a_table_of_another_is_not_replaced(clock: Clock, world: World, tmp_path: Path) -> None:
    """A table without its journal is somebody's: nothing is asked, nothing replaced, unless `restart` says so."""
    echoing(world)
    source = written(tmp_path / "in.parquet", prompt=["a"])
    output = written(tmp_path / "out.parquet", precious=[1])

    with pytest.raises(BatchError, match=r"exists, and .* is not there to resume from"):
        run(clock, world, source, output)
    assert (pq.read_table(output).schema.names, len(world.seen)) == (["precious"], 0)

    run(clock, world, source, output, restart=True)
    assert pq.read_table(output).column("text").to_pylist() == ["re a"]


def test_half_characters_depth_and_large_numbers() -> None:
    """What no column can hold is mended, JSON text, or nothing; no answer is lost for it."""
    deep: object = []
    for _ in range(500):
        deep = [deep]
    record = {"text": "half \ud800", "tool_calls": deep, "cost_usd": 10**400, "usage": {"input_tokens": 2**80}}

    found = {column.name: column.value(record) for column in answer_columns({"id"})}

    assert (found["text"], found["cost_usd"], found["input_tokens"]) == ("half \ufffd", None, None)
    assert found["tool_calls"] == "[" * 501 + "]" * 501


def test_rows_elsewhere(clock: Clock, world: World) -> None:
    """Input and output may be URLs that fsspec opens; the journal stays here."""
    echoing(world)
    files = fsspec.filesystem("memory")
    with files.open("/batch/in.parquet", "wb") as file:
        pq.write_table(pa.table({"prompt": ["a", "b"]}), file)

    report = run(clock, world, "memory://batch/in.parquet", "memory://batch/out.parquet")
    again = run(clock, world, "memory://batch/in.parquet", "memory://batch/out.parquet")

    with files.open("/batch/out.parquet") as file:
        assert pq.read_table(file).column("text").to_pylist() == ["re a", "re b"]
    assert (report.done, report.output, again.skipped) == (2, "memory://batch/out.parquet", 2)
    assert Path("out.parquet.jsonl").exists()


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_lines_elsewhere(clock: Clock, world: World) -> None:
    """JSON lines and CSV are read and written elsewhere, too, packed or not."""
    echoing(world)
    with fsspec.open("memory://l/in.csv.gz", "wb", compression="gzip") as file:
        file.write(b"id,prompt\n1,a\n")

    run(clock, world, "memory://l/in.csv.gz", "memory://l/out.jsonl")

    with fsspec.open("memory://l/out.jsonl", "rb") as file:
        assert b'"text":"re a"' in file.read()


@pytest.mark.parametrize(("location", "message"), [
    ("nope://a/in.jsonl", "nope://a/in.jsonl: Protocol not known: nope"),
    ("memory://a/missing.parquet", "memory://a/missing.parquet: "),
])
def test_what_cannot_be_opened(clock: Clock, world: World, tmp_path: Path, location: str, message: str) -> None:
    """A URL that nothing can open is named, and nothing is sent."""
    with pytest.raises(BatchError) as caught:
        run(clock, world, location, tmp_path / "out.jsonl")
    assert str(caught.value).startswith(message)


def test_what_is_no_table(clock: Clock, world: World, tmp_path: Path) -> None:
    """A file that is no Parquet file, and one without the column that is needed, say so."""
    (tmp_path / "in.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(BatchError, match="is no Parquet file that can be read"):
        run(clock, world, tmp_path / "in.parquet", tmp_path / "out.jsonl")

    written(tmp_path / "in.parquet", question=["a"])
    with pytest.raises(BatchError, match="expected a column \"prompt\", or a prompt template; the columns are 'quest"):
        run(clock, world, tmp_path / "in.parquet", tmp_path / "out.jsonl")


def test_rows_that_cannot_be_asked(clock: Clock, world: World, tmp_path: Path) -> None:
    """A null prompt, and an id that is none, are problems of their rows."""
    source = written(tmp_path / "in.parquet", id=[1.5, 2.5], prompt=["a", None])

    with pytest.raises(InvalidInput) as caught:
        run(clock, world, source, tmp_path / "out.jsonl")

    assert [str(problem) for problem in caught.value.problems] == [
        "line 1: id: expected text or a whole number, got 1.5", "line 2: id: expected text or a whole number, got 2.5",
    ]


def test_a_table_has_no_openai_format(clock: Clock, world: World, tmp_path: Path) -> None:
    """OpenAI's lines go into no table."""
    source = written(tmp_path / "in.parquet", prompt=["a"])
    with pytest.raises(BatchError, match="an output of the format 'openai' is JSON lines, and no table"):
        run(clock, world, source, tmp_path / "out.csv", format="openai")


def test_row_groups_are_closed_by_bytes_too(
    clock: Clock, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of long texts take no more memory: a group is closed when they are many bytes."""
    monkeypatch.setattr(_table_output, "PIECE_BYTES", 1 << 16)
    monkeypatch.setattr(_table_file, "GROUP_BYTES", 1 << 20)
    world.model("m", Act(text="x" * 20_000))
    source = written(tmp_path / "in.parquet", prompt=[f"{n}" for n in range(200)])

    run(clock, world, source, tmp_path / "out.parquet")

    groups = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert (groups.num_rows, groups.num_row_groups) == (200, 4)


def test_on_the_command_line(shell: Shell) -> None:
    """The command takes and writes tables, and its summary names the table."""
    shell.write(CONFIG)
    shell.world.model("m", Act(text="yes"))
    written(Path("in.parquet"), text=["a", "b"])

    done = shell.run("batch", "in.parquet", "-o", "out.parquet", "--prompt-template", "{text}?")
    again = shell.run("batch", "in.parquet", "-o", "out.parquet", "--prompt-template", "{text}?")

    assert (done.status, again.status) == (0, 0)
    assert pq.read_table("out.parquet").column("text").to_pylist() == ["yes", "yes"]
    assert "2 answered before" in again.err
