"""Replies of the OpenAI wire: what is made of a stream of chunks, or of one completion."""

from __future__ import annotations

import pytest

from asyncrouter._errors import BadReply
from asyncrouter._types import Chunk, Usage
from tests.helpers.decoding import DONE, SSE, decode, sse
from tests.helpers.openai_fixtures import WIRE, body, completion, delta, stream


def test_a_stream_becomes_a_reply() -> None:
    """The reply has text, finish reason, served model, usage and cost; `raw` is as if it had not been streamed."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cost": 0.001,
             "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1}}
    decoder = stream(
        {"id": "c1", "model": "m", "object": "chat.completion.chunk", "created": 5, "system_fingerprint": "f",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        delta(content="Hel"), delta(content="lo"), delta("stop"), {"id": "c1", "choices": [], "usage": usage}, DONE,
    )
    reply = decoder.reply

    assert decoder.close() is None
    assert (decoder.content, decoder.done, decoder.cost_usd, decoder.skipped) == (2, True, 0.001, 0)
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("Hello", "", ())
    assert (reply.finish_reason, reply.served_model) == ("stop", "m")
    assert reply.usage == Usage(9, 2, 4, 1)
    assert reply.raw == {
        "id": "c1", "model": "m", "object": "chat.completion", "created": 5, "system_fingerprint": "f", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    }


def test_each_event_with_content_gives_a_chunk() -> None:
    """Finish reason and usage are on the last chunk, which carries nothing else."""
    chunks: list[Chunk] = []
    decoder = stream(
        delta(role="assistant", content=""), delta(reasoning="hm"), delta(content="a"),
        delta(role="assistant", content="b"), delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, DONE, chunks=chunks,
    )

    assert chunks == [Chunk(reasoning="hm"), Chunk("a"), Chunk("b")]
    assert decoder.final() == Chunk(finish_reason="stop", usage=Usage(1, 2))


def test_nothing_but_content_counts_as_content() -> None:
    """No role, empty delta, comment, usage, id or `[DONE]` wins a race."""
    data = sse(
        delta(role="assistant"), delta(role="assistant", content=""), delta(content=None), delta(), {"choices": []},
        {"choices": [], "usage": {"prompt_tokens": 1}}, delta(tool_calls=[{"index": 0, "id": "x", "type": "function"}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}]), delta("stop"),
    )
    decoder = decode(WIRE, SSE, data + b": OPENROUTER PROCESSING\n\ndata:\n\n")

    assert (decoder.content, decoder.skipped) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "x"}, {"refusal": "x"}, {"content": [{"type": "text", "text": "x"}]},
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]},
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"audio": {"id": "audio_1", "data": "AAAA"}}, {"content": [{"type": "image_url", "image_url": {"url": "u"}}]},
    ],
)
def test_every_kind_of_content_counts(fields: dict[str, object]) -> None:
    """Each is one piece of content, and makes an answer that is not empty."""
    decoder = stream(delta(**fields), delta("stop"), DONE)

    assert (decoder.content, decoder.close()) == (1, None)


def test_reasoning_under_two_names_counts_once() -> None:
    """Some hosts send both names; `raw` keeps both."""
    chunks: list[Chunk] = []
    reply = stream(delta(reasoning="a", reasoning_content="a"), delta("stop", content="b"), chunks=chunks).reply

    assert reply.reasoning == "a"
    assert [chunk.reasoning for chunk in chunks] == ["a", ""]
    message = reply.raw["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "b", "reasoning": "a", "reasoning_content": "a"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_among_the_parts_of_a_content(streamed: bool) -> None:
    """Relays of the Responses API put it there: its words are the text."""
    parts = [{"type": "refusal", "refusal": "I won't"}]
    decoder = stream(delta("stop", content=parts), DONE) if streamed else body(completion(content=parts))

    assert decoder.close() is None
    assert decoder.reply.text == "I won't"


def test_a_refusals_words_are_the_text() -> None:
    """A reader sees a refusal as text; in `raw` it has its own field."""
    streamed = stream(delta(refusal="I "), delta("stop", refusal="won't"), DONE)
    buffered = body(completion(role="assistant", content=None, refusal="I won't"))

    for decoder in (streamed, buffered):
        assert decoder.close() is None
        assert decoder.reply.text == "I won't"
        message = decoder.reply.raw["choices"][0]["message"]
        assert message == {"role": "assistant", "content": None, "refusal": "I won't"}


def test_the_reply_is_the_first_of_two_choices() -> None:
    """`raw` has both choices."""
    chunks: list[Chunk] = []
    decoder = stream(
        delta(index=0, content="a1"), delta(index=1, content="b1"), delta(index=1, content="b2"),
        delta("length", index=1), delta(index=0, content="a2"), delta("stop", index=0), params={"n": 2}, chunks=chunks,
    )

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("a1a2", "stop")
    assert [chunk.text for chunk in chunks] == ["a1", "a2"]
    assert [
        (choice["message"]["content"], choice["finish_reason"]) for choice in decoder.reply.raw["choices"]
    ] == [("a1a2", "stop"), ("b1b2", "length")]


def test_with_two_choices_both_must_have_finished() -> None:
    """With n = 2 one finished choice is half of the answer, unless the provider says that it is all."""
    first, second = delta("stop", content="a"), delta(index=1, content="b")

    assert isinstance(stream(first, params={"n": 2}).close(), BadReply)
    assert isinstance(stream(first, second, params={"n": 2}).close(), BadReply)
    assert stream(first, DONE, params={"n": 2}).close() is None


def test_a_choice_without_an_index_must_be_the_only_one() -> None:
    """Where there are several, a piece without an index could belong to any of them."""
    bare = {"choices": [{"delta": {"content": "x"}}]}

    assert stream(bare, bare, delta("stop")).reply.text == "xx"
    assert stream(bare, delta("stop", index=1), delta("stop"), DONE).close().message == "malformed: a choice's index"


def test_logprobs_are_joined() -> None:
    """Logprobs become one list, and unknown fields of a choice are kept."""
    chunks = [delta(content="a"), delta(content="b"), delta("stop", content="c")]
    for chunk in chunks:
        choice = chunk["choices"][0]
        choice["logprobs"] = {"content": [{"token": choice["delta"]["content"]}], "refusal": None}
    chunks[2]["choices"][0]["native_finish_reason"] = "end"
    choice = stream(*chunks).reply.raw["choices"][0]

    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}, {"token": "c"}]}
    assert choice["native_finish_reason"] == "end"


def test_text_beside_empty_fields() -> None:
    """Some hosts send empty reasoning and tool calls with every token."""
    chunks: list[Chunk] = []
    nothing = {"role": "assistant", "reasoning_content": None, "reasoning_details": [], "tool_calls": None}
    decoder = stream(
        delta(content="a", **nothing), delta(content="b", **nothing), delta(content="c", reasoning="d"), delta("stop"),
        chunks=chunks,
    )

    assert (decoder.close(), decoder.reply.text, decoder.reply.reasoning) == (None, "abc", "d")
    assert chunks == [Chunk("a"), Chunk("b"), Chunk("c", "d")]


def test_reasoning_details_are_joined() -> None:
    """Each thought has the signature that its last piece brings; details that come in one piece stay as they are."""
    sealed = {"type": "reasoning.encrypted", "data": "abc", "index": 1}
    pieces = [
        {"type": "reasoning.text", "text": "Let me", "signature": None, "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": " see.", "index": 0},
        {"type": "reasoning.text", "signature": "S", "index": 0},
        sealed, sealed,
        {"type": "reasoning.summary", "summary": "Saw", "index": 2},
        {"type": "reasoning.summary", "summary": "n.", "index": 2},
        {"type": "reasoning.summary", "summary": "Next.", "index": 3},
    ]
    decoder = stream(*(delta(reasoning_details=[piece]) for piece in pieces), delta("stop", content="So."))

    assert decoder.reply.raw["choices"][0]["message"]["reasoning_details"] == [
        {**pieces[0], "text": "Let me see.", "signature": "S"},
        sealed, sealed,
        {"type": "reasoning.summary", "summary": "Sawn.", "index": 2},
        {"type": "reasoning.summary", "summary": "Next.", "index": 3},
    ]


def test_unknown_fields_of_a_delta_are_kept() -> None:
    """Lists grow; of anything else the last value counts."""
    message = stream(
        delta(content="a", annotations=[1], x=1), delta(annotations=[2], reasoning_details=[3], x=2), delta("stop")
    ).reply.raw["choices"][0]["message"]

    assert message == {"role": "assistant", "content": "a", "annotations": [1, 2], "reasoning_details": [3], "x": 2}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 2}, Usage(3, 4, 2)),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}, Usage(3, 0)),
        ({"prompt_tokens": 3.0, "completion_tokens": "x", "completion_tokens_details": [1]}, Usage(3, 0)),
        ({}, None), ({"prompt_tokens": None}, None), ({"total_tokens": 3}, None), ([1], None), (None, None),
    ],
)
def test_usage_is_read_from_every_place(usage: object, expected: Usage | None) -> None:
    """Usage may stand in a body, in a last chunk, or in the field that Groq uses."""
    assert body({**completion(content="a"), "usage": usage}).reply.usage == expected
    assert stream(delta("stop", content="a"), {"choices": [], "usage": usage}).reply.usage == expected
    assert stream({**delta("stop", content="a"), "x_groq": {"usage": usage}}).reply.usage == expected


def test_the_last_usage_counts() -> None:
    """Some hosts count up in every chunk."""
    chunks = [{**delta(content="x"), "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]

    assert stream(*chunks).reply.usage == Usage(5, 3)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0.5, 0.5), (0, 0.0), ("1", None), (True, None), (-1, None), ({"total": 1}, None), (None, None)],
)
def test_the_cost_is_a_number_that_was_charged(cost: object, expected: float | None) -> None:
    """Anything that only looks like one is no cost."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}

    assert stream(delta("stop", content="a"), {"choices": [], "usage": usage}).cost_usd == expected
    assert body({**completion(content="a"), "usage": usage}).cost_usd == expected


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("stop", "stop"), ("eos", "stop"), ("length", "length"), ("model_length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"), ("content_filter", "content_filter"), ("STOP", "stop"),
        ("something_new", "other"),
    ],
)
def test_finish_reasons_are_translated(native: str, expected: str) -> None:
    """The reply has one of our words; `raw` has the host's."""
    for decoder in (stream(delta(native, content="a")), body(completion(native, content="a"))):
        assert (decoder.close(), decoder.reply.finish_reason) == (None, expected)
        assert decoder.reply.raw["choices"][0]["finish_reason"] == native


def test_a_body_gives_one_chunk() -> None:
    """A reader of a stream that came as one body gets it in one piece."""
    decoder = body({**completion(content="a", reasoning="r"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    assert (decoder.close(), decoder.content) == (None, 1)
    assert decoder.final() == Chunk("a", "r", finish_reason="stop", usage=Usage(1, 2))


def test_the_reply_is_one_object() -> None:
    """The router writes its own fields on the reply, so it is the same object every time."""
    for decoder in (stream(delta("stop", content="a")), body(completion(content="a"))):
        decoder.reply.model = "mine"
        assert decoder.reply.model == "mine"
        assert decoder.reply is decoder.reply
