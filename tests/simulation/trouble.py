"""The provider's side: what each request gets, by the day's faults and outages, limits and keys."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from .fates import Fate, draw_fate

if TYPE_CHECKING:
    from .day import Day, ModelDay

EPOCH = 1_767_225_600.0
"""Where the wall clock stands at the loop's 0.0."""


class Trouble:
    """Draws the fate of each request; nothing but healthy answers once `healed`."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._random = Random(f"world {day.seed}")
        self._buckets: dict[str, tuple[float, float]] = {}  # by model: when, and what was left in it
        self._calm = {
            model.name: replace(model, connect=0.01, median=0.08, sigma=0.1, gap=0.01, words=4, rps=None)
            for model in day.models.values()
        }
        self.healed = False

    def key(self, provider: str, now: float) -> str:
        """The key that a provider takes now."""
        return f"key-of-{provider}-{2 if now >= self._day.rotates.get(provider, now + 1.0) else 1}"

    def fate(self, model: ModelDay, now: float, number: int, key: str, *, stream: bool, size: int) -> Fate:
        """What a request gets that is sent now."""
        bad_key = "401" if key != self.key(model.provider, now) else None
        if self.healed:
            return self._draw(self._calm[model.name], bad_key, now, number, stream=stream, size=size)
        kind, slow = self._outage(model, now)
        kind = kind or bad_key
        if kind is None and not self._admits(model, now):
            return self._limited(model, now, number, stream=stream, size=size)
        if kind is None and self._random.random() < model.fails:
            kind = self._random.choices(self._day.faults, self._day.weights)[0]
        return self._draw(model, kind, now, number, stream=stream, size=size, slow=slow)

    def _draw(
        self, model: ModelDay, kind: str | None, now: float, number: int, *, stream: bool, size: int, slow: float = 1.0
    ) -> Fate:
        fate = draw_fate(self._random, model, kind, number, stream=stream, size=size, wall=EPOCH + now, slow=slow)
        if model.announces is not None:
            fate.headers["x-ratelimit-limit-requests"] = f"{model.announces:.0f}"
        return fate

    def _outage(self, model: ModelDay, now: float) -> tuple[str | None, float]:
        """The trouble that all requests to a model have now, and by how much it is slower."""
        kind, slow = None, 1.0
        for outage in self._day.outages:
            if outage.begins <= now < outage.ends and outage.subject in {None, model.name, model.provider}:
                if outage.kind == "slow":
                    slow *= outage.factor
                else:
                    kind = kind or outage.kind
        return kind, slow

    def _admits(self, model: ModelDay, now: float) -> bool:
        if model.rps is None:
            return True
        size = max(1.0, model.rps)
        at, left = self._buckets.get(model.name, (now, size))
        left = min(size, left + (now - at) * model.rps)
        self._buckets[model.name] = now, left - 1.0 if left >= 1.0 else left
        return left >= 1.0

    def _limited(self, model: ModelDay, now: float, number: int, *, stream: bool, size: int) -> Fate:
        fate = self._draw(model, "429", now, number, stream=stream, size=size)
        fate.headers, fate.pause, fate.dated = {"content-type": "application/json"}, None, False
        if model.told and model.rps is not None:
            fate.pause = round(max(0.001, (1.0 - self._buckets[model.name][1]) / model.rps), 3)
            fate.headers["retry-after"] = f"{fate.pause}"
        return fate
