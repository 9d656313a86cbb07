"""Contract: OpenAI's JavaScript client over a chain whose first model is dead.

`npm install --prefix DIR openai` installs it; NODE_PATH is then DIR/node_modules.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.sim import Act
from tests.helpers.loopback import run
from tests.helpers.planted import KEY
from tests.helpers.served import serving

if TYPE_CHECKING:
    from asyncrouter.sim import World

SCRIPT = Path(__file__).with_name("openai_client.cjs")


def test_the_javascript_client(world: World) -> None:
    """Whole, streamed, a tool, embeddings and an error: one request each, so no retry of its own."""
    world.model("dead", Act(status=500))
    world.model("m", Act(text="one two", dimensions=3))
    world.model("tool", Act(text="", tool_calls=({"name": "f", "arguments": "{}"},)))

    async def scenario() -> None:
        async with serving(world) as server:
            process = await asyncio.create_subprocess_exec(
                "node", str(SCRIPT), stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "URL": server.base_url, "KEY": KEY},
            )
            out, _ = await process.communicate()

        assert json.loads(out) == {
            "whole": "one two", "streamed": "one two", "call": {"name": "f", "arguments": "{}"}, "vectors": [3, 3],
            "error": ["InternalServerError", 502], "requests": 5,
        }

    run(scenario())
