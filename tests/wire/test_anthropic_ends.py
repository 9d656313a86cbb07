"""Ends of the Anthropic wire: which answers are whole, and which error the others are."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._types import Chunk, Usage
from tests.helpers.anthropic_fixtures import (
    MESSAGE_STOP,
    WIRE,
    answer,
    block,
    block_delta,
    block_start,
    block_stop,
    body,
    message,
    message_delta,
    message_start,
    sse,
    stream,
    text_block,
    tool_block,
)
from tests.helpers.decoding import SSE, decode

START = message_start()
TEXT = text_block(0, "Hel", "lo")
X = block_start(0, "text", text="x")


@pytest.mark.parametrize(
    ("reason", "params", "expected"),
    [
        ("max_tokens", {}, BadReply), ("model_context_window_exceeded", {"max_tokens": 17}, BadReply),
        ("max_tokens", {"max_tokens": 16}, None), ("stop_sequence", {}, None),
        ("end_turn", {"stop": "x"}, None), ("end_turn", {}, BadReply), ("tool_use", {}, BadReply),
        (None, {}, BadReply),
    ],
)
def test_when_an_empty_answer_is_one(reason: str | None, params: dict[str, object], expected: type | None) -> None:
    """It is one only where hardly a token was asked for, or where it began with the caller's stop word."""
    error = stream(*answer(reason=reason), params=params).close()

    assert (None if error is None else type(error)) is expected


def test_a_cut_stream_is_no_answer() -> None:
    """Without a stop reason it is truncated, however much has come; `message_stop` adds nothing to it."""
    assert stream().close().message == "no message came"
    for cut in ([START], [START, *TEXT], [START, *TEXT, message_delta(None)], [START, *TEXT, MESSAGE_STOP]):
        error = stream(*cut).close()
        assert (error.message, error.request_id) == ("truncated: no stop reason has come", "req_1")
    assert stream(START, *TEXT, message_delta()).close() is None


@pytest.mark.parametrize(
    "lost",
    [
        (START, *TEXT[1:]),  # the block's beginning
        (START, TEXT[0], block_stop(0), block_delta(0, "text_delta", text="x")),
        (START, block_start(1, "text", text="x")),
        (START, X, block_start(0, "text", text="y")),
        (START, block_start(0, "tool_use", id="t", input={})),
        (START, X, block_delta(0, "text_delta")),
        (START, X, {"type": "content_block_delta", "index": 0}),
        (START, X, {"type": "content_block_delta", "index": [], "delta": {"type": {}}}),
        (START, X, {"type": "content_block_start", "index": 1, "content_block": 5}),
        (START, block_start(0, "text")), (START, block_stop(0)),
        (START, TEXT[0], block_delta(0, {})), (START, TEXT[0], block_delta(0, None)),
        (START, {"x": 1}), (START, {"type": []}),
        TEXT,  # the message's beginning
        (message_delta(), START, *TEXT), (*TEXT, START),
    ],
)
def test_a_stream_that_lost_an_event_is_no_answer(lost: tuple[object, ...]) -> None:
    """However whole its end is, what is left is another answer."""
    error = stream(*lost, message_delta(), MESSAGE_STOP).close()

    assert type(error) is BadReply
    assert error.message.startswith("something was lost on the way: ")


@pytest.mark.parametrize(
    "malformed",
    [
        ({**START, "message": {**START["message"], "content": None}}, *TEXT),
        ({**START, "message": "x"}, *TEXT),
        (START, X, {**block_start(1, "x"), "content_block": {"type": ["x"]}}),
        (START, block_start(0, "tool_use", id="t", name="f", input="x"), block_stop(0)),
        (START, block_start(0, "tool_use", id="t", name="f"), block_stop(0)),
    ],
)
def test_a_malformed_part_fails_the_answer(malformed: tuple[object, ...]) -> None:
    """A message's beginning, a block's type or a tool's input may be malformed."""
    error = stream(*malformed, message_delta(), MESSAGE_STOP).close()

    assert type(error) is BadReply
    assert error.message.startswith("something was lost on the way: ")


def test_malformed_events_are_skipped_and_counted() -> None:
    """An event that never was an object takes nothing away; an empty one and `[DONE]` are not even counted."""
    decoder = stream(START, b"{", *TEXT, b"5", message_delta(), MESSAGE_STOP)

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (2, "Hello", None)
    assert stream(b"", START, *TEXT, message_delta(), b" ").skipped == 0


def test_a_broken_event_fails_the_answer() -> None:
    """It was a piece of the answer, so what is left is another one, however whole its end is."""
    broken = b'{"type":"content_block_delta","ind'
    decoder = stream(START, *TEXT[:2], broken, *TEXT[2:], message_delta(), MESSAGE_STOP)

    assert type(decoder.close()) is BadReply
    assert decoder.close().message == """a broken event: '{"type":"content_block_delta","ind'"""
    assert (decoder.skipped, decoder.done) == (1, True)


def test_arguments_that_are_no_json_fail_the_answer() -> None:
    """A tool call must be callable, unless the tokens ran out in the last one."""
    half = tool_block(0, "t", "f", '{"a')
    cut = stream(*answer(*half, reason="max_tokens"))
    function = {"name": "f", "arguments": '{"a'}

    assert (cut.close(), cut.reply.finish_reason) == (None, "length")
    assert cut.reply.tool_calls == ({"id": "t", "type": "function", "function": function},)
    for whole in (answer(*half, reason="tool_use"), answer(*half, *text_block(1, "x"), reason="max_tokens")):
        assert stream(*whole).close().message == "a tool call whose arguments are no JSON"


@pytest.mark.parametrize("piece", [{"partial_json": ':{"query":"x"}'}, {"partial_json": None}, {}])
def test_the_input_of_a_server_tool_must_be_whole_as_well(piece: dict[str, object]) -> None:
    """A piece of it that is lost or no JSON is a hole in the message, like any other."""
    delta = {"type": "input_json_delta", **piece}
    search = block(0, "server_tool_use", delta, id="s", name="web_search", input={})

    assert type(stream(*answer(*search, *text_block(1, "So."))).close()) is BadReply


def test_the_last_event_may_lack_its_blank_line() -> None:
    """It counts, and what no chunk has carried is in the last one."""
    chunks: list[Chunk] = []
    call = block_start(0, "tool_use", id="t", name="f", input={})
    decoder = decode(WIRE, SSE, sse(START, call, message_delta("tool_use"))[:-1], chunks=chunks)
    arguments = {"index": 0, "function": {"arguments": "{}"}}

    assert decoder.close() is None
    assert len(chunks) == 1
    assert decoder.final() == Chunk("", "", (arguments,), "tool_calls", Usage(10, 7))


def test_nothing_counts_after_the_end() -> None:
    """`message_stop` and an error end the answer, in the same read or in a later one."""
    error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    late = sse(block_start(1, "text", text="more"), error)
    for first, second in ((sse(*answer(*TEXT)) + late, b""), (sse(*answer(*TEXT)), late)):
        decoder = WIRE.decoder(SSE, {})
        decoder.feed(first)
        decoder.feed(second)
        assert (decoder.close(), decoder.done, decoder.reply.text, decoder.content) == (None, True, "Hello", 2)
    failed = stream(START, error, *TEXT, message_delta(), MESSAGE_STOP)
    assert (type(failed.close()), failed.reply.text) == (ServerFailed, "")


def test_an_error_may_lack_its_blank_line() -> None:
    """A connection that is closed right after the error has said enough."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    decoder = decode(WIRE, SSE, sse(START, *TEXT, message_delta(), error)[:-1])

    assert (type(decoder.close()), decoder.done) == (RateLimited, False)


def test_an_error_event_without_an_error_is_one() -> None:
    """Its type is enough."""
    decoder = stream(*answer(*TEXT, {"type": "error"}))

    assert (decoder.done, type(decoder.close())) == (True, BadReply)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, RateLimited),
        ({"type": "api_error", "message": "Internal server error"}, ServerFailed),
        ({"type": "rate_limit_error", "message": "Slow down"}, RateLimited),
        ({"type": "timeout_error", "message": "x"}, ServerFailed),
        ({"type": "conflict_error", "message": "x"}, ServerFailed),
        ({"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
         ContextTooLong),
    ],
)
def test_an_error_in_a_stream(error: dict[str, object], kind: type) -> None:
    """It ends the answer, whatever has come, and is what its type says."""
    decoder = stream(START, *TEXT, {"type": "error", "error": error, "request_id": "req_2"})

    assert (decoder.done, type(decoder.close()), decoder.close().request_id) == (True, kind, "req_1")
    assert (decoder.close().message, decoder.close().code) == (error["message"], error["type"])


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (b'event: error\ndata: {"code":500,"message":"m","type":"server_error"}\n\n', ServerFailed, "m"),
        (b'data: {"error":{"code":503,"message":"m","type":"unavailable_error"}}\n\n', ServerFailed, "m"),
        (b"event: error\ndata: upstream gone\n\n", BadReply, "upstream gone"),
    ],
)
def test_an_error_in_the_format_of_other_servers(event: bytes, kind: type, message: str) -> None:
    """llama.cpp sends an error event without its envelope, or OpenAI's format in an event without a name."""
    error = decode(WIRE, SSE, sse(START) + event).close()

    assert (type(error), error.message) == (kind, message)


@pytest.mark.parametrize(
    ("page", "kind", "message"),
    [
        (b"<html><title>Bad gateway</title></html>", BadReply, "no event stream: 'Bad gateway'"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', RateLimited, "Overloaded"),
    ],
)
def test_an_error_page_under_the_content_type_of_a_stream(page: bytes, kind: type, message: str) -> None:
    """A page or a JSON body is read as what it is."""
    error = decode(WIRE, SSE, page).close()

    assert (type(error), error.message) == (kind, message)


@pytest.mark.parametrize(
    ("document", "kind", "expected"),
    [
        (b"", BadReply, "an empty body"), (b"<html>x</html>", BadReply, "not whole JSON: 'x'"),
        (b"[]", BadReply, "no answer: '[]'"), (b"{}", BadReply, "no message came"),
        ({"type": "error", "error": {"type": "api_error", "message": "m"}}, ServerFailed, "m"),
        ({"error": {"code": 503, "message": "m", "type": "unavailable_error"}}, ServerFailed, "m"),
        (message([{"type": "text", "text": "a"}], None), BadReply, "truncated: no stop reason has come"),
        (message([]), BadReply, "empty: neither text nor tool call (finish reason 'end_turn')"),
        (message([5]), BadReply, "something was lost on the way: a block out of order"),
        (message("a"), BadReply, "no message came"),
        (message([{"type": "tool_use", "id": "t", "name": "f"}]), BadReply,
         "something was lost on the way: a tool's input"),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}, BadReply, "no message came"),
    ],
)
def test_a_body_that_is_no_answer(document: object, kind: type, expected: str) -> None:
    """The error says what is wrong about it."""
    error = body(document).close()

    assert (type(error), error.message) == (kind, expected)


def test_an_event_stream_under_another_content_type() -> None:
    """It is read as what it is."""
    decoder = body(sse(*answer(*TEXT)))

    assert (decoder.close(), decoder.reply.text, decoder.content) == (None, "Hello", 2)


def failure(status: int, kind: str, text: str = "m", headers: dict[str, str] | None = None, **fields: object):
    """The error for a response of the API with this status and type."""
    document = {"type": "error", "error": {"type": kind, "message": text, **fields}, "request_id": "req_9"}
    return WIRE.failure(status, headers or {}, orjson.dumps(document))


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "invalid_request_error",
         "input length and `max_tokens` exceed context limit: 199211 + 20000 > 200000", ContextTooLong),
        (400, "invalid_request_error", "Output blocked by content filtering policy", Refused),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", OutOfCredit),
        (400, "invalid_request_error",
         "You have reached your specified API usage limits. You will regain access on 2026-12-01.", OutOfCredit),
        (400, "invalid_request_error",
         "You have reached your specified workspace API usage limits. You will regain access soon.", OutOfCredit),
        (400, "invalid_request_error", "max_tokens: Field required", Rejected),
        (401, "authentication_error", "invalid x-api-key", Unauthorized),
        (402, "billing_error", "m", OutOfCredit), (403, "permission_error", "m", Unauthorized),
        (404, "not_found_error", "model: claude-3-opus-20240229", Rejected), (409, "conflict_error", "m", ServerFailed),
        (413, "request_too_large", "Request exceeds the maximum size", ContextTooLong),
        (429, "rate_limit_error", "m", RateLimited), (500, "api_error", "m", ServerFailed),
        (504, "timeout_error", "m", ServerFailed), (529, "overloaded_error", "Overloaded", RateLimited),
    ],
)
def test_error_responses_are_classified(status: int, code: str, text: str, kind: type[AttemptError]) -> None:
    """Status, type and message are those of the response."""
    error = failure(status, code, text)

    assert type(error) is kind
    assert (error.status, error.code, error.message, error.request_id) == (status, code, text, "req_9")


def test_a_spend_limit_is_no_rate_limit() -> None:
    """It has the same status and type; only `details.error_code` says so, and a retry would fail until next month."""
    spent = failure(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    ramp = failure(429, "rate_limit_error", details={"error_code": "ramp_limit_exceeded"}, headers={"retry-after": "9"})

    assert (type(spent), spent.code, spent.retry_after) == (OutOfCredit, "enforced_spend_limit_reached", None)
    assert (type(ramp), ramp.code, ramp.retry_after) == (RateLimited, "ramp_limit_exceeded", 9.0)
