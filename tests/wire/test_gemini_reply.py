"""Replies of the Gemini wire: what is made of the fragments of a stream, or of one response."""

from __future__ import annotations

import pickle

import pytest

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk, Usage
from asyncrouter._wire.gemini.finish import BROKEN, FINISH
from tests.helpers.decoding import SSE, decode
from tests.helpers.gemini_fixtures import (
    ANSWER,
    BLOCKED,
    CALLS,
    FILTERED,
    NAMED_CALL,
    TEXT,
    THOUGHTS,
    WIRE,
    body,
    fragment,
    sse,
    stream,
    usage,
)


def test_a_stream_becomes_a_reply() -> None:
    """Fragments add up, counts are cumulative, and `raw` has Google's id and our clock's date."""
    chunks: list[Chunk] = []
    decoder = stream(*TEXT, chunks=chunks)
    reply = decoder.reply

    assert decoder.close() is None
    assert reply.text == "".join(chunk.text for chunk in chunks) == "One, two, thrée \u2028 \U0001f600."
    assert (reply.finish_reason, reply.served_model, reply.usage) == ("stop", "gemini-3.1-flash", Usage(9, 7))
    assert (decoder.content, decoder.skipped, decoder.cost_usd) == (3, 0, None)
    assert decoder.final() == Chunk("", finish_reason="stop", usage=Usage(9, 7))
    assert reply.raw == {
        "id": "mAitaLmkHPPlz7IPvtfUqQ4", "object": "chat.completion", "created": 1_700_000_000,
        "model": "gemini-3.1-flash",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop",
            "native_finish_reason": "STOP",
        }],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_thoughts_are_reasoning() -> None:
    """They are content and output, but no text; the results of Google's own tools are input."""
    chunks: list[Chunk] = []
    decoder = stream(*THOUGHTS, chunks=chunks)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.reasoning) == ("There are three.", "**Counting**\n")
    assert decoder.reply.usage == Usage(8, 24, 2, 20)
    assert [(chunk.text, chunk.reasoning) for chunk in chunks] == [("", "**Counting**\n"), ("There are three.", "")]


def test_function_calls_are_tool_calls() -> None:
    """They have ids of ours where Google gives none, arguments as JSON text, and the finish reason that says so."""
    chunks: list[Chunk] = []
    reply = stream(*CALLS, chunks=chunks).reply

    assert reply.finish_reason == "tool_calls"
    assert [(made["id"], made["function"]["name"], made["function"]["arguments"]) for made in reply.tool_calls] == [
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_0", "weather", '{"city":"Ulm","days":2}'),
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_1", "weather", '{"city":"Bonn"}'),
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_2", "now", "{}"),
    ]
    assert reply.tool_calls[0]["extra_content"] == {"google": {"thought_signature": "CiQB4/H/"}}
    assert [delta["index"] for chunk in chunks for delta in chunk.tool_calls] == [0, 1, 2]


def test_googles_own_id_is_kept() -> None:
    """Models since Gemini 3 give one, and want it back."""
    (made,) = stream(*NAMED_CALL).reply.tool_calls

    assert made["id"] == "7xk2m9ab"
    assert made["extra_content"]["google"]["function_call_id"] == "7xk2m9ab"


def test_calls_of_an_answer_without_an_id_have_ids() -> None:
    """They are made of the answer's time."""
    document = fragment({"functionCall": {"name": "f"}}, finish="STOP")
    del document["responseId"]

    assert stream(document).reply.tool_calls[0]["id"] == "call_1700000000500000_0"


def test_text_before_the_filter_is_a_reply() -> None:
    """Its finish reason is for the caller to see, and so are Google's ratings."""
    decoder = stream(*FILTERED)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("Once upon", "content_filter")
    assert decoder.reply.raw["choices"][0]["safetyRatings"][0]["blocked"] is True


@pytest.mark.parametrize("reason", [reason for reason, finish in FINISH.items() if finish == "content_filter"])
def test_a_filtered_answer_without_text_is_refused(reason: str) -> None:
    """The error's code is Google's reason."""
    error = body({"candidates": [{"finishReason": reason, "index": 0}], **ANSWER}).close()

    assert (type(error), error.code, error.request_id) == (Refused, reason, ANSWER["responseId"])


def test_a_blocked_prompt_is_refused() -> None:
    """There are no candidates, only the reason, streamed or not."""
    for decoder in (stream(BLOCKED), body(BLOCKED), body([BLOCKED])):
        error = decoder.close()
        assert (type(error), error.code) == (Refused, "PROHIBITED_CONTENT")
        assert error.message == "the prompt was blocked: PROHIBITED_CONTENT"


def test_a_prompt_blocked_while_it_is_answered() -> None:
    """What has come is a filtered answer, and nothing more comes."""
    decoder = stream(TEXT[0], BLOCKED)

    assert (decoder.close(), decoder.done) == (None, True)
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("One, tw", "content_filter")


@pytest.mark.parametrize(("reason", "kind"), BROKEN.items())
def test_finish_reasons_that_are_errors(reason: str, kind: type) -> None:
    """Whatever has come is no success, reading stops, and Google's explanation is in the message."""
    decoder = stream(TEXT[0], fragment({"text": "x"}, finish=reason, finishMessage="Malformed function call: f("))
    error = decoder.close()

    assert (type(error), error.code, decoder.done) == (kind, reason, True)
    assert error.message == f"finish reason {reason}: Malformed function call: f("


def test_an_unknown_finish_reason_is_an_end() -> None:
    """The reply says "other", and `raw` has the word; without text it is the end of an empty answer."""
    decoder = stream(fragment({"text": "x"}, finish="NEW"))
    assert (decoder.close(), decoder.reply.finish_reason) == (None, "other")
    assert decoder.reply.raw["choices"][0]["native_finish_reason"] == "NEW"
    assert type(stream(fragment(finish="NEW")).close()) is BadReply
    assert type(stream(fragment({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED")).close()) is BadReply


def test_a_finish_reason_may_be_in_small_letters() -> None:
    """Google's own client takes it as well."""
    assert stream(fragment({"text": "x"}, finish="max_tokens")).reply.finish_reason == "length"


def test_a_body_is_the_same_reply_as_its_stream() -> None:
    """A stream that was not asked for as events is a JSON list of its fragments."""
    joined = fragment({"text": "One, two, thrée \u2028 \U0001f600."}, finish="STOP", usage=usage(9, 7))
    expected = stream(*TEXT).reply
    for document in (joined, [joined], list(TEXT)):
        decoder = body(document)
        assert decoder.close() is None
        assert (decoder.reply, decoder.reply.raw) == (expected, expected.raw)


def test_candidates_are_choices() -> None:
    """The reply is the first, and the answer is whole when all that were asked for are."""
    second = fragment({"text": "B"}, finish="STOP")
    second["candidates"][0]["index"] = 1
    first = fragment({"text": "A"}, finish="STOP")

    for params in ({"n": 2}, {"generationConfig": {"candidateCount": 2}}):
        assert type(stream(first, **params).close()) is BadReply
        decoder = stream(second, first, **params)
        assert (decoder.close(), decoder.reply.text) == (None, "A")
        assert [choice["message"]["content"] for choice in decoder.reply.raw["choices"]] == ["A", "B"]


def test_an_empty_answer_to_a_stop_word() -> None:
    """It may rightly be empty, whichever way the stop word was given."""
    empty = fragment(finish="STOP")

    assert type(stream(empty).close()) is BadReply
    assert stream(empty, stop=["."]).close() is None
    assert stream(empty, generationConfig={"stopSequences": ["."]}).close() is None


def test_pictures_and_other_parts_are_in_raw() -> None:
    """A picture is where OpenRouter puts one; parts without a field in Chat Completions are as they came."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    decoder = stream(fragment({"text": "Here"}, picture), fragment(code, finish="STOP"))
    message = decoder.reply.raw["choices"][0]["message"]

    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    assert message["parts"] == [code]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_any_line_end_of_the_standard_will_do(end: bytes) -> None:
    """LF, CR and CRLF give the same reply."""
    decoder = decode(WIRE, SSE, sse(*TEXT, end=end))

    assert (decoder.close(), decoder.reply.text) == (None, "One, two, thrée \u2028 \U0001f600.")


def test_a_reply_crosses_processes() -> None:
    """It can be pickled with its `raw`."""
    reply = stream(*CALLS).reply
    copied = pickle.loads(pickle.dumps(reply))

    assert (copied, copied.raw) == (reply, reply.raw)
