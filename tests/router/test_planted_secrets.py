"""The plugin `tests.helpers.planted` fails every test that lets a planted secret out, and no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAKS = '''
import contextlib, logging, subprocess, sys, warnings, pytest
from asyncrouter import CallError, Router
from asyncrouter._credentials import Credential
from asyncrouter.sim import Act
from tests.helpers.planted import HEADER, KEY

def test_nothing():
    assert KEY

def test_printed():
    print(KEY)

def test_read(capsys):
    print(KEY, file=sys.stderr)
    capsys.readouterr()

def test_logged():
    logging.getLogger("asyncrouter").warning("a key: %s", KEY)

def test_warned():
    warnings.warn(KEY)

def test_run():
    subprocess.run([sys.executable, "-c", f"print({KEY!r})"], capture_output=True)

def test_raised():
    with pytest.raises(ValueError):
        raise ValueError from KeyError(KEY)

def test_kept():
    with pytest.raises(ValueError) as caught:
        error = ValueError()
        error.key = KEY
        raise error

def test_written(tmp_path):
    (tmp_path / "out.jsonl").write_text(KEY)

def ask(clock, world):
    world.model("a", Act(status=401, message=f"bad key {KEY} in {HEADER}"))

    async def scenario():
        async with Router(world.config(), transport=world.transport()) as router:
            with contextlib.suppress(CallError):
                await router.chat("x", model="a")

    clock.run(scenario())

def test_masked(clock, world):
    ask(clock, world)

def test_traced(clock, world, monkeypatch):
    monkeypatch.setattr(Credential, "mask", lambda self, text, *others: text)
    ask(clock, world)
'''


def test_a_secret_that_gets_out_fails_its_test(tmp_path: Path) -> None:
    """Tests that let one out fail: in output, a log, a command's output or files, an exception or its causes, or, where
    masking is broken, in a call's trace. (It runs a pytest of its own, which takes seconds.)
    """
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    plugins = ["-p", "tests.helpers.planted", "-p", "asyncrouter.sim.fixture", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "--tb=no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    with done.stdout as output:  # not `communicate`, in which the plugin of this run would find the same secrets
        failed = re.findall(r"^FAILED \S+::test_(\w+)", output.read(), re.MULTILINE)

    assert done.wait() == 1
    assert set(failed) == {"printed", "read", "logged", "warned", "run", "raised", "kept", "written", "traced"}
