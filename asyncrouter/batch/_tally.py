"""What has come of the rows so far: counts, tokens, money, latencies; to be added to one another."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import ceil, log
from typing import TYPE_CHECKING, Self

from asyncrouter.batch._lines import error_class, unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Reply, Trace

STEP = 1.05
"""From one class of latencies to the next: a quantile is told to within 2.5 %."""
LEAST = 1e-4


@dataclass(slots=True)
class ModelTally:
    """One model: the rows it answered, its attempts, and what all of them cost."""

    answered: int = 0
    attempts: int = 0
    cost_usd: float = 0.0


@dataclass(slots=True)
class Tally:
    """Rows that have ended. `unpriced` attempts cost something unknown; latencies are of answers, by class."""

    done: int = 0
    failed: int = 0
    attempts: int = 0
    hedges: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    estimated: int = 0
    models: dict[str, ModelTally] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)
    shut: int = 0
    """Rows that failed one after the other, up to now, because no model of their chain can be used by anybody."""

    @property
    def ended(self) -> int:
        """Rows that are done or have failed."""
        return self.done + self.failed

    def answered(self, reply: Reply) -> None:
        """A row has its answer."""
        self.done += 1
        self.shut = 0
        self._attempts(reply.trace)
        self._model(reply.model).answered += 1
        latency = _class(reply.trace.seconds)
        self.latencies[latency] = self.latencies.get(latency, 0) + 1

    def asks_again(self, error: Exception) -> None:
        """A call has failed, and its row may have another."""
        trace: Trace | None = getattr(error, "trace", None)
        if trace is not None:
            self._attempts(trace)

    def fail(self, error: Exception) -> None:
        """A row has failed."""
        self.failed += 1
        self.shut = self.shut + 1 if unusable(error) else 0
        name = error_class(error)
        self.errors[name] = self.errors.get(name, 0) + 1
        self.asks_again(error)

    def quantile(self, q: float) -> float | None:
        """Seconds within which this share of the answers came."""
        rank, seen = ceil(q * self.done), 0
        for latency in sorted(self.latencies):
            seen += self.latencies[latency]
            if seen >= rank:
                return float(LEAST * STEP ** (latency + 0.5))
        return None

    def add(self, other: Self) -> None:
        """Take another one in."""
        for name in ("done", "failed", "attempts", "hedges", "input_tokens", "output_tokens", "unpriced", "estimated"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost_usd += other.cost_usd
        for error, count in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + count
        for latency, count in other.latencies.items():
            self.latencies[latency] = self.latencies.get(latency, 0) + count
        for name, model in other.models.items():
            mine = self._model(name)
            mine.answered += model.answered
            mine.attempts += model.attempts
            mine.cost_usd += model.cost_usd

    def as_dict(self) -> dict[str, object]:
        """For another process."""
        return asdict(self)

    @classmethod
    def of_dict(cls, given: Mapping[str, object]) -> Self:
        """From another process."""
        tally = cls(**{each.name: given[each.name] for each in fields(cls)})  # type: ignore[arg-type]  # as it was written
        tally.models = {name: ModelTally(**model) for name, model in tally.models.items()}  # type: ignore[arg-type]
        tally.latencies = {int(latency): count for latency, count in tally.latencies.items()}
        return tally

    def _attempts(self, trace: Trace) -> None:
        for attempt in trace.attempts:
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


def _class(seconds: float) -> int:
    return int(log(max(seconds, LEAST) / LEAST) / log(STEP))
