"""One batch of a simulated vendor: its life, worked out from the clock, and its results. Pure but for its draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = Literal["validating", "running", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"]
"""Where a batch stands, in OpenAI's words."""
ENDS = frozenset({"completed", "failed", "expired", "cancelled"})
"""The states after which nothing changes."""


UNPROCESSED, MISSING = -1, -2
"""The status of a row that was not processed, and of one whose result is not delivered."""


class Asked(NamedTuple):
    """One row of a batch: its id and its request."""

    id: str
    body: Mapping[str, object]


class Answered(NamedTuple):
    """What came of a row: the HTTP status and the JSON body; status 0: no response."""

    id: str
    status: int
    body: object = None


@dataclass(slots=True, eq=False)
class Job:
    """A batch. Instants are of the event loop's clock.

    It is validated until `valid_at`, runs until `done_at` and is finalised until `over_at`, unless it is cancelled,
    fails (`failure`: code and message) or expires (at `expires_at`, if it is not over then).
    """

    id: str
    vendor: str
    model: str
    endpoint: str
    rows: Sequence[Asked]
    made: float
    valid_at: float
    done_at: float
    over_at: float
    expires_at: float
    mark: str = ""
    file: str = ""
    failure: tuple[str, str] | None = None
    nothing_out: bool = False
    cancelled_at: float | None = None
    cancel_takes: float = 60.0
    visible_at: float = 0.0
    results_at: float = inf
    """Seconds after the end from which on the results are there."""
    deleted: bool = False
    answers: list[Answered] | None = None
    missing: frozenset[str] = frozenset()
    """The ids of rows whose results are not delivered."""
    usd: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)
    """The ids of its files of results, by their kind."""

    @property
    def ends_at(self) -> float:
        """When it ends, as things stand now."""
        if self.failure is not None:
            return self.valid_at
        end = min(self.over_at, self.expires_at)
        if self.cancelled_at is not None:
            end = min(end, max(self.cancelled_at + self.cancel_takes, self.cancelled_at))
        return end

    def state(self, at: float) -> State:
        """Where it stands at an instant."""
        if at >= self.ends_at:
            if self.failure is not None:
                return "failed"
            cancelled = self.cancelled_at is not None and self.ends_at < min(self.over_at, self.expires_at)
            return "cancelled" if cancelled else "completed" if self.over_at <= self.expires_at else "expired"
        if self.cancelled_at is not None:
            return "cancelling"
        return "validating" if at < self.valid_at else "running" if at < self.done_at else "finalizing"

    def processed(self) -> int:
        """How many of its rows are answered at its end."""
        if self.failure is not None:
            return 0
        if self.vendor == "gemini" and self.cancelled_at is None and self.expires_at < self.over_at:
            return 0  # an expired batch of Gemini's has no results
        end = self.ends_at if self.cancelled_at is None else min(self.ends_at, self.cancelled_at)
        if end >= self.done_at:
            return len(self.rows)
        if end <= self.valid_at or self.done_at == inf:
            stuck_share = 0.5 if end > self.valid_at else 0.0
            return int(len(self.rows) * stuck_share)
        return int(len(self.rows) * (end - self.valid_at) / (self.done_at - self.valid_at))

    def results(self, at: float, answer: Callable[[Asked], tuple[Answered, float]]) -> list[Answered]:
        """The results of an ended batch; made, and billed, when they are first asked for."""
        if self.answers is None:
            self.answers, processed = [], self.processed()
            for number, row in enumerate(self.rows):
                if row.id in self.missing:
                    self.answers.append(Answered(row.id, MISSING))
                elif number < processed:
                    made, usd = (Answered(row.id, 500, None), 0.0) if self.nothing_out else answer(row)
                    self.answers.append(made)
                    self.usd += usd
                else:
                    self.answers.append(Answered(row.id, UNPROCESSED))
        return self.answers
