"""Watches that rows are answered: a warning when none has been for some seconds, an end when none has been for long.

A row that takes an hour is no reason for either: as long as a request is on the wire and nothing has failed since the
last answer, the provider is at work.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from asyncrouter.batch._failure import kind_of
from asyncrouter.batch._waiting_for import reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Router
    from asyncrouter.batch._asker import Asker

logger = logging.getLogger("asyncrouter")

WARN_AFTER = 10.0
"""Seconds without any answer after which a warning says what the rows wait for."""
PATIENCE = 1800.0
"""Seconds without any answer after which a job gives up: half an hour is no pause but a quota for the day."""


class Patience:
    """Calls `give_up` with the reason when nothing has been answered for `seconds`; `close` ends it."""

    def __init__(self, asker: Asker, router: Router, seconds: float, give_up: Callable[[str], None]) -> None:
        self._asker = asker
        self._router = router
        self._seconds = seconds
        self._give_up = give_up
        self._warned_at = -1.0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(min(WARN_AFTER, seconds), self._look)

    def __repr__(self) -> str:
        return f"<Patience {self._seconds:g} s>"

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        asker = self._asker
        silent = self._loop.time() - asker.heard_at
        left = min(each for each in (WARN_AFTER - silent, self._seconds - silent, WARN_AFTER) if each > 0.0)
        self._timer = self._loop.call_later(max(left, 0.01), self._look)
        if not asker.in_flight or (asker.last_error is None and asker.requests()):
            return
        if silent >= self._seconds:
            self._give_up(f"{self._what()} for {self._seconds / 60:.3g} minutes: {reason(asker, self._router)}")
        elif silent >= WARN_AFTER and self._warned_at != asker.heard_at:
            self._warned_at = asker.heard_at  # once for each silence
            why = reason(asker, self._router)
            logger.warning("no answer for %.0f s: the rows wait, and are asked again: %s", silent, why)

    def _what(self) -> str:
        error = self._asker.last_error
        return "rate-limited continuously" if error is None or kind_of(error) == "limit" else "nobody has answered"
