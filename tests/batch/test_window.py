"""The window of a batch: its size follows the measured throughput, and what its size does not do changes nothing."""

from __future__ import annotations

from itertools import count
from math import inf

import pytest

from asyncrouter.batch._window import FLOOR, REST_ROUNDS, START, Window
from benchmarks.batch_window import SERVERS, Server, simulate, throughput


def answer(window: Window, number: int, seconds: float, *, full: bool = True) -> None:
    """Give the window so many answers of 100 tokens, each of so many seconds."""
    for _ in range(number):
        window.answered(window.epoch, seconds, 100.0, full=full)


def settled(seconds: float = 1.0) -> Window:
    """A window of 64 that the ramp has found: it gained nothing over 32."""
    window = Window(1024)
    answer(window, 8, seconds)
    answer(window, 16, seconds)
    answer(window, 32, 2 * seconds)
    assert (window.size, window.phase) == (64, "hold")
    return window


def test_it_begins_with_16_and_never_exceeds_its_most() -> None:
    """It begins with 16, or with its most if that is less, and the ramp ends at its most."""
    window = Window(20)

    assert (Window(5).size, window.size) == (5, 16)
    answer(window, 8, 1.0)
    answer(window, 10, 1.0)
    assert (window.size, window.phase) == (20, "hold")


def test_the_ramp_doubles_while_throughput_grows() -> None:
    """Each round of half its size doubles it while the seconds for a token stay the same."""
    window, sizes = Window(1024), []

    for _ in range(4):
        sizes.append(window.size)
        answer(window, max(8, window.size // 2), 1.0)

    assert sizes == [16, 32, 64, 128]


def test_the_ramp_goes_back_from_a_size_that_loses() -> None:
    """A doubling after which throughput falls is taken back as soon as that is clear."""
    window = Window(1024)
    answer(window, 8, 1.0)
    answer(window, 7, 4.0)

    assert window.size == 32
    answer(window, 1, 4.0)
    assert (window.size, window.phase) == (16, "hold")


def test_a_size_that_seems_to_lose_is_not_taken_back_while_calls_differ() -> None:
    """Two standard errors decide: eight calls whose seconds for a token differ widely say too little."""
    window = Window(1024)
    answer(window, 8, 1.0)

    for seconds in (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 16.0):
        answer(window, 1, seconds)

    assert (window.size, window.phase) == (32, "ramp")


def test_the_ramp_takes_half_a_step_where_a_doubling_gains_less_than_half() -> None:
    """After a gain of 1.6 the size doubles, after one of 1.4 it grows by the root of two."""
    window = Window(1024)

    answer(window, 8, 1.0)
    answer(window, 16, 2.0 / 1.6)
    assert window.size == 64
    answer(window, 32, 4.0 / 1.6 / 1.4)
    assert window.size == 90


def test_after_a_ramp_that_lost_the_neighbours_are_not_tried_for_long() -> None:
    """Both are known from the ramp: the first trial comes 24 rounds later."""
    window = Window(1024)
    answer(window, 8, 1.0)
    answer(window, 8, 4.0)

    rounds = next(number for number in count(1) if _one_round(window, 2.0) != "hold")

    assert rounds == REST_ROUNDS


def test_the_ramp_stops_when_calls_come_near_their_timeout() -> None:
    """It does not double when a call has taken a quarter of its timeout."""
    window = Window(1024, timeout=40.0)

    answer(window, 8, 11.0)

    assert (window.size, window.phase) == (16, "hold")


def test_calls_begun_before_the_last_change_do_not_count() -> None:
    """Answers to calls of an earlier size say nothing about this one."""
    window = Window(1024)
    answer(window, 8, 1.0)

    for _ in range(100):
        window.answered(0, 9.0, 100.0, full=True)

    assert (window.size, window.phase) == (32, "ramp")


def test_calls_that_do_not_fill_it_do_not_count() -> None:
    """Where rows are few, or wait for a limit or a reader, the size stays."""
    window = Window(1024)

    answer(window, 1000, 1.0, full=False)

    assert window.size == 16


def test_a_smaller_size_is_kept_when_it_loses_nothing() -> None:
    """After two rounds a smaller size is tried, and kept while throughput stays."""
    window = settled()
    answer(window, 128, 2.0)

    assert (window.size, window.phase) == (51, "smaller")
    answer(window, 51, 2.0 * 51 / 64)
    assert (window.size, window.phase) == (51, "hold")


def test_a_smaller_size_that_loses_is_not_tried_again_for_long() -> None:
    """A smaller size that loses throughput is taken back, and the next one is tried 24 rounds later."""
    window = settled()
    answer(window, 128 + 51, 2.0)
    assert (window.size, window.phase) == (64, "hold")

    rounds = next(number for number in count() if _one_round(window) == "smaller")

    assert rounds >= REST_ROUNDS - 1


def _one_round(window: Window, seconds: float | None = None) -> str:
    answer(window, max(32, window.size), 2.0 * window.size / 64 if seconds is None else seconds)
    return window.phase


def test_slower_answers_while_it_stands_still_shrink_nothing() -> None:
    """A server that becomes ten times as slow is no reason to shrink: that throughput is the new best."""
    window = settled()
    answer(window, 64, 2.0)

    answer(window, 64, 20.0)
    answer(window, 64, 20.0)
    assert (window.size, window.phase) == (51, "smaller")
    answer(window, 51, 20.0)  # at a smaller size less is answered: it is taken back

    assert (window.size, window.phase) == (64, "hold")


def test_a_timeout_cuts_it_once_in_the_time_of_a_call() -> None:
    """Of many calls that time out together only the first one cuts the size."""
    window = settled()
    epoch = window.epoch

    for _ in range(64):
        window.timed_out(epoch, 100.0, 60.0)
    window.timed_out(window.epoch, 101.0, 60.0)

    assert window.size == 44
    window.timed_out(window.epoch, 161.0, 60.0)
    assert window.size == 30


def test_an_answer_as_quick_as_before_returns_the_old_size() -> None:
    """After timeouts the first later call that is answered in the usual time returns the old size at once."""
    window = settled()
    window.timed_out(window.epoch, 100.0, 60.0)
    window.timed_out(window.epoch, 200.0, 60.0)

    answer(window, 1, 5.0)
    assert window.size == 30
    answer(window, 1, 3.9)
    assert window.size == 64


def test_it_never_falls_below_its_floor() -> None:
    """However many calls time out, two are left."""
    window = Window(1024)

    for number in range(20):
        window.timed_out(window.epoch, 100.0 * number, 60.0)

    assert window.size == FLOOR


def test_one_is_enough_where_no_more_may_run() -> None:
    """A most of one is kept through answers and timeouts."""
    window = Window(1)
    answer(window, 1000, 1.0)
    window.timed_out(window.epoch, 2000.0, 60.0)

    assert window.size == 1


@pytest.mark.parametrize("name", ["1 slot", "32 slots", "batching 64", "grows with each call"])
def test_it_finds_the_best_of_a_server(name: str) -> None:
    """It reaches at least 0.9 of the best fixed window after the first third of a run. (Over 1 s: five simulations.)"""
    server = SERVERS[name]
    seconds = 300.0
    fixed = max(throughput(simulate(server, size, seconds), seconds) for size in (START, 64, 256))

    found = throughput(simulate(server, Window(1024, 600.0), seconds), seconds)

    assert found / fixed >= 0.9


def test_a_slow_minute_costs_nothing_afterwards() -> None:
    """After a minute in which everything takes ten times as long, throughput is back within eight seconds."""
    server = Server(32, lambda running: 0.01, slow=(100.0, 160.0))

    run = simulate(server, Window(1024, inf), 180.0)

    assert run.between(164.0, 180.0) / run.between(60.0, 100.0) >= 0.9
