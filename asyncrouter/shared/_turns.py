"""The turns of one place for many processes, in plain arithmetic: what a store does with an `Ask`.

GCRA as in the router's own limits, but turns are given up to `HORIZON_SECONDS` ahead, each with its instant. Slots are
counted by process, as each reports them. They are shared out fairly: while somebody who has less than an even share
waits, nobody takes beyond one; else whoever asks first for the slot that he has just freed himself would leave nothing
to others.

`asyncrouter.integrations.redis` has the same in Lua; tests hold one against the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor

from asyncrouter.shared._protocol import (
    ALIVE_SECONDS,
    HORIZON_SECONDS,
    JOIN_SECONDS,
    LAPSE_SECONDS,
    Ask,
    Grant,
)

WINDOW_SECONDS = 5.0
"""Seconds of the spans over which it is counted who was given how many turns."""
MEASURED_PART = 0.9
"""What a process had of the last turns counts for so much of its share; the rest is divided evenly."""


@dataclass(slots=True)
class _Process:
    seen: float
    running: int = 0
    waiting: int = 0
    window: int = -1
    given: int = 0
    given_before: int = 0

    def rotate(self, window: int) -> None:
        if self.window != window:
            self.given_before = self.given if self.window == window - 1 else 0
            self.given, self.window = 0, window


@dataclass(slots=True)
class PlaceTurns:
    """The state of one place. `now` is the store's clock, in seconds."""

    requests_until: float
    tokens_until: float
    given_at: float = 0.0
    join_at: float = 0.0
    held_until: float = 0.0
    why: str = ""
    processes: dict[str, _Process] = field(default_factory=dict)

    @classmethod
    def new(cls, ask: Ask, now: float) -> PlaceTurns:
        """A place that nobody has asked about. If somebody had, its state was lost: then it has no burst left."""
        late = ask.known
        return cls(
            now + _burst(ask.rate) / ask.rate if late and ask.rate else now,
            now + _burst(ask.tokens_rate) / ask.tokens_rate if late and ask.tokens_rate else now,
        )

    def admit(self, process: str, ask: Ask, now: float) -> Grant:
        """Give turns to a process."""
        for name in [name for name, one in self.processes.items() if one.seen < now - LAPSE_SECONDS]:
            del self.processes[name]
        mine = self.processes.setdefault(process, _Process(now))
        mine.seen, mine.running, mine.waiting = now, ask.running, ask.waiting
        if ask.rate:
            self.requests_until = max(self.requests_until, now) - ask.unused / ask.rate
        if ask.tokens_rate:
            self.tokens_until = max(self.tokens_until, now) + ask.more_tokens / ask.tokens_rate
        window = floor(now / WINDOW_SECONDS)
        for one in self.processes.values():
            one.rotate(window)
        if self.join_at > now or (ask.back and self.given_at < now - ALIVE_SECONDS):
            return self._join(ask, mine, now)
        if self.held_until > now:
            return self._answer((), 0.0, ask, mine, now)._replace(held=self.held_until - now, why=self.why)
        turns, wait = self._give(ask, mine, now)
        mine.running += len(turns)
        mine.waiting -= len(turns)
        mine.given += len(turns)
        self.given_at = now
        return self._answer(turns, wait, ask, mine, now)

    def hold(self, seconds: float, why: str, now: float) -> None:
        """Give no turns for so long."""
        if now + seconds > self.held_until:
            self.held_until, self.why = now + seconds, why

    def _join(self, ask: Ask, mine: _Process, now: float) -> Grant:
        if self.join_at <= now:
            self.join_at = now + JOIN_SECONDS
            if ask.rate:
                self.requests_until = max(self.requests_until, self.join_at + _burst(ask.rate) / ask.rate)
            if ask.tokens_rate:
                full = self.join_at + _burst(ask.tokens_rate) / ask.tokens_rate
                self.tokens_until = max(self.tokens_until, full)
            self.given_at = self.join_at
        return self._answer((), 0.0, ask, mine, now)._replace(joins_in=self.join_at - now)

    def _give(self, ask: Ask, mine: _Process, now: float) -> tuple[list[float], float]:
        turns: list[float] = []
        running = sum(one.running for one in self.processes.values())
        slots = self._slots(ask, mine, running)
        for index, tokens in enumerate(ask.wanted):
            batch = index >= ask.interactive
            if len(turns) >= slots - (batch and slots > 1 and ask.most is not None and running + len(turns) > 0):
                return turns, 0.0
            due = self._due(ask, tokens, now, batch=batch)
            if due > now + HORIZON_SECONDS:
                return turns, due - now - HORIZON_SECONDS
            if ask.rate:
                self.requests_until = max(self.requests_until, now) + 1.0 / ask.rate
            if ask.tokens_rate:
                self.tokens_until = max(self.tokens_until, now) + tokens / ask.tokens_rate
            turns.append(due - now)
        return turns, 0.0

    def _due(self, ask: Ask, tokens: float, now: float, *, batch: bool) -> float:
        due = now
        if ask.rate:
            burst = 1.0 if batch else _burst(ask.rate)
            due = max(due, self.requests_until - (burst - 1.0) / ask.rate)
        if ask.tokens_rate:
            burst = tokens if batch else max(_burst(ask.tokens_rate), tokens)
            due = max(due, self.tokens_until - (burst - tokens) / ask.tokens_rate)
        return due

    def _slots(self, ask: Ask, mine: _Process, running: int) -> int:
        """How many slots this process may take now."""
        if ask.most is None:
            return len(ask.wanted)
        free = ask.most - running
        active = sum(one.running + one.waiting > 0 for one in self.processes.values()) or 1
        poor = floor(ask.most / active)
        if any(one is not mine and one.waiting > 0 and one.running < poor for one in self.processes.values()):
            free = min(free, ceil(ask.most / active) - mine.running)
        return max(0, free)

    def _answer(self, turns: tuple[()] | list[float], wait: float, ask: Ask, mine: _Process, now: float) -> Grant:
        count = len(self.processes)
        given = sum(one.given_before for one in self.processes.values())
        share = MEASURED_PART * mine.given_before / given + (1.0 - MEASURED_PART) / count if given else 1.0 / count
        return Grant(turns, wait, count, share, self._room(ask, now))

    def _room(self, ask: Ask, now: float) -> int:
        room = 1000.0
        if ask.rate:
            room = _burst(ask.rate) - (self.requests_until - now) * ask.rate
        if ask.most is not None:
            room = min(room, ask.most - sum(one.running for one in self.processes.values()))
        if ask.tokens_rate and self.tokens_until > now:
            room = min(room, 0.0)
        return max(0, floor(room + 1e-9))


def _burst(rate: float | None) -> float:
    """What may go at once: a second's worth."""
    return max(1.0, rate or 0.0)
