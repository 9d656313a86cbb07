"""Metrics for Prometheus: calls, attempts, tokens and costs, by model and task.

```python
from asyncrouter.integrations.prometheus import Prometheus

router = Router(listeners=[Prometheus()])     # then prometheus_client.start_http_server(…), or `metrics.text()`
```

| name | labels | what |
|---|---|---|
| `asyncrouter_calls_total` | task, outcome | ended calls: answered, left, cancelled, or the error's class |
| `asyncrouter_calls_in_flight` | | calls that are running |
| `asyncrouter_call_seconds` | task | how long calls took |
| `asyncrouter_attempts_total` | model, provider, cause, outcome, error | attempts that have ended, `error`: its class |
| `asyncrouter_attempt_seconds` | model | from sending to the end |
| `asyncrouter_first_content_seconds` | model | from sending to the first content |
| `asyncrouter_tokens_total` | model, kind | as providers counted them: input, output, cached, reasoning |
| `asyncrouter_cost_usd_total` | model | US dollars, where known |

Models and tasks beyond the first 500 are `_other`. Needs the extra `prometheus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    import prometheus_client
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"{_missing.name} is not installed: pip install 'asyncrouter[prometheus]'", name=_missing.name
    ) from None

from asyncrouter import AttemptEnded, CallEnded, CallStarted
from asyncrouter.integrations._names import Names

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from asyncrouter import Attempt, Event, Trace

_BUCKETS: Final = tuple(0.01 * 2**step for step in range(14))
"""Seconds, as OpenTelemetry's conventions have them: 0.01 to 81.92."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of `Prometheus.text()`."""


class Prometheus:
    """A listener that counts: `Router(listeners=[Prometheus()])`. One serves several routers.

    - `registry`: where the metrics are registered; `None`: the default one of prometheus_client.

    Raises `ValueError` where the registry has them already.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = prometheus_client.REGISTRY if registry is None else registry

        def counter(name: str, description: str, *labels: str) -> prometheus_client.Counter:
            return prometheus_client.Counter(f"asyncrouter_{name}", description, labels, registry=self._registry)

        def seconds(name: str, description: str, label: str) -> prometheus_client.Histogram:
            return prometheus_client.Histogram(
                f"asyncrouter_{name}_seconds", description, [label], registry=self._registry, buckets=_BUCKETS
            )

        self._calls = counter("calls", "Calls that have ended.", "task", "outcome")
        self._in_flight = prometheus_client.Gauge(
            "asyncrouter_calls_in_flight", "Calls that are running.", registry=self._registry
        )
        self._call_seconds = seconds("call", "How long calls took.", "task")
        self._attempts = counter(
            "attempts", "Attempts that have ended.", "model", "member", "provider", "cause", "outcome", "error"
        )
        self._attempt_seconds = seconds("attempt", "From sending to the end.", "model")
        self._first_content = seconds("first_content", "From sending to the first content.", "model")
        self._tokens = counter("tokens", "Tokens, as providers counted them.", "model", "kind")
        self._cost = counter("cost_usd", "US dollars, where known.", "model")
        self._models, self._members, self._tasks = Names(), Names(), Names()

    def __call__(self, event: Event) -> None:
        """Take an event of a router."""
        if isinstance(event, AttemptEnded):
            self._end_attempt(event.attempt)
        elif isinstance(event, CallStarted):
            self._in_flight.inc()
        elif isinstance(event, CallEnded):
            self._end_call(event.trace, event.error)

    def text(self) -> bytes:
        """All metrics of the registry in Prometheus' text format, for a page `/metrics` (`CONTENT_TYPE`)."""
        return prometheus_client.generate_latest(self._registry)

    def _end_call(self, trace: Trace, error: BaseException | None) -> None:
        self._in_flight.dec()
        task = self._tasks.bounded(trace.task or "")
        self._calls.labels(task, _outcome(trace, error)).inc()
        self._call_seconds.labels(task).observe(trace.seconds)

    def _end_attempt(self, attempt: Attempt) -> None:
        model = self._models.bounded(attempt.model)
        error = "" if attempt.error is None else type(attempt.error).__name__
        self._attempts.labels(
            model, self._members.bounded(attempt.member or ""), attempt.provider, attempt.cause,
            attempt.outcome or "running", error,
        ).inc()
        if attempt.sent is not None:
            if attempt.ended is not None:
                self._attempt_seconds.labels(model).observe(attempt.ended - attempt.sent)
            if attempt.first_content is not None:
                self._first_content.labels(model).observe(attempt.first_content - attempt.sent)
        if (usage := attempt.usage) is not None:
            counts = {
                "input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens,
                "reasoning": usage.reasoning_tokens,
            }
            for kind, count in counts.items():
                if count:
                    self._tokens.labels(model, kind).inc(count)
        if attempt.cost_usd:
            self._cost.labels(model).inc(attempt.cost_usd)


def _outcome(trace: Trace, error: BaseException | None) -> str:
    if error is not None:
        return type(error).__name__ if isinstance(error, Exception) else "cancelled"
    return "answered" if any(attempt.outcome == "won" for attempt in trace.attempts) else "left"
