"""Where and with what a run was measured, for its report."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version


def environment() -> dict[str, object]:
    """Date and time, Python, system, number of processors, and versions of packages (`None`: not installed)."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        **{name: _version(name) for name in ("asyncrouter", "aiohttp", "numpy", "plotly")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
