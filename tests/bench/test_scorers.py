"""Scorers: each kind judges as it says, a check that checks nothing is refused, and what cannot be judged is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from asyncrouter.bench import Row, Sample, Scorer, parse_scorer
from asyncrouter.bench.scorers import check_scorers
from asyncrouter.bench.scoring import score

if TYPE_CHECKING:
    from pathlib import Path

INVOICE = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def judged(scorer: Scorer, answer: str, expected: object = None, **row: object) -> tuple[float | None, list[str]]:
    """The score of one answer, and the warnings."""
    asked = Sample(prompt="q", expected=expected, id="first", row=row)
    made = Row("arm", 0, 0.0, 0.0, prompt=0, answer=answer)

    async def scenario() -> list[str]:
        return await score([made], [asked], [scorer])

    warnings = anyio.run(scenario)
    return made.scores[scorer.name], warnings


@pytest.mark.parametrize(("scorer", "answer", "expected", "right"), [
    (Scorer.exact(), " Paris\n", "Paris", 1.0), (Scorer.exact(), "paris", "Paris", 0.0),
    (Scorer.exact(ignore_case=True), "paris", "Paris", 1.0), (Scorer.exact(), "Lyon", ["Paris", "Lyon"], 1.0),
    (Scorer.exact(), "4.0", 4, 1.0), (Scorer.exact(), "four", 4, 0.0), (Scorer.exact(), "1", True, 0.0),
    (Scorer.exact(), '{"b": [1], "a": 2}', {"a": 2, "b": [1]}, 1.0),
    (Scorer.contains(), "It is Paris.", "Paris", 1.0), (Scorer.contains(), "It is Lyon.", "Paris", 0.0),
    (Scorer.contains(), "It is 42.", 42, 1.0), (Scorer.contains("yes", "no"), "well, no", None, 1.0),
    (Scorer.contains("YES", ignore_case=True), "yes", None, 1.0),
    (Scorer.regex(r"^\d+$"), "42\n", None, 1.0), (Scorer.regex(r"^\d+$"), "42 cats", None, 0.0),
    (Scorer.json_schema(INVOICE), '```json\n{"total": 1.5}\n```', None, 1.0),
    (Scorer.json_schema(INVOICE), '{"total": "1.5"}', None, 0.0),
    (Scorer.json_schema(INVOICE), "1.5 in all", None, 0.0),
])
def test_a_scorer_judges(scorer: Scorer, answer: str, expected: object, right: float) -> None:
    """Right is 1, wrong is 0, and nothing is left unjudged."""
    assert judged(scorer, answer, expected) == (right, [])


async def _later(text: str, expected: object) -> float:
    await anyio.lowlevel.checkpoint()
    return 0.25 if text == expected else 0.0


def _grade(text: str, expected: object, row: dict[str, object]) -> bool:
    return (text, expected, row) == ("a", "b", {"level": 3})


@pytest.mark.parametrize(("scorer", "value"), [
    (Scorer.function(lambda text: text == "a", name="one"), 1.0), (Scorer.function(_later), 0.0),
    (Scorer.function(_grade), 1.0), (Scorer.function(lambda *all_: len(all_) == 3, name="all"), 1.0),
    (Scorer.function(lambda text, strict=True: strict, name="default"), 1.0),
    (Scorer.function(lambda text, expected=None: expected == "b", name="named"), 1.0),
    (Scorer.function(str.isupper), 0.0),
])
def test_a_function_gets_what_it_takes(scorer: Scorer, value: float) -> None:
    """The text alone, with the expected answer, or with the row, plain or async."""
    assert judged(scorer, "a", "b", level=3) == (value, [])


@pytest.mark.parametrize(("function", "why"), [
    (lambda text: 7, "ValueError: expected True, False or a number from 0 to 1, got 7"),
    (lambda text: None, "it returned None"), (lambda text: {}["x"], "KeyError: 'x'"),
    (lambda text: float("nan"), "ValueError: expected True, False or a number from 0 to 1, got nan"),
])
def test_what_cannot_be_judged_is_left_out_and_told(function: object, why: str) -> None:
    """With the number of answers, and the first of them."""
    value, warnings = judged(Scorer.function(function, name="f"), "a")  # type: ignore[arg-type]  # each is a function

    assert (value, warnings) == (None, [
        f"scorer f: 1 answers could not be judged and are left out; the first: prompt 1 (first) of arm: {why}"
    ])


@pytest.mark.parametrize(("text", "name", "answer", "right"), [
    ("exact", "exact", "x", 1.0), ("contains", "contains", "axb", 1.0), ("contains:a=b", "contains", "a=b", 1.0),
    ("form=regex:^x+$", "form", "xxx", 1.0), ("regex:a=b", "regex", "a = b", 0.0),
])
def test_a_scorer_is_read_from_a_text(text: str, name: str, answer: str, right: float) -> None:
    """KIND, KIND:VALUE or NAME=KIND:VALUE; what stands behind the colon is taken as it is."""
    scorer = parse_scorer(text)

    assert (scorer.name, judged(scorer, answer, "x")[0]) == (name, right)


def test_functions_and_schemas_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function by its file or its module, a schema by its file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_checks.py").write_text("def short(text):\n    return len(text) < 5\n", encoding="utf-8")
    (tmp_path / "invoice.json").write_text('{"type": "array"}', encoding="utf-8")

    assert [judged(parse_scorer(text), "[12]") for text in
            ("my_checks.py:short", "my_checks:short", "schema:invoice.json")] == [(1.0, [])] * 3


@pytest.mark.parametrize(("text", "message"), [
    ("regex:(a", "scorer regex: not a regular expression: '(a': missing )"),
    (r"regex:\d*", "is found in every text, so it checks nothing"),
    ("bogus", "scorer 'bogus': expected exact, contains"),
    ("exact:x", "scorer 'exact:x': expected exact, contains"), ("regex:", "scorer 'regex:': expected exact"),
    ("schema:no.json", "scorer schema: no.json: No such file"), ("no.py:f", "scorer no.py: there is no such file"),
    ("no_such_module:f", "no module 'no_such_module' here or among the installed ones"),
    ("json:nothing", "scorer 'json:nothing': json has no function 'nothing'"), ("contains:", "scorer 'contains:'"),
])
def test_a_scorer_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    """Before anything is asked, with the value and what was expected."""
    with pytest.raises(ValueError, match="scorer") as wrong:
        parse_scorer(text)

    assert message in str(wrong.value)


def test_an_expected_answer_that_is_missing_is_named() -> None:
    """With the prompt, and how to do without; prompts that are texts have none."""
    samples = [Sample(prompt="a", expected="x"), Sample(prompt="b", id="second")]

    with pytest.raises(ValueError, match=r'prompt 2 \(second\) has no expected answer: add the column "expected"'):
        check_scorers([Scorer.exact()], samples)
    with pytest.raises(ValueError, match="prompt 1 has no expected answer"):
        check_scorers([Scorer.contains()], ["Name a river."])
    with pytest.raises(ValueError, match="two have the name 'regex'"):
        check_scorers([Scorer.regex("a"), Scorer.regex("b")], samples)
    with pytest.raises(ValueError, match="give prompts"):
        check_scorers([Scorer.regex("a")], [])
    with pytest.raises(TypeError, match="expected a function of"):
        Scorer.function(lambda a, b, c, d: True)
