"""A caller's own key in `headers=`: it goes to one provider, and what is met under it is remembered for nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import ConfigError, Router, Step
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, OTHER, ask, models_sent, play, script
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

MINE = {"Authorization": "Bearer sk-of-a-tenant"}
CREDENTIALS = [
    MINE, {"x-api-key": "sk-of-one"}, {"api-key": "of-azure"}, {"X-Goog-Api-Key": "of-google"}, {"Cookie": "session=1"},
    {"Proxy-Authorization": "Basic x"}, {"Helicone-Auth": "Bearer x"}, {"Ocp-Apim-Subscription-Key": "of-a-gateway"},
    {"X-Amz-Security-Token": "x"}, {"X-Mine": "Bearer abcdefgh"}, {"X-Other": "sk-abcdefgh"},
    {"X-Groq": "gsk_abcdefghijklmnop"}, {"X-Google": "AIza" + 5 * "abcdefg"}, {"X-Xai": "xai-abcdefghijklmnop"},
    {"X-Aws": "AKIAABCDEFGHIJKLMNOP"}, {"X-Web": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}, {"X-Jwt": "x"},
    {"X-Fal": "ApiKey x"},
]


@pytest.mark.parametrize("headers", CREDENTIALS, ids=lambda headers: next(iter(headers)))
def test_a_credential_for_several_providers_is_refused(clock: Clock, world: World, headers: dict[str, str]) -> None:
    """With steps of two providers it is a `TypeError` that names the form for one provider, and shows no value."""
    script(world, HEALTHY, HEALTHY)
    [(name, value)] = headers.items()

    async def scenario(router: Router) -> set[str]:
        with pytest.raises(TypeError) as chatted:
            await router.chat("x", chain=["a", "other:b"], headers=headers)
        with pytest.raises(TypeError) as streamed:
            async with router.stream("x", chain=["a", "other:b"], headers=headers):
                pass
        return {str(chatted.value), str(streamed.value)}

    [message] = play(clock, world, scenario, providers=OTHER)

    assert message.startswith(f"headers[{name!r}]: a credential would go to every provider of the chain; ")
    assert message.endswith(f'headers={{"sim": {{"{name}": …}}}}')
    assert value not in message
    assert not world.seen


@pytest.mark.parametrize("headers", CREDENTIALS, ids=lambda headers: next(iter(headers)))
def test_a_credential_for_one_provider_is_sent(clock: Clock, world: World, headers: dict[str, str]) -> None:
    """It goes with every attempt where all steps are at one provider."""
    script(world, Act(status=500), HEALTHY)

    play(clock, world, lambda router: ask(router, chain=["a", "b"], retry=ONCE, headers=headers), providers=OTHER)

    [(name, value)] = headers.items()
    assert [seen.headers[name.lower()] for seen in world.seen] == [value, value]


def test_headers_by_provider_go_to_that_one(clock: Clock, world: World) -> None:
    """Fields under a provider's name are sent to it alone, in the place of those for all of the same name."""
    script(world, Act(status=500), HEALTHY)
    headers = {"X-Title": "all", "X-Trace": "1", "sim": MINE, "other": {"x-title": "other's"}}

    play(
        clock, world, lambda router: ask(router, chain=["a", "other:b"], retry=ONCE, headers=headers), providers=OTHER
    )

    names = ("authorization", "x-title", "x-trace")
    assert [[seen.headers.get(name) for name in names] for seen in world.seen] == [
        ["Bearer sk-of-a-tenant", "all", "1"], [None, "other's", "1"],
    ]


def test_a_hedge_at_another_provider_does_not_get_the_key(clock: Clock, world: World) -> None:
    """The caller's key goes to its provider, also where two models are asked at once, and in a stream."""
    script(world, Act(first_token=9.0), HEALTHY)

    async def scenario(router: Router) -> None:
        asking: dict[str, Any] = {"chain": ["a", "other:b"], "hedge": 1.0, "headers": {"sim": MINE}}
        async with router.stream("x", **asking) as stream:
            async for _ in stream:
                pass

    play(clock, world, scenario, providers=OTHER)

    assert [seen.headers.get("authorization") for seen in world.seen] == ["Bearer sk-of-a-tenant", None]


@pytest.mark.parametrize(("headers", "kind", "message"), [
    ({"smi": MINE}, ConfigError, "headers: unknown provider 'smi'; did you mean 'sim'?"),
    ({"sim": {"Authorization": 7}}, TypeError, "headers['sim']['Authorization']: expected text"),
    ({"sim": {"X-A": "b\n"}}, ValueError, "headers['sim']['X-A']: expected one line"),
    ({"sim": {"Connection": "x"}}, ValueError,
     "headers['sim']['Connection']: expected a header that the transport does not write itself"),
])  # fmt: skip
def test_headers_by_provider_are_checked(
    clock: Clock, world: World, headers: Any, kind: type[Exception], message: str
) -> None:
    """A provider's name and the fields under it are checked before anything is sent."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> str:
        with pytest.raises(kind) as caught:
            await router.chat("x", chain=["a"], headers=headers)
        return str(caught.value)

    assert play(clock, world, scenario, providers=OTHER) == message
    assert not world.seen


def test_ours_is_not_sent_beside_the_callers(clock: Clock, world: World) -> None:
    """With a key of the caller's the configured one is neither needed nor sent, under whatever header that would be."""
    script(world, HEALTHY)
    providers = {"sim": {"key": lambda: KEY}}

    play(clock, world, lambda router: ask(router, chain=["a"], headers={"x-api-key": "mine"}), providers=providers)

    [seen] = world.seen
    assert (seen.headers.get("authorization"), seen.headers["x-api-key"]) == (None, "mine")


def test_a_missing_key_of_ours_does_not_matter(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call with a key of its own is sent though the variable of the configured key is not set."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    script(world, HEALTHY)
    providers = {"sim": {"key": "env:NO_SUCH_KEY"}}

    reply = play(clock, world, lambda router: ask(router, chain=["a"], headers=MINE), providers=providers)

    assert models_sent(reply) == ["a"]


def test_a_401_under_the_callers_key_does_not_renew_ours(clock: Clock, world: World) -> None:
    """Our key function is not called again, and the model is not asked again."""
    calls: list[int] = []
    providers = {"sim": {"key": lambda: calls.append(1) or f"{KEY}{len(calls)}"}}

    async def scenario(router: Router) -> list[str]:
        await ask(router, chain=["a"])
        return models_sent(await ask(router, chain=["a"], headers=MINE))

    script(world, (HEALTHY, Act(status=401), HEALTHY))
    assert (play(clock, world, scenario, providers=providers), len(calls)) == (["a"], 1)


@pytest.mark.parametrize("told", [
    {"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"},
    {"anthropic-ratelimit-requests-limit": "1", "anthropic-ratelimit-requests-remaining": "0",
     "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z"},
])  # fmt: skip
def test_limits_of_the_callers_account_pace_nobody(clock: Clock, world: World, told: dict[str, str]) -> None:
    """Limits announced under a caller's key are the caller's: the next calls go at once."""
    script(world, Act(headers=told))

    async def scenario(router: Router) -> None:
        await ask(router, chain=["a"], headers=MINE)
        for _ in range(3):
            await ask(router, chain=["a"], headers={"Authorization": "Bearer sk-of-another"})

    play(clock, world, scenario)

    assert (len(world.seen), clock.now < 1.0) == (4, True)


def test_a_hold_of_ours_does_not_hold_the_callers_key(clock: Clock, world: World) -> None:
    """A Retry-After that our key met says nothing about another key."""
    script(world, (Act(status=429, retry_after=60), HEALTHY), HEALTHY)

    async def scenario(router: Router) -> tuple[list[str], list[str]]:
        await ask(router, chain=["a", "other:b"], retry=ONCE)
        mine = await ask(router, chain=["a", "other:b"], headers={"sim": MINE})
        return models_sent(mine), models_sent(await ask(router, chain=["a", "other:b"]))

    assert play(clock, world, scenario, providers=OTHER) == (["a"], ["other:b"])


def test_a_key_for_one_provider_excuses_nothing_at_another(clock: Clock, world: World) -> None:
    """A 401 at a provider for which the caller brought no key is our key's, and remembered."""
    script(world, HEALTHY, (Act(status=401), HEALTHY))

    async def scenario(router: Router) -> tuple[Any, list[str]]:
        first = await ask(router, chain=["other:b", "a"], headers={"sim": MINE})
        return first.trace.attempts[0].scope, models_sent(await ask(router, chain=["other:b", "a"]))

    assert play(clock, world, scenario, providers=OTHER) == ("key", ["a"])


# ── the breaker ──────────────────────────────────────────────────────────────────────────────────────────────────────

UNDER_OWN_KEYS = {
    "500": Act(status=500), "502": Act(status=502), "503": Act(status=503), "529": Act(status=529),
    "html": Act(fault="html"), "silent": Act(fault="hang"), "cut short": Act(fault="truncated"),
}
"""What a model may do under one account's key, and that says nothing yet about another's."""


async def in_turn(router: Router, keys: list[str | None]) -> list[Any]:
    """Ask once under each of these keys (`None`: ours), each time something else; what each attempt at `a` came to."""
    found = []
    for number, key in enumerate(keys):
        headers = None if key is None else {"sim": {"Authorization": f"Bearer {key}"}, "X-Number": f"{number}"}
        asking: dict[str, Any] = {"chain": [Step("a", first_token=5.0), "other:b"], "retry": ONCE, "headers": headers}
        reply = await ask(router, "chat", f"{number}", **asking)
        found.append((reply.trace.attempts[0].outcome, reply.trace.attempts[0].scope))
    return found


@pytest.mark.parametrize("act", UNDER_OWN_KEYS.values(), ids=list(UNDER_OWN_KEYS))
def test_one_account_puts_a_model_out_for_nobody(clock: Clock, world: World, act: Act) -> None:
    """However often one caller's key meets a failure, with whatever prompts, it is the call's, and ours is asked."""
    script(world, (*[act] * 8, HEALTHY), HEALTHY)

    found = play(clock, world, lambda router: in_turn(router, ["sk-of-one"] * 8 + [None]), providers=OTHER)

    assert found == [("failed", "call")] * 8 + [("won", None)]


@pytest.mark.parametrize("act", UNDER_OWN_KEYS.values(), ids=list(UNDER_OWN_KEYS))
def test_three_accounts_in_a_row_are_enough(clock: Clock, world: World, act: Act) -> None:
    """What three different keys have met is the model's: a service whose callers all bring keys has a breaker, too."""
    script(world, act, HEALTHY)
    keys: list[str | None] = ["sk-of-one", "sk-of-two", "sk-of-three", "sk-of-four"]

    found = play(clock, world, lambda router: in_turn(router, keys), providers=OTHER)

    assert found == [("failed", "call")] * 2 + [("failed", "model"), ("not_sent", None)]


def test_a_pause_that_the_service_asks_for_holds_everybody(clock: Clock, world: World) -> None:
    """A 503 with a Retry-After is the service's own word, whoever was told."""
    script(world, (Act(status=503, retry_after=60), HEALTHY), HEALTHY)

    found = play(clock, world, lambda router: in_turn(router, ["sk-of-one", None]), providers=OTHER)

    assert found == [("failed", "model"), ("not_sent", None)]


def test_an_answer_between_them_begins_anew(clock: Clock, world: World) -> None:
    """Two keys fail, one is answered, two more fail: each failure is its call's, and the breaker is closed."""
    bad = Act(status=500)
    script(world, (bad, bad, HEALTHY, bad, bad, HEALTHY), HEALTHY)
    keys: list[str | None] = [f"sk-of-{number}" for number in range(5)]

    found = play(clock, world, lambda router: in_turn(router, [*keys, None]), providers=OTHER)

    failed, won = ("failed", "call"), ("won", None)
    assert found == [failed, failed, won, failed, failed, won]


@pytest.mark.parametrize("fault", ["refuse", "dns", "cut"])
def test_a_lost_connection_is_the_hosts_whoever_asks(clock: Clock, world: World, fault: Any) -> None:
    """No key was looked at: it counts at once, as under ours."""
    script(world, Act(fault=fault, at="headers") if fault == "cut" else Act(fault=fault), HEALTHY)

    found = play(clock, world, lambda router: in_turn(router, ["sk-of-one"] * 4), providers=OTHER)

    assert found[0] == ("failed", "host")
    assert found[-1] == ("not_sent", None)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("door", ["chat", "stream"])
@pytest.mark.parametrize("slots", [None, 1])
def test_what_a_callers_own_key_uses_is_not_ours(clock: Clock, world: World, door: str, slots: int | None) -> None:
    """A long answer under a caller's key takes no tokens of our limit: the next call under ours is sent at once."""
    world.model("a", Act(first_token=1.0, text="word " * 500))
    entry = {"provider": "sim", "id": "a", "tpm": 600, "max_concurrent": slots}
    entry = {name: value for name, value in entry.items() if value is not None}

    async def scenario() -> list[float]:
        async with Router(world.config(models={"a": entry}), transport=world.transport(), seed=1) as router:
            await ask(router, door, chain=["a"], headers=MINE)
            began = clock.now
            await ask(router, door, chain=["a"], max_tokens=5)
            return [world.seen[0].at, world.seen[1].at - began]

    assert clock.run(scenario()) == [0.0, 0.0]
