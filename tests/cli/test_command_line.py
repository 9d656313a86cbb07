"""The command line as a whole: help, exit statuses, the extra it needs, where its configuration comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.cli._app import COMMANDS, app
from asyncrouter.sim import Act
from tests.helpers.commandline import FILE, ROOT, command, environment, spawn
from tests.helpers.planted import HEADER, KEY

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


STARTS = ["from asyncrouter.cli import main; sys.exit(main())", "runpy.run_module('asyncrouter', run_name='__main__')"]
"""Starts the command line as the installed script does, and as a module."""


def test_help_names_every_command(shell: Shell) -> None:
    """It has the exit statuses, too, and how to set up completion in a shell."""
    done = shell.run("--help")

    assert (done.status, done.err) == (0, "")
    assert set(COMMANDS) <= set(done.out.split())
    assert "130 interrupted" in done.out
    assert 'eval "$(_ASYNCROUTER_COMPLETE=bash_source asyncrouter)"' in done.out


def test_help_imports_no_command() -> None:
    """Neither the commands nor rich nor the local model's server are imported."""
    code = (
        "import sys; from asyncrouter.cli._app import COMMANDS, run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = [n for n in [*(f'asyncrouter.cli.{c}' for c in COMMANDS), 'asyncrouter.local', 'rich.console']"
        " if n in sys.modules]\n"
        "assert not loaded, loaded"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(shell: Shell, name: str) -> None:
    """`--help` has status 0, says what the command does, and shows an example."""
    done = shell.run(name, "--help")

    assert (done.status, done.err) == (0, "")
    assert f"Usage: asyncrouter {name}" in done.out
    assert f"  asyncrouter {name}" in done.out[done.out.index("Example") :]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_listed_command_exists(name: str) -> None:
    """Every name of the list is a command of that name, with a help of its own."""
    command = app.get_command(app.make_context("asyncrouter", ["chat"]), name)

    assert command is not None
    assert command.name == name
    assert command.help
    assert COMMANDS[name].endswith(".")


def test_without_a_command_it_is_the_help(shell: Shell) -> None:
    """It is a usage error, as usual with click."""
    done = shell.run()

    assert done.status == 2
    assert "Commands:" in done.err


def test_an_unknown_command(shell: Shell) -> None:
    """It is a usage error that names the command."""
    done = shell.run("chta")

    assert done.status == 2
    assert "No such command 'chta'" in done.err


@pytest.mark.parametrize("arguments", [["--config", "a.toml", "check"], ["--config=a.toml", "check"], ["--task", "x"]])
def test_an_option_before_the_command_is_shown_its_place(shell: Shell, arguments: list[str]) -> None:
    """The error says that the options of a command stand behind its name."""
    done = shell.run(*arguments)

    assert (done.status, done.out) == (2, "")
    name = arguments[0].split("=")[0]
    assert f"A command's options stand behind its name: asyncrouter COMMAND {name}" in " ".join(done.err.split())


def test_the_version(shell: Shell) -> None:
    """It is the installed package's."""
    assert shell.run("--version") == (0, "asyncrouter 0.1.0\n", "")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    """Status 2 and no traceback, whichever package is missing."""
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {missing!r}:\n"
        f"            raise ModuleNotFoundError(f'No module named {{name!r}}', name={missing!r})\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "from asyncrouter.cli import main\n"
        "sys.exit(main())\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "asyncrouter: the command line needs click and rich: pip install 'asyncrouter[cli]'\n"


@pytest.mark.parametrize("module", ["click", "aiohttp", "asyncrouter._router", "rich"])
@pytest.mark.parametrize("start", STARTS)
def test_ctrl_c_while_importing_is_no_traceback(start: str, module: str) -> None:
    """Status 130 without output, by the installed script and as a module, however early it comes."""
    code = (
        "import runpy, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"{start}\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "closed", "status"),
    [(["chat", "-"], 0, 2), (["batch", "-", "-o", "out.jsonl"], 0, 0), (["chat", "Hello"], 1, 0), (["explain"], 1, 0),
     (["chat"], 2, 2)],
)
def test_without_a_standard_stream_it_is_empty(shell: Shell, arguments: list[str], closed: int, status: int) -> None:
    """Some services start programs without them; there is no traceback."""
    shell.world.model("a", Act(text="ok"))

    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; os.close(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])",
         str(closed), *command(*arguments)],
        capture_output=True, text=True, check=False, env=environment(),
    )

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_it_runs_as_a_module(shell: Shell) -> None:
    """`python -m asyncrouter` is the same command."""
    shell.world.model("a", Act(text="ok"))

    assert spawn("chat", "-", stdin="Hello") == (0, "ok\n", "")


# ── where the configuration comes from ───────────────────────────────────────────────────────────────────────────────


def test_the_file_in_the_working_directory_is_used(shell: Shell) -> None:
    """./asyncrouter.toml needs no option."""
    assert "(asyncrouter.toml)" in shell.run("explain").out


def test_the_environment_names_a_file(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """$ASYNCROUTER_CONFIG goes before ./asyncrouter.toml."""
    shell.write(name="other.toml")
    monkeypatch.setenv("ASYNCROUTER_CONFIG", "other.toml")

    assert "(other.toml)" in shell.run("explain").out


def test_an_option_names_a_file(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config goes before everything else."""
    shell.write(name="third.toml")
    monkeypatch.setenv("ASYNCROUTER_CONFIG", "other.toml")

    assert "(third.toml)" in shell.run("explain", "--config", "third.toml").out


def test_without_a_file_there_are_the_built_in_tables(shell: Shell) -> None:
    """They are today's, or with --tables the first ones."""
    Path("asyncrouter.toml").unlink()

    assert '(built-in table "current")' in shell.run("explain").out
    assert "anthropic/claude-3.5-sonnet" in shell.run("explain", "--tables", "classic").out


def test_a_file_over_a_table_has_the_tasks_of_both(shell: Shell) -> None:
    """--tables adds the built-in tasks to a file's own."""
    done = shell.run("explain", "--tables", "current", "--task", "creative")

    assert done.status == 0
    assert '(asyncrouter.toml over built-in table "current")' in done.out
    assert "openrouter:anthropic/claude-opus-5.5" in done.out


@pytest.mark.parametrize("name", ["chat", "explain", "models", "check"])
def test_a_file_that_cannot_be_used_is_named_with_the_place(shell: Shell, name: str) -> None:
    """Every command that reads a file gives status 2 with the file and the path inside it."""
    shell.write('[tasks.default]\nmodels = ["a/b"]\ndeadline = "soon"\n')

    done = shell.run(name, *(["Hello"] if name == "chat" else []))

    assert (done.status, done.out) == (2, "")
    assert "asyncrouter: asyncrouter.toml: tasks.default.deadline: expected seconds" in done.err
    assert "Traceback" not in done.err


def test_a_proxy_of_the_environment_is_used(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and NO_PROXY mean what they mean to other tools."""
    shell.world.model("a", Act(text="through"))
    proxy = shell.base_url.removesuffix("/v1")
    shell.write(FILE.replace("{base_url}", "http://nowhere.invalid/v1"))
    monkeypatch.setenv("HTTP_PROXY", proxy)

    monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
    assert shell.run("chat", "Hello").status == 1
    monkeypatch.setenv("NO_PROXY", "elsewhere.invalid")
    assert shell.run("chat", "Hello") == (0, "through\n", "")
    assert len(shell.world.seen) == 1


# ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────────


def completed(monkeypatch: pytest.MonkeyPatch, shell: Shell, words: str) -> list[str]:
    monkeypatch.setenv("_ASYNCROUTER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"asyncrouter {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    return [line.partition(",")[2] for line in shell.run().out.splitlines() if line]


def test_commands_are_completed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completion offers their names."""
    assert completed(monkeypatch, shell, "ch") == ["chat", "check"]


@pytest.mark.parametrize(
    ("words", "names"),
    [("chat --task c", ["coding"]), ("explain --tier ", ["budget", "standard"]), ("chat --model ", ["a"]),
     ("batch --task c", ["coding"]),
     ("bench run --scenario ou", ["outage"]), ("bench run --scenario f", ["flaky"])],
)
def test_names_of_the_configuration_are_completed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: str, names: list[str]
) -> None:
    """Completion offers the tasks, tiers and models of the file that would be used, and the scenarios of bench."""
    assert completed(monkeypatch, shell, words) == names


def test_a_broken_file_completes_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A completion prints no errors."""
    shell.write("tasks = 1")

    assert completed(monkeypatch, shell, "chat --task c") == []


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "Hello"],
        ["chat", "Hello", "--trace", "--json"],
        ["chat", "Hello", "--stream", "--trace"],
        ["explain"],
        ["models"],
        ["models", "--remote"],
        ["check"],
        ["check", "--call"],
    ],
)
def test_no_command_prints_a_secret(shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Neither the key nor a secret header is printed, not even when the provider's error quotes them."""
    shell.write(
        'default_provider = "sim"\n[providers.sim]\nbase_url = "{base_url}"\nkey = "env:SIM_KEY"\n'
        f'headers = {{{{ X-Team = "{HEADER}" }}}}\n[tasks.default]\nmodels = ["a"]\n'
    )
    monkeypatch.setenv("SIM_KEY", KEY)
    shell.world.model("a", Act(status=401, message=f"bad key {KEY} in {HEADER}"))

    done = shell.run(*arguments)

    assert KEY not in "".join(map(str, done))
    assert HEADER not in "".join(map(str, done))
    assert "Traceback" not in done.err
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in shell.world.seen)


def test_a_key_in_a_file_is_refused_without_being_shown(shell: Shell) -> None:
    """A literal key is a configuration error that says what to write instead."""
    shell.write(f'[providers.sim]\nbase_url = "http://h.test/v1"\nkey = "{KEY}"\n')

    done = shell.run("check")

    assert done.status == 2
    assert 'providers.sim.key: expected "env:NAME"' in done.err
    assert KEY not in done.err


def test_an_empty_environment_is_enough() -> None:
    """Without HOME, a locale or a terminal type commands still run."""
    minimal = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "asyncrouter", "explain"], capture_output=True, text=True, check=False, env=minimal,
        cwd=ROOT / "tests",
    )

    assert (done.returncode, done.stderr) == (0, "")
