"""When a breaker opens, how long it stays open, and how it finds out that all is well again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter import AllModelsFailed, Hedge, Reply, Retry, Router, StateChanged
from asyncrouter._policies.breaker import FIRST_OPEN_SECONDS, FORCED, Breaker
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, REJECTED, SILENT, Tried, ask, asked, models_sent, play, script, tried

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE = Retry(attempts=1)
BUSY = Act(status=500)
NO_JITTER = 0.0


class Dice(Random):
    """Draws the same share of every range."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__(0)
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + self.share * (b - a)


def of_a_model(*, share: float = NO_JITTER, told: Callable[[str, str], None] = lambda *_: None) -> Breaker:
    """The breaker of a model, with the jitter a test wants."""
    return Breaker(Dice(share), told, in_a_row=3, quiet=4.0, longest=15.0)


def of_a_host() -> Breaker:
    """The breaker of a host."""
    return Breaker(Dice(), lambda *_: None, in_a_row=5, quiet=0.0, longest=60.0)


def fails(breaker: Breaker, now: float, why: str = "no") -> None:
    """A call that fails at once."""
    breaker.failed(breaker.enter(now, 10.0), now, why)


def succeeds(breaker: Breaker, now: float) -> None:
    """A call that is answered at once."""
    breaker.succeeded(breaker.enter(now, 10.0), now)


def opened(now: float = 0.0, **options: float) -> Breaker:
    """One that has opened at this instant."""
    breaker = of_a_model(**options)  # type: ignore[arg-type]
    for _ in range(3):
        fails(breaker, now)
    assert breaker.state == "open"
    return breaker


# ── when it opens ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_three_failures_in_a_row_open_it() -> None:
    """Two do not; the third does, and says why and for how long."""
    breaker = of_a_model()
    fails(breaker, 1.0)
    fails(breaker, 2.0)
    assert breaker.refusal(2.0) is None

    fails(breaker, 3.0, "it broke")

    assert str(breaker.refusal(4.0)) == "breaker open for 4.00 s more: it broke"


def test_an_answer_between_failures_starts_the_row_anew() -> None:
    """Two failures, an answer and two failures are no row of three."""
    breaker = of_a_model()
    for instant, act in enumerate([fails, fails, succeeds, fails, fails]):
        act(breaker, 10.0 * instant)

    assert breaker.state == "closed"


@pytest.mark.parametrize(("after", "state"), [(3.9, "closed"), (4.0, "open")])
def test_a_row_is_no_outage_while_others_are_answered(after: float, state: str) -> None:
    """Three in a row open it only when the last answer was four seconds ago: where calls are many, rows are chance."""
    breaker = of_a_model()
    succeeds(breaker, 10.0)
    for _ in range(3):
        fails(breaker, 10.0 + after)

    assert state == breaker.state


@pytest.mark.parametrize(("calls", "failures", "state"), [(20, 10, "open"), (19, 10, "closed"), (20, 9, "closed")])
def test_half_of_twenty_calls_in_thirty_seconds(calls: int, failures: int, state: str) -> None:
    """Half of at least twenty calls, in whatever order they fail."""
    breaker = of_a_model()
    for number in range(calls):
        (fails if number >= calls - failures else succeeds)(breaker, number * 0.1)

    assert state == breaker.state


def test_what_is_thirty_seconds_old_is_forgotten() -> None:
    """Failures of the last half minute count, those before it do not."""
    breaker = of_a_model()
    for _ in range(9):
        succeeds(breaker, 0.0)
        fails(breaker, 0.0)
    for _ in range(9):
        succeeds(breaker, 31.0)
        fails(breaker, 31.0)
    assert breaker.state == "closed"

    succeeds(breaker, 32.0)
    fails(breaker, 32.0)

    assert breaker.state == "open"


def test_a_host_takes_five_in_a_row() -> None:
    """Four lost connections say nothing yet, whatever was answered a moment ago."""
    breaker = of_a_host()
    succeeds(breaker, 0.0)
    for _ in range(4):
        fails(breaker, 0.1)
    assert breaker.state == "closed"

    fails(breaker, 0.1)

    assert breaker.state == "open"


# ── how long it stays open ───────────────────────────────────────────────────────────────────────────────────────────


def test_five_seconds_then_twice_as_long_each_time() -> None:
    """5, 10, then 15 s, where the time of a model ends; exactly to the instant."""
    breaker, now, spans = opened(), 0.0, []
    for _ in range(5):
        spans.append(breaker.until - now)
        assert breaker.refusal(breaker.until - 1e-6) is not None
        now = breaker.until
        assert breaker.refusal(now) is None
        fails(breaker, now)

    assert spans == [5.0, 10.0, 15.0, 15.0, 15.0]


def test_a_host_is_asked_again_after_a_quarter_of_its_outage() -> None:
    """Up to a minute, but beyond 15 s never for more than a quarter of the time it has been down."""
    breaker, now, spans = of_a_host(), 0.0, []
    for _ in range(5):
        fails(breaker, now)
    for _ in range(14):
        spans.append(breaker.until - now)
        now = breaker.until
        fails(breaker, now)

    assert spans[:6] == [5.0, 10.0, 15.0, 15.0, 15.0, 15.0]
    assert spans[6] == pytest.approx(75.0 / 4)
    assert 60.0 == max(spans) == spans[-1] == spans[-2]


@given(st.floats(0, 1))
def test_jitter_is_a_tenth_at_most(share: float) -> None:
    """Open times are longer by up to a tenth, so that a fleet does not probe in step; never shorter."""
    assert opened(share=share).until == pytest.approx(FIRST_OPEN_SECONDS * (1.0 + 0.1 * share))


@pytest.mark.parametrize(("calm", "span"), [(60.0, 10.0), (60.1, 5.0)])
def test_after_a_calm_minute_it_begins_with_the_shortest_time(calm: float, span: float) -> None:
    """A model that breaks again within the minute is out twice as long as the last time."""
    breaker = opened()
    succeeds(breaker, 5.0)
    for _ in range(3):
        fails(breaker, 5.0 + calm)

    assert breaker.until - (5.0 + calm) == pytest.approx(span)


# ── half open ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_probe_at_a_time() -> None:
    """When its time is up one call is let through, and no second one until it has ended."""
    breaker = opened()
    breaker.enter(5.0, 10.0)

    assert str(breaker.refusal(6.0)) == "breaker half-open, a probe is under way: no"


def test_an_answered_probe_closes_it() -> None:
    """One answer is enough, and the window is empty again."""
    breaker = opened()
    succeeds(breaker, 5.0)
    assert (breaker.state, breaker.refusal(5.0)) == ("closed", None)

    for _ in range(2):
        fails(breaker, 10.0)

    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_longer() -> None:
    """And nobody else is let through until then."""
    breaker = opened()
    fails(breaker, 6.0)

    assert (breaker.state, breaker.until) == ("open", 16.0)


def test_a_probe_that_says_nothing_gives_its_permit_back() -> None:
    """Cancelled, superseded, the caller's fault: it neither closes nor sticks; the next call may probe."""
    breaker = opened()
    breaker.released(breaker.enter(5.0, 10.0))

    assert (breaker.state, breaker.refusal(5.0)) == ("half_open", None)


def test_a_permit_that_is_not_given_back_lapses() -> None:
    """A leak costs the time of one attempt, not an outage for ever; what it brings in the end belongs to the past."""
    breaker = opened()
    leaked = breaker.enter(5.0, 10.0)
    assert breaker.refusal(14.9) is not None
    assert breaker.refusal(15.0) is None
    again = breaker.enter(15.0, 10.0)

    breaker.failed(leaked, 16.0, "late")
    assert (breaker.state, breaker.refusal(16.0) is not None) == ("half_open", True)
    breaker.released(leaked)
    assert breaker.refusal(16.0) is not None
    breaker.succeeded(again, 17.0)

    assert breaker.state == "closed"


def test_results_of_the_past_do_not_count() -> None:
    """Calls sent before it opened neither close it nor open it again."""
    breaker = of_a_model()
    before = [breaker.enter(0.0, 10.0) for _ in range(8)]
    for generation in before[:3]:
        breaker.failed(generation, 1.0, "no")
    until = breaker.until

    breaker.succeeded(before[3], 2.0)
    breaker.failed(before[4], 3.0, "no")
    breaker.released(before[5])
    assert ("open", until) == (breaker.state, breaker.until)

    succeeds(breaker, until)
    for generation in before[5:]:
        breaker.failed(generation, until + 9.0, "no")
    assert breaker.state == "closed"


def test_a_forced_answer_closes_it_and_a_forced_failure_changes_nothing() -> None:
    """The last one that could answer is asked though it is open; only good news from that counts."""
    breaker = opened()
    until = breaker.until
    assert breaker.enter(1.0, 10.0) == FORCED

    breaker.failed(FORCED, 1.0, "no")
    breaker.released(FORCED)
    assert ("open", until) == (breaker.state, breaker.until)
    breaker.succeeded(FORCED, 2.0)

    assert breaker.state == "closed"


def test_each_change_of_state_is_told_once() -> None:
    """With the failure that caused it."""
    told: list[tuple[str, str]] = []
    breaker = of_a_model(told=lambda state, why: told.append((state, why)))
    for _ in range(4):
        fails(breaker, 0.0, "it broke")
    breaker.enter(5.0, 1.0)
    succeeds(breaker, 6.0)

    assert told == [("breaker open", "it broke"), ("breaker half-open", "it broke"), ("breaker closed", "it broke")]
    assert repr(breaker) == "<Breaker closed, 0 failures in a row>"


Step = tuple[str, float, int]


WHATS = st.sampled_from(["enter", "ok", "failed", "left", "leak"])


@given(st.lists(st.tuples(WHATS, st.floats(0, 8), st.integers(0, 9))))
def test_whatever_happens_it_never_sticks(steps: list[Step]) -> None:
    """After any history: within its longest time and a lapsed permit one call is let through, and closes it."""
    breaker, now = of_a_model(), 0.0
    held: list[int] = []
    for what, pause, which in steps:
        now += pause
        if what == "enter":
            held.append(breaker.enter(now, 5.0))
        elif held:
            generation = held.pop(which % len(held))
            if what == "ok":
                breaker.succeeded(generation, now)
            elif what == "failed":
                breaker.failed(generation, now, "no")
            elif what == "left":
                breaker.released(generation)
        assert breaker.state in {"closed", "open", "half_open"}
        assert breaker.until <= now + 15.0

    now += 15.0 + 5.0
    assert breaker.refusal(now) is None
    succeeds(breaker, now)

    assert breaker.state == "closed"


@given(st.lists(st.tuples(st.floats(0, 6), st.sampled_from(["failed", "left", "leak"])), max_size=40))
def test_while_half_open_there_is_one_probe_in_its_time(steps: list[tuple[float, str]]) -> None:
    """However probes end, no second one is let through while one holds the permit."""
    breaker, now, busy_until = opened(), 0.0, 0.0
    for pause, end in steps:
        now += pause
        if breaker.refusal(now) is not None:
            continue
        assert now >= busy_until
        generation, busy_until = breaker.enter(now, 5.0), now + 5.0
        if end == "failed":
            breaker.failed(generation, now, "no")
        elif end == "left":
            breaker.released(generation)
        busy_until = busy_until if end == "leak" else now


# ── in a whole router ────────────────────────────────────────────────────────────────────────────────────────────────


async def asks(router: Router, times: int, pause: float = 0.0, **options: object) -> list[object]:
    """So many calls, one after the other."""
    results: list[object] = []
    for _ in range(times):
        results.append(await ask(router, **{"retry": ONCE, **options}))  # type: ignore[arg-type]
        await asyncio.sleep(pause)
    return results


@pytest.mark.parametrize(
    "act", [BUSY, Act(status=529), Act(fault="refuse"), Act(fault="html"), Act(fault="cut"), Act(text="")],
    ids=["500", "529", "refused", "html", "cut", "empty"],
)  # fmt: skip
def test_a_model_that_fails_is_left_alone(clock: Clock, world: World, act: Act) -> None:
    """After three failures nobody asks it until its time is up; the next model answers at once."""
    script(world, act, HEALTHY)

    replies = play(clock, world, lambda router: asks(router, 9, pause=0.5))

    assert asked(world) == [3, 9, 0]
    assert all(isinstance(reply, Reply) for reply in replies)


@pytest.mark.parametrize(
    "act", [REJECTED, Act(status=429), Act(why="context"), Act(status=413)], ids=["400", "429", "context", "413"]
)
def test_what_is_no_fault_of_the_model_opens_nothing(clock: Clock, world: World, act: Act) -> None:
    """The caller's mistakes and rate limits are not counted."""
    script(world, act, HEALTHY)

    play(clock, world, lambda router: asks(router, 9, pause=10.0))

    assert asked(world) == [9, 9, 0]


def test_losers_and_cancelled_calls_open_nothing(clock: Clock, world: World) -> None:
    """Nobody is at fault when another was faster, or when the caller has left."""
    script(world, Act(first_token=3.0), HEALTHY)

    async def scenario(router: Router) -> None:
        await asks(router, 5, chain=["a", "b"], hedge=Hedge(after=1.0, budget=1.0))
        for _ in range(5):
            task = asyncio.create_task(ask(router, chain=["a"]))
            await asyncio.sleep(1.0)
            task.cancel()
            await asyncio.wait([task])
        await ask(router, chain=["a", "b"])

    play(clock, world, scenario)

    assert asked(world) == [11, 5, 0]


def test_timeouts_count(clock: Clock, world: World) -> None:
    """Three silent attempts in a row open it."""
    script(world, SILENT, HEALTHY)

    play(clock, world, lambda router: asks(router, 5), defaults={"first_token": 1.0})

    assert asked(world) == [3, 5, 0]


def test_the_deadline_is_not_the_models_fault(clock: Clock, world: World) -> None:
    """A call that had no time left says nothing about the model."""
    script(world, Act(first_token=2.0))

    async def scenario(router: Router) -> str:
        await asks(router, 5, chain=["a"], deadline=1.0)
        return router.health()["a"].breaker

    assert play(clock, world, scenario) == "closed"


def test_an_open_breaker_ends_the_retries(clock: Clock, world: World) -> None:
    """The failure that opens it is not followed by another try of the same model."""
    script(world, BUSY, HEALTHY)

    result = play(clock, world, lambda router: ask(router, retry=Retry(attempts=9, base=0.0)))

    assert asked(world) == [3, 1, 0]
    assert isinstance(result, Reply)


def test_the_last_model_is_tried_though_its_breaker_is_open(clock: Clock, world: World) -> None:
    """When nobody else could answer an open breaker is no reason to give up; an answer closes it."""
    script(world, BUSY)

    async def scenario(router: Router) -> list[str]:
        results = await asks(router, 5, chain=["a"])
        assert all(isinstance(result, AllModelsFailed) for result in results)
        states = [router.health()["a"].breaker]
        script(world, HEALTHY)
        assert isinstance(await ask(router, chain=["a"]), Reply)
        return [*states, router.health()["a"].breaker]

    assert play(clock, world, scenario) == ["open", "closed"]
    assert asked(world)[0] == 6


def test_of_several_open_ones_the_last_is_tried(clock: Clock, world: World) -> None:
    """All breakers are open: the steps before the last are passed over, the last one is asked."""
    script(world, BUSY, BUSY)

    async def scenario(router: Router) -> object:
        await asks(router, 3, chain=["a", "b"])
        return await ask(router, chain=["a", "b"], retry=ONCE)

    result = play(clock, world, scenario)

    assert tried(result.trace) == [
        Tried("a", "first", "not_sent", "NotSent", ended=0.0),
        Tried("b", "fallback", "failed", "ServerFailed", 500, 0.0, 0.0),
    ]  # type: ignore[attr-defined]


def test_breakers_can_be_switched_off(clock: Clock, world: World) -> None:
    """With `breaker = "off"` every call tries the first model first, and nothing is told."""
    script(world, BUSY, HEALTHY)
    events: list[object] = []

    play(
        clock, world, lambda router: asks(router, 9), listeners=(events.append,),
        defaults={"breaker": "off"},
    )  # fmt: skip

    assert asked(world) == [9, 9, 0]
    assert not [event for event in events if isinstance(event, StateChanged)]


def test_a_host_that_cannot_be_reached_takes_its_models_with_it(clock: Clock, world: World) -> None:
    """Five lost connections in a row, at whichever of its models, and none of them is tried until its time is up."""
    script(world, Act(fault="refuse"), Act(fault="refuse"), HEALTHY)
    events: list[object] = []

    async def scenario(router: Router) -> list[list[str]]:
        await asks(router, 2, chain=["a", "b", "sim-openai:c"])
        await ask(router, chain=["a", "sim-openai:c"], retry=ONCE)
        return [models_sent(await ask(router, chain=["d", "sim-openai:c"]))]

    seen = play(clock, world, scenario, listeners=(events.append,))

    assert seen == [["sim-openai:c"]]
    changes = [event for event in events if isinstance(event, StateChanged)]
    assert [(each.subject, each.state) for each in changes] == [("sim", "breaker open"), ("a", "breaker open")]


@pytest.mark.parametrize("act", [HEALTHY, REJECTED, Act(status=429), BUSY], ids=["200", "400", "429", "500"])
def test_any_response_shows_that_a_host_is_there(clock: Clock, world: World, act: Act) -> None:
    """A host's breaker asks whether it can be reached, not what it says."""
    script(world, Act(fault="refuse"), Act(fault="refuse"), HEALTHY)

    async def scenario(router: Router) -> list[str]:
        await asks(router, 3, chain=["a", "b", "sim-openai:c"])
        script(world, act, HEALTHY)
        await asyncio.sleep(6.0)
        await ask(router, chain=["a", "sim-openai:c"], retry=ONCE)
        return models_sent(await ask(router, chain=["b", "sim-openai:c"]))

    assert play(clock, world, scenario) == ["b"]


def test_an_outage_from_its_beginning_to_its_end(clock: Clock, world: World) -> None:
    """Opened by the third failure, probed when its time is up, closed by the first answer; each is told once."""
    world.model("a", BUSY).at(7.0, HEALTHY)
    world.model("b")
    heard: list[tuple[str, str]] = []

    def listen(event: object) -> None:
        if isinstance(event, StateChanged):
            heard.append((event.subject, event.state))

    async def scenario(router: Router) -> list[tuple[str, str]]:
        seen = []
        for _ in range(6):
            reply = await ask(router, chain=["a", "b"], retry=ONCE)
            assert isinstance(reply, Reply)
            seen.append((reply.model, router.health()["a"].breaker))
            await asyncio.sleep(2.0)
        return seen

    seen = play(clock, world, scenario, listeners=(listen,))

    assert seen == [("b", "closed"), ("b", "closed"), ("b", "open"), ("b", "open"), ("b", "open"), ("a", "closed")]
    assert heard == [("a", "breaker open"), ("a", "breaker half-open"), ("a", "breaker closed")]
