"""What a server's calls did in the last hour: how many were answered or failed, and what they cost. No text of any.

A listener counts events in slots of a minute; the oldest one falls out as the next begins. Names of models may come
from clients, so they are bounded: those beyond are counted as one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter import AttemptEnded, CallEnded, CallStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncrouter import Attempt, Event

SLOTS: Final = 60
"""Slots that are kept: an hour."""
SLOT_SECONDS: Final = 60.0
MAX_NAMES: Final = 500
"""Models and members that are told apart in a slot."""
Place = tuple[str, str | None]
"""The name of a model, and that of the member of a pool, `None` for the model as a whole."""
OTHER: Final[Place] = ("_other", None)
"""Stands for all beyond."""
_FAILED: Final = frozenset({"failed", "not_accepted"})


class Tally:
    """Counts of requests to a model, or of calls: how many have ended, were answered and failed, and their cost.

    `usd` is the sum of the costs that are known, in US dollars; `unknown` says how many are not. `seconds` is the sum
    of the times of those that were answered.
    """

    __slots__ = ("answered", "ended", "failed", "seconds", "unknown", "usd")

    def __init__(self) -> None:
        self.ended: int = 0
        self.answered: int = 0
        self.failed: int = 0
        self.unknown: int = 0
        self.usd: float = 0.0
        self.seconds: float = 0.0

    def count(self, usd: float | None, seconds: float, *, answered: bool, failed: bool) -> None:
        """Count one that has ended; one that lost a race, or whose client has left, was neither answered nor failed."""
        self.ended += 1
        self.answered += answered
        self.failed += failed
        self.unknown += usd is None
        self.usd += usd or 0.0
        if answered:
            self.seconds += seconds

    def add(self, other: Tally) -> None:
        """Add the counts of another one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Failure(NamedTuple):
    """The last failure of a model: the class of its error, the HTTP status if there was one, and when (clock)."""

    kind: str
    status: int | None
    at: float


class _Slot:
    __slots__ = ("calls", "models", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = Tally()
        self.models: dict[Place, Tally] = {}


class Recent:
    """A listener that counts: `Router(listeners=[recent])`. One serves several routers.

    `clock` returns seconds and only goes forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock: Callable[[], float] = clock
        self.in_flight: int = 0
        self.failures: dict[Place, Failure] = {}
        self._slots: deque[_Slot] = deque(maxlen=SLOTS)

    def __call__(self, event: Event) -> None:
        """Take an event of a router."""
        if isinstance(event, AttemptEnded):
            self._end_attempt(event.attempt)
        elif isinstance(event, CallStarted):
            self.in_flight += 1
        elif isinstance(event, CallEnded):
            self.in_flight -= 1
            won = event.error is None and any(one.outcome == "won" for one in event.trace.attempts)
            failed = isinstance(event.error, Exception)  # a cancellation is none
            self._slot().calls.count(event.trace.cost_usd, event.trace.seconds, answered=won, failed=failed)

    def calls(self) -> Tally:
        """The calls that have ended in the last hour."""
        return _sum(slot.calls for slot in self._kept())

    def models(self) -> dict[Place, Tally]:
        """The requests that were sent to each model, and to each member of a pool, and have ended in the last hour."""
        found: dict[Place, Tally] = {}
        for slot in self._kept():
            for place, tally in slot.models.items():
                found.setdefault(place, Tally()).add(tally)
        return found

    def _end_attempt(self, attempt: Attempt) -> None:
        if attempt.sent is None:
            return
        self._count((attempt.model, None), attempt)
        if attempt.member is not None:
            self._count((attempt.model, attempt.member), attempt)

    def _count(self, place: Place, attempt: Attempt) -> None:
        slot, failed = self._slot(), attempt.outcome in _FAILED
        tally = slot.models.get(place)
        if tally is None:
            place = place if len(slot.models) < MAX_NAMES else OTHER
            tally = slot.models.setdefault(place, Tally())
        seconds = (attempt.ended or 0.0) - (attempt.sent or 0.0)
        tally.count(attempt.cost_usd, seconds, answered=attempt.outcome == "won", failed=failed)
        if failed and (place in self.failures or len(self.failures) < MAX_NAMES):
            kind = "unknown" if attempt.error is None else type(attempt.error).__name__
            self.failures[place] = Failure(kind, attempt.status, self.clock())

    def _slot(self) -> _Slot:
        number = int(self.clock() // SLOT_SECONDS)
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]

    def _kept(self) -> list[_Slot]:
        oldest = int(self.clock() // SLOT_SECONDS) - SLOTS + 1
        return [slot for slot in self._slots if slot.number >= oldest]


def _sum(tallies: Iterable[Tally]) -> Tally:
    found = Tally()
    for tally in tallies:
        found.add(tally)
    return found
