"""CSV out, templates for JSON lines, and the columns that are passed through."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from asyncrouter.batch import BatchError, InvalidInput
from asyncrouter.batch._table_columns import answer_columns, input_names
from asyncrouter.sim import Act
from tests.helpers.batching import ids, prompt_of, read_lines, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def echoing(world: World) -> None:
    world.model("m", lambda seen, random: Act(text=f"re {prompt_of(seen)}", first_token=random.random()))


def cells(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_in_a_table_out(
    clock: Clock, world: World, tmp_path: Path, suffix: str, delimiter: str
) -> None:
    """The output has the columns of the input, those of the answer, and the order of the input; line ends stay."""
    world.model("m", lambda seen, random: Act(text=f"1\n2{delimiter}\"{prompt_of(seen)}", first_token=random.random()))
    lines = "".join(f"{n}{delimiter}t{n}{delimiter}x\n" for n in range(20))
    (tmp_path / f"in{suffix}").write_text(f"id{delimiter}text{delimiter}model\n{lines}")

    run(clock, world, tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", prompt_template="{text}")

    found = cells(tmp_path / f"out{suffix}", delimiter)
    assert [row["text"] for row in found] == [f'1\n2{delimiter}"t{n}' for n in range(20)]
    assert [(row["id"], row["input_text"], row["input_model"]) for row in found] == [
        (str(n), f"t{n}", "x") for n in range(20)
    ]
    assert {row["model"] for row in found} == {"m"}


def test_the_properties_of_a_schema_are_columns(clock: Clock, world: World, tmp_path: Path) -> None:
    """Under a schema each property of an answer is a column."""
    world.model("m", Act(text='{"city": "Rome", "people": 3, "more": {"a": null}}'))
    (tmp_path / "in.csv").write_text("prompt\na\n")
    schema = {"type": "object", "properties": {
        "city": {"type": "string"}, "people": {"type": "integer"}, "more": {"type": "object"},
    }}

    run(clock, world, tmp_path / "in.csv", tmp_path / "out.csv", response_format=schema)

    [row] = cells(tmp_path / "out.csv")
    assert (row["city"], row["people"], row["more"]) == ("Rome", "3", '{"a":null}')


def test_other_columns_stand_in_the_line_of_an_answer(clock: Clock, world: World, tmp_path: Path) -> None:
    """In JSON lines the columns that are not read stand under `columns`, in the errors file, too."""
    world.model("m", Act(text="yes"), Act(why="bad_request"))
    (tmp_path / "in.csv").write_text("prompt,label\na,1\nb,2\n")

    run(clock, world, tmp_path / "in.csv", tmp_path / "out.jsonl", concurrency=1)

    assert [line["columns"] for line in read_lines(tmp_path / "out.jsonl")] == [{"label": "1"}]
    [failure] = read_lines(tmp_path / "out.errors.jsonl")
    assert (failure["prompt"], failure["columns"]) == ("b", {"label": "2"})
    again = run(clock, world, tmp_path / "out.errors.jsonl", tmp_path / "more.jsonl")
    assert again.failed == 1  # it is a valid input


def test_columns_make_no_other_id(clock: Clock, world: World, tmp_path: Path) -> None:
    """Rows without an id get one of their prompt: a new column beside it does not ask them again."""
    echoing(world)
    found = []
    for name, table in (("a", "prompt\nx\n"), ("b", "prompt,new\nx,1\n")):
        (tmp_path / f"{name}.csv").write_text(table)
        run(clock, world, tmp_path / f"{name}.csv", tmp_path / f"{name}.jsonl")
        found += ids(tmp_path / f"{name}.jsonl")

    assert found[0] == found[1]


def test_a_template_for_json_lines(clock: Clock, world: World, tmp_path: Path) -> None:
    """A template takes the fields of JSON objects, whatever their names; lists are JSON, null is nothing."""
    echoing(world)
    given = [
        {"id": "a", "model": "T5", "words": ["x", 1], "none": None, "n": 3},
        {"model": "U", "words": {}, "none": 0, "n": 4},
    ]
    run(clock, world, write_lines(tmp_path / "in.jsonl", given), tmp_path / "out.jsonl",
        prompt_template="{model} {words} {none} {n:02}", concurrency=1)

    lines = read_lines(tmp_path / "out.jsonl")
    assert [line["text"] for line in lines] == ['re T5 ["x",1]  03', "re U {} 0 04"]
    assert lines[0]["columns"] == {"model": "T5", "words": ["x", 1], "none": None, "n": 3}


def test_objects_that_do_not_suit_the_template(clock: Clock, world: World, tmp_path: Path) -> None:
    """A field that an object does not have, and a format that does not suit its value, are problems of the line."""
    source = write_lines(tmp_path / "in.jsonl", [{"n": 1}, {"m": 1}, {"n": "x"}])

    with pytest.raises(InvalidInput) as caught:
        run(clock, world, source, tmp_path / "out.jsonl", prompt_template="{n:02d}")

    assert [str(problem) for problem in caught.value.problems] == [
        "line 2: the template names 'n', which this row does not have",
        "line 3: the template does not suit this row: Unknown format code 'd' for object of type 'str'",
    ]


def test_no_two_columns_have_one_name() -> None:
    """Names that are taken get a prefix, as often as it takes."""
    schema = {"properties": {"model": {}, "parsed_model": {}, "id": {}}}
    answers = [column.name for column in answer_columns({"id"}, schema)]
    names = ["id", *input_names(["model", "input_model", "text", "own"], answers), *answers]

    assert len(names) == len(set(names))
    assert names[1:5] == ["input_model", "input_input_model", "input_text", "own"]
    assert answers[:4] == ["text", "parsed_model", "parsed_parsed_model", "parsed_id"]


@pytest.mark.parametrize("output", ["in.csv", "in.csv.gz"])
def test_an_output_that_cannot_be(clock: Clock, world: World, tmp_path: Path, output: str) -> None:
    """An output that is the input, or packed, is refused before anything is sent."""
    (tmp_path / "in.csv").write_text("prompt\na\n")
    with pytest.raises(BatchError):
        run(clock, world, tmp_path / "in.csv", tmp_path / output)
    assert not world.seen


def test_a_table_without_rows(clock: Clock, world: World, tmp_path: Path) -> None:
    """An input without rows makes a table without rows, with its columns."""
    (tmp_path / "in.csv").write_text("prompt,label\n")
    run(clock, world, tmp_path / "in.csv", tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text().startswith("id,label,text,finish_reason,model,")
