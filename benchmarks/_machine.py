"""Where a figure was measured and with what; and the server on the other core."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
LIMIT = 600.0
"""Seconds after which a process has hung."""
OURS = ("aiohttp", "anyio", "backoff", "orjson")


@contextmanager
def server(core: int) -> Iterator[str]:
    """A server's URL; it ends with its stdin, so it cannot be left behind."""
    command = [sys.executable, str(HERE / "_server.py"), str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def fresh(*arguments: str) -> float:
    """The number that a new Python process prints; modules are compiled once, whatever the environment says of that."""
    command = [sys.executable, *arguments]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT, env=environment)
    return float(done.stdout)


def every_file() -> None:
    """As many open files, and so connections, as this process may have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def circumstances() -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in OURS},
        "machine": {"system": platform.system(), "cpu": cpu(), "cores": os.cpu_count()},
        "load": round(os.getloadavg()[0], 2),
    }


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
