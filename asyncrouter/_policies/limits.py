"""The limits of one model with one key: requests and tokens a minute, requests at once, and a hidden one.

Known limits, configured or announced in headers, are kept by GCRA (`gcra.py`), at 98 % of what they state. A limit that
nobody states is found by its 429s (`hidden_limit.py`). `max_concurrent` is kept by counting (`slots.py`). Who waits for
these limits, and in which order, is the queue's matter (`pacing.py`).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.hidden_limit import HiddenLimit
from asyncrouter._policies.slots import Slots

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model
    from asyncrouter._policies.announced_limits import AnnouncedLimit
    from asyncrouter._policies.shared_limit import SharedLimit

MARGIN = 0.98
"""Share of a stated limit that is used: providers count over windows and clocks that are not ours."""


class Limits:
    """What one model may be sent.

    `unlimited` says that no limit is known: then nothing is kept but the number of running requests.
    """

    __slots__ = ("_model", "_requests", "_tokens", "hidden", "shared", "slots", "unlimited")

    def __init__(self, model: Model) -> None:
        self._model = model
        self._requests = _per_minute(model.rpm)
        self._tokens = _per_minute(model.tpm)
        self.slots = Slots(model.max_concurrent)
        self.hidden = HiddenLimit()
        self.shared: SharedLimit | None = None
        """Keeps the configured limits instead, for this process and others."""
        self.unlimited = False
        self._update()

    def __repr__(self) -> str:
        rate = "unlimited" if (rate := self.rate) is None else f"{rate:.3g}/s"
        return f"<Limits {rate}, {self.slots!r}>"

    @property
    def rate(self) -> float | None:
        """Requests a second that may go now; `None` when no limit is known."""
        return None if (limit := self.requests) is None else limit.rate

    @property
    def requests(self) -> Gcra | None:
        """The limit of requests that binds: the lower one of the stated and the hidden one."""
        stated, hidden = self._requests, self.hidden.limit
        if stated is None or hidden is None:
            return stated or hidden
        return stated if stated.rate <= hidden.rate else hidden

    @property
    def hidden_binds(self) -> bool:
        """Whether the limit that binds is one that nobody states."""
        return self.hidden.limit is not None and self.requests is self.hidden.limit

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a limit of tokens."""
        return self._tokens is not None or (self.shared is not None and self.shared.model.tpm is not None)

    def keep_in(self, shared: SharedLimit) -> None:
        """Let the configured limits be kept for many processes; the announced and hidden ones stay here."""
        self.shared = shared
        self._requests = self._tokens = self.slots.limit = None
        self._update()

    def configure(self, model: Model) -> None:
        """Take the limits of another configuration; what has been taken stays taken, and running requests go on."""
        self._model = model
        if self.shared is not None:
            self.shared.configure(model)
            return
        self._requests = _changed(self._requests, model.rpm)
        self._tokens = _changed(self._tokens, model.tpm)
        self.slots.limit = model.max_concurrent
        self._update()

    # What the provider has said.

    def announce(self, requests: AnnouncedLimit | None, tokens: AnnouncedLimit | None, *, now: float) -> None:
        """Take the limits that the provider has announced; a lower one that is configured stays."""
        in_flight = float(max(self.slots.running - 1, 0))
        rpm, tpm = (self._model.rpm, self._model.tpm) if self.shared is None else (None, None)
        self._requests = _announced(self._requests, requests, rpm, now, in_flight)
        self._tokens = _announced(self._tokens, tokens, tpm, now, 0.0)
        self._update()

    def answered(self, now: float, sent_at: float) -> None:
        """Note that a request that was sent at `sent_at` was answered."""
        self.hidden.answered(now, sent_at)
        if not self.unlimited:
            self._update()

    def suspect(self, now: float, rate: float) -> None:
        """Expect a hidden limit, as another model of the same key has one of `rate` requests a second."""
        self.hidden.suspect(now, rate)
        self._update()

    def rejected(self, now: float, sent_at: float, *, hinted: bool, unavailable: bool) -> bool:
        """Note a 429 or 529 for the request that was sent at `sent_at`; `hinted`: it came with a Retry-After.

        `unavailable`: it was a 503 with one. Whether this was the first sign of a hidden limit.
        """
        new = self.hidden.limit is None
        if unavailable:
            self.hidden.unavailable(now, sent_at)
        else:
            self.hidden.rejected(now, sent_at, hinted=hinted)
        self._update()
        return new and self.hidden.limit is not None

    def note_wait(self, now: float, due: float, *, batch: bool) -> None:
        """Note that a request waits until `due`; a hidden limit that makes it wait may grow."""
        if self.shared is not None and due == inf:
            self.shared.want()
        if (hidden := self.hidden.limit) is not None and hidden.due(now, batch=batch) >= due:
            self.hidden.note_wait(now)

    # One request.

    def due(self, now: float, tokens: float, *, batch: bool) -> float:
        """The instant from which on a request may go if nobody waits; `inf` while all slots are taken."""
        if not self.slots.free(now, batch=batch):
            return inf
        due = max(now, self.hidden.gate)
        for limit in (self._requests, self.hidden.limit):
            if limit is not None:
                due = max(due, limit.due(now, batch=batch))
        if self.shared is not None:
            due = max(due, self.shared.due(now, tokens, batch=batch))
        return due if self._tokens is None else max(due, self._tokens.due(now, tokens, batch=batch))

    def expected(self, now: float, tokens: float, ahead: float, *, batch: bool) -> float:
        """The instant from which on a request may go if `ahead` others go first; `inf` while all slots are taken.

        Each limit has room of its own for them. What they take of a limit of tokens is not known.
        """
        expected = self.due(now, tokens, batch=batch)
        if ahead and expected < inf:
            begin = max(now, self.hidden.gate)
            for limit in (self._requests, self.hidden.limit):
                if limit is not None:
                    expected = max(expected, limit.due_after(begin, ahead, batch=batch))
        return expected

    def take(self, now: float, tokens: float, *, batch: bool) -> None:
        """Note that a request goes now, with so many tokens as an estimate."""
        self.slots.take(batch=batch)
        for limit in (self._requests, self.hidden.limit):
            if limit is not None:
                limit.take(now, batch=batch)
        if self._tokens is not None:
            self._tokens.take(now, tokens, batch=batch)
        if self.slots.limit is not None:
            self.slots.note_peak(now)
        if self.shared is not None:
            self.shared.take(now, tokens, batch=batch)

    def give_back(self, now: float, tokens: float, *, batch: bool, sent: bool, used: float | None) -> None:
        """Note that a request has ended: its slot is free, and the tokens it did not use; all of it if never sent.

        `tokens` is the estimate that was taken, `used` the real number, `None` when it is not known.
        """
        self.slots.give_back(batch=batch)
        if not sent:
            self.refund(now, tokens, batch=batch)
        elif self._tokens is not None and used is not None:
            self._tokens.correct(now, used - tokens, batch=batch)
        if self.shared is not None and sent:
            self.shared.ended(0.0 if used is None else used - tokens)

    def refund(self, now: float, tokens: float, *, batch: bool) -> None:
        """Give back all that a request has taken but its slot: it has not been sent, or not with our key."""
        for limit in (self._requests, self.hidden.limit):
            if limit is not None:
                limit.correct(now, -1.0, batch=batch)
        if self._tokens is not None:
            self._tokens.correct(now, -tokens, batch=batch)
        if self.shared is not None:
            self.shared.refund(tokens)

    def _update(self) -> None:
        limits = (self._requests, self._tokens, self.slots.limit, self.hidden.limit, self.shared)
        self.unlimited = all(limit is None for limit in limits)


def _per_minute(per_minute: float | None) -> Gcra | None:
    """A limit a minute; a second's worth of it may go at once."""
    if per_minute is None:
        return None
    rate = per_minute / 60.0 * MARGIN
    return Gcra(rate, max(1.0, rate))


def _changed(known: Gcra | None, per_minute: float | None) -> Gcra | None:
    """The limit as it is configured now. One that was announced comes with the next response again."""
    fresh = _per_minute(per_minute)
    if known is None or fresh is None:
        return fresh
    known.rate, known.burst = fresh.rate, fresh.burst
    return known


def _announced(
    known: Gcra | None, limit: AnnouncedLimit | None, configured: float | None, now: float, in_flight: float
) -> Gcra | None:
    """The limit that binds, with as much room as the provider says there is, but for what is on its way to it.

    Where one is configured, its own pace is kept whatever room there is: what the provider says makes it no faster.
    """
    if limit is None:
        return known
    binds = configured is None or limit.per_minute <= configured
    fresh = _per_minute(limit.per_minute if binds else configured)
    if known is None or fresh is None:
        known = fresh
    else:
        known.rate, known.burst = fresh.rate, fresh.burst  # in place: what has been taken stays taken
    if known is not None and binds and limit.remaining is not None:
        room = max(0.0, limit.remaining - in_flight)
        wait = 0.0 if room >= 1.0 or limit.reset is None else limit.reset
        at_most = max(1.0 / known.rate, wait)
        if configured is None:
            known.burst = max(known.burst, room)
            known.set_room(now, room, at_most=at_most)
        else:
            known.narrow(now, min(room, known.burst), at_most=at_most)
    return known
