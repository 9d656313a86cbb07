"""Replies of the Responses wire: what is made of the events of a stream, or of one response."""

from __future__ import annotations

import pytest

from asyncrouter._types import Chunk, Usage
from asyncrouter._wire.origin import ORIGIN
from asyncrouter._wire.responses.kept import KEPT
from tests.helpers.decoding import JSON, SSE, decode, decode_bytewise, state
from tests.helpers.responses_fixtures import (
    ANSWERS,
    LOOSE_WIRE,
    USAGE,
    WIRE,
    body,
    call,
    events,
    events_of,
    message,
    reasoning,
    response,
    stream_of,
    without,
)

PARIS = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
ROME = {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
NOW = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
CUT = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "b'}}

EXPECTED = {
    # text, reasoning, tool calls, finish reason
    "text": ("Hello there, é🙂!", "", (), "stop"),
    "reasoned": ("Forty-two.", "**Plan**\nFirst.\n\n**Check**\nThen.", (), "stop"),
    "silent reasoning": ("Forty-two.", "", (), "stop"),
    "refused": ("I cannot help with that.", "", (), "stop"),
    "call": ("", "", (PARIS,), "tool_calls"),
    "two calls": ("", "", (PARIS, ROME), "tool_calls"),
    "said and called": ("Let me look.", "", (NOW,), "tool_calls"),
    "two messages": ("One. Two.", "", (), "stop"),
    "two parts": ("One. Two.", "", (), "stop"),
    "length": ("Half a", "", (), "length"),
    "cut call": ("", "", (CUT,), "length"),
    "filtered": ("Half a", "", (), "content_filter"),
    "steered": ("Half a", "", (), "other"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_becomes_a_reply(name: str, streamed: bool) -> None:
    """Text, reasoning, tool calls and finish reason, the same from a stream and from a body."""
    answer = ANSWERS[name]
    decoder = decode(WIRE, SSE, stream_of(answer)) if streamed else decode(WIRE, JSON, answer)
    reply = decoder.reply

    assert decoder.close() is None
    assert (reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason) == EXPECTED[name]
    usage = Usage(30, 20, 10, 8, cache_write_tokens=4)
    assert (reply.served_model, reply.usage, decoder.cost_usd) == ("gpt-6-sol", usage, None)
    assert decoder.skipped == 0


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_and_a_body_are_one_raw_answer(name: str) -> None:
    """Down to every field of `raw`."""
    answer = ANSWERS[name]

    assert decode(WIRE, SSE, stream_of(answer)).reply.raw == decode(WIRE, JSON, answer).reply.raw


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_it_does_not_matter_where_the_network_cuts(name: str, size: int) -> None:
    """Byte by byte or at once, in small pieces or in large ones."""
    data = stream_of(ANSWERS[name], size)

    assert state(decode_bytewise(WIRE, SSE, data)) == state(decode(WIRE, SSE, data))


def assembled(chunks: list[Chunk]) -> tuple[object, ...]:
    """What a reader of a stream makes of its chunks: text, reasoning, tool calls."""
    calls: dict[int, dict[str, object]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        made = calls.setdefault(delta["index"], {"function": {"name": "", "arguments": ""}})
        made |= {name: delta[name] for name in ("id", "type") if name in delta}
        for name, piece in delta["function"].items():
            made["function"][name] += piece  # type: ignore[index]
    return "".join(c.text for c in chunks), "".join(c.reasoning for c in chunks), tuple(calls[n] for n in sorted(calls))


@pytest.mark.parametrize("name", ANSWERS)
def test_chunks_add_up_to_the_reply(name: str) -> None:
    """What a reader sees is the reply; finish reason and usage stand on the last chunk."""
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, stream_of(ANSWERS[name]), chunks=chunks)
    last = decoder.final()

    assert assembled([*chunks, last]) == EXPECTED[name][:3]
    assert all((chunk.finish_reason, chunk.usage) == (None, None) for chunk in chunks)
    assert (last.finish_reason, last.usage) == (EXPECTED[name][3], Usage(30, 20, 10, 8, cache_write_tokens=4))
    assert decoder.content >= len(chunks)


def test_raw_is_a_chat_completion_with_the_items_on_its_message() -> None:
    """What Chat Completions has no field for stands beside, under its own name."""
    output = [reasoning("Plan."), message("Let me look.", phase="commentary"), call("now", "{}")]
    reply = decode(WIRE, JSON, response(*output, input_transformations=[{"id": "rs_0", "action": "removed"}])).reply

    assert reply.raw == {
        "id": "resp_1", "object": "chat.completion", "created": 1_800_000_000, "model": "gpt-6-sol",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "Let me look.", "reasoning": "Plan.", "tool_calls": [NOW],
                ORIGIN: {"host": "api.openai.com", "provider": "openai", "model": "gpt-6-sol"}, KEPT: output,
            },
            "finish_reason": "tool_calls", "native_finish_reason": "completed",
        }],
        "usage": {
            "prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
        "service_tier": "default", "input_transformations": [{"id": "rs_0", "action": "removed"}],
    }


def test_a_refusal_has_its_own_field_in_raw() -> None:
    """As in Chat Completions: the content is null beside it."""
    choice = decode(WIRE, JSON, ANSWERS["refused"]).reply.raw["choices"][0]

    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "I cannot help with that.")
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(("name", "native"), [
    ("text", "completed"), ("length", "max_output_tokens"), ("filtered", "content_filter"), ("steered", "steered"),
])
def test_the_providers_word_for_the_end_is_kept(name: str, native: str) -> None:
    """Beside the finish reason in Chat Completions' words."""
    assert decode(WIRE, JSON, ANSWERS[name]).reply.raw["choices"][0]["native_finish_reason"] == native


def test_log_probabilities_are_where_chat_completions_has_them() -> None:
    """They stand on the parts of the final message."""
    tokens = [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]
    part = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": tokens}
    choice = decode(WIRE, JSON, response(message(content=[part]))).reply.raw["choices"][0]

    assert choice["logprobs"] == {"content": tokens, "refusal": None}


def test_a_picture_is_an_answer() -> None:
    """In the form in which OpenRouter puts one on a message; its item is kept, too."""
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBO",
            "output_format": "webp"}
    for decoder in (decode(WIRE, JSON, response(item)), decode(WIRE, SSE, stream_of(response(item)))):
        assert decoder.close() is None
        assert decoder.reply.raw["choices"][0]["message"]["images"] == [
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,iVBO"}}]
        assert decoder.reply.raw["choices"][0]["message"][KEPT] == [item]


def test_items_that_are_no_part_of_the_answer_say_nothing() -> None:
    """They are kept, and go back with the next turn; what stands in them is not the model's answer."""
    part = {"type": "output_text", "text": "Not said.", "annotations": []}
    item = {"type": "sparkle", "id": "sp_1", "content": [part]}
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, stream_of(response(item, message("Said."))), chunks=chunks)

    assert (decoder.close(), decoder.reply.text, [chunk.text for chunk in chunks]) == (None, "Said.", ["Said", "."])
    assert decoder.reply.raw["choices"][0]["message"][KEPT][0] == item


def test_a_custom_tools_call_has_free_text() -> None:
    """It has no arguments, but an input."""
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "sql", "input": "select 1"}
    streamed = [
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "input": ""}},
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": "select "},
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": "1"},
        {"type": "response.custom_tool_call_input.done", "output_index": 0, "item_id": "ctc_1", "input": "select 1"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response(item)},
    ]
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, events(*streamed), chunks=chunks)

    assert (decoder.close(), decoder.reply.finish_reason) == (None, "tool_calls")
    assert decoder.reply.tool_calls == (
        {"id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},)
    assert [chunk.tool_calls[0] for chunk in chunks] == [
        {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "sql", "input": ""}},
        {"index": 0, "custom": {"input": "select "}}, {"index": 0, "custom": {"input": "1"}},
    ]
    assert decode(WIRE, JSON, response(item)).reply.tool_calls == decoder.reply.tool_calls


def test_thoughts_in_plain_words_are_reasoning() -> None:
    """Open models show them as `reasoning_text`."""
    item = reasoning(content=[{"type": "reasoning_text", "text": "hm, well"}], encrypted_content=None)
    delta = {"type": "response.reasoning_text.delta", "output_index": 0, "item_id": "rs_1", "content_index": 0}
    streamed = [
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {**delta, "delta": "hm, "}, {**delta, "delta": "well"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        *events_of(response(item, message("So.")))[-7:],
    ]

    assert decode(WIRE, SSE, events(*streamed)).reply.reasoning == "hm, well"
    assert decode(WIRE, JSON, response(item, message("So."))).reply.reasoning == "hm, well"


def test_the_order_of_the_items_is_kept_and_their_deltas_may_mix() -> None:
    """Two calls that grow at the same time, told apart by their place."""
    documents = events_of(ANSWERS["two calls"])
    added = [event for event in documents if event["type"] == "response.output_item.added"]
    deltas = [event for event in documents if str(event["type"]).endswith("arguments.delta")]
    mixed = sorted(deltas, key=lambda event: (event["sequence_number"] % 5, event["sequence_number"]))  # type: ignore[operator]
    for index in (0, 1):  # pieces of one call stay in their order
        mine = iter([event for event in deltas if event["output_index"] == index])
        mixed = [next(mine) if event["output_index"] == index else event for event in mixed]
    last = [event for event in documents if event["type"] == "response.output_item.done"] + documents[-1:]
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, events(documents[0], *added, *mixed, *last), chunks=chunks)

    assert [event["output_index"] for event in mixed] != sorted(event["output_index"] for event in mixed)  # type: ignore[type-var]
    assert decoder.close() is None
    assert assembled(chunks)[2] == decoder.reply.tool_calls == (PARIS, ROME)


LOOSE = {
    "no numbers": lambda told: without(told, "sequence_number", "output_index", "content_index", "summary_index"),
    "no item ids": lambda told: without(told, "item_id"),
    "neither places nor ids": lambda told: without(told, "item_id", "output_index", "sequence_number"),
    "no deltas": lambda told: [event for event in told if not str(event["type"]).endswith("delta")],
    "nothing but the end": lambda told: told[-1:],
    "no announcements": lambda told: [event for event in told if not str(event["type"]).endswith("added")],
    "no whole items": lambda told: [event for event in told if not str(event["type"]).endswith("done")],
    "an end without its items": lambda told: [
        *told[:-1], {**told[-1], "response": {**told[-1]["response"], "output": []}}],
    "unknown events": lambda told: [
        other for event in told for other in (event, {"type": "response.sparkle.delta", "item_id": "x", "delta": "y"})],
    "other ids in every event": lambda told: [
        {**event, "item_id": f"x{number}"} if "item_id" in event else event for number, event in enumerate(told)],
}


@pytest.mark.parametrize("kind", LOOSE)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_loose_server_leaves_out_is_not_missed(kind: str, name: str) -> None:
    """Events find their item by place, id or kind; what has not come in pieces comes with the whole."""
    told = LOOSE[kind](events_of(ANSWERS[name]))
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, events(*told), chunks=chunks)
    reply = decoder.reply
    separators = kind != "no numbers" or name != "reasoned"  # parts of a summary cannot be told apart then

    assert decoder.close() is None
    assert (reply.text, reply.tool_calls, reply.finish_reason) == (EXPECTED[name][0], *EXPECTED[name][2:])
    assert assembled([*chunks, decoder.final()])[::2] == EXPECTED[name][:3:2]
    assert reply.reasoning == EXPECTED[name][1] or not separators


def test_a_call_without_ids_gets_one_that_no_other_answer_has() -> None:
    """Made of the response's id, or of a number; the chunks have the same."""
    nameless = {**call("f", "{}"), "id": None, "call_id": ""}
    chunks: list[Chunk] = []
    streamed = decode(LOOSE_WIRE, SSE, stream_of(response({**nameless, "id": "fc_9"})), chunks=chunks)
    made = [decode(LOOSE_WIRE, JSON, response(nameless, nameless, id=told)).reply.tool_calls
            for told in ("resp_abc", None, None)]
    ids = [tool_call["id"] for reply in made for tool_call in reply]

    assert streamed.reply.tool_calls[0]["id"] == chunks[0].tool_calls[0]["id"] == "fc_9"
    assert ids[:2] == ["call_0_respabc", "call_1_respabc"]
    assert len(set(ids)) == 6


def test_two_calls_with_one_id_are_told_apart() -> None:
    """An id stands for one call."""
    twice = response(call("f", "{}", 1, call_id="c"), call("g", "{}", 2, call_id="c"))

    assert [made["id"] for made in decode(WIRE, JSON, twice).reply.tool_calls] == ["c", "c_1"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """A function that takes nothing; the chunk that ends it says so."""
    chunks: list[Chunk] = []
    decoder = decode(WIRE, SSE, stream_of(response(call("now", ""))), chunks=chunks)

    assert decoder.close() is None
    assert decoder.reply.tool_calls == (NOW,)
    assert assembled(chunks)[2] == (NOW,)


@pytest.mark.parametrize(("usage", "read"), [
    ({"input_tokens": 5, "output_tokens": 7}, Usage(5, 7)),
    ({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "input_tokens_details": None}, Usage(5, 7)),
    ({"input_tokens": 5, "output_tokens": 7, "total_tokens": 40, "output_tokens_details": {"reasoning_tokens": 28}},
     Usage(5, 35, 0, 28)),  # xAI: reasoning that was not counted as output
    ({**USAGE, "cost": 0.25}, Usage(30, 20, 10, 8, cache_write_tokens=4)),
    (None, None), ({}, None), ({"input_tokens": None}, None), ("x", None),
])
def test_usage(usage: object, read: Usage | None) -> None:
    """Counts as the provider reports them; `None` where it does not."""
    decoder = decode(WIRE, JSON, response(message("Hi"), usage=usage))

    assert decoder.reply.usage == read
    assert decoder.cost_usd == (0.25 if isinstance(usage, dict) and "cost" in usage else None)


def test_fields_that_stand_beside_usage_are_kept_in_raw() -> None:
    """What a host adds to the counts."""
    answer = response(message("Hi"), usage={**USAGE, "cost": 0.25, "is_byok": True})
    usage = decode(WIRE, JSON, answer).reply.raw["usage"]

    assert (usage["cost"], usage["is_byok"]) == (0.25, True)


def test_an_answer_without_a_date_or_a_model() -> None:
    """The wall clock dates it."""
    document = {"object": "response", "id": "resp_1", "output": [message("Hi")]}
    decoder = decode(LOOSE_WIRE, JSON, document)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.served_model) == ("Hi", None)
    assert (decoder.reply.raw["created"], decoder.reply.raw["model"]) == (1_700_000_000, "")


def test_nothing_is_built_for_tokens_that_nobody_reads() -> None:
    """Without a reader no chunk is made; the pieces are joined once, when somebody asks."""
    decoder = WIRE.decoder(SSE, {})
    told = events_of(response(message("x" * 400)), 1)
    decoder.feed(events(*told[:-4]))
    item = decoder._builder.items[0]  # type: ignore[attr-defined]

    assert len(item.pieces) == 400
    assert decoder.reply.text == "x" * 400
    assert len(item.pieces) == 1


def test_an_answer_in_events_that_calls_itself_json_is_read() -> None:
    """Decided by its first bytes."""
    assert decode(WIRE, JSON, stream_of(ANSWERS["text"])).close() is None


def test_a_whole_answer_that_calls_itself_a_stream_is_body() -> None:
    """A body of JSON under the type of an event stream holds the answer, if the decoders look at its first bytes."""
    assert decode(WIRE, JSON, body(ANSWERS["text"])).reply.text == "Hello there, é🙂!"
