"""What is known about one model at one provider, and about the provider itself: the memory the policies share."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._policies.breaker import VOLUME, WINDOW, Breaker, Window
from asyncrouter._policies.latency import Latency
from asyncrouter._policies.pacing import Pacer
from asyncrouter._policies.retry_budget import RetryBudget

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from random import Random

    from asyncrouter._config.catalog import Model

UNUSUAL = 600.0
"""Seconds for which what a slow model does is not taken for what is usual: else a brown-out would soon be."""
SLOW_SPAN = 5.0
"""Seconds between two tries of a model in its old place while it is demoted for being slow."""


class ProviderState:
    """One provider with its key: whether its host can be reached, and what may be spent on retries."""

    __slots__ = ("host", "retries")

    def __init__(self, random: Random, changed: Callable[[str, str], None]) -> None:
        self.host = Breaker(random, changed, in_a_row=5, quiet=0.0, longest=60.0)
        self.retries = RetryBudget()

    def __repr__(self) -> str:
        return f"<ProviderState {self.host!r}, {self.retries!r}>"


class ModelState:
    """One model at one provider: its breaker, its pace, how long it takes, and whether it has become slow."""

    __slots__ = (
        "_changed", "_slow", "_slow_at", "_slow_in_a_row", "_slow_since", "_slow_until", "account", "announced_at",
        "breaker", "buffered", "model", "pacer", "streamed",
    )

    def __init__(
        self, model: Model, account: ProviderState, loop: asyncio.AbstractEventLoop, random: Random,
        changed: Callable[[str, str], None],
    ) -> None:
        self.model = model
        self.account = account
        self._changed = changed
        self.breaker = Breaker(random, changed, in_a_row=3, quiet=4.0, longest=15.0)
        self.pacer = Pacer(model, loop)
        self.streamed = Latency()
        self.buffered = Latency()
        self.announced_at = -inf
        """When its headers were last looked at for limits."""
        self._slow = Window()
        self._slow_at = self._slow_since = -inf
        self._slow_in_a_row = 0
        self._slow_until: float | None = None

    def __repr__(self) -> str:
        return f"<ModelState {self.model.name}: {self.breaker!r}, {self.pacer!r}{', slow' if self.slow else ''}>"

    @property
    def slow(self) -> bool:
        """Whether it has been silent much longer than usual: in half of 30 s, or twenty times in a row."""
        return self._slow_until is not None

    def latency(self, *, streams: bool) -> Latency:
        """How long it takes to its first content, or, on the buffered wire, to its answer."""
        return self.streamed if streams else self.buffered

    def took(self, seconds: float, size: int, now: float, *, streams: bool, cut: bool = False) -> None:
        """Remember how long an attempt took to its first content, or (`cut`) that it would have taken longer.

        After ten minutes that is what a slow model is like, and in forty more what was is forgotten.
        """
        if self._slow_until is None or now - self._slow_since >= UNUSUAL:
            self.latency(streams=streams).add(seconds, size, now, cut=cut)

    def demoted(self, now: float) -> bool:
        """Whether others should go first now; every five seconds it has one try in its old place."""
        if self._slow_until is None:
            return False
        if now < self._slow_until:
            return True
        self._slow_until = now + SLOW_SPAN
        return False

    def was_slow(self, now: float) -> None:
        """An attempt was silent for too long."""
        self._slow_at = now
        self._slow_in_a_row += 1
        self._slow.add(now, failed=True)
        if self._slow_until is None and (self._slow_in_a_row >= VOLUME or self._slow.full_of_failures()):
            self._slow_since, self._slow_until = now, now + SLOW_SPAN
            self._changed("slow", "half of its attempts were much slower than usual")

    def was_slow_lately(self, now: float) -> bool:
        """Whether an attempt that is quick has something to make up for."""
        return self._slow_until is not None or self._slow_in_a_row > 0 or now - self._slow_at <= WINDOW

    def was_quick(self, now: float) -> None:
        """An attempt was not slow: one is enough to have it back in its place."""
        self._slow_in_a_row = 0
        self._slow.add(now, failed=False)
        if self._slow_until is not None:
            self._slow_until = None
            self._slow.clear()
            self._changed("not slow any more", "")
