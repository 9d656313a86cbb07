"""The callers of a scenario: what each of them asks for, and what it does meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .config import draw_hedge
from .distributions import log_uniform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One call: when it is made, for what task, and what its caller does."""

    at: float
    task: str
    stream: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    accept: str | None = None
    """What `accept` says: yes, no, maybe, slow (yes), raises; `None` for no `accept`."""
    accept_seconds: float = 0.0
    cancel_after: float | None = None
    cancel_at_event: str | None = None
    """The event at whose very instant the caller is cancelled: sent, connected, headers, content, end."""
    cancels: int = 1
    timeout: float | None = None
    """The caller's own `asyncio.timeout`."""
    leave_after: int | None = None
    """Chunks after which its reader leaves a stream."""
    leave_by_raising: bool = False
    pause: float = 0.0
    """Seconds between two reads of a stream."""
    first_pause: float = 0.0
    restart: bool = False
    padding: int = 0
    slowdown: float = 1.0
    """How many times as long any model takes for this prompt."""
    disliked: str | None = None
    """What some models answer to this prompt, whoever asks; `None` for an answer."""
    tenant: str | None = None
    """Who is charged, where tenants have budgets of their own."""
    router: int = 0
    """Which of the routers makes it, where there are several."""
    key: str | None = None
    """A key of the caller's own, which is in the headers among its `options`."""


class BehaviourMix:
    """Draws the calls of a scenario: the shares that cancel, stream, wait, judge or leave early."""

    def __init__(self, random: Random) -> None:
        self._random = random
        share = random.uniform
        self._streams = share(0.0, 1.0)
        self._cancels = random.choice([0.0, share(0.0, 0.5), share(0.0, 0.2)])
        self._accepts = random.choice([0.0, share(0.0, 0.5)])
        self._leaves = share(0.0, 0.4)
        self._thinks = random.choice([0.0, share(0.0, 0.6)])
        self._long = random.choice([0.0, 0.0, 0.3, 1.0])
        self._batch = random.choice([0.0, share(0.1, 0.9)])
        self._timeouts = random.choice([0.0, share(0.0, 0.2)])
        self._options = share(0.0, 0.3)
        self._drags = random.choice([0.0, 0.0, share(0.0, 0.1)])

    def call(self, at: float, task: str) -> Behaviour:
        """Draw a call of this task at this instant."""
        random = self._random
        stream = random.random() < self._streams
        options: dict[str, object] = {}
        if random.random() < self._batch:
            options["priority"] = "batch"
        if random.random() < self._options:
            options |= self._given()
        settings: dict[str, object] = {"restart": random.random() < 0.4, "padding": random.choice([0, 10, 3000])}
        if random.random() < self._drags:
            settings["slowdown"] = log_uniform(random, 2.0, 100.0)
        if not stream and random.random() < self._accepts:
            settings["accept"] = random.choices(["yes", "no", "maybe", "slow", "raises"], [20, 20, 40, 15, 5])[0]
            settings["accept_seconds"] = random.choice([0.0, log_uniform(random, 0.01, 3.0)])
        if stream and random.random() < self._thinks:
            settings["pause"] = log_uniform(random, 0.01, 2.0)
            settings["first_pause"] = log_uniform(random, 1.0, 100.0) if random.random() < self._long else 0.0
        if stream and random.random() < self._leaves:
            settings |= {"leave_after": random.randint(0, 6), "leave_by_raising": random.random() < 0.3}
        if random.random() < self._cancels:
            settings["cancels"] = random.choice([1, 1, 2, 3])
            if random.random() < 0.5:
                settings["cancel_after"] = log_uniform(random, 0.001, 20.0)
            else:
                settings["cancel_at_event"] = random.choice(["sent", "connected", "headers", "content", "end"])
        elif random.random() < self._timeouts:
            settings["timeout"] = log_uniform(random, 0.01, 10.0)
        return Behaviour(at, task, stream, options, **settings)  # type: ignore[arg-type]  # drawn above, field by field

    def _given(self) -> dict[str, object]:
        """Draw an argument of the call that differs from the configuration."""
        random = self._random
        return random.choice([
            {"deadline": log_uniform(random, 0.05, 30.0)},
            {"hedge": draw_hedge(random)},
            {"retry": {"attempts": random.randint(1, 4), "patience": random.choice([0.0, 10.0])}},
            {"max_tokens": random.choice([1, 20, 2000])},
        ])
