"""The cost of attempts and calls: as reported, else price times tokens, else unknown; estimates are marked."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import (
    AllModelsFailed,
    Attempt,
    Call,
    Hedge,
    Model,
    Price,
    Reply,
    Router,
    Step,
    Trace,
    Usage,
)
from asyncrouter._config.cost import cost_of, estimate
from asyncrouter._config.tokens import prompt_tokens
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE

PRICED = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 4.0, "output": 8.0}}}


def answered(clock: Clock, world: World, act: Act, *, stream: bool = True, **tables: object) -> Reply:
    """The reply of one model that does this."""
    world.model("a", act)

    async def scenario() -> Reply:
        async with Router(world.config(**tables), transport=world.transport()) as router:
            return await router.chat("one two", chain=[Step(model="a", wire_stream=stream)])

    return clock.run(scenario())


def failed(clock: Clock, world: World, act: Act, **settings: object) -> Attempt:
    """The one attempt of a priced model that fails like this."""
    world.model("a", act)

    async def scenario() -> None:
        async with Router(world.config(models=PRICED), transport=world.transport()) as router:
            await router.chat("12345678", chain=[Step(model="a", **settings)], retry=ONCE)  # type: ignore[arg-type]

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    [attempt] = caught.value.trace.attempts
    return attempt


# ── counted ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [True, False])
def test_a_reported_cost_takes_precedence(clock: Clock, world: World, stream: bool) -> None:
    """The cost that the provider reports takes precedence over the configured price."""
    reply = answered(clock, world, Act(tokens=3, cost=0.0125), stream=stream, models=PRICED)

    assert (reply.cost_usd, reply.trace.cost_usd, reply.trace.cost_estimated) == (0.0125, 0.0125, False)


def test_a_reported_cost_of_nothing_is_nothing(clock: Clock, world: World) -> None:
    """An answer whose reported cost is 0 costs 0, whatever the configured price is."""
    assert answered(clock, world, Act(cost=0.0), models=PRICED).cost_usd == 0.0


@pytest.mark.parametrize("stream", [True, False])
def test_price_times_usage(clock: Clock, world: World, stream: bool) -> None:
    """Without a reported cost it is the configured price times the counted tokens, and no estimate."""
    reply = answered(clock, world, Act(tokens=3), stream=stream, models=PRICED)

    assert (reply.cost_usd, reply.trace.cost_estimated) == (pytest.approx((2 * 4.0 + 3 * 8.0) / 1e6), False)


def test_the_catalogues_price(clock: Clock, world: World) -> None:
    """A model that the configuration does not price has the catalogue's price."""
    world.model("openai/gpt-4", Act(tokens=3))
    config = world.config(providers={"openrouter": {"base_url": "http://sim.test/v1"}})

    async def scenario() -> Reply:
        async with Router(config, transport=world.transport()) as router:
            return await router.chat("one two", model="openrouter:openai/gpt-4")

    reply = clock.run(scenario())
    assert reply.cost_usd == pytest.approx((2 * 30.0 + 3 * 60.0) / 1e6)


@pytest.mark.parametrize("stream", [True, False])
def test_an_unknown_price_is_not_zero(clock: Clock, world: World, stream: bool) -> None:
    """An answer without price and reported cost costs `None`, and so does the call."""
    reply = answered(clock, world, Act(tokens=3), stream=stream)

    assert (reply.cost_usd, reply.trace.cost_usd, reply.trace.cost_estimated) == (None, None, False)
    assert reply.usage == Usage(2, 3)


def test_cached_and_reasoning_tokens(clock: Clock, world: World) -> None:
    """Cached input has its own price if one is given; reasoning tokens are part of the output."""
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 4.0, "output": 8.0, "cached_input": 1.0}}}

    reply = answered(clock, world, Act(usage=usage), models=models)

    assert reply.usage == Usage(100, 50, 60, 30)
    assert reply.cost_usd == pytest.approx((40 * 4.0 + 60 * 1.0 + 50 * 8.0) / 1e6)


def test_price_without_a_rate_for_cached_input() -> None:
    """Cached tokens cost what other input costs if they have no price of their own."""
    model = Model(provider="p", id="m", usd_per_mtok=Price(input=4.0, output=8.0))

    assert cost_of(model, Usage(100, 50, cached_tokens=60)) == (pytest.approx((100 * 4.0 + 50 * 8.0) / 1e6), False)
    assert cost_of(Model(provider="p", id="m"), Usage(1, 1)) == (None, False)


@pytest.mark.parametrize("stream", [True, False])
def test_writing_the_cache_without_a_price_for_it_is_an_estimate(clock: Clock, world: World, stream: bool) -> None:
    """Tokens written into the cache are taken as a quarter dearer, and the cost is marked."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cache_write_tokens": 80}}

    reply = answered(clock, world, Act(usage=usage), stream=stream, models=PRICED)

    assert (reply.cost_usd, reply.trace.cost_estimated) == (
        pytest.approx((20 * 4.0 + 80 * 5.0 + 50 * 8.0) / 1e6), True)
    assert reply.usage == Usage(100, 50, cache_write_tokens=80)


@pytest.mark.parametrize("stream", [True, False])
def test_ones_own_key_at_openrouter(clock: Clock, world: World, stream: bool) -> None:
    """An answer on the caller's own key costs what the vendor charged, or else an estimate by the price; never nothing.
    """
    counts = {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0, "is_byok": True}
    told = answered(
        clock, world, Act(usage={**counts, "cost_details": {"upstream_inference_cost": 0.036}}), stream=stream,
        models=PRICED,
    )
    assert (told.cost_usd, told.trace.cost_estimated) == (0.036, False)

    untold = answered(clock, world, Act(usage=counts), stream=stream, models=PRICED)
    assert (untold.cost_usd, untold.trace.cost_estimated) == (pytest.approx((100 * 4.0 + 50 * 8.0) / 1e6), True)


# ── estimated ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_without_usage_is_estimated(clock: Clock, world: World) -> None:
    """An answer without usage is taken to have a token for every four characters, and its cost is marked."""
    reply = answered(clock, world, Act(text="12345678", usage=False), models=PRICED)

    # "one two" is seven characters: one token, and one for good measure.
    assert (reply.cost_usd, reply.trace.cost_estimated) == (pytest.approx((2 * 4.0 + 2 * 8.0) / 1e6), True)
    assert reply.usage is None


def test_a_loser_is_estimated_and_marked(clock: Clock, world: World) -> None:
    """The cost of a lost race's attempt is an estimate, and so is the sum of the trace; the winner's is not."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(tokens=3, cost=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(models=PRICED), transport=world.transport()) as router:
            return await router.chat("12345678", chain=["a", "b"], hedge=Hedge(after=1.0))

    reply = clock.run(scenario())
    loser, winner = reply.trace.attempts
    assert (loser.cost_usd, loser.cost_estimated) == (pytest.approx(3 * 4.0 / 1e6), True)
    assert (winner.cost_usd, winner.cost_estimated) == (0.5, False)
    assert reply.cost_usd == 0.5
    assert (reply.trace.cost_usd, reply.trace.cost_estimated) == (pytest.approx(0.5 + 12e-6), True)


def test_a_loser_without_a_price_makes_the_sum_unknown(clock: Clock, world: World) -> None:
    """If an attempt that may have been billed has no price, the cost of the call is `None`; the answer's is known."""
    world.model("z", Act(first_token=9.0))
    world.model("b", Act(cost=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=["z", "b"], hedge=Hedge(after=1.0))

    reply = clock.run(scenario())
    assert (reply.cost_usd, reply.trace.cost_usd, reply.trace.cost_estimated) == (0.5, None, False)


def test_a_cancelled_call_has_a_price(clock: Clock, world: World) -> None:
    """An attempt that the caller cancelled may be billed, and is estimated with what it had written."""
    world.model("a", Act(text="12345678 more", first_token=1.0, gap=9.0))
    traces: list[Trace] = []

    async def scenario() -> None:
        def listen(event: object) -> None:
            traces.append(event.trace)  # type: ignore[attr-defined]

        config = world.config(models=PRICED)
        async with Router(config, transport=world.transport(), listeners=[listen]) as router:
            call = asyncio.create_task(router.chat("12345678", model="a"))
            await asyncio.sleep(2.0)
            call.cancel()
            await asyncio.wait([call])

    clock.run(scenario())
    [attempt] = traces[-1].attempts
    assert (attempt.cost_usd, attempt.cost_estimated) == (pytest.approx((3 * 4.0 + 2 * 8.0) / 1e6), True)


PROMPT = 3 * 4.0 / 1e6
FAILURES = {
    "refused": (Act(fault="refuse"), 0.0, False),
    "never connected": (Act(fault="hang", at="connect"), 0.0, False),
    "400": (Act(status=400), 0.0, False),
    "500": (Act(status=500), 0.0, False),
    "silent": (Act(fault="hang", at="headers"), PROMPT, True),
    "no content": (Act(fault="hang", at=0), PROMPT, True),
    "cut": (Act(text="12345678 more", gap=1.0, fault="cut", at=1), PROMPT + 2 * 8.0 / 1e6, True),
    "error after content": (Act(text="12345678 more", gap=1.0, fault="error", at=1), PROMPT + 2 * 8.0 / 1e6, True),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_failure_costs(clock: Clock, world: World, name: str) -> None:
    """It costs 0 if it cannot have been billed, and an estimate if it may have been."""
    act, cost, estimated = FAILURES[name]

    attempt = failed(clock, world, act, connect=1.0, first_token=2.0)

    assert (attempt.cost_usd, attempt.cost_estimated) == (pytest.approx(cost), estimated)


def test_an_empty_answer_costs_its_usage(clock: Clock, world: World) -> None:
    """A bad reply that reports usage costs price times these tokens."""
    attempt = failed(clock, world, Act(text="", usage={"prompt_tokens": 10, "completion_tokens": 5}))

    assert (attempt.cost_usd, attempt.cost_estimated) == (pytest.approx((10 * 4.0 + 5 * 8.0) / 1e6), False)
    assert attempt.usage == Usage(10, 5)


def test_a_reply_that_is_not_accepted_costs_the_same(clock: Clock, world: World) -> None:
    """Its cost is part of the call's; `accept` itself sees it on the reply."""
    world.model("a", Act(cost=0.25))
    world.model("b", Act(cost=0.5))
    seen: list[float | None] = []

    def accept(reply: Reply) -> bool:
        seen.append(reply.cost_usd)
        return reply.model == "b"

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("x", chain=["a", "b"], accept=accept)

    reply = clock.run(scenario())
    assert seen == [0.25, 0.5]
    assert (reply.cost_usd, reply.trace.cost_usd) == (0.5, 0.75)


def test_retries_add_up(clock: Clock, world: World) -> None:
    """The cost of a call is that of all its attempts."""
    cut = Act(text="12345678 more", gap=1.0, fault="cut", at=1)
    world.model("a", cut, Act(cost=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(models=PRICED), transport=world.transport(), seed=1) as router:
            return await router.chat("12345678", model="a")

    reply = clock.run(scenario())
    assert reply.trace.cost_usd == pytest.approx(0.5 + (3 * 4.0 + 2 * 8.0) / 1e6)


# ── the functions by themselves ──────────────────────────────────────────────────────────────────────────────────────


def call(*contents: object) -> Call:
    return Call([{"role": "user", "content": content} for content in contents], {}, {}, 0.0, 1.0)


@pytest.mark.parametrize(
    ("contents", "tokens"),
    [
        (["x" * 400], 101),
        (["x" * 200, "y" * 200], 101),
        ([""], 1),
        ([None], 1),
        ([[{"type": "text", "text": "x" * 40}, {"type": "image_url", "image_url": {"url": "u"}}, "odd"]], 1035),
        ([({"type": "text", "text": "x" * 40},)], 11),
        ([7], 1),
    ],
)
def test_the_length_of_a_prompt(contents: list[object], tokens: int) -> None:
    """It is estimated as a token for every four characters of English, 1,024 for a picture, and one more."""
    assert prompt_tokens(call(*contents)) == tokens


def test_an_estimate_counts_text_and_reasoning() -> None:
    """Everything that was written until the end of the attempt counts as output."""
    model = Model(provider="p", id="m", usd_per_mtok=Price(input=1.0, output=10.0))

    assert estimate(model, call("1234"), Reply("x" * 12, "y" * 8)) == pytest.approx((2 + 10 * 5) / 1e6)
    assert estimate(model, call("1234"), None) == pytest.approx(2 / 1e6)
    assert estimate(Model(provider="p", id="m"), call("1234"), None) is None


def test_the_sum_of_a_trace() -> None:
    """It is that of all attempts, `None` if one is unknown, and an estimate if one is."""

    def cost(*costs: tuple[float | None, bool]) -> tuple[float | None, bool]:
        attempts = [
            Attempt(number, "m", "p", "first", cost_usd=cost, cost_estimated=estimated)
            for number, (cost, estimated) in enumerate(costs, 1)
        ]
        trace = Trace(None, 0.0, attempts)
        return trace.cost_usd, trace.cost_estimated

    assert cost() == (0.0, False)
    assert cost((0.5, False), (0.25, False)) == (0.75, False)
    assert cost((0.5, True), (0.25, False)) == (0.75, True)
    assert cost((0.5, True), (None, False)) == (None, True)
