"""A pool in a chain: one step, several places; a sibling before the next step; limits, keys and hosts by member."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, Notice, OverBudget, StateChanged, StreamInterrupted
from asyncrouter.sim import Act
from tests.helpers.pool_world import members_of, pool_router, router_to

if TYPE_CHECKING:
    from asyncrouter import Event, Reply
    from asyncrouter.sim import Clock, World


def test_a_pool_is_one_model_at_several_places(clock: Clock, world: World) -> None:
    """The reply and the trace name the pool; each attempt its member and provider."""
    world.model("m", Act(text="hello"))

    async def scenario() -> Reply:
        async with pool_router(world, "a:m", "b:m", pick="first") as router:
            return await router.chat("x", model="pool")

    reply = clock.run(scenario())
    [attempt] = reply.trace.attempts
    assert (reply.model, attempt.model, attempt.member, attempt.provider) == ("pool", "pool", "a:m", "a")
    assert "pool at a:m" in str(reply.trace)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("act", [
    Act(status=500), Act(status=400), Act(status=404), Act(status=503), Act(fault="reset"), Act(text=""),
])  # fmt: skip
def test_a_failed_member_gives_way_to_a_sibling(clock: Clock, world: World, act: Act, stream: bool) -> None:
    """Before the next step of the chain, and at once: the same place is not asked again."""
    world.model("bad", act)
    world.model("m", Act(text="hello"))

    async def scenario() -> Reply:
        async with router_to(world, {"pool": {"any": ["a:bad", "b:m"], "pick": "first"}}) as router:
            if not stream:
                return await router.chat("x", chain=["pool", "c:m"])
            async with router.stream("x", chain=["pool", "c:m"]) as answer:
                async for _ in answer:
                    pass
            return answer.reply

    reply = clock.run(scenario())
    assert members_of(reply) == [("a:bad", "first", "failed"), ("b:m", "fallback", "won")]
    assert clock.now == 0.0


def test_two_members_a_step_and_then_the_next(clock: Clock, world: World) -> None:
    """What fails at two places is asked of the next model."""
    world.model("bad", Act(status=500))
    world.model("m", Act(text="hello"))

    async def scenario() -> Reply:
        async with router_to(world, {"pool": {"any": ["a:bad", "b:bad", "c:bad"], "pick": "first"}}) as router:
            return await router.chat("x", chain=["pool", "d:m"])

    reply = clock.run(scenario())
    assert [attempt.member or attempt.model for attempt in reply.trace.attempts] == ["a:bad", "b:bad", "d:m"]


@pytest.mark.parametrize("chain", [["pool"], ["pool", "d:out"]])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("options", [{}, {"retry": 1}, {"session": "s"}, {"hedge": 1.0}])
def test_where_no_other_step_could_be_sent_every_member_is_asked(
    clock: Clock, world: World, chain: list[str], stream: bool, options: dict[str, Any]
) -> None:
    """A call does not fail of two members while a third one could answer, and nobody else could."""
    world.model("bad", Act(status=500))
    world.model("gone", Act(fault="cut", at="headers"))
    world.model("m", Act(text="hello"))
    world.model("out", Act(status=429, retry_after=600))

    async def scenario() -> Reply:
        models = {"pool": {"any": ["a:bad", "b:gone", "c:bad", "d:m"], "pick": "first"}}
        async with router_to(world, models) as router:
            with suppress(AllModelsFailed):
                await router.chat("x", model="d:out", deadline=9)  # it is held from now on
            if not stream:
                return await router.chat("x", chain=chain, **options)
            async with router.stream("x", chain=chain, **options) as answer:
                async for _ in answer:
                    pass
            return answer.reply

    reply = clock.run(scenario())
    sent = [attempt.member for attempt in reply.trace.attempts if attempt.sent is not None]
    assert sent[-1] == "d:m"
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize(("status", "code"), [(401, None), (402, "insufficient_quota"), (429, None)])
def test_keys_and_limits_do_not_count_as_members_that_failed(
    clock: Clock, world: World, status: int, code: str | None
) -> None:
    """Where only keys or limits refuse, every member is asked before the next step."""
    world.model("out", Act(status=status, code=code, retry_after=50.0 if status == 429 else None))
    world.model("m", Act(text="hello"))

    async def scenario() -> Reply:
        async with router_to(world, {"pool": {"any": ["a:out", "b:out", "c:out", "d:m"], "pick": "first"}}) as router:
            return await router.chat("x", chain=["pool", "sim:m"])

    reply = clock.run(scenario())
    assert [attempt.member for attempt in reply.trace.attempts] == ["a:out", "b:out", "c:out", "d:m"]


@pytest.mark.parametrize("status", [500, 401, 402])
@pytest.mark.parametrize(("retry", "asked"), [
    ({"attempts": 1}, ["a:m", "b:bad", "c:m"]), ({}, ["a:m", "b:bad", "a:m"]),
])  # fmt: skip
def test_given_attempts_bound_all_requests_of_a_pool(
    clock: Clock, world: World, retry: dict[str, int], asked: list[str], status: int
) -> None:
    """One attempt at each of two members is two requests, whatever they met: a limit, then a failure or a dead key."""
    world.model("m", Act(status=429), Act(text="hello"))
    world.model("bad", Act(status=status))

    async def scenario() -> Reply:
        models = {"pool": {"any": ["a:m", "b:bad"], "pick": "first"}}
        async with router_to(world, models, defaults={"retry": retry}) as router:
            return await router.chat("x", chain=["pool", "c:m"])

    reply = clock.run(scenario())
    assert [attempt.member or attempt.model for attempt in reply.trace.attempts] == asked


@pytest.mark.parametrize(("members", "pause", "requests"), [
    (["a:limited"], None, 3), (["a:limited"], 0.5, 3), (["a:limited", "b:limited"], 0.5, 6),
])  # fmt: skip
def test_limits_without_end_are_met_as_often_as_was_given(
    clock: Clock, world: World, members: list[str], pause: float | None, requests: int
) -> None:
    """Three attempts are three requests for each member, also where a member is asked again after a pause."""
    world.model("limited", Act(status=429, retry_after=pause))

    async def scenario() -> int:
        models = {"pool": {"any": members}}
        async with router_to(world, models, defaults={"retry": {"attempts": 3}}) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="pool", deadline=60)
            return sum(one.sent is not None for one in caught.value.trace.attempts)

    assert clock.run(scenario()) == requests


@pytest.mark.parametrize(("status", "times"), [(429, 3), (529, 3), (503, 2)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_member_that_is_free_again_is_asked_before_the_next_step(
    clock: Clock, world: World, status: int, times: int, streamed: bool
) -> None:
    """However often its sibling has turned the call down while another call's pause held it."""
    world.model("limited", Act(status=status, headers_after=0.6))
    world.model("m", Act(status=429, retry_after=1.0), Act(text="hello"))

    async def scenario() -> Reply:
        async with router_to(world, {"pool": {"any": ["a:limited", "b:m"]}}) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", model="b:m", retry=1)
            if not streamed:
                return await router.chat("x", chain=["pool", "c:m"])
            async with router.stream("x", chain=["pool", "c:m"]) as stream:
                async for _ in stream:
                    pass
            return stream.reply

    reply = clock.run(scenario())
    assert [attempt.member or attempt.model for attempt in reply.trace.attempts] == [*["a:limited"] * times, "b:m"]


@pytest.mark.parametrize(("settings", "seconds"), [
    ({"total": 1.0}, 1.0), ({"first_token": 2.0}, 2.0), ({"idle": 3.0}, 8.0), ({}, 30.0),
])  # fmt: skip
@pytest.mark.parametrize("keys", [False, True])
def test_the_settings_of_a_call_hold_at_a_pool_that_another_call_has_asked(
    clock: Clock, world: World, settings: dict[str, object], seconds: float, keys: bool
) -> None:
    """The state of a pool is common to all calls; the timeouts are those of each."""
    world.model("m", Act(text="hello"), Act(tokens=2, first_token=5.0, gap=60.0))
    provider = {"k": {"base_url": "http://sim.test/v1", "key": [lambda: "sk-1", lambda: "sk-2"]}}

    async def scenario() -> float:
        models = {"pool": {"provider": "k", "id": "m"} if keys else {"any": ["a:m", "b:m"]}}
        async with router_to(world, models, providers=provider, defaults={"rescue": "off"}) as router:
            await router.chat("x", model="pool", total=30.0, retry=1, wire_stream=True)
            begun = clock.now
            with pytest.raises(AllModelsFailed):
                await router.chat("x", model="pool", **{"total": 30.0, "retry": 1, "wire_stream": True, **settings})
            return clock.now - begun

    assert clock.run(scenario()) == 2 * seconds  # at either member


def test_an_answer_that_is_not_accepted_is_asked_of_the_next_model(clock: Clock, world: World) -> None:
    """The same model elsewhere would write the same."""
    world.model("m", Act(text="no"))
    world.model("n", Act(text="yes"))

    async def scenario() -> Reply:
        async with pool_router(world, "a:m", "b:m", pick="first") as router:
            return await router.chat("x", chain=["pool", "c:n"], accept=lambda reply: reply.text == "yes")

    assert members_of(clock.run(scenario())) == [("a:m", "first", "not_accepted"), (None, "escalate", "won")]


def test_the_sibling_of_a_dead_host_is_at_another_host(clock: Clock, world: World) -> None:
    """When the connection is lost, another key at the same host is no help."""
    world.model("gone", Act(fault="refuse"))
    world.model("m", Act(text="hello"))
    providers = {
        "two": {"base_url": "http://one.test/v1", "key": ["env:KEY_A", "env:KEY_B"]},
        "other": {"base_url": "http://other.test/v1"},
    }

    async def scenario(monkeypatch: pytest.MonkeyPatch) -> Reply:
        monkeypatch.setenv("KEY_A", "key-a-12345678")
        monkeypatch.setenv("KEY_B", "key-b-12345678")
        models = {"pool": {"any": ["two:gone", "other:m"], "pick": "first"}}
        async with router_to(world, models, providers=providers) as router:
            return await router.chat("x", model="pool")

    with pytest.MonkeyPatch.context() as monkeypatch:
        reply = clock.run(scenario(monkeypatch))
    assert [attempt.member for attempt in reply.trace.attempts] == ["two[KEY_A]:gone", "other:m"]


def test_two_keys_are_a_pool_in_themselves(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a provider with two keys keeps its name; its members are named by their keys."""
    monkeypatch.setenv("KEY_A", "key-a-12345678")
    monkeypatch.setenv("KEY_B", "key-b-12345678")
    world.model("m", Act(text="hello"))
    providers = {"two": {"base_url": "http://sim.test/v1", "key": ["env:KEY_A", "env:KEY_B"]}}

    async def scenario() -> list[Reply]:
        async with router_to(world, {}, providers=providers) as router:
            return await asyncio.gather(*(router.chat("x", model="two:m") for _ in range(10)))

    replies = clock.run(scenario())
    assert {reply.model for reply in replies} == {"two:m"}
    assert {reply.trace.attempts[0].provider for reply in replies} == {"two"}
    assert Counter(reply.trace.attempts[0].member for reply in replies) == {"two[KEY_A]:m": 5, "two[KEY_B]:m": 5}
    assert Counter(seen.headers["authorization"] for seen in world.seen) == {
        "Bearer key-a-12345678": 5, "Bearer key-b-12345678": 5,
    }


def test_a_key_that_is_out_takes_only_its_own_members(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 for one key: its members are passed over from then on, the other key serves."""
    monkeypatch.setenv("KEY_A", "key-a-12345678")
    monkeypatch.setenv("KEY_B", "key-b-12345678")
    world.model("m", Act(text="hello"))
    world.rule(lambda seen, random: Act(status=401) if "key-a" in seen.headers["authorization"] else None)
    providers = {"two": {"base_url": "http://sim.test/v1", "key": ["env:KEY_A", "env:KEY_B"]}}
    events: list[Event] = []

    async def scenario() -> list[int]:
        async with router_to(world, {}, providers=providers, listeners=(events.append,)) as router:
            return [len((await router.chat("x", model="two:m")).trace.attempts) for _ in range(20)]

    attempts = clock.run(scenario())
    assert sorted(attempts, reverse=True)[:2] == [2, 1]
    changed = [event.state for event in events if isinstance(event, StateChanged) and "key" in event.state]
    assert changed == ["key of two[KEY_A] disabled for 60 s"]


def test_an_unset_key_is_out_and_said_once(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable of a list is not set: the other key serves every call, and one notice says so."""
    monkeypatch.delenv("KEY_A", raising=False)
    monkeypatch.setenv("KEY_B", "key-b-12345678")
    world.model("m", Act(text="hello"))
    providers = {"two": {"base_url": "http://sim.test/v1", "key": ["env:KEY_A", "env:KEY_B"]}}
    events: list[Event] = []

    async def scenario() -> Counter[str | None]:
        async with router_to(world, {}, providers=providers, listeners=(events.append,)) as router:
            replies = [await router.chat("x", model="two:m") for _ in range(30)]
            return Counter(reply.trace.attempts[-1].member for reply in replies)

    assert clock.run(scenario()) == {"two[KEY_B]:m": 30}
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["two:m: KEY_A is not set"]


def test_all_members_out_says_when_the_first_is_back(clock: Clock, world: World) -> None:
    """With every member held, and no other model, the call waits for the first that is free."""
    world.model("m", Act(status=429, retry_after=5.0), Act(status=429, retry_after=3.0), Act(text="hello"))

    async def scenario() -> Reply:
        async with pool_router(world, "a:m", "b:m", pick="first") as router:
            return await router.chat("x", model="pool")

    reply = clock.run(scenario())
    assert [(attempt.member, attempt.outcome) for attempt in reply.trace.attempts] == [
        ("a:m", "failed"), ("b:m", "failed"), ("b:m", "won"),
    ]
    assert clock.now == 3.0


def test_a_hedge_takes_a_sibling_first(clock: Clock, world: World) -> None:
    """Beside a late member another one is started, before the next model."""
    world.model("late", Act(text="late", first_token=9.0))
    world.model("m", Act(text="hello", first_token=0.5))

    async def scenario() -> Reply:
        async with pool_router(world, "a:late", "b:m", pick="first") as router:
            return await router.chat("x", chain=["pool", "c:m"], hedge=1.5)

    reply = clock.run(scenario())
    assert members_of(reply) == [("a:late", "first", "superseded"), ("b:m", "hedge", "won")]
    assert clock.now == 2.0


def test_limits_are_per_member(clock: Clock, world: World) -> None:
    """`rpm` of the pool holds for each member: three of 60 a minute let three a second go."""
    world.model("m", Act(text="hello"))

    async def scenario() -> list[float]:
        async with pool_router(world, "a:m", "b:m", "c:m", rpm=60 / 0.98) as router:
            await asyncio.gather(*(router.chat("x", model="pool") for _ in range(9)))
        return [seen.at for seen in world.seen]

    assert clock.run(scenario()) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]


def test_a_full_member_is_passed_over(clock: Clock, world: World) -> None:
    """`max_concurrent` of a member: the others take what it cannot."""
    world.model("m", Act(text="hello", first_token=10.0))
    models = {"small": {"provider": "a", "id": "m", "max_concurrent": 1}, "pool": {"any": ["small", "b:m"]}}

    async def scenario() -> Counter[str | None]:
        async with router_to(world, models) as router:
            replies = await asyncio.gather(*(router.chat("x", model="pool") for _ in range(6)))
            return Counter(reply.trace.attempts[0].member for reply in replies)

    assert clock.run(scenario()) == {"small": 1, "b:m": 5}
    assert clock.now == 10.0


def test_a_cancelled_call_leaves_every_queue(clock: Clock, world: World) -> None:
    """A caller that goes while it waits for two members leaves both queues, and the next one goes in its place."""
    world.model("m", Act(text="hello"))

    async def scenario() -> None:
        async with pool_router(world, "a:m", "b:m", rpm=60 / 0.98) as router:
            first = [asyncio.create_task(router.chat("x", model="pool")) for _ in range(2)]
            await asyncio.gather(*first)
            waiting = [asyncio.create_task(router.chat("x", model="pool")) for _ in range(4)]
            await asyncio.sleep(0.5)
            waiting[0].cancel()
            waiting[1].cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert router.health()["pool"].waiting == 0

    clock.run(scenario())
    assert [seen.at for seen in world.seen] == [0.0, 0.0, 1.0, 1.0]


def test_the_deadline_is_split_over_two_members_at_most(clock: Clock, world: World) -> None:
    """A pool of four before another model: it counts as two, so each of the three silent ones has a third."""
    world.model("silent", Act(text="never", first_token=1000.0))

    async def scenario() -> None:
        models = {"pool": {"any": [f"{host}:silent" for host in "abc"], "pick": "first"}}
        async with router_to(world, models, defaults={"breaker": "off"}) as router:
            with pytest.raises(TimeoutError) as raised:
                await router.chat("x", chain=["pool", "d:silent"], deadline=30, rescue="off")
            assert [
                (attempt.member, round(attempt.ended or 0.0, 6)) for attempt in raised.value.trace.attempts  # type: ignore[attr-defined]
            ] == [("a:silent", 10.0), ("b:silent", 20.0), (None, 30.0)]

    clock.run(scenario())


def test_all_failed_carries_every_member(clock: Clock, world: World) -> None:
    """The error of a pool that failed names what its members have met."""
    world.model("bad", Act(status=500))

    async def scenario() -> None:
        async with pool_router(world, "a:bad", "b:bad", pick="first") as router:
            with pytest.raises(AllModelsFailed) as raised:
                await router.chat("x", model="pool", retry={"attempts": 1})
            assert [attempt.member for attempt in raised.value.trace.attempts] == ["a:bad", "b:bad"]

    clock.run(scenario())


def test_a_hidden_limit_of_one_member_is_served_by_the_others(clock: Clock, world: World) -> None:
    """A member that turns requests down costs no call: they go to its siblings."""
    world.model("m", Act(text="hello", first_token=0.1))
    world.model("limited", Act(text="hello", first_token=0.1)).limit(1.0, retry_after=False)

    async def scenario() -> list[Reply]:
        async with pool_router(world, "a:limited", "b:m", "c:m") as router:
            return await asyncio.gather(*(router.chat("x", model="pool") for _ in range(30)))

    assert all(reply.text == "hello" for reply in clock.run(scenario()))
    assert clock.now < 1.0


# ── streams, and members that have become slow ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["cut", "reset", "error"])
def test_a_stream_that_breaks_begins_again_at_a_sibling(clock: Clock, world: World, fault: str) -> None:
    """A broken stream is asked of another member before the next step of the chain; a second break goes on there."""
    world.model("bad", Act(tokens=8, gap=1.0, fault=fault, at=2))
    world.model("m", Act(text="hello"))

    async def scenario(second: str) -> Reply:
        async with router_to(world, {"pool": {"any": ["a:bad", second], "pick": "first"}}) as router:
            async with router.stream("x", chain=["pool", "c:m"], on_interrupt="restart") as answer:
                async for _ in answer:
                    pass
            return answer.reply

    assert members_of(clock.run(scenario("b:m"))) == [("a:bad", "first", "failed"), ("b:m", "restart", "won")]
    assert members_of(clock.run(scenario("b:bad"))) == [
        ("a:bad", "first", "failed"), ("b:bad", "restart", "failed"), (None, "restart", "won")
    ]


def test_a_stream_of_a_pool_alone_begins_again_at_a_sibling(clock: Clock, world: World) -> None:
    """No other step is needed; with every member broken the stream is interrupted."""
    world.model("bad", Act(tokens=8, gap=1.0, fault="cut", at=2))
    world.model("m", Act(text="hello"))

    async def scenario(*members: str) -> list[str | None]:
        async with pool_router(world, *members, pick="first") as router:
            stream = router.stream("x", model="pool", on_interrupt="restart")
            with suppress(StreamInterrupted):
                async with stream:
                    async for _ in stream:
                        pass
            return [attempt.member for attempt in stream.trace.attempts if attempt.outcome == "won"]

    assert clock.run(scenario("a:bad", "b:m")) == ["b:m"]
    assert clock.run(scenario("a:bad", "b:bad")) == []


def test_a_silent_stream_is_raced_with_a_sibling(clock: Clock, world: World) -> None:
    """A member that falls silent is raced with another one first, never with itself."""
    flows = Act(tokens=65, first_token=0.5, gap=1 / 32)
    world.model("m", flows)

    async def scenario() -> Reply:
        async with router_to(world, {"pool": {"any": ["a:s", "b:m"], "pick": "first"}}) as router:
            world.model("s", *[flows] * 120, Act(tokens=65, first_token=0.5, gap=1 / 32, fault="hang", at=16))
            for _ in range(120):
                await router.chat("x", model="pool")
            async with router.stream("x", chain=["pool", "c:m"], on_interrupt="restart") as answer:
                async for _ in answer:
                    pass
            return answer.reply

    assert members_of(clock.run(scenario())) == [("a:s", "first", "superseded"), ("b:m", "rescue", "won")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_trial_of_a_slow_member_is_raced_at_once(clock: Clock, world: World, stream: bool) -> None:
    """Who tries a member that has become slow does not wait for it: another member is asked at the same instant."""
    world.model("s", Act(tokens=40, first_token=6.0, gap=1 / 32))
    world.model("m", Act(tokens=40, first_token=0.5, gap=1 / 32))

    async def scenario() -> list[Reply]:
        replies = []
        async with pool_router(world, "a:s", "b:m") as router:
            for _ in range(60):
                if not stream:
                    replies.append(await router.chat("x", model="pool"))
                    continue
                async with router.stream("x", model="pool") as answer:
                    async for _ in answer:
                        pass
                replies.append(answer.reply)
        return replies

    replies = clock.run(scenario())[30:]
    tried = [reply.trace for reply in replies if any(one.member == "a:s" for one in reply.trace.attempts)]
    assert 1 <= len(tried) <= 5
    for trace in tried:
        assert [(one.member, one.outcome, one.sent) for one in trace.attempts] == [
            ("a:s", "superseded", 0.0), ("b:m", "won", 0.0)
        ]
        assert trace.attempts[1].why == "pool: has become slow, and is tried again"
    assert max(reply.trace.seconds for reply in replies) < 2.0


def test_a_member_that_is_quick_again_is_back_after_its_raced_trials(clock: Clock, world: World) -> None:
    """A trial that is as quick as usual wins its race, and two of them bring the member back."""
    flows = Act(tokens=40, first_token=0.5, gap=1 / 32)
    world.model("s", *[flows] * 20, *[Act(tokens=40, first_token=6.0, gap=1 / 32)] * 6, flows)
    world.model("m", flows)

    async def scenario() -> list[str | None]:
        async with pool_router(world, "a:s", "b:m") as router:
            replies = [await router.chat("x", model="pool") for _ in range(200)]
        return [attempt.member for reply in replies[-40:] for attempt in reply.trace.attempts]

    assert clock.run(scenario()).count("a:s") >= 10


@pytest.mark.parametrize("pick", ["first", "weighted", "least-busy"])
@pytest.mark.parametrize(("dear", "usd"), [(None, 50.0), (1000.0, 0.05)])
@pytest.mark.parametrize("options", [{}, {"session": "s"}])
def test_a_member_that_the_budget_does_not_pay_for_gives_way_to_one_that_it_does(
    clock: Clock, world: World, pick: str, dear: float | None, usd: float, options: dict[str, Any]
) -> None:
    """A member without a price, or too dear for what is left, fails no call that a cheaper one can serve."""
    world.model("m", Act(text="x"))
    price = {} if dear is None else {"usd_per_mtok": {"input": dear, "output": dear}}
    models = {
        "dear": {"provider": "a", "id": "m", **price},
        "dearer": {"provider": "b", "id": "m", **price},
        "cheap": {"provider": "c", "id": "m", "usd_per_mtok": {"input": 1.0, "output": 1.0}},
        "pool": {"any": ["dear", "dearer", "cheap"], "pick": pick},
    }

    async def scenario() -> list[Reply]:
        async with router_to(world, models, budget={"usd": usd, "per": "run"}) as router:
            return [await router.chat("x", model="pool", max_tokens=100, **options) for _ in range(9)]

    replies = clock.run(scenario())
    assert {members_of(reply)[-1][0] for reply in replies} == {"cheap"}
    assert max(len(reply.trace.attempts) for reply in replies) == 2


def test_where_the_budget_pays_for_no_member_the_call_says_so(clock: Clock, world: World) -> None:
    """Members that are no cheaper than one that is too dear are not asked; the error is that of the budget."""
    world.model("m", Act(text="x"))
    price = {"usd_per_mtok": {"input": 1000.0, "output": 1000.0}}
    models = {name: {"provider": name, "id": "m", **price} for name in "ab"}

    async def scenario() -> AllModelsFailed:
        async with router_to(world, {**models, "pool": {"any": ["a", "b"]}}, budget={"usd": 0.05}) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="pool", max_tokens=100)
            return caught.value

    error = clock.run(scenario())
    assert (type(error.last), error.http_status, len(error.trace.attempts)) == (OverBudget, 429, 1)


@pytest.mark.parametrize(("first", "outcome"), [
    (Act(text="bad", first_token=1.0), "not_accepted"), (Act(blocked=True, first_token=1.0), "failed"),
])
def test_a_member_whose_answer_was_no_good_is_not_raced_again(
    clock: Clock, world: World, first: Act, outcome: str
) -> None:
    """While a sibling that was started beside it is late, too, the member that was turned down is not asked once more.
    """
    world.model("x", first)
    world.model("y", Act(text="good", first_token=5.0))

    async def scenario() -> Reply:
        async with pool_router(world, "a:x", "b:y", pick="first") as router:
            return await router.chat(
                "x", model="pool", hedge=0.5, accept=lambda reply: reply.text == "good", on_refusal="next"
            )

    assert members_of(clock.run(scenario())) == [("a:x", "first", outcome), ("b:y", "hedge", "won")]
