"""The plugin that looks for planted secrets finds one wherever it comes up, and only then."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LEAKS = '''
import logging, subprocess, sys, warnings, pytest
from planted import KEY

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
'''


def test_a_secret_that_comes_up_fails_its_test(tmp_path: Path) -> None:
    """In output, a log, a command's output, an exception and what it hangs on to. (A pytest of its own: a second.)"""
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    command = [sys.executable, "-m", "pytest", "-p", "planted", "-p", "no:cacheprovider", "-q", "--tb=no"]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    with done.stdout as told:  # not `communicate`: the plugin here would find what the one there has found
        failed = re.findall(r"^FAILED \S+::test_(\w+)", told.read(), re.MULTILINE)

    assert 1 == done.wait()
    assert {"printed", "read", "logged", "warned", "run", "raised", "kept"} == set(failed)
