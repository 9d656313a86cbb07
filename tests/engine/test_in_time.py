"""An answer that stalls or crawls after its first content is raced; what is far slower than usual is rescued."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Hedge, Router, Step
from asyncrouter.sim import Act
from tests.helpers.racing import check_nothing_is_left, timeline

if TYPE_CHECKING:
    from asyncrouter import Reply, StateChanged, Trace
    from asyncrouter.sim import Clock, World

FLOWS = Act(tokens=65, first_token=0.5, gap=1 / 32)
"""A healthy answer of 2.5 s."""
STALLS = Act(tokens=65, first_token=0.5, gap=1 / 32, fault="stall", at=16, pause=30.0)
"""It falls silent after one second."""
HANGS = Act(tokens=65, first_token=0.5, gap=1 / 32, fault="hang", at=16)
CRAWLS = Act(tokens=65, first_token=0.5, gap=0.625)
"""Its contents come twenty times slower."""
LATE = Act(first_token=60.0)
AUTO = Hedge(after="auto")
CHAIN = ["a", "b", "c"]
"""Three models, of which each test makes the first one late."""


def learned(
    clock: Clock, world: World, *acts: Act, hedge: object = None, calls: int = 120, other: Act = FLOWS,
    **options: object,
) -> list[Reply]:
    """The replies of a router that has seen so many healthy answers, while the first model gives these acts."""
    config = world.config(defaults=options.pop("defaults", {}))
    for name in CHAIN[1:]:
        world.model(name, other)

    async def scenario() -> list[Reply]:
        async with Router(config, transport=world.transport(), seed=1) as router:
            for name in ("a", "b"):
                world.model(name, FLOWS)
                for _ in range(calls):
                    await router.chat("x", model=name)
            world.model("b", other)
            replies = []
            for act in acts:
                world.model("a", act)
                replies.append(await router.chat("x", chain=CHAIN, hedge=hedge, **options))  # type: ignore[arg-type]
                await asyncio.sleep(0)
                check_nothing_is_left(world, router)
            return replies

    return clock.run(scenario())


def shown(trace: Trace) -> list[tuple[str, str, str | None]]:
    """Each attempt: its model, cause and outcome."""
    return [line[:3] for line in timeline(trace)]


# ── silence and pace ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("act", [STALLS, HANGS, CRAWLS], ids=["stalls", "hangs", "crawls"])
@pytest.mark.parametrize("hedge", ["p95", "auto", 1.0, None], ids=str)
def test_a_stall_and_a_crawl_are_raced(clock: Clock, world: World, act: Act, hedge: object) -> None:
    """An answer that stalls or crawls is raced with the next model; the first whole one wins."""
    (reply,) = learned(clock, world, act, hedge=hedge)

    cause = "rescue" if hedge is None else "hedge"
    assert shown(reply.trace) == [("a", "first", "superseded"), ("b", cause, "won")]
    assert reply.model == "b"
    assert reply.trace.seconds < 6.6


@pytest.mark.parametrize("hedge", ["auto", None], ids=str)
def test_a_model_without_tokens_for_the_prompt_is_not_raced(clock: Clock, world: World, hedge: object) -> None:
    """A stalled answer is raced with the next model whose limit of tokens has room for this request now."""
    for name in CHAIN:
        world.model(name, FLOWS)
    limited = {"provider": "sim", "id": "b", "tpm": 6000}
    config = world.config(models={"a": {"provider": "sim", "id": "a"}, "b": limited})

    async def scenario() -> Reply:
        async with Router(config, transport=world.transport(), seed=1) as router:
            for _ in range(120):
                await router.chat("x", model="a")
            await router.chat("x", model="b", max_tokens=3000)
            world.model("a", STALLS)
            return await router.chat("x", chain=CHAIN, hedge=hedge, max_tokens=5000)  # type: ignore[arg-type]

    world.model("b", Act(tokens=3000, first_token=0.5, gap=0.0))
    reply = clock.run(scenario())

    assert [model for model, _, outcome in shown(reply.trace) if outcome == "won"] == ["c"]


def test_half_a_second_of_silence_is_late(clock: Clock, world: World) -> None:
    """Where silences are short, half a second after its last content an answer is late, and the reason is told."""
    (reply,) = learned(clock, world, STALLS, hedge="p95")

    hedge = reply.trace.attempts[1]
    assert hedge.sent == 0.5 + 15 / 32 + 0.53125
    assert hedge.why == "a: no more content for 0.531 s; usual 0.0311 s, 99.9 %: 0.0396 s"
    assert f"because {hedge.why}" in str(reply.trace)


def test_the_pace_of_a_crawl_is_told(clock: Clock, world: World) -> None:
    """A crawl is raced as soon as its pace is known, and the reason is told in figures."""
    (reply,) = learned(clock, world, Act(tokens=65, first_token=0.5, gap=0.375), hedge="p95")

    assert reply.trace.attempts[1].sent == pytest.approx(1.5, abs=0.25)
    assert reply.trace.attempts[1].why.startswith("a: 0.312 s for 5 characters; usual 0.0336 s")


def test_a_late_answer_that_goes_on_may_still_win(clock: Clock, world: World) -> None:
    """In a race for silence the first whole answer wins, whoever was late."""
    short = Act(tokens=65, first_token=0.5, gap=1 / 32, fault="stall", at=40, pause=1.0)

    (reply,) = learned(clock, world, short, hedge="p95")

    assert shown(reply.trace) == [("a", "first", "won"), ("b", "hedge", "superseded")]
    assert reply.trace.seconds == pytest.approx(3.5)


def test_a_tool_call_in_one_piece_is_no_crawl(clock: Clock, world: World) -> None:
    """One long silence below half a second is no slow pace, however few contents there are."""
    pieces = Act(tokens=3, first_token=0.5, gap=0.4)

    (reply,) = learned(clock, world, pieces, hedge="p95")

    assert shown(reply.trace) == [("a", "first", "won")]


def test_an_answer_at_its_usual_pace_is_left_alone(clock: Clock, world: World) -> None:
    """Healthy answers are raced by nobody, with "auto" and without a hedge."""
    for hedge in ("auto", None):
        replies = learned(clock, world, *[FLOWS] * 50, hedge=hedge)
        assert [shown(reply.trace) for reply in replies] == [[("a", "first", "won")]] * 50


def test_an_answer_that_must_be_accepted_waits_for_its_turn(clock: Clock, world: World) -> None:
    """One answer is judged at a time: the second whole one waits, and wins when the first is not accepted."""
    judged: list[tuple[str, float]] = []

    async def accept(reply: Reply) -> bool:
        judged.append((reply.model, clock.now))
        await asyncio.sleep(2.0)
        return reply.model == "a"

    crawl = Act(tokens=65, first_token=0.5, gap=0.075)
    (reply,) = learned(clock, world, crawl, hedge=Hedge(after="p95"), accept=accept)

    assert [model for model, _ in judged] == ["b", "a"]
    assert judged[1][1] - judged[0][1] == pytest.approx(2.0)
    assert shown(reply.trace) == [("a", "first", "won"), ("b", "hedge", "not_accepted")]


# ── rescues ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_hedge_silence_is_rescued(clock: Clock, world: World) -> None:
    """A model that is silent for far longer than usual is raced without a hedge, and not given up."""
    (reply,) = learned(clock, world, LATE, calls=400)

    assert shown(reply.trace) == [("a", "first", "superseded"), ("b", "rescue", "won")]
    assert reply.trace.attempts[1].sent == pytest.approx(10.0)


def test_nothing_known_means_sixteen_seconds(clock: Clock, world: World) -> None:
    """The first call of a life is rescued after 16 s, and the late answer may still win."""
    (reply,) = learned(clock, world, Act(first_token=16.5), calls=0)

    assert timeline(reply.trace) == [
        ("a", "first", "won", 0.0, 16.5), ("b", "rescue", "superseded", 16.0, 16.5)
    ]
    assert reply.trace.attempts[1].why == "a: no content for 16 s; nothing known yet"


@pytest.mark.parametrize(("hedge", "tried"), [
    (None, [("rescue", "not_sent", 16.0, 16.0), ("rescue", "won", 19.0, 21.5)]),
    (2.0, [("hedge", "not_sent", 2.0, 2.0), ("rescue", "won", 16.0, 18.5)]),
], ids=str)
def test_a_model_that_could_not_be_raced_at_first_is_raced_later(
    clock: Clock, world: World, hedge: float | None, tried: list[tuple[str, str, float, float]]
) -> None:
    """Of two calls that are late at once the second model takes one; it rescues the other when it is free."""
    world.model("a", LATE)
    world.model("b", FLOWS)

    async def scenario() -> list[Reply]:
        config = world.config(models={"b": {"provider": "sim", "id": "b", "max_concurrent": 1}})
        async with Router(config, transport=world.transport(), seed=1) as router:
            asked = [router.chat("x", chain=["a", "b"], hedge=hedge) for _ in range(2)]
            return await asyncio.gather(*asked)

    attempts = clock.run(scenario())[1].trace.attempts[1:]

    assert [(one.cause, one.outcome, one.queued, one.ended) for one in attempts] == tried


@pytest.mark.parametrize("options", [
    {"defaults": {"rescue": "off"}}, {"rescue": "off"}, {"priority": "batch", "hedge": 40.0},
    {"chain": [Step(model="a", rescue="off"), "b"]},
], ids=str)
def test_rescues_can_be_turned_off(clock: Clock, world: World, options: dict[str, object]) -> None:
    """With `rescue = "off"`, for all, a call or a step, and in batch work that streams, 30 s of silence cut."""
    world.model("a", LATE)
    world.model("b", FLOWS)

    async def scenario() -> Trace:
        config = world.config(defaults=options.pop("defaults", {}))
        async with Router(config, transport=world.transport(), seed=1) as router:
            return (await router.chat("x", **{"chain": ["a", "b"], **options})).trace  # type: ignore[arg-type]

    assert timeline(clock.run(scenario())) == [
        ("a", "first", "failed", 0.0, 30.0), ("b", "fallback", "won", 30.0, 32.5)
    ]


def test_useless_rescues_become_rare(clock: Clock, world: World) -> None:
    """When every model has become slow, rescues do not win, and soon there are hardly any."""
    slow = Act(tokens=65, first_token=5.0, gap=1 / 32)

    replies = learned(clock, world, *[slow] * 40, other=slow)

    rescued = [any(one.cause == "rescue" for one in reply.trace.attempts) for reply in replies]
    assert sum(rescued[20:]) <= 4
    assert {reply.text == "" for reply in replies} == {False}


# ── limits that nobody has given ─────────────────────────────────────────────────────────────────────────────────────


def test_the_last_model_is_given_up_after_thirty_seconds(clock: Clock, world: World) -> None:
    """Where nobody can be raced silence is cut after 30 s, and the error says what is usual."""
    world.model("a", *[FLOWS] * 20, LATE)

    async def scenario() -> AllModelsFailed:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for _ in range(20):
                await router.chat("x", model="a")
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="a")
            return caught.value

    error = clock.run(scenario())

    assert error.trace.seconds == 30.0
    assert "no content for 30 s; usual 0.5" in str(error)


@pytest.mark.parametrize("first_token", [12.0, {"auto": True, "cap": 45.0}], ids=str)
def test_a_number_always_cuts_and_a_cap_moves_the_limit(clock: Clock, world: World, first_token: object) -> None:
    """A number is a fixed limit; the cap of "auto" is the least after which it cuts."""
    world.model("a", LATE)

    async def scenario() -> float:
        config = world.config(defaults={"first_token": first_token})
        async with Router(config, transport=world.transport(), seed=1) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="a")
            return caught.value.trace.seconds

    assert clock.run(scenario()) == (12.0 if first_token == 12.0 else 45.0)


def test_nobody_is_cut_who_is_raced(clock: Clock, world: World) -> None:
    """With two silent models and no third one both are waited for, beyond 30 s."""
    world.model("a", Act(first_token=50.0))
    world.model("b", LATE)

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return (await router.chat("x", chain=["a", "b"])).trace

    assert timeline(clock.run(scenario())) == [
        ("a", "first", "won", 0.0, 50.0), ("b", "rescue", "superseded", 16.0, 50.0)
    ]


@pytest.mark.parametrize("begun_at", [0.1, 0.1 + 0.2, 1.1, 1e3 / 7.0, 2.2])
def test_a_limit_that_is_a_rounding_away_is_reached(clock: Clock, world: World, begun_at: float) -> None:
    """A stall that reaches the cap of "auto" is not cut while another model could be raced, whatever the sums are."""
    world.model("a", Act(tokens=65, first_token=0.1, gap=0.07, fault="stall", at=9, pause=5.1))
    world.model("b", FLOWS)

    async def scenario() -> Trace:
        config = world.config(defaults={"idle": {"auto": True, "cap": 2.7}})
        async with Router(config, transport=world.transport(), seed=1) as router:
            await asyncio.sleep(begun_at)
            return (await router.chat("x", chain=["a", "b"])).trace

    assert shown(clock.run(scenario())) == [("a", "first", "won")]


def test_a_share_of_the_deadline_cuts_who_is_raced(clock: Clock, world: World) -> None:
    """An "auto" limit that has moved, as another model is raced, is not what cuts in the end; the error says so."""
    world.model("a", LATE)
    world.model("b", LATE)

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", chain=["a", "b"], deadline=70.5, accept=lambda _: False)
            return caught.value.trace

    first = clock.run(scenario()).attempts[0]
    assert (first.ended, str(first.error)) == (35.25, "a: no content within 35.2 s, its share of the deadline")


def test_the_older_of_two_silent_models_makes_room_for_a_third(clock: Clock, world: World) -> None:
    """With two silent models the older one is cut after 30 s, and the third is started when the newer one is late."""
    world.model("a", LATE)
    world.model("b", LATE)
    world.model("c", FLOWS)

    async def scenario() -> Trace:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return (await router.chat("x", chain=CHAIN)).trace

    assert timeline(clock.run(scenario())) == [
        ("a", "first", "failed", 0.0, 30.0), ("b", "rescue", "superseded", 16.0, pytest.approx(32.8)),
        ("c", "rescue", "won", 32.0, 34.5),
    ]


# ── models that have become slow ─────────────────────────────────────────────────────────────────────────────────────


def slow_day(clock: Clock, world: World, hedge: object = None) -> tuple[list[str], list[tuple[str, str]]]:
    """The first model asked in each of 40 calls in which `a` is ten times slower, and the changes that are told."""
    told: list[tuple[str, str]] = []

    def listen(event: object) -> None:
        if type(event).__name__ == "StateChanged":
            change: StateChanged = event  # type: ignore[assignment]
            told.append((change.subject, change.state))

    async def scenario() -> list[str]:
        async with Router(world.config(), transport=world.transport(), listeners=[listen], seed=1) as router:
            for name in ("a", "b"):
                world.model(name, FLOWS)
                for _ in range(150):
                    await router.chat("x", model=name)
            world.model("a", Act(tokens=65, first_token=5.0, gap=1 / 32))
            asked = []
            for _ in range(40):
                reply = await router.chat("x", chain=["a", "b"], hedge=hedge)
                asked.append(reply.trace.attempts[0].model)
                await asyncio.sleep(0.5)
            world.model("a", FLOWS)
            for _ in range(60):
                await router.chat("x", chain=["a", "b"], hedge=hedge)
            assert router.health()["a"].why_slow == ""
            return asked

    return clock.run(scenario()), told


@pytest.mark.parametrize("hedge", [None, "p95", "auto"], ids=str)
def test_a_slow_model_goes_last_is_probed_and_comes_back(clock: Clock, world: World, hedge: str | None) -> None:
    """A model that has become slow is found within 15 calls, probed ever more rarely, and comes back when it is quick.
    """
    asked, told = slow_day(clock, world, hedge)

    assert asked.index("b") <= 15
    assert asked[asked.index("b"):].count("a") <= 5
    assert told == [("a", "slow"), ("a", "not slow any more")]


def test_a_probe_is_raced_at_once(clock: Clock, world: World) -> None:
    """Who probes a slow model does not wait for it: the next one is started at the same instant."""
    async def scenario() -> list[Trace]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in ("a", "b"):
                world.model(name, FLOWS)
                for _ in range(150):
                    await router.chat("x", model=name)
            world.model("a", LATE)
            while not router.health()["a"].slow:
                await router.chat("x", chain=["a", "b"])
            return [(await router.chat("x", chain=["a", "b"])).trace for _ in range(5)]

    traces = clock.run(scenario())
    (probe,) = [trace for trace in traces if trace.attempts[0].model == "a"]

    assert timeline(probe) == [
        ("a", "first", "superseded", 0.0, pytest.approx(0.8, abs=0.3)), ("b", "rescue", "won", 0.0, 2.5)
    ]
    assert probe.attempts[1].why == "a: has become slow, and is tried again"


@pytest.mark.parametrize("status", [429, 503])
def test_a_slow_model_that_is_held_is_probed_as_soon_as_it_is_free(clock: Clock, world: World, status: int) -> None:
    """No probe is used up, and none becomes rarer, while a slow model could not be asked anyway."""
    async def scenario() -> list[tuple[str, bool]]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in ("a", "b"):
                world.model(name, FLOWS)
                for _ in range(150):
                    await router.chat("x", model=name)
            world.model("a", Act(tokens=65, first_token=5.0, gap=1 / 32))
            while not router.health()["a"].slow:
                await router.chat("x", chain=["a", "b"])
            world.model("a", Act(status=status, retry_after=40.0))
            while router.health()["a"].standing == "ready":
                await router.chat("x", chain=["a", "b"])
            world.model("a", FLOWS)
            asked = []
            while not asked or asked[-1][1]:
                held = router.health()["a"].standing != "ready"
                reply = await router.chat("x", chain=["a", "b"])
                asked.append((reply.trace.attempts[0].model, held))
            return asked

    asked = clock.run(scenario())
    assert len(asked) > 10
    assert asked[-1] == ("a", False)


def test_calls_on_their_way_are_raced_when_their_model_becomes_slow(clock: Clock, world: World) -> None:
    """When a model is demoted the calls that are silent on it are raced at once, without a token."""
    async def scenario() -> list[float]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in ("a", "b"):
                world.model(name, FLOWS)
                for _ in range(400):
                    await router.chat("x", model=name)
            world.model("a", LATE)
            replies = await asyncio.gather(*(router.chat("x", chain=["a", "b"]) for _ in range(30)))
            return [reply.trace.seconds for reply in replies]

    assert max(clock.run(scenario())) < 4.0


def crawling_day(clock: Clock, world: World, *crawl: str) -> list[Trace]:
    """The traces of 100 calls, five a second, while these models crawl."""
    async def scenario() -> list[Trace]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for name in CHAIN:
                world.model(name, FLOWS)
                for _ in range(120):
                    await router.chat("x", model=name)
            for name in crawl:
                world.model(name, CRAWLS)
            calls = []
            for _ in range(100):
                calls.append(asyncio.ensure_future(router.chat("x", chain=CHAIN)))
                await asyncio.sleep(0.2)
            return [reply.trace for reply in await asyncio.gather(*calls)]

    return clock.run(scenario())


def rescues(traces: list[Trace]) -> int:
    """How many attempts were started beside another one."""
    return sum(one.cause == "rescue" for trace in traces for one in trace.attempts)


def test_calls_on_their_way_to_a_slow_model_are_raced_with_a_quick_one(clock: Clock, world: World) -> None:
    """When a model becomes slow all calls on their way to it are raced, and when a second one does, too."""
    one = crawling_day(clock, world, "a")
    two = crawling_day(clock, world, "a", "b")

    assert max(trace.seconds for trace in one) < 5.0
    assert (rescues(one) <= 20, sum(trace.seconds < 5.0 for trace in two) >= 85) == (True, True)


def test_when_all_models_are_slow_a_budget_bounds_their_races(clock: Clock, world: World) -> None:
    """The calls on their way to a model that becomes slow after the others are not all raced with one as slow."""
    assert rescues(crawling_day(clock, world, *CHAIN)) <= 30
