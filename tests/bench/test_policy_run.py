"""One call under another policy: the router's rules, applied to what was observed of each model."""

from __future__ import annotations

import numpy as np
import pytest

from asyncrouter._engine import remaining
from asyncrouter._policies import facade, token_bucket
from asyncrouter.bench import AttemptRow, Policy, policy_run
from asyncrouter.bench.policy_run import Bucket
from asyncrouter.bench.survival import Observation, observations
from tests.helpers.recorded import USD, answer, censored, failure, run_policy


def test_the_copied_constants_are_the_router_s() -> None:
    """A door may not import the router's private constants, so it has copies of them."""
    copies = policy_run.CAPACITY, policy_run.MIN_STEP_SECONDS, policy_run.RESERVE_SECONDS

    assert copies == (token_bucket.CAPACITY, remaining.MIN_STEP_SECONDS, facade.RESERVE_SECONDS)


@pytest.mark.parametrize(("given", "policy", "after", "seconds", "sent"), [
    ([answer("a", 1, 2)], Policy(), np.inf, 2, 1),
    ([failure("a", 1), answer("b", 1, 2)], Policy(), np.inf, 3, 2),
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(), 2, 4, 2),  # the hedge wins
    ([answer("a", 2.5, 6), answer("b", 1, 2)], Policy(), 2, 6, 2),  # the hedge is too late
    ([failure("a", 1), answer("b", 1, 2), answer("c", 1, 2)], Policy(), 1.5, 3, 2),
    ([answer("a", 9, 9), failure("b", 1), answer("c", 1, 2)], Policy(), 2, 5, 3),  # a failed hedge: the next one
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(first_token=3), np.inf, 5, 2),
    ([answer("a", 1, 6), answer("b", 1, 2)], Policy(total=3), np.inf, 5, 2),
    ([answer("a", 1, 6)], Policy(deadline=5), np.inf, np.inf, 1),
    ([answer("a", 4, 5), answer("b", 1, 2)], Policy(deadline=6), np.inf, 5, 2),  # silent for its share of 3 s
    ([answer("a", 1, 5.5), answer("b", 1, 1.5)], Policy(deadline=6), np.inf, 5.5, 2),  # answers, but leaves 2 s to b
    ([answer("a", 0.1, 0.2), answer("b", 0.1, 0.3)], Policy(deadline=0.4), np.inf, 0.3, 1),  # 0.2 s: not started
    ([failure("a", 1), failure("b", 1)], Policy(), np.inf, np.inf, 2),
])
def test_a_call_runs_as_in_the_router(
    given: list[Observation], policy: Policy, after: float, seconds: float, sent: int
) -> None:
    """Fallback, hedge, timeouts and the deadline's shares decide who answers, and when."""
    outcome = run_policy(policy, *given, after=after)

    assert (outcome.seconds, outcome.sent) == (seconds, sent)


def test_a_hedge_needs_a_token() -> None:
    """The bucket holds ten tokens at the start, and gets `rate` more with each call."""
    bucket = Bucket(0.1)
    hedged = [
        run_policy(Policy(), answer("a", 5, 6), answer("b", 1, 2), after=2, bucket=bucket).hedged for _ in range(30)
    ]

    assert sum(hedged[:20]) == 10 + 1
    assert sum(hedged) == 10 + 2


def test_a_cancelled_model_costs_between_its_prompt_and_its_answer() -> None:
    """Both ends are given."""
    outcome = run_policy(Policy(), answer("a", 5, 6), answer("b", 1, 2), after=2)

    assert (outcome.min_usd, outcome.max_usd) == (pytest.approx(1.1 * USD), pytest.approx(2 * USD))


@pytest.mark.parametrize(("given", "policy", "least", "most"), [
    ([answer("a", 5, 6)], Policy(total=2), 0.1, 1.0),  # its prompt
    ([failure("a", 5)], Policy(total=2), 0.1, 0.1),  # cut off before its free failure
    ([answer("a", 1, 3)], Policy(total=2), 0.1, 1.0),  # and the content until then, which was not recorded
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(total=3), 1.1, 2.0),
    ([answer("a", 5, 6)], Policy(deadline=2), 0.1, 1.0),
    ([answer("a", 1, 3)], Policy(deadline=2), 0.1, 1.0),
    ([answer("a", 1, 2)], Policy(total=2), 1.0, 1.0),
])
def test_a_timed_out_model_costs_between_its_prompt_and_its_answer(
    given: list[Observation], policy: Policy, least: float, most: float
) -> None:
    """The prompt at least, as the router bills an attempt without content; the whole answer at most."""
    outcome = run_policy(policy, *given)

    assert (outcome.min_usd, outcome.max_usd) == (pytest.approx(least * USD), pytest.approx(most * USD))


def test_an_observed_event_comes_before_a_censored_one_of_the_same_instant() -> None:
    """A model was overtaken at the very instant at which the hedge had content: the hedge wins again."""
    outcome = run_policy(Policy(), censored("a", 4.0), answer("b", 1.0, 2.0), after=3.0)

    assert (outcome.seconds, outcome.observed, outcome.model) == (5.0, True, "b")


@pytest.mark.parametrize("policy", [Policy(first_token=3), Policy(total=3), Policy(deadline=3)])
def test_a_timeout_that_cut_a_model_off_cuts_it_off_again(policy: Policy) -> None:
    """A model that took at least three seconds has failed a timeout of three seconds; that is observed."""
    outcome = run_policy(policy, censored("a", 3.0))

    assert (outcome.seconds, outcome.observed) == (np.inf, True)


def test_an_answer_that_was_cut_off_in_the_middle_has_an_unknown_end() -> None:
    """With the timeout that cut it off it fails again; without, it took at least that long."""
    cut = AttemptRow("a", "first", "failed", "AttemptTimeout", clock="total", sent=0.0, first=1.0, ended=3.0)
    [one] = observations([cut])
    patient, strict = run_policy(Policy(), one), run_policy(Policy(total=3), one)

    assert [(one.seconds, one.observed) for one in (patient, strict)] == [(3.0, False), (np.inf, True)]
