"""Whether a model has become slow, and so goes behind the others of its chain.

A breaker sees failures; a model that is merely slow never fails while a hedge wins each race against it. So attempts
that were silent for much longer than usual are counted in a window like the breaker's. Twenty in a row, or half of at
least twenty calls in 30 s, demote the model. While it is demoted it is tried in its old place every five seconds, and
one attempt that is as quick as usual ends the demotion.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._policies.failure_window import MIN_CALLS, WINDOW_SECONDS, FailureWindow

if TYPE_CHECKING:
    from collections.abc import Callable

TRY_AGAIN_SECONDS = 5.0
"""Seconds between two tries of a demoted model in its old place: a breaker's shortest open time."""
LEARN_AGAIN_SECONDS = 600.0
"""Seconds after which a demoted model's latencies are learned again: sooner, a brown-out would soon be what is usual;
never, a model that has changed for good would stay last for ever."""


class Demotion:
    """The slow attempts of one model, and whether they have demoted it."""

    __slots__ = ("_changed", "_in_a_row", "_next_try", "_since", "_slow_at", "_window")

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._window = FailureWindow()
        self._in_a_row = 0
        self._slow_at = -inf  # the last slow attempt
        self._since = -inf  # when it was demoted the last time
        self._next_try: float | None = None  # when it may be tried in its old place; `None` while not demoted

    def __repr__(self) -> str:
        return f"<Demotion {'slow' if self.slow else 'none'}, {self._in_a_row} slow in a row>"

    @property
    def slow(self) -> bool:
        """Whether the model is demoted."""
        return self._next_try is not None

    def demoted(self, now: float) -> bool:
        """Whether the other models of a chain go first now; every five seconds one call is answered with no."""
        if self._next_try is None:
            return False
        if now < self._next_try:
            return True
        self._next_try = now + TRY_AGAIN_SECONDS
        return False

    def learns(self, now: float) -> bool:
        """Whether latencies seen now may be taken for what is usual."""
        return self._next_try is None or now - self._since >= LEARN_AGAIN_SECONDS

    def was_slow(self, now: float) -> None:
        """Count an attempt that was silent for too long."""
        self._slow_at = now
        self._in_a_row += 1
        self._window.add(now, failed=True)
        if self._next_try is None and (self._in_a_row >= MIN_CALLS or self._window.full_of_failures()):
            self._since, self._next_try = now, now + TRY_AGAIN_SECONDS
            self._changed("slow", "half of its attempts were much slower than usual")

    def was_slow_lately(self, now: float) -> bool:
        """Whether a quick attempt would change anything; most models are never slow, and are spared the question."""
        return self._next_try is not None or self._in_a_row > 0 or now - self._slow_at <= WINDOW_SECONDS

    def was_quick(self, now: float) -> None:
        """Count an attempt that was as quick as usual: one ends the demotion."""
        self._in_a_row = 0
        self._window.add(now, failed=False)
        if self._next_try is not None:
            self._next_try = None
            self._window.clear()
            self._changed("not slow any more", "")
