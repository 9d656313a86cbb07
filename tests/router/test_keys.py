"""Keys: disabled after a 401 or 402, renewed where a function provides them, or not set at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, NotSent, Reply, Router
from asyncrouter.sim import Act, Clock, Seen, World
from tests.helpers.failing import HEALTHY, OTHER, REJECTED, Tried, ask, asked, models_sent, pauses, play, script, tried

if TYPE_CHECKING:
    from random import Random


@pytest.mark.parametrize("status", [401, 402])
def test_a_key_is_disabled_for_twice_as_long_each_time(clock: Clock, world: World, status: int) -> None:
    """It is disabled for 60 s, then twice as long each time up to ten minutes; meanwhile nothing is sent with it."""
    script(world, Act(status=status, code="insufficient_quota" if status == 402 else None))

    async def scenario(router: Router) -> None:
        while clock.now < 2100:
            result = await ask(router, chain=["a"], deadline=5)
            assert isinstance(result, AllModelsFailed)
            await asyncio.sleep(15)

    play(clock, world, scenario)

    assert [seen.at for seen in world.asked("a")] == [0.0, 60.0, 180.0, 420.0, 900.0, 1500.0]


def test_success_resets_a_key(clock: Clock, world: World) -> None:
    """After an answer a key is disabled for 60 s again at first."""
    script(world, (Act(status=401), Act(status=401), HEALTHY, Act(status=401), HEALTHY))

    async def scenario(router: Router) -> None:
        while clock.now < 300:
            await ask(router, chain=["a"], deadline=5)
            await asyncio.sleep(20)

    play(clock, world, scenario)

    assert [seen.at for seen in world.asked("a")] == [0.0, 60.0, 180.0, 200.0, 260.0, 280.0]


def test_requests_in_flight_disable_a_key_once(clock: Clock, world: World) -> None:
    """Several 401s to requests that were in flight together disable the key once, not for longer each."""
    script(world, (*[Act(status=401, first_token=second) for second in (1.0, 2.0, 3.0)], HEALTHY))

    async def scenario(router: Router) -> Any:
        await asyncio.gather(*(ask(router, chain=["a"]) for _ in range(3)))
        await asyncio.sleep(61 - clock.now)
        return await ask(router, chain=["a"])

    assert isinstance(play(clock, world, scenario), Reply)


class Keys:
    """A key function that returns these keys, one after the other, and then the last one always."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]


def locked(good: str) -> Any:
    """A model that accepts this key only."""

    def behave(seen: Seen, random: Random) -> Act:
        return HEALTHY if seen.headers.get("authorization") == f"Bearer {good}" else Act(status=401)

    return behave


def test_a_renewed_key_is_tried_at_once(clock: Clock, world: World) -> None:
    """After a 401 the key function is called again; with another key the same model is tried again within 0.25 s."""
    keys = Keys("old-key-1234", "new-key-1234")
    world.model("a", locked("new-key-1234"))

    async def scenario(router: Router) -> list[Any]:
        return [await ask(router, chain=["a", "b"]), await ask(router, chain=["a", "b"])]

    first, second = play(clock, world, scenario, providers={"sim": {"key": keys}})

    [pause] = pauses(0.25)
    assert tried(first.trace) == [
        Tried("a", "first", "failed", "Unauthorized", 401, 0.0, 0.0),
        Tried("a", "retry", "won", None, 200, pause, pause),
    ]
    assert models_sent(second) == ["a"]
    assert keys.calls == 2


def test_the_same_key_again_is_disabled(clock: Clock, world: World) -> None:
    """If the key function returns the same key after a 401, there is no retry, and the key is disabled."""
    keys = Keys("old-key-1234")
    world.model("a", locked("new-key-1234"))

    async def scenario(router: Router) -> list[Any]:
        return [await ask(router, chain=["a"]), await ask(router, chain=["a"])]

    first, second = play(clock, world, scenario, providers={"sim": {"key": keys}})

    assert (models_sent(first), models_sent(second)) == (["a"], [])
    assert keys.calls == 2


def test_a_renewed_key_that_is_rejected_too(clock: Clock, world: World) -> None:
    """If the renewed key is rejected as well, it is disabled after these two requests."""
    keys = Keys("old-key-1234", "bad-key-1234")
    world.model("a", locked("new-key-1234"))

    async def scenario(router: Router) -> list[Any]:
        return [await ask(router, chain=["a"]), await ask(router, chain=["a"])]

    first, second = play(clock, world, scenario, providers={"sim": {"key": keys}})

    assert (models_sent(first), models_sent(second)) == (["a", "a"], [])


@pytest.mark.parametrize("place", range(3))
def test_a_key_that_is_not_set(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """A model whose key variable is not set is passed over, and the next one is tried."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    providers = {"keyless": {"wire": "openai", "base_url": "http://keyless.test/v1", "key": "env:NO_SUCH_KEY"}}
    chain = ["a", "b", "c"]
    chain[place] = f"keyless:{chain[place]}"
    script(world, *[REJECTED] * place, HEALTHY, HEALTHY, HEALTHY)

    result: Any = play(clock, world, lambda router: ask(router, chain=chain), providers=providers)

    passed_over = result.trace.attempts[place]
    assert isinstance(passed_over.error, NotSent)
    assert (passed_over.outcome, passed_over.error.message) == ("not_sent", "NO_SUCH_KEY is not set")
    assert asked(world)[place] == 0
    assert isinstance(result, Reply if place < 2 else AllModelsFailed)


def test_a_missing_key_is_named_first(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """If every model failed, a key that is not set is the cause that the error names."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    providers = {"keyless": {"wire": "openai", "base_url": "http://keyless.test/v1", "key": "env:NO_SUCH_KEY"}}
    script(world, REJECTED, HEALTHY, Act(status=403))

    result: Any = play(clock, world, lambda router: ask(router, chain=["a", "keyless:b", "c"]), providers=providers)

    assert result.message == "All models failed: keyless:b: NO_SUCH_KEY is not set"
    assert asked(world) == [1, 0, 1]


def test_a_disabled_key_concerns_its_provider_only(clock: Clock, world: World) -> None:
    """The same model of another provider is still tried."""
    script(world, (Act(status=401), HEALTHY))

    async def scenario(router: Router) -> list[str]:
        return models_sent(await ask(router, chain=["a", "other:a"]))

    assert play(clock, world, scenario, providers=OTHER) == ["a", "other:a"]
