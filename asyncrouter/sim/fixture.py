"""Pytest fixtures: `pytest_plugins = ["asyncrouter.sim.fixture"]` in a conftest.py gives `clock` and `world`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim.clock import Clock
from asyncrouter.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Clock:
    """Virtual time: `clock.run(scenario())`, then `clock.now`."""
    return Clock()


@pytest.fixture
def world() -> Iterator[World]:
    """A world of simulated models, seed 0. The test fails if it leaves a connection open."""
    world = World()
    yield world
    if world.open:
        pytest.fail(f"left open: {world.live}")
