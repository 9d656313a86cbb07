"""The one clock of an attempt: a limit that changes from phase to phase, and which limit has expired.

What expiry does depends on what the attempt is waiting for:

- While it watches a task (until the response's headers, and while the caller's `accept` runs), it cancels the task.
  The task gets a `CancelledError` and asks `take_back_cancel()` whether the clock was its only cause, as
  `asyncio.timeout` does.
- While it watches a response, it closes the response. A pending read raises `ConnectionFailed` at once, and the
  reader asks `expired` why. No scope can span two reads of a stream's caller; a timer that closes a response can.

Before the limit is reached, the clock may call somebody who only looks (`look_next()`): one timer serves both.

`expired` is the only answer to "was it a timeout?". The type of an exception is none, because aiohttp, the caller and
`accept` raise `TimeoutError`, `CancelledError` and `ConnectionFailed` too.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._engine.timers import Timer, Timers
    from asyncrouter._errors import ClockName
    from asyncrouter._transport.api import Response


class Clock:
    """One limit at a time: the instant `until` of the loop's clock, called `limit_name`.

    `expired` is the name of the limit that was reached, `None` as long as none was. Then `expired_at` is the instant
    at which that was seen, and `blocked` the time for which the loop had been blocked until then (`Timers.blocked()`):
    the reader of a stream may ask much later.
    """

    __slots__ = (
        "_cancelling", "_confirm", "_look", "_look_at", "_loop", "_response", "_task", "_timer", "_timers", "blocked",
        "expired", "expired_at", "limit_name", "until",
    )

    blocked: float
    expired_at: float

    def __init__(self, timers: Timers, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._timers = timers
        self._loop = loop
        self._timer: Timer | None = None
        self._task = task
        self._cancelling = task.cancelling()
        self._response: Response | None = None  # what it closes; `None`: it cancels the task
        self._confirm: Callable[[], bool] | None = None
        self._look: Callable[[], None] | None = None
        self._look_at = self.until = inf
        self.limit_name: ClockName = "total"
        self.expired: ClockName | None = None

    def __repr__(self) -> str:
        return f"<Clock {self.expired} expired>" if self.expired else f"<Clock {self.limit_name} at {self.until:.3f}>"

    def watch_task(self) -> None:
        """From now on cancel, on expiry, the task that made this clock. So does a new clock."""
        self._response = None

    def watch_response(self, response: Response) -> None:
        """From now on close `response` on expiry."""
        self._response = response

    def restart(self, until: float, limit_name: ClockName, confirm: Callable[[], bool] | None = None) -> None:
        """Forget what has expired; the limit is now the instant `until` (`inf` for none), called `limit_name`.

        `confirm` is called when the limit is reached: it may set another one and return `False`, and nothing expires.
        """
        self.expired = None
        self.limit_name = limit_name
        self._confirm = confirm
        self._set_timer(until)

    def look_next(self, look: Callable[[], None] | None, at: float, latest: float = 0.0) -> None:
        """Call `look` at the instant `at`, beginning with the next `restart()`; it may call `look_next()` again.

        It is called up to the instant `latest` if the timer is set for that already. `None`: nobody looks.
        """
        self._look = look
        self._look_at = self._timer.when if self._timer is not None and at < self._timer.when <= latest else at

    def look(self, look: Callable[[], None], at: float) -> None:
        """Call `look` at the instant `at`, beginning now."""
        self.look_next(look, at)
        self._set_timer(self.until, watch=False)

    def stop(self) -> None:
        """Nothing expires from here on, and nobody looks."""
        self._confirm = None  # it belongs to a reader that refers to this clock, and `_look` to such a race
        if self._look is not None:
            self._look, self._look_at = None, inf
        self.until = inf
        if self._timer is not None:
            self._timers.cancel(self._timer)
            self._timer = None

    def expire(self) -> None:
        """The limit is reached: remember which one, and end what is being waited for."""
        self.stop()
        self.expired = self.limit_name
        self.expired_at = self._loop.time()
        self.blocked = self._timers.blocked(self.expired_at)
        if self._response is None:
            self._task.cancel()
        else:
            self._response.close()

    def take_back_cancel(self) -> bool:
        """Take back the cancellation of the task, if this clock caused one; whether nobody else asked for one."""
        if self.expired is None or self._response is not None:
            return False
        return self._task.uncancel() <= self._cancelling

    def was_cancelled(self) -> bool:
        """Whether anybody has cancelled the task since this clock was made, and has not taken it back."""
        return self._task.cancelling() > self._cancelling

    def _due(self) -> None:
        timer, self._timer = self._timer, None
        if timer is None:
            return
        if timer.when >= self._look_at and (look := self._look) is not None:
            self._look, self._look_at = None, inf
            look()
            if self._timer is not None:
                return
        if timer.when < self.until:
            self._set_timer(self.until, watch=False)
        elif self._confirm is None or self._confirm():
            self.expire()

    def _set_timer(self, until: float, *, watch: bool = True) -> None:
        """Set the timer for what comes first; `watch`: a wait begins, so watch the loop."""
        self.until = until
        if self._look_at < until:
            until = self._look_at
        timer = self._timer
        if timer is not None:
            if timer.when <= until:
                return  # a limit that moves away costs nothing: the timer comes due and looks again
            self._timers.cancel(timer)
        self._timer = None if until == inf else self._timers.call_at(until, self._due, watch=watch)
