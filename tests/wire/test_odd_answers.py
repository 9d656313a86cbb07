"""Answers in shapes that people have met: ends too early, things said twice, calls numbered badly, lying headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import BadReply, OutOfCredit, RateLimited, Refused, Rejected, ServerFailed, Unauthorized, Usage
from tests.helpers import anthropic_fixtures, gemini_fixtures
from tests.helpers.decoding import DONE, JSON, SSE, decode, sse
from tests.helpers.openai_fixtures import WIRE, body, completion, delta, stream
from tests.helpers.wires import WIRES, Said, WireName

if TYPE_CHECKING:
    from asyncrouter import Chunk
    from asyncrouter._wire.api import Wire

END: dict[WireName, str] = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}
WIRE_OF: dict[WireName, Wire] = {
    "openai": WIRE, "anthropic": anthropic_fixtures.WIRE, "gemini": gemini_fixtures.WIRE,
}
Json = dict[str, object]


def calls(*deltas: Json, finish: str = "tool_calls") -> tuple[type | None, list[tuple[str, str]], list[str]]:
    """The error, the names and arguments, and the ids of a stream of these deltas of tool calls, as chunks add up."""
    chunks: list[Chunk] = []
    decoder = stream(*(delta(tool_calls=[each]) for each in deltas), delta(finish), DONE, chunks=chunks)
    error = decoder.close()
    said: dict[object, list[str]] = {}
    for piece in (call for chunk in chunks for call in chunk.tool_calls):
        held = said.setdefault(piece["index"], ["", "", ""])
        held[0] += piece.get("function", {}).get("name") or ""
        held[1] += piece.get("function", {}).get("arguments") or ""
        held[2] = piece.get("id") or held[2]
    reply = decoder.reply
    read = [(call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls]
    if error is None:
        assert [tuple(held[:2]) for held in said.values()] == read
        assert [held[2] for held in said.values()] == [call["id"] for call in reply.tool_calls]
        assert reply.raw["choices"][0]["message"].get("tool_calls", []) == list(reply.tool_calls)  # type: ignore[index]
    return None if error is None else type(error), read, [call["id"] for call in reply.tool_calls]


def function(name: str | None, arguments: str, **beside: object) -> Json:
    """A delta of a call."""
    return {**beside, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "deltas",
    [
        # the name again in every delta, the id only in the first
        [function("f", "", index=0, id="a"), function("f", '{"a"', index=0), function("f", ":1}", index=0)],
        # null names, "" as id
        [function("f", "", index=0, id="a"), function(None, '{"a"', index=0, id=""), function("", ":1}", index=0)],
        # an index that is text
        [function("f", "", index="0", id="a"), function(None, '{"a":1}', index="0")],
        # no index, the name with every piece
        [function("f", '{"a"', id="a"), function("f", ":1}")],
        # the whole call twice
        [function("f", '{"a":1}', index=0, id="a"), function("f", '{"a":1}', index=0, id="a")],
        [function("f", '{"a":1}', index=0, id="a"), function("f", '{"a":1}', index=0)],
        # an empty placeholder at the end
        [function("f", '{"a":1}', index=0, id="a"), function("", "", index=1, id="")],
        [function("f", '{"a":1}', index=0, id="a"), function(None, "", index=1)],
        [function("f", '{"a":1}', index=0, id="a"), function("", "", index=0, id="")],
        # the name before the id
        [function("f", "", index=0, id="a", type="function"), function(None, '{"a":1}', index=0, id="a")],
    ],
)
def test_one_call_however_it_is_cut(deltas: list[Json]) -> None:
    """Its name once, its arguments once, one id; in the chunks as in the reply."""
    assert calls(*deltas) == (None, [("f", '{"a":1}')], ["a"])


@pytest.mark.parametrize(
    "deltas",
    [
        [function("f", '{"a":1}', index=0), function("g", '{"b":2}', index=0)],
        [function("f", '{"a":1}', index=0, type="function"), function("g", '{"b":2}', index=0, type="function")],
        [function("f", '{"a":1}'), function("g", '{"b":2}')],
        [function("f", '{"a"', index=0), function(None, ":1}", index=0), function("g", "", index=0),
         function(None, '{"b":2}', index=0)],
        [function("f", '{"a":1}', index=0, id=""), function("g", '{"b":2}', index=0, id="")],
    ],
)
def test_two_calls_without_numbers_are_two(deltas: list[Json]) -> None:
    """Each gets an id of its own."""
    error, read, ids = calls(*deltas)

    assert (error, read, len(set(ids))) == (None, [("f", '{"a":1}'), ("g", '{"b":2}')], 2)


def test_two_calls_of_one_function_without_numbers_are_two() -> None:
    """Whole arguments cannot go on, so others begin the next call."""
    error, read, _ = calls(function("f", '{"a":1}', index=0), function("f", '{"a":2}', index=0))

    assert (error, read) == (None, [("f", '{"a":1}'), ("f", '{"a":2}')])


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "content_filter"])
def test_arguments_that_are_cut_are_no_answer(finish: str) -> None:
    """Unless the end says so."""
    assert calls(function("f", '{"city": "Paris"', index=0, id="a"), finish=finish)[0] is BadReply
    assert calls(function("f", '{"city": "Paris"', index=0, id="a"), finish="length")[0] is None
    message = completion(finish, tool_calls=[function("f", '{"city": "Paris"', id="a")])
    assert type(body(message).close()) is BadReply


def test_only_the_last_call_may_be_cut() -> None:
    """The limit of tokens was reached in it."""
    whole, cut = function("f", "{}", index=0, id="a"), function("g", '{"x', index=1, id="b")

    assert calls(whole, cut, finish="length")[0] is None
    assert calls(cut, whole, finish="length")[0] is BadReply


@pytest.mark.parametrize("identifier", ["", None])
def test_a_body_gives_a_call_an_id(identifier: str | None) -> None:
    """The same in the reply and in `raw`, which goes into the history."""
    document = completion("tool_calls", tool_calls=[function("f", "{}", id=identifier, type="function")] * 1)
    decoder = body(document)
    [call] = decoder.reply.tool_calls

    assert (decoder.close(), bool(call["id"])) == (None, True)
    assert decoder.reply.raw["choices"][0]["message"]["tool_calls"][0]["id"] == call["id"]  # type: ignore[index]


def test_a_legacy_call_of_a_function_is_a_tool_call() -> None:
    """With an id, under the name of today, streamed or not."""
    legacy = {"name": "f", "arguments": '{"a":1}'}
    pieces = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    for decoder in (
        body(completion("function_call", content=None, function_call=legacy)),
        stream(*(delta(function_call=piece) for piece in pieces), delta("function_call"), DONE),
    ):
        [call] = decoder.reply.tool_calls
        assert (decoder.close(), decoder.reply.finish_reason, call["function"]) == (None, "tool_calls", legacy)
        message = decoder.reply.raw["choices"][0]["message"]  # type: ignore[index]
        assert [each["id"] for each in message["tool_calls"]] == [call["id"]]


def test_content_after_an_early_end_takes_it_back() -> None:
    """A stream that is cut then is no answer; one that ends again is whole."""
    early = [delta("stop", content=""), delta(content="Hel"), delta(content="lo")]

    assert type(stream(*early).close()) is BadReply
    assert type(stream(delta("stop"), delta(reasoning="x")).close()) is BadReply
    assert type(stream(delta("stop", content="a"), delta(tool_calls=[function("f", "{", index=0)])).close()) is BadReply
    for whole in (stream(*early, delta("stop")), stream(*early, DONE)):
        assert (whole.close(), whole.reply.text, whole.reply.finish_reason) == (None, "Hello", "stop")


def test_an_early_end_on_the_other_wires() -> None:
    """Claude's stop reason, or Google's finish reason, before the rest of the text."""
    start, text = anthropic_fixtures.message_start(), anthropic_fixtures.text_block(0, "Hel", "lo")
    early = anthropic_fixtures.message_delta()
    for cut in ([start, early, *text], [start, *text[:2], early, *text[2:3]]):
        assert type(anthropic_fixtures.stream(*cut).close()) is BadReply
    assert anthropic_fixtures.stream(start, early, *text, early).close() is None
    first, rest = gemini_fixtures.fragment({"text": "Hel"}, finish="STOP"), gemini_fixtures.fragment({"text": "lo"})
    assert type(gemini_fixtures.stream(first, rest).close()) is BadReply
    assert gemini_fixtures.stream(first, rest, gemini_fixtures.fragment(finish="STOP")).reply.text == "Hello"


def test_a_last_chunk_that_repeats_the_message() -> None:
    """Text, reasoning and calls count once."""
    call = function("f", '{"a":1}', index=0, id="a", type="function")
    whole = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "images": [{"u": 1}],
             "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]}
    last = {"choices": [{"index": 0, "delta": {}, "message": whole, "finish_reason": "tool_calls"}]}
    chunks: list[Chunk] = []
    decoder = stream(
        delta(reasoning_content="hm"), delta(content="Hel"), delta(content="lo"), delta(images=[{"u": 1}]),
        delta(tool_calls=[call]), last, DONE, chunks=chunks,
    )
    reply = decoder.reply

    assert (decoder.close(), reply.text, reply.reasoning, len(reply.tool_calls)) == (None, "Hello", "hm", 1)
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert reply.raw["choices"][0]["message"]["images"] == [{"u": 1}]  # type: ignore[index]


def test_a_last_message_has_the_last_word() -> None:
    """What no delta has brought is added; what contradicts them is no answer."""
    more = {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}

    assert stream(delta(content="Hel"), more).reply.text == "Hello"
    assert type(stream(delta(content="Bye"), more).close()) is BadReply


@pytest.mark.parametrize(
    "fields",
    [
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"audio": {"id": "a", "data": "AAAA", "transcript": "hi"}}, {"audio": {"data": "AAAA"}},
    ],
)
def test_a_picture_or_sound_is_an_answer(fields: Json) -> None:
    """Streamed or not."""
    for decoder in (stream(delta(**fields), delta("stop"), DONE), body(completion("stop", content=None, **fields))):
        assert (decoder.close(), decoder.content) == (None, 1)


def test_pieces_of_sound_are_all_kept() -> None:
    """Base64 is joined as base64, also where each piece is padded."""
    pieces: list[Json] = [{"id": "a"}, {"data": "AA=="}, {"data": "AQ=="}, {"transcript": "he"}, {"transcript": "y"}]
    decoder = stream(*(delta(audio=piece) for piece in pieces), delta("stop"), DONE)
    audio = decoder.reply.raw["choices"][0]["message"]["audio"]  # type: ignore[index]

    assert (decoder.close(), audio) == (None, {"id": "a", "data": "AAE=", "transcript": "hey"})


def test_google_sends_pictures_and_sound() -> None:
    """They are answers alone; a picture among the thoughts is none."""
    for kind in ("image/png", "audio/wav"):
        data = {"inlineData": {"mimeType": kind, "data": "AA=="}}
        fragment = gemini_fixtures.fragment(data, finish="STOP")
        for decoder in (gemini_fixtures.stream(fragment), gemini_fixtures.body(fragment)):
            assert decoder.close() is None
        thought = gemini_fixtures.fragment({**data, "thought": True}, finish="STOP")
        assert type(gemini_fixtures.stream(thought).close()) is BadReply


def test_unknown_texts_in_pieces_are_joined() -> None:
    """`reasoning_text` is reasoning; a label that is repeated is not joined."""
    decoder = stream(
        *(delta(reasoning_text=piece, plan=piece, phase="p") for piece in ("a ", "b")), delta("stop", content="x"), DONE
    )
    message = decoder.reply.raw["choices"][0]["message"]  # type: ignore[index]

    assert (decoder.close(), decoder.reply.reasoning) == (None, "a b")
    assert (message["plan"], message["phase"]) == ("a b", "p")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "", "text/html"])
def test_events_are_read_live_under_any_type(wire: WireName, kind: str) -> None:
    """Content and chunks come with their bytes."""
    _, _, events = Said("Hi", end=END[wire]).bytes(wire, streamed=True)
    decoder = WIRE_OF[wire].decoder({"content-type": kind}, {})
    chunks: list[Chunk] = []
    seen = []
    for at in range(len(events)):
        decoder.feed(events[at : at + 1], chunks)
        seen.append((decoder.content, decoder.reply.text))

    assert (1, "H") in seen
    assert ("".join(chunk.text for chunk in chunks), decoder.close(), decoder.reply.text) == ("Hi", None, "Hi")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("lead", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("tail", [b"", b"\n\ndata: [DONE]\n\n", b"data:[DONE]"])
@pytest.mark.parametrize("kind", [SSE, JSON])
def test_a_document_is_read_under_any_type(wire: WireName, lead: bytes, tail: bytes, kind: dict[str, str]) -> None:
    """Whole or byte by byte, also with the mark of a stream's end after it; `final()` has all of it."""
    _, _, document = Said("Hi", end=END[wire]).bytes(wire, streamed=False)
    for size in (1, 7, 1000):
        decoder = WIRE_OF[wire].decoder(kind, {})
        data = lead + document + tail
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size], [])
        assert (decoder.close(), decoder.reply.text, decoder.final().text) == (None, "Hi", "Hi")


@pytest.mark.parametrize("kind", [SSE, JSON])
def test_many_marks_of_an_end_are_no_answer(kind: dict[str, str]) -> None:
    """Only one of them is left out, so that no body takes long to turn down."""
    found = decode(WIRE, kind, orjson.dumps(completion(content="a")) + b"\ndata: [DONE]" * 100_000).close()

    assert isinstance(found, BadReply)
    assert found.message.startswith(("not whole JSON", "a broken event"))


@pytest.mark.parametrize("kind", [SSE, JSON])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}, OutOfCredit),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, RateLimited),
        ({"base_resp": {"status_code": 1004, "status_msg": "auth failed"}}, Unauthorized),
        ({"base_resp": {"status_code": 1027, "status_msg": "output sensitive"}}, Refused),
        ({"code": 1113, "msg": "余额不足", "success": False}, OutOfCredit),
        ({"code": "1302", "msg": "并发数过高", "success": False}, RateLimited),
        ({"code": 401, "msg": "token expired", "success": False}, Unauthorized),
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, ServerFailed),
        ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, RateLimited),
        ({"success": False, "errors": [{"code": 10000, "message": "Too many requests"}]}, RateLimited),
        ({"Response": {"Error": {"Code": "AuthFailure", "Message": "m"}}}, Unauthorized),
        ({"success": False, "errors": [{"code": 3040, "message": "No more data centers"}]}, RateLimited),
        ({"success": False, "errors": [{"code": 3041, "message": "not allowed"}]}, Unauthorized),
        ({"success": False, "errors": [{"code": 5007, "message": "No such model x or task"}]}, Rejected),
        ({"fault": {"faultstring": "Rate limit quota violation", "detail": {"errorcode": "q"}}}, RateLimited),
        ({"statusCode": 401, "message": "invalid subscription key"}, Unauthorized),
        ({"statusCode": 429, "error": "Too Many Requests"}, RateLimited),
        ({"error": True, "message": "Too many requests"}, RateLimited),
        ({"error": True, "message": "busy", "code": 503}, ServerFailed),
        ({"choices": None, "error": None, "message": "insufficient balance"}, OutOfCredit),
    ],
)
def test_errors_of_other_vendors_in_a_success(
    kind: dict[str, str], wire: WireName, document: Json, expected: type
) -> None:
    """They are what they say, in their words, as a body or as an event."""
    for data in (orjson.dumps(document), sse(document)):
        error = decode(WIRE_OF[wire], kind, data).close()
        assert type(error) is expected
        assert error.message.partition(" (")[0] in orjson.dumps(document).decode()


def test_a_success_in_an_envelope_is_one() -> None:
    """MiniMax says in every answer that all is well."""
    fine = {**completion(content="a"), "base_resp": {"status_code": 0, "status_msg": "success"}, "code": 200}

    assert (body(fine).close(), body(fine).reply.text) == (None, "a")
    assert stream({**delta("stop", content="a"), "base_resp": {"status_code": 0, "status_msg": ""}}).close() is None


def test_usage_in_the_first_choice_counts() -> None:
    """Moonshot's place for it, in the last chunk."""
    last = delta("stop", content="a")
    last["choices"][0]["usage"] = {"prompt_tokens": 3, "completion_tokens": 2}  # type: ignore[index]

    assert stream(last).reply.usage == Usage(3, 2)


def test_an_empty_last_chunk_takes_nothing_back() -> None:
    """Azure's has no id and no model."""
    last = {**delta("stop"), "id": "", "model": "", "created": 0}
    reply = stream({**delta(content="a"), "created": 5}, last, DONE).reply

    assert (reply.served_model, reply.raw["id"], reply.raw["created"]) == ("m", "c1", 5)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((r"a\ud83d", r"\ude00b"), "a😀b"), ((r"a\ud83d", "b"), "a�b"), ((r"\ude00",), "�"), ((r"a\ud83d",), "a�"),
        ((r"\ud83d\ude00",), "😀"), ((r"\ud83d", r"\ude00\ud83d", r"\ude01"), "😀😁"),
    ],
)
def test_characters_cut_in_two(wire: WireName, pieces: tuple[str, ...], expected: str) -> None:
    """They are joined, over events and cuts of the network; a lone half is U+FFFD."""
    marks = "".join(chr(0xE000 + index) for index in range(len(pieces)))
    _, _, data = Said(marks, end=END[wire]).bytes(wire, streamed=True)
    for mark, piece in zip(marks, pieces, strict=True):
        data = data.replace(mark.encode(), piece.encode())
    for size in (1, 13, 100_000):
        decoder, chunks = WIRE_OF[wire].decoder(SSE, {}), list["Chunk"]()
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size], chunks)
        assert (decoder.close(), decoder.reply.text) == (None, expected)
        assert "".join(chunk.text for chunk in chunks) + decoder.final().text == expected


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, 0.036),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.25}}, 0.75),
        ({"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0.5, "is_byok": True}, None),
    ],
)
def test_what_openrouter_and_a_key_of_ones_own_cost(usage: Json, cost: float | None) -> None:
    """OpenRouter's share and the vendor's; `None` where the vendor's is not told."""
    assert body({**completion(content="a"), "usage": usage}).cost_usd == cost
    assert stream(delta("stop", content="a"), {"choices": [], "usage": usage}).cost_usd == cost


def test_a_total_that_shows_hidden_reasoning() -> None:
    """It is output, with or without a count of its own."""
    counts: Json = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    told = {**counts, "completion_tokens_details": {"reasoning_tokens": 30}}
    for usage in (counts, told):
        assert body({**completion(content="a"), "usage": usage}).reply.usage == Usage(10, 35, 0, 30)
    google = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 45}
    fragment = gemini_fixtures.fragment({"text": "a"}, finish="STOP", usage=google)
    assert gemini_fixtures.stream(fragment).reply.usage == Usage(10, 35, 0, 30)


def test_a_relay_tells_cost_and_waits() -> None:
    """LiteLLM's headers: its own cost, and the provider's under a prefix."""
    headers = {**JSON, "x-litellm-response-cost": "0.0125"}
    assert decode(WIRE, headers, completion(content="a")).cost_usd == 0.0125
    assert decode(WIRE, {**headers, "content-type": "text/event-stream"}, sse(delta("stop", content="a"))).cost_usd == (
        0.0125
    )
    assert decode(WIRE, {**JSON, "x-litellm-response-cost": "None"}, completion(content="a")).cost_usd is None
    limited = WIRE.failure(429, {"llm_provider-retry-after": "7"}, b"")
    assert limited.retry_after == 7.0
