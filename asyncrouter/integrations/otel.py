"""Spans and metrics for OpenTelemetry: one span for each call, and below it one for each attempt.

```python
from asyncrouter.integrations.otel import OpenTelemetry

router = Router(listeners=[OpenTelemetry()])
```

The span of an attempt has *its* model, provider, error, usage and finish reasons; that of the call has none of them, so
that nothing is counted twice. Nothing of any prompt or answer, and no text of an error, is in either. The names are
those of the conventions for generative AI: see `OTEL_SEMCONV_STABILITY_OPT_IN`. Needs the extra `otel`.

A span's `asyncrouter.call_id` is the `trace.id` that log records have as `call_id`. As a filter of a handler the
listener adds the ids of the call's span, under the names that OpenTelemetry's instrumentation of `logging` uses:

```python
import logging

telemetry = OpenTelemetry()
handler = logging.StreamHandler()
handler.addFilter(telemetry)
handler.setFormatter(logging.Formatter("%(message)s trace_id=%(otelTraceID)s span_id=%(otelSpanID)s"))
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import SpanKind, StatusCode
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"{_missing.name} is not installed: pip install 'asyncrouter[otel]'", name=_missing.name
    ) from None

from asyncrouter import AttemptEnded, CallEnded, CallStarted
from asyncrouter.integrations._names import Names
from asyncrouter.integrations._otel_names import (
    ERROR,
    FINISH_REASONS,
    LOG_TRACE_ID,
    OPERATION,
    PROVIDERS,
    REQUEST_MODEL,
    RESPONSE_ID,
    RESPONSE_MODEL,
    SECONDS_BUCKETS,
    STATUS,
    TOKEN_BUCKETS,
    TOKEN_TYPE,
    semantic_names,
)

if TYPE_CHECKING:
    import logging

    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from asyncrouter import Attempt, Event, Reply, Trace, Usage

Attributes = dict[str, str | int | float | list[str]]

_NAME: Final = "asyncrouter"
_OPERATION: Final = "chat"
_NANO: Final = 1_000_000_000
_FAILED: Final = frozenset({"failed", "not_sent", "not_accepted"})
"""The outcomes of attempts that are errors; one that lost a race, or whose caller left, is none."""


class OpenTelemetry:
    """A listener that makes spans and metrics: `Router(listeners=[OpenTelemetry()])`. One serves several routers.

    - `tracer_provider`, `meter_provider`: `None`: those that the application has set.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._names = names = semantic_names()
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)

        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=SECONDS_BUCKETS
            )

        self._duration = seconds(names.duration, "How long attempts took.")
        self._first_chunk = None if names.first_chunk is None else seconds(
            names.first_chunk, "How long it took until the first content."
        )
        self._token_usage = None if names.token_usage is None else meter.create_histogram(
            names.token_usage, "{token}", "Tokens of an attempt.", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS
        )
        self._counters = {
            field: meter.create_counter(name, "{token}", f"Tokens: {field}.")
            for field, name in names.token_counters.items()
        }
        self._calls: dict[str, Span] = {}  # of the calls that are running, by the id of their trace
        self._models, self._tasks = Names(), Names()

    def __call__(self, event: Event) -> None:
        """Take an event of a router."""
        if isinstance(event, AttemptEnded):
            self._end_attempt(event)
        elif isinstance(event, CallStarted):
            self._start_call(event.trace)
        elif isinstance(event, CallEnded):
            self._end_call(event.trace, event.error)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids of its call's span to a log record, "0" where there is none. Always true."""
        span = self._calls.get(getattr(record, "call_id", ""))
        if span is not None and (context := span.get_span_context()).is_valid:
            record.otelTraceID = trace.format_trace_id(context.trace_id)
            record.otelSpanID = trace.format_span_id(context.span_id)
        elif not hasattr(record, LOG_TRACE_ID):
            record.otelTraceID = record.otelSpanID = "0"
        return True

    def _start_call(self, record: Trace) -> None:
        task = self._tasks.bounded(record.task or "call")
        self._calls[record.id] = self._tracer.start_span(
            f"{_OPERATION} {task}", start_time=_nanoseconds(record.started),
            attributes={OPERATION: _OPERATION, "asyncrouter.task": task, "asyncrouter.call_id": record.id},
        )

    def _end_call(self, record: Trace, error: BaseException | None) -> None:
        span = self._calls.pop(record.id, None)
        if span is None:
            return
        if span.is_recording():
            span.set_attribute("asyncrouter.attempts", len(record.attempts))
            if (cost := record.cost_usd) is not None:
                span.set_attribute("asyncrouter.cost_usd", cost)
            if error is not None:
                span.set_attribute(ERROR, type(error).__name__)
                if isinstance(error, Exception):  # a cancellation is none
                    span.set_status(StatusCode.ERROR, type(error).__name__)
        span.end(_nanoseconds(record.started + record.seconds))

    def _end_attempt(self, event: AttemptEnded) -> None:
        record, attempt = event.trace, event.attempt
        model = self._models.bounded(attempt.model)
        provider = PROVIDERS.get(attempt.provider, attempt.provider)
        about: Attributes = {OPERATION: _OPERATION, self._names.provider: provider, REQUEST_MODEL: model}
        if attempt.outcome in _FAILED and attempt.error is not None:
            about[ERROR] = type(attempt.error).__name__
        call = self._calls.get(record.id)
        if call is None or call.is_recording():
            self._span(event, about, call)
        if attempt.sent is not None:
            self._measure(attempt, about)

    def _span(self, event: AttemptEnded, about: Attributes, call: Span | None) -> None:
        record, attempt = event.trace, event.attempt
        began = attempt.sent if attempt.sent is not None else attempt.queued or 0.0
        ended = attempt.ended if attempt.ended is not None else began
        facts = about | self._facts(attempt, event.reply)
        span = self._tracer.start_span(
            f"{_OPERATION} {about[REQUEST_MODEL]}", kind=SpanKind.CLIENT, attributes=facts,
            context=None if call is None else trace.set_span_in_context(call),
            start_time=_nanoseconds(record.started + began),
        )
        if ERROR in about:
            span.set_status(StatusCode.ERROR, str(about[ERROR]))
        span.end(_nanoseconds(record.started + ended))

    def _facts(self, attempt: Attempt, reply: Reply | None) -> Attributes:
        """What a span says of its attempt beside model, provider and error."""
        facts: Attributes = {
            "asyncrouter.attempt": attempt.number, "asyncrouter.cause": attempt.cause,
            "asyncrouter.outcome": attempt.outcome or "running",
        }
        if attempt.member is not None:
            facts["asyncrouter.member"] = attempt.member
        if attempt.why:
            facts["asyncrouter.why"] = attempt.why
        if attempt.status is not None:
            facts[STATUS] = attempt.status
        if attempt.request_id is not None:
            facts["asyncrouter.request_id"] = attempt.request_id
        if attempt.cost_usd is not None:
            facts["asyncrouter.cost_usd"] = attempt.cost_usd
        first = _first_content(attempt)
        if first is not None and self._names.first_chunk_attribute is not None:
            facts[self._names.first_chunk_attribute] = first
        if (usage := attempt.usage) is not None:
            facts |= {name: count for field, name in self._names.usage.items() if (count := getattr(usage, field))}
        return facts if reply is None else facts | _response(reply)

    def _measure(self, attempt: Attempt, about: Attributes) -> None:
        if attempt.sent is not None and attempt.ended is not None:
            self._duration.record(attempt.ended - attempt.sent, about)
        if self._first_chunk is not None and (first := _first_content(attempt)) is not None:
            self._first_chunk.record(first, about)
        if attempt.usage is not None:
            self._count(attempt.usage, about)

    def _count(self, usage: Usage, about: Attributes) -> None:
        if self._token_usage is not None:
            self._token_usage.record(usage.input_tokens, about | {TOKEN_TYPE: "input"})
            self._token_usage.record(usage.output_tokens, about | {TOKEN_TYPE: "output"})
        for field, counter in self._counters.items():
            if count := getattr(usage, field):
                counter.add(count, about)


def _response(reply: Reply) -> Attributes:
    """What a span says of a whole answer, in the provider's own words where it has any."""
    raw, facts = reply.raw, Attributes()
    if isinstance(choices := raw.get("choices"), list):
        facts[FINISH_REASONS] = [
            reason for choice in choices
            if isinstance(choice, dict) and isinstance(reason := choice.get("finish_reason"), str)
        ]
    if reply.served_model is not None:
        facts[RESPONSE_MODEL] = reply.served_model
    if isinstance(answer_id := raw.get("id"), str):
        facts[RESPONSE_ID] = answer_id
    return facts


def _first_content(attempt: Attempt) -> float | None:
    """Seconds from sending to the first content."""
    if attempt.first_content is None or attempt.sent is None:
        return None
    return attempt.first_content - attempt.sent


def _nanoseconds(wall: float) -> int:
    return int(wall * _NANO)
