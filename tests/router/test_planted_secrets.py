"""The plugin `tests.helpers.planted` fails every test that lets a planted secret out, and no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAKS = '''
import asyncio, base64, contextlib, html, json, logging, subprocess, sys, warnings, pytest
from urllib.parse import quote
from asyncrouter import CallError, Router
from asyncrouter._credentials import Credential
from asyncrouter._credentials.secret import Secret
from asyncrouter._transport import aiohttp as transport
from asyncrouter.sim import Act
from tests.helpers.loopback import serving
from tests.helpers.planted import HEADER, KEY, MARK

def test_nothing():
    assert KEY

def test_printed():
    print(KEY)

def test_read(capsys):
    print(KEY, file=sys.stderr)
    capsys.readouterr()

def test_logged():
    logging.getLogger("asyncrouter").warning("a key: %s", KEY)

def test_warned():
    warnings.warn(KEY)

def test_shouted():
    print(KEY.upper())

def test_percent():
    print("".join(f"%{byte:02x}" for byte in KEY.encode()))

def test_escaped():
    print(json.dumps("".join(f"&#{ord(sign)};" for sign in KEY)))

def test_base64():
    print([base64.b64encode(f"{user}:{KEY}".encode()) for user in ("a", "ab", "abc")])

def test_seven():
    print(MARK)

def test_frame():
    inside = {"__name__": "asyncrouter.anything"}
    exec("def fail(request): raise ValueError", inside)
    with pytest.raises(ValueError):
        inside["fail"]({"headers": [("Authorization", KEY)]})

def test_run():
    subprocess.run([sys.executable, "-c", f"print({KEY!r})"], capture_output=True)

def test_raised():
    with pytest.raises(ValueError):
        raise ValueError from KeyError(KEY)

def test_kept():
    with pytest.raises(ValueError) as caught:
        error = ValueError()
        error.key = KEY
        raise error

def test_written(tmp_path):
    (tmp_path / "out.jsonl").write_text(KEY)

def ask(clock, world):
    world.model("a", Act(status=401, message=f"bad key {KEY} in {HEADER}"))

    async def scenario():
        async with Router(world.config(), transport=world.transport()) as router:
            with contextlib.suppress(CallError):
                await router.chat("x", model="a")

    clock.run(scenario())

def test_masked(clock, world):
    ask(clock, world)

def test_traced(clock, world, monkeypatch):
    monkeypatch.setattr(Credential, "mask", lambda self, text, *others: text)
    ask(clock, world)

def test_revealed(clock, world, monkeypatch):
    monkeypatch.setattr(Secret, "__repr__", lambda self: self._reveal())
    world.model("a")

    async def scenario():
        async with Router(world.config(), transport=world.transport()) as router:
            with contextlib.suppress(TypeError):
                await router.chat("x", model="a", seed=object())

    clock.run(scenario())

def test_remembered(monkeypatch):
    monkeypatch.setattr(transport, "forget_locals", lambda error, everything: None)

    async def never(peer):
        await peer.request()
        await asyncio.sleep(9)

    async def scenario():
        async with serving(never) as server:
            sim = {"base_url": f"http://127.0.0.1:{server.port}/v1", "key": "env:PLANTED_KEY"}
            async with Router({"default_provider": "sim", "providers": {"sim": sim}}) as router:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(router.chat("x" * 100_000, model="a"), 0.1)

    asyncio.run(scenario())
'''


def test_a_secret_that_gets_out_fails_its_test(tmp_path: Path) -> None:
    """Tests that let one out fail: in any spelling, in output, a log, a command's output or files, an exception, its
    causes or frames; and where masking, the holder or the clearing of frames is broken. (It runs a pytest of its own,
    which takes seconds.)
    """
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    plugins = ["-p", "tests.helpers.planted", "-p", "asyncrouter.sim.fixture", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "--tb=no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    with done.stdout as output:  # not `communicate`, in which the plugin of this run would find the same secrets
        failed = re.findall(r"^FAILED \S+::test_(\w+)", output.read(), re.MULTILINE)

    assert done.wait() == 1
    assert set(failed) == {
        "printed", "read", "logged", "warned", "run", "raised", "kept", "written", "traced", "shouted", "percent",
        "escaped", "base64", "seven", "frame", "revealed", "remembered",
    }  # fmt: skip
