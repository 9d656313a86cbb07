"""`asyncrouter serve`: its address, its keys, and the signals that stop it and make it read its file again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError
from asyncrouter.serve import read_keys, read_serve_table
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body
from tests.helpers.commandline import FILE, ROOT
from tests.helpers.planted import KEY, ROTATED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.commandline import Shell

COMMAND = [sys.executable, "-m", "asyncrouter", "serve", "--port", "0", "--json"]
TEAM = '[serve.keys.team]\nkey = "env:TEAM_KEY"\nmodels = ["{model}"]\nrpm = 60\nusd = 5.0\nper = "hour"\n'


def ask(url: str, model: str, key: str) -> int:
    """The status of a chat."""
    headers = {"Authorization": f"Bearer {key}"}
    return status_at(urllib.request.Request(f"{url}/chat/completions", chat_body(model), headers))  # loopback


def status_at(request: urllib.request.Request) -> int:
    """The status of the answer to a request."""
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own: the address for clients, and the process."""
    environ = {**os.environ, "TEAM_KEY": KEY, "OTHER_KEY": ROTATED, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield json.loads(process.stdout.readline())["base_url"], process
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


def test_it_serves_until_sigterm_and_reads_its_file_again(shell: Shell) -> None:
    """A key may use what the file says at that moment; the process ends with status 0, and shows no key."""
    shell.world.model("a", Act(text="one"))
    shell.world.model("b", Act(text="two"))
    shell.write(FILE + TEAM.replace("{model}", "a"))
    with serving() as (url, process):
        assert process.stderr is not None
        before = [ask(url, model, key) for model, key in (("a", KEY), ("b", KEY), ("a", "wrong"))]
        shell.write(FILE + TEAM.replace("{model}", "b"))
        process.send_signal(signal.SIGHUP)
        said = []
        while not said or "configuration" not in said[-1]:
            said.append(process.stderr.readline())
        after = [ask(url, model, KEY) for model in ("a", "b")]
        process.terminate()
        status = process.wait(10)
        rest = process.stderr.read()

    assert said[-1].endswith("the configuration was read again\n")
    assert (before, after, status) == ([200, 404, 401], [404, 200], 0)
    assert KEY not in "".join(said) + rest


@pytest.mark.parametrize(("options", "status"), [
    ([], 200), (["--no-status"], 404), (["--key", "env:TEAM_KEY"], 404), (["--key", "env:TEAM_KEY", "--status"], 200),
])
def test_the_status_page_is_off_where_keys_are_asked_for(shell: Shell, options: list[str], status: int) -> None:
    """Unless `--status` says otherwise; a line says where it is (a process each: 2 s)."""
    shell.write()
    with serving(*options) as (url, process):
        page = url.removesuffix("/v1") + "/status"
        request = urllib.request.Request(page, headers={"Authorization": f"Bearer {KEY}"})
        answered = status_at(request)
        process.terminate()
        process.wait(10)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (answered, page in said) == (status, status == 200)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--host", "0.0.0.0"], "host: 0.0.0.0 can be reached by others; give them keys"),
    (["--key", "literal-key"], '--key: expected "env:NAME"'),
    (["--key", "env:NOT_SET_ANYWHERE"], "--key NOT_SET_ANYWHERE: the environment variable"),
])  # fmt: skip
def test_what_is_not_safe_does_not_begin(shell: Shell, arguments: list[str], words: str) -> None:
    """A wrong usage, whose message says what to do and repeats no key."""
    shell.write()
    done = shell.run("serve", "--port", "0", *arguments)

    assert (done.status, words in done.err, "literal-key" in done.err) == (2, True, False)


@pytest.mark.parametrize(("table", "path"), [
    ("[serve]\nport = 1", "serve.port"), ("serve = 1", "serve"), ("[serve]\nkeys = 1", "serve.keys"),
    ('[serve.keys]\na = "x"', "serve.keys.a"), ("[serve.keys.a]\nmodels = ['m']", "serve.keys.a.key"),
    (f'[serve.keys.a]\nkey = "{KEY}"', "serve.keys.a.key"), ("[serve.keys.a]\nkeys = 'env:K'", "serve.keys.a.keys"),
    ("[serve.keys.a]\nkey = 'env:K'\nrpm = 0", "serve.keys.a.rpm"),
    ("[serve.keys.a]\nkey = 'env:K'\nrpm = true", "serve.keys.a.rpm"),
    ("[serve.keys.a]\nkey = 'env:K'\nusd = 'x'", "serve.keys.a.usd"),
    ("[serve.keys.a]\nkey = 'env:K'\nper = 'week'", "serve.keys.a.per"),
    ("[serve.keys.a]\nkey = 'env:K'\nmodels = []", "serve.keys.a.models"),
    ("[serve.keys.a]\nkey = 'env:K'\nmodels = 'm'", "serve.keys.a.models"),
])  # fmt: skip
def test_a_wrong_table_is_named(tmp_path: Path, table: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of the value, and no key."""
    monkeypatch.setenv("K", "k")
    file = tmp_path / "router.conf"
    file.write_text(table, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_keys(read_serve_table(file), {})

    assert caught.value.path == path


def test_other_commands_leave_the_table_alone(shell: Shell) -> None:
    """One file serves all of them."""
    shell.write(FILE + TEAM.replace("{model}", "a"))

    assert shell.run("explain", "--task", "coding").status == 0
