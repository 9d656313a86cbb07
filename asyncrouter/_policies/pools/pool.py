"""The state of one pool: who could be asked now, which of them a call goes to, and where it queues when none could.

Theory of operation. `choose()` is one synchronous step: it looks at the members, and the chosen one's lease is taken
before anything else happens. So a thousand calls at once see each other.

Which members could be asked is not worked out for each call, but when something has changed (`look_again`), and from
time to time (`_look`): those that nothing refuses, are not left out as slow, and have room under slow start. Slow is
who takes longer than the others (`band.py`), or than it used to (`slowness.py`): the band compares whole answers, and a
member that hangs, and so loses its races, gives none. Unless nothing refuses anybody, the one that is picked is then
asked by its own policies; if they refuse it, or its limits would make the call wait, the next one is picked. So a call
hardly costs more for ten members than for two.

When none could go at once, the call waits in the queues of all of them with one ticket (`pacing.py`), and goes with the
first member whose turn it is. So all waiting calls of a pool stand in one queue, and nobody waits for a slow member
while another one is free.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from asyncrouter._events import Notice
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.pools.affinity import Affinity
from asyncrouter._policies.pools.band import Band
from asyncrouter._policies.pools.picking import LEAVE_OUT_SLOW, RULES, by_function, least_busy, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from asyncrouter._config.plan import PlannedPool
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.pools.picking import Rule
    from asyncrouter._policies.refusal import Refusal

LOOK_SECONDS: Final = 0.1
"""Seconds between two looks while a member is away, slow, or has just come back; longer where answers take long."""
LOOKS_AN_ANSWER: Final = 20.0
"""Looks in the time of a usual answer at most."""
CALM_SECONDS, CALM_CALLS = 1.0, 10
"""Seconds between two looks while all members serve, and calls for each member after which the next one comes sooner:
they show that a member has become slow. Holds and breakers say so at once."""


class PoolState:
    """The members of one pool. `refusal(member, now)` says why a member may not be asked, `None` when it may.

    `notice` gives notice of what a function of the user's has done wrong.
    """

    __slots__ = (
        "_away", "_band", "_calls_left", "_look_at", "_next_try", "_notice", "_pick", "_pool", "_random", "_ready",
        "_refusal", "_rule", "_slow", "_starting", "_usual_rule", "affinity", "counts_tokens", "members",
        "nothing_refuses",
    )

    def __init__(
        self, pool: PlannedPool, members: Sequence[Member], random: Random,
        refusal: Callable[[Member, float], Refusal | None], notice: Callable[[Notice], None],
    ) -> None:
        self.members = members
        self.affinity = Affinity(members)
        self._pool = pool
        self._pick = pool.pick
        self._rule = RULES.get(pool.pick) if isinstance(pool.pick, str) else None
        self._usual_rule: Rule | None = None  # the same while each that is ready may be picked
        self._random = random
        self._refusal = refusal
        self._notice = notice
        self._band = Band()
        self._away: set[int] = set()
        self._ready: list[Member] = list(members)
        self._slow: list[Member] = []
        self._next_try = inf  # the instant before which none of the slow ones is tried
        self._starting = False
        self.nothing_refuses = False
        """Whether nothing refuses any member, nor could without `look_again`."""
        self.counts_tokens = any(one.state.limits.counts_tokens for one in members)
        """Whether any member has a limit of tokens, as of the last look."""
        self._look_at = -inf
        self._calls_left = 0  # calls until the next look

    def __repr__(self) -> str:
        return f"<PoolState {self._pool.name}: {len(self._ready)} of {len(self.members)} ready, {self._band!r}>"

    def why_slow(self, member: Member) -> str:
        """Why a member is left out as slow, as of the last look, in figures; "" if it is not."""
        return self._band.why_out(member) if self._pick in LEAVE_OUT_SLOW else ""

    def look_if_due(self, now: float) -> None:
        """Look at the members before somebody is told of them: the last call, which looked, may be long ago."""
        if now >= self._look_at:
            self._look(now)

    def look_again(self) -> None:
        """Note that something has changed: a member may be held, its breaker open, or its limits others."""
        self.nothing_refuses, self._usual_rule, self._look_at = False, None, -inf

    def is_trial(self, member: Member, now: float) -> bool:
        """Whether a call that goes to a member now finds out if it is as fast as the others, or as it was, again."""
        if member not in self._slow:
            return False
        absence = self._band.out.get(member.index)
        return absence.is_due(member, now) if absence is not None else member.state.slowness.place(now) == "probe"

    def choose(
        self, now: float, rank: Rank = Rank.FIRST, tokens: float = 0.0, without: Collection[int] = (), *,
        step: bool = True,
    ) -> Member | None:
        """The member that a call goes to at this instant; `None` when it would have to wait for each.

        `rank`, `tokens`: what it asks of their limits. `without`: the indexes of members that it should not go to.
        `step`: whether the call counts for the weights.
        """
        self._calls_left -= 1
        if now >= self._look_at or self._calls_left < 0:
            self._look(now)
        if now >= self._next_try and (tried := self._to_be_tried(now, rank, tokens, without)) is not None:
            return tried
        if self._usual_rule is not None and not without:  # the same as below, in fewer steps
            chosen = self._usual_rule(self._ready, self._random)
            if chosen.state.limits.unlimited or chosen.state.pacer.may_go(tokens, rank):
                return chosen
            without = {chosen.index}
        found = self._choose_among(self._ready, now, rank, tokens, without, step=step)
        if found is None and self._slow:
            found = self._choose_among(self._slow, now, rank, tokens, without, step=step)
        return found

    def for_hedge(self, members: Sequence[Member], session: str | None, now: float) -> Member:
        """Which of these members a hedge is sent to: one where the session is warm, a quick one, the least busy one."""
        warm: Sequence[int] = () if session is None else self.affinity.warm(session, now)
        rank = {index: place for place, index in enumerate(warm)}

        def rule(one: Member) -> tuple[bool, int, int]:
            return one.state.slow or one.index in self._band.out, rank.get(one.index, 0), one.slots.running

        return min(members, key=rule)

    def _choose_among(
        self, members: Sequence[Member], now: float, rank: Rank, tokens: float, without: Collection[int], *, step: bool
    ) -> Member | None:
        if without or self._starting:
            members = [one for one in members if one.index not in without and one.is_offered_more()]
        if self._rule is None:
            able = [one for one in members if self._could_go(one, now, rank, tokens)]
            if not able:
                return None
            return weighted(able, step=step) if self._pick == "weighted" else self._by_function(able)
        while members:
            chosen = self._rule(members, self._random)
            if self._could_go(chosen, now, rank, tokens):
                return chosen
            members = [one for one in members if one is not chosen]
        return None

    def _by_function(self, able: Sequence[Member]) -> Member:
        assert callable(self._pick)
        try:
            chosen = by_function(self._pick, able)
            fault = "returned none of the members"
        except Exception as error:
            chosen, fault = None, f"raised {type(error).__name__}: {error}"
        if chosen is None:
            self._notice(Notice(self._pool.name, f"pick of {self._pool.name} {fault}; the least busy one is taken"))
            chosen = least_busy(able, self._random)
        return chosen

    def _could_go(self, member: Member, now: float, rank: Rank, tokens: float) -> bool:
        if not self.nothing_refuses and self._refusal(member, now) is not None:
            self._away.add(member.index)
            self._look_at = min(self._look_at, now + LOOK_SECONDS)
            return False
        return member.state.pacer.may_go(tokens, rank)

    def _to_be_tried(
        self, now: float, rank: Rank, tokens: float, without: Collection[int]
    ) -> Member | None:
        for member in self._slow:
            if member.index not in without and self.is_trial(member, now):
                return member if self._could_go(member, now, rank, tokens) else None
        return None

    def _look(self, now: float) -> None:
        """Work out who could be asked."""
        present = self.members if self.nothing_refuses else self._present(now)
        self.counts_tokens = any(one.state.limits.counts_tokens for one in self.members)
        if len(self.members) > 1:
            self._band.look(present, now)
        out, before = self._left_out(present), self._slow
        self._ready = [one for one in present if one.index not in out]
        self._slow = [one for one in present if one.index in out]
        for member in before:
            if member in self._ready and not member.state.slow:
                member.came_back()
        self._starting = any(one.starting for one in present)
        self._next_try = min((self._tried_from(one) for one in self._slow), default=inf)
        self._usual_rule = self._rule if self.nothing_refuses and self._ready and not self._starting else None
        self._calls_left = CALM_CALLS * len(self.members)
        if self.nothing_refuses and not (self._slow or self._starting or self._band.out):
            self._look_at = now + CALM_SECONDS
        else:
            best = self._band.best
            self._look_at = now + max(LOOK_SECONDS, best / LOOKS_AN_ANSWER if best < inf else 0.0)

    def _tried_from(self, member: Member) -> float:
        """The instant from which on a call may find out whether a slow member is quick again."""
        absence = self._band.out.get(member.index)
        return member.state.slowness.next_probe if absence is None else absence.next_try

    def _present(self, now: float) -> list[Member]:
        """The members that nothing refuses; notes who has gone, who is back, and whether anything could refuse one."""
        present = []
        for member in self.members:
            if self._refusal(member, now) is not None:
                self._away.add(member.index)
                continue
            if member.index in self._away:
                self._away.discard(member.index)
                member.came_back()
            present.append(member)
        self.nothing_refuses = not self._away and all(one.state.breakers_closed for one in present)
        return present

    def _left_out(self, present: Sequence[Member]) -> Collection[int]:
        """The indexes of the members that are left out as slow; where all are slower than they were, that is no reason.
        """
        if self._pick not in LEAVE_OUT_SLOW:
            return ()
        slower = {one.index for one in present if one.state.slow}
        return self._band.out.keys() | slower if len(slower) < len(present) else self._band.out
