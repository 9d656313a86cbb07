"""What several tests of the engine have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import World


@pytest.fixture
def models_say_their_names(world: World) -> None:
    """Let the models a, b, c and d answer at once with their names, unless a test says otherwise."""
    for name in "abcd":
        world.model(name, Act(text=name))
