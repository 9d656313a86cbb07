"""`tier="flex"`: the service tier, asked of the models that have a price for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.batch import BatchError
from asyncrouter.sim import Act
from tests.helpers.batching import PRICED, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World

FLEX = {"input": 2e6, "output": 2e6, "tiers": {"flex": {"input": 1e6, "output": 1e6}}}
MODELS = {"m": {**PRICED["m"], "usd_per_mtok": FLEX}}


def test_flex_is_asked_of_models_that_have_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """Every request asks for the service tier; a row's own goes before it."""
    world.model("m", Act())
    source = write_lines(tmp_path / "in", [*rows(2), {"id": "own", "prompt": "x", "service_tier": "priority"}])

    run(clock, world, source, tmp_path / "out.jsonl", tier="flex", config={"models": MODELS})

    assert [seen.body["service_tier"] for seen in world.seen] == ["flex", "flex", "priority"]


def test_the_estimate_has_the_price_of_flex(clock: Clock, world: World, tmp_path: Path) -> None:
    """Half the price is estimated where half the price is asked for."""
    source = write_lines(tmp_path / "in", [{"prompt": "abcd", "max_tokens": 10}])

    async def scenario() -> list[float]:
        async with router_of(world, models=MODELS) as router:
            return [(await batch.estimate(router, source, **options)).cost_usd for options in ({}, {"tier": "flex"})]

    assert clock.run(scenario()) == [24.0, 12.0]


def test_flex_is_asked_of_those_providers_only_that_have_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """A compatible host that has no such tier is asked as always, and answers for a model without room."""
    world.model("m", Act(status=429))
    world.model("n", Act())
    source = write_lines(tmp_path / "in", rows(1))
    provider = world.config()["providers"]["sim"]  # type: ignore[index]

    run(clock, world, source, tmp_path / "out.jsonl", tier="flex", chain=["m", "n"], config={
        "models": {**MODELS, "n": {"provider": "other", "id": "n"}}, "providers": {"other": provider, "sim": provider},
    })

    assert [(seen.model, seen.body.get("service_tier")) for seen in world.seen][-1] == ("n", None)
    assert world.seen[0].body["service_tier"] == "flex"


def test_flex_where_no_model_has_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where no model has a price for the service tier, nothing is sent, and the error says what is missing."""
    world.model("m", Act())
    source = write_lines(tmp_path / "in", rows(1))

    with pytest.raises(BatchError, match=r'no provider here has a price for the service tier "flex"'):
        run(clock, world, source, tmp_path / "out.jsonl", tier="flex", config={"models": PRICED})

    assert not world.seen


def test_a_tier_of_the_configuration_goes_before(clock: Clock, world: World, tmp_path: Path) -> None:
    """A tier that the configuration calls "flex" is that one."""
    world.model("m", Act())

    run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out.jsonl", tier="flex",
        config={"models": PRICED, "tiers": {"flex": ["m"]}})

    assert ["service_tier" in seen.body for seen in world.seen] == [False]


def test_an_answer_under_flex_may_take_fifteen_minutes(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where nobody has set a timeout it is 900 s."""
    world.model("m", Act(first_token=890.0))

    report = run(
        clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out.jsonl", tier="flex",
        config={"models": MODELS},
    )

    assert (report.done, report.attempts, report.seconds) == (1, 1, 890.0)
