"""A limit that nobody announces: how its 429s lower the rate, how answers raise it, and when it is forgotten."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed
from asyncrouter._policies.hidden_limit import (
    CUT,
    FLOOR,
    FORGET_AFTER,
    MAX_GATE_SECONDS,
    MAX_GROWTH,
    RATE_AT_FIRST,
    STEP,
    STEP_AFTER_CROWD,
    STEP_DOUBLES_EVERY,
    STEP_INITIAL,
    STEP_NEAR_CEILING,
    HiddenLimit,
)
from asyncrouter.sim import Act
from tests.helpers.policies import router_with, sent

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def rejected_once(rate: float | None = None, *, ceiling: float | None = None) -> HiddenLimit:
    """A limit that has had its first 429 at 0 s, at this rate, and with its last 429 at the rate `ceiling`."""
    hidden = HiddenLimit()
    hidden.rejected(0.0, -1.0, hinted=True)
    if rate is not None:
        rate_of(hidden, rate)
    if ceiling is not None:
        hidden._ceiling = ceiling
    return hidden


def rate_of(hidden: HiddenLimit, rate: float | None = None) -> float:
    """The rate of the limit, set before to `rate` if given."""
    assert hidden.limit is not None
    if rate is not None:
        hidden.limit.rate = rate
    return hidden.limit.rate


def test_nothing_is_paced_before_the_first_rejection() -> None:
    """Before the first 429 no limit is known, however much is answered."""
    hidden = HiddenLimit()
    for number in range(100):
        hidden.answered(number / 100, number / 100)

    assert hidden.limit is None
    assert repr(hidden) == "<HiddenLimit unknown>"


def test_the_first_rejection_leaves_ten_a_second_until_more_got_through() -> None:
    """The first 429 leaves ten a second, and after a second the rate is what was answered in it."""
    hidden = rejected_once()
    assert rate_of(hidden) == RATE_AT_FIRST
    for number in range(30):
        hidden.answered(0.5 + number / 1000, 0.5 + number / 1000)
    hidden.answered(1.0, 1.0)

    assert rate_of(hidden) == 30.0


def test_a_rejection_takes_a_tenth() -> None:
    """A 429 lowers the rate by a tenth."""
    hidden = rejected_once(40.0)
    hidden.rejected(5.0, 4.5, hinted=True)

    assert rate_of(hidden) == 36.0


def test_a_burst_of_rejections_is_one() -> None:
    """The rate is cut once a second at most, and not for a request sent before the last cut."""
    hidden = rejected_once(40.0)
    hidden.rejected(5.0, 4.5, hinted=True)
    hidden.rejected(5.5, 5.2, hinted=True)
    hidden.rejected(9.0, 5.0, hinted=True)
    assert rate_of(hidden) == 36.0
    hidden.rejected(9.0, 5.1, hinted=True)

    assert rate_of(hidden) == pytest.approx(32.4)


@pytest.mark.parametrize(("answers", "left"), [(38, 36.0), (25, 25.0), (12, 20.0), (9, 36.0)])
def test_when_far_fewer_get_through_it_takes_more(answers: int, left: float) -> None:
    """A cut goes down to the answers of the last whole second, by half at most, if these are at least ten."""
    hidden = rejected_once(40.0, ceiling=40.0)
    for number in range(answers):
        hidden.answered(4.0 + number / 100, 4.0 + number / 100)
    hidden.rejected(5.0, 4.5, hinted=True)

    assert rate_of(hidden) == pytest.approx(left)


def test_three_a_minute_are_always_left() -> None:
    """However many 429s come, three requests a minute are left."""
    hidden = rejected_once()
    for second in range(1, 200):
        hidden.rejected(2.0 * second, 2.0 * second - 0.5, hinted=True)

    assert rate_of(hidden) == FLOOR


@pytest.mark.parametrize(("rate", "ceiling", "step"), [
    (10.0, inf, STEP_INITIAL), (10.0, 20.0, STEP), (18.9, 20.0, STEP), (19.1, 20.0, STEP_NEAR_CEILING),
    (21.9, 20.0, STEP_NEAR_CEILING), (22.1, 20.0, STEP), (1.0, 20.0, MAX_GROWTH), (1.0, 1.0, MAX_GROWTH),
])  # fmt: skip
def test_an_answer_raises_the_rate(rate: float, ceiling: float, step: float) -> None:
    """An answer raises the rate by 1 until the second 429, then by 0.04, by 0.01 near the last 429's rate,
    and by 0.4 % at most where the rate is slow.
    """
    hidden = rejected_once(rate, ceiling=ceiling)
    hidden.note_wait(5.0)
    hidden.answered(5.0, 5.0)

    assert rate_of(hidden) == pytest.approx(rate + step)


def test_requests_that_were_not_paced_say_nothing_about_the_pace() -> None:
    """An answer to a request that was sent before the first 429 does not raise the rate."""
    hidden = rejected_once(10.0)
    hidden.note_wait(0.5)
    hidden.answered(0.5, -1.0)
    hidden.answered(0.6, 0.0)

    assert rate_of(hidden) == 10.0


def met_by(calls: int, through: int) -> HiddenLimit:
    """A limit that so many calls at once have met, of which so many got through."""
    hidden = HiddenLimit()
    for _ in range(calls):
        hidden.sent(-0.1)
    for _ in range(calls - through):
        hidden.rejected(0.0, -0.1, hinted=False)
    return hidden


def test_a_crowd_shows_the_limit() -> None:
    """The rate begins with the number of a crowd that got through, and the next request with the next free place."""
    hidden = met_by(100, through=5)

    assert (rate_of(hidden), hidden.gate, hidden.met_by_crowd) == (5.0, 0.2, True)


def test_a_crowds_number_is_the_limit_at_the_second_rejection() -> None:
    """The second 429 cuts the rate at once, and near a crowd's number it grows slowly from then on."""
    hidden = met_by(100, through=5)
    hidden.note_wait(0.5)
    hidden.answered(0.5, 0.2)
    assert rate_of(hidden) == pytest.approx(5.0 + STEP_AFTER_CROWD * 2.0 ** (0.5 / STEP_DOUBLES_EVERY))
    hidden.rejected(0.8, 0.7, hinted=True)
    step = MAX_GROWTH * rate_of(hidden)
    hidden.note_wait(0.9)
    hidden.answered(0.9, 0.8)

    assert rate_of(hidden) == pytest.approx(CUT * (5.0 + STEP_AFTER_CROWD * 2.0 ** (0.5 / STEP_DOUBLES_EVERY)) + step)


def test_only_a_pace_that_holds_somebody_back_is_raised() -> None:
    """An answer does not raise the rate when the last request that waited for it did so more than a second ago."""
    hidden = rejected_once(10.0, ceiling=20.0)
    hidden.note_wait(5.0)
    hidden.answered(6.5, 6.5)

    assert rate_of(hidden) == 10.0


@pytest.mark.parametrize(("rate", "hinted", "gate"), [
    (40.0, False, 5.05), (1.0, False, 5.0 + MAX_GATE_SECONDS), (40.0, True, -inf),
])  # fmt: skip
def test_a_rejection_without_a_hint_is_followed_by_silence(rate: float, hinted: bool, gate: float) -> None:
    """After a 429 without a Retry-After nothing goes for two requests' time, 0.2 s at most."""
    hidden = rejected_once(rate / 0.9)
    hidden.rejected(5.0, 4.5, hinted=hinted)

    assert hidden.gate == pytest.approx(gate)


def test_a_limit_is_forgotten_after_five_minutes() -> None:
    """Five minutes after the last 429 the limit is forgotten."""
    hidden = rejected_once(10.0)
    hidden.answered(FORGET_AFTER, FORGET_AFTER)
    assert hidden.limit is not None
    hidden.answered(FORGET_AFTER + 0.1, FORGET_AFTER + 0.1)

    assert hidden.limit is None


def test_a_429_paces_all_calls_of_a_model(clock: Clock, world: World) -> None:
    """After a 429 the calls of a model go one after the other, and `health()` shows the rate."""
    world.model("a", Act(status=429), Act())

    async def scenario() -> tuple[float | None, list[float]]:
        async with router_with(world) as router:
            with pytest.raises(AllModelsFailed):
                await router.chat("x", chain=["a"])
            rate = router.health()["a"].rate
            return rate, await sent(world, router, 3)

    rate, times = clock.run(scenario())

    assert rate == RATE_AT_FIRST
    # Silent for two tickets, and then evenly.
    assert times == pytest.approx([0.0, 0.2, 0.3, 0.4], abs=0.02)


def test_503s_with_a_hint_are_a_limit_while_others_get_through() -> None:
    """A 503 with a Retry-After paces a model that serves others, and not one that is away."""
    serving, away = HiddenLimit(), HiddenLimit()
    for hidden, through in ((serving, 5), (away, 0)):
        for _ in range(100):
            hidden.sent(-0.1)
        for _ in range(100 - through):
            hidden.unavailable(0.0, -0.1)

    assert rate_of(serving) == 5.0
    assert away.limit is None


def test_a_model_that_goes_away_is_not_slowed_down_for_good() -> None:
    """503s more than five seconds after the last answer do not cut the rate."""
    hidden = rejected_once(40.0, ceiling=40.0)
    hidden.answered(10.0, 9.9)
    hidden.sent(16.0)
    hidden.unavailable(16.1, 16.0)

    assert rate_of(hidden) == 40.0
