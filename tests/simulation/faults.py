"""Which fault each request meets: by the scenario's faults and outages, rate limits and keys."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random
from typing import TYPE_CHECKING

from .own_troubles import TENANT, tenant_kind
from .retry_after import NONE, in_seconds
from .scripted_response import RequestFacts, draw_response
from .wires import WIRES

if TYPE_CHECKING:
    from .scenario import ModelProfile, Scenario
    from .scripted_response import ScriptedResponse

KEY = "key-of-"
"""How our keys begin."""
EPOCH = 1_767_225_600.0
"""Where the wall clock stands at the loop's 0.0."""


def provider_of(key: str) -> str:
    """Whose key this is, one of ours: of several a provider has, such as "p0[1]"."""
    return key.removeprefix(KEY).rpartition("-")[0]


class Faults:
    """Draws the response of each request; only healthy ones once the faults are `over`."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = Random(f"world {scenario.seed}")
        self._buckets: dict[str, tuple[float, float]] = {}  # by model: when, and what was left in it
        self._windows: dict[str, tuple[float, int]] = {}  # by model: when its minute ends, and how many came in it
        self._healthy = {
            model.name: replace(
                model, connect=min(0.01, model.connect), median=min(0.08, model.median), sigma=0.1,
                gap=min(0.01, model.gap), words=4, rps=None,  # quicker than it was, or it would be slow
            )
            for model in scenario.models.values()
        }
        self.over = False

    def key(self, provider: str, now: float) -> str:
        """The key that a provider accepts now."""
        return f"{KEY}{provider}-{2 if now >= self._scenario.key_rotations.get(provider, now + 1.0) else 1}"

    def _accepts(self, key: str, provider: str, now: float) -> bool:
        dies, revives = self._scenario.dead_keys.get(provider, (inf, inf))
        return key == self.key(provider, now) and not dies <= now < revives

    def script(
        self, model: ModelProfile, now: float, number: int, key: str, slowdown: float, *, stream: bool, size: int,
        max_tokens: int | None = None, disliked: str | None = None,
    ) -> ScriptedResponse:
        """The response to a request that is sent now, for a prompt that takes `slowdown` times as long.

        `disliked` is what models that dislike some prompts answer to this one.
        """
        asked = RequestFacts(model, number, stream, size, EPOCH + now, slowdown, max_tokens)
        own_key = key.startswith(TENANT)
        bad_key = tenant_kind(key) if own_key else None if self._accepts(key, model.provider, now) else "401"
        if self.over:
            return self._draw(replace(asked, model=self._healthy[model.name], slow=1.0), bad_key, now)
        kind, slow, clogged = self._outage(model, now)
        kind, asked = kind or bad_key, replace(asked, slow=slowdown * slow)
        if kind is None and not own_key and not self._admits(model, now):
            script = self._limited(asked, now)
        else:
            if kind is None and model.name in self._scenario.picky:
                kind = disliked
            if kind is None and self._random.random() < model.failure_share:
                kind = self._random.choices(self._scenario.faults, self._scenario.weights)[0]
            script = self._draw(asked, kind, now)
        if clogged > now:
            script.delay(clogged - now)
        return script

    def _draw(self, asked: RequestFacts, kind: str | None, now: float) -> ScriptedResponse:
        script, model = draw_response(self._random, asked, kind), asked.model
        if model.announced_rpm is not None:
            wire, limit = WIRES[model.wire], round(model.announced_rpm)
            script.headers[wire.limits] = f"{limit}"
            if model.window:
                ends, used = self._window(model, now)
                script.left = max(0, limit - used)
                script.headers |= {wire.left: f"{script.left}", "x-ratelimit-reset-requests": f"{ends - now:.3f}s"}
        return script

    def _window(self, model: ModelProfile, now: float) -> tuple[float, int]:
        """When the minute ends over which the requests to a model are counted, and how many came in it."""
        ends, used = self._windows.get(model.name, (0.0, 0))
        return (ends, used) if now < ends else (now + 60.0, 0)

    def _outage(self, model: ModelProfile, now: float) -> tuple[str | None, float, float]:
        """The fault of all requests to a model now, how much slower it is, and until when nothing gets through."""
        kind, slow, clogged = None, 1.0, now
        subjects = {None, model.name, model.provider, *model.of_all_keys}
        for outage in self._scenario.outages:
            if outage.begins <= now < outage.ends and outage.subject in subjects:
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

    def _admits(self, model: ModelProfile, now: float) -> bool:
        """Whether the provider's rate limit has room for a request."""
        if model.window:
            ends, used = self._window(model, now)
            self._windows[model.name] = ends, used + 1
            return used < (model.announced_rpm or inf)
        if model.rps is None:
            return True
        rate = model.rps * (model.step[1] if now >= model.step[0] else 1.0)
        size = max(1.0, rate)
        at, left = self._buckets.get(model.name, (now, size))
        left = min(size, left + (now - at) * rate)
        self._buckets[model.name] = now, left - 1.0 if left >= 1.0 else left
        return left >= 1.0

    def _limited(self, asked: RequestFacts, now: float) -> ScriptedResponse:
        """A 429 of the provider's rate limit."""
        script, model = self._draw(asked, "429", now), asked.model
        for name in script.retry_after.headers:
            del script.headers[name]
        script.retry_after = NONE
        if model.sends_retry_after and model.window:
            script.retry_after = in_seconds(round(max(0.001, self._windows[model.name][0] - now), 3))
        elif model.sends_retry_after and model.rps is not None:
            script.retry_after = in_seconds(round(max(0.001, (1.0 - self._buckets[model.name][1]) / model.rps), 3))
        script.headers |= script.retry_after.headers
        return script
