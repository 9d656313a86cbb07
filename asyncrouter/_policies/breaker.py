"""Circuit breakers: stop sending to a model or a host that keeps failing, and find out when it works again.

States. *Closed*: every call goes and is counted. *Open*: no call goes until the open time is over. *Half-open*: one
call at a time goes, as a probe; it holds a permit.

What opens it: failures in a row (`model_state.py` says how many, of a model and of a host), or half of at least 20
calls in 30 s (`failure_window.py`). A failure that may be one request's own fault counts once for each request
(`doubts.py`); that of a probe always counts. What closes it: one answer. A failed probe opens it again, for twice as
long.

Guaranteed: a permit is always settled. A call that goes through `enter` is settled with `succeeded`, `failed` or
`released` (neither: cancelled, beaten by a hedge, the caller's own mistake), and a permit that nobody settles lapses.
Permits that leak are the commonest defect of breakers: they leave one half-open for ever (resilience4j #544, #903 and
#935, monix #1080). Each change of state begins a new generation, and the result of a call of an older one does not
count, as in gobreaker: a call sent before the breaker opened says nothing about its probe.

A call that nobody else could answer is sent although the breaker refuses it ("forced"). Its answer closes the breaker;
its failure changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asyncrouter._policies.doubts import Requests
from asyncrouter._policies.failure_window import FailureWindow
from asyncrouter._policies.refusal import BREAKER_OPEN, PROBE_RUNNING, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

State = Literal["closed", "open", "half_open"]

FIRST_OPEN_SECONDS = 5.0
"""Seconds that a breaker stays open the first time; twice as long each time a probe fails."""
MAX_DOUBLINGS = 10
"""Doublings after which the open time grows no more (`longest` bounds it long before; this keeps the power small)."""
RESET_AFTER = 60.0
"""Seconds that a breaker must have been closed to begin with the shortest open time again."""
PROPORTIONAL_AFTER = 15.0
"""Open time in seconds up to which it doubles freely; beyond that `PROPORTION` bounds it too."""
PROPORTION = 0.25
"""A longer open time is at most this share of the time since the breaker first opened, so that a recovery after a
minute is noticed within a quarter of one, whatever the longest open time is."""
JITTER = 0.1
"""Open times are longer by up to this share, so that the processes of a fleet do not probe in step."""
FORCED = -1
"""The generation of a call that was sent although the breaker refused it, because nobody else could have answered."""


class Breaker:
    """The breaker of one model or one host.

    It opens at `in_a_row` failures in a row with no success in the last `quiet` seconds, and at a window full of
    failures. It stays open 5 s, doubling up to `longest`. `changed` is called with each new state and the last error.
    """

    __slots__ = (
        "_changed", "_doublings", "_failures", "_first_opened", "_in_a_row", "_last_success", "_longest",
        "_permit_until", "_quiet", "_random", "_requests", "_window", "generation", "state", "until", "why",
    )

    def __init__(
        self, random: Random, changed: Callable[[str, str], None], *, in_a_row: int, quiet: float, longest: float
    ) -> None:
        self.state: State = "closed"
        self.until = 0.0
        """Open: when the open time ends. Closed: when it was closed."""
        self.why = ""
        self.generation = 0
        self._random = random
        self._changed = changed
        self._in_a_row = in_a_row
        self._quiet = quiet
        self._longest = longest
        self._window = FailureWindow()
        self._requests = Requests()
        self._failures = 0
        self._last_success = float("-inf")
        self._first_opened = 0.0
        self._doublings = 0
        self._permit_until = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._failures} failures in a row>"

    def refusal(self, now: float) -> Refusal | None:
        """Why a call may not go now; `None` when it may."""
        if self.state == "closed":
            return None
        if self.state == "open" and now < self.until:
            return Refusal(BREAKER_OPEN, self.why, self.until - now, forcible=True)
        if self.state == "half_open" and now < self._permit_until:
            return Refusal(PROBE_RUNNING, self.why, forcible=True)
        return None

    def enter(self, now: float, lapse: float) -> int:
        """Note that a call goes; its generation. Half-open it takes the permit, for `lapse` seconds at most."""
        if self.state == "closed":
            return self.generation
        if self.refusal(now) is not None:
            return FORCED
        if self.state == "open":
            self._change("half_open")
        # A probe that was lent before has lapsed: its result belongs to the past.
        self.generation += 1
        self._permit_until = now + lapse
        return self.generation

    def succeeded(self, generation: int, now: float) -> None:
        """Note that a call of this generation was answered."""
        self._last_success = now
        if self.state == "closed" and generation == self.generation:
            self._failures = 0
            window = self._window
            if now >= window.until:
                window.rotate(now)
            window.calls += 1  # not through `add`: nearly every call of a router ends here
        elif self.state != "closed" and generation in {self.generation, FORCED}:
            self._change("closed")
            self._window.clear()
            self.until = now

    def failed(self, generation: int, now: float, why: str, asked: int | None = None) -> None:
        """Note that a call of this generation failed in a way that counts.

        `asked` is the hash of what was asked if it may be that request's own fault; `None`: it is not.
        """
        if generation != self.generation:
            return
        self.why = why
        if self.state == "half_open":
            self._open(now)
        elif self.state == "closed" and (asked is None or self._requests.is_new(asked, now)):
            self._failures += 1
            self._window.add(now, failed=True)
            in_a_row = self._failures >= self._in_a_row and now - self._last_success >= self._quiet
            if in_a_row or self._window.full_of_failures():
                self._open(now)

    def released(self, generation: int) -> None:
        """Note that a call ended without saying anything about the other side: a permit is free again."""
        if self.state == "half_open" and generation == self.generation:
            self._permit_until = 0.0

    def _open(self, now: float) -> None:
        if self.state == "closed" and (not self._doublings or now - self.until > RESET_AFTER):
            self._doublings, self._first_opened = 0, now
        longest = min(self._longest, max(PROPORTIONAL_AFTER, PROPORTION * (now - self._first_opened)))
        seconds = FIRST_OPEN_SECONDS * 2**self._doublings * self._random.uniform(1.0, 1.0 + JITTER)
        self._doublings = min(self._doublings + 1, MAX_DOUBLINGS)
        self.until = now + min(longest, seconds)
        self._failures = 0
        self._change("open")

    def _change(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self._permit_until = 0.0
        self._changed(f"breaker {state.replace('_', '-')}", self.why)
