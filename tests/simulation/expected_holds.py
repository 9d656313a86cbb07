"""The holds that a careful client keeps: Retry-After, 404, 403, a bad key. Kept by the world, apart from the router.

The world learns of an error at the instant at which the client has read it to its end, and no turn of the loop lies
between that and the client's own bookkeeping: so "before" is exact, also within one instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from .fault_kinds import PROMPTS
from .own_troubles import TENANT

if TYPE_CHECKING:
    from .record import Exchange

NEAR = 1e-5
"""Seconds by which a date may be misread: the floats of a wall clock are no finer than a quarter of a microsecond."""
ROUNDED = 1e-9
"""Seconds by which an instant of a trace may differ: it counts from the beginning of its call."""
OVERLOADED = 529
GONE, FORBIDDEN, KEY_OUT, LONGEST = 300.0, 60.0, 60.0, 600.0
"""Seconds that a 404, a 403 and a bad key put out, and the longest Retry-After that is kept."""


@dataclass(slots=True)
class ExpectedHolds:
    """Until when each model and key must not be used, and why."""

    held: dict[str, float] = field(default_factory=dict)
    """By model; by model and key where it is about the key alone, so that a caller's own need not mind it."""
    gone: dict[str, float] = field(default_factory=dict)
    limited: dict[str, float] = field(default_factory=dict)
    forbidden: dict[str, float] = field(default_factory=dict)
    keys: dict[tuple[str, str], float] = field(default_factory=dict)
    spans: list[tuple[str, str, float, float]] = field(default_factory=list)
    """Provider and model ("" for all of its models), and from when to when there was a reason not to ask."""
    host_failures: set[str] = field(default_factory=set)
    """Providers whose connections have failed."""
    key_trouble: set[str] = field(default_factory=set)
    doubted: dict[str, float] = field(default_factory=dict)
    """Until when a model may be disabled because it has disliked several prompts in a row."""
    out: list[tuple[str, str, float, float]] = field(default_factory=list)
    """The same for models and keys that definite words have disabled."""

    def learn(self, exchange: Exchange, now: float, wall: float, key_now: str) -> None:
        """Note that the client has read an error to its end, when its own wall clock said `wall`."""
        script, own = exchange.script, exchange.key.startswith(TENANT)
        about_key = script.error == "RateLimited"
        if (pause := script.retry_after.pause(wall)) and not (own and about_key and script.status != OVERLOADED):
            self._later(self.limited if about_key else self.held, exchange, now, now + min(pause, LONGEST))
        if own:
            return  # whatever it says about the key and what that may use is the caller's
        if script.kind in PROMPTS:  # three in a row may disable the model, or the key
            self.doubted[exchange.model] = now + GONE
            self.spans.append((exchange.provider, exchange.model, now, now + GONE))
            if script.kind == "402_prompt":
                self.key_trouble.add(exchange.provider)
                self.spans.append((exchange.provider, "", now, now + LONGEST))
        elif script.kind in {"404", "403"}:
            until = now + (GONE if script.kind == "404" else FORBIDDEN)
            self._later(self.gone if script.kind == "404" else self.forbidden, exchange, now, until)
            self.out.append((exchange.provider, exchange.model, now, until))
        elif script.kind in {"401", "402", "429_money"}:
            self.key_trouble.add(exchange.provider)
            if script.kind == "401" and key_now != exchange.key:
                return  # a new key is there already
            account = exchange.provider, exchange.key
            if self.keys.get(account, 0.0) <= now:
                self.keys[account] = now + KEY_OUT
                self.spans.append((exchange.provider, "", now, now + LONGEST))
                self.out.append(self.spans[-1])

    def violation(self, provider: str, model: str, key: str, now: float) -> tuple[str, str] | None:
        """The invariant that a request would violate now, and how; `None` when it may go."""
        held, gone = self.held.get(model, 0.0), self.gone.get(model, 0.0)
        if not key.startswith(TENANT):
            held, gone = max(held, self.limited.get(model, 0.0)), max(gone, self.forbidden.get(model, 0.0))
        if now < held - NEAR:
            return "gate", f"{model} is held until {held!r}"
        if now < gone:
            return "out", f"{model} is out until {gone!r}"
        if now < self.keys.get((provider, key), 0.0):
            return "key out", f"the key of {provider} is out until {self.keys[provider, key]!r}"
        return None

    def was_out(self, provider: str, model: str, now: float) -> bool:
        """Whether definite words had disabled a model or its key at an instant."""
        return any(whose == provider and which in {"", model} and begin - ROUNDED <= now < end
                   for whose, which, begin, end in self.out)

    def held_until(self, model: str) -> float:
        """Until when a model need not be used with our key."""
        known = self.held, self.limited, self.gone, self.forbidden, self.doubted
        return max(until.get(model, 0.0) for until in known)

    def was_held(self, provider: str, model: str, since: float, until: float) -> bool:
        """Whether there was a reason not to ask a model at some instant of a span; a key may stay out for long."""
        return any(whose == provider and which in {"", model} and begin - ROUNDED <= until and since < end
                   for whose, which, begin, end in self.spans)

    def reasons(self, provider: str, model: str) -> list[tuple[float, float]]:
        """From when to when there was a reason not to ask a model."""
        return [(begin, end) for whose, which, begin, end in self.spans if whose == provider and which in {"", model}]

    def free_at(self, provider: str, model: str, at: float) -> float:
        """From when on a model may be asked, as is known at the instant `at`; `inf` while it is disabled."""
        for whose, which, begin, end in self.out:
            if whose == provider and which in {"", model} and begin - ROUNDED <= at < end:
                return inf
        ends = [end for whose, which, begin, end in self.spans
                if (whose, which) == (provider, model) and begin - ROUNDED <= at]
        return max([at, *ends])

    def _later(self, known: dict[str, float], exchange: Exchange, now: float, until: float) -> None:
        known[exchange.model] = max(known.get(exchange.model, 0.0), until)
        self.spans.append((exchange.provider, exchange.model, now, until))
