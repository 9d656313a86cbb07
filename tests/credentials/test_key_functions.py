"""Key functions: async ones are awaited, slow ones do not hold the loop, and what goes wrong costs only their model."""

from __future__ import annotations

import asyncio
import functools
import re
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, CallError, NotSent, Reply, Router, RouterClosed
from asyncrouter.sim import Act, Clock, Seen, World
from tests.helpers.failing import ask, models_sent, play, tried
from tests.helpers.planted import KEY, ROTATED

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CHAIN = ["a", "keyless:b"]


def by_function(function: Callable[[], object]) -> dict[str, object]:
    """Providers of which the simulated one has a key function, and another one needs no key."""
    return {"sim": {"key": function}, "keyless": {"wire": "openai", "base_url": "http://keyless.test/v1"}}


def keys_sent(world: World) -> list[str]:
    return [seen.headers.get("authorization", "none").removeprefix("Bearer ") for seen in world.seen]


class Slow:
    """An async key function that takes so many seconds for each of these keys, the last one again and again."""

    def __init__(self, seconds: float, *keys: object) -> None:
        self.seconds, self.keys, self.calls = seconds, list(keys), 0

    async def __call__(self) -> object:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        if isinstance(key, Exception):
            raise key
        return key


def behind_a_lambda(slow: Slow) -> Callable[[], object]:
    return lambda: slow()


@pytest.mark.parametrize("wrapped", [lambda slow: slow, functools.partial, behind_a_lambda])
def test_async_functions_are_awaited(clock: Clock, world: World, wrapped: Callable[[Slow], Any]) -> None:
    """A hundred calls at once share one run, also of an async function inside a partial or a lambda."""
    slow = Slow(3.0, KEY)
    world.model("a")

    async def scenario(router: Router) -> list[Any]:
        return await asyncio.gather(*(ask(router, chain=["a"]) for _ in range(100)))

    results = play(clock, world, scenario, providers=by_function(wrapped(slow)))

    assert [type(result) for result in results] == [Reply] * 100
    assert {seen.at for seen in world.seen} == {3.0}
    assert set(keys_sent(world)) == {KEY}
    assert slow.calls == 1


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "returned None; a key is text"),
        (KEY.encode(), "returned bytes; a key is text"),
        (17, "returned int; a key is text"),
        ([KEY], "returned list; a key is text"),
        ("", "returned no key"),
        (" \n", "returned no key"),
        (f"{KEY}\nX-Other: 1", "returned a key that has a line break in it"),
        (f"{KEY}\r{KEY}", "returned a key that has a line break in it"),
        (f"{KEY}\0", "returned a key that has a character that is not printable ASCII in it"),
        (f"{KEY}\udce9", "returned a key that has a character that is not printable ASCII in it"),
        (f"{KEY}é", "returned a key that has a character that is not printable ASCII in it"),
        (OSError(f"no {KEY}"), "raised OSError (test_key_functions.py:…)"),
        (KeyError(KEY), "raised KeyError (test_key_functions.py:…)"),
        (UnicodeDecodeError("utf-8", KEY.encode(), 0, 1, KEY), "raised UnicodeDecodeError (test_key_functions.py:…)"),
        (StopIteration(KEY), "raised StopIteration (test_key_functions.py:…)"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nonsense_costs_its_model_only(clock: Clock, world: World, kind: str, returned: object, reason: str) -> None:
    """None, bytes, a number, a blank, bad characters or an exception: `NotSent`, and the next model answers."""

    def sync() -> object:
        if isinstance(returned, Exception):
            raise returned
        return returned

    if kind == "async" and isinstance(returned, StopIteration):
        reason = "raised RuntimeError (key_function.py:…)"  # Python has it so for coroutines
    function = sync if kind == "sync" else Slow(0.5, returned)
    world.model("a")
    world.model("b")
    result: Any = play(clock, world, lambda router: ask(router, chain=CHAIN), providers=by_function(function))

    first = result.trace.attempts[0]
    assert (first.outcome, type(first.error)) == ("not_sent", NotSent)
    assert re.sub(r":\d+\)", ":…)", first.error.message) == f"the key function {reason}"
    assert keys_sent(world) == ["none"]
    assert models_sent(result) == ["keyless:b"]


def test_a_function_that_hangs_costs_ten_seconds(clock: Clock, world: World) -> None:
    """An async function has ten seconds; then its model is passed over."""
    world.model("a")
    world.model("b")
    slow = Slow(99.0, KEY)
    result: Any = play(clock, world, lambda router: ask(router, chain=CHAIN), providers=by_function(slow))

    assert tried(result.trace)[0].error == "NotSent"
    assert result.trace.attempts[0].error.message == "the key function gave no key within 10 s"
    assert [seen.at for seen in world.seen] == [10.0]


def test_a_share_of_the_deadline_limits_the_wait(clock: Clock, world: World) -> None:
    """With a deadline of four seconds and two models, the first one's key has two."""
    world.model("a")
    world.model("b")
    slow = Slow(5.0, KEY)
    result: Any = play(clock, world, lambda router: ask(router, chain=CHAIN, deadline=4), providers=by_function(slow))

    assert result.trace.attempts[0].error.message == "the key function gave no key within 2 s"
    assert [seen.at for seen in world.seen] == [2.0]


def test_a_key_is_kept_for_five_minutes(clock: Clock, world: World) -> None:
    """Calls before that use it; the first one after it waits for a new one."""
    world.model("a")
    slow = Slow(0.5, KEY, ROTATED)

    async def scenario(router: Router) -> None:
        for instant in (0.0, 100.0, 299.0, 301.0, 302.0):
            await asyncio.sleep(instant - clock.now)
            assert isinstance(await ask(router, chain=["a"]), Reply)

    play(clock, world, scenario, providers=by_function(slow))

    assert keys_sent(world) == [KEY, KEY, KEY, ROTATED, ROTATED]
    assert slow.calls == 2


@pytest.mark.parametrize("trouble", [OSError("vault"), None, "slow"])
def test_an_old_key_serves_where_there_is_no_new_one(clock: Clock, world: World, trouble: object) -> None:
    """A function that fails, returns nothing or takes long after five minutes loses no call: the old key is used."""
    world.model("a")
    slow = Slow(0.5, KEY, trouble)

    async def scenario(router: Router) -> list[float]:
        assert isinstance(await ask(router, chain=["a"]), Reply)
        await asyncio.sleep(301.0 - clock.now)
        slow.seconds = 60.0 if trouble == "slow" else 0.5
        assert isinstance(await ask(router, chain=["a"]), Reply)
        return [seen.at for seen in world.seen]

    sent = play(clock, world, scenario, providers=by_function(slow))

    assert keys_sent(world) == [KEY, KEY]
    assert sent == [0.5, 302.0 if trouble == "slow" else 301.5]


def accepting(good: str) -> Callable[[Seen, Random], Act]:
    def behave(seen: Seen, random: Random) -> Act:
        right = seen.headers["authorization"] == f"Bearer {good}"
        return Act(text="hi", first_token=1.0) if right else Act(status=401, first_token=random.uniform(0.5, 1.5))

    return behave


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_a_renewal_loses_none_of_a_hundred_calls(clock: Clock, world: World, seconds: float) -> None:
    """Each call that met a 401 goes once more, with the key that one run of the function has brought."""
    world.model("a", accepting(ROTATED))
    slow = Slow(seconds, KEY, ROTATED)

    async def scenario(router: Router) -> list[Any]:
        return await asyncio.gather(*(ask(router, chain=["a"]) for _ in range(100)))

    results = play(clock, world, scenario, providers=by_function(slow))

    assert [type(result) for result in results] == [Reply] * 100
    assert sorted(keys_sent(world)) == sorted([KEY] * 100 + [ROTATED] * 100)
    assert slow.calls == 2


def test_a_call_during_a_renewal_waits_for_the_new_key(clock: Clock, world: World) -> None:
    """It is not sent with the key that has just been turned down."""
    world.model("a", accepting(ROTATED))
    slow = Slow(0.8, KEY, ROTATED)

    async def scenario(router: Router) -> list[Any]:
        first = asyncio.create_task(ask(router, chain=["a"]))
        await asyncio.sleep(2.4)  # the 401 has come by then
        return [await ask(router, chain=["a"]), await first]

    results = play(clock, world, scenario, providers=by_function(slow))

    assert [type(result) for result in results] == [Reply] * 2
    assert keys_sent(world).count(KEY) == 1


def test_the_same_key_for_a_hundred_calls_is_asked_for_once(clock: Clock, world: World) -> None:
    """Where the function returns the key that was turned down, it is not asked again for each call in flight."""
    world.model("a", accepting(ROTATED))
    slow = Slow(0.0, KEY)

    async def scenario(router: Router) -> list[Any]:
        return await asyncio.gather(*(ask(router, chain=["a"]) for _ in range(100)))

    results = play(clock, world, scenario, providers=by_function(slow))

    assert {type(result) for result in results} == {AllModelsFailed}
    assert slow.calls <= 3


def test_a_cancelled_call_leaves_the_key_to_the_others(clock: Clock, world: World) -> None:
    """The run that the first call has begun goes on when that call is cancelled."""
    world.model("a")
    slow = Slow(3.0, KEY)

    async def scenario(router: Router) -> Any:
        first = asyncio.create_task(router.chat("x", chain=["a"]))
        second = asyncio.create_task(ask(router, chain=["a"]))
        await asyncio.sleep(1.0)
        first.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = play(clock, world, scenario, providers=by_function(slow))

    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, Reply)
    assert ([seen.at for seen in world.seen], slow.calls) == ([3.0], 1)


def test_closing_does_not_wait_for_a_key(clock: Clock, world: World) -> None:
    """A call that waits for its key when the router closes fails at once with `RouterClosed`."""
    world.model("a")

    async def scenario(router: Router) -> tuple[Any, float]:
        call = asyncio.create_task(router.chat("x", chain=["a"]))
        await asyncio.sleep(1.0)
        await router.aclose()
        return (await asyncio.gather(call, return_exceptions=True))[0], clock.now

    error, ended = play(clock, world, scenario, providers=by_function(Slow(9.0, KEY)))

    assert isinstance(error, RouterClosed)
    assert ended == 1.0


# ── keys in variables ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (f"{KEY}\nX-Other: 1", "the key in SIM_KEY has a line break in it"),
        (f"{KEY}\udcff", "the key in SIM_KEY has a character that is not printable ASCII in it"),
        (f"{KEY}\x1b[2J", "the key in SIM_KEY has a character that is not printable ASCII in it"),
        (f"{KEY}“", "the key in SIM_KEY has a character that is not printable ASCII in it"),
    ],
)
def test_a_bad_key_in_a_variable_is_named(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, written: str, message: str
) -> None:
    """The variable is named, its value is not, and the next model answers."""
    monkeypatch.setenv("SIM_KEY", written)
    world.model("b")
    providers = {**by_function(lambda: ""), "sim": {"key": "env:SIM_KEY"}}
    result: Any = play(clock, world, lambda router: ask(router, chain=CHAIN), providers=providers)

    assert result.trace.attempts[0].error.message == message
    assert models_sent(result) == ["keyless:b"]


# ── functions that block, in real time ───────────────────────────────────────────────────────────────────────────────


def in_real_time(function: Callable[[], object], deadline: float | None = None) -> tuple[Any, float]:
    """The result of a call to a model with this key function, and the longest time that the loop stood still."""
    world = World(seed=1)
    world.model("a", Act(first_token=0.0))
    config = world.config(providers={"sim": {"key": function}})
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            longest = max(longest, time.perf_counter() - began)

    async def main() -> Any:
        async with Router(config, transport=world.transport()) as router:
            watcher = asyncio.create_task(watch())
            result = await ask(router, chain=["a"], deadline=deadline)
            watcher.cancel()
            return result

    return asyncio.run(main()), longest


def test_a_function_that_blocks_does_not_hold_the_loop() -> None:
    """It runs in a thread: the loop stands still for no more than a few hundredths of a second."""

    def blocking() -> str:
        time.sleep(0.3)
        return KEY

    reply, longest = in_real_time(blocking)

    assert isinstance(reply, Reply)
    assert longest < 0.1


def test_a_function_that_hangs_is_called_once() -> None:
    """While it has not returned, no other thread is started; the call ends with its deadline."""
    released, threads = threading.Event(), []

    def hanging() -> str:
        threads.append(threading.current_thread())
        released.wait(30)
        return KEY

    try:
        result, _ = in_real_time(hanging, deadline=0.3)
    finally:
        released.set()

    assert isinstance(result, CallError)
    assert len(threads) == 1


def test_a_function_sees_the_callers_context() -> None:
    """Context variables of the call that needs the key can be read in it, though it runs in a thread."""
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen: list[str] = []

    def function() -> str:
        seen.append(tenant.get())
        return KEY

    tenant.set("somebody")
    in_real_time(function)

    assert seen == ["somebody"]
