"""The rules by which a pool picks one of the members that could be asked now; each is one synchronous step.

Ties are broken at random: a thousand calls at once are spread evenly, because each one counts as soon as it is picked;
but one call at a time would always go to the first of those that are idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._policies.pools.member import is_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from asyncrouter._policies.pools.member import Member

    Rule = Callable[[Sequence[Member], Random], Member]

NEARLY: Final = 1.25
"""Times the shortest median up to which members are equally fast for "fastest": their medians are known no better."""


def least_busy(members: Sequence[Member], random: Random) -> Member:
    """The member with the fewest requests in flight; in proportion to `max_concurrent`, where all have that."""
    loads: list[float] = [one.slots.running for one in members]
    if members[0].slots.limit is not None and all(one.slots.limit is not None for one in members):
        loads = [one.slots.running / (one.slots.limit or 1) for one in members]
    least = min(loads)
    if loads.count(least) == 1:
        return members[loads.index(least)]
    while loads[at := int(random.random() * len(loads))] != least:
        pass  # each of the least busy ones is as likely as another
    return members[at]


def fastest(members: Sequence[Member], random: Random) -> Member:
    """The member whose whole answers are quickest; of those that are about as quick, or not known yet, the least busy.
    """
    best = min((member.seconds for member in members if member.seconds is not None), default=None)
    if best is None:
        return least_busy(members, random)
    limit = NEARLY * best
    return least_busy([one for one in members if one.seconds is None or one.seconds <= limit], random)


def cheapest(members: Sequence[Member], random: Random) -> Member:
    """The member with the lowest price for a million tokens in and a million out; unknown ones come last."""
    lowest = min(member.price for member in members)
    return least_busy([member for member in members if member.price == lowest], random)


def first(members: Sequence[Member], random: Random) -> Member:
    """The member that stands before the others."""
    return members[0]


def weighted(members: Sequence[Member], *, step: bool) -> Member:
    """The member whose turn it is by smooth weighted round robin (nginx's): in any n calls each gets its share.

    All that could be asked earn their weight, and the richest pays the sum. Who cannot be asked neither earns nor pays.
    `step`: whether this call counts; a retry or hedge does not.
    """
    if not step:
        return max(members, key=lambda member: member.credit + member.weight)
    chosen, total = members[0], 0.0
    for member in members:
        member.credit += member.weight
        total += member.weight
        if member.credit > chosen.credit:
            chosen = member
    chosen.credit -= total
    return chosen


def by_function(function: Callable[..., object], members: Sequence[Member]) -> Member | None:
    """The member that a function of the user's has chosen; `None` if it has returned none of them. It may raise."""
    chosen = function([member.view() for member in members])
    if isinstance(chosen, list | tuple) and not hasattr(chosen, "_fields"):
        chosen = chosen[0] if chosen else None  # in the order of its preference
    return next((member for member in members if is_named(member, chosen)), None)


RULES: Final[dict[str, Rule]] = {
    "least-busy": least_busy, "fastest": fastest, "cheapest": cheapest, "first": first,
}
"""The rules that only look, by their names."""
LEAVE_OUT_SLOW: Final = frozenset({"least-busy", "fastest"})
"""The rules under which slow members are left out; the others say themselves whom they want."""
