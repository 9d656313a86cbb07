"""`with_options()`: a view of a router with defaults for its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import ConfigError, Router, RouterClosed
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, OTHER, play, script
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

DEFAULTS: dict[str, Any] = {
    "chain": ["b"], "system": "Be brief.", "temperature": 0.2, "params": {"seed": 1, "top_k": 5},
    "headers": {"X-A": "1", "sim": {"X-B": "2"}}, "tags": {"tenant": "t"},
}  # fmt: skip


def arrived(seen: Any) -> tuple[Any, ...]:
    """What of a request these tests look at."""
    body, headers = seen.body, seen.headers
    return (
        body["model"], body["messages"][0]["content"], body.get("temperature"), body.get("seed"), body.get("top_k"),
        headers.get("x-a"), headers.get("x-b"),
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_view_has_defaults_for_its_calls(clock: Clock, world: World, streamed: bool) -> None:
    """They hold for every call, streamed or not, and for none of the router's own."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> Any:
        view = router.with_options(**DEFAULTS)
        if streamed:
            async with view.stream("x") as stream:
                async for _ in stream:
                    pass
            tags = stream.reply.trace.tags
        else:
            tags = (await view.chat("x")).trace.tags
        await router.chat("x", chain=["a"])
        return tags

    assert play(clock, world, scenario) == {"tenant": "t"}
    assert [arrived(seen) for seen in world.seen] == [
        ("b", "Be brief.", 0.2, 1, 5, "1", "2"), ("a", "x", None, None, None, None, None),
    ]


def test_what_a_call_gives_takes_precedence(clock: Clock, world: World) -> None:
    """Single values are replaced; tags, headers, params and parameters are merged name by name."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> Any:
        view = router.with_options(**DEFAULTS)
        reply = await view.chat(
            "x", model="a", system=None, temperature=0.9, params={"seed": 3}, headers={"x-a": "9", "sim": {"X-C": "4"}},
            tags={"user": "u"},
        )
        return reply.trace.tags

    assert play(clock, world, scenario) == {"tenant": "t", "user": "u"}
    assert [arrived(seen) for seen in world.seen] == [("a", "x", 0.9, 3, 5, "9", "2")]
    assert world.seen[0].headers["x-c"] == "4"


@pytest.mark.parametrize(("defaults", "given", "models"), [
    ({"model": "b"}, {"chain": ["a"]}, ["a"]), ({"chain": ["b", "a"]}, {"model": "a"}, ["a"]),
    ({"tier": "low"}, {"model": "a"}, ["a"]), ({"model": "b"}, {"task": "t"}, ["a"]),
    ({"task": "t"}, {"model": "b"}, ["b"]), ({"task": "t", "model": "b"}, {}, ["b"]), ({"task": "t"}, {}, ["a"]),
])  # fmt: skip
def test_a_choice_of_models_replaces_that_of_the_view(
    clock: Clock, world: World, defaults: Any, given: Any, models: list[str]
) -> None:
    """A call that names a model, a chain or a tier is not in conflict with the view's."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> list[str]:
        view = router.with_options(**defaults)
        planned = [step.model for step in view.explain(**given).steps]
        assert (await view.chat("x", **given)).model == planned[0]
        return planned

    assert play(clock, world, scenario, tasks={"t": ["a"], "default": ["b"]}, tiers={"low": ["b"]}) == models


def test_views_of_views(clock: Clock, world: World) -> None:
    """A view of a view has the defaults of both; the newer ones take precedence."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> None:
        view = router.with_options(**DEFAULTS).with_options(temperature=0.5, params={"top_k": 6}, deadline=9)
        assert view.explain().deadline == 9
        await view.chat("x")

    play(clock, world, scenario)

    assert [arrived(seen) for seen in world.seen] == [("b", "Be brief.", 0.5, 1, 6, "1", "2")]


def test_arguments_of_one_kind_of_call(clock: Clock, world: World) -> None:
    """`accept` holds for `chat()` alone, `on_interrupt` for `stream()` alone."""
    script(world, Act(text="no"), Act(text="yes"))

    async def scenario(router: Router) -> list[str]:
        view = router.with_options(chain=["a", "b"], accept=lambda reply: reply.text == "yes", on_interrupt="restart")
        async with view.stream("x") as stream:
            async for _ in stream:
                pass
        return [(await view.chat("x")).text, stream.reply.text]

    assert play(clock, world, scenario) == ["yes", "no"]


@pytest.mark.parametrize(("options", "kind", "message"), [
    ({"timeout": 3}, TypeError, "timeout= is not a parameter here; use deadline="),
    ({"api_key": KEY}, TypeError, "api_key= is not a parameter here; use key ="),
    ({"dealine": 3}, TypeError, "dealine=: did you mean deadline=?"), ({"deadline": -1}, ConfigError, "deadline: "),
    ({"tier": "gold"}, ConfigError, "tier: unknown tier 'gold'"), ({"idle": "1s"}, ConfigError, "idle: expected"),
    ({"model": "a", "chain": ["b"]}, ValueError, "tier, chain and model each say"),
    ({"headers": {"X-A": "b\n"}}, ValueError, "headers['X-A']: expected one line"),
    ({"headers": [1]}, TypeError, "headers: expected a mapping, got list"),
])  # fmt: skip
def test_options_that_no_call_could_have(
    clock: Clock, world: World, options: Any, kind: type[Exception], message: str
) -> None:
    """They are refused when the view is made."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> str:
        with pytest.raises(kind) as caught:
            router.with_options(**options)
        return str(caught.value)

    said = play(clock, world, scenario, tiers={"low": ["a"]})

    assert said.startswith(message)
    assert KEY not in said


def test_a_view_needs_no_default_task(clock: Clock, world: World) -> None:
    """Options that choose no models fit a configuration in which every call has to."""
    script(world, HEALTHY)

    async def scenario() -> str:
        async with Router({"providers": {"p": {"base_url": "http://p.test/v1"}}, "default_provider": "p"}) as router:
            return repr(router.with_options(deadline=3, temperature=0))

    assert clock.run(scenario()) == "<Router not opened, 0 calls in flight, with deadline, temperature options>"


def test_a_view_shares_its_router(clock: Clock, world: World) -> None:
    """Health, and being closed, are the router's."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> None:
        view = router.with_options(model="a", headers={"Authorization": f"Bearer {KEY}"})
        await view.chat("x")
        assert router.health().keys() == view.health().keys()
        assert KEY not in repr(vars(view))
        await router.aclose()
        with pytest.raises(RouterClosed):
            await view.chat("x")

    play(clock, world, scenario, providers=OTHER)

    assert world.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_error_of_a_view_holds_no_secret(clock: Clock, world: World) -> None:
    """A credential given as a parameter is in no frame of the exception; every test's exceptions are searched."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> None:
        view = router.with_options(model="a")
        with pytest.raises(TypeError, match="api_key= is not a parameter here"):
            await view.chat("x", api_key=KEY)
        with pytest.raises(TypeError, match="'api_key' is a credential"):
            async with view.stream("x", params={"api_key": KEY}):
                pass

    play(clock, world, scenario)

    assert not world.seen
