"""`session=`: the calls of a conversation stay on one member of a pool, and its provider is told a hash."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter._wire.sessions import session_key
from asyncrouter.sim import Act
from tests.helpers.pool_world import HOSTS, router_to

if TYPE_CHECKING:
    from asyncrouter import Reply
    from asyncrouter.sim import Clock, LoggedRequest, World

POOL = {"pool": {"any": [f"{host}:m" for host in HOSTS]}}
HEX = re.compile(r"[0-9a-f]{32}")


def told(clock: Clock, world: World, base_url: str, *, wire: str = "openai", **params: Any) -> LoggedRequest:
    """The request of a call with a session to a provider at this address."""
    world.model("m", Act(text="hello"))
    world.rule(lambda seen, random: None)
    provider = {"known": {"base_url": base_url, "wire": wire}}

    async def scenario() -> None:
        async with router_to(world, {}, providers=provider) as router:
            await router.chat("x", model="known:m", session="user-42", **params)

    clock.run(scenario())
    return world.seen[-1]


def test_a_session_stays_on_one_member(clock: Clock, world: World) -> None:
    """Twenty calls of a session go to one member; other sessions are spread over all."""
    world.model("m", Act(text="hello"))

    async def scenario() -> list[set[str | None]]:
        async with router_to(world, POOL) as router:
            async def member(session: str) -> str | None:
                reply = await router.chat("x", model="pool", session=session)
                return reply.trace.attempts[0].member

            one = {await member("user-42") for _ in range(20)}
            others = {await member(f"user-{number}") for number in range(40)}
        return [one, others]

    one, others = clock.run(scenario())
    assert len(one) == 1
    assert others == {"a:m", "b:m", "c:m", "d:m"}


def test_a_session_whose_member_fails_moves_and_stays_there(clock: Clock, world: World) -> None:
    """One call fails over to a sibling; the next ones find the member out, and stay on the sibling when it is back."""
    broken: set[str] = set()
    world.model("m", Act(text="hello"))
    providers = {host: {"base_url": f"http://{host}.sim.test/v1"} for host in HOSTS}
    gone = Act(status=404, code="model_not_found")
    world.rule(lambda seen, random: gone if seen.url.split("/")[2][0] in broken else None)

    async def scenario() -> list[str | None]:
        async with router_to(world, POOL, providers=providers) as router:
            async def member() -> str | None:
                reply: Reply = await router.chat("x", model="pool", session="user-42")
                return reply.trace.attempts[-1].member

            home = await member()
            assert home is not None
            broken.add(home[0])
            away = [await member(), await member()]
            broken.clear()
            await asyncio.sleep(301.0)  # the hold of a 404 is over, but so is the session's cache
            return [home, *away, await member()]

    home, first, second, later = clock.run(scenario())
    assert first == second != home
    assert later == home


@pytest.mark.parametrize("status", [429, 529])
@pytest.mark.parametrize("chain", [["pool"], ["pool", "sim:m"]])
@pytest.mark.parametrize("defaults", [{}, {"retry": {"attempts": 1}}])
def test_a_call_leaves_the_member_of_its_session_that_has_turned_it_down(
    clock: Clock, world: World, status: int, chain: list[str], defaults: dict[str, Any]
) -> None:
    """A limit that says nothing of how long sends the call to a sibling at once, and the session stays there."""
    world.model("m", Act(text="hello"))
    full: set[str] = set()
    providers = {host: {"base_url": f"http://{host}.sim.test/v1"} for host in HOSTS}
    world.rule(lambda seen, random: Act(status=status) if seen.url.split("/")[2][0] in full else None)

    async def scenario() -> tuple[list[str | None], float]:
        async with router_to(world, POOL, providers=providers, defaults=defaults) as router:
            async def asked() -> list[str | None]:
                reply = await router.chat("x", chain=chain, session="user-42")
                return [attempt.member for attempt in reply.trace.attempts]

            [home] = await asked()
            assert home is not None
            full.add(home[0])
            left, away = await asked()
            assert left == home
            return [away, *await asked()], clock.now

    (first, second), now = clock.run(scenario())
    assert first == second
    assert now == 0.0


@pytest.mark.parametrize(("url", "wire", "field"), [
    ("https://api.openai.com/v1", "openai", "prompt_cache_key"),
    ("https://eu.api.openai.com/v1", "responses", "prompt_cache_key"),
    ("https://res.openai.azure.com/openai/v1", "openai", "prompt_cache_key"),
    ("https://openrouter.ai/api/v1", "openai", "session_id"),
    ("https://api.x.ai/v1", "responses", "prompt_cache_key"),
    ("https://api.fireworks.ai/inference/v1", "openai", "prompt_cache_key"),
])  # fmt: skip
def test_providers_are_told_a_hash(clock: Clock, world: World, url: str, wire: str, field: str) -> None:
    """Thirty-two hexadecimal digits in the field that the provider knows, and nothing of the session itself."""
    seen = told(clock, world, url, wire=wire)

    assert HEX.fullmatch(str(seen.body[field]))
    assert "user-42" not in str(seen.body) + str(seen.headers)


@pytest.mark.parametrize(("url", "header"), [
    ("https://api.x.ai/v1", "x-grok-conv-id"), ("https://api.fireworks.ai/inference/v1", "x-session-affinity"),
])  # fmt: skip
def test_some_are_told_in_a_header(clock: Clock, world: World, url: str, header: str) -> None:
    """xAI and Fireworks read a header of Chat Completions."""
    assert HEX.fullmatch(told(clock, world, url).headers[header])


def test_each_provider_is_told_another_hash() -> None:
    """Two providers cannot find out that a session is the same; every process tells one the same, with any of its keys.
    """
    told_to = [session_key("user-42", provider) for provider in ("openai", "openai[KEY_B]", "azure")]

    assert told_to == ["f1171eb25dd64f1051663b99845ca04e", "f1171eb25dd64f1051663b99845ca04e",
                       "04857ae19a853005f9c6753b0dddd6e7"]


@pytest.mark.parametrize("url", ["http://home.test/v1", "https://api.mistral.ai/v1"])
def test_others_are_told_nothing(clock: Clock, world: World, url: str) -> None:
    """A provider that knows no such field gets none."""
    assert told(clock, world, url).body.keys() & {"prompt_cache_key", "session_id", "session"} == set()


@pytest.mark.parametrize("params", [{"prompt_cache_key": "mine"}, {"params": {"known": {"prompt_cache_key": "mine"}}}])
def test_the_callers_own_key_wins(clock: Clock, world: World, params: dict[str, Any]) -> None:
    """Who sends a key of the cache himself means it."""
    assert told(clock, world, "https://api.openai.com/v1", **params).body["prompt_cache_key"] == "mine"


@pytest.mark.parametrize(("session", "error"), [(3, TypeError), ("", ValueError), (" ", ValueError)])
def test_what_is_no_session(clock: Clock, world: World, session: Any, error: type[Exception]) -> None:
    """A session is text that is not blank."""
    async def scenario() -> None:
        async with router_to(world, POOL) as router:
            with pytest.raises(error, match="session: expected text"):
                await router.chat("x", model="pool", session=session)

    clock.run(scenario())


def test_a_view_has_a_session(clock: Clock, world: World) -> None:
    """`with_options(session=…)` holds for each of its calls, streamed ones too."""
    world.model("m", Act(text="hello"))

    async def scenario() -> list[str | None]:
        async with router_to(world, POOL) as router:
            view = router.with_options(session="user-42")
            members = [(await view.chat("x", model="pool")).trace.attempts[0].member for _ in range(5)]
            async with view.stream("x", model="pool") as stream:
                async for _ in stream:
                    pass
            return [*members, stream.reply.trace.attempts[0].member]

    assert len(set(clock.run(scenario()))) == 1
