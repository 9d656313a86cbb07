"""The command line: `asyncrouter`, or `python -m asyncrouter`. It needs the extra `cli` (click and rich).

Each command is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line with this process's arguments; its exit status, 2 where the extra is not installed."""
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
