"""All that is known about one model and about its provider: their breakers with their thresholds, limits, latencies."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._policies.breaker import Breaker
from asyncrouter._policies.doubts import Doubts
from asyncrouter._policies.limits import Limits
from asyncrouter._policies.memory import Memory
from asyncrouter._policies.pacing import Pacer
from asyncrouter._policies.retry_budget import RetryBudget
from asyncrouter._policies.slowness import Slowness

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from random import Random

    from asyncrouter._config.catalog import Model
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.holds import Holds
    from asyncrouter._policies.pools.answer_times import AnswerTimes

MODEL_IN_A_ROW, MODEL_QUIET_SECONDS, MODEL_LONGEST_OPEN = 3, 4.0, 15.0
"""A model's breaker opens at three failures in a row when nothing was answered for four seconds (where calls are many,
three in a row are chance), and stays open for 15 seconds at most."""
HOST_IN_A_ROW, HOST_QUIET_SECONDS, HOST_LONGEST_OPEN = 5, 0.0, 60.0
"""A host's breaker opens at five lost connections in a row, as Finagle and Envoy do, whatever was answered before, and
stays open for a minute at most."""


class ProviderState:
    """One provider with its key: whether its host can be reached, and what may be spent on retries.

    `host` is the breaker of a host that is reached with another key, too.
    """

    __slots__ = ("host", "limit_of_a_model", "retries")

    def __init__(self, random: Random, changed: Callable[[str, str], None], host: Breaker | None = None) -> None:
        self.host = host or Breaker(
            random, changed, in_a_row=HOST_IN_A_ROW, quiet=HOST_QUIET_SECONDS, longest=HOST_LONGEST_OPEN
        )
        self.retries = RetryBudget()
        self.limit_of_a_model: tuple[float, float] | None = None
        """Requests a second that one of its models lets through, found by a crowd; until when that is remembered."""

    def __repr__(self) -> str:
        return f"<ProviderState {self.host!r}, {self.retries!r}>"


class ModelState:
    """One model at one provider: its breaker, limits and queue, how long it takes, and whether it has become slow.

    `holds` is the router's, `changed` is called with a new state of the model and the reason, and `breakers_on` says
    whether breakers and demotion are used at all. Among `slow_models` it enters its name while it is demoted.
    """

    __slots__ = (
        "breaker", "breakers_on", "buffered", "changed", "doubts", "holds", "limits", "limits_read_at", "model",
        "pacer", "provider", "slow_models", "slowness", "streamed", "times", "watchers",
    )

    def __init__(
        self, model: Model, provider: ProviderState, holds: Holds, changed: Callable[[str, str], None], random: Random,
        loop: asyncio.AbstractEventLoop, slow_models: set[str], *, breakers_on: bool,
    ) -> None:
        self.model = model
        self.provider = provider
        self.holds = holds
        self.changed = changed
        self.breakers_on = breakers_on
        self.breaker = Breaker(
            random, changed, in_a_row=MODEL_IN_A_ROW, quiet=MODEL_QUIET_SECONDS, longest=MODEL_LONGEST_OPEN
        )
        self.slowness = Slowness(self._slowness_changed)
        self.slow_models = slow_models
        self.watchers: set[Callable[[], None]] = set()
        """Called when the model is demoted, by races that have an attempt on it running."""
        self.doubts = Doubts()
        self.limits = Limits(model)
        self.pacer = Pacer(self.limits, loop)
        self.streamed = Memory()
        self.buffered = Memory()
        self.limits_read_at = -inf
        """When its headers were last read for limits."""
        self.times: AnswerTimes | None = None
        """How long its whole answers take now, where it is a member of a pool."""

    def __repr__(self) -> str:
        return f"<ModelState {self.model.name}: {self.breaker!r}, {self.pacer!r}{', slow' if self.slow else ''}>"

    @property
    def slow(self) -> bool:
        """Whether it is demoted for being much slower than usual."""
        return self.slowness.slow

    @property
    def breakers_closed(self) -> bool:
        """Whether neither the model's breaker nor its host's is open or half-open."""
        return self.breaker.state == "closed" and self.provider.host.state == "closed"

    def memory(self, *, streams: bool) -> Memory:
        """What is usual on the streaming wire or, on the buffered one, where an answer is one content."""
        return self.streamed if streams else self.buffered

    def _slowness_changed(self, state: str, why: str) -> None:
        self.changed(state, why)
        if self.slowness.slow:
            self.slow_models.add(self.model.name)
            for watcher in tuple(self.watchers):
                watcher()
        else:
            self.slow_models.discard(self.model.name)

    def learn(self, error: AttemptError, now: float) -> None:
        """Remember what a failed attempt says about the model and its key."""
        if (change := self.holds.learn(self.model, error, now)) is not None:
            self.changed(*change)

    def reconfigure(self, model: Model, *, breakers_on: bool) -> None:
        """Take the limits of another configuration."""
        if (model.rpm, model.tpm, model.max_concurrent) != (self.model.rpm, self.model.tpm, self.model.max_concurrent):
            self.limits.configure(model)
            self.pacer.look_again()
        self.model = model
        self.breakers_on = breakers_on


def without_limits(model: Model) -> Model:
    """The model as it is where no configuration has an entry for it any more."""
    return replace(model, rpm=None, tpm=None, max_concurrent=None)
