"""How long the whole answers of a member take now: a median that those under way are part of."""

from __future__ import annotations

import gc

from asyncrouter._policies.pools.answer_times import AnswerTimes, Usual


def answers(*seconds: float, at: float = 0.0) -> AnswerTimes:
    """The times of whole answers that took so long."""
    times = AnswerTimes()
    for one in seconds:
        times.end(times.begin(at), one, "won")
    return times


def test_the_median_needs_eight_answers() -> None:
    """Below eight answers there is a lower bound at most; from eight on the product-limit median."""
    assert answers(*[1.0] * 3).median(9.0) is None
    assert answers(*range(1, 8)).median(9.0) is None
    assert answers(*range(1, 9)).median(9.0) == Usual(4.0)


def test_requests_under_way_lengthen_the_median() -> None:
    """Eight answers of one second, and eight that have not come after nine: the median is that of all sixteen."""
    times = answers(*[1.0] * 8)
    for _ in range(9):
        times.begin(0.0)

    assert times.median(9.0) == Usual(9.0, bound=True)


def test_requests_just_sent_change_nothing() -> None:
    """A burst of fifty requests says nothing while it is younger than the answers."""
    times = answers(*[1.0] * 16)
    for _ in range(50):
        times.begin(9.0)

    assert times.median(9.5) == Usual(1.0)


def test_a_beaten_request_took_longer_than_that() -> None:
    """A loser of a race counts as one that would have taken longer; a failure says nothing."""
    times = answers(*[1.0] * 8)
    for _ in range(12):
        times.end(times.begin(0.0), 4.0, "superseded")
    for _ in range(20):
        times.end(times.begin(0.0), 0.1, "failed")

    assert times.median(9.0) == Usual(4.0, bound=True)


def test_a_member_that_hangs_has_a_lower_bound() -> None:
    """Four requests that have been under way for two seconds: its answers take two seconds at least."""
    times = AnswerTimes()
    for at in (0.0, 0.0, 0.0, 0.0, 1.0):
        times.begin(at)

    assert times.median(2.0) == Usual(2.0, bound=True)


def test_what_is_old_is_forgotten() -> None:
    """What was sent more than ten minutes ago says nothing about now."""
    times = answers(*[1.0] * 20)

    assert times.median(601.0) is None


def test_with_many_under_way_the_estimate_looks_further_back() -> None:
    """With 300 under way the answers before them are still seen."""
    times = answers(*[1.0] * 300)
    for _ in range(300):
        times.begin(9.0)

    assert times.median(9.2) == Usual(1.0)


def test_only_requests_after_a_return_count() -> None:
    """The median over those that were sent after the first twenty."""
    times = answers(*[9.0] * 20)
    for _ in range(8):
        times.end(times.begin(20.0), 1.0, "won")

    assert times.median(22.0, since=20) == Usual(1.0)


def test_requests_are_overdue_where_as_many_have_been_sent_so_long_ago_as_are_under_way() -> None:
    """Eight answers; then three requests: overdue from two seconds after the first on, and not once they have ended."""
    times = answers(*[1.0] * 8)
    running = [times.begin(at) for at in (10.0, 10.5, 11.0)]

    assert not times.is_overdue(12.0, 2.0)
    assert times.is_overdue(12.1, 2.0)
    for one in running:
        times.end(one, 2.2, "won")
    assert not times.is_overdue(99.0, 2.0)


def test_what_is_kept_is_nothing_for_the_garbage_collector() -> None:
    """A thousand answers that are kept are no objects that it has to look at each time."""
    times = AnswerTimes()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1000):
        times.end(times.begin(0.0), 1.0, "won")

    assert len(gc.get_objects()) == before


def test_a_request_that_is_forgotten_counts_as_ended() -> None:
    """Whoever ends after more than two thousand others is counted, and says nothing any more."""
    times = AnswerTimes()
    first = times.begin(0.0)
    for _ in range(2048):
        times.end(times.begin(1.0), 1.0, "won")
    times.end(first, 9.0, "won")

    assert (times.ended, times.answers, times.median(3.0)) == (2049, 2049, Usual(1.0))
