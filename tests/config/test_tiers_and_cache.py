"""Prices of cache writes, long prompts and tiers: how they are given, and what is taken where they are not known."""

from __future__ import annotations

import pickle

import pytest

from asyncrouter import Call, ConfigError, Model, Price, Usage
from asyncrouter._config.cost import cost_of, estimate
from asyncrouter._config.load import load

FULL = {
    "input": 4.0, "output": 8.0, "cached_input": 1.0, "cache_write": 5.0, "cache_write_1h": 9.0,
    "long_context_tokens": 1000, "long_context": {"input": 40.0, "output": 80.0},
    "tiers": {"flex": {"input": 2.0, "output": 4.0}, "priority": {"input": 8.0, "output": 16.0}},
}


def model(**price: object) -> Model:
    """A model of this price, read from a table."""
    given = {"provider": "p", "id": "m", "usd_per_mtok": price or FULL}
    config = load({"providers": {"p": {"base_url": "https://h.test"}}, "models": {"m": given}})
    return config.model("m")


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        (Usage(100, 10), 100 * 4 + 10 * 8),
        (Usage(100, 10, 50, 0, 30, 10), 20 * 4 + 50 * 1 + 20 * 5 + 10 * 9 + 10 * 8),
        (Usage(1000, 0), 1000 * 4),
        (Usage(1001, 1, 500), 1001 * 40 + 80),
        (Usage(100, 10, service_tier="flex"), 100 * 2 + 10 * 4),
        (Usage(100, 10, service_tier="priority"), 100 * 8 + 10 * 16),
        (Usage(100, 10, service_tier="fast"), 100 * 8 + 10 * 16),
        (Usage(10, 1, 20, 0, 30), 20 * 1 + 30 * 5 + 8),  # counts that contradict each other
    ],
)
def test_a_known_price(usage: Usage, millionths: float) -> None:
    """Each kind of token costs its rate, at the step of the prompt's length and at the tier that was served."""
    assert cost_of(model(), usage) == (pytest.approx(millionths / 1e6), False)


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        (Usage(100, 10, 0, 0, 100), 100 * 5 + 10 * 8),
        (Usage(100, 10, 0, 0, 100, 60), 40 * 5 + 60 * 8 + 10 * 8),
        (Usage(100, 10, service_tier="flex"), 100 * 4 + 10 * 8),
        (Usage(100, 10, service_tier="byok"), 100 * 4 + 10 * 8),
        (Usage(100, 10, service_tier="ultrafast"), 2.5 * (100 * 4 + 10 * 8)),
    ],
)
def test_an_unknown_part_is_an_estimate(usage: Usage, millionths: float) -> None:
    """Where the price of a part is not known the cost is taken on the dear side, and marked as an estimate."""
    assert cost_of(model(input=4.0, output=8.0), usage) == (pytest.approx(millionths / 1e6), True)


def test_what_is_free_is_no_estimate() -> None:
    """A model that costs nothing writes its cache for nothing."""
    assert cost_of(model(input=0.0, output=0.0), Usage(100, 10, 0, 0, 100)) == (0.0, False)


def test_an_estimate_is_at_the_dear_tier_that_was_asked_for() -> None:
    """A request for the priority tier without a usage report is estimated at its price; one for flex, at the standard.
    """
    def call(tier: str) -> Call:
        return Call([{"role": "user", "content": "x" * 36}], {"service_tier": tier}, {}, 0.0, 1.0)

    assert [estimate(model(), call(tier), None) for tier in ("auto", "flex", "priority", "fast")] == [
        pytest.approx(10 * rate / 1e6) for rate in (4.0, 4.0, 8.0, 8.0)
    ]


def test_steps_may_follow_one_another() -> None:
    """A long prompt's price may have a further step."""
    steps = model(
        input=1.0, output=1.0, long_context_tokens=10,
        long_context={
            "input": 2.0, "output": 1.0, "long_context_tokens": 20, "long_context": {"input": 3.0, "output": 1.0},
        },
    )
    assert [cost_of(steps, Usage(tokens, 0))[0] for tokens in (10, 11, 21)] == [10e-6, 22e-6, 63e-6]


PATH = "models.m.usd_per_mtok"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cache_write": -1}, f"{PATH}.cache_write: expected US dollars, 0 or more, got -1"),
        ({"cache_write_1h": "2"}, f"{PATH}.cache_write_1h: expected US dollars, got '2'"),
        ({"long_context_tokens": 5}, f"{PATH}.long_context: is required beside long_context_tokens"),
        ({"long_context": {"input": 1, "output": 1}}, f"{PATH}.long_context_tokens: is required beside long_context"),
        ({"long_context_tokens": 0, "long_context": {"input": 1, "output": 1}},
         f"{PATH}.long_context_tokens: expected a whole number, 1 or more, got 0"),
        ({"long_context_tokens": 5, "long_context": {"input": 1}}, f"{PATH}.long_context.output: is required"),
        ({"tiers": {"flex": 0.5}}, f"{PATH}.tiers.flex: expected a table, got 0.5"),
        ({"tiers": {"flex": {"input": 1, "outptu": 2}}},
         f"{PATH}.tiers.flex.outptu: unknown key 'outptu'; did you mean 'output'?"),
        ({"tiers": {"flex": {"input": 1, "output": 1, "tiers": {"batch": {"input": 1, "output": 1}}}}},
         f"{PATH}.tiers.flex.tiers: expected no tiers within a tier"),
        ({"tiers": 3}, f"{PATH}.tiers: expected a table, got 3"),
    ],
)
def test_a_wrong_price(given: dict[str, object], message: str) -> None:
    """The message names the place in the file."""
    with pytest.raises(ConfigError) as caught:
        model(input=1.0, output=2.0, **given)

    assert str(caught.value) == message


def test_a_price_is_hashable_and_outlives_a_pickle() -> None:
    """Its tiers included."""
    price = model().usd_per_mtok

    assert pickle.loads(pickle.dumps(price)) == price
    assert hash(pickle.loads(pickle.dumps(price))) == hash(price)
    assert Price(input=1.0, output=2.0).tiers == {}
