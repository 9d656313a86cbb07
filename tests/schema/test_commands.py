"""`--schema FILE` of the command line: what is printed, written and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act
from tests.helpers.shapes import BAD, GOOD, INVOICE

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


@pytest.fixture
def schema() -> str:
    Path("invoice.json").write_text(json.dumps(INVOICE), encoding="utf-8")
    return "invoice.json"


def test_chat(shell: Shell, schema: str) -> None:
    """The answer that fits is printed; the one that did not is nobody's business."""
    shell.world.model("a", Act(text=BAD))
    shell.world.model("b", Act(text=GOOD))

    assert shell.run("chat", "Hello", "--schema", schema) == (0, f"{GOOD}\n", "")


def test_chat_json(shell: Shell, schema: str) -> None:
    """The value stands beside the text; it is null where nothing was checked."""
    shell.world.model("a", Act(text=f"```json\n{GOOD}\n```"))

    checked = json.loads(shell.run("chat", "Hello", "--schema", schema, "--json").out)
    assert checked["parsed"] == json.loads(GOOD)
    assert json.loads(shell.run("chat", "Hello", "--json").out)["parsed"] is None


def test_chat_without_an_answer_that_fits(shell: Shell, schema: str) -> None:
    """The status is 1, and the message says where the first answer went wrong."""
    for name in ("a", "b"):
        shell.world.model(name, Act(text=BAD))
    done = shell.run("chat", "Hello", "--schema", schema)

    assert (done.status, done.out) == (1, "")
    reason = 'a: the answer does not fit Invoice: lines[0].amount: expected integer, got "3"'
    assert done.err.splitlines()[0].endswith(reason)


@pytest.mark.parametrize(("content", "says"), [
    (None, "No such file"), ("{", "not JSON"), ("[]", "expected a JSON schema, which is an object"),
    ('{"type": "strng"}', "no JSON schema: type"), ('{"$ref": "#/nowhere"}', "leads to nothing within the schema"),
])
@pytest.mark.parametrize("command", ["chat", "batch", "explain"])
def test_files_that_are_no_schema(shell: Shell, command: str, content: str | None, says: str) -> None:
    """They are a wrong usage, and nothing is sent."""
    if content is not None:
        Path("s.json").write_text(content, encoding="utf-8")
    Path("in.jsonl").write_text('{"id": "1", "prompt": "x"}\n', encoding="utf-8")
    rest = {"chat": ["Hello"], "batch": ["in.jsonl", "-o", "out.jsonl"], "explain": []}[command]
    done = shell.run(command, *rest, "--schema", "s.json")

    assert done.status == 2
    assert says in " ".join(done.err.split()).replace("│ ", "").replace(" │", "")
    assert shell.world.requests == 0


def test_batch(shell: Shell, schema: str) -> None:
    """Each line has the value, and a row without one is a failure."""
    shell.world.model("a", Act(text="no"))
    shell.world.model("b", Act(text=GOOD))
    Path("in.jsonl").write_text('{"id": "1", "prompt": "x"}\n', encoding="utf-8")
    done = shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--schema", schema)

    assert done.status == 0
    assert json.loads(Path("out.jsonl").read_text(encoding="utf-8"))["parsed"] == json.loads(GOOD)


def test_explain(shell: Shell) -> None:
    """It says what each model is not told by its API."""
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    Path("s.json").write_text(json.dumps(free), encoding="utf-8")
    done = shell.run("explain", "--model", "gpt-6-luna", "--schema", "s.json")

    assert "gpt-6-luna: response_format: the schema is sent without strict: an object whose names are free" in (
        " ".join(done.out.split()))
