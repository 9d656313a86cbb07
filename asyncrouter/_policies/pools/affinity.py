"""Sessions: the calls of one session go to one member of a pool, so that the provider's prompt cache serves them.

A session has a *home*: by rendezvous hashing (Thaler and Ravishankar, 1996) the member with the highest hash of session
and member. So every process agrees, and when a member leaves, only its own sessions move. The hash is BLAKE2, for
Python's own differs between processes, and is over the member's name (provider, key, model), not its place in the list.

A session stays where it is warm: going to another member costs a cold prompt, and so does going home. It leaves a
member that cannot be asked, has turned its call down for a limit, has become slow or is overloaded, for the next one in
the order of its hashes. It goes home when it has been idle for so long that the cache is cold anyway, or when it has to
leave its substitute.

Overloaded is a member with more requests in flight than one and a half times the mean, and four. Simulated with 1,000
sessions of 20 calls over five members: 99.5 % of the calls are on the session's main member, at most 1.09 times the
mean on any member; at a bound of 1.25 times 97.1 %.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter._policies.pools.member import Member

REMEMBERED: Final = 10_000
"""Sessions whose member is remembered; of older ones the home is as good a guess as any."""
COLD_AFTER: Final = 300.0
"""Seconds without a call after which a session's prompts are in no cache any more: Anthropic keeps them five minutes,
OpenAI five to ten."""
MOST_TIMES_MEAN: Final = 1.5
MOST_ABOVE: Final = 4.0
"""A member is overloaded beyond so many times the mean of requests in flight, and so many more."""


class Visit:
    """Where a session is: its member now, the one before (`inf`: never), and when each was last asked."""

    __slots__ = ("at", "before", "before_until", "last")

    def __init__(self, at: int, now: float) -> None:
        self.at = at
        self.last = now
        self.before: int | None = None
        self.before_until = -inf

    def __repr__(self) -> str:
        return f"<Visit at {self.at}, last at {self.last:g}>"


class Affinity:
    """The sessions of one pool. `members` are all of its members, in order."""

    __slots__ = ("_members", "_names", "_visits")

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._names = [b"\0" + member.name.encode() for member in members]
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Affinity {len(self._visits)} sessions>"

    def order(self, session: str) -> list[int]:
        """The members in the order in which the session prefers them; the first is its home."""
        prefix = blake2b(session.encode("utf-8", "surrogatepass"), digest_size=8)
        hashes = []
        for name in self._names:
            digest = prefix.copy()
            digest.update(name)
            hashes.append(digest.digest())
        return sorted(range(len(hashes)), key=hashes.__getitem__, reverse=True)

    def place(self, session: str, now: float, may_be_asked: Callable[[Member], bool]) -> Member | None:
        """The member that a call of the session goes to now; `None` if none may be asked."""
        visit = self._visits.get(session)
        if visit is not None and now - visit.last < COLD_AFTER:
            member = self._members[visit.at]
            if may_be_asked(member) and not self._is_overloaded(member):
                return self._visited(session, visit, visit.at, now)
        order = self.order(session)
        allowed = [index for index in order if may_be_asked(self._members[index])]
        if not allowed:
            return None
        free = next((index for index in allowed if not self._is_overloaded(self._members[index])), allowed[0])
        return self._visited(session, visit, free, now)

    def warm(self, session: str, now: float) -> list[int]:
        """The members that a hedge of the session's call should prefer: where it was lately, then in its order."""
        visit, order = self._visits.get(session), self.order(session)
        if visit is None or visit.before is None or now - visit.before_until > COLD_AFTER:
            return order
        return [visit.before, *(index for index in order if index != visit.before)]

    def _visited(self, session: str, visit: Visit | None, index: int, now: float) -> Member:
        if visit is None:
            visit = self._visits[session] = Visit(index, now)
            if len(self._visits) > REMEMBERED:
                self._visits.popitem(last=False)
        else:
            self._visits.move_to_end(session)
            if visit.at != index:
                visit.before, visit.before_until, visit.at = visit.at, visit.last, index
            visit.last = now
        return self._members[index]

    def _is_overloaded(self, member: Member) -> bool:
        running = [one.slots.running for one in self._members]
        mean = sum(running) / max(1, len(running) - running.count(0))  # over those that serve
        return member.slots.running > MOST_TIMES_MEAN * mean + MOST_ABOVE
