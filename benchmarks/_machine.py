"""The machine of a measurement: its description, the server on the other core, processes of their own."""

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
PROCESS_TIMEOUT = 600.0
"""Seconds after which a process counts as hung; the longest one takes about half of that."""
DEPENDENCIES = ("asyncrouter", "aiohttp", "anyio", "backoff", "orjson")
"""The packages whose versions are recorded."""


@contextmanager
def server(core: int) -> Iterator[str]:
    """Run `_server.py` pinned to a core, and yield its URL. It ends with its stdin: it cannot be left running."""
    command = [sys.executable, str(HERE / "_server.py"), str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def in_new_process(*arguments: str) -> float:
    """The number that a new Python process prints. It may write bytecode, whatever the environment says."""
    command = [sys.executable, *arguments]
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=PROCESS_TIMEOUT, env=variables
    )
    return float(done.stdout)


def raise_file_limit() -> None:
    """Allow as many open files, and so connections, as the system lets this process have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def environment() -> dict[str, object]:
    """Date, versions, machine and load average, for a file of results."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in DEPENDENCIES},
        "machine": {"system": platform.system(), "cpu": cpu_model(), "cores": os.cpu_count()},
        "load": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
