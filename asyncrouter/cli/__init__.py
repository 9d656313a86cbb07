"""The command line: `asyncrouter`, or `python -m asyncrouter`. It needs the extra `cli` (click and rich).

Each command is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line with this process's arguments; its exit status, 2 where the extra is not installed."""
    # Everything is imported inside: that takes long enough for a Ctrl-C, which must not end in a traceback.
    try:
        _open_what_is_closed()
        return _run()
    except KeyboardInterrupt:
        return 130
    finally:
        # One more Ctrl-C would only interrupt, with a complaint, the interpreter's own end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open_what_is_closed() -> None:
    """Some services start programs without standard streams: then there is nothing to read, and nobody to tell."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # as long as the process


def _run() -> int:
    try:
        import click  # noqa: F401  -- only whether they are there
        import rich  # noqa: F401
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.stderr.write("asyncrouter: the command line needs click and rich: pip install 'asyncrouter[cli]'\n")
        return 2
    from asyncrouter.cli._app import run

    return run()
