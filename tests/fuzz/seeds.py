"""What is damaged: answers and errors recorded from a real server, or as the providers' references show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

import orjson

from asyncrouter.sim import Clock, World
from tests.helpers import (
    anthropic_fixtures,
    captured,
    field_shapes,
    gemini_fixtures,
    openrouter_fixtures,
    responses_fixtures,
)
from tests.helpers.gemini_fixtures import BARE_ERROR, OVERLOADED, RETRY, quota

if TYPE_CHECKING:
    from asyncrouter.sim import Act

Kind = Literal["openai", "anthropic", "gemini", "responses"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SSE = "text/event-stream"
JSON = "application/json"

LONGEST = 8000
"""Bytes of the longest recording that is used: longer ones repeat what shorter ones have."""


@dataclass(slots=True)
class Answer:
    """A successful response of one wire; `params` are those of its request."""

    name: str
    wire: Kind
    content_type: str
    body: bytes
    params: dict[str, object] = field(default_factory=dict)
    shape: bool = False
    """Whether it has a shape from the field, which the vendors' clients may read otherwise: it is often only cut, and
    nothing of it is compared with them."""


@dataclass(slots=True)
class Failure:
    """A failed response."""

    name: str
    status: int
    headers: dict[str, str]
    body: bytes


def answers() -> list[Answer]:
    """Streams and bodies of all four wires."""
    return [
        *_recorded("openai", "/v1/chat/completions"), *_recorded("anthropic", "/v1/messages"),
        *_recorded("responses", "/v1/responses"), *_documented(), *_field_shapes(),
    ]


def failures() -> list[Failure]:
    """Failed responses, each with the headers in which a provider may ask to wait."""
    found = []
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        for row in captured.rows(path):
            if row["status"] != "200 OK":
                status, headers, body, _ = captured.read(row["capture"])
                found.append(Failure(row["capture"], status, headers, body))
    return found + [
        Failure(f"error {number}", status, headers, body)
        for number, (status, headers, body) in enumerate((s, h, b) for s, b in ERRORS for h in HEADERS)
    ]


HEADERS: list[dict[str, str]] = [
    {},
    {"retry-after": "20"},
    {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-request-id": "req_1"},
    {"retry-after-ms": "1500", "x-should-retry": "true"},
    {"x-ratelimit-reset": "1741305600000", "x-should-retry": "false"},
    {"retry-after": "2026-10-21T07:28:00Z", "location": "https://h/x?key=1"},
]
ERRORS: list[tuple[int, bytes]] = [
    (status, orjson.dumps(document))
    for status, document in [
        (400, openrouter_fixtures.error(400, error_type="context_length_exceeded")),
        (402, openrouter_fixtures.error(402, reason="in_flight_budget_exhausted", headers={"Retry-After": "2"})),
        (403, openrouter_fixtures.error(403, reasons=["violence"], flagged_input="…")),
        (429, openrouter_fixtures.error(429, raw='{"error":{"message":"slow","code":429}}', provider_name="x")),
        (429, {"error": {"message": "Please try again in 5.289s", "type": "tokens", "code": "rate_limit_exceeded"}}),
        (429, gemini_fixtures.error(429, "RESOURCE_EXHAUSTED", "quota", RETRY, quota("GenerateRequestsPerDay"))),
        (400, {"error": {"message": "maximum context length is 8 tokens", "type": "invalid_request_error"}}),
        (401, {"type": "error", "error": {"type": "authentication_error", "message": "m"}, "request_id": "r"}),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "extra_forbidden", "type": "x"}]}),
        (500, {"object": "error", "message": "m", "type": "BadRequestError", "code": 400}),
        (503, [OVERLOADED]),
    ]
] + [
    (502, b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad</h1></body></html>"),
    (503, b"retry in 1m30s"),
]


def _recorded(wire: Kind, path: str) -> list[Answer]:
    found = []
    for row in captured.rows(path):
        status, headers, body, params = captured.read(row["capture"])
        if status == 200 and len(body) <= LONGEST:
            kept = {name: params[name] for name in ("n", "stop", "max_output_tokens") if name in params}
            found.append(Answer(row["capture"], wire, headers["content-type"], body, kept))
    return found


def _field_shapes() -> list[Answer]:
    """Shapes that people have met, from the simulated world, as events and as one body; some are no answers."""
    world, clock = World(), Clock()
    cases: list[tuple[Kind, str, Act]] = []
    for wire in KINDS:
        named = {**field_shapes.ANSWERS, **field_shapes.NO_ANSWERS}
        if wire != "anthropic":
            named |= field_shapes.PICTURES
        if wire == "openai":
            named |= {**field_shapes.CHAT_ANSWERS, **field_shapes.NUMBERS}
        cases += [(wire, name, act) for name, act in named.items()]
    found = []
    for (wire, name, act), stream in product(cases, (True, False)):
        headers, body = field_shapes.body_of(world, clock, act, wire, stream=stream)
        form = "events" if stream else "body"
        found.append(Answer(f"{wire} {name}, {form}", wire, headers["content-type"], body, shape=True))
    return found


def _documented() -> list[Answer]:
    found = []
    for name, events in openrouter_fixtures.STREAMS.items():
        usage = {**openrouter_fixtures.chunk(), "choices": [], "usage": openrouter_fixtures.COUNTS}
        found.append(Answer(f"openrouter {name}", "openai", SSE, openrouter_fixtures.sse(*events, usage)))
    broken = openrouter_fixtures.error(502, "gone", error_type="provider_unavailable")
    hello = openrouter_fixtures.chunk(content="Hel")
    found += [
        Answer("openrouter body", "openai", JSON, orjson.dumps(openrouter_fixtures.WHOLE)),
        Answer("openrouter error", "openai", SSE, openrouter_fixtures.sse(hello, {**hello, **broken})),
    ]
    for name, stream in anthropic_fixtures.STREAMS.items():
        found.append(Answer(f"anthropic {name}", "anthropic", SSE, stream))
    found += [
        Answer(f"anthropic body {number}", "anthropic", JSON, orjson.dumps(message))
        for number, message in enumerate(anthropic_fixtures.BODIES)
    ]
    for name, fragments in gemini_fixtures.STREAMS.items():
        found.append(Answer(f"gemini {name}", "gemini", SSE, gemini_fixtures.sse(*fragments)))
        found.append(Answer(f"gemini body {name}", "gemini", JSON, orjson.dumps(fragments[-1])))
        found.append(Answer(f"gemini list {name}", "gemini", JSON, orjson.dumps(fragments)))
    for name, response in responses_fixtures.ANSWERS.items():
        found.append(Answer(f"responses {name}", "responses", SSE, responses_fixtures.stream_of(response)))
        found.append(Answer(f"responses body {name}", "responses", JSON, responses_fixtures.body(response)))
    found += [
        Answer("gemini blocked", "gemini", JSON, orjson.dumps(gemini_fixtures.BLOCKED)),
        Answer("gemini bare error", "gemini", SSE, gemini_fixtures.sse(gemini_fixtures.TEXT[0]) + BARE_ERROR),
    ]
    return found
