"""The command line: `asyncrouter`, or `python -m asyncrouter`. It needs the extra `cli` (click and rich).

Each command is a module of its own that is imported when the command is used, so that none pays for another's packages.
The modules without an underscore are the commands; those with one are shared.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line with this process's arguments; its exit status, 2 where the extra is not installed."""
    # All imports are inside `try`: they take long enough for a Ctrl-C, which must not end in a traceback.
    try:
        _replace_closed_streams()
        return _run()
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return 130  # Python 3.11 raises this instead where Ctrl-C comes while a class is made
    finally:
        # Another Ctrl-C could only interrupt the exit of the interpreter, which would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _replace_closed_streams() -> None:
    """Open the null device for each standard stream that is closed: some services start programs without them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # as long as the process


def _run() -> int:
    try:
        import click  # noqa: F401  -- whether the extra is installed
        import rich  # noqa: F401
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.stderr.write("asyncrouter: the command line needs click and rich: pip install 'asyncrouter[cli]'\n")
        return 2
    from asyncrouter.cli._app import run  # imports click

    return run()
