"""Breakers and rescues in a replay: the router's rules, from one recorded call to the next."""

from __future__ import annotations

from asyncrouter._policies import breaker, lateness, model_state, rescue_budget
from asyncrouter.bench import AttemptRow, Policy, replay, replay_standing
from asyncrouter.bench.policy_run import Bucket, PolicyRun
from asyncrouter.bench.replay_standing import PlayedBreaker, rescue_delay
from tests.helpers.recorded import USD, answer, failure, recorded_call


def test_the_copied_constants_are_the_router_s() -> None:
    """A door may not import the router's private constants, so it has copies of them."""
    copies = replay_standing

    assert (copies.IN_A_ROW, copies.QUIET_SECONDS, copies.LONGEST_OPEN) == (
        model_state.MODEL_IN_A_ROW, model_state.MODEL_QUIET_SECONDS, model_state.MODEL_LONGEST_OPEN)
    assert (copies.OPEN_SECONDS, copies.RESET_AFTER) == (breaker.FIRST_OPEN_SECONDS, breaker.RESET_AFTER)
    assert (copies.RESCUE_EARLIEST, copies.RESCUE_LATEST, copies.RESCUE_GAIN) == (
        lateness.RESCUE_EARLIEST, lateness.RESCUE_LATEST, lateness.RESCUE_GAIN)
    assert (copies.RATE_ALONE, copies.RATE_BESIDE_HEDGE) == (
        rescue_budget.RATE_ALONE, rescue_budget.RATE_BESIDE_HEDGE)


def test_three_failures_in_a_row_open_a_breaker() -> None:
    """For 5 s, then for 10 and 15 as probes fail; an answer closes it."""
    one = PlayedBreaker()
    for at in (0.0, 1.0, 2.0):
        one.failed(at)

    assert (one.refuses(6.9), one.refuses(7.1)) == (True, False)
    one.failed(8.0)
    assert (one.refuses(17.9), one.refuses(18.1)) == (True, False)
    one.failed(20.0)
    assert (one.refuses(34.9), one.refuses(35.1)) == (True, False)
    one.succeeded(36.0)
    assert one.refuses(36.1) is False


def test_failures_beside_answers_do_not() -> None:
    """A model that has answered within four seconds is not down."""
    one = PlayedBreaker()
    one.succeeded(0.0)
    for at in (1.0, 2.0, 3.0):
        one.failed(at)

    assert one.refuses(3.1) is False


def test_a_model_that_always_misses_its_timeout_is_skipped() -> None:
    """Of sixty calls, one a second, a answers after 1 s and may take 0.5: most calls go to b at once."""
    a = AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD)
    b = AttemptRow("b", "fallback", "won", sent=0.0, first=0.25, ended=0.25, cost_usd=USD)
    calls = [recorded_call(float(at), a, b) for at in range(60)]
    with_breaker, without = replay(calls, [Policy(first_token=0.5), Policy(first_token=0.5, breaker=False)],
                                   imputations=1)

    assert (with_breaker.measures["p50_e2e"].value, without.measures["p50_e2e"].value) == (0.25, 0.75)
    assert 1.0 < (with_breaker.measures["attempts"].value or 0.0) < 1.2


def test_a_model_goes_although_its_breaker_refuses_when_no_other_is_left() -> None:
    """As in the router: a call that nobody else could answer is sent."""
    breakers = {"a": PlayedBreaker(open=True, until=9.0), "b": PlayedBreaker()}
    given = {"a": answer("a", 1.0, 2.0), "b": failure("b", 0.5)}
    outcome = PolicyRun(Policy(), ("a", "b"), float("inf"), given.__getitem__, lambda _: 0.0).run(
        Bucket(None), breakers=breakers)

    assert (outcome.seconds, outcome.model, outcome.sent) == (2.5, "a", 2)


def test_a_silent_model_is_rescued() -> None:
    """In 2 % of the calls a is silent for 20 s: b is asked after 2 s, and answers within one."""
    def call(at: int, first: float) -> AttemptRow:
        return AttemptRow("a", "first", "won", sent=0.0, first=first, ended=first, cost_usd=USD)

    b = AttemptRow("b", "hedge", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD)
    calls = [recorded_call(float(at), call(at, 20.0 if at % 50 == 0 else 0.5), b) for at in range(400)]
    rescued, alone = replay(calls, [Policy(), Policy(rescue=False)], imputations=1)

    assert (rescued.measures["p99_e2e"].value, alone.measures["p99_e2e"].value) == (3.0, 20.0)
    assert str(alone.policy) == "a → b, no hedge, no rescue"


def test_when_a_rescue_is_worth_its_request() -> None:
    """Never before 2 s nor after 10 s, and after 1.2 times the p95 of the model's first contents."""
    quick, other = [answer("a", 0.5, 1.0)] * 99, [answer("b", 1.0, 2.0)]

    assert rescue_delay([*quick, answer("a", 30.0, 31.0)], other) == 2.0
    assert rescue_delay([answer("a", 3.0 + at / 100.0, 5.0) for at in range(100)], other) == 10.0
    assert rescue_delay([], other) == 10.0
