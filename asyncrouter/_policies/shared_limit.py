"""The limits of one place that many processes keep as one, as this process sees them: its turns, and who asks for more.

Theory of operation. Requests wait in this process's own queue (`pacing.py`), and go when there is a turn: an instant
that the store (`asyncrouter.shared`) has given. Nobody who waits talks to the store. A question is a task of its own,
one at a time for each place, and asks for all who wait. So a caller that is cancelled disturbs no connection.

    with the store   Turns are asked for as soon as somebody waits; where the store gave fewer than that, not again
                     before half of the horizon is over (±10 %), but at once when a slot is free here. What attempts
                     used otherwise than was asked for is said with the next question, 50 ms later at the latest.
                     While there is much room, one request may go at once and is booked after: hedges never wait.
    alone            The store could not be reached. This process goes on with the share of the limits that it had
                     last, asks again about every second, and drops that share when the store says so: all return in
                     the same instant, `JOIN_SECONDS` after the first one.

Whatever is known here of a place that is in use is said every `HEARTBEAT_SECONDS`, or the store would take this process
for dead and give its slots to others.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from math import ceil, inf
from typing import TYPE_CHECKING

from asyncrouter._policies.gcra import Gcra
from asyncrouter.shared import HORIZON_SECONDS, Ask, Grant

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from random import Random

    from asyncrouter._config.catalog import Model
    from asyncrouter.shared import Shared

MARGIN = 0.98
"""Share of a limit that is used, as in `limits.py`."""
HEARTBEAT_SECONDS = 5.0
"""Seconds between two messages about a place that is in use."""
FORGOTTEN_SECONDS = 300.0
"""Seconds without a request after which nothing more is said of a place."""
BOOK_SECONDS = 0.05
"""Seconds after which the store is told of slots and tokens that were given back."""
UNUSED_SECONDS = 1.0
"""Seconds after its instant at which a turn that nobody has used is given back: later it would be one too many."""
ASK_AGAIN_SECONDS = 0.75, 1.25
"""Between these, at random, lies the pause after which a store that could not be reached is asked again."""
CREDIT_SECONDS = 10.0
"""Seconds for which it is remembered that there was much room."""
MAX_TURNS = 200
"""Turns that are asked for at once at most."""


class SharedLimit:
    """The turns of one place in one process. `model` has the limits of the place for all processes together."""

    __slots__ = (
        "_alone", "_ask_timer", "_asked", "_asking", "_back", "_changed", "_closed", "_credit", "_credit_until",
        "_demand", "_held", "_known", "_loop", "_more", "_not_before", "_random", "_running", "_store", "_tell",
        "_timer_at", "_turns", "_unused", "_used_at", "grant", "model", "place",
    )

    def __init__(
        self, store: Shared, place: str, model: Model, loop: asyncio.AbstractEventLoop, random: Random,
        running: Callable[[], int], tell: Callable[[Exception | None], None], held: Callable[[float, str], None],
    ) -> None:
        self.place = place
        self.model = model
        self.grant = Grant((), 0.0, 1, 1.0, 0)
        """What the store has said last."""
        self._store = store
        self._loop = loop
        self._random = random
        self._running = running
        self._tell = tell  # whether the store could be reached
        self._held = held
        self._demand: Callable[[int], Sequence[tuple[float, bool]]] = lambda most: ()
        self._changed: Callable[[], None] = lambda: None
        self._turns: deque[tuple[float, float]] = deque()  # when each may go, with the tokens that it was asked for
        self._alone: _OwnShare | None = None
        self._back = False  # the store could not be reached since it last gave turns
        self._known = -inf  # when it last gave turns
        self._asking: asyncio.Task[None] | None = None
        self._ask_timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._asked = 0  # how many turns the last question was for
        self._not_before = -inf
        self._unused = 0
        self._more = 0.0
        self._credit = 0
        self._credit_until = -inf
        self._used_at = loop.time()
        self._closed = False

    def __repr__(self) -> str:
        return f"<SharedLimit {'alone' if self._alone else 'with the store'}, {len(self._turns)} turns>"

    def begin(
        self, demand: Callable[[int], Sequence[tuple[float, bool]]], changed: Callable[[], None], processes: int
    ) -> None:
        """Begin to keep the limits of the queue that has this demand: the tokens of each who waits, and if it is batch
        work. `changed` is called when some of them may go. `processes` is how many there are, as far as is known.
        """
        self._demand = demand
        self._changed = changed
        share = 1.0 / processes
        self.grant = self.grant._replace(processes=processes, share=share)
        self._schedule(self._loop.time())

    def configure(self, model: Model) -> None:
        """Take the limits of another configuration."""
        self.model = model
        if self._alone is not None:
            self._alone = _OwnShare(model, self.grant.share, self._loop.time())
        self._schedule(self._loop.time())

    # What `Limits` asks and says.

    def due(self, now: float, tokens: float, *, batch: bool) -> float:
        """The instant from which on a request may go; `inf` while that is not known."""
        if self._alone is not None:
            return self._alone.due(now, tokens, self._running(), batch=batch)
        if self._has_given_up_turns(now):
            self._schedule(now + BOOK_SECONDS)
        if self._turns:
            return max(now, self._turns[0][0])
        if self._credit > 0 and now < self._credit_until and not batch:
            return now
        return inf

    def take(self, now: float, tokens: float, *, batch: bool) -> None:
        """Note that a request goes now."""
        self._used_at = now
        if self._alone is not None:
            self._alone.take(now, tokens, batch=batch)
        elif self._turns and self._turns[0][0] <= now:
            self._more += tokens - self._turns.popleft()[1]
        else:  # ahead of its turn: to be booked
            self._credit -= 1
            self._unused -= 1
            self._more += tokens
            self._schedule(now)

    def refund(self, tokens: float) -> None:
        """Note that a request that was let go is not sent, or not with our key."""
        if self._alone is None:
            self._unused += 1
            self._more -= tokens
            self._schedule(self._loop.time() + BOOK_SECONDS)

    def ended(self, more: float) -> None:
        """Note that a request has ended, which has used so many tokens more than were asked for."""
        if self._alone is not None:
            self._alone.correct(self._loop.time(), more)
            return
        self._more += more
        if self.model.max_concurrent is not None:
            now = self._loop.time()
            self._schedule(now if self._demand(1) else now + BOOK_SECONDS)  # somebody here waits for this slot
        elif more and self.model.tpm is not None:
            self._schedule(self._loop.time() + BOOK_SECONDS)

    def want(self) -> None:
        """Somebody waits: ask for turns, unless that has just been done."""
        if self._alone is None and self._asking is None:
            self._schedule(max(self._loop.time(), self._not_before))

    # Asking.

    def _schedule(self, at: float) -> None:
        """Ask at this instant at the latest."""
        if self._closed or at >= self._timer_at:
            return
        if self._ask_timer is not None:
            self._ask_timer.cancel()
        self._timer_at = at
        self._ask_timer = self._loop.call_at(at, self._ask)

    def _ask(self) -> None:
        self._ask_timer, self._timer_at = None, inf
        if self._asking is None and not self._closed:
            self._asking = self._loop.create_task(self._question())

    async def _question(self) -> None:
        now = self._loop.time()
        demand = list(self._demand(len(self._turns) + self._most_turns()))[len(self._turns):]
        ask = self._words(demand, now)
        try:
            grant = await self._store.admit(ask)
        except Exception as error:  # a store of somebody's own may raise what it should not: no call may hang of it
            self._away(error)
        else:
            self._receive(grant, demand)
        finally:
            self._asking = None
        self._go_on()

    def _words(self, demand: Sequence[tuple[float, bool]], now: float) -> Ask:
        model = self.model
        self._has_given_up_turns(now)
        unused, self._unused = self._unused, 0
        more, self._more = self._more, 0.0
        self._asked = len(demand)
        return Ask(
            self.place, self._running() + len(self._turns), [tokens for tokens, _ in demand],
            sum(not batch for _, batch in demand), len(demand), _rate(model.rpm), _rate(model.tpm),
            model.max_concurrent, now < self._known + 60.0, self._back, unused, more,
        )

    def _has_given_up_turns(self, now: float) -> bool:
        """Give up the turns that have not been used for too long; whether there were any."""
        before = self._unused
        while self._turns and self._turns[0][0] < now - UNUSED_SECONDS:
            self._more -= self._turns.popleft()[1]
            self._unused += 1
        return self._unused > before

    def _most_turns(self) -> int:
        """How many turns one process asks for at once: twice its even part of those of the horizon."""
        if (rate := _rate(self.model.rpm)) is None:
            return MAX_TURNS
        return min(MAX_TURNS, ceil(2.0 * rate * HORIZON_SECONDS / self.grant.processes))

    def _receive(self, grant: Grant, demand: Sequence[tuple[float, bool]]) -> None:
        now, self.grant = self._loop.time(), grant
        self._tell(None)
        if grant.joins_in > 0.0:
            self._back = False
            if self._alone is None:
                self._alone = _OwnShare(self.model, grant.share, now)
            self._schedule(now + grant.joins_in)
        else:
            self._alone, self._back, self._known = None, False, now
            self._turns.extend(
                (now + seconds, tokens) for seconds, (tokens, _) in zip(grant.turns, demand, strict=False)
            )
            plenty = grant.room >= 2 * grant.processes and self.model.max_concurrent is None
            self._credit, self._credit_until = int(plenty), now + CREDIT_SECONDS
            short = len(grant.turns) < len(demand)
            pause = HORIZON_SECONDS / 2.0 * self._random.uniform(0.9, 1.1)
            self._not_before = now + (max(pause, min(grant.wait, HEARTBEAT_SECONDS)) if short else 0.0)
            if grant.held > 0.0:
                self._not_before = now + min(grant.held, HEARTBEAT_SECONDS)
                self._held(grant.held, grant.why)
        self._changed()

    def _away(self, error: Exception) -> None:
        now = self._loop.time()
        self._tell(error)
        if self._alone is None:
            self._alone = _OwnShare(self.model, self.grant.share, now)
        self._back = True
        self._unused, self._more, self._credit = 0, 0.0, 0
        self._turns.clear()
        self._schedule(now + self._random.uniform(*ASK_AGAIN_SECONDS))
        self._changed()

    def _go_on(self) -> None:
        """After an answer: ask again for those who still wait, or say in some seconds that we are still here."""
        now = self._loop.time()
        if self._alone is not None:
            return
        if self._unused or (self._more and self.model.tpm is not None):
            self._schedule(now + BOOK_SECONDS)
        if len(self._demand(len(self._turns) + 1)) > len(self._turns):
            self._schedule(max(now, self._not_before))
        elif self._running() or now < self._used_at + FORGOTTEN_SECONDS:
            self._schedule(now + HEARTBEAT_SECONDS)

    async def aclose(self) -> None:
        """Give everything back, if the store can be reached."""
        self._closed = True
        if self._ask_timer is not None:
            self._ask_timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        if self._alone is None and self._known > -inf:
            unused = self._unused + len(self._turns)
            more = self._more - sum(tokens for _, tokens in self._turns)
            model = self.model
            ask = Ask(
                self.place, 0, (), 0, 0, _rate(model.rpm), _rate(model.tpm), model.max_concurrent, unused=unused,
                more_tokens=more,
            )
            with suppress(Exception):  # it will find out
                await self._store.admit(ask)


class _OwnShare:
    """The limits of a place by this process's share of them, as long as the store cannot be reached."""

    __slots__ = ("_most", "_requests", "_tokens")

    def __init__(self, model: Model, share: float, now: float) -> None:
        self._requests = _own_part(model.rpm, share, now)
        self._tokens = _own_part(model.tpm, share, now)
        self._most = None if model.max_concurrent is None else max(1, int(model.max_concurrent * share))

    def due(self, now: float, tokens: float, running: int, *, batch: bool) -> float:
        """As `SharedLimit.due`."""
        if self._most is not None and running >= self._most:
            return inf
        due = now if self._requests is None else self._requests.due(now, batch=batch)
        return due if self._tokens is None else max(due, self._tokens.due(now, tokens, batch=batch))

    def take(self, now: float, tokens: float, *, batch: bool) -> None:
        """Note that a request goes now."""
        if self._requests is not None:
            self._requests.take(now, batch=batch)
        if self._tokens is not None:
            self._tokens.take(now, tokens, batch=batch)

    def correct(self, now: float, more: float) -> None:
        """Note that so many tokens more were used than were asked for."""
        if self._tokens is not None:
            self._tokens.correct(now, more)


def _own_part(per_minute: float | None, share: float, now: float) -> Gcra | None:
    """A part of a limit, with no burst to begin with: that may have been used a moment ago."""
    if (rate := _rate(per_minute)) is None:
        return None
    limit = Gcra(rate * share, max(1.0, rate * share))
    limit.set_room(now, 0.0, at_most=1.0 / limit.rate)
    return limit


def _rate(per_minute: float | None) -> float | None:
    return None if per_minute is None else per_minute / 60.0 * MARGIN
