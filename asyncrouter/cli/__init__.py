"""The command line: `asyncrouter`, or `python -m asyncrouter`. It needs the extra `cli` (click and rich).

Each command is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line with this process's arguments; its exit status, 2 where the extra is not installed."""
    # Everything is imported inside: that takes long enough for a Ctrl-C, which must not end in a traceback.
    try:
        return _run()
    except KeyboardInterrupt:
        return 130
    finally:
        # One more Ctrl-C would only interrupt, with a complaint, the interpreter's own end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


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
