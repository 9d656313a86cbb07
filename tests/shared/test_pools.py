"""Pools and several keys whose limits many routers keep as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import Router
from asyncrouter.shared import InProcess
from asyncrouter.sim import Act
from tests.helpers.sharing import saturate

if TYPE_CHECKING:
    import pytest

    from asyncrouter.sim import Clock, World


def test_each_member_has_a_limit_of_all_routers(clock: Clock, world: World) -> None:
    """Two routers over a pool of two models use the limit of each together, and neither of them more than it has."""
    for name in ("a", "b"):
        world.model(name, Act(text="x", first_token=0.2))
    models = {name: {"provider": "sim", "id": name, "rpm": rpm} for name, rpm in (("a", 600), ("b", 1800))}
    config = world.config(
        models={**models, "pool": {"any": ["a", "b"]}}, tasks={"default": ["pool"]},
        defaults={"deadline": None, "total": None},
    )
    store = InProcess()
    both = [Router(config, transport=world.transport(), shared=each) for each in (store, InProcess(store))]

    clock.run(saturate(clock, both, 20, 30.0))

    for name, rate in (("a", 10), ("b", 30)):
        sent = [seen.at for seen in world.asked(name) if 2.0 <= seen.at < 30.0]
        assert 0.95 * rate <= len(sent) / 28.0 <= rate


def test_each_key_has_a_limit_of_all_routers(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of a provider are places of their own: two keys of 10 requests a second each are 20 for all routers."""
    monkeypatch.setenv("KEY_A", "key-a")
    monkeypatch.setenv("KEY_B", "key-b")
    world.model("m", Act(text="x", first_token=0.2))
    config = world.config(
        models={"m": {"provider": "sim", "id": "m", "rpm": 600}}, tasks={"default": ["m"]},
        providers={"sim": {"key": ["env:KEY_A", "env:KEY_B"]}}, defaults={"deadline": None, "total": None},
    )
    store = InProcess()
    both = [Router(config, transport=world.transport(), shared=each) for each in (store, InProcess(store))]

    clock.run(saturate(clock, both, 20, 30.0))

    for key in ("key-a", "key-b"):
        sent = [seen.at for seen in world.seen if seen.headers["authorization"] == f"Bearer {key}" and seen.at >= 2.0]
        assert 0.95 * 10 <= len([at for at in sent if at < 30.0]) / 28.0 <= 10
