"""How commands end: no traceback reaches a user, whatever is closed, full, missing, unreadable or interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asyncrouter.cli import _exit
from asyncrouter.cli._exit import run_command
from asyncrouter.sim import Act
from tests.helpers.commandline import Done, Shell, command, environment, spawn
from tests.helpers.planted import KEY


def shell_line(line: str) -> Done:
    """Run a line of bash in which `A` is the command."""
    line = line.replace("A ", f"{sys.executable} -W error -m asyncrouter ", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=False, env=environment())
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("A chat x --model $'\\xff'", 2, "model: expected an id that UTF-8 can express"),
        ("A chat x --param tools=5 --model sim:a", 0, ""),
        ("A chat x --config dir", 2, "is a directory"),
        ("A chat x --config $'a\\xff'", 2, "asyncrouter: a\\udcff: cannot be read: No such file or directory"),
        ("A chat x --config /dev/zero", 2, "/dev/zero: has more than 16777216 bytes"),
        ("A explain > /dev/full", 1, "No space left on device"),
        ("A chat x > /dev/full", 1, "No space left on device"),
        ("A batch in.jsonl -o o1 2> /dev/full", 0, ""),
        ("A batch in.jsonl -o o2 --progress json 2> /dev/full", 0, ""),
        ("A batch in.jsonl -o /dev/full", 3, "No space left on device"),
        ("A batch in.jsonl -o dir", 2, "dir: cannot be written: Is a directory"),
        ("A batch nothing -o o3", 2, "nothing: No such file or directory"),
        ("A nothing 2> /dev/full", 1, ""),
        ("A models --provider $'\\xff'", 2, "unknown provider"),
        ("_ASYNCROUTER_COMPLETE=bash_complete A ", 1, "this is a bug: KeyError"),
        ("mkdir gone; cd gone; rmdir ../gone; A batch in.jsonl -o out", 2, "No such file or directory"),
    ],
)
def test_no_traceback(shell: Shell, line: str, status: int, said: str) -> None:
    """One line says what is wrong, and the status is that of the help."""
    shell.world.model("a", Act(text="hi"))
    Path("in.jsonl").write_text('{"id": "1", "prompt": "x"}\n')
    Path("dir").mkdir()
    done = shell_line(line)

    assert "Traceback" not in done.err
    assert said in done.err
    assert done.status == status


def test_a_reader_that_has_gone(shell: Shell) -> None:
    """A closed pipe ends every command silently, with the status that SIGPIPE gives."""
    shell.world.model("a", Act(text="hi"))
    for arguments in ("explain", "models", "check --call", "chat x --json"):
        done = shell_line(f"(A {arguments}; echo $? >&2) | true")
        assert done.err == "141\n"


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (ValueError("seed: an integer of 99 bits"), 2, "seed: an integer of 99 bits"),
        (TypeError("messages[0].content: a set cannot be written"), 2, "messages[0].content: a set cannot be written"),
        (ValueError(f"invalid literal {KEY}"), 1, "this is a bug: ValueError at test_ends.py:"),
        (RecursionError(KEY), 1, "this is a bug: RecursionError at test_ends.py:"),
        (ExceptionGroup("x", [KeyError(KEY)]), 1, "this is a bug: ExceptionGroup at test_ends.py:"),
        (PermissionError(13, "Permission denied", "file"), 1, "file: Permission denied"),
        (MemoryError(), 1, "this is a bug: MemoryError at test_ends.py:"),
    ],
)
def test_an_exception_of_a_command(
    capsys: pytest.CaptureFixture[str], raised: Exception, status: int, said: str
) -> None:
    """A refused argument is wrong usage; what nobody expected is called a bug, with its class and place."""

    def fail() -> None:
        raise raised

    assert run_command(fail) == status
    assert said in capsys.readouterr().err


def test_a_bug_can_be_looked_at(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With ASYNCROUTER_TRACEBACK=1 the traceback is printed, too."""
    monkeypatch.setenv(_exit.SHOW_TRACEBACK, "1")

    def fail() -> None:
        raise KeyError("a")

    run_command(fail)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_check_names_a_key_that_cannot_be_sent(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newline or a bad byte in a variable is found by `check`, as by a call."""
    for bad in (f"{KEY}\nx", f"{KEY}\udcff"):
        monkeypatch.setenv("PLANTED_KEY", bad)
        done = shell.run("check")
        assert "the key in PLANTED_KEY has characters in it that cannot be sent" in done.out
        assert done.status == 2


@pytest.mark.parametrize("arguments", [["chat", "x"], ["batch", "in.jsonl", "-o", "out.jsonl"], ["check", "--call"]])
@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_three_interrupts(shell: Shell, arguments: list[str], gap: float) -> None:
    """Ctrl-C three times, at once or one after the other, ends a command that waits with 130 and no traceback.

    (A command takes most of a second to start.)
    """
    for name in "ab":
        shell.world.model(name, Act(fault="hang", at="headers"))
    Path("in.jsonl").write_text('{"id": "1", "prompt": "x"}\n')
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment(), start_new_session=True)
    until = time.monotonic() + 20
    while not shell.world.seen and time.monotonic() < until:
        time.sleep(0.01)
    for _ in range(3):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(gap or 0.03)
    _, err = process.communicate(timeout=20)

    assert "Traceback" not in err
    assert process.returncode == 130


def test_a_command_without_its_extra(shell: Shell) -> None:
    """Where plotly or numpy is missing, one line says what to install, and nothing is spent."""
    for module, arguments in (("numpy", "bench run --scenario healthy --calls 5"),
                              ("plotly", "bench run --scenario healthy --calls 5 --out there")):
        hidden = f"import sys; sys.modules['{module}'] = None; from asyncrouter.cli import main; sys.exit(main())"
        done = subprocess.run([sys.executable, "-c", hidden, *arguments.split()], capture_output=True, text=True,
                              timeout=60, check=False, env=environment())
        assert "pip install 'asyncrouter[bench]'" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == 2
    assert spawn("explain").status == 0


def test_ctrl_c_while_a_class_is_made() -> None:
    """Python 3.11 makes a `RuntimeError` of it, which is no traceback either."""
    code = (
        "import dataclasses, sys\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "dataclasses.Field.__set_name__ = interrupted\n"
        "from asyncrouter.cli import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "explain"], capture_output=True, text=True, timeout=60,
                          check=False, env=environment())

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
