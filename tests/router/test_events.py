"""Events for listeners, lines in the log, and no events where nobody would see them."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
    Hedge,
    HedgeDenied,
    Notice,
    Router,
    StateChanged,
    Trace,
)
from asyncrouter._events import Events
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.routers import router_of


def in_words(event: Event) -> str:
    """An event in a few words."""
    match event:
        case CallStarted():
            return "call begins"
        case AttemptStarted(_, attempt):
            return f"started {attempt.number} {attempt.model}"
        case AttemptEnded(_, attempt):
            return f"ended {attempt.number} {attempt.model} {attempt.outcome}"
        case CallEnded(_, error):
            return f"call {type(error).__name__ if error else 'answered'}"
        case HedgeDenied(_, reason):
            return f"denied: {reason}"
        case Notice(subject, text):
            return f"notice {subject}: {text}"


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_events_of_a_hedged_call_in_order(clock: Clock, world: World) -> None:
    """A failure, a hedge, the loser, the winner and the call are events at the moment they happen."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(first_token=9.0))
    world.model("c", Act(first_token=0.5, tail=0.5))
    heard: list[tuple[float, str]] = []

    async def scenario() -> None:
        async with router_of(world, lambda event: heard.append((clock.now, in_words(event)))) as router:
            await router.chat("x", chain=["a", "b", "c"], hedge=Hedge(after=1.5), retry=ONCE)

    clock.run(scenario())
    assert heard == [
        (0.0, "call begins"),
        (0.0, "started 1 a"),
        (0.5, "ended 1 a failed"),
        (0.5, "started 2 b"),
        (2.0, "started 3 c"),
        (3.0, "ended 2 b superseded"),
        (3.0, "ended 3 c won"),
        (3.0, "call answered"),
    ]


def test_an_attempt_that_has_ended_does_not_change(clock: Clock, world: World) -> None:
    """At its `AttemptEnded` an attempt has its outcome, cost and times, and it is the same afterwards."""
    world.model("a", Act(tokens=3, cost=0.5), Act(tokens=3, gap=1.0, fault="cut", at=1), Act(first_token=9.0))
    shown: list[tuple[object, str]] = []

    def listen(event: Event) -> None:
        if isinstance(event, AttemptEnded):
            shown.append((event.attempt, repr(event.attempt)))

    async def scenario() -> None:
        async with router_of(world, listen) as router:
            await router.chat("x", model="a")
            for _ in range(2):
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", model="a", retry=ONCE, deadline=None)
                world.model("a", Act(status=400))

    clock.run(scenario())
    assert len(shown) == 3
    assert [repr(attempt) for attempt, _ in shown] == [before for _, before in shown]


def test_an_attempt_that_was_not_sent_was_not_started(clock: Clock, world: World) -> None:
    """A model that is passed over has an `AttemptEnded` and no `AttemptStarted`."""
    world.model("a", Act(why="missing"))
    world.model("b")
    heard: list[str] = []

    async def scenario() -> None:
        async with router_of(world, lambda event: heard.append(in_words(event))) as router:
            await router.chat("x", chain=["a", "b"])
            heard.clear()
            await router.chat("x", chain=["a", "b"])

    clock.run(scenario())
    assert heard == ["call begins", "ended 1 a not_sent", "started 2 b", "ended 2 b won", "call answered"]


def test_a_call_ends_with_the_error_it_raises(clock: Clock, world: World) -> None:
    """`CallEnded.error` is the very exception, and its trace is complete, `seconds` included."""
    world.model("a", Act(status=400, first_token=1.5))
    ends: list[CallEnded] = []

    async def scenario() -> AllModelsFailed:
        def listen(event: Event) -> None:
            if isinstance(event, CallEnded):
                assert event.trace.seconds == 1.5
                ends.append(event)

        async with router_of(world, listen) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("x", model="a", tags={"user": "u-1"})
        return caught.value

    error = clock.run(scenario())
    [end] = ends
    assert end.error is error
    assert end.trace is error.trace
    assert end.trace.tags == {"user": "u-1"}


def test_a_cancelled_call_ends_too(clock: Clock, world: World) -> None:
    """`CallEnded.error` of a call that its caller cancels is the `CancelledError`."""
    world.model("a", Act(first_token=9.0))
    heard: list[str] = []

    async def scenario() -> None:
        async with router_of(world, lambda event: heard.append(in_words(event))) as router:
            call = asyncio.create_task(router.chat("x", model="a"))
            await asyncio.sleep(1.0)
            call.cancel()
            await asyncio.wait([call])

    clock.run(scenario())
    assert heard == ["call begins", "started 1 a", "ended 1 a cancelled", "call CancelledError"]


def test_a_hedge_that_is_denied_says_why(clock: Clock, world: World) -> None:
    """An empty budget, and a chain whose other model is disabled, are different reasons."""
    world.model("a", Act(first_token=2.0))
    world.model("b", Act(first_token=9.0))
    world.model("gone", Act(why="missing"))
    heard: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, HedgeDenied):
            heard.append(in_words(event))

    async def scenario() -> None:
        async with router_of(world, listen) as router:
            for _ in range(11):
                await router.chat("x", chain=["a", "b"], hedge=Hedge(after=1.0, budget=0.0))
            with pytest.raises(AllModelsFailed):
                await router.chat("x", model="gone")
            await router.chat("x", chain=["a", "gone"], hedge=Hedge(after=1.0))

    clock.run(scenario())
    assert heard == ["denied: the hedge budget is used up", "denied: no other model could be sent now"]


@pytest.mark.parametrize("arguments", [{"task": "odd"}, {"task": "shares"}, {"task": "unknown"}])
def test_what_is_odd_about_a_plan_costs_its_first_call_alone(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    """A notice is given with the first call, and the next ones do not even make it: a misspelt parameter, members that
    stand in two pools, a task that does not exist.
    """
    made: list[str] = []
    for name in ("a", "b"):
        world.model(name, Act(text="x"))
    config = world.config(
        models={"one": {"any": ["sim:a", "sim:b"]}, "two": {"any": ["sim:b", "sim:a"]}},
        tasks={
            "default": ["a"], "shares": ["one", "two"],
            "odd": {"models": [{"model": "a", "params": {"temprature": 0.2}}]},
        },
    )
    give = Events.notice

    def noted(self: Events, notice: Notice, trace: Trace | None = None) -> None:
        made.append(notice.subject)
        give(self, notice, trace)

    monkeypatch.setattr(Events, "notice", noted)

    async def scenario() -> tuple[int, int]:
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", **arguments)
            first = len(made)
            await router.chat("x", **arguments)
            return first, len(made)

    first, both = clock.run(scenario())
    assert first > 0
    assert both == first


def test_a_denied_hedge_is_an_event_in_the_context_of_its_call(clock: Clock, world: World) -> None:
    """The listener sees the context variables of the call, however many calls share one timer."""
    world.model("a", Act(first_token=2.0))
    world.model("b")
    who = ContextVar("who", default="nobody")
    heard: list[tuple[str, str]] = []

    def listen(event: Event) -> None:
        if isinstance(event, HedgeDenied):
            heard.append((event.trace.tags["who"], who.get()))

    async def ask(router: Router, name: str, after: float) -> None:
        who.set(name)
        await router.chat("x", chain=["a", "b"], hedge=Hedge(after=after, budget=0.0), tags={"who": name})

    async def scenario() -> None:
        async with router_of(world, listen) as router, asyncio.TaskGroup() as group:
            for number in range(10):  # what a bucket begins with
                group.create_task(ask(router, f"n{number}", 0.5))
            group.create_task(ask(router, "alice", 1.5))
            group.create_task(ask(router, "bob", 1.0))

    clock.run(scenario())
    assert heard == [("bob", "bob"), ("alice", "alice")]


def test_two_listeners_hear_the_same(clock: Clock, world: World) -> None:
    """Every listener gets every event, in the order in which the listeners were given."""
    world.model("a")
    heard: list[tuple[int, str]] = []

    async def scenario() -> None:
        listeners = [lambda event, who=who: heard.append((who, in_words(event))) for who in (1, 2)]
        async with router_of(world, *listeners) as router:
            await router.chat("x", model="a")

    clock.run(scenario())
    assert heard == [
        (1, "call begins"), (2, "call begins"),
        (1, "started 1 a"), (2, "started 1 a"),
        (1, "ended 1 a won"), (2, "ended 1 a won"),
        (1, "call answered"), (2, "call answered"),
    ]


def test_a_listener_that_raises_is_logged_and_the_call_goes_on(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is logged, the other listeners get every event, and the call is answered."""
    world.model("a", Act(text="hi"))
    heard: list[str] = []

    def broken(event: Event) -> None:
        raise KeyError("mine")

    async def scenario() -> str:
        async with router_of(world, broken, lambda event: heard.append(in_words(event))) as router:
            return (await router.chat("x", model="a")).text

    assert clock.run(scenario()) == "hi"
    assert heard == ["call begins", "started 1 a", "ended 1 a won", "call answered"]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage().rpartition(" raised on ")[2] for record in records] == [
        "CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded",
    ]
    assert [record.exc_info is not None and record.exc_info[0] for record in records] == [KeyError] * 4
    assert {record.name for record in records} == {"asyncrouter"}


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The lines of this level in the log."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_one_info_line_a_call(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the task, the model that answered or the error, the seconds and the number of attempts."""
    world.model("a", Act(status=500, first_token=0.5))
    world.model("b", Act(first_token=1.0))

    async def scenario() -> None:
        config = world.config(tasks={"coding": ["a", "b"]})
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", task="coding", retry=ONCE)
            await router.chat("x", model="b")
            with pytest.raises(AllModelsFailed):
                await router.chat("x", model="a", retry=ONCE)
            async with router.stream("x", model="b") as stream:
                async for _ in stream:
                    pass

    with caplog.at_level(logging.INFO, "asyncrouter"):
        clock.run(scenario())
    assert lines(caplog, logging.INFO) == [
        "coding: b answered in 1.500 s, 2 attempts",
        "call: b answered in 1.000 s, 1 attempt",
        "call: a AllModelsFailed in 0.500 s, 1 attempt",
        "call: b answered in 1.000 s, 1 attempt",
    ]
    assert len(caplog.records) == 4


def test_a_stream_that_was_left_has_not_answered(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a stream that was left before its end says so."""
    world.model("a", Act(tokens=9, first_token=0.5, gap=1.0))

    async def scenario() -> None:
        async with router_of(world) as router, router.stream("x", model="a"):
            pass

    with caplog.at_level(logging.INFO, "asyncrouter"):
        clock.run(scenario())
    assert lines(caplog, logging.INFO) == ["call: a left early in 0.500 s, 1 attempt"]


def test_attempts_and_denied_hedges_at_debug(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG each attempt that ends has a line, with its error."""
    world.model("a", Act(status=500))
    world.model("b", Act(first_token=2.0))

    async def scenario() -> None:
        async with router_of(world) as router:
            hedge = Hedge(after=1.0, budget=0.0, same=True)
            await router.chat("x", chain=["a", "b"], hedge=hedge, retry=ONCE)

    with caplog.at_level(logging.DEBUG, "asyncrouter"):
        clock.run(scenario())
    assert lines(caplog, logging.DEBUG) == [
        "call: a call begins",
        "attempt 1 first a: failed (a: The simulated model answers 500. (HTTP 500))",
        "attempt 3 hedge b: superseded",
        "attempt 2 fallback b: won",
    ]


def test_a_notice_is_a_warning_once(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejected request is a warning once for each model and message, without a listener, too."""
    world.model("a", Act(status=422, message="no such parameter"))
    world.model("b", Act(text="hi"))

    async def scenario() -> None:
        async with router_of(world) as router:
            for _ in range(3):
                await router.chat("x", chain=["a", "b"])
            world.model("a", Act(status=422, message="another one"))
            await router.chat("x", chain=["a", "b"])

    with caplog.at_level(logging.WARNING, "asyncrouter"):
        clock.run(scenario())
    assert lines(caplog, logging.WARNING) == [
        "a: no such parameter (HTTP 422)",
        "a: another one (HTTP 422)",
    ]


def test_the_warning_about_a_retired_model_names_its_successor(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A 404 of a model whose successor is known is a warning, once, that names it."""
    world.model("old", Act(status=404, message="The model is no longer served"))
    world.model("b")
    models = {"old": {"provider": "sim", "id": "old", "successor": "new"}}

    async def scenario() -> None:
        async with Router(world.config(models=models), transport=world.transport()) as router:
            for _ in range(2):
                await router.chat("x", chain=["old", "b"])
                await asyncio.sleep(301.0)

    with caplog.at_level(logging.WARNING, "asyncrouter"):
        clock.run(scenario())
    warning = "old: The model is no longer served (HTTP 404); it has been replaced by new"
    assert lines(caplog, logging.WARNING) == [warning]


def test_there_are_a_thousand_notices_at_most(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where every message is new, only the first thousand are logged."""
    world.model("a", lambda seen, _: Act(status=422, message=f"request {seen.number} is odd"))

    async def scenario() -> None:
        async with router_of(world) as router:
            for _ in range(1005):
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", model="a")

    with caplog.at_level(logging.WARNING, "asyncrouter"):
        clock.run(scenario())
    assert len(lines(caplog, logging.WARNING)) == 1000


# ── no events where nobody would see them ────────────────────────────────────────────────────────────────────────────


def test_no_event_is_made_if_nobody_would_see_it(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a listener, and with the log above INFO, no event object is made."""
    world.model("a", Act(status=500))
    world.model("b", Act(first_token=2.0))
    world.model("c", Act(why="missing"))

    def never(*_: object) -> None:
        raise AssertionError("an event was made")

    for event in (AttemptStarted, AttemptEnded, HedgeDenied, StateChanged, CallEnded):
        monkeypatch.setattr(event, "__new__", never)

    async def scenario() -> None:
        async with router_of(world) as router:
            for _ in range(12):
                await router.chat("x", chain=["a", "c", "b"], hedge=Hedge(after=1.0, budget=0.0), retry=ONCE)
            async with router.stream("x", model="b") as stream:
                async for _ in stream:
                    pass

    logging.getLogger("asyncrouter").setLevel(logging.WARNING)
    try:
        clock.run(scenario())
    finally:
        logging.getLogger("asyncrouter").setLevel(logging.NOTSET)


def test_the_level_of_the_log_may_change(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The level that is set when a call ends decides whether its line is written."""
    world.model("a")

    async def scenario() -> None:
        async with router_of(world) as router:
            await router.chat("x", model="a")
            with caplog.at_level(logging.INFO, "asyncrouter"):
                await router.chat("x", model="a")
            await router.chat("x", model="a")

    clock.run(scenario())
    assert len(lines(caplog, logging.INFO)) == 1


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_id_in_every_event_and_log_record(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The trace's id is that of all events and records of its call; no two calls have the same."""
    world.model("a", Act(status=500))
    world.model("b", Act(first_token=2.0))
    events: list[Event] = []

    async def scenario() -> list[str]:
        async with router_of(world, events.append) as router:
            asking = {"chain": ["a", "b"], "hedge": Hedge(1.0, budget=0.0, same=True), "retry": ONCE}
            first = await router.chat("x", **asking)  # type: ignore[arg-type]
            async with router.stream("x", chain=["b"]) as stream:
                async for _ in stream:
                    pass
            return [first.trace.id, stream.trace.id]

    with caplog.at_level(logging.DEBUG, "asyncrouter"):
        ids = clock.run(scenario())
    of_calls = [event.trace.id for event in events if hasattr(event, "trace")]
    recorded = [record.call_id for record in caplog.records if record.call_id]  # type: ignore[attr-defined]
    assert isinstance(events[0], CallStarted)
    assert [len(one) for one in ids] == [24, 24]
    assert len(set(ids)) == 2
    assert list(dict.fromkeys(of_calls)) == ids
    assert list(dict.fromkeys(recorded)) == ids


def test_the_record_of_a_notice_has_the_id_of_its_call(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejected request and an end that nobody knows are warned of once, with the id of the call that met them."""
    world.model("a", Act(status=400))
    world.model("b", Act(finish_reason="moon"))

    async def scenario() -> list[str]:
        async with router_of(world) as router:
            return [(await router.chat("x", chain=chain)).trace.id for chain in (["a", "b"], ["b"])]

    ids = clock.run(scenario())

    assert [record.call_id for record in caplog.records if record.levelno == logging.WARNING] == [ids[0]] * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["chat", "stream", "embed"])
def test_notices_about_a_calls_arguments_have_its_id(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """An unknown task and a parameter that looks misspelt are warned of as a part of the call that names them."""
    world.model("a", Act(text="one"))

    async def scenario() -> str:
        async with router_of(world, tasks={"default": ["a"]}) as router:
            asked: dict[str, Any] = {"task": "poetry", "params": {"temperatur": 1.0}}
            if how == "chat":
                return (await router.chat("x", **asked)).trace.id
            if how == "embed":
                return (await router.embed("x", **asked)).trace.id
            async with router.stream("x", **asked) as stream:
                return stream.trace.id

    call_id = clock.run(scenario())
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]

    assert [record.call_id for record in warnings] == [call_id] * 2  # type: ignore[attr-defined]
    assert [record.getMessage()[:8] for record in warnings] == ["unknown ", "paramete"]


def test_the_end_of_an_attempt_has_its_answer(clock: Clock, world: World) -> None:
    """Also one that was not accepted; its text is not in the event's `repr`, which listeners print."""
    world.model("a", Act(text="secret"))
    world.model("b", Act(status=500))
    world.model("c", Act(text="fine"))
    events: list[AttemptEnded] = []

    async def scenario() -> None:
        listen = lambda event: events.append(event) if isinstance(event, AttemptEnded) else None  # noqa: E731
        async with router_of(world, listen) as router:
            await router.chat("x", chain=["a", "b", "c"], accept=lambda reply: reply.text == "fine", retry=1)

    clock.run(scenario())

    assert [None if event.reply is None else event.reply.text for event in events] == ["secret", None, "fine"]
    assert ["secret" in repr(event) for event in events] == [False] * 3


def test_ids_of_a_seeded_router_repeat(clock: Clock, world: World) -> None:
    """With a seed they are the same in each run; without one no two routers have the same."""
    world.model("a")

    async def scenario() -> list[str]:
        found = []
        for seed in (1, 1, None, None):
            async with Router(world.config(), transport=world.transport(), seed=seed) as router:
                found.append((await router.chat("x", model="a")).trace.id)
        return found

    one, two, three, four = clock.run(scenario())
    assert one == two
    assert len({one, three, four}) == 3


def test_every_record_has_a_call_id(caplog: pytest.LogCaptureFixture) -> None:
    """Records about no call have "", so that a format may name it."""
    logging.getLogger("asyncrouter").warning("about nothing")

    assert [record.call_id for record in caplog.records] == [""]  # type: ignore[attr-defined]
