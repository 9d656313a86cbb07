"""The servers of `serve.py` as processes: started on one core, their CPU time as the system counts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from _machine import HERE
from _proxies import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

START_SECONDS = 180.0
"""Within which LiteLLM's proxy has to answer."""


class Proxy:
    """A server that runs, with its address; ended at the end of its block."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def cpu(self) -> float:
        """Seconds of CPU time until now, of the process and of its children that have not ended."""
        return sum(_cpu_of(pid) for pid in (self._process.pid, *_children(self._process.pid)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def ours(url: str, core: int) -> Proxy:
    """`asyncrouter serve`, with its defaults."""
    return _of_proxies("asyncrouter", url, core)


def handwritten(url: str, core: int) -> Proxy:
    """The hand-written proxy."""
    return _of_proxies("handwritten", url, core)


def _of_proxies(arm: str, url: str, core: int) -> Proxy:
    command = [sys.executable, str(HERE / "_proxies.py"), arm, url, str(core)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Proxy(process, process.stdout.readline().strip())


def litellm(folder: Path, url: str, core: int, models: Sequence[str]) -> Proxy:
    """LiteLLM's proxy with one worker, as its documentation starts it; installed into `folder` if it is not there."""
    python = environment_of(folder)
    settings = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": f"{url}/v1", "api_key": "x"}}
            for name in models
        ],
        "general_settings": {"master_key": KEY},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        json.dump(settings, file)  # which is YAML, too
    port = 4010
    command = ["taskset", "-c", str(core), str(python.with_name("litellm")), "--config", file.name, "--host",
               "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **quiet}
    )
    proxy = Proxy(process, f"http://127.0.0.1:{port}")
    _wait_until_it_answers(f"{proxy.url}/health/liveliness")
    return proxy


def litellm_version(folder: Path) -> str:
    """The version that was measured."""
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    command = [environment_of(folder), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def environment_of(folder: Path) -> Path:
    """The Python of the environment, made and filled where it is not there yet."""
    python = folder.absolute() / "bin" / "python"
    if not python.with_name("litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-U", "pip"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "litellm[proxy]"], check=True)
    return python


def _wait_until_it_answers(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def _cpu_of(pid: int) -> float:
    """Of all threads, from the scheduler: `stat` beside it counts hundredths of a second."""
    seconds = 0.0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that has just ended
            seconds += int(path.read_text().split()[0]) * 1e-9
    return seconds


def _children(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_children(child)]
    return found
