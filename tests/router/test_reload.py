"""A router that goes on with another configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, BudgetState, ConfigError, Reply, Router, RouterClosed
from asyncrouter.sim import Act, Clock, World
from tests.helpers.routers import models_asked

if TYPE_CHECKING:
    from pathlib import Path


def test_new_calls_use_the_new_chain_and_those_in_flight_the_old_one(clock: Clock, world: World) -> None:
    """A call that runs falls back as its old chain says; calls after the reload use the new one."""
    world.model("a", Act(status=500, first_token=1.0))
    world.model("b", Act(text="old"))
    world.model("c", Act(text="new"))

    async def scenario() -> tuple[Reply, Reply]:
        tables = {"defaults": {"retry": 1}}
        async with Router(world.config(tasks={"t": ["a", "b"]}, **tables), transport=world.transport()) as router:
            before = asyncio.create_task(router.chat("x", task="t"))
            await asyncio.sleep(0.5)
            router.reload(world.config(tasks={"t": ["c"]}, **tables))
            after = await router.chat("x", task="t")
            return await before, after

    before, after = clock.run(scenario())
    assert (before.text, after.text, models_asked(world)) == ("old", "new", ["a", "c", "b"])


def test_what_was_learned_stays(clock: Clock, world: World) -> None:
    """A hold that a provider asked for holds on after a reload."""
    world.model("a", Act(text="x"), Act(status=429, retry_after=60), Act(text="too early"))
    config = world.config(tasks={"t": ["a"]})

    async def scenario() -> str:
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", task="t")
            with pytest.raises(AllModelsFailed):
                await router.chat("x", task="t", retry=1, deadline=5)
            router.reload(world.config(tasks={"t": ["a"], "u": ["a"]}))
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", task="u", retry=1, deadline=5)
            return str(caught.value.last)

    assert clock.run(scenario()).startswith("a: held for 60.00 s more")


def test_limits_change_at_once(clock: Clock, world: World) -> None:
    """A limit that is raised lets those go who wait for it; one that is taken away limits nobody."""
    world.model("a", Act(text="x", first_token=10.0))

    def config(most: int | None) -> dict[str, object]:
        model = {"provider": "sim", "id": "a"} | ({} if most is None else {"max_concurrent": most})
        return world.config(models={"a": model}, tasks={"t": ["a"]})

    async def scenario() -> list[float]:
        async with Router(config(1), transport=world.transport()) as router:
            calls = [asyncio.create_task(router.chat("x", task="t")) for _ in range(4)]
            await asyncio.sleep(1.0)
            router.reload(config(2))
            await asyncio.sleep(1.0)
            router.reload(config(None))
            await asyncio.gather(*calls)
            return [seen.at for seen in world.seen]

    assert clock.run(scenario()) == [0.0, 1.0, 2.0, 2.0]


def test_a_provider_that_has_changed_begins_anew(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is used at once, and that the old one was turned down is forgotten."""
    monkeypatch.setenv("OLD_KEY", "old-secret-key")
    monkeypatch.setenv("NEW_KEY", "new-secret-key")
    world.model("a", Act(text="x"))
    world.rule(lambda seen, _: Act(status=401) if "old" in seen.headers["authorization"] else None)

    def config(variable: str) -> dict[str, object]:
        return world.config(tasks={"t": ["a"]}, providers={"sim": {"key": f"env:{variable}"}})

    async def scenario() -> str:
        async with Router(config("OLD_KEY"), transport=world.transport()) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", task="t")
            router.reload(config("NEW_KEY"))
            return (await router.chat("x", task="t")).text

    assert clock.run(scenario()) == "x"


@pytest.mark.parametrize("entry", [
    {"p": {"any": ["sim:a"], "max_concurrent": 1}}, {"p": {"provider": "sim", "id": "a", "max_concurrent": 1}},
])
def test_who_waits_for_a_model_that_is_gone_goes_by_its_old_limits(
    clock: Clock, world: World, entry: dict[str, object]
) -> None:
    """A limit of a model, or of a member of a pool, that the new configuration has no more holds for those who wait."""
    world.model("a", Act(text="x", first_token=1.0))

    async def scenario() -> list[float]:
        old = world.config(models=entry, tasks={"t": ["p"]})
        async with Router(old, transport=world.transport()) as router:
            calls = [asyncio.create_task(router.chat("x", task="t")) for _ in range(3)]
            await asyncio.sleep(0.5)
            router.reload(world.config(tasks={"t": ["a"]}))
            await asyncio.sleep(1.0)
            new = [asyncio.create_task(router.chat("x", task="t")) for _ in range(2)]
            await asyncio.gather(*calls, *new)
            return [seen.at for seen in world.seen]

    assert clock.run(scenario()) == [0.0, 1.0, 1.5, 1.5, 2.0]


@pytest.mark.parametrize("key", ["env:ONE_KEY", ["env:ONE_KEY", "env:OTHER_KEY"]])
@pytest.mark.parametrize("before", ["old-secret-key", None])
def test_a_variable_that_has_changed_is_read_again(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, key: object, before: str | None
) -> None:
    """With the same configuration a key that was turned down, or not set, is out no more when its variable is new."""
    monkeypatch.setenv("OTHER_KEY", "older-secret-key")
    monkeypatch.delenv("ONE_KEY", raising=False)
    if before is not None:
        monkeypatch.setenv("ONE_KEY", before)
    world.model("a", Act(text="x"))
    world.rule(lambda seen, _: Act(status=401) if "old" in seen.headers["authorization"] else None)
    config = world.config(tasks={"t": ["a"]}, providers={"sim": {"key": key}})

    async def scenario() -> str:
        async with Router(config, transport=world.transport()) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", task="t")
            monkeypatch.setenv("ONE_KEY", "new-secret-key")
            router.reload(config)
            return (await router.chat("x", task="t")).text

    assert clock.run(scenario()) == "x"


def test_a_variable_that_is_as_it_was_changes_nothing(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was turned down stays out over a reload while its variable has the same value."""
    monkeypatch.setenv("ONE_KEY", "old-secret-key")
    world.model("a", Act(status=401))
    config = world.config(tasks={"t": ["a"]}, providers={"sim": {"key": "env:ONE_KEY"}})

    async def scenario() -> None:
        async with Router(config, transport=world.transport()) as router:
            for _ in range(2):
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", task="t")
                router.reload(config)

    clock.run(scenario())
    assert len(world.seen) == 1


def test_what_was_spent_stays_spent(clock: Clock, world: World) -> None:
    """A budget that is changed counts what was spent under the old one."""
    world.model("a", Act(text="x"))
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1000.0, "output": 1000.0}}}

    def config(usd: float) -> dict[str, object]:
        return world.config(models=models, tasks={"t": ["a"]}, budget={"usd": usd, "per": "run"})

    async def scenario() -> BudgetState | None:
        async with Router(config(2.0), transport=world.transport()) as router:
            await router.chat("x", task="t", max_tokens=5)
            router.reload(config(3.0))
            return await router.spending()

    assert clock.run(scenario()) == BudgetState(3.0, 0.002, 0.0, None)


def test_a_budget_whose_span_changes_and_changes_back(clock: Clock, world: World) -> None:
    """What was spent in this run is not forgotten while the budget is for a day, or there is none."""
    world.model("a", Act(text="x"))
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1000.0, "output": 1000.0}}}

    def config(per: str | None) -> dict[str, object]:
        budget = {} if per is None else {"budget": {"usd": 2.0, "per": per}}
        return world.config(models=models, tasks={"t": ["a"]}, **budget)

    async def scenario() -> list[float | None]:
        async with Router(config("run"), transport=world.transport()) as router:
            await router.chat("x", task="t", max_tokens=5)
            spent: list[float | None] = []
            for per in ("day", None, "run"):
                router.reload(config(per))
                state = await router.spending()
                spent.append(None if state is None else state.spent_usd)
            return spent

    assert clock.run(scenario()) == [0.0, None, 0.002]


def test_a_configuration_that_cannot_be_used_changes_nothing(clock: Clock, world: World, tmp_path: Path) -> None:
    """A mistake in the new configuration is a `ConfigError`, and the router goes on with the old one."""
    world.model("a", Act(text="x"))
    path = tmp_path / "router.toml"
    path.write_text('[tasks.t]\nmodels = []\n')

    async def scenario() -> str:
        async with Router(world.config(tasks={"t": ["a"]}), transport=world.transport()) as router:
            with pytest.raises(ConfigError, match=r"tasks\.t\.models"):
                router.reload(path)
            return (await router.chat("x", task="t")).text

    assert clock.run(scenario()) == "x"


def test_reload_from_a_file_and_before_the_first_call(clock: Clock, world: World, tmp_path: Path) -> None:
    """A router that is not open yet takes a new configuration too; a path is that of a TOML file."""
    path = tmp_path / "router.toml"
    path.write_text('default_provider = "sim"\n[providers.sim]\nbase_url = "http://sim.test/v1"\n[tasks]\nt = ["b"]\n')
    world.model("b", Act(text="b"))
    router = Router(world.config(tasks={"t": ["a"]}), transport=world.transport())

    router.reload(path)

    assert clock.run(router.chat("x", task="t")).text == "b"
    assert [*router.config.tasks] == ["t"]


def test_a_view_goes_with_its_router(clock: Clock, world: World) -> None:
    """What `with_options()` returned before a reload uses the new configuration, too."""
    world.model("a", Act(text="a"))
    world.model("b", Act(text="b"))
    router = Router(world.config(tasks={"t": ["a"]}), transport=world.transport())
    view = router.with_options(task="t")

    async def scenario() -> list[str]:
        before = await view.chat("x")
        router.reload(world.config(tasks={"t": ["b"]}))
        return [before.text, (await view.chat("x")).text]

    assert clock.run(scenario()) == ["a", "b"]


def test_closing_ends_calls_of_earlier_configurations(clock: Clock, world: World) -> None:
    """A router that is closed after a reload ends the calls from before it, too, also those that wait for a limit."""
    world.model("a", Act(text="x", first_token=60.0))
    models = {"a": {"provider": "sim", "id": "a", "max_concurrent": 1}}
    router = Router(world.config(models=models, tasks={"t": ["a"]}), transport=world.transport())

    async def scenario() -> list[object]:
        calls = [asyncio.create_task(router.chat("x", task="t", retry=1)) for _ in range(2)]
        await asyncio.sleep(1.0)
        router.reload(world.config(tasks={"t": ["a"]}, providers={"sim": {"headers": {"x-new": "1"}}}))
        await router.aclose()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = clock.run(scenario())
    assert [type(result) for result in results] == [RouterClosed, RouterClosed]
    assert clock.now == 1.0
