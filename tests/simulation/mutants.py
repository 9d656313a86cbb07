"""Routers broken on purpose, each in a way in which a library once was: the simulation must notice every one.

What a mutant repeats of the engine it repeats on purpose: the defect is in what it leaves out.
"""

from collections.abc import Mapping

from . import (
    mutants_blame,
    mutants_blocked,
    mutants_in_time,
    mutants_limits,
    mutants_memory,
    mutants_pace,
    mutants_pools,
    mutants_race,
    mutants_shared,
    mutants_waits,
)
from .mutation import MUTANTS

__all__ = [
    "CAUGHT_BY", "MUTANTS", "mutants_blame", "mutants_blocked", "mutants_in_time", "mutants_limits", "mutants_memory",
    "mutants_pace", "mutants_pools", "mutants_race", "mutants_shared", "mutants_waits",
]

CAUGHT_BY: Mapping[str, int] = {
    "accept_holds_the_slot": 1_000_118, "held_steps_are_lost": 1_000_115, "limited_hedges_are_lost": 1_000_110,
    "places_in_queues_are_kept": 1_000_115, "pointless_waits_go_on": 1_000_009, "reservations_are_kept": 1_000_077,
    "siblings_are_passed_over": 50, "pools_are_asked_for_ever": 5, "weights_are_chances": 38,
    "sessions_wander": 1, "sessions_crowd_their_members": 1, "members_are_not_named": 1,
    "budgets_are_checked_afterwards": 13, "estimates_are_booked": 13, "slow_start_for_all": 241,
    "the_cheapest_is_any": 1, "the_first_is_any": 9, "changes_are_not_heard": 60,
    "health_is_of_the_last_call": 837, "the_least_busy_is_any": 32, "the_fastest_is_any": 9, "a_dead_key_takes_all": 7,
    "settings_are_the_first_calls": 77,
    "limits_are_kept_alone": 41, "slots_are_counted_alone": 47, "turns_are_not_booked": 493, "holds_are_kept_alone": 50,
    "long_pauses_go_on": 5976, "free_first_is_for_ever": 17039,
    "pauses_have_no_end": 1_001_349, "the_last_free_is_waited_for": 1_000_749,
    "unhinted_limits_give_up": 1_000_015, "waits_are_charged": 1_000_015, "waits_count_as_attempts": 1_000_120,
    "a_burst_counts_as_many": 1_000_054, "a_callers_clock_blames_the_model": 1_000_009,
    "a_callers_key_is_ours": 1_000_001, "a_callers_limit_paces_the_others": 1_000_001,
    "answers_between_do_not_matter": 1_000_008, "definite_words_are_doubted": 1_000_004,
    "doubtful_failures_count_at_once": 1_000_000, "equal_requests_count": 1_000_004,
    "each_body_is_another_request": 2610, "hardly_late_timers_strike_at_once": 2688,
    "answers_are_spliced": 1_000_002, "bad_key_used_again": 1_000_021, "batch_goes_first": 1_000_001,
    "blocked_time_is_blamed": 1_000_008, "blocked_time_is_learned": 1_000_106,
    "breaker_sticks": 1_000_072, "budget_asked_too_early": 1_000_110, "cancellations_count": 1_000_001,
    "clocks_round_up": 1_000_000, "deadline_for_each_attempt": 1_000_044, "errors_are_mixed_up": 1_000_000,
    "estimates_pass_for_counts": 1_000_002, "every_429_cuts": 1_000_004, "failure_wins": 1_000_004,
    "failures_pay_for_retries": 1_000_079, "half_an_answer_will_do": 1_000_000, "headers_win": 1_000_002,
    "hedge_clock_too_fast": 1_000_051, "hedge_outlives_its_caller": 1_000_021,
    "hedges_queue": 1_000_004, "hedges_without_budget": 1_000_002,
    "hint_shortened": 1_000_000, "last_come_first_served": 1_000_005, "late_timers_strike_at_once": 1_000_014,
    "losers_are_awaited": 1_000_012, "losers_count": 1_000_042, "many_probes": 1_000_072, "neutral_closes": 1_000_013,
    "no_room_is_a_failure": 1_000_000, "no_room_is_the_hosts_fault": 1_000_000, "nobody_is_served_next": 1_000_000,
    "only_the_quick_are_counted": 1_000_001, "open_breaker_ignored": 1_000_001,
    "permit_leaks_on_cancel": 1_000_008, "permits_do_not_lapse": 1_000_360,
    "rate_limits_count": 1_000_004, "requests_turned_down_count": 1_000_005,
    "retried_beyond_its_attempts": 1_000_003, "retries_without_budget": 1_000_079, "retry_after_ignored": 1_000_001,
    "rpm_ignored": 1_000_001, "sent_after_its_deadline": 1_000_179, "settled_twice": 1_000_002,
    "sleeps_after_the_last_try": 1_000_000,
    "slots_leak_on_failure": 1_000_000, "slow_for_ever": 1_000_003, "stale_results_count": 1_000_013,
    "steps_are_forgotten": 1_000_000, "twins_take_turns": 1_000_055,
    "doubts_are_never_settled": 1_000_002, "one_request_opens_a_breaker": 1_000_004,
    "pauses_count_as_failures": 1_000_003, "own_size_limits_count": 1_000_003, "new_keys_are_not_asked_for": 1_000_007,
    "limits_run_while_blocked": 1_000_106, "announced_room_is_not_read": 1_000_028,
    "a_callers_tokens_are_ours": 1_000_077, "queues_for_tokens_take_no_time": 5109,
    "auto_limits_are_numbers": 1_000_213, "rescues_without_budget": 1_000_021, "first_words_confirm": 1_000_008,
    "races_beside_a_stream_run_on": 15, "races_beside_a_stream_are_raced": 12,
    "room_for_nobody": 515, "probes_do_not_become_rarer": 1_000_006, "rescues_at_once": 1_000_004,
    "rescues_whatever_was_asked": 1_000_021, "slow_at_once": 1_000_003, "slow_models_stay_first": 1_000_003,
}
"""The seeds that notice them. When days are drawn in another way, or the router goes another, others will be found."""
