"""Whose fault a failure is, and what is remembered of it: the table row by row, and the rule for doubtful failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import (
    AttemptTimeout,
    BadReply,
    ConnectionFailed,
    ContextTooLong,
    NotAccepted,
    NotSent,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Step,
    Unauthorized,
)
from asyncrouter._policies.scope import Rule, rule_of
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, OTHER, SILENT, ask, asked, models_sent, play, script

if TYPE_CHECKING:
    from asyncrouter import AttemptError, Router
    from asyncrouter.sim import Clock, World

CHAIN = ["a", "other:b"]
NO_TOOLS = Act(status=404, message="No endpoints found that support tool use.")
NO_IMAGES = Act(status=404, message="This model does not support image input.")
FEWER_TOKENS = Act(status=402, message="This request requires more credits, or fewer max_tokens.")
FIREWALL = Act(status=403, type="blocked", message="Request blocked.")
BROKEN = Act(status=500)
DOUBTFUL = {
    "no tools": NO_TOOLS, "no images": NO_IMAGES, "fewer tokens": FEWER_TOKENS, "firewall": FIREWALL,
    "html": Act(fault="html"), "500": BROKEN, "empty": Act(text=""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (ConnectionFailed("reset"), Rule("host", "breaker")),
        (AttemptTimeout("connect"), Rule("host", "breaker")),
        (AttemptTimeout("first_token"), Rule("model", "breaker")),
        (AttemptTimeout("deadline"), Rule("model", "breaker")),
        (RateLimited(status=429), Rule("model", "pace")),
        (RateLimited(status=402), Rule("model", "pace")),
        (RateLimited(status=529), Rule("model", "pace and breaker")),
        (ServerFailed(status=500), Rule("model", "breaker", doubtful=True)),
        (ServerFailed(status=502), Rule("model", "breaker", doubtful=True)),
        (ServerFailed(status=503), Rule("model", "breaker")),
        (BadReply(status=200), Rule("model", "breaker", doubtful=True)),
        (ContextTooLong(status=400), Rule("request", "nothing")),
        (Refused(status=400), Rule("request", "nothing")),
        (NotAccepted(), Rule("call", "nothing")),
        (Rejected(status=400), Rule("request", "nothing")),
        (Rejected(status=404), Rule("model", "model out", doubtful=True)),
        (Rejected(status=400, code="model_not_found"), Rule("model", "model out", doubtful=True)),
        (Unauthorized(status=401), Rule("key", "key out")),
        (Unauthorized(status=403), Rule("key", "model out", doubtful=True)),
        (OutOfCredit(status=402), Rule("key", "key out", doubtful=True)),
        *((OutOfCredit(status=429, code=code), Rule("model", "model out", doubtful=True))
          for code in ("credits_required", "AllocationQuota.FreeTierOnly")),
        (NotSent("held"), Rule(None, "nothing")),
    ],
    ids=lambda value: f"{type(value).__name__} {value.status}" if hasattr(value, "status") else "",
)
def test_the_table(error: AttemptError, rule: Rule) -> None:
    """Each class of errors has its scope, what is remembered of it, and whether it may be the request's own."""
    assert rule_of(error) == rule


async def asks(
    router: Router, *prompts: str, chain: list[Any] = CHAIN, pause: float = 1.0, **options: Any
) -> list[Any]:
    """Ask with these prompts one after the other, one try a model."""
    results = []
    for prompt in prompts:
        results.append(await ask(router, prompt=prompt, chain=chain, retry=ONCE, **options))
        await asyncio.sleep(pause)
    return results


@pytest.mark.parametrize("act", DOUBTFUL.values(), ids=DOUBTFUL)
def test_one_request_is_not_the_models_fault(clock: Clock, world: World, act: Act) -> None:
    """What meets one prompt, again and again, is that request's; others stay on the first model."""
    script(world, HEALTHY, HEALTHY)
    world.rule(lambda request, random: act if "odd" in str(request.body) and request.model == "a" else None)

    results = play(clock, world, lambda router: asks(router, *["odd"] * 5, "even"), providers=OTHER)

    assert models_sent(results[0]) == ["a", "other:b"]
    assert results[0].trace.attempts[0].scope == results[0].trace.attempts[0].error.scope == "request"
    assert models_sent(results[-1]) == ["a"]


@pytest.mark.parametrize("act", DOUBTFUL.values(), ids=DOUBTFUL)
def test_three_different_requests_are(clock: Clock, world: World, act: Act) -> None:
    """What three different requests in a row have met is the model's, or its key's, and the fourth goes elsewhere."""
    script(world, act, HEALTHY)

    results = play(clock, world, lambda router: asks(router, *"1234"), providers=OTHER)

    assert [models_sent(result) for result in results] == [["a", "other:b"]] * 3 + [["other:b"]]
    assert results[2].trace.attempts[0].scope in {"model", "key"}


@pytest.mark.parametrize("act", [NO_TOOLS, FEWER_TOKENS, FIREWALL])
def test_the_scope_is_told_where_it_explains_something(clock: Clock, world: World, act: Act) -> None:
    """An error that usually disables a model or key says when it was taken for the request's own."""
    script(world, act, HEALTHY)

    [result] = play(clock, world, lambda router: asks(router, "1"), providers=OTHER)

    assert str(result.trace.attempts[0].error).endswith(f"(HTTP {act.status}, scope: request)")
    assert "(scope: request)" in str(result.trace)


def test_a_success_between_begins_anew(clock: Clock, world: World) -> None:
    """A success between them shows that the model serves others."""
    script(world, (NO_TOOLS, NO_TOOLS, HEALTHY, NO_TOOLS, NO_TOOLS, HEALTHY), HEALTHY)

    results = play(clock, world, lambda router: asks(router, *"123456"), providers=OTHER)

    assert models_sent(results[-1]) == ["a"]


def test_an_equal_body_counts_again_after_half_a_minute(clock: Clock, world: World) -> None:
    """The same request counts again when 30 s have passed, and not before."""
    script(world, NO_TOOLS, HEALTHY)

    results = play(clock, world, lambda router: asks(router, *["same"] * 7, pause=10.0), providers=OTHER)

    assert [len(models_sent(result)) for result in results] == [2, 2, 2, 2, 2, 2, 2]
    assert [result.trace.attempts[0].scope for result in results] == ["request"] * 6 + ["model"]


SAME_MODEL = {
    "streamed and not": [Step("a", wire_stream=True), Step("a", wire_stream=False)],
    "other parameters": ["a", Step("a", params={"max_tokens": 5}), Step("a", params={"temperature": 0})],
}  # fmt: skip


@pytest.mark.parametrize("act", DOUBTFUL.values(), ids=DOUBTFUL)
@pytest.mark.parametrize("steps", SAME_MODEL.values(), ids=SAME_MODEL)
def test_the_tries_of_one_call_count_once(clock: Clock, world: World, steps: list[Any], act: Act) -> None:
    """A call that asks one model in several steps has met one failure, whatever the steps write into the request."""
    script(world, act, HEALTHY)

    results = play(clock, world, lambda router: asks(router, *"123", chain=[*steps, "other:b"]), providers=OTHER)

    tried = ["a"] * len(steps)
    assert [models_sent(result) for result in results] == [[*tried, "other:b"], [*tried, "other:b"], ["a", "other:b"]]


def test_the_same_prompt_is_one_request_streamed_or_not(clock: Clock, world: World) -> None:
    """The same prompt in `chat()`, in `stream()` and as one JSON body counts once; with other parameters it is new."""
    script(world, NO_TOOLS, HEALTHY)

    async def scenario(router: Router) -> list[str | None]:
        results = []
        for mode, options in [
            ("chat", {}), ("stream", {}), ("chat", {"chain": [Step("a", wire_stream=False), "other:b"]}),
            ("chat", {"max_tokens": 5}), ("stream", {"max_tokens": 5}), ("chat", {"max_tokens": 6}),
        ]:  # fmt: skip
            results.append(await ask(router, mode, **{"chain": CHAIN, "retry": ONCE, **options}))
            await asyncio.sleep(1.0)
        return [result.trace.attempts[0].scope for result in results]

    assert play(clock, world, scenario, providers=OTHER) == ["request"] * 5 + ["model"]


def test_what_was_in_flight_together_counts_once(clock: Clock, world: World) -> None:
    """A burst of different requests that meet the same is one observation."""
    script(world, Act(status=404, message="No endpoints found that support tool use.", first_token=1.0), HEALTHY)

    async def scenario(router: Router) -> list[str]:
        await asyncio.gather(*(asks(router, str(number)) for number in range(20)))
        return models_sent((await asks(router, "last"))[0])

    assert play(clock, world, scenario, providers=OTHER) == ["a", "other:b"]


DEFINITE = {
    "model_not_found": Act(status=404, code="model_not_found"),
    "no such model": Act(status=404, message="The model 'a' does not exist or you do not have access to it."),
    "no endpoints for": Act(status=404, message="No endpoints found for vendor/a."),
    "permission_error": Act(status=403, type="permission_error", message="Your API key may not use this resource."),
    "country": Act(status=403, code="unsupported_country_region_territory"),
    "access": Act(status=403, type="x", message="You do not have access to this model."),
    "credits": Act(status=402, message="Insufficient credits. Add more."),
    "billing_error": Act(status=402, type="billing_error"),
    "401": Act(status=401),
    "shut down": Act(status=404, message="This model has been shut down."),
    "account": Act(status=403, type="x", message="Your account has been suspended."),
    "past due": Act(status=402, message="Your account is past due."),
}  # fmt: skip


@pytest.mark.parametrize("act", DEFINITE.values(), ids=DEFINITE)
def test_definite_words_count_at_once(clock: Clock, world: World, act: Act) -> None:
    """What names the model, the key or the account holds for the next request, too."""
    script(world, act, HEALTHY)

    results = play(clock, world, lambda router: asks(router, "1", "2"), providers=OTHER)

    assert models_sent(results[1]) == ["other:b"]


OWN = {
    "own key": {"sim": {"Authorization": "Bearer sk-of-a-tenant"}}, "lower case": {"sim": {"x-api-key": "sk-of-one"}},
}


@pytest.mark.parametrize("act", [
    *DEFINITE.values(), Act(status=429, retry_after=60), Act(status=429), Act(status=402, retry_after=60),
])  # fmt: skip
@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
def test_a_callers_own_key_is_the_callers(clock: Clock, world: World, act: Act, headers: dict[str, Any]) -> None:
    """What a key in a call's headers meets is that call's: nothing is remembered, and nobody else is paced."""
    script(world, (act, HEALTHY), HEALTHY)

    async def scenario(router: Router) -> tuple[Any, Any, float | None]:
        first = await ask(router, prompt="mine", chain=CHAIN, retry=ONCE, headers=headers)
        second = await ask(router, prompt="theirs", chain=CHAIN, retry=ONCE)
        return first, second, router._life.engine.policies.state_of(world_model(router)).pacer.rate  # type: ignore[union-attr]

    first, second, rate = play(clock, world, scenario, providers=OTHER)

    assert first.trace.attempts[0].scope == "call"
    assert (models_sent(second), rate) == (["a"], None)


def world_model(router: Router) -> Any:
    """The model a as the router knows it."""
    return next(iter(router._used.values())).model


def test_a_callers_own_key_serves_though_ours_is_out(clock: Clock, world: World) -> None:
    """A call with a key of its own is sent though our key was turned down."""
    script(world, (Act(status=401), HEALTHY), HEALTHY)

    async def scenario(router: Router) -> list[str]:
        await ask(router, chain=CHAIN, retry=ONCE)
        return models_sent(await ask(router, chain=CHAIN, headers=OWN["own key"]))

    assert play(clock, world, scenario, providers=OTHER) == ["a"]


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_impatient_callers_do_not_close_a_model(clock: Clock, world: World) -> None:
    """Calls whose deadline is too short for a healthy model do not open its breaker."""
    script(world, Act(first_token=1.0), Act(first_token=1.0))

    async def scenario(router: Router) -> list[Any]:
        hurried = await asks(router, *"12345", deadline=0.6)
        return [hurried[0].trace.attempts[0].scope, models_sent(await ask(router, chain=CHAIN))]

    assert play(clock, world, scenario, providers=OTHER) == ["call", ["a"]]


@pytest.mark.parametrize("clock_of_call", [Step(model="a", first_token=0.5), Step(model="a", total=0.5)])
def test_clocks_given_with_a_call_are_the_calls(clock: Clock, world: World, clock_of_call: Step) -> None:
    """A step's clock in a call's own chain does not blame a model that needs longer."""
    script(world, Act(first_token=1.0), HEALTHY)

    async def scenario(router: Router) -> list[str]:
        await asks(router, *"12345", chain=[clock_of_call, "other:b"])
        return models_sent(await ask(router, chain=CHAIN))

    assert play(clock, world, scenario, providers=OTHER) == ["a"]


@pytest.mark.parametrize("options", [
    {"defaults": {"first_token": 1.0}}, {"defaults": {"first_token": 3.0}}, {"defaults": {"total": 5.0}},
])  # fmt: skip
def test_a_silent_model_is_out_under_a_files_clocks(clock: Clock, world: World, options: dict[str, Any]) -> None:
    """Three calls that a configured clock has ended take a silent model out."""
    script(world, SILENT, HEALTHY)

    results = play(clock, world, lambda router: asks(router, *"1234"), providers=OTHER, **options)

    assert [models_sent(result)[0] for result in results] == ["a", "a", "a", "other:b"]


def test_a_silent_model_is_out_whoever_set_the_clock(clock: Clock, world: World) -> None:
    """A share of the deadline of more than two seconds blames a model of which nothing is known."""
    script(world, SILENT, HEALTHY)

    results = play(clock, world, lambda router: asks(router, *"1234", deadline=6.0), providers=OTHER)

    assert [models_sent(result)[0] for result in results] == ["a", "a", "a", "other:b"]


@pytest.mark.parametrize(("deadline", "out"), [(0.5, False), (1.5, True)])
def test_a_known_models_silence_is_judged_by_its_own_past(
    clock: Clock, world: World, deadline: float, out: bool
) -> None:
    """A clock of the call's blames the model only if the silence is three times its p99.9."""
    script(world, Act(first_token=0.2), HEALTHY)

    async def scenario(router: Router) -> bool:
        await asks(router, *map(str, range(150)), pause=0.0)
        script(world, SILENT, HEALTHY)
        await asks(router, *"abc", deadline=deadline, pause=2.0)
        return models_sent(await ask(router, prompt="last", chain=CHAIN, deadline=deadline))[0] == "other:b"

    assert play(clock, world, scenario, providers=OTHER) == out


def test_a_limit_on_the_size_of_replies_is_the_callers(clock: Clock, world: World) -> None:
    """Replies beyond a step's own `max_response_bytes` blame nobody."""
    script(world, Act(text="word " * 5000), HEALTHY)
    small = Step(model="a", max_response_bytes=1000)

    async def scenario(router: Router) -> tuple[Any, list[str]]:
        results = await asks(router, *"12345", chain=[small, "other:b"])
        return results[0].trace.attempts[0].scope, models_sent(await ask(router, chain=CHAIN))

    assert play(clock, world, scenario, providers=OTHER) == ("call", ["a"])


# ── requests that no pause makes smaller ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("message", [
    "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 36055.",
    "Request too large. limit: 30,000, requested: 36,055",
])  # fmt: skip
def test_a_request_larger_than_the_limit_is_too_long(clock: Clock, world: World, message: str) -> None:
    """A 429 for more tokens than a minute has is like a prompt that is too long: the next model, and no pause."""
    script(world, Act(status=429, message=message, retry_after=5), HEALTHY)

    async def scenario(router: Router) -> tuple[Any, str]:
        return await ask(router, chain=CHAIN), router.explain(chain=["a"]).steps[0].standing

    result, standing = play(clock, world, scenario, providers=OTHER)

    assert [type(attempt.error) for attempt in result.trace.attempts] == [ContextTooLong, type(None)]
    assert (standing, asked(world, "a"), clock.now) == ("ready", [1], 0.0)


ANTHROPIC = "This request would exceed your organization's rate limit of {} input tokens per minute (org: 1, model: a)."


@pytest.mark.parametrize("mode", ["chat", "stream"])
@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_a_prompt_larger_than_a_limit_of_tokens_a_minute_is_too_long(
    clock: Clock, world: World, wire: str, mode: str
) -> None:
    """A 429 that names a limit of tokens a minute is about the prompt, if that alone is larger."""
    script(world, Act(status=429, message=ANTHROPIC.format("1,000"), retry_after=5), HEALTHY)
    chain, prompt = [f"sim-{wire}:a", "other:b"], "some words " * 1000

    async def scenario(router: Router) -> tuple[Any, str]:
        result = await ask(router, mode, prompt=prompt, chain=chain)
        return result, router.explain(chain=chain).steps[0].standing

    result, standing = play(clock, world, scenario, providers=OTHER)

    assert [type(attempt.error) for attempt in result.trace.attempts] == [ContextTooLong, type(None)]
    assert (result.trace.attempts[0].scope, standing, asked(world, "a"), clock.now) == ("request", "ready", [1], 0.0)


@pytest.mark.parametrize("message", [
    ANTHROPIC.format("1,000,000"), "This request would exceed your organization's rate limit.",
    "This request would exceed your account's rate limit. Please try again later.", ANTHROPIC.format("0"),
])  # fmt: skip
def test_a_limit_that_the_prompt_alone_does_not_exceed_is_waited_for(
    clock: Clock, world: World, message: str
) -> None:
    """Without a number, and with one that is larger than the prompt, the same words are a rate limit."""
    script(world, (Act(status=429, message=message, retry_after=1), HEALTHY), HEALTHY)

    result = play(clock, world, lambda router: ask(router, prompt="some words " * 1000, chain=["a"]))

    assert [type(attempt.error) for attempt in result.trace.attempts] == [RateLimited, type(None)]


def test_a_usual_limit_of_tokens_is_waited_for(clock: Clock, world: World) -> None:
    """A 429 for fewer tokens than the limit has is a rate limit."""
    limit = Act(status=429, message="Limit 30000, Used 29000, Requested 1600. Please try again in 2s.")
    script(world, (limit, HEALTHY), HEALTHY)

    result = play(clock, world, lambda router: ask(router, chain=["a"]))

    assert isinstance(result.trace.attempts[0].error, RateLimited)
