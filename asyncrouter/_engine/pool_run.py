"""One call at one pool: which of its members it has asked, and which may be asked next.

After a failure another member is asked before the next step of the chain: two members in all; as many as there are
where only their limits or keys have refused, or no other step could be sent. If the host is to blame, one of another
host comes first. A limit does not exclude its member: the call queues again for all of them, before those that have
come later. Where the budget does not pay for one, a cheaper one may still be asked. What is wrong with the answer
itself, or with the prompt, would be so at every member.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asyncrouter._config.budget import OverBudget
from asyncrouter._engine.claim import may_go_at_once
from asyncrouter._errors import ContextTooLong, NotAccepted, NotSent, Refused
from asyncrouter._policies.pools.queue import PoolTicket, join_several
from asyncrouter._policies.scope import is_a_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._config.plan import PlannedPool, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.pools.pool import PoolState
    from asyncrouter._policies.refusal import Refusal
    from asyncrouter._types import Call, Cause

MOST_LIMITS = 8
"""Requests that are turned down for a limit at most, where the call was given no deadline; as of a plain model."""
MOST_MEMBERS = 2
"""Members that a step asks at most while another step could be sent, of those that fail for another reason than their
limit or key: they serve the same model, and what fails twice had better be asked of the next one."""
NOBODY: Final[frozenset[int]] = frozenset()
"""No members, by their index."""


class PoolRun:
    """What one call has met at a pool. `running` are the members that it waits for an answer of now."""

    __slots__ = (
        "_keys", "_limits", "_pool", "again", "asked", "call", "engine", "failures", "index", "limited", "pinned",
        "running", "state", "without",
    )

    def __init__(self, engine: Engine, call: Call, pool: PlannedPool, index: int) -> None:
        """`index` is that of its step."""
        self.engine = engine
        self.index = index
        self._pool = pool
        self.call = call
        self.state: PoolState = engine.policies.pool_of(pool)
        self.asked = False
        """Whether a member has been asked before: the call goes before those that have come since."""
        self.running: tuple[Member, ...] = ()
        self.without: frozenset[int] = NOBODY
        """The members that have failed, by their index."""
        self.limited: frozenset[int] = NOBODY
        """Those that have turned the call down for a limit; they may be asked again."""
        self.pinned: Member | None = None
        """The member that the session of the call is on."""
        self.failures = 0
        """Members that have failed, not for a limit or key."""
        self.again = 0
        """Requests to a member that has just been asked, and was asked again after a pause."""
        self._limits = 0
        self._keys = 0  # requests that only the key of a member has refused

    def __repr__(self) -> str:
        return f"<PoolRun {self._pool.name}, without {len(self.without)} of {len(self.state.members)}>"

    def step_of(self, member: Member) -> PlannedStep:
        """The step of this call at a member, with its own settings: the state of the pool is common to all calls."""
        return self._pool.members[member.index]

    def own_key(self, member: Member) -> bool:
        """Whether the caller has brought a key of its own for a member."""
        return member.model.provider in self.call.own_keys

    def refusal_of(self, member: Member, now: float, *, forced: bool = False) -> Refusal | None:
        """Why a member may not be asked now; `None` when it may."""
        return self.engine.policies.refusal(member.model, now, forced=forced, own_key=self.own_key(member))

    def begin(self, member: Member) -> None:
        """A member is asked."""
        self.running += (member,)

    def end(self, member: Member) -> None:
        """Its answer is not waited for any more."""
        self.running = () if self.running == (member,) else tuple(one for one in self.running if one is not member)

    @property
    def left_out(self) -> frozenset[int]:
        """The members that have failed, or are being asked now, by their index."""
        return self.without.union([one.index for one in self.running]) if self.running else self.without

    def left(self) -> Iterator[Member]:
        """The members that have not failed, and are not being asked now."""
        return (one for one in self.state.members if one.index not in self.without and one not in self.running)

    def free_in(self, now: float, *, forced: bool = False) -> float:
        """Seconds until one of those could be asked, `inf` if none could; as of a plain model."""
        soonest = inf
        for member in self.left():
            refusal = self.refusal_of(member, now, forced=forced)
            if refusal is None:
                return 0.0
            soonest = min(soonest, inf if refusal.hold is None else refusal.hold)
        return soonest

    def refusal(self, now: float, *, forced: bool = False) -> Refusal | None:
        """Why none of those may be asked now: what is over first; `None` when one may."""
        found: list[Refusal] = []
        for member in self.left():
            refusal = self.refusal_of(member, now, forced=forced)
            if refusal is None:
                return None
            found.append(refusal)
        return min(found, key=lambda one: (inf if one.hold is None else one.hold, one.left), default=None)

    def expected_wait(self, now: float) -> float:
        """About how many seconds the call would wait for its turn at the first of those that may be asked."""
        policies, call = self.engine.policies, self.call
        waits = [
            policies.expected_wait(one.model, call.priority, own_key=self.own_key(one)) for one in self._able(now)
        ]
        return min(waits, default=inf)

    def _able(self, now: float) -> list[Member]:
        """Those that may be asked now; if none may, those that nothing but an open breaker stands against."""
        able = [one for one in self.left() if self.refusal_of(one, now) is None]
        return able or [one for one in self.left() if self.refusal_of(one, now, forced=True) is None]

    def join(self, cause: Cause, tokens: float, until: float, now: float) -> PoolTicket:
        """Queue up with all members that may be asked. Raises `NotSent` when none could let the call go in time."""
        able = self._able(now)
        if not able:
            raise NotSent("none of its members is left to ask")
        rank = self.engine.policies.rank(cause, self.call.priority)
        return join_several([one.state.pacer for one in able], self.engine.loop, rank, tokens, until)

    def count(self, now: float) -> int:
        """How many of those could be asked now, `MOST_MEMBERS` at most: as many steps the pool is for the deadline."""
        state = self.state
        if state.nothing_refuses and not (self.without or self.running):
            return min(MOST_MEMBERS, len(state.members))
        most, found = MOST_MEMBERS - self.failures, 0
        for member in self.left():
            if found >= most:
                break
            found += self.refusal_of(member, now) is None
        return found

    def may_go_at_once(self, now: float) -> Member | None:
        """A member that a hedge could be sent to now: of those that have no part in the call, the least busy one."""
        able = [one for one in self.left() if may_go_at_once(self.engine, self.call, self.step_of(one), now)]
        return self.state.for_hedge(able, self.call.session, now) if able else None

    def failed(self, member: Member | None, error: AttemptError, now: float, *, alone: bool) -> bool:
        """Note that the attempt at a member has failed; whether another one is asked before the next step.

        `alone`: no other step runs, nor could be sent.
        """
        if member is None:
            return False
        if isinstance(error, NotAccepted | Refused):
            self.without |= {member.index}  # nor is it raced with another one
            return False
        if isinstance(error, NotSent) and error.actionable and not isinstance(error, OverBudget):  # its key is not set
            self.engine.policies.disable_key(member.model, error)
        self.asked = True
        if is_a_limit(error):
            again = self.may_queue_again(member)
            self._limits += 1
            self.limited |= {member.index}
            return again and not self._has_tried_enough() and self.free_in(now) < inf
        if not isinstance(error, NotSent):
            self._keys += error.scope == "key"
            self.failures += error.scope != "key"
        self.without |= {member.index}
        if isinstance(error, OverBudget):
            self._leave_out_dear(member)
        if isinstance(error, ContextTooLong) and error.about_window:
            self._leave_out_small(member.model.context)
        if error.scope == "host":
            self._leave_out_host(member)
        asks_more = alone or self.failures < MOST_MEMBERS
        return asks_more and not self._has_tried_enough() and self.free_in(now) <= 0.0

    def may_queue_again(self, member: Member) -> bool:
        """Whether a call that has met a limit at a member goes back to the queue of all, without a pause of its own.

        Not where it has been turned down as often as there are members, no other one that has not may be asked now, and
        so few ask that there is no queue to spread their requests.
        """
        if self._limits < len(self.state.members) or self.engine.policies.queues(member.model):
            return True
        now, known = self.engine.time(), self.limited | {member.index}
        return any(one.index not in known and self.refusal_of(one, now) is None for one in self.left())

    def tried_before(self, attempts: int) -> int:
        """As how many requests to one member those to all of them count, where each may be asked so often."""
        return self._limits + self._keys + self.failures + self.again - attempts * (len(self.state.members) - 1)

    def _has_tried_enough(self) -> bool:
        settings = self._pool.members[0].retry
        if settings.attempts_given and self.tried_before(settings.attempts) >= settings.attempts:
            return True
        return self._limits >= MOST_LIMITS and not self.call.deadline_given

    def _leave_out_small(self, window: int | None) -> None:
        """Leave out the members whose context window is known to be no larger."""
        for member in self.state.members:
            other = member.model.context
            if window is not None and other is not None and other <= window:
                self.without |= {member.index}

    def _leave_out_dear(self, failed: Member) -> None:
        """Leave out the members that the budget does not pay for either: their price is no lower, or not known."""
        spending = self.engine.spending
        allows_unknown = spending is not None and spending.budget.unknown == "allow"
        for member in self.state.members:
            if member.price >= failed.price and not (allows_unknown and member.price == inf):
                self.without |= {member.index}

    def _leave_out_host(self, failed: Member) -> None:
        """Leave out the members at the same host, if one at another host could be asked."""
        now, host = self.engine.time(), _host_of(failed)
        others = [one for one in self.left() if _host_of(one) != host and self.refusal_of(one, now) is None]
        if others:
            self.without |= {one.index for one in self.state.members if _host_of(one) == host}


def _host_of(member: Member) -> str | None:
    return urlsplit(member.provider.base_url).netloc
