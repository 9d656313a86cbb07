"""Several routers that keep limits, holds and the budget as one: in virtual time, with the store of one process."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    BudgetState,
    ConfigError,
    Event,
    Notice,
    OverBudget,
    Router,
    RouterClosed,
    StateChanged,
)
from asyncrouter.shared import Ask, Grant, InProcess
from asyncrouter.sim import Act, Clock, World
from tests.helpers.sharing import saturate

if TYPE_CHECKING:
    from collections.abc import Callable


def routers(world: World, number: int, stores: list[InProcess] | None = None, **limits: object) -> list[Router]:
    """So many routers with a model "a" that has these limits for all of them together."""
    model = {"provider": "sim", "id": "a", **limits}
    config = world.config(models={"a": model}, tasks={"default": ["a"]}, defaults={"deadline": None, "total": None})
    first = InProcess()
    stores = stores or [first, *(InProcess(first) for _ in range(number - 1))]
    return [
        Router(config, transport=world.transport(), seed=index, shared=store) for index, store in enumerate(stores)
    ]


def a_second(world: World, begin: float, end: float) -> float:
    """Requests a second that were sent between two instants."""
    return sum(begin <= seen.at < end for seen in world.seen) / (end - begin)


def test_one_limit_for_all(clock: Clock, world: World) -> None:
    """Four routers use one limit of requests together: 97 to 100 % of it, and no more in any second."""
    world.model("a", Act(text="x", first_token=0.2))
    clock.run(saturate(clock, routers(world, 4, rpm=2400), 20, 30.0))

    assert 0.97 * 40 <= a_second(world, 2.0, 30.0) <= 40
    assert max(Counter(int(seen.at) for seen in world.seen if seen.at >= 2.0).values()) <= 42


def test_a_hungry_router_may_have_it_all(clock: Clock, world: World) -> None:
    """What others do not use one router may: a limit is not divided."""
    world.model("a", Act(text="x", first_token=0.2))
    hungry, *_ = all_of_them = routers(world, 4, rpm=2400)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for router in all_of_them[1:]:
                group.create_task(saturate(clock, [router], 0, 30.0))
            group.create_task(saturate(clock, [hungry], 60, 30.0))

    clock.run(scenario())
    assert 0.97 * 40 <= a_second(world, 2.0, 30.0) <= 40


def test_slots_of_all(clock: Clock, world: World) -> None:
    """`max_concurrent` holds over all routers, is used in full, and everybody gets his part."""
    world.model("a", Act(text="x", first_token=0.3))
    clock.run(saturate(clock, routers(world, 4, max_concurrent=8), 10, 30.0))

    assert 0.9 * 8 / 0.3 <= a_second(world, 2.0, 30.0) <= 8 / 0.3
    begun = sorted(seen.at for seen in world.seen)
    assert max(sum(at - 0.2999 < other <= at for other in begun) for at in begun) == 8


def test_tokens_of_all(clock: Clock, world: World) -> None:
    """A limit of tokens is kept by what calls have used: reservations that were too high are given back."""
    world.model("a", Act(tokens=80, first_token=0.1))
    all_of_them = routers(world, 3, tpm=60_000)

    async def caller(router: Router) -> None:
        while clock.now < 60.0:
            await router.chat("x", max_tokens=100)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for router in all_of_them * 10:
                group.create_task(caller(router))
        for router in all_of_them:
            await router.aclose()

    clock.run(scenario())
    assert 0.95 * 1000 <= a_second(world, 5.0, 60.0) * 81 <= 1000


def test_a_model_without_limits_asks_nobody(clock: Clock, world: World) -> None:
    """A model without configured limits costs no question."""
    world.model("a", Act(text="x"))
    store = Watched()
    (router,) = routers(world, 1, [store])

    async def scenario() -> None:
        await asyncio.gather(*(router.chat("x") for _ in range(100)))
        await router.aclose()

    clock.run(scenario())
    assert store.asked == 0


@pytest.mark.parametrize("left_at", [0.95, 1.0])
@pytest.mark.parametrize("again", [2.5, 4.5])
def test_a_turn_that_its_caller_has_left_is_not_used_later(
    clock: Clock, world: World, left_at: float, again: float
) -> None:
    """Of two calls at once, one in each router, the second waits, though its router has an old turn that nobody used.
    """
    world.model("a", Act(text="x"))
    one, other = routers(world, 2, rpm=60)

    async def scenario() -> None:
        await one.chat("x")
        await asyncio.sleep(0.9)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(left_at - 0.9):  # it has been given the turn of 1.02 s
                await one.chat("x")
        await asyncio.sleep(again - clock.now)
        await asyncio.gather(one.chat("x"), other.chat("x"))
        await asyncio.gather(one.aclose(), other.aclose())

    clock.run(scenario())
    assert [seen.at for seen in world.seen] == pytest.approx([0.0, again, again + 1 / 0.98], abs=1e-6)


def test_many_wait_for_one_question(clock: Clock, world: World) -> None:
    """A hundred calls at once ask together."""
    world.model("a", Act(text="x"))
    store = Watched()
    (router,) = routers(world, 1, [store], rpm=60_000)

    async def scenario() -> None:
        async with router:
            await asyncio.gather(*(router.chat("x") for _ in range(100)))
            assert store.asked <= 3

    clock.run(scenario())


def test_a_hold_is_everybodys(clock: Clock, world: World) -> None:
    """A pause that one router is asked for holds the model for the others, which learn of it within about a second."""
    world.model("a", Act(status=429, retry_after=30.0), Act(text="x"))
    one, two = routers(world, 2)

    async def scenario() -> list[float]:
        async with one, two:
            first = asyncio.create_task(one.chat("x"))
            await asyncio.sleep(1.2)
            await two.chat("x")
            await first
        return [seen.at for seen in world.seen]

    times = clock.run(scenario())
    assert times[0] == 0.0
    assert all(at >= 30.0 - 0.01 for at in times[1:])


def test_a_key_that_is_out_is_out_for_all(clock: Clock, world: World) -> None:
    """A key that was turned down for one router is not tried by another one a second later."""
    world.model("a", Act(status=401), Act(text="x"))
    one, two = routers(world, 2)

    async def scenario() -> str:
        async with one, two:
            with pytest.raises(AllModelsFailed):
                await one.chat("x")
            await asyncio.sleep(1.2)
            with pytest.raises(AllModelsFailed) as caught:
                await two.chat("x")
            return str(caught.value.last)

    assert "the key of sim is disabled" in clock.run(scenario())
    assert len(world.seen) == 1


@pytest.mark.parametrize("bad", ["old-secret-key", None])
@pytest.mark.parametrize("pool", [False, True])
def test_a_key_that_is_out_is_out_for_nobody_who_has_another_one(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, bad: str | None, pool: bool
) -> None:
    """A process whose variable has an old key, or none, takes the key of that name from no other process."""
    monkeypatch.setenv("ONE_KEY", "new-secret-key")
    monkeypatch.setenv("OTHER_KEY", "old-other-key")
    world.model("a", Act(text="x"))
    world.rule(lambda seen, _: Act(status=401) if "old" in seen.headers["authorization"] else None)
    key = ["env:ONE_KEY", "env:OTHER_KEY"] if pool else "env:ONE_KEY"
    config = world.config(tasks={"default": ["a"]}, providers={"sim": {"key": key}})
    store = InProcess()

    async def scenario() -> str:
        one = Router(config, transport=world.transport(), seed=1, shared=store)
        two = Router(config, transport=world.transport(), seed=2, shared=InProcess(store))
        async with two:
            await two.chat("x")
            if bad is None:
                monkeypatch.delenv("ONE_KEY")
            else:
                monkeypatch.setenv("ONE_KEY", bad)
            async with one:
                with pytest.raises(AllModelsFailed):
                    await one.chat("x")
                await asyncio.sleep(1.2)
                return (await two.chat("x")).text

    assert clock.run(scenario()) == "x"


@pytest.mark.parametrize("reload", [False, True])
def test_a_new_key_is_used_at_once_though_the_old_one_is_out(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, reload: bool
) -> None:
    """A process that is started, or reloads, with a new key does not take over that the old one is disabled."""
    monkeypatch.setenv("ONE_KEY", "old-secret-key")
    world.model("a", Act(text="x"))
    world.rule(lambda seen, _: Act(status=401) if "old" in seen.headers["authorization"] else None)
    config = world.config(tasks={"default": ["a"]}, providers={"sim": {"key": "env:ONE_KEY"}})
    store = InProcess()

    async def scenario() -> str:
        async with Router(config, transport=world.transport(), seed=1, shared=store) as one:
            with pytest.raises(AllModelsFailed):
                await one.chat("x")
            monkeypatch.setenv("ONE_KEY", "new-secret-key")
            if reload:
                one.reload(config)
                await asyncio.sleep(1.2)
                return (await one.chat("x")).text
            async with Router(config, transport=world.transport(), seed=2, shared=InProcess(store)) as two:
                await asyncio.sleep(1.2)
                return (await two.chat("x")).text

    assert clock.run(scenario()) == "x"


def test_one_budget_for_all(clock: Clock, world: World) -> None:
    """What two routers spend counts against one budget, to the nano-dollar."""
    world.model("a", Act(text="one two", first_token=0.5)).price(1000.0, 2000.0)
    price = {"input": 1000.0, "output": 2000.0}
    config = world.config(
        models={"a": {"provider": "sim", "id": "a", "usd_per_mtok": price}}, tasks={"default": ["a"]},
        budget={"usd": 0.06, "per": "run"},
    )
    store = InProcess()
    one, two = (Router(config, transport=world.transport(), shared=each) for each in (store, InProcess(store)))

    async def scenario() -> tuple[list[object], BudgetState | None]:
        async with one, two:
            calls = [router.chat("x", max_tokens=10) for router in (one, two, one, two)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0.1)  # what has ended is said within that
            return results, await two.spending()

    results, state = clock.run(scenario())
    failed = [result for result in results if isinstance(result, AllModelsFailed)]
    assert [type(error.last) for error in failed] == [OverBudget, OverBudget]
    assert state == BudgetState(0.06, 0.01, 0.0, None)
    assert state.spent_usd == pytest.approx(world.usd)


class Watched(InProcess):
    """A store that can be away, and counts what it is asked."""

    away = False
    asked = 0

    async def admit(self, ask: Ask) -> Grant:
        self.asked += 1
        if self.away:
            raise ConnectionError("away")
        return await super().admit(ask)


def test_nobody_fails_while_the_store_is_away(clock: Clock, world: World) -> None:
    """While the store is away each router goes on with its last share; all return together, and no second is too full.
    """
    world.model("a", Act(text="x", first_token=0.2))
    first = Watched()
    stores = [first, *(Watched(first) for _ in range(3))]
    heard: list[Event] = []

    async def outage() -> None:
        await asyncio.sleep(20.0)
        Watched.away = True
        await asyncio.sleep(10.0)
        Watched.away = False

    async def scenario() -> None:
        all_of_them = routers(world, 4, stores, rpm=2400)  # type: ignore[arg-type]
        all_of_them[0]._events._listeners = (heard.append,)  # type: ignore[attr-defined]
        async with asyncio.TaskGroup() as group:
            group.create_task(outage())
            group.create_task(saturate(clock, all_of_them, 20, 50.0))

    clock.run(scenario())
    assert a_second(world, 22.0, 30.0) >= 0.8 * 40
    assert a_second(world, 35.0, 50.0) >= 0.97 * 40
    assert max(Counter(int(seen.at) for seen in world.seen if seen.at >= 2.0).values()) <= 1.25 * 40


def test_being_away_is_said_once(clock: Clock, world: World) -> None:
    """A store that goes away and comes back is told to listeners, once each."""
    world.model("a", Act(text="x", first_token=0.2))
    heard: list[Event] = []
    store = Watched()
    config = world.config(models={"a": {"provider": "sim", "id": "a", "rpm": 600}}, tasks={"default": ["a"]})
    router = Router(config, transport=world.transport(), seed=1, shared=store, listeners=[heard.append])

    async def scenario() -> None:
        async with router:
            await router.chat("x")
            store.away = True
            await asyncio.gather(*(router.chat("x") for _ in range(10)))
            await asyncio.sleep(3.0)
            store.away = False
            await asyncio.sleep(5.0)
            await router.chat("x")

    clock.run(scenario())
    assert [event.state for event in heard if isinstance(event, StateChanged)] == ["away", "back"]
    assert [event.text for event in heard if isinstance(event, Notice)] == [
        "shared state: cannot be reached: this process goes on with its own share of the limits (away)"
    ]


def test_a_store_that_must_be_there(clock: Clock, world: World) -> None:
    """A store that must be reachable and is not is a `ConfigError` of the first call, and of entering the router."""

    class Missing(InProcess):
        async def open(self) -> None:
            raise ConfigError("cannot be used: refused", "shared")

    world.model("a", Act(text="x"))
    (router,) = routers(world, 1, [Missing()])

    async def entered() -> None:
        async with router:
            pass

    make: list[Callable[[], object]] = [lambda: clock.run(router.chat("x")), lambda: clock.run(entered())]
    for each in make:
        with pytest.raises(ConfigError, match="shared: cannot be used: refused"):
            each()
    assert len(world.seen) == 0


def test_cancelled_callers_leave_nothing_behind(clock: Clock, world: World) -> None:
    """Callers that are cancelled while they wait, or just when their turn comes, keep no slot."""
    world.model("a", Act(text="x", first_token=0.3))
    one, two = routers(world, 2, max_concurrent=2)

    async def scenario() -> None:
        async with one, two:
            calls = [asyncio.create_task(router.chat("x")) for router in (one, two) for _ in range(5)]
            for instant, call in enumerate(calls):
                asyncio.get_running_loop().call_later(0.07 * instant, call.cancel)
            await asyncio.wait(calls)
            await asyncio.sleep(0.2)
            began = clock.now
            await asyncio.gather(one.chat("x"), two.chat("x"))
            assert clock.now - began < 0.45

    clock.run(scenario())


def test_a_hedge_goes_to_a_model_with_room(clock: Clock, world: World) -> None:
    """A model that is limited for many can still be hedged to, as long as it has plenty of room."""
    world.model("slow", Act(text="slow", first_token=5.0))
    world.model("quick", Act(text="quick", first_token=0.1))
    models = {"quick": {"provider": "sim", "id": "quick", "rpm": 600}}
    config = world.config(models=models, tasks={"default": {"models": ["slow", "quick"], "hedge": 1.0}})
    router = Router(config, transport=world.transport(), shared=InProcess())

    async def scenario() -> list[str]:
        async with router:
            await router.chat("x", model="quick")
            return [(await router.chat("x")).text for _ in range(3)]

    assert clock.run(scenario()) == ["quick", "quick", "quick"]


class SlowMoney(InProcess):
    """A store that takes a second to reserve, or can be away."""

    away = False

    async def reserve(self, wanted):  # type: ignore[no-untyped-def]
        found = await super().reserve(wanted)
        await asyncio.sleep(1.0)
        if self.away:
            raise ConnectionError("away")
        return found


def test_a_caller_that_is_cancelled_while_it_reserves_leaves_nothing_reserved(clock: Clock, world: World) -> None:
    """What was reserved for somebody who has gone is given back, at whatever instant he went."""
    world.model("a", Act(text="x"))
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1000.0, "output": 1000.0}}}
    config = world.config(models=models, tasks={"default": ["a"]}, budget={"usd": 1.0, "per": "run"})
    router = Router(config, transport=world.transport(), shared=SlowMoney())

    async def scenario() -> BudgetState | None:
        async with router:
            for seconds in (0.0, 0.5, 1.0, 1.5):
                call = asyncio.create_task(router.chat("x"))
                await asyncio.sleep(seconds)
                call.cancel()
                await asyncio.wait([call])
            await asyncio.sleep(3.0)
            return await router.spending()

    state = clock.run(scenario())
    assert state is not None
    assert state.reserved_usd == 0.0
    assert state.spent_usd == pytest.approx(0.002 * len(world.seen))


def test_a_budget_while_the_store_is_away(clock: Clock, world: World) -> None:
    """Alone a router spends no more than its part of what was left; what it spent is booked when the store is back."""
    world.model("a", Act(text="x"))
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1000.0, "output": 1000.0}}}
    config = world.config(models=models, tasks={"default": ["a"]}, budget={"usd": 0.02, "per": "run"})
    store = SlowMoney()
    router = Router(config, transport=world.transport(), shared=store)

    async def scenario() -> tuple[int, BudgetState | None]:
        async with router:
            await router.chat("x", max_tokens=1)
            store.away = True
            results = await asyncio.gather(
                *(router.chat("x", max_tokens=1) for _ in range(20)), return_exceptions=True
            )
            store.away = False
            await asyncio.sleep(5.0)
            return sum(isinstance(result, AllModelsFailed) for result in results), await router.spending()

    refused, state = clock.run(scenario())
    assert refused == 11  # 0.018 were left: nine calls of 0.002
    assert state is not None
    assert state.spent_usd == pytest.approx(0.02)


@pytest.mark.parametrize("method", ["open", "reserve"])
def test_closing_while_the_store_is_asked(clock: Clock, world: World, method: str) -> None:
    """A router that is closed while a call waits for the store, to be ready or to reserve, ends the call."""

    class Slow(InProcess):
        async def open(self) -> None:
            await asyncio.sleep(60.0 if method == "open" else 0.0)

        async def reserve(self, wanted):  # type: ignore[no-untyped-def]
            await asyncio.sleep(60.0)

    world.model("a", Act(text="x"))
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1.0, "output": 1.0}}}
    config = world.config(models=models, tasks={"default": ["a"]}, budget={"usd": 1.0})
    router = Router(config, transport=world.transport(), shared=Slow())

    async def scenario() -> object:
        call = asyncio.create_task(router.chat("x"))
        await asyncio.sleep(1.0)
        await router.aclose()
        (result,) = await asyncio.gather(call, return_exceptions=True)
        return type(result)

    assert clock.run(scenario()) is RouterClosed
    assert clock.now == 1.0
