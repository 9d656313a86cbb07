"""Every example of the README, and of the packages' docstrings, runs."""

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import asyncrouter
from asyncrouter import Config, Router, batch, sim
from asyncrouter._config.builtin_catalog import catalog
from asyncrouter.sim import Act, Clock, World
from tests.helpers.planted import KEY

ROOT = Path(__file__).parent.parent


def examples(text: str) -> list[str]:
    """The Python blocks of a text."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


BLOCKS = examples((ROOT / "README.md").read_text(encoding="utf-8"))
PACKAGES = ["asyncrouter", "asyncrouter/sim", "asyncrouter/batch", "asyncrouter/bench"]
DOCSTRINGS = [
    block for package in PACKAGES
    for block in examples(ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8"))) or "")
] + [
    block for documented in (Router, Router.chat, Router.stream, Config)
    for block in examples(inspect.getdoc(documented) or "")
]
SERVICE = next(block for block in BLOCKS if "FastAPI(" in block)
"""The example on which those that only add a route are built."""
HERE = {name: getattr(asyncrouter, name) for name in asyncrouter.__all__}


def first_line(block: str) -> str:
    """What an example is called."""
    return block.strip().splitlines()[0][:60]


@pytest.fixture
def scenery(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which every model of the examples answers, instead of the network."""
    names = [model for _, model in catalog().models] + ["a", "b", "claude-sonnet-5", "gemini-3-flash", "gpt-6-luna"]
    for name in names:
        world.model(name, Act(text='{"colours": ["red"]}', tokens=4))
    for provider in ("OPENROUTER", "OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)
    monkeypatch.setattr("asyncrouter._engine.lifecycle.AiohttpTransport", world.transport)
    return world


async def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run an example, with `await` where it stands."""
    code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if inspect.iscoroutine(running := eval(code, names)):
        await running
    return names


@pytest.mark.parametrize("block", BLOCKS + DOCSTRINGS, ids=first_line)
def test_it_runs(
    block: str, clock: Clock, scenery: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An example of the README runs as it stands, over a simulated world."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "router.toml").write_text('[tasks.default]\nmodels = ["openai/gpt-6-luna"]\n')
    (tmp_path / "in.jsonl").write_text('{"id": "1", "prompt": "hello"}\n')
    block = block.replace("asyncio.run(main())", "await main()")

    async def scenario() -> None:
        router = Router(world_config(), tables="current")
        reply = await router.chat("hello", model="openai/gpt-6-luna")
        messages = [{"role": "user", "content": "x"}]
        names = HERE | {
            "router": router, "reply": reply, "prompt": "hello", "prompts": ["hello"], "messages": messages,
            "batch": batch, "json": json,
        }
        names = await run(SERVICE + block if "@app." in block and "FastAPI(" not in block else block, names)
        if "app" in names:
            await call_routes(names["app"])
        await router.aclose()
        if names["router"] is not router:
            await names["router"].aclose()

    if "def test_" in block:
        names = HERE | vars(sim)
        exec(compile(block, "README.md", "exec"), names)
        [test] = [value for name, value in names.items() if name.startswith("test_")]
        test(clock, World())
    elif "bench.run(" in block or "world." in block:
        exec(compile(block, "README.md", "exec"), HERE | vars(sim) | {"world": World()})
    else:
        clock.run(scenario())
    capsys.readouterr()


def world_config() -> dict[str, object]:
    """The names that the examples use, beside the built-in ones."""
    return {"models": {name: {"provider": "openrouter", "id": name} for name in ("a", "b")}}


async def call_routes(app: FastAPI) -> None:
    """Ask what an example serves, as a browser would, once."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")
    async with app.router.lifespan_context(app), client:
        for route in app.routes:
            if route.path == "/ask":
                answer = await client.post("/ask", params={"question": "why?"})
                assert answer.json()["answer"] == '{"colours": ["red"]}'
            elif route.path == "/story":
                answer = await client.get("/story", params={"about": "whales"})
                assert 'data: "{\\"colours\\":"\n\n' in answer.text
                assert answer.text.endswith("event: done\ndata: {}\n\n")


def test_there_are_examples() -> None:
    """The README is found, and has them."""
    assert len(BLOCKS) > 10
