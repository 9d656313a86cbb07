"""Rows: the record of one call and of each of its attempts, with times, outcomes and costs.

A row holds no prompt, and an answer only in a run that keeps answers; no message of an error either: a provider may
quote the prompt in it.
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
    """The record of one attempt: the fields of `Attempt` by the same names, without its texts.

    `queued`, `sent`, `first`, `last` (content) and `ended` are seconds since the call began, `None`: never. `error` is
    the class of the error, `clock` the timeout that fired ("connect", "first_token", "idle", "total"). `cost_usd` is
    `None` where the price is unknown, `member` where no pool was asked.
    """

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
    member: str | None = None


@dataclass(slots=True)
class Row:
    """The record of one call of one arm: a line of `requests.jsonl`.

    `scheduled`, `started`, `first` (content of the answer) and `ended` are seconds since the run began, `None`: never.
    `outcome` is "ok" or the class of the error that the caller got; `model` is the one that answered. `denied` counts
    hedges that were due and not allowed; `capped` says that the call waited for the load's cap; `warmup` that it is not
    measured. `gaps` are the seconds between contents, of a call that was streamed. `prompt` is the place of its prompt
    among those of the run, from 0 (`None`: the built-in one), `answer` the text of the answer, where it is kept,
    `scores` what the scorers gave it (`None`: not judged).
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
    gaps: list[float] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    prompt: int | None = None
    answer: str | None = None
    scores: dict[str, float | None] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the caller got an answer."""
        return self.outcome == "ok"

    @property
    def winner(self) -> AttemptRow | None:
        """The attempt that gave the answer, `None` without one."""
        return next((attempt for attempt in self.attempts if attempt.outcome == "won"), None)

    @property
    def sent(self) -> list[AttemptRow]:
        """The attempts that made a request."""
        return [attempt for attempt in self.attempts if attempt.sent is not None]


def attempt_row(attempt: Attempt) -> AttemptRow:
    """The record of an attempt."""
    error, usage = attempt.error, attempt.usage
    return AttemptRow(
        attempt.model, attempt.cause, attempt.outcome,
        None if error is None else type(error).__name__,
        error.clock if isinstance(error, AttemptTimeout) else None,
        attempt.status, attempt.queued, attempt.sent, attempt.first_content, attempt.last_content, attempt.ended,
        None if usage is None else usage.input_tokens, None if usage is None else usage.output_tokens,
        attempt.cost_usd, attempt.cost_estimated, attempt.member,
    )


def attempt_from(given: Mapping[str, object]) -> AttemptRow:
    """An attempt from its JSON object; fields that a later version has added are ignored."""
    known = {field.name for field in fields(AttemptRow)}
    return AttemptRow(**{name: value for name, value in given.items() if name in known})  # type: ignore[arg-type]  # our own file


def row_from(given: Mapping[str, object]) -> Row:
    """A row from its JSON object; fields that a later version has added are ignored."""
    known = {field.name for field in fields(Row)} - {"attempts"}
    attempts = given.get("attempts")
    row = Row(**{name: value for name, value in given.items() if name in known})  # type: ignore[arg-type]  # our own file
    row.attempts = [attempt_from(attempt) for attempt in attempts] if isinstance(attempts, list) else []
    return row
