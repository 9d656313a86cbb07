"""One step's turn in a race, and what it may ask of whoever decides between the turns."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._engine.running_attempt import RunningAttempt
    from asyncrouter._types import Cause, Outcome


class RaceHooks(Protocol):
    """Who decides between lanes: the race."""

    def sent(self, lane: StepRun) -> None:
        """Called whenever a lane sends."""
        ...

    def won(self, lane: StepRun) -> bool:
        """Called at a lane's first content: may it go on alone? Every other lane has been settled then."""
        ...

    def others(self, lane: StepRun, within: float, *, forced: bool = False) -> bool:
        """Whether another step runs, or could be sent in `within` seconds; `forced`: though its breaker is open."""
        ...


class StepRun:
    """One step's turn in a race.

    It may be silent until `silent_until` and must have answered by `answer_until`, instants of the loop's clock, as is
    `sent_at`: when its newest attempt was sent, `size` bytes of it.
    """

    __slots__ = (
        "answer_until", "arbiter", "cause", "flight", "hedged", "index", "loop", "sent_at", "silent_until", "size",
        "step",
        "stopped", "task",
    )

    def __init__(
        self, arbiter: RaceHooks, loop: asyncio.AbstractEventLoop, step: PlannedStep, index: int, cause: Cause,
        silent_until: float, answer_until: float,
    ) -> None:
        self.arbiter = arbiter
        self.loop = loop
        self.step = step
        self.index = index
        self.cause: Cause = cause
        self.hedged = cause == "hedge"
        self.sent_at: float | None = None
        self.size = 0
        self.silent_until = silent_until
        self.answer_until = answer_until
        self.flight: RunningAttempt | None = None  # the attempt that runs now
        self.task: asyncio.Task[None] | None = None
        self.stopped: Outcome | None = None

    def __repr__(self) -> str:
        return f"<StepRun {self.index} {self.step.name} ({self.cause}){' ' + self.stopped if self.stopped else ''}>"

    def won(self) -> bool:
        """Whether this lane's first content ends the race."""
        return self.arbiter.won(self)

    def fits(self, pause: float) -> bool:
        """Whether there is time left for a try after a pause of so many seconds."""
        return self.loop.time() + pause < self.silent_until

    def alone(self, within: float) -> bool:
        """Whether nobody else could answer in `within` seconds."""
        return not self.arbiter.others(self, within)

    def last(self) -> bool:
        """Whether nobody else is left who could be asked now, even with an open breaker."""
        return not self.arbiter.others(self, 0.0, forced=True)

    def patience(self) -> float:
        """Seconds to wait for a turn: while another step could serve, no longer than for a Retry-After."""
        return inf if self.alone(0.0) else self.step.retry.patience

    def waits(self, hold: float) -> bool:
        """Whether waiting out what the provider asked for is better than going on. A hedge never waits."""
        return not self.hedged and self.fits(hold) and (hold <= self.step.retry.patience or self.alone(hold))
