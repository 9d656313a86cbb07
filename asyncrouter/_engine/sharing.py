"""Gives an engine its part of a store that many processes share. Imported where a router has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._policies.shared_client import SharedClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._engine.engine import Engine
    from asyncrouter.shared import Shared


def share(engine: Engine, store: Shared, mark_of_key: Callable[[str], str]) -> None:
    """Keep limits, holds and the budget of this engine in a store; `mark_of_key` is that of `SharedClient`."""
    policies = engine.policies
    engine.shared = policies.shared = SharedClient(
        store, engine.loop, engine.random, engine.events, policies.holds, mark_of_key
    )
