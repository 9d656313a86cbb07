"""A router's configuration: from a file, from dataclasses, or from the built-in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import Chain, Config, ConfigError, Provider, Reply, Router
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from pathlib import Path


def test_from_toml(clock: Clock, world: World, tmp_path: Path) -> None:
    """A router is configured by a file; the other arguments are the constructor's."""
    path = tmp_path / "router.toml"
    path.write_text(
        'default_provider = "sim"\n[providers.sim]\nbase_url = "http://sim.test/v1"\n'
        '[tasks.coding]\nmodels = ["a", { model = "b", total = 20.0 }]\ndeadline = 7.0\n'
    )
    world.model("a", Act(text="hi"))

    async def scenario() -> Reply:
        async with Router.from_toml(path, transport=world.transport()) as router:
            assert router.explain(task="coding").deadline == 7.0
            return await router.chat("x", task="coding")

    assert clock.run(scenario()).text == "hi"


def test_from_toml_says_where_a_mistake_is(tmp_path: Path) -> None:
    """A mistake in a file is a `ConfigError` with its path and value, and what was expected."""
    path = tmp_path / "router.toml"
    path.write_text('[tasks.coding]\nmodels = ["openai:a", "openai:b", { model = "openai:c", total = "20s" }]\n')

    with pytest.raises(ConfigError) as caught:
        Router.from_toml(path)

    assert (caught.value.path, caught.value.value) == ("tasks.coding.models[2].total", "20s")
    assert str(caught.value).startswith("tasks.coding.models[2].total: expected seconds, got '20s'")
    with pytest.raises(ConfigError, match="cannot be read"):
        Router.from_toml(tmp_path / "none.toml")


def test_the_built_in_tables() -> None:
    """A router without a configuration has the tasks of "current"; "classic" has the models of long ago."""
    classic = Router(tables="classic").explain(task="coding")

    assert [step.model for step in classic.steps] == [
        "anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo", "deepseek/deepseek-coder",
    ]
    assert {step.provider for step in Router().explain(task="fast").steps} == {"openrouter"}
    with pytest.raises(ConfigError, match="tables"):
        Router(tables="modern")  # type: ignore[arg-type]


def test_the_dataclasses_are_the_same_configuration(clock: Clock, world: World) -> None:
    """A `Config` of dataclasses says what a mapping says."""
    world.model("a", Act(text="hi"))
    config = Config(
        default_provider="sim",
        providers={"sim": Provider(base_url="http://sim.test/v1")},
        tasks={"coding": Chain(["a"], deadline=7.0)},
    )

    async def scenario() -> Reply:
        async with Router(config, transport=world.transport()) as router:
            assert router.explain(task="coding").deadline == 7.0
            return await router.chat("x", task="coding")

    assert clock.run(scenario()).text == "hi"
