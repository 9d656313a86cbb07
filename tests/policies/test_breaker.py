"""When a breaker opens, how long it stays open, and how its probes close it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter._policies.breaker import FIRST_OPEN_SECONDS, FORCED, Breaker

if TYPE_CHECKING:
    from collections.abc import Callable

NO_JITTER = 0.0


class Dice(Random):
    """A random generator that draws the same share of every range."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__(0)
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + self.share * (b - a)


def of_a_model(*, share: float = NO_JITTER, told: Callable[[str, str], None] = lambda *_: None) -> Breaker:
    """A breaker like that of a model, with this share of the jitter."""
    return Breaker(Dice(share), told, in_a_row=3, quiet=4.0, longest=15.0)


def of_a_host() -> Breaker:
    """A breaker like that of a host."""
    return Breaker(Dice(), lambda *_: None, in_a_row=5, quiet=0.0, longest=60.0)


def fails(breaker: Breaker, now: float, why: str = "no") -> None:
    """Make a call that fails at once."""
    breaker.failed(breaker.enter(now, 10.0), now, why)


def succeeds(breaker: Breaker, now: float) -> None:
    """Make a call that is answered at once."""
    breaker.succeeded(breaker.enter(now, 10.0), now)


def opened(now: float = 0.0, **options: float) -> Breaker:
    """A breaker that has opened at this instant."""
    breaker = of_a_model(**options)  # type: ignore[arg-type]
    for _ in range(3):
        fails(breaker, now)
    assert breaker.state == "open"
    return breaker


# ── when it opens ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_three_failures_in_a_row_open_it() -> None:
    """The third failure in a row opens a model's breaker, which then says why and for how long."""
    breaker = of_a_model()
    fails(breaker, 1.0)
    fails(breaker, 2.0)
    assert breaker.refusal(2.0) is None

    fails(breaker, 3.0, "it broke")

    assert str(breaker.refusal(4.0)) == "breaker open for 4.00 s more: it broke"


def test_an_answer_between_failures_starts_the_row_anew() -> None:
    """An answer begins the count of failures in a row anew."""
    breaker = of_a_model()
    for instant, act in enumerate([fails, fails, succeeds, fails, fails]):
        act(breaker, 10.0 * instant)

    assert breaker.state == "closed"


@pytest.mark.parametrize(("after", "state"), [(3.9, "closed"), (4.0, "open")])
def test_a_row_is_no_outage_while_others_are_answered(after: float, state: str) -> None:
    """Three failures in a row open a model's breaker only if the last answer is four seconds old."""
    breaker = of_a_model()
    succeeds(breaker, 10.0)
    for _ in range(3):
        fails(breaker, 10.0 + after)

    assert breaker.state == state


@pytest.mark.parametrize(("calls", "failures", "state"), [(20, 10, "open"), (19, 10, "closed"), (20, 9, "closed")])
def test_half_of_twenty_calls_in_thirty_seconds(calls: int, failures: int, state: str) -> None:
    """At least 20 calls of which at least half failed open a breaker, in whatever order they fail."""
    breaker = of_a_model()
    for number in range(calls):
        (fails if number >= calls - failures else succeeds)(breaker, number * 0.1)

    assert breaker.state == state


def test_what_is_thirty_seconds_old_is_forgotten() -> None:
    """Calls that are more than 30 seconds old do not count."""
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
    """The fifth failure in a row opens a host's breaker, however recent the last answer is."""
    breaker = of_a_host()
    succeeds(breaker, 0.0)
    for _ in range(4):
        fails(breaker, 0.1)
    assert breaker.state == "closed"

    fails(breaker, 0.1)

    assert breaker.state == "open"


# ── how long it stays open ────────────────────────────────────────────────────────────────────────────────────────────


def test_five_seconds_then_twice_as_long_each_time() -> None:
    """A model's breaker stays open 5 s, 10 s, then 15 s, exact to the instant."""
    breaker, now, spans = opened(), 0.0, []
    for _ in range(5):
        spans.append(breaker.until - now)
        assert breaker.refusal(breaker.until - 1e-6) is not None
        now = breaker.until
        assert breaker.refusal(now) is None
        fails(breaker, now)

    assert spans == [5.0, 10.0, 15.0, 15.0, 15.0]


def test_a_host_is_asked_again_after_a_quarter_of_its_outage() -> None:
    """Beyond 15 s a host's open time is a quarter of the time since it first opened, and a minute at most."""
    breaker, now, spans = of_a_host(), 0.0, []
    for _ in range(5):
        fails(breaker, now)
    for _ in range(14):
        spans.append(breaker.until - now)
        now = breaker.until
        fails(breaker, now)

    assert spans[:6] == [5.0, 10.0, 15.0, 15.0, 15.0, 15.0]
    assert spans[6] == pytest.approx(75.0 / 4)
    assert (max(spans), spans[-1], spans[-2]) == (60.0, 60.0, 60.0)


@given(st.floats(0, 1))
def test_jitter_is_a_tenth_at_most(share: float) -> None:
    """Open times are longer by up to a tenth, and never shorter."""
    assert opened(share=share).until == pytest.approx(FIRST_OPEN_SECONDS * (1.0 + 0.1 * share))


@pytest.mark.parametrize(("calm", "span"), [(60.0, 10.0), (60.1, 5.0)])
def test_after_a_minute_closed_it_begins_with_the_shortest_time(calm: float, span: float) -> None:
    """The open time starts at 5 s again only after the breaker was closed for more than a minute."""
    breaker = opened()
    succeeds(breaker, 5.0)
    for _ in range(3):
        fails(breaker, 5.0 + calm)

    assert breaker.until - (5.0 + calm) == pytest.approx(span)


# ── half open ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_probe_at_a_time() -> None:
    """A half-open breaker lets one call through, and no other until that one has ended."""
    breaker = opened()
    breaker.enter(5.0, 10.0)

    assert str(breaker.refusal(6.0)) == "breaker half-open, a probe is under way: no"


def test_an_answered_probe_closes_it() -> None:
    """One answered probe closes the breaker and empties its window."""
    breaker = opened()
    succeeds(breaker, 5.0)
    assert (breaker.state, breaker.refusal(5.0)) == ("closed", None)

    for _ in range(2):
        fails(breaker, 10.0)

    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_longer() -> None:
    """A failed probe opens the breaker again, for twice as long."""
    breaker = opened()
    fails(breaker, 6.0)

    assert (breaker.state, breaker.until) == ("open", 16.0)


def test_a_probe_that_says_nothing_gives_its_permit_back() -> None:
    """A probe that ends without a verdict leaves the breaker half-open and frees its permit."""
    breaker = opened()
    breaker.released(breaker.enter(5.0, 10.0))

    assert (breaker.state, breaker.refusal(5.0)) == ("half_open", None)


def test_a_permit_that_is_not_given_back_lapses() -> None:
    """A permit that nobody gives back lapses, and the late result of its call does not count."""
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
    """Results of calls that were sent before the breaker changed its state do not count."""
    breaker = of_a_model()
    before = [breaker.enter(0.0, 10.0) for _ in range(8)]
    for generation in before[:3]:
        breaker.failed(generation, 1.0, "no")
    until = breaker.until

    breaker.succeeded(before[3], 2.0)
    breaker.failed(before[4], 3.0, "no")
    breaker.released(before[5])
    assert (breaker.state, breaker.until) == ("open", until)

    succeeds(breaker, until)
    for generation in before[5:]:
        breaker.failed(generation, until + 9.0, "no")
    assert breaker.state == "closed"


def test_a_forced_answer_closes_it_and_a_forced_failure_changes_nothing() -> None:
    """The answer of a call that was forced through closes the breaker, and its failure changes nothing."""
    breaker = opened()
    until = breaker.until
    assert breaker.enter(1.0, 10.0) == FORCED

    breaker.failed(FORCED, 1.0, "no")
    breaker.released(FORCED)
    assert (breaker.state, breaker.until) == ("open", until)
    breaker.succeeded(FORCED, 2.0)

    assert breaker.state == "closed"


def test_each_change_of_state_is_told_once() -> None:
    """Each change of state is told once, with the last failure."""
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
    """After any history, one call is let through once the longest open time and a permit's lapse are over."""
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
    """After any history, no second probe is let through while one holds the permit."""
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
