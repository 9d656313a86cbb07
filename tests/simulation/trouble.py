"""The provider's side: what each request gets, by the day's faults and outages, limits and keys."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from .fates import Asked, draw_fate
from .hints import NONE, in_seconds
from .tongues import TONGUES

if TYPE_CHECKING:
    from .day import Day, ModelDay
    from .fates import Fate

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

    def fate(
        self, model: ModelDay, now: float, number: int, key: str, drags: float, *, stream: bool, size: int
    ) -> Fate:
        """What a request gets that is sent now, for a prompt that takes `drags` times as long."""
        asked = Asked(model, number, stream, size, EPOCH + now, drags)
        bad_key = "401" if key != self.key(model.provider, now) else None
        if self.healed:
            return self._draw(replace(asked, model=self._calm[model.name], slow=1.0), bad_key)
        kind, slow, clogged = self._outage(model, now)
        kind, asked = kind or bad_key, replace(asked, slow=drags * slow)
        if kind is None and not self._admits(model, now):
            fate = self._limited(asked, now)
        else:
            if kind is None and self._random.random() < model.fails:
                kind = self._random.choices(self._day.faults, self._day.weights)[0]
            fate = self._draw(asked, kind)
        if clogged > now:
            fate.delay(clogged - now)
        return fate

    def _draw(self, asked: Asked, kind: str | None) -> Fate:
        fate, model = draw_fate(self._random, asked, kind), asked.model
        if model.announces is not None:
            fate.headers[TONGUES[model.wire].limits] = f"{model.announces:.0f}"
        return fate

    def _outage(self, model: ModelDay, now: float) -> tuple[str | None, float, float]:
        """The trouble of all requests to a model now, by how much it is slower, and until when nothing gets through."""
        kind, slow, clogged = None, 1.0, now
        for outage in self._day.outages:
            if outage.begins <= now < outage.ends and outage.subject in {None, model.name, model.provider}:
                match outage.kind:
                    case "slow":
                        slow *= outage.factor
                    case "ramp":
                        slow *= 1.0 + (outage.factor - 1.0) * (now - outage.begins) / (outage.ends - outage.begins)
                    case "clog":
                        clogged = max(clogged, outage.ends)
                    case _:
                        kind = kind or outage.kind
        return kind, slow, clogged

    def _admits(self, model: ModelDay, now: float) -> bool:
        if model.rps is None:
            return True
        rate = model.rps * (model.step[1] if now >= model.step[0] else 1.0)
        size = max(1.0, rate)
        at, left = self._buckets.get(model.name, (now, size))
        left = min(size, left + (now - at) * rate)
        self._buckets[model.name] = now, left - 1.0 if left >= 1.0 else left
        return left >= 1.0

    def _limited(self, asked: Asked, now: float) -> Fate:
        fate, model = self._draw(asked, "429"), asked.model
        for name in fate.hint.headers:
            del fate.headers[name]
        fate.hint = NONE
        if model.told and model.rps is not None:
            fate.hint = in_seconds(round(max(0.001, (1.0 - self._buckets[model.name][1]) / model.rps), 3))
            fate.headers |= fate.hint.headers
        return fate
