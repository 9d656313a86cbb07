"""Which members of a pool are about as fast as the fastest, and which are left out because they have become slow.

Why leave them out: sharing by load alone sends a member that is three times slower a sixth of the calls, and ten per
cent of them at another rule. That is the p99 of all: 1.9 to 2.6 times that of somebody who knows (simulated, three
members, 30 calls a second). Left out altogether, and tried from time to time, it is 1.03 times.

States of a member. *In*: the median of its whole answers (`answer_times.py`) is at most `WIDTH` times the shortest.
*Out*: it is longer. Then it is tried after 5, 10, 20 and each further 30 s, by one call at a time; two answers in a row
within `WIDTH` times the shortest median bring it back, with slow start. Calls that go to it because all others are full
count like tries. With a pool of one, or without enough answers, everybody is in.

A median that is known is worked out again after `NEWS` more answers, each minute, and at each look while requests are
overdue: so a member that has become slow, or hangs, shows at once.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from asyncrouter._policies.pools.answer_times import NOTHING, Cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._policies.pools.answer_times import Usual
    from asyncrouter._policies.pools.member import Member

WIDTH: Final = 1.5
"""Times the shortest median at which a member is out. At 1.1 times chance alone puts members out and back all the
time (9 to 41 times in 540 s, simulated)."""
PAUSES: Final = (5.0, 10.0, 20.0, 30.0)
"""Seconds until a member that is out is tried again; the last one from then on."""
QUICK: Final = 2
"""Tries in a row that must be quick: one is chance."""
NEWS, NEWS_SECONDS = 32, 60.0
"""Answers, or seconds, after which a median is worked out again; what takes longer than it should is seen before."""


class Absence:
    """One member that is out: how it is being tried."""

    __slots__ = ("_judged", "_pause", "_quick", "next_try")

    def __init__(self, member: Member, now: float) -> None:
        self._pause = 0
        self._quick = 0
        self._judged = member.times.sent  # requests that have been judged
        self.next_try = now + PAUSES[0]

    def __repr__(self) -> str:
        return f"<Absence, next try at {self.next_try:g}>"

    def judge(self, member: Member, now: float, limit: float) -> bool:
        """Judge the requests that were sent since; whether it is back. Quick is what ends within `limit` seconds."""
        for sent_at, said in member.times.since(self._judged):
            if said is None and now - sent_at <= limit:
                break  # under way, and not late yet
            self._judged += 1
            if said is NOTHING:
                continue
            if said is None or isinstance(said, Cut) or said > limit:
                self._quick = 0
                self._pause = min(self._pause + 1, len(PAUSES) - 1)
                self.next_try = now + PAUSES[self._pause]
                continue
            self._quick += 1
            self.next_try = now
            if self._quick >= QUICK:
                return True
        return False

    def is_due(self, member: Member, now: float) -> bool:
        """Whether a call should try it now: the pause is over, and no other one does."""
        return now >= self.next_try and member.times.sent == self._judged


class Band:
    """The members of one pool by speed. `out` are those that are much slower than the quickest, by their index."""

    __slots__ = ("_since", "_usual", "best", "out")

    def __init__(self) -> None:
        self.best = inf
        """The shortest median of whole answers, in seconds; `inf` while none is known."""
        self.out: dict[int, Absence] = {}
        self._since: dict[int, int] = {}  # requests before a member came back, which say nothing about now
        self._usual: dict[int, tuple[int, float, Usual]] = {}  # a median; after how many answers, when it is too old

    def __repr__(self) -> str:
        return f"<Band best {self.best:g} s, {len(self.out)} out>"

    def look(self, members: Sequence[Member], now: float) -> None:
        """Look at all members that could be asked."""
        usual = self._medians(members, now)
        limit = WIDTH * self.best
        if any(one and one.seconds > limit and index not in self.out for index, one in usual.items()):
            self._usual.clear()  # the others' medians may be of earlier, quicker times for all
            usual = self._medians(members, now)
            limit = WIDTH * self.best
        for member in members:
            found = usual[member.index]
            member.seconds = None if found is None or found.bound else found.seconds
            absence = self.out.get(member.index)
            if absence is None and found is not None and found.seconds > limit:
                self.out[member.index] = Absence(member, now)
            elif absence is not None and (self.best == inf or absence.judge(member, now, limit)):
                del self.out[member.index]
                self._since[member.index] = member.times.sent
                self._usual.pop(member.index, None)

    def why_out(self, member: Member) -> str:
        """Why a member is out, in figures; "" if it is not."""
        if member.index not in self.out:
            return ""
        if member.seconds is None or self.best == inf:
            return "answers take longer than those of other members"
        return f"{member.seconds:.3g} s to the end of an answer, {self.best:.3g} s at the quickest member"

    def _medians(self, members: Sequence[Member], now: float) -> dict[int, Usual | None]:
        """What is usual for each of these members now, by its index; the shortest of those that are in is `best`."""
        usual = {member.index: self._median(member, now) for member in members}
        known = [one.seconds for index, one in usual.items() if one and not one.bound and index not in self.out]
        self.best = min(known, default=inf)
        return usual

    def _median(self, member: Member, now: float) -> Usual | None:
        times = member.times
        if (known := self._usual.get(member.index)) is not None:
            answers, until, usual = known
            if times.answers < answers and now < until and not times.is_overdue(now, WIDTH * self.best):
                return usual
        found = times.median(now, self._since.get(member.index, 0))
        if found is None or found.bound:
            self._usual.pop(member.index, None)
        else:
            self._usual[member.index] = times.answers + NEWS, now + NEWS_SECONDS, found
        return found
