"""The budget of a router: what its calls may cost, reserved before sending and settled after."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    Budget,
    BudgetState,
    CallError,
    Config,
    ConfigError,
    Event,
    Hedge,
    Notice,
    OverBudget,
    Reply,
    Router,
)
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Coroutine

PRICE = {"input": 1000.0, "output": 2000.0}
"""US dollars for a million tokens: a token of the prompt costs 0.001, one of the answer 0.002."""
NOON = 1_800_000_000.0 - 1_800_000_000.0 % 86400 + 43200
"""Noon of a day (UTC), in seconds since the epoch."""


def router_of(world: World, budget: object, *names: str, clock: Clock | None = None, **tables: object) -> Router:
    """A router to models of the world that have a price, under this budget; it is noon when the clock says 0."""
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": PRICE, "max_output": 10} for name in names}
    config = world.config(models=models, budget=budget, tasks={"default": {"models": [*names]}}, **tables)
    wall = (lambda: NOON) if clock is None else (lambda: NOON + clock.now)
    return Router(config, transport=world.transport(), seed=1, wall=wall)


async def failure(call: Coroutine[object, object, Reply]) -> CallError:
    with pytest.raises(CallError) as caught:
        await call
    return caught.value


def test_a_call_beyond_the_budget_is_not_sent(clock: Clock, world: World) -> None:
    """When the budget is used up, calls end in `AllModelsFailed` whose `last` is `OverBudget` and says until when."""
    world.model("a", Act(text="one two"))
    router = router_of(world, {"usd": 0.03}, "a")

    async def scenario() -> tuple[CallError, BudgetState | None]:
        await router.chat("x", max_tokens=10)  # 1 + 2 words cost 0.005; 0.021 were reserved
        await router.chat("x", max_tokens=10)
        return await failure(router.chat("x", max_tokens=10)), await router.spending()

    error, state = clock.run(scenario())
    last = error.last
    assert isinstance(error, AllModelsFailed)
    assert isinstance(last, OverBudget)
    assert (last.until, last.retry_after) == (NOON + 43200, 43200.0)
    assert "budget" in error.message
    assert str(last) == (
        "a: the budget of 0.03 USD has 0.02 USD left until 2027-01-16 00:00 UTC, and this may cost 0.021 USD"
    )
    assert (error.http_status, error.retry_after, len(world.seen)) == (429, 43200.0, 2)
    assert state == BudgetState(0.03, 0.01, 0.0, NOON + 43200)


def test_the_reservation_holds_while_a_call_runs(clock: Clock, world: World) -> None:
    """Of calls at once so many are sent as the budget pays for by their estimates."""
    world.model("a", Act(text="one", first_token=1.0))
    router = router_of(world, 0.05, "a")

    async def scenario() -> list[object]:
        calls = [router.chat("x", max_tokens=10) for _ in range(5)]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = clock.run(scenario())
    assert [type(result).__name__ for result in results] == ["Reply"] * 2 + ["AllModelsFailed"] * 3


def test_a_cheaper_model_is_still_tried(clock: Clock, world: World) -> None:
    """A model that the rest of the budget does not pay for is passed over, and the next one asked."""
    world.model("dear", Act(text="x"))
    world.model("cheap", Act(text="y"))
    models = {
        name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": usd, "output": usd}}
        for name, usd in (("dear", 1000.0), ("cheap", 1.0))
    }
    config = world.config(models=models, budget={"usd": 0.005}, tasks={"default": ["dear", "cheap"]})

    reply = clock.run(Router(config, transport=world.transport(), seed=1).chat("x", max_tokens=10))

    assert (reply.model, [one.outcome for one in reply.trace.attempts]) == ("cheap", ["not_sent", "won"])


def test_a_new_day_begins_anew(clock: Clock, world: World) -> None:
    """At midnight (UTC) the budget of a day is whole again, and what was asked for before does not count for it."""
    world.model("a", Act(text="one two", first_token=10.0))
    router = router_of(world, Budget(0.025), "a", clock=clock, defaults={"first_token": 60.0})

    async def scenario() -> tuple[BudgetState | None, BudgetState | None]:
        await asyncio.sleep(43195.0)
        over_midnight = asyncio.create_task(router.chat("x", max_tokens=10))
        await asyncio.sleep(6.0)
        after = await router.spending()
        await router.chat("x", max_tokens=10)
        await over_midnight
        return after, await router.spending()

    assert clock.run(scenario()) == (
        BudgetState(0.025, 0.0, 0.0, NOON + 43200 + 86400), BudgetState(0.025, 0.005, 0.0, NOON + 43200 + 86400)
    )


@pytest.mark.parametrize(("per", "until"), [("hour", NOON + 3600), ("day", NOON + 43200), ("run", None)])
def test_spans(clock: Clock, world: World, per: str, until: float | None) -> None:
    """A budget is for an hour or a day by UTC, or for the run, which does not begin anew."""
    world.model("a", Act(text="x"))
    router = router_of(world, {"usd": 0.001, "per": per}, "a")

    last = clock.run(failure(router.chat("x"))).last

    assert isinstance(last, OverBudget)
    assert last.until == until


@pytest.mark.parametrize("order", [["tenant", "team"], ["team", "tenant"]])
@pytest.mark.parametrize(("tenant", "until"), [("day", NOON + 43200), ("run", None)])
def test_of_several_budgets_the_one_that_ends_last_counts(
    clock: Clock, world: World, order: list[str], tenant: str, until: float | None
) -> None:
    """Where the whole budget and two tags' are used up at once, `until` is when the last of them begins anew."""
    world.model("a", Act(text="x"))
    spans = {"tenant": {"usd": 0.001, "per": tenant}, "team": {"usd": 0.001, "per": "hour"}}
    router = router_of(world, {"usd": 0.001, "per": "hour", "tags": {tag: spans[tag] for tag in order}}, "a")

    last = clock.run(failure(router.chat("x", tags={"tenant": "A", "team": "B"}))).last

    assert isinstance(last, OverBudget)
    assert str(last).startswith("a: the budget of tenant 'A' of 0.001 USD")
    assert last.until == until


def test_until_is_a_full_hour_however_late_it_is_asked(clock: Clock, world: World) -> None:
    """The instant at which a budget begins anew is exact, though the wall clock goes on while it is worked out."""
    world.model("a", Act(text="x"))
    config = world.config(models={"a": {"provider": "sim", "id": "a", "usd_per_mtok": PRICE}}, budget={"usd": 0.001})
    ticks = count(NOON + 0.3, 1e-6)
    router = Router(config, transport=world.transport(), seed=1, wall=lambda: next(ticks))

    async def scenario() -> tuple[CallError, BudgetState | None]:
        return await failure(router.chat("x", model="a")), await router.spending()

    error, state = clock.run(scenario())
    assert isinstance(error.last, OverBudget)
    assert (error.last.until, state) == (NOON + 43200, BudgetState(0.001, 0.0, 0.0, NOON + 43200))


def test_tags_have_budgets_of_their_own(clock: Clock, world: World) -> None:
    """Each value of a tag may spend its own budget; calls without the tag are limited by the whole one alone."""
    world.model("a", Act(text="one two"))
    router = router_of(world, {"usd": 1.0, "tags": {"tenant": {"usd": 0.023}}}, "a")

    async def scenario() -> tuple[CallError, list[BudgetState | None]]:
        await router.chat("x", max_tokens=10, tags={"tenant": "t1"})
        error = await failure(router.chat("x", max_tokens=10, tags={"tenant": "t1"}))
        await router.chat("x", max_tokens=10, tags={"tenant": "t2", "other": "y"})
        await router.chat("x", max_tokens=10)
        return error, [await router.spending(tenant="t1"), await router.spending()]

    error, states = clock.run(scenario())
    assert str(error.last) == (
        "a: the budget of tenant 't1' of 0.023 USD has 0.018 USD left until 2027-01-16 00:00 UTC, and this may cost "
        "0.021 USD"
    )
    assert states == [BudgetState(0.023, 0.005, 0.0, NOON + 43200), BudgetState(1.0, 0.015, 0.0, NOON + 43200)]


def test_a_model_without_a_price(clock: Clock, world: World) -> None:
    """A model whose price is not known is refused under a budget, and said so once; or allowed, and not counted."""
    world.model("a", Act(text="x"))
    heard: list[Event] = []

    def router(unknown: str) -> Router:
        config = world.config(budget={"usd": 1.0, "unknown": unknown}, tasks={"default": ["a"]})
        return Router(config, transport=world.transport(), seed=1, listeners=[heard.append])

    error = clock.run(failure(router("refuse").chat("x")))
    assert "a: its price is not known, and the budget refuses such models" in error.message
    assert error.http_status == 503
    assert [event.text for event in heard if isinstance(event, Notice)] == [str(error.last)]
    assert clock.run(router("allow").chat("x")).text == "x"


def test_every_attempt_counts(clock: Clock, world: World) -> None:
    """Retries and hedges that lost count with what they cost, and what was refused costs nothing."""
    world.model("a", Act(text="one two three", first_token=5.0), Act(status=500), Act(text="z"))
    world.model("b", Act(text="one"))
    router = router_of(world, {"usd": 1.0, "per": "run"}, "a", "b", defaults={"first_token": 60.0})

    async def scenario() -> tuple[float | None, float | None, BudgetState | None]:
        first = await router.chat("x", hedge=Hedge(1.0))
        second = await router.chat("x", retry={"base": 0.0})
        return first.trace.cost_usd, second.trace.cost_usd, await router.spending()

    first, second, state = clock.run(scenario())
    assert (first, second) == (0.004, 0.003)  # the loser's prompt, and the winner's prompt and word
    assert state == BudgetState(1.0, 0.007, 0.0, None)


def test_cancelled_and_failed_calls_leave_nothing_reserved(clock: Clock, world: World) -> None:
    """However calls end, what was reserved for them is settled: cancelled, failed, a stream that is left."""
    world.model("a", Act(text="one two three", first_token=1.0, gap=1.0))
    router = router_of(world, {"usd": 1.0, "per": "run"}, "a", defaults={"retry": 1})

    async def scenario() -> BudgetState | None:
        call = asyncio.create_task(router.chat("x"))
        await asyncio.sleep(0.5)
        call.cancel()
        await asyncio.wait([call])
        async with router.stream("x") as stream:
            async for _ in stream:
                break
        await failure(router.chat("x", total=0.5))
        return await router.spending()

    state = clock.run(scenario())
    assert state is not None
    assert (state.reserved_usd, state.spent_usd) == (0.0, 0.003)  # their prompts


def test_what_answers_usually_have_is_reserved(clock: Clock, world: World) -> None:
    """Once answers are known, their p99 is reserved instead of the maximum."""
    world.model("a", Act(text="one two", first_token=1.0))
    router = router_of(world, {"usd": 1.0, "per": "run"}, "a")

    async def scenario() -> list[float]:
        reserved = []
        for _ in range(21):
            call = asyncio.create_task(router.chat("x"))
            await asyncio.sleep(0.5)
            state = await router.spending()
            assert state is not None
            reserved.append(state.reserved_usd)
            await call
        return reserved

    reserved = clock.run(scenario())
    assert (reserved[0], reserved[-1]) == (0.021, 0.005)


def test_the_books_equal_the_bill(clock: Clock, world: World) -> None:
    """After a thousand calls, some of them refused, what was spent equals the bill of the world to the micro-dollar."""
    world.model("a", Act(text="one two three four", first_token=0.1), Act(status=500), Act(text="x")).price(0.17, 0.83)
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.17, "output": 0.83}}}
    config = world.config(models=models, budget={"usd": 1.0, "per": "run"}, tasks={"default": ["a"]})
    router = Router(config, transport=world.transport(), seed=1)

    async def scenario() -> float:
        await asyncio.gather(*(router.chat("one two three", max_tokens=8) for _ in range(1000)))
        state = await router.spending()
        assert state is not None
        return state.spent_usd

    assert abs(clock.run(scenario()) - world.usd) < 1e-6


@pytest.mark.parametrize(
    ("budget", "path", "words"),
    [
        ({"usd": 0}, "budget.usd", "above 0"),
        ({"usd": "5"}, "budget.usd", "expected US dollars"),
        ({}, "budget.usd", "is required"),
        ({"usd": 1, "per": "week"}, "budget.per", '"hour" or "day" or "run"'),
        ({"usd": 1, "unknown": "maybe"}, "budget.unknown", '"refuse" or "allow"'),
        ({"usd": 1, "limit": 2}, "budget.limit", "unknown key 'limit'"),
        ({"tags": {"tenant": {"usd": -1}}}, "budget.tags.tenant.usd", "above 0"),
        ({"tags": {"tenant": {"usd": 1, "tags": {}}}}, "budget.tags.tenant.tags", "whole budget"),
        ({"tags": {"tenant": []}}, "budget.tags.tenant", "expected a table"),
        ([], "budget", "expected a table"),
    ],
)
def test_a_budget_that_cannot_be_used(budget: object, path: str, words: str) -> None:
    """A budget that makes no sense is a `ConfigError` with its path, before anything is sent."""
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")) as caught:
        Router({"budget": budget})

    assert caught.value.path == path


def test_a_budget_in_dataclasses() -> None:
    """A `Budget` says what a table says; a tag's mapping has the whole budget's `per` unless it gives its own."""
    config = Config(budget=Budget(5, per="hour", tags={"tenant": {"usd": 1}, "team": Budget(2)}))

    assert config.budget is not None
    assert config.budget.tags == {"tenant": Budget(1, per="hour"), "team": Budget(2, per="day")}


def test_spending_of_a_tag_that_has_no_budget(clock: Clock) -> None:
    """Asking for the spending of an unknown tag is a `ConfigError`; without a budget there is nothing to tell."""
    with pytest.raises(ConfigError, match="unknown tag 'tenent'; did you mean 'tenant'"):
        clock.run(Router({"budget": {"tags": {"tenant": 1.0}}}).spending(tenent="a"))
    assert clock.run(Router().spending()) is None
