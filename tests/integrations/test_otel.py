"""Spans and metrics, read back from OpenTelemetry's own exporters in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from asyncrouter import AllModelsFailed, CallError, Pool
from asyncrouter.integrations._otel_names import SWITCH
from asyncrouter.integrations.otel import OpenTelemetry
from asyncrouter.sim import Act
from tests.helpers.routers import router_of
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from asyncrouter.sim import Clock, World

NANO = 1_000_000_000


class Seen:
    """A listener, and what the SDK's exporters have got from it."""

    def __init__(self, **options: Any) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False, **options)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.listener = OpenTelemetry(tracers, self._meters)
        self.tracer = tracers.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans that have ended."""
        return list(self._spans.get_finished_spans())

    @property
    def call(self) -> ReadableSpan:
        """The span of the one call."""
        [call] = [span for span in self.spans if "asyncrouter.attempts" in (span.attributes or {})]
        return call

    @property
    def attempts(self) -> list[ReadableSpan]:
        """The spans of the attempts, in order."""
        attempts = [span for span in self.spans if "asyncrouter.attempt" in (span.attributes or {})]
        return sorted(attempts, key=lambda span: span.attributes["asyncrouter.attempt"])  # type: ignore[index]

    def metrics(self) -> dict[str, list[Any]]:
        """The points of each metric, by its name."""
        data = self._reader.get_metrics_data()
        found = [] if data is None else [
            metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        ]
        return {metric.name: list(metric.data.data_points) for metric in found}

    def close(self) -> None:
        """Shut the providers down."""
        self._meters.shutdown()


@pytest.fixture
def latest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """With the latest names, as the official switch asks for them."""
    monkeypatch.setenv(SWITCH, "http, gen_ai_latest_experimental")
    seen = Seen()
    yield seen
    seen.close()


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """With the older names, as without the switch."""
    monkeypatch.delenv(SWITCH, raising=False)
    seen = Seen()
    yield seen
    seen.close()


def facts(span: ReadableSpan, *names: str) -> tuple[object, ...]:
    """Attributes of a span, `None` for those that it has not."""
    return tuple((span.attributes or {}).get(name) for name in names)


def chat(clock: Clock, world: World, seen: Seen, **options: Any) -> None:
    """One call, whose failure is nobody's business here."""

    async def scenario() -> None:
        async with router_of(world, seen.listener) as router:
            with contextlib.suppress(CallError):
                await router.chat(PROMPT, **options)

    clock.run(scenario())


def test_one_span_for_the_call_and_one_for_each_attempt(clock: Clock, world: World, latest: Seen) -> None:
    """Each attempt is a child with its own model, provider, error and instants."""
    world.model("a", Act(status=500, first_token=1.0))
    world.model("b", Act(text="one two", first_token=2.0, gap=1.0))
    chat(clock, world, latest, chain=["a", "b"], retry=1)
    call, [a, b] = latest.call, latest.attempts
    started = call.start_time or 0
    times = [((span.start_time or 0) - started, (span.end_time or 0) - started) for span in (call, a, b)]

    assert [span.name for span in (call, a, b)] == ["chat call", "chat a", "chat b"]
    assert [span.parent.span_id if span.parent else None for span in (a, b)] == [call.context.span_id] * 2
    assert [round(one / NANO, 3) for pair in times for one in pair] == [0.0, 4.0, 0.0, 1.0, 1.0, 4.0]
    assert facts(a, "gen_ai.request.model", "gen_ai.provider.name", "error.type", "http.response.status_code") == (
        "a", "sim", "ServerFailed", 500
    )
    assert facts(b, "error.type", "gen_ai.response.time_to_first_chunk", "asyncrouter.cause") == (
        None, 2.0, "fallback"
    )
    assert [span.status.status_code.name for span in (call, a, b)] == ["UNSET", "ERROR", "UNSET"]
    assert [span.kind.name for span in (call, a, b)] == ["INTERNAL", "CLIENT", "CLIENT"]


def test_members_of_a_pool_and_reasons_of_hedges(clock: Clock, world: World, latest: Seen) -> None:
    """A span has the pool as its model, the place that was asked, and why it was started beside another one."""
    world.model("a", Act(fault="hang"))
    world.model("b", Act(text="one", first_token=1.0))
    chat(clock, world, latest, chain=[Pool(["sim:a", "sim-gemini:b"], pick="first", name="pool")], hedge=2.0)

    names = "gen_ai.request.model", "asyncrouter.member", "asyncrouter.why"
    assert [facts(span, *names) for span in latest.attempts] == [
        ("pool", "sim:a", None), ("pool", "sim-gemini:b", "pool: no content for 2 s; nothing known yet"),
    ]


def test_usage_stands_once(clock: Clock, world: World, latest: Seen) -> None:
    """On the attempt that has it, never on the call."""
    world.model("a", Act(text="one two"))
    chat(clock, world, latest, model="a")
    name = "gen_ai.usage.output_tokens"

    assert [facts(span, name) for span in (latest.call, *latest.attempts)] == [(None,), (2,)]


def test_what_the_provider_says_of_its_answer(clock: Clock, world: World, latest: Seen) -> None:
    """Its id, its model and why it ended, on the attempt that has it; also where the answer was not accepted."""
    world.model("a", Act(text="one two three", served_model="a-2026"))
    world.model("b", Act(text="two"))
    chat(clock, world, latest, chain=["a", "b"], accept=lambda reply: reply.text == "two", max_tokens=2)
    names = [f"gen_ai.response.{name}" for name in ("model", "finish_reasons")]

    assert [facts(span, *names) for span in (latest.call, *latest.attempts)] == [
        (None, None), ("a-2026", ("length",)), ("b", ("stop",))
    ]
    assert all(isinstance(facts(span, "gen_ai.response.id")[0], str) for span in latest.attempts)


def test_a_stream_says_it_too(clock: Clock, world: World, latest: Seen) -> None:
    """Once it has ended; one that its reader leaves has said nothing yet."""
    world.model("a", Act(text="one two"))

    async def scenario() -> None:
        async with router_of(world, latest.listener) as router:
            for whole in (True, False):
                async with router.stream("hi", model="a") as stream:
                    async for _ in stream:
                        if not whole:
                            break

    clock.run(scenario())
    attempts = [span for span in latest.spans if "asyncrouter.attempt" in (span.attributes or {})]

    assert [facts(span, "gen_ai.response.finish_reasons")[0] for span in attempts] == [("stop",), None]


def test_a_log_record_has_the_ids_of_its_calls_span(
    clock: Clock, world: World, latest: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """With the listener as a filter; those of no call, and of a call that nothing traces, have "0"."""
    world.model("a", Act(text="one"))
    caplog.handler.addFilter(latest.listener)
    with caplog.at_level(logging.INFO):
        chat(clock, world, latest, model="a")
        logging.getLogger("other").info("about nothing")
    caplog.handler.removeFilter(latest.listener)
    context = latest.call.context
    [answered, other] = [(record.otelTraceID, record.otelSpanID) for record in caplog.records]  # type: ignore[attr-defined]

    assert answered == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert other == ("0", "0")


def test_a_hedged_call(clock: Clock, world: World, latest: Seen) -> None:
    """Both attempts have a span; the one that lost is no error."""
    world.model("a", Act(text="one", first_token=10.0))
    world.model("b", Act(text="two", first_token=1.0))
    chat(clock, world, latest, chain=["a", "b"], hedge=2.0)
    outcomes = [facts(span, "asyncrouter.cause", "asyncrouter.outcome", "error.type") for span in latest.attempts]

    assert outcomes == [("first", "superseded", None), ("hedge", "won", None)]
    assert {span.status.status_code.name for span in latest.attempts} == {"UNSET"}


def test_a_restarted_stream(clock: Clock, world: World, latest: Seen) -> None:
    """The attempt that broke is an error, its successor is not, and the call is answered."""
    world.model("a", Act(text=PROMPT, fault="cut", at=1))
    world.model("b", Act(text="two"))

    async def scenario() -> None:
        async with (
            router_of(world, latest.listener) as router,
            router.stream("hi", chain=["a", "b"], on_interrupt="restart") as stream,
        ):
            async for _ in stream:
                pass

    clock.run(scenario())

    assert [facts(span, "asyncrouter.cause", "error.type") for span in latest.attempts] == [
        ("first", "ConnectionFailed"), ("restart", None)
    ]
    assert latest.call.status.status_code.name == "UNSET"


def test_a_cancelled_call(clock: Clock, world: World, latest: Seen) -> None:
    """Its spans end at that instant, and nothing is left open; a cancellation is no error."""
    world.model("a", Act(fault="hang"))

    async def scenario() -> None:
        async with router_of(world, latest.listener) as router:
            task = asyncio.create_task(router.chat("hi", model="a"))
            await asyncio.sleep(3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    clock.run(scenario())
    call, [attempt] = latest.call, latest.attempts

    assert (call.end_time or 0) - (call.start_time or 0) == pytest.approx(3 * NANO, abs=1000)
    assert facts(call, "error.type") + facts(attempt, "asyncrouter.outcome") == ("CancelledError", "cancelled")
    assert (call.status.status_code.name, latest.listener._calls) == ("UNSET", {})


def test_a_failed_call_says_its_class_and_no_text(clock: Clock, world: World, latest: Seen) -> None:
    """Neither the prompt nor what a provider said of it is in any span."""
    world.model("a", Act(why="bad_request", message=f"I will not answer {PROMPT}"))
    chat(clock, world, latest, model="a")

    assert facts(latest.call, "error.type") == (AllModelsFailed.__name__,)
    assert not any(PROMPT in span.to_json() for span in latest.spans)


def test_a_call_is_a_child_of_what_runs_around_it(clock: Clock, world: World, latest: Seen) -> None:
    """Such as the request of the service that makes it; and it has the id of its log records."""
    world.model("a", Act(text="one"))
    ids = []

    async def scenario() -> None:
        async with router_of(world, latest.listener) as router:
            with latest.tracer.start_as_current_span("request") as span:
                ids.append(span.get_span_context().span_id)
                ids.append((await router.chat("hi", model="a")).trace.id)

    clock.run(scenario())
    parent = latest.call.parent

    assert [None if parent is None else parent.span_id, *facts(latest.call, "asyncrouter.call_id")] == ids


def test_the_latest_metrics(clock: Clock, world: World, latest: Seen) -> None:
    """Durations and first contents in seconds, tokens in counters, each by model."""
    world.model("a", Act(text="one two", first_token=2.0, gap=1.0))
    chat(clock, world, latest, model="a")
    points = latest.metrics()
    [duration] = points["gen_ai.client.inference.duration"]
    [first] = points["gen_ai.client.inference.time_to_first_chunk"]
    [tokens] = points["gen_ai.client.inference.usage.output_tokens"]

    assert (duration.sum, first.sum, tokens.value) == (3.0, 2.0, 2)
    assert duration.explicit_bounds[:2] + duration.explicit_bounds[-1:] == (0.01, 0.02, 81.92)
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "sim", "gen_ai.request.model": "a"
    }


def test_the_older_names(clock: Clock, world: World, older: Seen) -> None:
    """Without the switch spans and metrics have the names that most back ends read."""
    world.model("a", Act(text="one two"))
    chat(clock, world, older, model="a")
    points = older.metrics()
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in points["gen_ai.client.token.usage"]}

    assert facts(older.attempts[0], "gen_ai.system", "gen_ai.provider.name") == ("sim", None)
    assert (points.keys(), tokens) == (
        {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}, {"input": 3, "output": 2}
    )


def test_what_was_not_sent_is_no_duration(clock: Clock, world: World, older: Seen) -> None:
    """A model that is held back has a span with its error, and no point in a histogram."""
    world.model("a", Act(why="rate_limit", retry_after=500))

    async def scenario() -> None:
        async with router_of(world, older.listener) as router:
            for _ in range(2):
                with contextlib.suppress(CallError):
                    await router.chat("hi", model="a")

    clock.run(scenario())
    kinds = [facts(span, "error.type") for span in older.spans if "asyncrouter.attempt" in (span.attributes or {})]
    [duration] = older.metrics()["gen_ai.client.operation.duration"]

    assert (kinds, duration.count) == ([("RateLimited",), ("NotSent",)], 1)


def test_names_of_models_are_bounded(
    clock: Clock, world: World, older: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may come from a caller's users; those beyond share one."""
    monkeypatch.setattr("asyncrouter.integrations._names.MAX_NAMES", 2)
    for name in "abcda":
        world.model(name, Act(text="one"))
        chat(clock, world, older, model=name)
    names = [span.name for span in older.spans if "asyncrouter.attempt" in (span.attributes or {})]

    assert names == ["chat a", "chat b", "chat _other", "chat _other", "chat a"]


def test_a_call_that_is_not_sampled_makes_no_spans(clock: Clock, world: World) -> None:
    """Its metrics are counted all the same."""
    seen = Seen(sampler=ALWAYS_OFF)
    world.model("a", Act(text="one"))
    chat(clock, world, seen, model="a")
    [duration] = seen.metrics()["gen_ai.client.operation.duration"]
    seen.close()

    assert (seen.spans, duration.count, seen.listener._calls) == ([], 1, {})
