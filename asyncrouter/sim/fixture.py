"""The pytest fixtures `clock` and `world`: put `pytest_plugins = ["asyncrouter.sim.fixture"]` into a conftest.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim.clock import Clock
from asyncrouter.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Clock:
    """Virtual time for one test: `clock.run(scenario())`, then `clock.now`."""
    return Clock()


@pytest.fixture
def world() -> Iterator[World]:
    """A world of simulated models with seed 0; a test that leaves a connection open fails."""
    world = World()
    yield world
    if world.open:
        pytest.fail(f"left open: {world.live}")
