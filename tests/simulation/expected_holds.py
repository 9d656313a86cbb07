"""The holds that a careful client keeps: Retry-After, 404, 403, a bad key. Kept by the world, apart from the router.

The world learns of an error at the instant at which the client has read it to its end, and no turn of the loop lies
between that and the client's own bookkeeping: so "before" is exact, also within one instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import Exchange

NEAR = 1e-5
"""Seconds by which a date may be misread: the floats of a wall clock are no finer than a quarter of a microsecond."""
GONE, FORBIDDEN, KEY_OUT, LONGEST = 300.0, 60.0, 60.0, 600.0
"""Seconds that a 404, a 403 and a bad key put out, and the longest Retry-After that is kept."""


@dataclass(slots=True)
class ExpectedHolds:
    """Until when each model and key must not be used, and why."""

    held: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    keys: dict[tuple[str, str], float] = field(default_factory=dict)
    spans: list[tuple[str, str, float, float]] = field(default_factory=list)
    """Provider and model ("" for all of its models), and from when to when there was a reason not to ask."""
    host_failures: set[str] = field(default_factory=set)
    """Providers whose connections have failed."""
    key_trouble: set[str] = field(default_factory=set)

    def learn(self, exchange: Exchange, now: float, wall: float, key_now: str) -> None:
        """Note that the client has read an error to its end, when its own wall clock said `wall`."""
        script = exchange.script
        if pause := script.retry_after.pause(wall):
            self._later(self.held, exchange, now, now + min(pause, LONGEST))
        if script.kind in {"404", "403"}:
            self._later(self.gone, exchange, now, now + (GONE if script.kind == "404" else FORBIDDEN))
        elif script.kind in {"401", "402", "429_money"}:
            self.key_trouble.add(exchange.provider)
            if script.kind == "401" and key_now != exchange.key:
                return  # a new key is there already
            account = exchange.provider, exchange.key
            if self.keys.get(account, 0.0) <= now:
                self.keys[account] = now + KEY_OUT
                self.spans.append((exchange.provider, "", now, now + LONGEST))

    def violation(self, provider: str, model: str, key: str, now: float) -> tuple[str, str] | None:
        """The invariant that a request would violate now, and how; `None` when it may go."""
        if now < self.held.get(model, 0.0) - NEAR:
            return "gate", f"{model} is held until {self.held[model]!r}"
        if now < self.gone.get(model, 0.0):
            return "out", f"{model} is out until {self.gone[model]!r}"
        if now < self.keys.get((provider, key), 0.0):
            return "key out", f"the key of {provider} is out until {self.keys[provider, key]!r}"
        return None

    def was_held(self, provider: str, model: str, since: float, until: float) -> bool:
        """Whether there was a reason not to ask a model at some instant of a span; a key may stay out for long."""
        return any(whose == provider and which in {"", model} and begin <= until and since < end
                   for whose, which, begin, end in self.spans)

    def _later(self, known: dict[str, float], exchange: Exchange, now: float, until: float) -> None:
        known[exchange.model] = max(known.get(exchange.model, 0.0), until)
        self.spans.append((exchange.provider, exchange.model, now, until))
