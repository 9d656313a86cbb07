"""One call as a row: when it was due, made and answered, by whom, at what price, with every attempt.

No text of a prompt or an answer is in it, nor the words of an error: a provider may quote the prompt in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from asyncrouter import AttemptTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Attempt


@dataclass(slots=True)
class AttemptRow:
    """An `Attempt`: instants are seconds since its call began; `error` is the class, `clock` the one that fired."""

    model: str
    cause: str
    outcome: str | None
    error: str | None = None
    clock: str | None = None
    status: int | None = None
    queued: float | None = None
    sent: float | None = None
    first: float | None = None
    last: float | None = None
    ended: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = 0.0
    cost_estimated: bool = False


@dataclass(slots=True)
class Row:
    """One call of one arm: a line of `requests.jsonl`. Instants are seconds since the run began, `None`: never.

    `outcome` is "ok" or the class of the error that the caller got; `model` is the one that answered. `denied` counts
    hedges that were due and not allowed; `capped` says that the call waited for the load's own cap.
    """

    arm: str
    number: int
    scheduled: float
    started: float
    first: float | None = None
    ended: float = 0.0
    outcome: str = "ok"
    model: str | None = None
    output_tokens: int | None = None
    cost_usd: float | None = 0.0
    cost_estimated: bool = False
    denied: int = 0
    capped: bool = False
    warmup: bool = False
    attempts: list[AttemptRow] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the caller got an answer."""
        return self.outcome == "ok"

    @property
    def winner(self) -> AttemptRow | None:
        """The attempt whose answer it was."""
        return next((attempt for attempt in self.attempts if attempt.outcome == "won"), None)

    @property
    def sent(self) -> list[AttemptRow]:
        """The attempts that made a request."""
        return [attempt for attempt in self.attempts if attempt.sent is not None]


def attempt_row(attempt: Attempt) -> AttemptRow:
    """What is kept of an attempt."""
    error, usage = attempt.error, attempt.usage
    return AttemptRow(
        attempt.model, attempt.cause, attempt.outcome,
        None if error is None else type(error).__name__,
        error.clock if isinstance(error, AttemptTimeout) else None,
        attempt.status, attempt.queued, attempt.sent, attempt.first_content, attempt.last_content, attempt.ended,
        None if usage is None else usage.input_tokens, None if usage is None else usage.output_tokens,
        attempt.cost_usd, attempt.cost_estimated,
    )


def attempt_from(given: Mapping[str, object]) -> AttemptRow:
    """An attempt as it was written; what a later version has added is passed over."""
    known = {field.name for field in fields(AttemptRow)}
    return AttemptRow(**{name: value for name, value in given.items() if name in known})  # type: ignore[arg-type]  # our own file
