"""Counts of a running batch: rows, attempts, tokens, money, latencies. Tallies of several processes can be merged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import ceil, log
from typing import TYPE_CHECKING, Self

from asyncrouter.batch._failure import error_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Attempt, Embeddings, Reply, Trace

BIN_RATIO = 1.05
"""The upper end of a bin of latencies over its lower end; a quantile is the middle of its bin, within 2.5 %."""
BIN_START = 1e-4
"""The lower end of the first bin, in seconds; what is shorter counts there."""

_LOG_RATIO = log(BIN_RATIO)


@dataclass(slots=True)
class ModelTally:
    """Counts of one model: the rows it answered, the requests it was sent, and the US dollars they cost."""

    answered: int = 0
    attempts: int = 0
    cost_usd: float = 0.0


@dataclass(slots=True)
class Tally:
    """Counts of the rows that have ended.

    `attempts` counts requests that were sent, `hedges` those of them that were hedges; `unpriced` have no known price,
    and `estimated` a price that is an estimate. `cost_usd` leaves the unpriced ones out. `errors` counts failures by
    class, `ends` answers by their finish reason, `latencies` answers by bin. `retries` counts calls that were made
    again, `copied` rows with the result of an identical one, which are done or have failed, too. `wasted_usd` is the
    part of the cost that was paid for answers which another one had made useless.
    """

    done: int = 0
    failed: int = 0
    attempts: int = 0
    hedges: int = 0
    retries: int = 0
    copied: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    estimated: int = 0
    models: dict[str, ModelTally] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)
    wasted_usd: float = 0.0

    @property
    def ended(self) -> int:
        """Rows that are done or have failed."""
        return self.done + self.failed

    @property
    def usd_a_row(self) -> float | None:
        """The mean cost of a row that was asked, `None` before the first has ended."""
        asked = self.ended - self.copied
        return self.cost_usd / asked if asked else None

    def add_answer(self, reply: Reply | Embeddings, seconds: float) -> None:
        """Count a row that was answered; its provider took so many seconds."""
        self._count_answer(reply)
        self._add_attempts(reply.trace.attempts)
        index = _bin(seconds)
        self.latencies[index] = self.latencies.get(index, 0) + 1

    def add_waste(self, attempts: list[Attempt]) -> None:
        """Count attempts whose answer came too late to be of use."""
        self._add_attempts(attempts)
        self.wasted_usd += sum(attempt.cost_usd or 0.0 for attempt in attempts)

    def add_copied_answer(self, reply: Reply | Embeddings) -> None:
        """Count a row that has the answer of an identical one."""
        self.copied += 1
        self._count_answer(reply)

    def add_failure(self, error: Exception) -> None:
        """Count a row that has failed."""
        self._count_failure(error)
        self.add_failed_call(error)

    def add_copied_failure(self, error: Exception) -> None:
        """Count a row that has the failure of an identical one."""
        self.copied += 1
        self._count_failure(error)

    def add_failed_call(self, error: Exception) -> None:
        """Count the attempts of a failed call, but not its row: it will be asked again."""
        trace: Trace | None = getattr(error, "trace", None)
        if trace is not None:
            self._add_attempts(trace.attempts)

    def add_retry(self, error: Exception) -> None:
        """Count a call after which its row is asked again."""
        self.retries += 1
        self.add_failed_call(error)

    def quantile(self, q: float) -> float | None:
        """The seconds within which the share `q` of the answers came, `None` without answers."""
        rank, seen = ceil(q * sum(self.latencies.values())), 0
        for index in sorted(self.latencies):
            seen += self.latencies[index]
            if seen >= rank:
                return float(BIN_START * BIN_RATIO ** (index + 0.5))
        return None

    def merge(self, other: Self) -> None:
        """Add the counts of another tally to this one."""
        for name in (
            "done", "failed", "attempts", "hedges", "retries", "copied", "input_tokens", "output_tokens", "unpriced",
            "estimated",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost_usd += other.cost_usd
        self.wasted_usd += other.wasted_usd
        for error, count in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + count
        for end, count in other.ends.items():
            self.ends[end] = self.ends.get(end, 0) + count
        for index, count in other.latencies.items():
            self.latencies[index] = self.latencies.get(index, 0) + count
        for name, theirs in other.models.items():
            ours = self._model(name)
            ours.answered += theirs.answered
            ours.attempts += theirs.attempts
            ours.cost_usd += theirs.cost_usd

    def as_dict(self) -> dict[str, object]:
        """As JSON can hold it, for `from_dict` in another process."""
        return {**asdict(self), "latencies": {str(index): count for index, count in self.latencies.items()}}

    @classmethod
    def from_dict(cls, given: Mapping[str, object]) -> Self:
        """The tally that another process has written by `as_dict`."""
        tally = cls(**{each.name: given[each.name] for each in fields(cls)})  # type: ignore[arg-type]  # as it was written
        tally.models = {name: ModelTally(**model) for name, model in tally.models.items()}  # type: ignore[arg-type]
        tally.latencies = {int(index): count for index, count in tally.latencies.items()}
        return tally

    def _count_answer(self, reply: Reply | Embeddings) -> None:
        self.done += 1
        end = getattr(reply, "finish_reason", "stop")  # embeddings have none
        self.ends[end] = self.ends.get(end, 0) + 1
        self._model(reply.model).answered += 1

    def _count_failure(self, error: Exception) -> None:
        self.failed += 1
        name = error_class(error)
        self.errors[name] = self.errors.get(name, 0) + 1

    def _add_attempts(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            if attempt.outcome == "not_sent":
                continue
            self.attempts += 1
            if attempt.cause == "hedge":
                self.hedges += 1
            model = self._model(attempt.model)
            model.attempts += 1
            if attempt.cost_usd is None:
                self.unpriced += 1
            else:
                self.cost_usd += attempt.cost_usd
                model.cost_usd += attempt.cost_usd
            if attempt.cost_estimated:
                self.estimated += 1
            if attempt.usage is not None:
                self.input_tokens += attempt.usage.input_tokens
                self.output_tokens += attempt.usage.output_tokens

    def _model(self, name: str) -> ModelTally:
        model = self.models.get(name)
        if model is None:
            model = self.models[name] = ModelTally()
        return model


def provider_seconds(trace: Trace) -> float:
    """The seconds of a call without those that its attempts waited for their turn."""
    seconds = trace.seconds
    for attempt in trace.attempts:
        until = attempt.ended if attempt.sent is None else attempt.sent
        if until is not None and attempt.queued is not None:
            seconds -= until - attempt.queued
    return max(0.0, seconds)


def _bin(seconds: float) -> int:
    return int(log(seconds / BIN_START) / _LOG_RATIO) if seconds > BIN_START else 0
