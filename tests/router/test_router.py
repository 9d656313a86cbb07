"""A router's life, what may be asked of it, and what it tells about itself."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import anyio
import pytest

from asyncrouter import (
    AllModelsFailed,
    Chain,
    Config,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    ExplainedStep,
    Hedge,
    Model,
    ModelHealth,
    NotSent,
    Price,
    Provider,
    Reply,
    Request,
    Response,
    Retry,
    Router,
    RouterClosed,
    Step,
    StreamInterrupted,
)
from asyncrouter._config.plan import resolve
from asyncrouter.sim import Act, Clock, VirtualLoop, World

if TYPE_CHECKING:
    from pathlib import Path


def opened(world: World, **tables: object) -> Router:
    return Router(world.config(**tables), transport=world.transport(), seed=1)


def asked(world: World) -> list[str]:
    return [seen.model for seen in world.seen]


class Slow:
    """A transport whose `aclose()` takes its time."""

    def __init__(self, world: World, seconds: float) -> None:
        self._inner = world.transport()
        self._seconds = seconds
        self.closed: list[str] = []

    async def send(self, request: Request) -> Response:
        return await self._inner.send(request)

    async def aclose(self) -> None:
        self.closed.append("begun")
        await asyncio.sleep(self._seconds)
        await self._inner.aclose()
        self.closed.append("ended")


# ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_router_is_made_anywhere_and_opens_at_the_first_call(clock: Clock, world: World) -> None:
    """Making one needs no loop and opens nothing; the first call does, and it needs no `async with`."""
    world.model("a", Act(text="hi"))
    router = opened(world)
    assert repr(router) == "<Router not opened, 0 calls in flight>"

    async def scenario() -> Reply:
        reply = await router.chat("x", model="a")
        assert repr(router) == "<Router open, 0 calls in flight>"
        await router.aclose()
        return reply

    assert clock.run(scenario()).text == "hi"
    assert repr(router) == "<Router closed, 0 calls in flight>"


def test_entering_opens_nothing(clock: Clock, world: World) -> None:
    """`async with` around no call never touches the transport."""
    transport = Slow(world, 9.0)

    async def scenario() -> None:
        async with Router(world.config(), transport=transport) as router:
            assert "not opened" in repr(router)

    clock.run(scenario())
    assert transport.closed == []


def test_a_router_that_is_never_closed(clock: Clock, world: World) -> None:
    """Nothing of ours warns or lingers when a router is just dropped."""
    world.model("a")

    async def scenario() -> int:
        await opened(world).chat("x", model="a")
        return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1


def test_closing_twice_is_closing_once(clock: Clock, world: World) -> None:
    """`aclose()` is idempotent, also before the first call and after leaving the block."""
    world.model("a")
    transport = Slow(world, 0.5)

    async def scenario() -> None:
        router = Router(world.config(), transport=transport)
        await router.aclose()
        async with router:
            await router.chat("x", model="a")
            await router.aclose()
            await router.aclose()
        await router.aclose()

    clock.run(scenario())
    assert transport.closed == ["begun", "ended"]


def test_closed_is_closed(clock: Clock, world: World) -> None:
    """Every kind of call on a closed router raises `RouterClosed` and sends nothing; looking is still allowed."""
    world.model("a")

    async def scenario() -> None:
        router = opened(world)
        await router.aclose()
        with pytest.raises(RouterClosed, match="enter it again"):
            await router.chat("x", model="a")
        with pytest.raises(RouterClosed):
            async with router.stream("x", model="a"):
                pass
        with pytest.raises(RouterClosed):
            await router.models()
        assert router.explain(model="a").steps[0].standing == "ready"
        assert router.health() == {}

    clock.run(scenario())
    assert asked(world) == []


def test_entering_again_opens_again(clock: Clock, world: World) -> None:
    """A closed router that is entered answers again."""
    world.model("a", Act(text="hi"))

    async def scenario() -> list[str]:
        router, said = opened(world), []
        for _ in range(3):
            async with router:
                said.append((await router.chat("x", model="a")).text)
            with pytest.raises(RouterClosed):
                await router.chat("x", model="a")
        return said

    assert clock.run(scenario()) == ["hi", "hi", "hi"]


def test_closed_inside_its_block_it_can_be_entered_again(clock: Clock, world: World) -> None:
    """Though the block around it has not been left yet."""
    world.model("a", Act(text="hi"))

    async def scenario() -> str:
        async with opened(world) as router:
            await router.chat("x", model="a")
            await router.aclose()
            async with router:
                return (await router.chat("x", model="a")).text

    assert clock.run(scenario()) == "hi"


def test_entering_is_counted(clock: Clock, world: World) -> None:
    """Only the last exit closes."""
    world.model("a")

    async def scenario() -> None:
        router = opened(world)
        async with router as first:
            async with router as second:
                assert first is second is router
            await router.chat("x", model="a")
        with pytest.raises(RouterClosed):
            await router.chat("x", model="a")

    clock.run(scenario())


def test_another_loop_after_closing(world: World) -> None:
    """A router that was closed on one loop works on the next."""
    world.model("a", Act(text="hi"))
    router = opened(world)

    async def scenario() -> str:
        async with router:
            return (await router.chat("x", model="a")).text

    assert [Clock().run(scenario()), Clock().run(scenario())] == ["hi", "hi"]


def test_another_loop_when_the_first_is_gone(world: World) -> None:
    """A router that was never closed opens anew when its loop has been closed."""
    world.model("a", Act(text="hi"))
    router = opened(world)

    async def scenario() -> str:
        return (await router.chat("x", model="a")).text

    assert [Clock().run(scenario()), Clock().run(scenario())] == ["hi", "hi"]


def test_a_second_loop_while_the_first_is_alive(world: World) -> None:
    """It is refused in clear words; closing on the first loop makes room."""
    world.model("a", Act(text="hi"))
    router = opened(world)
    first, second = VirtualLoop(), VirtualLoop()

    async def ask() -> str:
        return (await router.chat("x", model="a")).text

    async def enter_and_ask() -> str:
        async with router:
            return await ask()

    try:
        assert first.run_until_complete(ask()) == "hi"
        with pytest.raises(RuntimeError, match="open on another event loop"):
            second.run_until_complete(ask())
        assert first.run_until_complete(ask()) == "hi"
        first.run_until_complete(router.aclose())
        assert second.run_until_complete(enter_and_ask()) == "hi"
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize(("takes", "ends"), [(0.0, 0.0), (1.5, 1.5), (900.0, 2.0)])
def test_closing_is_bounded(clock: Clock, world: World, takes: float, ends: float) -> None:
    """A transport that does not close holds nobody longer than two seconds."""
    world.model("a")

    async def scenario() -> None:
        router = Router(world.config(), transport=Slow(world, takes))
        await router.chat("x", model="a")
        await router.aclose()

    clock.run(scenario())
    assert ends == clock.now


def test_closing_is_shielded(clock: Clock, world: World) -> None:
    """A cancellation that arrives while closing waits until it is done, and is not lost."""
    world.model("a")
    transport = Slow(world, 1.0)

    async def scenario() -> bool:
        router = Router(world.config(), transport=transport)
        await router.chat("x", model="a")
        closing = asyncio.create_task(router.aclose())
        await asyncio.sleep(0.5)
        closing.cancel()
        await asyncio.wait([closing])
        return closing.cancelled()

    cancelled = clock.run(scenario())
    assert (transport.closed, clock.now) == (["begun", "ended"], 1.0)
    assert cancelled


def test_closing_inside_a_cancelled_scope(clock: Clock, world: World) -> None:
    """Leaving the block because an outer scope was cancelled still closes to the end."""
    world.model("a", Act(first_token=60.0))
    transport = Slow(world, 1.0)

    async def scenario() -> None:
        with anyio.move_on_after(3.0):
            async with Router(world.config(), transport=transport) as router:
                await router.chat("x", model="a")

    clock.run(scenario())
    assert (transport.closed, clock.now) == (["begun", "ended"], 4.0)


def test_closing_waits_for_a_lane_that_lets_go_late(clock: Clock, world: World) -> None:
    """A superseded lane that is slow to let go is waited for, up to two seconds; its result is retrieved."""
    world.model("a", Act(first_token=1.0))
    world.model("b", Act(first_token=9.0))

    class Clinging(Slow):
        async def send(self, request: Request) -> Response:
            try:
                if b'"b"' in request.body:
                    await asyncio.sleep(9.0)
                return await super().send(request)
            except asyncio.CancelledError:
                await asyncio.sleep(1.25)
                raise

    async def scenario() -> int:
        async with Router(world.config(), transport=Clinging(world, 0.0)) as router:
            assert (await router.chat("x", chain=["a", "b"], hedge=Hedge(after=0.5))).model == "a"
            assert clock.now == 1.0
        return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1
    assert clock.now == 2.25


def test_calls_in_flight_fail_when_the_router_closes(clock: Clock, world: World) -> None:
    """A chat ends as `RouterClosed`, a stream as interrupted; nothing is left open."""
    world.model("a", Act(text="one two", gap=9.0))

    async def read(router: Router) -> None:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass

    async def scenario() -> list[object]:
        router = opened(world)
        calls = [asyncio.create_task(router.chat("x", model="a")), asyncio.create_task(read(router))]
        await asyncio.sleep(1.0)
        await router.aclose()
        assert world.open == 0
        return list(await asyncio.gather(*calls, return_exceptions=True))

    chat, stream = clock.run(scenario())
    assert isinstance(chat, RouterClosed)
    assert isinstance(stream, StreamInterrupted)
    assert isinstance(stream.__cause__, ConnectionFailed)
    assert stream.partial == "one"
    assert 1.25 >= clock.now


@pytest.mark.parametrize(
    ("acts", "rpm", "before"),
    [
        ((Act(status=429, retry_after=60), Act()), None, 1),  # held
        ((Act(status=429, retry_after=60), Act()), None, 0),  # pausing before a retry
        ((Act(),), 2, 1),  # waiting for its turn
    ],
    ids=["held", "pausing", "queued"],
)
def test_a_call_that_waits_ends_when_the_router_closes(
    clock: Clock, world: World, acts: tuple[Act, ...], rpm: int | None, before: int
) -> None:
    """It does not sit out its minute first, and nothing is sent any more."""
    world.model("a", *acts)
    tables = {"models": {"a": {"provider": "sim", "id": "a"} | ({"rpm": rpm} if rpm else {})}}

    async def scenario() -> object:
        router = opened(world, **tables)
        asking = [router.chat("x", model="a", retry=Retry(attempts=1)) for _ in range(before)]
        await asyncio.gather(*asking, return_exceptions=True)
        call = asyncio.create_task(router.chat("x", model="a"))
        await asyncio.sleep(1.0)
        await router.aclose()
        return (await asyncio.gather(call, return_exceptions=True))[0]

    error = clock.run(scenario())
    assert isinstance(error, RouterClosed)
    assert (1.0, max(before, 1)) == (clock.now, len(world.seen))


def test_a_call_that_is_dropped_when_its_loop_is_gone(world: World) -> None:
    """What is collected after its loop has been closed is settled all the same, and the router counts it out."""
    world.model("a", Act(first_token=5.0))
    router, loop = opened(world), VirtualLoop()
    call = router.chat("x", model="a")

    loop.set_exception_handler(lambda loop, context: None)  # asyncio has a word to say about it
    task = loop.create_task(call)
    loop.run_until_complete(asyncio.sleep(1.0))
    assert repr(router) == "<Router open, 1 calls in flight>"
    loop.close()
    call.close()

    assert (task.done(), repr(router)) == (False, "<Router open, 0 calls in flight>")


def test_drain_waits_for_calls_in_flight(clock: Clock, world: World) -> None:
    """From then on no new call is taken; those in flight end in peace, and then all is closed."""
    world.model("a", Act(text="hi", first_token=3.0))
    transport = Slow(world, 0.5)

    async def scenario() -> list[float]:
        router, ends = Router(world.config(), transport=transport), []

        async def call() -> None:
            assert (await router.chat("x", model="a")).text == "hi"
            ends.append(clock.now)

        async def drain() -> None:
            await router.drain()
            ends.append(clock.now)

        async with asyncio.TaskGroup() as group:
            group.create_task(call())
            await asyncio.sleep(1.0)
            group.create_task(drain())
            await asyncio.sleep(1.0)
            with pytest.raises(RouterClosed):
                await router.chat("x", model="a")
            assert transport.closed == []
        return ends

    assert clock.run(scenario()) == [3.0, 3.5]


def test_drain_waits_for_streams_and_failures(clock: Clock, world: World) -> None:
    """A stream counts until it is left, a failed or cancelled call until it has ended."""
    world.model("a", Act(text="one two", gap=2.0))
    world.model("bad", Act(status=400, first_token=1.0))

    async def read(router: Router) -> None:
        async with router.stream("x", model="a") as stream:
            async for _ in stream:
                pass
            await asyncio.sleep(5.0)

    async def scenario() -> None:
        router = opened(world)
        calls = [
            asyncio.create_task(read(router)),
            asyncio.create_task(router.chat("x", model="bad")),
            asyncio.create_task(router.chat("x", model="a")),
        ]
        await asyncio.sleep(0.5)
        calls[2].cancel()
        await router.drain()
        # The call of a stream is over with its last chunk, not with the block around it.
        assert clock.now == 2.0
        await asyncio.wait(calls)
        assert calls[2].cancelled()
        assert isinstance(calls[1].exception(), AllModelsFailed)

    clock.run(scenario())


def test_drain_of_an_idle_router_and_by_several(clock: Clock, world: World) -> None:
    """Draining with nothing in flight returns at once; two who drain are both woken."""
    world.model("a", Act(first_token=1.0))

    async def scenario() -> None:
        await opened(world).drain()
        assert clock.now == 0.0
        router = opened(world)
        call = asyncio.create_task(router.chat("x", model="a"))
        await asyncio.sleep(0.5)
        await asyncio.gather(router.drain(), router.drain())
        assert clock.now == 1.0
        await call
        async with router:
            await router.chat("x", model="a")
            await router.drain()

    clock.run(scenario())


def test_what_was_learned_lasts_while_it_is_open(clock: Clock, world: World) -> None:
    """A key that is out stays out from call to call; a router opened anew begins afresh."""
    world.model("a", Act(status=401), Act(text="hi"))

    async def scenario() -> None:
        router = opened(world)
        async with router:
            for _ in range(2):
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", model="a")
            assert len(world.seen) == 1
        async with router:
            assert (await router.chat("x", model="a")).text == "hi"

    clock.run(scenario())


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_toml(clock: Clock, world: World, tmp_path: Path) -> None:
    """A file makes a router; the other arguments are the constructor's."""
    path = tmp_path / "router.toml"
    path.write_text(
        'default_provider = "sim"\n[providers.sim]\nbase_url = "http://sim.test/v1"\n'
        '[tasks.coding]\nmodels = ["a", { model = "b", total = 20.0 }]\ndeadline = 7.0\n'
    )
    world.model("a", Act(text="hi"))

    async def scenario() -> Reply:
        async with Router.from_toml(path, transport=world.transport()) as router:
            assert router.explain(task="coding").deadline == 7.0
            return await router.chat("x", task="coding")

    assert clock.run(scenario()).text == "hi"


def test_from_toml_says_where(tmp_path: Path) -> None:
    """A mistake in a file is a `ConfigError` with its path, value and expectation."""
    path = tmp_path / "router.toml"
    path.write_text('[tasks.coding]\nmodels = ["openai:a", "openai:b", { model = "openai:c", total = "20s" }]\n')

    with pytest.raises(ConfigError) as caught:
        Router.from_toml(path)

    assert (caught.value.path, caught.value.value) == ("tasks.coding.models[2].total", "20s")
    assert str(caught.value).startswith("tasks.coding.models[2].total: expected seconds, got '20s'")
    with pytest.raises(ConfigError, match="cannot be read"):
        Router.from_toml(tmp_path / "none.toml")


def test_the_built_in_tables() -> None:
    """Without a configuration the current table is there; "classic" is the founding document's, to the letter."""
    classic = Router(tables="classic").explain(task="coding")

    assert [
        step.model for step in classic.steps
    ] == ["anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo", "deepseek/deepseek-coder"]
    assert {step.provider for step in Router().explain(task="fast").steps} == {"openrouter"}
    with pytest.raises(ConfigError, match="tables"):
        Router(tables="modern")  # type: ignore[arg-type]


# ── which models ─────────────────────────────────────────────────────────────────────────────────────────────────────

TASKS = {"default": ["a"], "coding": {"models": ["b", "c"], "params": {"temperature": 0.2}, "deadline": 9.0}}
TIERS = {"budget": ["a"], "standard": ["b"], "premium": ["c"]}


def plan(world: World, **asking: object) -> list[str]:
    """The models that a call would try."""
    explained = opened(world, tasks=TASKS, tiers=TIERS).explain(**asking)  # type: ignore[arg-type]
    return [step.model for step in explained.steps]


def test_an_unknown_task_takes_the_default_chain(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered by the `default` chain, with one warning a name however often it is asked for."""
    world.model("a", Act(text="hi"))

    async def scenario() -> Reply:
        async with opened(world, tasks=TASKS) as router:
            for _ in range(3):
                await router.chat("x", task="poetry", hedge=2.0)
                reply = await router.chat("x", task="poetry")
            await router.chat("x", task="prose")
            return reply

    with caplog.at_level(logging.WARNING, "asyncrouter"):
        reply = clock.run(scenario())
    assert (reply.text, reply.trace.task) == ("hi", "poetry")
    assert caplog.messages == [
        "unknown task 'poetry': taking the chain of \"default\"",
        "unknown task 'prose': taking the chain of \"default\"",
    ]


def test_an_unknown_task_where_that_is_an_error(clock: Clock, world: World) -> None:
    """With `unknown_task = "error"`, or without a `default`, it is a `ConfigError` when asked for; nothing is sent."""

    async def scenario() -> None:
        async with opened(world, tasks=TASKS, unknown_task="error") as router:
            with pytest.raises(ConfigError, match=r"task: unknown task 'codinq'; did you mean 'coding'\?"):
                await router.chat("x", task="codinq")
        async with opened(world, tasks={"coding": ["a"]}) as router:
            with pytest.raises(ConfigError, match="unknown task"):
                await router.chat("x", task="poetry")
            with pytest.raises(ConfigError, match="there is no task named default"):
                await router.chat("x")

    clock.run(scenario())
    assert asked(world) == []


def test_an_unknown_tier_names_the_tiers(clock: Clock, world: World) -> None:
    """It is an error, before anything is sent."""

    async def scenario() -> None:
        async with opened(world, tiers=TIERS) as router:
            with pytest.raises(ConfigError) as caught:
                await router.chat("x", tier="deluxe")
        assert str(caught.value) == "tier: unknown tier 'deluxe'; the tiers are budget, standard, premium"

    clock.run(scenario())
    assert asked(world) == []


def test_without_a_word_it_is_the_task_default(world: World) -> None:
    """Asked for nothing, the task `default` is taken."""
    assert plan(world) == ["a"]


def test_a_tier_is_the_tiers_up_to_it(world: World) -> None:
    """The cheapest first, the tier asked for last."""
    assert plan(world, tier="budget") == ["a"]
    assert plan(world, tier="standard") == ["a", "b"]
    assert plan(world, tier="premium") == ["a", "b", "c"]


def test_a_task_within_a_tier(world: World) -> None:
    """The task's chain without the models above the tier; when none is left, the tiers' own."""
    assert plan(world, task="coding", tier="standard") == ["b"]
    assert plan(world, task="coding", tier="premium") == ["b", "c"]
    assert plan(world, task="coding", tier="budget") == ["a"]


def test_model_and_chain_with_a_task(clock: Clock, world: World) -> None:
    """`model=` is a chain of one; a task beside it adds its parameters and its deadline."""
    world.model("z", Act(first_token=60.0))

    async def scenario() -> None:
        async with opened(world, tasks=TASKS) as router:
            with pytest.raises(DeadlineExceeded):
                await router.chat("x", model="z", task="coding")
            assert clock.now == 9.0
            with pytest.raises(AllModelsFailed, match="no content within 1 s"):
                await router.chat("x", chain=[Step(model="z", first_token=1.0)], task="coding")

    clock.run(scenario())
    assert [seen.body["temperature"] for seen in world.seen] == [0.2, 0.2]


def test_two_ways_of_saying_which_models(clock: Clock, world: World) -> None:
    """`tier` with `chain` or `model`, or these two together, is a `ValueError`."""

    async def scenario() -> None:
        async with opened(world, tasks=TASKS, tiers=TIERS) as router:
            for two in ({"tier": "budget", "model": "a"}, {"tier": "budget", "chain": ["a"]},
                        {"model": "a", "chain": ["a"]}):
                with pytest.raises(ValueError, match="give one of them"):
                    await router.chat("x", **two)  # type: ignore[arg-type]

    clock.run(scenario())
    assert asked(world) == []


def test_the_ways_of_naming_a_chain(clock: Clock, world: World) -> None:
    """Names, steps, models, tables and a `Chain` may be mixed."""
    world.model("a", Act(status=400))
    world.model("d", Act(text="hi"))
    models = ["a", Step(model="a"), Model(provider="sim", id="a"), {"model": "a"}, "sim:d"]

    async def scenario() -> list[Reply]:
        async with opened(world) as router:
            listed = await router.chat("x", chain=models)  # type: ignore[arg-type]
            return [listed, await router.chat("x", chain=Chain(models))]  # type: ignore[arg-type]

    for reply in clock.run(scenario()):
        assert (reply.model, len(reply.trace.attempts)) == ("sim:d", 5)


@pytest.mark.parametrize(
    ("asking", "path"),
    [
        ({"chain": []}, "chain.models"),
        ({"chain": ["a", 3]}, "chain.models[1]"),
        ({"model": ""}, "model"),
        ({"model": "sin:x"}, "model"),
        ({"model": "a", "deadline": "20s"}, "deadline"),
        ({"model": "a", "deadline": -1}, "deadline"),
        ({"model": "a", "deadline": float("nan")}, "deadline"),
        ({"model": "a", "hedge": {"afer": 1}}, "hedge.afer"),
        ({"model": "a", "hedge": "soon"}, "hedge"),
        ({"model": "a", "retry": {"attempts": 0}}, "retry.attempts"),
        ({"task": 7}, "task"),
    ],
)
def test_a_plan_that_cannot_be(clock: Clock, world: World, asking: dict[str, object], path: str) -> None:
    """A `ConfigError` says where, before anything is sent, for `chat()`, `stream()` and `explain()` alike."""

    async def scenario() -> None:
        async with opened(world, tasks=TASKS) as router:
            with pytest.raises(ConfigError) as caught:
                await router.chat("x", **asking)  # type: ignore[arg-type]
            with pytest.raises(ConfigError) as streamed:
                async with router.stream("x", **asking):  # type: ignore[arg-type]
                    pass
            with pytest.raises(ConfigError) as explained:
                router.explain(**asking)  # type: ignore[arg-type]
        assert [path] * 3 == [error.value.path for error in (caught, streamed, explained)]

    clock.run(scenario())
    assert asked(world) == []


def test_a_deadline_of_none_is_no_limit(clock: Clock, world: World) -> None:
    """"Not given" is the configuration's 300 s; `None` is no limit at all."""
    world.model("a", Act(first_token=1000.0))
    step = Step(model="a", first_token=None, total=None)

    async def scenario() -> None:
        async with opened(world) as router:
            with pytest.raises(DeadlineExceeded):
                await router.chat("x", chain=[step])
            assert clock.now == 300.0
            await router.chat("x", chain=[step], deadline=None)

    clock.run(scenario())
    assert clock.now == 1300.0


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_explain_says_what_a_call_would_do(world: World) -> None:
    """Steps, clocks, standing and price in fields; nothing is sent, nothing opened."""
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.5, "output": 2}}}
    router = opened(world, models=models, defaults={"idle": "none"})

    told = router.explain(chain=["a", Step(model="b", total=20.0)], deadline=30, hedge=1.5)

    assert (told.task, told.deadline, told.hedge) == (None, 30, "after 1.5 s")
    assert told.steps == (
        ExplainedStep("a", "sim", "ready", 5.0, 30.0, None, 120.0, Price(input=0.5, output=2)),
        ExplainedStep("b", "sim", "ready", 5.0, 30.0, None, 20.0, None),
    )
    assert asked(world) == []
    assert "not opened" in repr(router)


def test_explain_is_made_to_be_read(clock: Clock, world: World) -> None:
    """`print(router.explain(…))`, standing included."""
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.5, "output": 2}}}
    world.model("a", Act(status=429, retry_after=30, message="slow down"))
    world.model("b")

    async def scenario() -> str:
        async with opened(world, models=models, tasks={"coding": ["a", "b"]}) as router:
            await router.chat("x", task="coding")
            await asyncio.sleep(10.0)
            return str(router.explain(task="coding", hedge=Hedge(after="p95")))

    assert (
        "coding: deadline 300 s, hedge after p95\n"
        " 1  a (sim): held for 20.00 s more: slow down; connect 5 s, first_token 30 s, idle 30 s, total 120 s; "
        "$0.5 in, $2 out a million tokens\n"
        " 2  b (sim): ready; connect 5 s, first_token 30 s, idle 30 s, total 120 s; price unknown"
    ) == clock.run(scenario())


def test_health_of_tasks_tiers_and_what_was_used(clock: Clock, world: World) -> None:
    """Every model that has a name in the configuration's chains is there; one of an ad-hoc chain once it was used."""
    for name in "abcd":
        world.model(name, Act(first_token=1.0))

    async def scenario() -> None:
        async with opened(world, tasks={"coding": ["b"]}, tiers={"budget": ["a"]}) as router:
            assert set(router.health()) == {"a", "b"}
            router.explain(chain=["c"])
            assert set(router.health()) == {"a", "b"}
            await router.chat("x", chain=["c", "d"])
            assert set(router.health()) == {"a", "b", "c", "d"}
            assert router.health()["c"] == ModelHealth("c", "sim", "ready", 0)

    clock.run(scenario())


def test_health_counts_what_is_in_flight(clock: Clock, world: World) -> None:
    """Attempts being made now, for each model; 0 again when they have ended, however they ended."""
    world.model("a", Act(first_token=1.0))
    world.model("b", Act(first_token=1.0, status=500))

    async def scenario() -> list[tuple[int, int]]:
        counts = []
        async with opened(world, tasks={"default": ["a", "b"]}) as router:

            def count() -> None:
                health = router.health()
                counts.append((health["a"].in_flight, health["b"].in_flight))

            calls = [asyncio.create_task(router.chat("x", model="a")) for _ in range(3)]
            calls.append(asyncio.create_task(router.chat("x", model="b", retry=Retry(attempts=1))))
            await asyncio.sleep(0.5)
            count()
            calls[0].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            count()
            await asyncio.wait(calls)
            count()
        return counts

    assert clock.run(scenario()) == [(3, 1), (2, 1), (0, 0)]


def test_health_tells_what_holds_a_model(clock: Clock, world: World) -> None:
    """Held, out, key out: the standing is said, and "ready" again when it is over."""
    world.model("gone", Act(status=404, message="no such model"))
    world.model("busy", Act(status=429, retry_after=5, message="slow down"))
    world.model("z")

    async def scenario() -> None:
        async with opened(world) as router:
            await router.chat("x", chain=["gone", "busy", "z"])
            health = router.health()
            assert health["gone"].standing == "disabled for 300 s more: no such model"
            assert health["busy"].standing == "held for 5.00 s more: slow down"
            await asyncio.sleep(5.0)
            assert router.health()["busy"].standing == "ready"
            assert router.health()["gone"].standing == "disabled for 295 s more: no such model"

    clock.run(scenario())


def test_models_lists_what_the_provider_serves(clock: Clock, world: World) -> None:
    """The default provider's ids, or another's by its name; an unknown one is a `ConfigError`."""
    world.model("a")
    world.model("b")

    async def scenario() -> None:
        async with opened(world, providers={"other": {"base_url": "http://other.test/v1"}}) as router:
            assert await router.models() == ["a", "b"]
            assert await router.models("other") == ["a", "b"]
            with pytest.raises(ConfigError, match="unknown provider 'nobody'"):
                await router.models("nobody")

    clock.run(scenario())


def test_models_without_a_key(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not set is said before anything is sent."""
    monkeypatch.delenv("SIM_KEY", raising=False)

    async def scenario() -> None:
        async with opened(world, providers={"sim": {"key": "env:SIM_KEY"}}) as router:
            with pytest.raises(NotSent, match="SIM_KEY is not set"):
                await router.models()

    clock.run(scenario())
    assert "SIM_KEY" not in os.environ


def test_the_dataclasses_are_the_same_configuration(clock: Clock, world: World) -> None:
    """What a mapping says can be said in dataclasses."""
    world.model("a", Act(text="hi"))
    config = Config(
        default_provider="sim",
        providers={"sim": Provider(base_url="http://sim.test/v1")},
        tasks={"coding": Chain(["a"], deadline=7.0)},
    )

    async def scenario() -> Reply:
        async with Router(config, transport=world.transport()) as router:
            assert router.explain(task="coding").deadline == 7.0
            return await router.chat("x", task="coding")

    assert clock.run(scenario()).text == "hi"


def test_a_call_that_names_models_is_planned_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of names, a model or a hedge given with each call is not worked out anew each time."""
    asked = []

    def noted(config: Config, **names: object) -> object:
        asked.append(names["chain"])
        return resolve(config, **names)

    monkeypatch.setattr("asyncrouter._config.plan_cache.resolve", noted)
    router = opened(world)

    for _ in range(3):
        router.explain(chain=["a", "b"], hedge=1.5)
        router.explain(model="a")

    assert asked == [("a", "b"), None]


def test_what_equals_seconds_is_not_seconds(world: World) -> None:
    """`True` is refused as a hedge, also after one of 1 second has been planned."""
    router = opened(world)
    router.explain(model="a", hedge=1)

    with pytest.raises(ConfigError, match="hedge"):
        router.explain(model="a", hedge=True)
