"""A process that has fewer descriptors than calls: none is lost, nobody is blamed, and closing needs none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from asyncrouter._engine.local_room import OUT_OF_ROOM
from asyncrouter.sim import Act, World
from tests.helpers.blocking import serving_in_a_thread

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")


@pytest.mark.parametrize(
    ("calls", "limit", "taken", "at_the_end"),
    [
        pytest.param(2000, 256, 0, "none", id="more-calls-than-descriptors"),
        pytest.param(300, 256, 225, "none", id="the-program-has-taken-most"),
        pytest.param(100, 256, 0, "all", id="none-is-left-when-it-closes"),
    ],
)
def test_no_call_is_lost(calls: int, limit: int, taken: int, at_the_end: str) -> None:
    """Every call is answered by its first model at its only attempt, no breaker moves, and everything is closed."""
    world = World()
    world.model("a", Act(text="hi", first_token=0.01))
    world.model("b", Act(text="late"))

    with serving_in_a_thread(world) as base_url:
        done = subprocess.run(
            [sys.executable, "-m", "tests.transport.few_descriptors", base_url, *map(str, (calls, limit, taken)),
             at_the_end],
            check=False, capture_output=True, text=True, timeout=50,
        )  # fmt: skip

    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "outcomes": {"a 1": calls}, "breakers": ["closed"], "left": 0,
        "warnings": [OUT_OF_ROOM] if calls > 200 else [],
    }
