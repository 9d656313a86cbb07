"""Replies of the Anthropic wire: what is made of the events of a stream, or of one message."""

from __future__ import annotations

import pytest

from asyncrouter._errors import Refused
from asyncrouter._types import Chunk, Usage
from tests.helpers.anthropic_fixtures import (
    MESSAGE_STOP,
    WIRE,
    answer,
    block,
    block_delta,
    block_start,
    body,
    message,
    message_delta,
    message_start,
    signed_thought,
    sse,
    stream,
    text_block,
    tool_block,
)
from tests.helpers.decoding import SSE, decode

TEXT = text_block(0, "Hel", "lo")


def tool_call(name: str, arguments: str, identifier: str) -> dict[str, object]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_stream_becomes_a_reply() -> None:
    """The reply has text, finish reason, served model and usage; `raw` is a Chat Completions object."""
    decoder = stream(
        message_start(cache_read_input_tokens=100, cache_creation_input_tokens=20), {"type": "ping"}, *TEXT,
        message_delta(usage={"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}), MESSAGE_STOP,
    )
    reply = decoder.reply

    assert decoder.close() is None
    assert (decoder.content, decoder.done, decoder.cost_usd, decoder.skipped) == (2, True, None, 0)
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("Hello", "", ())
    assert (reply.finish_reason, reply.served_model, reply.usage) == (
        "stop", "claude-x-1", Usage(130, 7, 100, 3, cache_write_tokens=20)
    )
    assert reply.raw == {
        "id": "msg_1", "model": "claude-x-1", "object": "chat.completion", "created": 1_700_000_000,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop",
                     "native_finish_reason": "end_turn"}],
        "usage": {"prompt_tokens": 130, "completion_tokens": 7, "total_tokens": 137,
                  "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
                  "completion_tokens_details": {"reasoning_tokens": 3}},
    }


def test_the_last_counts_are_final() -> None:
    """Those of the delta replace those of the start, ones it leaves out stay, and before it there are none."""
    counts = {"input_tokens": 12, "output_tokens": 9, "cache_read_input_tokens": None}
    begun = stream(message_start(cache_read_input_tokens=5), *TEXT)
    ended = stream(message_start(cache_read_input_tokens=5), *TEXT, message_delta(usage=counts), MESSAGE_STOP)

    assert begun.reply.usage is None
    assert "usage" not in begun.reply.raw
    assert ended.reply.usage == Usage(17, 9, 5, 0)


def test_thinking_and_tool_calls_are_translated() -> None:
    """Calls are numbered from 0 and have their arguments as JSON text, whatever the numbers of their blocks."""
    chunks: list[Chunk] = []
    decoder = stream(*answer(
        *signed_thought(0, "hm", signature="s=="), *text_block(1, "See:"),
        *tool_block(2, "t1", "f", "", '{"x"', ":1}"), *tool_block(3, "t2", "g"), reason="tool_use",
    ), chunks=chunks)
    reply = decoder.reply
    message = reply.raw["choices"][0]["message"]

    assert (decoder.close(), reply.finish_reason) == (None, "tool_calls")
    assert (reply.text, reply.reasoning) == ("See:", "hm")
    assert reply.tool_calls == (tool_call("f", '{"x":1}', "t1"), tool_call("g", "{}", "t2"))
    assert chunks == [
        Chunk(reasoning="hm"), Chunk("See:"),
        Chunk(tool_calls=({"index": 0, **tool_call("f", "", "t1")},)),
        Chunk(tool_calls=({"index": 0, "function": {"arguments": '{"x"'}},)),
        Chunk(tool_calls=({"index": 0, "function": {"arguments": ":1}"}},)),
        Chunk(tool_calls=({"index": 1, **tool_call("g", "", "t2")},)),
        Chunk(tool_calls=({"index": 1, "function": {"arguments": "{}"}},)),
    ]
    assert decoder.final() == Chunk(finish_reason="tool_calls", usage=Usage(10, 7))
    assert message["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "s=="}]
    assert (message["reasoning"], message["tool_calls"]) == ("hm", list(reply.tool_calls))


def test_a_body_is_the_same_reply_as_its_stream() -> None:
    """They are equal down to the raw object."""
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Hello"},
               {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]
    streamed = stream(*answer(
        *signed_thought(0, "hm", signature="s"), *block(1, "text", {"type": "text_delta", "text": "llo"}, text="He"),
        *tool_block(2, "t1", "f", '{"x":1}'), reason="tool_use",
    ))
    buffered = body(message(content, "tool_use"))
    last = buffered.final()

    assert (streamed.close(), buffered.close()) == (None, None)
    assert streamed.reply == buffered.reply
    assert streamed.reply.raw == buffered.reply.raw
    assert (last.text, last.reasoning, last.tool_calls) == ("Hello", "hm", buffered.reply.tool_calls)
    assert (last.finish_reason, last.usage) == ("tool_calls", Usage(10, 7))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("something_new", "other"),
        ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_stop_reasons_are_translated(reason: str, expected: str) -> None:
    """The reply has one of our words; `raw` has the API's."""
    for decoder in (stream(*answer(*TEXT, reason=reason)), body(message([{"type": "text", "text": "a"}], reason))):
        assert (decoder.close(), decoder.reply.finish_reason) == (None, expected)
        assert decoder.reply.raw["choices"][0]["native_finish_reason"] == reason


def test_a_refusal_without_an_answer_is_refused() -> None:
    """The error has the reason the API gives; thoughts alone are no answer."""
    details = {"type": "refusal", "category": "cyber", "explanation": "This could enable harm."}
    empty = stream(message_start(), message_delta("refusal", stop_details=details), MESSAGE_STOP)
    thought = stream(*answer(*block(0, "thinking", thinking="hm"), reason="refusal"))
    whole = body(message([], "refusal", stop_details=details))

    for decoder, expected in (
        (empty, ("This could enable harm.", "cyber")),
        (thought, ("the model refused to answer (refusal)", "refusal")),
        (whole, ("This could enable harm.", "cyber")),
    ):
        error = decoder.close()
        assert type(error) is Refused
        assert (error.message, error.code) == expected
        assert error.request_id == "req_1"


def test_blocks_without_a_field_in_chat_completions_are_kept() -> None:
    """Searches, code and citations are whole in `raw`, as if they had not been streamed."""
    cited = {"type": "char_location", "cited_text": "x"}
    query = {"type": "input_json_delta", "partial_json": '{"query":"x"}'}
    citation, text = {"type": "citations_delta", "citation": cited}, {"type": "text_delta", "text": "So."}
    decoder = stream(*answer(
        *block(0, "server_tool_use", query, id="s1", name="web_search", input={}),
        *block(1, "web_search_tool_result", tool_use_id="s1", content=[]),
        *block(2, "text", citation, text, text=""), *block(3, "from_the_future", {"type": "future_delta", "y": 2}, x=1),
    ))

    assert (decoder.close(), decoder.reply.text, decoder.reply.tool_calls) == (None, "So.", ())
    assert decoder.reply.raw["choices"][0]["message"]["content_blocks"] == [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "text", "text": "So.", "citations": [cited]}, {"type": "from_the_future", "x": 1},
    ]


def test_nothing_but_content_counts_as_content() -> None:
    """No start, ping, empty delta, signature, stop or usage wins a race."""
    events = answer({"type": "ping"}, *text_block(0, ""), *signed_thought(1, signature="s"))
    decoder = decode(WIRE, SSE, b": keep-alive\n\n" + sse(*events))

    assert (decoder.content, decoder.skipped) == (0, 0)
    assert decoder.close().message.startswith("empty: its 7 output tokens went into reasoning")


@pytest.mark.parametrize(
    "begun",
    [
        block_start(0, "text", text="x"), block_start(0, "thinking", thinking="x"),
        block_start(0, "redacted_thinking", data="x"), block_start(0, "tool_use", id="t", name="f", input={}),
        block_start(0, "server_tool_use", id="s", name="web_search"),
    ],
)
def test_every_kind_of_block_counts_as_content(begun: dict[str, object]) -> None:
    """Each wins a race as soon as it begins."""
    assert stream(message_start(), begun).content == 1


def test_incomplete_usage_counts_as_none() -> None:
    """Half a count would be a wrong price, so the cost is estimated."""
    without = message_start()
    del without["message"]["usage"]

    assert stream(without, *TEXT, message_delta(), MESSAGE_STOP).reply.usage is None
    for incomplete in (5, {}, {"input_tokens": 5}):
        assert stream(message_start(), *TEXT, message_delta(usage=incomplete), MESSAGE_STOP).reply.usage is None


def test_unknown_events_and_deltas_change_nothing() -> None:
    """Deltas of another kind than their block's are ignored, and so are events that are newer than this code."""
    strange = [block_delta(0, kind, text="x", thinking="y") for kind in ("", "x", "thinking_delta")]
    decoder = stream(*answer(TEXT[0], *strange, *TEXT[1:], {"type": "future", "index": 0}))

    assert (decoder.close(), decoder.reply.text, decoder.reply.reasoning, decoder.content) == (None, "Hello", "", 2)
