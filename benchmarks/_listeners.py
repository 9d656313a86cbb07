"""How much CPU time does a listener take a call? `python _listeners.py prometheus|otel|status CALLS` prints µs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from asyncrouter import Attempt, AttemptEnded, AttemptStarted, CallEnded, CallStarted, Reply, Trace, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Event


def listener(name: str) -> Callable[[Event], None]:
    """The listener, with the SDK of its tool and without an exporter."""
    if name == "status":
        from asyncrouter.serve import Recent

        return Recent(time.monotonic)
    if name == "prometheus":
        from prometheus_client import CollectorRegistry

        from asyncrouter.integrations.prometheus import Prometheus

        return Prometheus(CollectorRegistry())
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from asyncrouter.integrations.otel import OpenTelemetry

    return OpenTelemetry(TracerProvider(), MeterProvider())


def main() -> None:
    name, calls = sys.argv[1], int(sys.argv[2])
    listen = listener(name)
    attempt = Attempt(1, "m", "p", "first", "won", status=200, queued=0.0, sent=0.0, first_content=0.5, ended=1.0,
                      usage=Usage(12, 34), cost_usd=0.001)
    traces = [Trace("coding", 1e9, [attempt], 1.0, id=f"{number:024}") for number in range(calls)]
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    answer: dict[str, Any] = {"id": "chatcmpl-1", "choices": [choice]}
    reply = Reply("Hello.", served_model="m-2026-11-30", _build_raw=answer.copy)
    began = time.process_time()
    for trace in traces:
        listen(CallStarted(trace))
        listen(AttemptStarted(trace, attempt))
        listen(AttemptEnded(trace, attempt, reply))
        listen(CallEnded(trace, None))
    print((time.process_time() - began) / calls * 1e6)


if __name__ == "__main__":
    main()
