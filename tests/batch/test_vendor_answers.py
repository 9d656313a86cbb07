"""Results as the vendors' documentation shows them, and the decisions and limits of a chunk; without any I/O."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter import Price
from asyncrouter.batch._vendors.anthropic import Anthropic
from asyncrouter.batch._vendors.api import Fault, Group, Limits
from asyncrouter.batch._vendors.chains import batch_price
from asyncrouter.batch._vendors.chunk import Chunk
from asyncrouter.batch._vendors.decide import Action, Times, decide
from asyncrouter.batch._vendors.gemini import Gemini
from asyncrouter.batch._vendors.openai import OpenAI
from asyncrouter.batch._vendors.openrouter import OpenRouter
from asyncrouter.batch._vendors.room import Room, is_no_room

if TYPE_CHECKING:
    from pathlib import Path

COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "choices": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
NO_TIMES = Times()


@pytest.mark.parametrize(
    ("vendor", "lines", "found"),
    [
        (OpenAI(), [  # platform.openai.com, "Batch API"
            {"id": "batch_req_1", "custom_id": "request-2", "response": {
                "status_code": 200, "request_id": "req_1", "body": COMPLETION}, "error": None},
            {"id": "batch_req_2", "custom_id": "request-3", "response": None, "error": {
                "code": "batch_expired", "message": "This request could not be executed before the window expired."}},
            {"id": "batch_req_3", "custom_id": "request-4", "response": {
                "status_code": 0, "request_id": "", "body": None}, "error": None},
        ], [
            ("request-2", 200, None),
            ("request-3", 0, "batch_expired: This request could not be executed before the window expired."),
            ("request-4", 0, "status 0"),
        ]),
        (Anthropic(), [  # platform.claude.com, "Batch processing"
            {"custom_id": "my-second-request", "result": {"type": "succeeded", "message": MESSAGE}},
            {"custom_id": "a", "result": {"type": "errored", "error": {"type": "error", "error": {
                "type": "invalid_request_error", "message": "max_tokens: Field required"}}}},
            {"custom_id": "b", "result": {"type": "canceled"}},
            {"custom_id": "c", "result": {"type": "expired"}},
        ], [
            ("my-second-request", 200, None), ("a", 400, "invalid_request_error: max_tokens: Field required"),
            ("b", 0, "canceled"), ("c", 0, "expired"),
        ]),
        (Gemini(), [  # ai.google.dev, "Batch API"
            {"key": "request-1", "response": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}},
            {"key": "request-2", "error": {"code": 8, "message": "Resource exhausted"}},
        ], [("request-1", 200, None), ("request-2", 429, "8: Resource exhausted")]),
        (Gemini(), [{"name": "batches/1", "metadata": {"output": {"inlinedResponses": {"inlinedResponses": [
            {"response": {"candidates": []}, "metadata": {"key": "k1"}}, {"response": {"candidates": []}},
        ]}}}}], [("k1", 200, None)]),
        (OpenRouter(), [{"id": "b", "results": [  # openrouter.ai, "Batch quickstart"
            {"id": "r", "custom_id": "req-1", "error": None, "response": {
                "status_code": 200, "request_id": "gen-1", "body": COMPLETION}},
            {"id": "s", "custom_id": "req-2", "response": None, "error": {
                "message": "Provider returned error", "type": "server_error", "param": None}},
        ]}], [("req-1", 200, None), ("req-2", 0, "server_error: Provider returned error")]),
    ],
    ids=["openai", "anthropic", "gemini file", "gemini inline", "openrouter"],
)
def test_results_are_read_as_documented(vendor: Any, lines: list[object], found: list[object], tmp_path: Path) -> None:
    """Each line of the vendors' examples gives its id, its status, and the words of its error."""
    path = tmp_path / "results"
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))

    assert [(one.id, one.status, one.error) for one in vendor.results(path)] == found


def test_a_schema_is_written_into_the_field_that_gemini_s_batches_read() -> None:
    """`responseJsonSchema` becomes `responseSchema` without references, and rows with another schema are apart."""
    schema = {"$defs": {"n": {"type": ["integer", "null"]}}, "type": "object", "additionalProperties": False,
              "properties": {"n": {"$ref": "#/$defs/n"}}}
    body = orjson.dumps({"contents": [], "generationConfig": {"responseJsonSchema": schema}})
    encoded = Gemini().encode("r-1", "/v1beta/models/m:generateContent", body)
    plain = Gemini().encode("r-2", "/v1beta/models/m:generateContent", b'{"contents":[]}')

    assert encoded is not None
    assert plain is not None
    assert encoded.group != plain.group
    assert orjson.loads(encoded.line)["request"]["generationConfig"] == {
        "responseSchema": {"type": "object", "properties": {"n": {"type": "integer", "nullable": True}}}
    }


@pytest.mark.parametrize(
    ("price", "vendor", "found"),
    [
        (Price(input=2.0, output=8.0, cached_input=0.5), "openai", (1.0, 4.0, 0.25)),
        (Price(input=2.0, output=8.0, cached_input=0.5), "gemini", (1.0, 4.0, 0.5)),
        (Price(input=2.0, output=8.0), "gemini", (1.0, 4.0, 2.0)),
        (Price(input=2.0, output=8.0, tiers={"batch": Price(input=0.9, output=3.0)}), "openai", (0.9, 3.0, None)),
    ],
)
def test_the_price_of_a_batch(price: Price, vendor: str, found: tuple[float, float, float | None]) -> None:
    """The price list's, else half; what Gemini has read from its cache costs as much as live."""
    cheaper = batch_price(price, vendor)

    assert cheaper is not None
    assert (cheaper.input, cheaper.output, cheaper.cached_input) == found


# What is done next.


def chunk_after(*records: dict[str, object]) -> Chunk:
    """A chunk of ten rows with these records."""
    chunk = Chunk(1, "openai", "openai", "gpt", Group("gpt", "/v1/chat/completions"), 10, 1000, 250, "asyncrouter-x-1")
    for record in records:
        chunk.apply(record)
    return chunk


UPLOADING = {"do": "uploading", "at": 0.0}
UPLOADED = {"do": "uploaded", "at": 1.0, "file": "f"}
CREATING = {"do": "creating", "at": 2.0}
CREATED = {"do": "created", "at": 3.0, "batch": "b"}
ENDED = {"do": "ended", "at": 50.0, "word": "completed", "outputs": ["o"]}


@pytest.mark.parametrize(
    ("records", "now", "action"),
    [
        ([], 0.0, ("upload", 0.0)),
        ([UPLOADING], 0.0, ("find_file", 5.0)),  # killed, or not answered
        ([UPLOADING, {"do": "absent", "at": 5.0}], 5.0, ("find_file", 30.0)),
        ([UPLOADING, {"do": "not_done", "at": 30.0}], 30.0, ("upload", 0.0)),
        ([UPLOADING, UPLOADED], 1.0, ("create", 0.0)),
        ([UPLOADING, UPLOADED, CREATING], 2.0, ("find_batch", 7.0)),
        ([UPLOADING, UPLOADED, CREATING, {"do": "absent", "at": 7.0}], 7.0, ("find_batch", 62.0)),
        ([UPLOADING, UPLOADED, CREATING, CREATED], 3.0, ("look", 33.0)),
        ([UPLOADING, UPLOADED, CREATING, CREATED], 3000.0, ("cancel", 0.0)),
        ([UPLOADING, UPLOADED, CREATING, CREATED], 3600.0, ("release", 0.0)),
        ([CREATED, {"do": "released", "at": 3600.0}, {"do": "cancelled", "at": 3000.0}], 7200.0, ("leave", 0.0)),
        ([CREATED, {"do": "missing", "at": 10.0}], 609.0, ("look", 33.0)),
        ([CREATED, {"do": "missing", "at": 10.0}], 610.0, ("look", 33.0)),
        ([CREATED, {"do": "released", "at": 3600.0}], 7200.0, ("leave", 0.0)),
        ([CREATED, ENDED], 50.0, ("fetch", 0.0)),
        ([CREATED, {**ENDED, "outputs": []}], 50.0, ("merge", 0.0)),
        ([CREATED, ENDED, {"do": "fetched", "at": 51.0}], 51.0, ("merge", 0.0)),
        ([CREATED, ENDED, {"do": "fetched", "at": 51.0}, {"do": "merged", "at": 52.0}], 52.0, ("clean", 0.0)),
        ([{"do": "failed", "at": 0.0, "why": "no"}], 0.0, ("close", 0.0)),
    ],
)
def test_what_is_done_next(records: list[dict[str, object]], now: float, action: tuple[str, float]) -> None:
    """Of a chunk with these records, with a deadline of an hour: ten per cent before it, it is cancelled."""
    found = decide(
        chunk_after(*records), now, Times.of(0.0, 3600.0)._replace(cancel=3000.0), by_file=True, cancels=True,
        keep=False,
    )

    assert (found.do, found.at) == action


def test_the_times_of_a_deadline() -> None:
    """Batches are cancelled ten minutes before the deadline, or a tenth of a short one; without one, never."""
    assert Times.of(100.0, 21_600.0) == Times(21_100.0, 21_700.0, 25_300.0)
    assert Times.of(0.0, 600.0) == Times(540.0, 600.0, 4_200.0)
    assert Times.of(0.0, None) == Times(inf, inf, inf)


def test_results_that_are_paid_are_not_given_up_before_the_deadline() -> None:
    """After many failed downloads the next is five minutes later, and nothing is deleted."""
    chunk = chunk_after(CREATED, ENDED, *({"do": "trouble", "at": 60.0, "until": 360.0} for _ in range(50)))

    found = decide(chunk, 60.0, NO_TIMES, by_file=True, cancels=True, keep=False)
    assert found == Action("fetch", 360.0)


def test_room_is_learnt_from_the_vendor_s_words() -> None:
    """A named limit holds for the sum of what waits; a batch that is larger by itself is divided."""
    room, limits = Room(), Limits(50_000, 10**9)
    first, second = chunk_after(CREATING), chunk_after()
    second.number, second.tokens = 2, 900
    fault = Fault("token_limit_exceeded", "Enqueued token limit reached. Limit: 1,000 enqueued tokens.")
    assert room.ask(second, limits, [first, second]) == "go"
    assert is_no_room(fault)

    room.learn(second, fault, [first, second])
    assert room.ask(second, limits, [first, second]) == "wait"
    assert room.ask(second, limits, [second]) == "go"
    second.tokens = 1_001
    assert room.ask(second, limits, [second]) == "split"
