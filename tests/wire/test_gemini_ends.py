"""Ends of the Gemini wire: which answers are whole, and which error the others are."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrouter._errors import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from tests.helpers.decoding import JSON, SSE, decode, decode_bytewise, decode_cuts, state
from tests.helpers.gemini_fixtures import (
    BARE_ERROR,
    OVERLOADED,
    RETRY,
    STREAMS,
    TEXT,
    WIRE,
    body,
    error,
    fragment,
    quota,
    sse,
    stream,
)


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_stream_is_no_success_before_its_finish_reason(name: str) -> None:
    """Cut at any byte it is an error of ours, or a success whose last fragment is whole."""
    data = sse(*STREAMS[name])
    last_brace = len(data) - len(b"\r\n\r\n")

    for length, decoder in decode_cuts(WIRE, SSE, data):
        error = decoder.close()
        assert error is None or isinstance(error, AttemptError)
        assert (error is None) == (length >= last_brace)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_byte_by_byte(name: str) -> None:
    """How the network cuts a stream changes nothing."""
    data = sse(*STREAMS[name])

    assert state(decode_bytewise(WIRE, SSE, data)) == state(decode(WIRE, SSE, data))


@pytest.mark.parametrize("name", STREAMS)
def test_the_chunks_of_a_cut_stream_are_its_reply(name: str) -> None:
    """Cut at any byte, the chunks and the last one add up to what the reply says."""
    data = sse(*STREAMS[name])

    for length in range(len(data)):
        chunks = []
        decoder = decode(WIRE, SSE, data[:length], chunks=chunks)
        chunks.append(decoder.final())
        assert "".join(chunk.text for chunk in chunks) == decoder.reply.text
        assert sum(len(chunk.tool_calls) for chunk in chunks) == len(decoder.reply.tool_calls)


@pytest.mark.parametrize("name", STREAMS)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON list of fragments that is cut anywhere is a `BadReply`."""
    *cut, (_, whole) = decode_cuts(WIRE, JSON, orjson.dumps(STREAMS[name]))

    assert {type(decoder.close()) for _, decoder in cut} == {BadReply}
    assert whole.close() is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(sse(TEXT[0]) + BARE_ERROR, id="bare, after a fragment"),
        pytest.param(sse(TEXT[0]) + orjson.dumps([OVERLOADED], option=orjson.OPT_INDENT_2), id="bare, in a list"),
        pytest.param(BARE_ERROR, id="bare, in the place of a stream"),
        pytest.param(sse(TEXT[0], OVERLOADED), id="an event"),
        pytest.param(sse(TEXT[0], [OVERLOADED]), id="an event with a list"),
        pytest.param(sse(TEXT[0], orjson.dumps(OVERLOADED))[:-4], id="an event without its end"),
    ],
)
def test_an_error_in_a_stream(data: bytes) -> None:
    """Wherever it stands it is the error it names, and cut at any byte it is no success."""
    for _, decoder in decode_cuts(WIRE, SSE, data):
        assert isinstance(decoder.close(), AttemptError)
    error = decode(WIRE, SSE, data).close()

    assert (type(error), error.status, error.code) == (ServerFailed, 503, "UNAVAILABLE")
    assert error.message == "The model is overloaded. Please try again later."


def test_an_error_after_the_end_takes_the_answer_back() -> None:
    """It may lack the line end that would make it an event."""
    bare = b'{"error": {"code": 503, "message": "gone"}}'
    error = decode(WIRE, SSE, sse(*TEXT) + bare).close()

    assert (type(error), error.message) == (ServerFailed, "gone")


@pytest.mark.parametrize("index", [True, 1.0, "0"])
def test_a_malformed_index_fails_the_answer(index: object) -> None:
    """Nobody can say whose text it is."""
    candidate = {"content": {"parts": [{"text": "o"}]}, "index": index, "finishReason": "STOP"}

    assert type(stream(*TEXT, {"candidates": [candidate]}).close()) is BadReply


def test_an_error_in_a_body() -> None:
    """A 200 may hold one, alone or after fragments."""
    for document in (OVERLOADED, [OVERLOADED], [*TEXT, OVERLOADED]):
        assert type(body(document).close()) is ServerFailed


def test_what_is_no_answer_at_all() -> None:
    """An empty stream, a page and an object without candidates are none."""
    for decoder in (stream(), body(b"<html>busy</html>"), body({}), body([]), body(b""), stream({})):
        assert type(decoder.close()) is BadReply


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": "x"}, {"candidates": [None]}, {"candidates": [{"index": "x"}]},
        {"candidates": [{"content": "x"}]}, {"candidates": [{"content": {"parts": "x"}}]},
        {"candidates": [{"finishReason": {}}]},
        fragment("x"), fragment({"text": 7}), fragment({"text": "x", "thought": ""}),
        fragment({"functionCall": "x"}), fragment({"functionCall": {"name": ""}}),
        fragment({"functionCall": {"name": "f", "args": "x"}}), fragment({"functionCall": {"name": "f"}, "text": "x"}),
    ],
)
def test_a_malformed_part_fails_the_answer(document: dict) -> None:
    """What stood there is lost, and an end that looks whole does not bring it back."""
    error = stream(TEXT[0], document, TEXT[-1]).close()

    assert type(error) is BadReply
    assert error.message.startswith("malformed: ")


def test_a_done_mark_is_no_end() -> None:
    """An answer without a finish reason is cut, whoever says that it is done."""
    assert type(stream(TEXT[0], b"[DONE]").close()) is BadReply


def test_arguments_nested_too_deep_fail_the_answer() -> None:
    """They can be read, but not written as the text that a tool call has."""
    deep = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":' + b"[" * 400 + b"]" * 400
    decoder = stream(deep + b'}}}]},"finishReason":"STOP"}]}')

    assert type(decoder.close()) is BadReply


DAY, MINUTE = "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "GenerateRequestsPerMinutePerProjectPerModel"


NO_PLAN = error(
    429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. * Quota exceeded for metric: "
    "generativelanguage.googleapis.com/x, limit: 0, model: gemini-x\nPlease retry in 38s.", RETRY,
)


FAILURES = [
    (400, error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), Unauthorized),
    (400, error(400, "INVALID_ARGUMENT",
     "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."), ContextTooLong),
    (400, error(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts."),
     Rejected),
    (400, error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Unauthorized),
    (400, error(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please enable "
     "billing on your project in Google AI Studio."), Unauthorized),
    (400, error(400, "FAILED_PRECONDITION", "The File abc is not in an ACTIVE state and usage is not allowed."),
     Rejected),
    (401, error(401, "UNAUTHENTICATED"), Unauthorized),
    (402, error(402, "RESOURCE_EXHAUSTED", "billing"), OutOfCredit),
    (403, error(403, "PERMISSION_DENIED"), Unauthorized),
    (404, error(404, "NOT_FOUND", "models/gemini-1.0 is not found for API version v1beta"), Rejected),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE), RETRY), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE, DAY), RETRY), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(DAY, "SearchesPerDayPerProject"), RETRY), OutOfCredit),
    (429, NO_PLAN, RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0", quota(MINUTE), RETRY),
     RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0"), OutOfCredit),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 05, model: y"), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), OutOfCredit),
    (500, error(500, "INTERNAL"), ServerFailed),
    (503, OVERLOADED, ServerFailed),
    (504, error(504, "DEADLINE_EXCEEDED"), ServerFailed),
]


@pytest.mark.parametrize(("status", "document", "kind"), FAILURES)
def test_failed_responses_are_classified(status: int, document: dict, kind: type) -> None:
    """Google's errors come by themselves or in a list of one."""
    for written in (document, [document]):
        found = WIRE.failure(status, JSON, orjson.dumps(written))
        assert (type(found), found.status, found.code) == (kind, status, document["error"]["status"])


def test_retry_info_is_the_wait() -> None:
    """It is in seconds, in the details."""
    document = error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE), RETRY)

    assert WIRE.failure(429, JSON, orjson.dumps([document])).retry_after == 38.0


@pytest.mark.parametrize("document", [error(429, "RESOURCE_EXHAUSTED", "m", quota(DAY), RETRY), NO_PLAN])
def test_a_models_daily_quota_lasts_until_midnight_in_california(document: dict) -> None:
    """The wait is that long however soon Google says to retry; the key's other models go on."""
    found = WIRE.failure(429, JSON, orjson.dumps(document))

    assert (type(found), found.again, found.retry_after) == (RateLimited, "never", 35_199.5)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "id", "index",
        "finishReason", "promptFeedback", "blockReason", "usageMetadata", "promptTokenCount", "error", "code",
        "message", "status", "details", "violations", "quotaId", "inlineData", "mimeType", "data", "choices", "delta",
    ]), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_JSON, max_size=4))
def test_no_document_raises(documents: list[object]) -> None:
    """Any JSON in any place is judged, and everything that can be asked about it is answered."""
    written = [orjson.dumps(document) for document in documents]
    for decoder in (stream(*written), body(b"[" + b",".join(written) + b"]"), stream(TEXT[0], *written)):
        assert isinstance(decoder.close(), AttemptError | None)
        orjson.dumps(decoder.reply.raw)
        decoder.final()
    for document in written:
        for status in (200, 400, 429):
            assert isinstance(WIRE.failure(status, JSON, document), AttemptError)


@pytest.mark.parametrize("pieces", [
    [{"name": "f", "partialArgs": [{"jsonPath": "$.a", "numberValue": 1}]}],
    [{"name": "f", "willContinue": True}],
    [{"name": "f", "willContinue": True}, {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}, {}],
])
def test_a_function_call_in_pieces_is_no_call_without_arguments(pieces: list[dict[str, object]]) -> None:
    """Arguments that are streamed in pieces are not read, and a call never loses its arguments in silence."""
    fragments = [fragment({"functionCall": piece}) for piece in pieces]
    found = stream(*fragments, fragment(finish="STOP")).close()

    assert isinstance(found, BadReply)
    assert found.message == "malformed: a function call in pieces (streamFunctionCallArguments)"
