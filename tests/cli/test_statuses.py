"""Exit statuses of every command, as its help says: 0 done, 1 no answer, 2 wrong usage or configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell

LINES = [
    ("chat Hello --model a", 0),
    ("chat Hello --model down", 1),
    ("chat Hello --model refusing", 1),
    ("chat Hello --model silent --deadline 0.2", 1),
    ("chat Hello --task codign", 2),
    ("chat Hello --tier gold", 2),
    ("chat Hello --model a --tier budget", 2),
    ("chat Hello --chain a,,b", 2),
    ("chat Hello --model openai::gpt-6-luna", 2),  # its key is not set
    ("chat Hello --deadline soon", 2),
    ("chat Hello --param =1", 2),
    ("chat", 2),
    ("explain --task coding", 0),
    ("explain --task codign", 2),
    ("explain --hedge soon", 2),
    ("models", 0),
    ("models --provider nobody", 2),
    ("models --remote", 0),
    ("models --remote --provider nobody", 2),
    ("models --remote --provider ollama", 1),  # nobody listens there
    ("check", 0),
    ("check --call", 0),
    ("check --config nowhere.toml", 2),
    ("bench scenarios", 0),
    ("bench run --scenario nothing", 2),
    ("bench run --scenario flaky --calls 20 --assert success<0", 1),
    ("bench compare nowhere nowhere", 2),
    ("bench replay nowhere.jsonl", 2),
    ("batch nowhere.jsonl -o out.jsonl", 2),
    ("local --port 99999", 2),
    ("demo ''", 2),
    ("nothing", 2),
    ("chat Hello --nothing", 2),
    ("--help", 0),
    ("--version", 0),
]


@pytest.mark.parametrize(("line", "status"), LINES, ids=[line for line, _ in LINES])
def test_status(shell: Shell, monkeypatch: pytest.MonkeyPatch, line: str, status: int) -> None:
    """It depends on what went wrong and on nothing else, and with --json it is the same."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    shell.world.model("a", Act(text="ok"))
    shell.world.model("b", Act(text="ok"))
    shell.world.model("down", Act(status=500))
    shell.world.model("refusing", Act(why="policy"))
    shell.world.model("silent", Act(fault="hang"))
    words = ["" if word == "''" else word for word in line.split(" ")]

    done = shell.run(*words)

    assert done.status == status, done.err
    if status and line != "chat":
        assert done.err.splitlines()[-1] != ""


@pytest.mark.parametrize(("line", "status"), [
    ("chat Hello --model down --json", 1), ("chat Hello --task codign --json", 2), ("explain --task codign --json", 2),
    ("models --remote --provider ollama --json", 1), ("check --config nowhere.toml --json", 2),
    ("bench run --scenario flaky --calls 20 --assert success<0 --json", 1),
])
def test_json_changes_no_status(shell: Shell, line: str, status: int) -> None:
    """`--json` says how results are printed, not what they are."""
    shell.world.model("down", Act(status=500))

    assert shell.run(*line.split(" ")).status == status
