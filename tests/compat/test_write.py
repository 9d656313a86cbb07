"""`write.py` writes with the present code what a later one will have to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncrouter
from asyncrouter import CallError, ReplyStream, Router, Transport

NOT_PICKLED = {
    "AiohttpTransport", "AutoSeconds", "FileRequest", "FunctionCall", "Message", "ToolCall", ReplyStream.__name__,
    "Response", Router.__name__, "Shared", Transport.__name__,
}
"""Public classes that live in their process, or are the types of dicts."""
ROOTS = {CallError.__name__, "AttemptError"}
"""Errors that are raised only as one of their subclasses."""


def test_every_public_class_is_written(tmp_path: Path) -> None:
    """A new public class must be added to the script; all that it writes is there."""
    script = Path(__file__).parent / "write.py"

    done = subprocess.run([sys.executable, script, tmp_path / "new"], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    pickles = {path.stem for path in (tmp_path / "new" / "pickles").iterdir()}
    public = {name for name in asyncrouter.__all__ if isinstance(getattr(asyncrouter, name), type)}
    assert public - NOT_PICKLED - ROOTS - pickles == set()
    old = Path(__file__).parent / "written_by_0_1_0"
    assert {path.name for path in old.iterdir()} - {path.name for path in (tmp_path / "new").iterdir()} == {"README.md"}
