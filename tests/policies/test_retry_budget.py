"""The retry budget: what a retry costs, what pays for it, and what happens when it is used up."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, AttemptTimeout, ConnectionFailed, Model, RateLimited, Router, ServerFailed
from asyncrouter._policies.retry_budget import RetryBudget
from asyncrouter.sim import Act
from tests.helpers.policies import new_policies

if TYPE_CHECKING:
    from asyncrouter import AttemptError
    from asyncrouter.sim import Clock, World

FAILED = ServerFailed("no", status=500)
SLOW = AttemptTimeout("first_token", "too slow")


def retries(budget: RetryBudget, error: AttemptError = FAILED) -> int:
    """How many retries the budget pays for now."""
    return sum(budget.pay_for_retry(error) for _ in range(100))


@pytest.mark.parametrize(("error", "most"), [
    (FAILED, 10), (RateLimited("slow down", status=429), 10), (ConnectionFailed("reset"), 10), (SLOW, 5),
])  # fmt: skip
def test_a_retry_after_a_timeout_costs_twice_as_much(error: AttemptError, most: int) -> None:
    """A new budget pays for ten retries, or for five after timeouts."""
    assert retries(RetryBudget(), error) == most


def test_ten_answers_pay_for_one_retry() -> None:
    """Ten answers pay for one retry, and nine do not."""
    budget = RetryBudget()
    retries(budget)
    for _ in range(9):
        budget.deposit()
    assert not budget.pay_for_retry(FAILED)
    budget.deposit()

    assert budget.pay_for_retry(FAILED)
    assert not budget.pay_for_retry(FAILED)


def test_one_is_too_little_after_a_timeout() -> None:
    """A retry that cannot be paid for takes nothing from the budget."""
    budget = RetryBudget()
    retries(budget)
    for _ in range(10):
        budget.deposit()

    assert not budget.pay_for_retry(SLOW)
    assert budget.pay_for_retry(FAILED)


def test_answers_do_not_save_up_for_a_storm() -> None:
    """However many answers there were, the budget pays for ten retries at most."""
    budget = RetryBudget()
    for _ in range(10_000):
        budget.deposit()

    assert retries(budget) == 10
    assert repr(budget) == "<RetryBudget 0.00 of 10, 0.1 a deposit>"


def test_the_models_of_a_provider_share_one(clock: Clock) -> None:
    """The models of a provider share one budget, and another provider has its own."""
    one, two, elsewhere = (Model(provider=p, id=i, name=i) for p, i in (("p", "a"), ("p", "b"), ("q", "c")))

    async def scenario() -> list[int]:
        policies = await new_policies()
        return [sum(policies.may_retry(model, FAILED) for _ in range(20)) for model in (one, two, elsewhere)]

    assert clock.run(scenario()) == [10, 0, 10]


def requests(clock: Clock, world: World, *, calls: int, chain: tuple[str, ...] = ("a",)) -> list[list[str]]:
    """The models that each call asked, with two tries a model; breakers are off, so only the budget limits retries."""
    async def scenario() -> list[list[str]]:
        asked = []
        config = world.config(defaults={"breaker": "off"})
        async with Router(config, transport=world.transport(), seed=1) as router:
            for _ in range(calls):
                world.seen.clear()
                with suppress(AllModelsFailed):
                    await router.chat("x", chain=list(chain))
                asked.append([seen.model for seen in world.seen])
        return asked

    return clock.run(scenario())


def test_an_outage_is_not_answered_with_a_storm(clock: Clock, world: World) -> None:
    """In an outage ten calls are retried, and those after them are not."""
    world.model("a", Act(status=500))

    asked = requests(clock, world, calls=30)

    assert [len(each) for each in asked] == [2] * 10 + [1] * 20


def test_a_success_pays_in_once(clock: Clock, world: World) -> None:
    """When the budget is used up, each tenth answer pays for one retry."""
    world.model("a", *[Act(status=500)] * 20, *[Act()] * 10, Act(status=500))

    asked = requests(clock, world, calls=22)

    assert [len(each) for each in asked] == [2] * 10 + [1] * 10 + [2, 1]


def test_the_next_model_costs_nothing(clock: Clock, world: World) -> None:
    """A fallback to another model goes on when the budget is used up."""
    world.model("a", Act(status=500))
    world.model("b", Act())

    asked = requests(clock, world, calls=20, chain=("a", "b"))

    # Both belong to one provider, so an answer of `b` pays for a tenth of a retry of `a`.
    assert asked[0] == ["a", "a", "b"]
    assert asked[-1] == ["a", "b"]
