"""Contract: inspect_ai evaluates a real model by the URL of the server, with a dead one before it in the chain."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import CallEnded, Event, Router, local
from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, ServeOptions, Server
from tests.helpers.loopback import free_port
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("inspect_ai")
TASK = Path(__file__).with_name("inspect_task.py")
QUESTIONS = 6


def load(model: local.Server, listener: Callable[[Event], None]) -> Loaded:
    """A router whose task asks a dead provider first, then the local model."""
    config: dict[str, Any] = model.config()
    config["providers"] = {**config["providers"], "dead": {"base_url": f"http://127.0.0.1:{free_port()}/v1"}}
    config["tasks"] = {"quiz": {"models": ["dead:any", model.alias], "retry": {"attempts": 1}}}
    return Loaded(Router(config, listeners=[listener]), KeyRing([ClientKey("inspect", KEY)]))


async def evaluate(model: str, base_url: str, folder: Path) -> tuple[int, Any, bytes]:
    """Run the evaluation in a process of its own: its status, what it printed, and what it said beside that."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TASK), model, str(folder), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=folder,
        env={
            **os.environ, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "ASYNCROUTER_BASE_URL": base_url,
            "ASYNCROUTER_API_KEY": KEY,
        },
    )
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out or b"null"), err


@pytest.mark.parametrize("model", ["openai/task:quiz", "openai-api/asyncrouter/task:quiz"])
def test_an_evaluation_of_a_real_model(tmp_path: Path, model: str) -> None:
    """Every sample is answered and scored, each with one request of the client's; it warns of nothing (8 s)."""
    events: list[Event] = []

    async def scenario() -> tuple[int, Any, bytes]:
        async with (
            local.serve(slots=4, context=256) as real,
            Server(lambda: load(real, events.append), ServeOptions(port=0)) as server,
        ):
            return await evaluate(model, server.base_url, tmp_path)

    status, found, said = asyncio.run(asyncio.wait_for(scenario(), 120))
    calls = [event for event in events if isinstance(event, CallEnded)]
    models = {tuple(attempt.model for attempt in event.trace.attempts) for event in calls}

    assert (status, said) == (0, b"")
    assert (found["status"], found["scored"], len(found["answers"]), all(found["answers"])) == (
        "success", QUESTIONS, QUESTIONS, True
    )
    assert ([event.error for event in calls], models) == ([None] * QUESTIONS, {("dead:any", "smollm2")})
    assert found["output_tokens"] > 0
