"""Ends of the OpenAI wire: which answers are whole, and which error the others are."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import BadReply, ContextTooLong, RateLimited, Refused, ServerFailed
from asyncrouter._types import Chunk
from tests.helpers.decoding import DONE, SSE, decode, sse
from tests.helpers.openai_fixtures import WIRE, body, completion, delta, stream

CALL = {"id": "x", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("documents", "params", "expected"),
    [
        ([], {}, BadReply),
        ([DONE], {}, BadReply),
        ([delta(content="a")], {}, BadReply),
        ([delta(content="a"), DONE], {}, None),
        ([delta(content="a"), delta("stop")], {}, None),
        ([delta("stop"), DONE], {}, BadReply),
        ([delta("stop"), DONE], {"stop": ["\n"]}, None),
        ([delta("length"), DONE], {}, BadReply),
        ([delta("length"), DONE], {"max_tokens": 16}, None),
        ([delta("length"), DONE], {"max_completion_tokens": 17}, BadReply),
        ([delta("tool_calls"), DONE], {}, BadReply),
        ([delta("content_filter"), DONE], {}, Refused),
        ([delta("content_filter"), DONE], {"stop": "x"}, Refused),
        ([delta(content="a"), delta("content_filter")], {}, None),
        ([delta(content="a"), delta("error")], {}, BadReply),
        ([delta(content="a"), delta("stop"), {"error": {"code": 502, "message": "m"}}], {}, ServerFailed),
        ([delta(content="a"), {"error": {"code": "server_error", "message": "m"},
         "choices": [{"finish_reason": "error"}]}], {}, ServerFailed),
        ([{"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "m"}}]}],
         {}, RateLimited),
        ([delta(content="a"), {"x_groq": {"error": "over capacity"}, "choices": []}], {}, ServerFailed),
        ([{"error": {"message": "maximum context length", "code": 400}}, DONE], {}, ContextTooLong),
        ([{"object": "error", "message": "maximum context length"}, DONE], {}, ContextTooLong),
        ([delta(content="a"), {**delta(content="b"), "error": {"code": 502, "message": "m"}}], {}, ServerFailed),
        ([delta(content="a"), {"choices": [{"index": 0, "delta": {"content": "b"}, "error": {"code": 502}}]}], {},
         ServerFailed),
        ([{"error": "warming up"}], {}, BadReply),
        ([{"error": None, **delta("stop", content="a")}], {}, None),
        ([{"choices": [None, 3, {}]}, {"choices": "x"}, {"choices": [{"delta": 5}]},
         {"choices": [{"delta": {"content": 5}}]}], {}, BadReply),
        ([{"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}], {}, None),
    ],
)
def test_the_end_of_a_stream(documents: list[object], params: dict[str, object], expected: type | None) -> None:
    """It is a whole answer, or the error that says why it is none; closing twice gives the same."""
    decoder = stream(*documents, params=params)

    for _ in range(2):
        error = decoder.close()
        assert (None if error is None else type(error)) is expected


@pytest.mark.parametrize(
    ("document", "params", "expected"),
    [
        (b"", {}, BadReply), (b"   \n\n", {}, BadReply), (b"<html>hi</html>", {}, BadReply),
        (b'{"choices":', {}, BadReply), (b"null", {}, BadReply), (b"[]", {}, BadReply), (b'"x"', {}, BadReply),
        (b"[" * 2000, {}, BadReply), ({}, {}, BadReply), ({"choices": []}, {}, BadReply),
        ({"choices": [{}]}, {}, BadReply), (completion(None, content="a"), {}, BadReply),
        (completion(content="a"), {}, None), (completion(content=""), {}, BadReply),
        (completion(content=None), {}, BadReply), (completion(content=""), {"stop": "x"}, None),
        (completion("length", content=""), {}, BadReply), (completion("length", content=""), {"max_tokens": 1}, None),
        (completion("content_filter", content=""), {}, Refused),
        (completion("content_filter", content="a"), {}, None), (completion("error", content="a"), {}, BadReply),
        ({"error": {"code": 503, "message": "m"}}, {}, ServerFailed), ({"error": "warming up"}, {}, BadReply),
        ([{"error": {"code": 429, "message": "m"}}], {}, RateLimited),
        ({"detail": "prompt is too long"}, {}, ContextTooLong),
        ({"object": "error", "message": "m", "code": 429}, {}, RateLimited),
        ({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "error", "error": {"code": 502}}]},
         {}, ServerFailed),
        (completion("stop", function_call={"name": "f", "arguments": "{}"}, content=None), {}, None),
    ],
)
def test_the_end_of_a_body(document: object, params: dict[str, object], expected: type | None) -> None:
    """It is a whole answer, or the error that says why it is none."""
    error = body(document, params).close()

    assert (None if error is None else type(error)) is expected


def test_a_malformed_event_amid_good_ones_is_skipped_and_counted() -> None:
    """An event that never was an object takes nothing of the answer away."""
    decoder = stream(delta(content="a"), b"{oops", b"3", b'"text"', delta(content="b"), delta("stop"), DONE)

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (3, "ab", None)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"id":"c1","model":"m","choices":[{"ind', b'ices":[{"index":0,"delta":{"content":"x"}}]}', b"null}]}",
        b'{"choices":[]}\ndata: {"choices":[]}', b'[{"choices":[]},{"choices":[]}',
    ],
)
def test_a_broken_event_fails_the_answer(broken: bytes) -> None:
    """It was an object of the answer: what is left has a hole, whatever comes after, so it is not read."""
    decoder = stream(delta(content="a"), broken, delta(content="b"), delta("stop"), DONE)
    error = decoder.close()

    assert type(error) is BadReply
    assert error.message.startswith("a broken event: ")
    assert (decoder.skipped, decoder.done, decoder.reply.text) == (1, True, "a")


@pytest.mark.parametrize("line", [b"dta: ", b"", b"\xffdata: ", b"event: x", b"id: 7data: "])
def test_an_event_that_lost_its_field_fails_the_answer(line: bytes) -> None:
    """The standard passes over a garbled field name or a lost line end, and half an answer would look whole."""
    lost = line + orjson.dumps(delta(content="b")) + b"\n\n"
    decoder = decode(WIRE, SSE, sse(delta(content="a")) + lost + sse(delta("stop"), DONE))

    assert type(decoder.close()) is BadReply
    assert decoder.skipped == 1


def test_unknown_lines_are_counted_and_change_nothing() -> None:
    """Fields that the standard does not know yet may stand beside data or alone."""
    decoder = decode(WIRE, SSE, b"priority: 1\n" + sse(delta(content="a")) + b"hello\n\n" + sse(delta("stop"), DONE))

    assert (decoder.skipped, decoder.reply.text, decoder.close()) == (2, "a", None)


def test_an_error_without_a_field_name_is_one() -> None:
    """Bare JSON in the middle of a stream is an error at once, or when the stream ends with it."""
    error = b'{"error":{"message":"Overloaded","code":503}}'
    for end in (b"\n\n", b"\n", b""):
        decoder = decode(WIRE, SSE, sse(delta(content="a")) + error + end)

        assert type(decoder.close()) is ServerFailed
        assert decoder.done is (end == b"\n\n")


@pytest.mark.parametrize(
    "document",
    [
        {"choices": "x"}, {"choices": {}}, {"choices": [None]}, {"choices": ["x"]},
        {"choices": [{"index": 0, "delta": "x"}]}, {"choices": [{"index": 0, "delta": ""}]},
        {"choices": [{"index": "0", "delta": {"content": "x"}}]}, {"choices": [{"index": -1, "delta": {}}]},
        delta(3), delta(content=7), delta(content=["x"]), delta(content={"text": "x"}), delta(tool_calls="x"),
        delta(tool_calls=["x"]), delta(tool_calls=[{**CALL, "index": [0]}]), delta(tool_calls=[{"function": "f"}]),
        delta(tool_calls=[{"function": {"name": 1}}]), delta(tool_calls=[{"function": {"name": "f", "arguments": 1}}]),
        delta(function_call="f"), delta(refusal=["x"]), delta(tool_calls=[{**CALL, "index": True}]),
        {"choices": [{"index": True, "delta": {"content": "x"}}]},
    ],
)
def test_a_malformed_part_fails_the_answer(document: dict[str, object]) -> None:
    """What stood there is lost, and an end that looks whole does not bring it back."""
    error = stream(delta(content="a"), document, delta("stop"), DONE).close()

    assert type(error) is BadReply
    assert error.message.startswith("malformed: ")


def test_two_completions_in_a_list_are_no_answer() -> None:
    """A single one is taken out of its list."""
    assert body([completion(content="x")]).close() is None
    assert type(body([completion(content="x"), completion(content="y")]).close()) is BadReply


def test_an_event_named_error_is_an_error() -> None:
    """Its data may be text, an error without its envelope, or an error."""
    for data in (b"it broke", b'{"message": "it broke"}', b'{"error": {"message": "it broke"}}'):
        decoder = decode(WIRE, SSE, b"event: error\ndata: " + data + b"\n\n")
        assert decoder.done
        assert decoder.close().message == "it broke"


def test_an_error_stops_the_reading_and_carries_the_request_id() -> None:
    """What comes after it is ignored."""
    decoder = stream({"error": {"code": 502, "message": "m"}}, delta("stop", content="late"))

    assert (decoder.done, decoder.reply.text, decoder.content) == (True, "", 0)
    assert (decoder.close().request_id, decoder.close().status) == ("r1", 502)


def test_the_last_event_may_lack_its_blank_line() -> None:
    """It counts for the reply; its words have been in no chunk, so they are in the last one."""
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, sse(delta(content="a"), delta("stop", content="b"))[:-2], chunks=chunks)

    assert (decoder.close(), decoder.reply.text) == (None, "ab")
    assert chunks == [Chunk("a")]
    assert decoder.final() == Chunk("b", finish_reason="stop")


def test_a_last_event_after_one_that_is_nested_deep() -> None:
    """It counts, too, however deep the events before it are nested."""
    nested = orjson.dumps(delta(content="a", x=0)).replace(b"0}", b"[" * 900 + b"]" * 900 + b"}")
    decoder = decode(WIRE, SSE, sse(nested, delta("stop"))[:-2])

    assert (decoder.close(), decoder.reply.text) == (None, "a")


@pytest.mark.parametrize("mark", [b"data: [DONE]", b"data:[DONE]\n", b"data: [DONE] \n"])
def test_a_done_mark_may_lack_its_blank_line(mark: bytes) -> None:
    """It ends the answer all the same."""
    decoder = decode(WIRE, SSE, sse(delta(content="a")) + mark)

    assert decoder.close() is None


def test_an_event_stream_under_another_content_type() -> None:
    """A gateway that forgets the content type loses the streaming, not the answer."""
    decoder = body(sse(delta(content="a"), delta("stop"), DONE))

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.content) == ("a", 1)


@pytest.mark.parametrize(
    ("page", "expected"),
    [(b'{"error":{"code":429,"message":"slow"}}', RateLimited), (b"<title>Oops</title>\n", BadReply), (b"", BadReply)],
)
def test_an_error_page_under_the_content_type_of_a_stream(page: bytes, expected: type) -> None:
    """It is distinguished from a stream that was cut."""
    decoder = decode(WIRE, SSE, page)

    assert type(decoder.close()) is expected


def test_a_body_that_is_no_json_is_quoted() -> None:
    """The error message shows whose page it is."""
    assert body(b"<html><title>Bad gateway</title></html>").close().message == "not whole JSON: 'Bad gateway'"


def test_a_body_that_goes_on_after_its_end_is_no_answer() -> None:
    """Its beginning alone would have been one."""
    whole = orjson.dumps(completion(content="x", role="assistant"))
    decoder = body(whole + b"{")

    assert type(decoder.close()) is BadReply
    assert (decoder.reply.text, decoder.cost_usd, decoder.content) == ("", None, 0)
