"""Data sets: every usual form of prompts is read, and what cannot be read is named with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter.bench import Sample, Shape, read_dataset, synthetic
from asyncrouter.bench.synthetic_prompts import parse_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ASK = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Name a river."}]


def written(folder: Path, rows: Sequence[object], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


@pytest.mark.parametrize(("row", "prompt", "expected", "parameters"), [
    ({"prompt": "Name a river.", "expected": "Rhine", "max_tokens": 9}, "Name a river.", "Rhine", {"max_tokens": 9}),
    ({"messages": ASK, "target": ["Rhine", "Elbe"], "temperature": 0}, ASK, ["Rhine", "Elbe"], {"temperature": 0}),
    ({"question": "2 + 2?", "answer": 4}, "2 + 2?", 4, {}),
    ({"input": ASK, "ideal": "Rhine", "category": "rivers"}, ASK, "Rhine", {}),
    ({"custom_id": "x", "body": {"model": "m", "messages": ASK, "top_k": 3, "stream": True}}, ASK, None, {"top_k": 3}),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}, "Hi", None,
     {"max_tokens": 2}),
    ({"conversations": [{"from": "system", "value": "Be short."}, {"from": "human", "value": "Name a river."},
                        {"from": "gpt", "value": "The Rhine."}]}, ASK, None, {"max_tokens": 3}),
])
def test_a_row_says_prompt_expected_answer_and_parameters(
    tmp_path: Path, row: object, prompt: object, expected: object, parameters: object
) -> None:
    """By the names of the usual data sets; columns that are no parameters are not sent."""
    [sample] = read_dataset(written(tmp_path, [row]))

    assert (sample.prompt, sample.expected, sample.parameters) == (prompt, expected, parameters)


def test_a_json_array_is_read_as_lines_are(tmp_path: Path) -> None:
    """ShareGPT is one array; a conversation without an answer is left out."""
    file = tmp_path / "share.json"
    file.write_bytes(orjson.dumps([
        {"id": "a", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"id": "b", "conversations": [{"from": "human", "value": "Hi"}]},
        {"id": "c", "prompt": "Name a river."},
    ]))

    assert [sample.id for sample in read_dataset(file)] == ["a", "c"]


def test_prompts_of_many_lines_come_from_files(tmp_path: Path) -> None:
    """Each file of a directory is a prompt; one text holds several, with a line between them."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name in ("b.md", "a.txt", "notes.pdf"):
        (folder / name).write_text(f"First line\n\nof {name}\n", encoding="utf-8")
    text = tmp_path / "all.txt"
    text.write_text("one\ntwo\n---\n\n---\nthree\n", encoding="utf-8")
    other = tmp_path / "other.txt"
    other.write_text("one\n---\ntwo\n%%\nthree", encoding="utf-8")

    assert [sample.prompt for sample in read_dataset(folder)] == ["First line\n\nof a.txt", "First line\n\nof b.md"]
    assert [(sample.id, sample.prompt) for sample in read_dataset(text)] == [("all-1", "one\ntwo"), ("all-2", "three")]
    assert [sample.prompt for sample in read_dataset(other, separator="%%")] == ["one\n---\ntwo", "three"]


@pytest.mark.parametrize(("text", "message"), [
    ('{"prompt": "a"}\n{"prompt": ', "rows.jsonl line 2: expected a JSON object on each line"),
    ('{"prompt": "a"}\n\n{"city": "b", "id": 1}\n', "rows.jsonl line 3: no prompt: expected one of the columns "
     "messages, prompt, input, question, text, got city, id"),
    ('{"prompt": "  "}', "rows.jsonl line 1: the prompt is empty"),
    ('{"prompt": 7}', "rows.jsonl line 1: expected a text or a list of messages as the prompt, got 7"),
    ('{"messages": [{"content": "x"}]}', "rows.jsonl line 1: messages[0]: expected"),
    ('{"conversations": "x"}', "rows.jsonl line 1: conversations: expected a list of"),
    ("7", "rows.jsonl line 1: expected an object"), ("", "rows.jsonl: no prompt in it"),
])
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    """With the file, the line and what was expected there."""
    file = tmp_path / "rows.jsonl"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"rows\.jsonl") as wrong:
        read_dataset(file)

    assert message in str(wrong.value)


def test_synthetic_prompts_have_a_length_and_a_shared_beginning() -> None:
    """A word is a token; after the prefix each prompt goes on in its own way, always the same for one seed."""
    made = synthetic(Shape(100, 20, prefix=60), prompts=50, seed=3)
    words = [str(sample.prompt).split() for sample in made]

    assert {len(each) for each in words} == {100}
    assert len({" ".join(each[:60]) for each in words}) == 1
    assert len({" ".join(each[60:70]) for each in words}) == 50
    assert {sample.parameters["max_tokens"] for sample in made} == {20}
    assert synthetic(Shape(100, 20, prefix=60), prompts=50, seed=3) == made
    assert synthetic(Shape(100, 20), prompts=1, seed=4) != made[:1]


@pytest.mark.parametrize(("text", "prefix", "message"), [
    ("1000", 0, "expected TOKENS_IN:TOKENS_OUT such as 1000:100, got '1000'"),
    ("100:0", 0, "expected at least one token in and out"), ("100:10", 100, "expected a shared prefix shorter"),
])
def test_an_impossible_shape_is_refused(text: str, prefix: int, message: str) -> None:
    """No length, no answer, or a prefix that leaves nothing of the prompt."""
    with pytest.raises(ValueError, match=message):
        synthetic(parse_shape(text, prefix))


def test_a_sample_says_what_it_is_about() -> None:
    """The text of its last message, and all that is sent."""
    sample = Sample(prompt=ASK)

    assert (sample.text, len(sample.written)) == ("Name a river.", 83)
