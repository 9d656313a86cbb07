"""Invariants of pools: siblings before the next step, attempts within their number, and the rules of picking."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter._config.places import Places

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9
MOST_MEMBERS = 2
"""Members that a step asks at most, of those that fail for another reason than their limit or key."""
FINAL = frozenset({"NotAccepted", "Refused", "ContextTooLong", "DeadlineExceeded", "OverBudget"})
"""Errors after which no sibling is asked: it would say the same."""
UNAVAILABLE = 503
"""The status that names a limit, too, where it asks for a pause."""
NANO = 1_000_000_000
"""Nano-dollars in a US dollar."""
MOST_TIMES_MEAN, MOST_ABOVE = 1.5, 4.0
"""A member is overloaded beyond so many times the mean of those that serve, and so many requests more."""
COLD_AFTER = 300.0
"""Seconds without a call after which a session is nowhere any more."""
NEARLY = 1.25
"""Times the shortest median up to which members are equally fast."""
WINDOW = 100
"""Calls over which the weights of a pool are kept, to within one call for each other member."""


def members_are_named(run: FinishedRun) -> None:
    """An attempt that was sent at a pool names the member that was asked, and its provider; others name none."""
    for one in run.tries:
        attempt, pool = one.attempt, run.places.get(one.attempt.model)
        if attempt.sent is None:
            continue
        if pool is None and attempt.member is not None:
            run.flag("member", f"{one} is no pool's, and names {attempt.member}")
        if pool is None:
            continue
        if one.model not in _names(pool) or attempt.provider != run.scenario.models[one.model].of_all_keys[1]:
            run.flag("member", f"{one} names {attempt.member} at {attempt.provider}")


def siblings_come_first(run: FinishedRun) -> None:
    """After a failure at one member of a pool another one is asked, if one could be, before the next step of the chain.
    """
    for one, after in _followed(run):
        pool = run.places.get(one.attempt.model)
        kind = type(one.attempt.error).__name__
        if pool is None or after.attempt.model == one.attempt.model or kind in FINAL:
            continue
        if kind == "AttemptTimeout" and "deadline" in getattr(one.attempt.error, "message", ""):
            continue
        mine = [other for other in run.by_call[one.call.number] if other.attempt.model == one.attempt.model]
        asked = {other.model for other in mine if other.queued <= one.ended + NEAR}
        failed = sum(other.sent is not None and not _is_of_place(other) for other in mine)
        too_dear = min((_price(run, other.model) for other in mine if _is_over_budget(other)), default=inf)
        free = [name for name in _names(pool) if name not in asked and _price(run, name) < too_dear
                and could_be_asked(run, name, one.ended)]
        if all(_is_slow(run, name, one.ended) for name in _names(pool)):
            continue  # the pool is last, for all of its members have become slow
        chain = [step.name for step in one.call.plan.steps]
        if after.attempt.model in chain[:chain.index(one.attempt.model)]:
            continue  # that one had been put off while it was slow
        if _has_used_its_attempts(run, one):
            continue
        if free and failed < MOST_MEMBERS:
            run.flag("sibling", f"{one}, {one.model}, was followed by {after.model}, though {free[0]} could be asked")


def _has_used_its_attempts(run: FinishedRun, last: MatchedAttempt) -> bool:
    """Whether the step of this attempt has made all requests that were given to its members; limits are among them."""
    settings = next(step.retry for step in last.call.plan.steps if step.name == last.attempt.model)
    failed = 0
    for one in reversed([one for one in run.by_call[last.call.number] if one.attempt.number <= last.attempt.number]):
        if one.attempt.model == last.attempt.model:
            failed += one.sent is not None and one.attempt.outcome == "failed"
        elif one.attempt.cause not in {"hedge", "rescue"}:
            break  # before that it was another step, or an earlier turn of this one
    return settings.attempts_given and failed >= settings.attempts * len(_names(run.places[last.attempt.model]))


def attempts_are_kept(run: FinishedRun) -> None:
    """Where a number of attempts was given, a step that is a pool makes no more for each member."""
    for number, tries in run.by_call.items():
        plan = tries[0].call.plan
        for name in run.scenario.pools:
            steps = [step for step in plan.steps if step.name == name]
            if not steps or not all(step.retry.attempts_given for step in steps):
                continue
            most = sum(step.retry.attempts for step in steps) * len(_names(run.places[name]))
            mine = [one for one in tries if one.attempt.model == name and one.sent is not None]
            asked = sum(one.attempt.cause not in {"hedge", "rescue", "restart"} for one in mine)
            if asked > most and not any(one.attempt.cause == "restart" for one in tries):
                run.flag("attempts", f"call {number}: {asked} requests at {name}, {most} allowed")


def weights_are_kept(run: FinishedRun) -> None:
    """On a calm day any hundred calls in a row are shared by the weights, within one call for each other member."""
    for name in run.scenario.pools if run.scenario.calm else ():
        pool = run.places[name]
        if pool.pick != "weighted":
            continue
        weights = {one.name: one.weight for one in pool.members}
        firsts = [one for one in run.tries if one.attempt.model == name and one.attempt.cause == "first"
                  and one.sent is not None and "session" not in one.call.behaviour.options]
        asked = [one.model for one in sorted(firsts, key=lambda one: (one.sent or 0.0, one.call.number))]
        for begin in range(max(0, len(asked) - WINDOW + 1)):
            counts = Counter(asked[begin:begin + WINDOW])
            for member, weight in weights.items():
                share = WINDOW * weight / sum(weights.values())
                if abs(counts[member] - share) > len(weights) - 1 + NEAR:
                    run.flag("weights", f"{name}: {counts[member]} of {WINDOW} calls to {member}, not {share:.1f}")
                    return


def the_first_is_first(run: FinishedRun) -> None:
    """On a calm day all calls go to the first member where that is the rule, and to the cheapest where that is."""
    for one in run.tries if run.scenario.calm else ():
        pool = run.places.get(one.attempt.model)
        by_rule = one.attempt.cause == "first" and "session" not in one.call.behaviour.options
        if pool is None or one.sent is None or not by_rule:
            continue
        names = _names(pool)
        if pool.pick == "first" and one.model != names[0]:
            run.flag("first", f"{one} went to {one.model}, not to {names[0]}")
        if pool.pick == "cheapest" and _price(run, one.model) > min(_price(run, name) for name in names) + NEAR:
            run.flag("cheapest", f"{one} went to {one.model}, which is not the cheapest")


def the_least_busy_is_asked(run: FinishedRun) -> None:
    """On a calm day no member is asked that has more requests than another one that is as good.

    For "least-busy" that is any that is not left out as slow. For "fastest" it is one whose answers are about as quick
    as the quickest, or not known yet; and no other is asked.
    """
    for one in run.tries if run.scenario.calm else ():
        pool = run.places.get(one.attempt.model)
        by_rule = one.attempt.cause == "first" and "session" not in one.call.behaviour.options
        if pool is None or pool.pick not in {"least-busy", "fastest"} or one.exchange is None or not by_rule:
            continue
        ready = [member for member in one.exchange.pools[one.attempt.model]
                 if not member.left_out and not run.was_held(member.name, one.exchange.at)]
        if all(member.name != one.model for member in ready):
            continue  # it is tried again, or all others are starting
        quickest = min((member.seconds for member in ready if member.seconds is not None), default=inf)
        limit = NEARLY * quickest if pool.pick == "fastest" else inf
        good = [member.name for member in ready if member.seconds is None or member.seconds <= limit]
        busy = {name: one.exchange.beside.get(name, 0) for name in _names(pool)}
        if one.model not in good:
            run.flag("fastest", f"{one} went to {one.model}, and {good} are quicker: {ready}")
        elif busy[one.model] > min(busy[name] for name in good):
            run.flag("least busy", f"{one} went to {one.model} of {good}, with {busy}")


def the_books_are_the_bill(run: FinishedRun) -> None:
    """What was spent of a budget is the sum of what its attempts have cost, each rounded to a nano-dollar."""
    if not run.record.has_listener or run.record.closed_at < run.record.recovered_at:
        return  # nobody has the traces of all calls
    bill: Counter[tuple[str, str]] = Counter()
    for one in run.tries:
        if one.sent is None or run.models[one.model].usd_per_mtok is None:
            continue
        cost = round((one.attempt.cost_usd or 0.0) * NANO)
        bill["", ""] += cost
        if one.call.behaviour.tenant is not None:
            bill["tenant", one.call.behaviour.tenant] += cost
    for account, spent in run.record.books.items():
        if spent != bill[account.tag, account.value]:
            run.flag("books", f"{account}: {spent} spent, the bill is {bill[account.tag, account.value]}")


def sessions_stay(run: FinishedRun) -> None:
    """On a calm day a call of a session goes where the session is, unless that is overloaded; then to one that is not.
    """
    for name in run.scenario.pools if run.scenario.calm else ():
        places = _Places(run, name)
        mine = [one for one in run.tries if one.attempt.model == name and "session" in one.call.behaviour.options]
        for one in sorted((one for one in mine if _is_picked(one)), key=_sent):
            session = str(one.call.behaviour.options["session"])
            place = places.of(session, one)
            load = places.load(one)
            bound = MOST_TIMES_MEAN * sum(load.values()) / max(1, sum(map(bool, load.values()))) + MOST_ABOVE
            asked = {other.model for other in run.by_call[one.call.number] if other.attempt.number < one.attempt.number}
            if place is not None and place not in {one.model, *asked} and load[place] < bound - 1.0:
                run.flag("session", f"{one} of {session} went to {one.model}, the session is at {place}")
            if load[one.model] > bound + 1.0 and min(load.values()) < bound - 1.0:
                run.flag("load", f"{one} of {session} went to {one.model}, of {load}")


class _Places:
    """Where the sessions of a pool are, and how busy its members are."""

    def __init__(self, run: FinishedRun, name: str) -> None:
        self._run = run
        self._names = _names(run.places[name])
        self._events: dict[str, list[tuple[float, str]]] = {}
        for one in run.tries:
            session = one.call.behaviour.options.get("session")
            if one.attempt.model != name or session is None or one.sent is None:
                continue
            if _is_picked(one):  # a hedge moves nobody
                self._events.setdefault(str(session), []).append((one.sent, one.model))

    def of(self, session: str, one: MatchedAttempt) -> str | None:
        """The member that a session is on when an attempt is sent; `None` if that is not certain."""
        at = one.sent or 0.0
        before = [event for event in self._events[session] if event[0] < at - NEAR]
        if not before or any(abs(when - at) <= NEAR for when, place in self._events[session] if place != one.model):
            return None
        when, place = max(before)
        certain = all(which == place for other, which in before if other > when - NEAR) and at - when < COLD_AFTER
        return place if certain else None

    def load(self, one: MatchedAttempt) -> dict[str, int]:
        """How many requests each member had when an attempt was sent."""
        assert one.exchange is not None
        return {name: one.exchange.beside.get(name, 0) for name in self._names}


def _is_picked(one: MatchedAttempt) -> bool:
    return one.exchange is not None and one.attempt.cause not in {"hedge", "rescue"}


def _sent(one: MatchedAttempt) -> tuple[float, int]:
    return one.sent or 0.0, one.call.number


def _is_over_budget(one: MatchedAttempt) -> bool:
    return type(one.attempt.error).__name__ == "OverBudget"


def _price(run: FinishedRun, name: str) -> float:
    price = run.models[name].usd_per_mtok
    return 1e9 if price is None else price.input + price.output


def _followed(run: FinishedRun) -> Iterator[tuple[MatchedAttempt, MatchedAttempt]]:
    """Each attempt that was sent and has failed, and the one that came in its place, at the same instant."""
    for tries in run.by_call.values():
        chain = sorted((one for one in tries if one.attempt.cause not in {"hedge", "rescue"}),
                       key=lambda one: one.attempt.number)
        for one, after in pairwise(chain):
            raced = any(other is not one and other is not after and other.queued <= one.ended + NEAR
                        and other.ended >= one.ended - NEAR for other in tries)
            if one.sent is not None and one.attempt.outcome == "failed" and not raced:
                yield one, after


def _is_of_place(one: MatchedAttempt) -> bool:
    """Whether it has failed for a limit or a key, after which all members may be asked."""
    error = one.attempt.error
    if error is None:
        return False
    limited = type(error).__name__ == "RateLimited" or (error.status == UNAVAILABLE and bool(error.retry_after))
    return limited or one.attempt.scope == "key"


def _is_slow(run: FinishedRun, name: str, at: float) -> bool:
    told = [change.state for change in run.record.changes
            if change.subject == name and "slow" in change.state and change.at <= at]
    return told[-1:] == ["slow"]


def could_be_asked(run: FinishedRun, name: str, at: float) -> bool:
    """Whether nothing stood against a model at an instant, as far as the world and the events tell."""
    model, provider = run.scenario.models[name], run.scenario.models[name].provider
    limited = (model.rps, model.announced_rpm) != (None, None)
    configured = run.models[name]
    limited |= (configured.rpm, configured.tpm, configured.max_concurrent) != (None, None, None)
    if limited or not run.record.has_listener or run.record.blocked_between(at - 1.0, at + NEAR):
        return False
    trouble = provider in run.world.expected.key_trouble or run.was_held(name, at - NEAR, at + NEAR)
    return not trouble and run.breakers_closed(name, at)


def _names(pool: Places) -> list[str]:
    return [one.name for one in pool.members]


CHECKS: list[Callable[[FinishedRun], None]] = [
    members_are_named, siblings_come_first, attempts_are_kept, weights_are_kept, the_first_is_first,
    the_least_busy_is_asked, the_books_are_the_bill, sessions_stay,
]
