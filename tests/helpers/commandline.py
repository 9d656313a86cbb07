"""Runs the command line in tests: in this process with a simulated world behind sockets, or in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim import World

ROOT = Path(__file__).parents[2]
"""The repository."""

FILE = """
default_provider = "sim"
[providers.sim]
base_url = "{base_url}"
key = "env:PLANTED_KEY"
[defaults]
retry = {{ attempts = 1 }}
[models.a]
provider = "sim"
id = "a"
context = 1000
usd_per_mtok = {{ input = 1000000.0, output = 2000000.0 }}
[tasks.default]
models = ["a", "b"]
[tasks.coding]
models = ["b", {{ model = "a", total = 7.5 }}]
hedge = {{ after = 1.5 }}
[tiers]
budget = ["b"]
standard = ["a"]
"""
"""The usual configuration: two models of the simulated world. `{base_url}` is its address."""


FOUND = "asyncrouter: using ./asyncrouter.toml, found in the working directory\n"
"""What every command says that uses the file of its working directory, as all of these do."""


class Done(NamedTuple):
    """How a command ended: its exit status, and what it wrote to standard output and, but for `FOUND`, to the other."""

    status: int
    out: str
    err: str


class Shell:
    """A working directory with an asyncrouter.toml whose models are the world's, and commands run in it."""

    def __init__(self, world: World, base_url: str, capture: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.base_url = base_url
        self._capture = capture

    def write(self, text: str = FILE, name: str = "asyncrouter.toml") -> None:
        """Write a file, with the world's address in place of `{base_url}`."""
        Path(name).write_text(text.format(base_url=self.base_url), encoding="utf-8")

    def run(self, *arguments: str) -> Done:
        """Run a command in this process."""
        from asyncrouter.cli._app import run  # click is not installed in every environment that tests run in

        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        assert isinstance(ended.value.code, int)
        out, err = self._capture.readouterr()
        return Done(ended.value.code, out, err.replace(FOUND, ""))


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serve the world behind sockets, on an event loop in another thread; yields its address."""
    loop, server = asyncio.new_event_loop(), world.server()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
        yield server.base_url
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(5)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def shell(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell in an empty directory, without the machine's own keys and settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("ASYNCROUTER_")]:
        monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with serving(world) as base_url:
        shell = Shell(world, base_url, capsys)
        shell.write()
        yield shell


def command(*arguments: str) -> list[str]:
    """The arguments of a process that runs a command, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "asyncrouter", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this repository's package, and names the file of this directory."""
    named = {"ASYNCROUTER_CONFIG": "asyncrouter.toml"} if Path("asyncrouter.toml").is_file() else {}
    return {**os.environ, "PYTHONPATH": str(ROOT), **named, **more}


def spawn(*arguments: str, stdin: str | None = None) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    return Done(done.returncode, done.stdout, done.stderr.replace(FOUND, ""))
