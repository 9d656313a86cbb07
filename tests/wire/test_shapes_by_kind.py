"""More shapes of the kinds that people have met in the field: each is whole, or none, whole and byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter._errors import AttemptError, BadReply, RateLimited, ServerFailed
from tests.helpers import anthropic_fixtures, gemini_fixtures, openai_fixtures, responses_fixtures
from tests.helpers.by_calls import Outcome, outcome_of, outcomes_of_calls
from tests.helpers.decoding import JSON, SSE, decode, decode_bytewise, sse
from tests.helpers.openai_fixtures import completion, delta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.api import Wire

OPENAI, ANTHROPIC = openai_fixtures.WIRE, anthropic_fixtures.WIRE
GEMINI, RESPONSES = gemini_fixtures.WIRE, responses_fixtures.WIRE
TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}]}
STOP, CALLED = delta("stop"), delta("tool_calls")
LOST = "a tool call of which nothing has come"
NO_OBJECT = "a tool call whose arguments are no JSON"


def call(arguments: object = None, index: int | None = 0, name: str = "f") -> dict[str, Any]:
    """A delta of a tool call, without the fields that are `None`."""
    function = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    number = {} if index is None else {"index": index}
    return {**number, "id": "a", "function": function}


def last(**message: object) -> dict[str, object]:
    """The last chunk of a stream, with the whole message in it."""
    return {"choices": [{"index": 0, "delta": {}, "message": message, "finish_reason": "tool_calls"}]}


def read(
    wire: Wire, headers: Mapping[str, str], body: object, params: Mapping[str, object] | None = None
) -> Outcome:
    """The error's class and message, or text, reasoning, calls and finish reason.

    The same however the bytes come, and through each kind of call.
    """
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    found: list[Outcome] = []
    for decoder in (decode(wire, headers, data, params), decode_bytewise(wire, headers, data, params)):
        error = decoder.close()
        found.append(outcome_of(decoder.reply) if error is None else (type(error), error.message))
    found += outcomes_of_calls(wire, headers, data, params)
    assert found == found[:1] * len(found)
    return found[0]


# ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "documents",
    [
        [delta(tool_calls=[call()]), last(tool_calls=[call('{"q":1}')])],
        [delta(tool_calls=[call('{"q"')]), last(tool_calls=[call('{"q":1}', None)])],
        [delta(tool_calls=[call("", None)]), last(tool_calls=[call({"q": 1}, None)])],
        [delta(tool_calls=[call('{"q":1}')]), last(tool_calls=[call('{"q": 1}')])],
    ],
    ids=["all", "the rest", "an object", "laid out otherwise"],
)
def test_arguments_that_stand_only_in_the_last_message(documents: list[object]) -> None:
    """No delta has brought them; a reader of the stream gets them with the last chunk."""
    chunks: list[Any] = []
    decoder = openai_fixtures.stream(*documents, chunks=chunks)
    pieces = [one["function"].get("arguments", "") for chunk in chunks for one in chunk.tool_calls]

    assert decoder.close() is None
    assert orjson.loads(decoder.reply.tool_calls[0]["function"]["arguments"]) == {"q": 1}
    assert "".join(pieces) == decoder.reply.tool_calls[0]["function"]["arguments"]


@pytest.mark.parametrize("given", [call('{"q":2}'), call('{"q":1}', name="g")])
def test_a_last_message_that_has_another_call(given: dict[str, Any]) -> None:
    """One of the two is wrong."""
    documents = [delta(tool_calls=[call('{"q":1}')]), last(tool_calls=[given])]

    assert read(OPENAI, SSE, sse(*documents))[0] is BadReply


@pytest.mark.parametrize("arguments", ["1", "[1]", '"x"', '"{\\"q\\":1}"', "true"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """A function takes an object: nobody could carry the call out."""
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    events = anthropic_fixtures.answer(*anthropic_fixtures.block(
        0, "tool_use", {"type": "input_json_delta", "partial_json": arguments}, id="t", name="f", input={}),
        reason="tool_use")

    assert block["input"] == {}
    assert read(OPENAI, SSE, sse(delta(tool_calls=[call(arguments)]), CALLED)) == (BadReply, NO_OBJECT)
    assert read(OPENAI, JSON, completion("tool_calls", tool_calls=[call(arguments)])) == (BadReply, NO_OBJECT)
    assert read(ANTHROPIC, SSE, anthropic_fixtures.sse(*events)) == (BadReply, NO_OBJECT)


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_no_arguments(arguments: str) -> None:
    """They are written in several ways."""
    assert read(OPENAI, SSE, sse(delta(tool_calls=[call(arguments)]), CALLED)) == (
        None, ("", "", [("a", "f", arguments)], "tool_calls"))


def test_two_calls_with_one_id() -> None:
    """The second gets an id of its own, in the chunks as in the reply."""
    both = [call('{"q":1}'), call('{"q":2}', 1)]
    expected = (None, ("", "", [("a", "f", '{"q":1}'), ("a_1", "f", '{"q":2}')], "tool_calls"))
    chunks: list[Any] = []
    openai_fixtures.stream(delta(tool_calls=both), CALLED, chunks=chunks)

    assert [one["id"] for chunk in chunks for one in chunk.tool_calls] == ["a", "a_1"]
    assert read(OPENAI, SSE, sse(delta(tool_calls=both), CALLED)) == expected
    assert read(OPENAI, JSON, completion("tool_calls", tool_calls=both)) == expected


def test_claude_and_gemini_with_one_id_for_two_calls() -> None:
    """The same on the other wires."""
    blocks = [{"type": "tool_use", "id": "t", "name": "f", "input": {"q": number}} for number in (1, 2)]
    message = {**anthropic_fixtures.BODIES[0], "content": blocks, "stop_reason": "tool_use"}
    parts = [{"functionCall": {"id": "t", "name": "f", "args": {"q": number}}} for number in (1, 2)]
    fragment = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    expected = (None, ("", "", [("t", "f", '{"q":1}'), ("t_1", "f", '{"q":2}')], "tool_calls"))

    assert read(ANTHROPIC, JSON, message) == expected
    assert read(GEMINI, JSON, fragment) == expected


def test_a_call_that_is_not_nested() -> None:
    """Name and arguments beside the id."""
    flat = {"index": 0, "id": "a", "type": "function", "name": "f", "arguments": "{}"}

    assert read(OPENAI, SSE, sse(delta(tool_calls=[flat]), CALLED)) == (
        None, ("", "", [("a", "f", "{}")], "tool_calls"))


def test_input_and_args_as_json_text() -> None:
    """Anthropic and Google have objects there; hosts that imitate them write text."""
    block = {"type": "tool_use", "id": "t", "name": "f", "input": '{"q":1}'}
    message = {**anthropic_fixtures.BODIES[0], "content": [block], "stop_reason": "tool_use"}
    part = {"functionCall": {"id": "t", "name": "f", "args": '{"q":1}'}}
    fragment = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    expected = (None, ("", "", [("t", "f", '{"q":1}')], "tool_calls"))

    assert read(ANTHROPIC, JSON, message) == expected
    assert read(GEMINI, SSE, sse(fragment)) == expected


@pytest.mark.parametrize("arguments", ["", " ", "{", "[]", 1, [], True])
def test_arguments_that_no_client_of_google_reads(arguments: object) -> None:
    """Google's arguments are an object, JSON text of one, or absent: anything else is a broken call."""
    part = {"functionCall": {"name": "f", "args": arguments}}
    body = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}

    assert [read(GEMINI, JSON, body)[0], read(GEMINI, SSE, sse(body))[0]] == [BadReply, BadReply]


def test_an_end_with_tool_calls_and_none_of_them() -> None:
    """Where tools were offered one was lost; without any the text is an answer."""
    body = sse(delta(content="I will look."), CALLED)
    message = anthropic_fixtures.sse(
        *anthropic_fixtures.answer(*anthropic_fixtures.text_block(0, "I will look."), reason="tool_use"))
    answer = (None, ("I will look.", "", [], "tool_calls"))

    assert read(OPENAI, SSE, body, TOOLS) == (BadReply, LOST)
    assert read(OPENAI, JSON, completion("tool_calls", content="I will look."), TOOLS) == (BadReply, LOST)
    assert read(ANTHROPIC, SSE, message, TOOLS) == (BadReply, LOST)
    assert read(OPENAI, SSE, body) == answer
    assert read(OPENAI, JSON, completion("tool_calls", content="I will look.")) == answer
    assert read(ANTHROPIC, SSE, message) == answer


# ── what is no answer ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["<think>hm</think>", "\n<think>\nhm\n</think>\n\n", "<Thinking>hm</Thinking>"])
def test_thoughts_in_tags_alone(text: str) -> None:
    """A server that leaves the thoughts in the text has sent no answer with them."""
    message = {**anthropic_fixtures.BODIES[0], "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}
    fragment = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    response = {"object": "response", "id": "r", "status": "completed", "output": [item]}
    cases = [
        (OPENAI, JSON, completion(content=text)), (OPENAI, SSE, sse(delta(content=text), STOP)),
        (ANTHROPIC, JSON, message), (GEMINI, JSON, fragment), (RESPONSES, JSON, response),
    ]

    assert [read(*case)[0] for case in cases] == [BadReply] * 5


@pytest.mark.parametrize(("text", "finish", "error"), [
    ("<think>hm</think>yes", "stop", None), ("<think>hm", "length", BadReply), ("<think>", "stop", None),
    ("It is <think>", "length", None), ("a <think>b</think>", "stop", None),
])
def test_text_beside_thoughts_in_tags(text: str, finish: str, error: type[AttemptError] | None) -> None:
    """It is an answer; thoughts that the limit has cut are none."""
    assert read(OPENAI, JSON, completion(finish, content=text))[0] is error


@pytest.mark.parametrize("kind", ["reasoning", "reasoning_text", "thought", "thinking"])
def test_parts_that_are_thoughts(kind: str) -> None:
    """Their text is reasoning and no part of the answer."""
    parts = [{"type": kind, "text": "hm"}, {"type": "text", "text": "yes"}]

    assert read(OPENAI, JSON, completion(content=parts)) == (None, ("yes", "hm", [], "stop"))
    assert read(OPENAI, SSE, sse(delta(content=parts), STOP)) == (None, ("yes", "hm", [], "stop"))
    assert read(OPENAI, SSE, sse(delta(content=parts[:1]), STOP))[0] is BadReply


@pytest.mark.parametrize(("document", "error"), [
    ({"throttlingException": {"message": "slow down"}}, RateLimited), ({"exception": "x"}, BadReply),
    ({"errors": [{"message": "x", "code": "429"}]}, RateLimited), ({"err_msg": "x", "err_code": 5}, BadReply),
    ({"errorMessage": "x"}, BadReply), ({"status": "error", "info": "x"}, BadReply),
    ({"event": "error", "data": {"message": "x", "code": 503}}, ServerFailed),
    ({"internalServerException": {"message": "x"}}, ServerFailed),
    ({"error": [{"message": "x", "code": 503}]}, ServerFailed),
    ({"choices": [{"index": 0, "delta": {"error": {"message": "x", "code": 502}}}]}, ServerFailed),
    ({"choices": [{"index": 0, "message": {"error": {"message": "x", "code": 502}}}]}, ServerFailed),
    (b"[ERROR] engine died", BadReply), (b"error: upstream", BadReply),
])
@pytest.mark.parametrize("end", [[STOP, b"[DONE]"], [b"[DONE]"], []], ids=["finish", "done", "cut"])
def test_an_error_under_another_name(document: object, error: type[AttemptError], end: list[object]) -> None:
    """Half a text and then an error is none, also where the host ends the stream as if nothing had been."""
    assert read(OPENAI, SSE, sse(delta(content="half"), document, *end))[0] is error


@pytest.mark.parametrize(
    "document", [{"message": "x", "code": 500}, {"detail": "x"}, {"throttlingException": {"message": "x"}}]
)
def test_a_bare_error_amid_googles_fragments(document: object) -> None:
    """The end that follows does not take it back."""
    half, end = gemini_fixtures.TEXT[0], {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}

    assert read(GEMINI, SSE, sse(half, document, end))[0] is not None


@pytest.mark.parametrize(
    "error", [{"message": "", "code": ""}, {"message": None, "type": None}, {"code": 0, "message": "success"}]
)
def test_an_error_that_says_nothing(error: object) -> None:
    """Some hosts send one with every answer."""
    message = {**anthropic_fixtures.BODIES[0], "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}

    assert read(OPENAI, JSON, {**completion(content="Hi"), "error": error})[1] == ("Hi", "", [], "stop")
    assert read(OPENAI, SSE, sse({**delta(content="Hi"), "error": error}, STOP))[1] == ("Hi", "", [], "stop")
    assert read(ANTHROPIC, JSON, {**message, "error": error})[1] == ("Hi", "", [], "stop")


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lead", [b"\n" * 240, b" " * 65, b"\n\n\xef\xbb\xbf", b": PROCESSING\n\n" * 9, b":\r\n\r\n"])
def test_what_keeps_a_connection_alive_before_an_answer(lead: bytes) -> None:
    """Blanks, comments and the byte order mark, before a body and before events, under either content type."""
    body, events = orjson.dumps(completion(content="Hi")), sse(delta(content="Hi"), STOP)
    expected = (None, ("Hi", "", [], "stop"))

    assert [read(OPENAI, headers, lead + data) for headers in (JSON, SSE) for data in (body, events)] == [expected] * 4


@pytest.mark.parametrize("stray", [b"[]\n", b": x\n[]\n\n", b"[\n", b"{}\n", b"[1, 2\n\n"])
def test_events_after_a_line_that_begins_like_json(stray: bytes) -> None:
    """What begins like JSON but is none is read as events in the end; the last chunk hands out their words."""
    decoder = decode(OPENAI, SSE, stray + sse(delta(None, content="Hel"), delta("stop", content="lo"), b"[DONE]"))

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.final().text) == ("Hello", "Hello")


def test_chunks_in_a_list() -> None:
    """A stream that was not written as events, of each vendor; two whole answers are none."""
    chunks = [delta(content="H"), delta(content="i"), STOP]
    events = anthropic_fixtures.answer(*anthropic_fixtures.text_block(0, "H", "i"))
    expected = (None, ("Hi", "", [], "stop"))

    assert [read(OPENAI, headers, chunks) for headers in (JSON, SSE)] == [expected] * 2
    assert [read(ANTHROPIC, headers, events) for headers in (JSON, SSE)] == [expected] * 2
    assert read(OPENAI, JSON, chunks[:2])[0] is BadReply
    assert read(OPENAI, JSON, [completion(content="Hi")] * 2)[0] is BadReply


def test_half_a_character_in_each_of_two_fragments_of_a_list() -> None:
    """They are joined, as in events."""
    fragments = [
        orjson.dumps({"candidates": [{"content": {"parts": [{"text": text}]}, **end}]}).replace(b"XX", half)
        for text, half, end in (("aXX", rb"\ud83d", {}), ("XXb", rb"\ude00", {"finishReason": "STOP"}))
    ]

    assert read(GEMINI, JSON, b"[" + b",".join(fragments) + b"]") == (None, ("a😀b", "", [], "stop"))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_does_not_have(number: bytes) -> None:
    """Python writes them, among log probabilities; everybody else would throw the answer away."""
    logprobs = {"content": [{"token": "Hi", "logprob": "X"}]}
    whole, piece = completion(content="Hi"), delta(content="Hi")
    whole["choices"][0]["logprobs"] = piece["choices"][0]["logprobs"] = logprobs  # type: ignore[index]
    body, event = (orjson.dumps(document).replace(b'"X"', number) for document in (whole, piece))

    assert read(OPENAI, JSON, body) == (None, ("Hi", "", [], "stop"))
    assert read(OPENAI, SSE, sse(event, STOP)) == (None, ("Hi", "", [], "stop"))


# ── the Responses API ────────────────────────────────────────────────────────────────────────────────────────────────


def response(*output: object, **fields: object) -> dict[str, object]:
    return {"object": "response", "id": "r", "status": "completed", "output": [*output], **fields}


def message(text: str, **fields: object) -> dict[str, object]:
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": parts, **fields}


def events(*documents: dict[str, object]) -> bytes:
    return sse(*documents, {"type": "response.completed", "response": response()})


@pytest.mark.parametrize(("kind", "added", "field", "value", "expected"), [
    ("response.output_text.done", {"type": "message", "id": "i"}, "text", "Hi", ("Hi", "", [], "stop")),
    ("response.refusal.done", {"type": "message", "id": "i"}, "refusal", "No.", ("No.", "", [], "stop")),
    ("response.function_call_arguments.done", {"type": "function_call", "id": "i", "call_id": "c", "name": "f"},
     "arguments", '{"q":1}', ("", "", [("c", "f", '{"q":1}')], "tool_calls")),
])
def test_texts_that_only_their_last_event_has(
    kind: str, added: dict[str, object], field: str, value: str, expected: tuple[object, ...]
) -> None:
    """A host that sends neither deltas nor whole items says them there; after deltas it is no news."""
    item = {"type": "response.output_item.added", "output_index": 0, "item": added}
    whole = {"type": kind, "item_id": "i", "output_index": 0, field: value}
    piece = {"type": kind.replace(".done", ".delta"), "item_id": "i", "output_index": 0, "delta": value}

    assert read(RESPONSES, SSE, events(item, whole)) == (None, expected)
    assert read(RESPONSES, SSE, events(item, piece, whole)) == (None, expected)


def test_a_complete_response_whose_message_is_not() -> None:
    """It was cut at the limit (vLLM), and says so."""
    cut = response(message("Half", status="incomplete"))

    assert read(RESPONSES, JSON, cut) == (None, ("Half", "", [], "length"))


def test_a_complete_response_with_an_error() -> None:
    """What has come is not whole; an error that says nothing is none."""
    error = {"code": "server_error", "message": "x"}

    assert read(RESPONSES, JSON, response(message("Half"), error=error))[0] is ServerFailed
    assert read(RESPONSES, JSON, response(message("Hi"), error={"code": None, "message": None}))[0] is None


def test_a_last_response_without_what_has_come() -> None:
    """It holds other items: one of the two is wrong. Without any it repeats nothing."""
    delta_of_text = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "Hi"}
    other = response({"type": "reasoning", "id": "rs_1", "summary": []})

    assert read(RESPONSES, SSE, sse(delta_of_text, {"type": "response.completed", "response": other}))[0] is BadReply
    assert read(RESPONSES, SSE, events(delta_of_text)) == (None, ("Hi", "", [], "stop"))


@pytest.mark.parametrize("kind", ["computer_call", "mcp_approval_request", "local_shell_call"])
def test_an_item_that_waits_for_the_caller(kind: str) -> None:
    """It is an answer, and stands in `raw`; a search alone is none."""
    assert read(RESPONSES, JSON, response({"type": kind, "id": "i"})) == (None, ("", "", [], "stop"))
    assert read(RESPONSES, JSON, response({"type": "web_search_call", "id": "i"}))[0] is BadReply


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["choice", "delta", "message", "chunk"])
def test_counts_in_odd_places_and_under_other_names(place: str) -> None:
    """They are counted."""
    counts = {"input_tokens": 3, "output_tokens": 4}
    choice: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    chunk: dict[str, Any] = {"choices": [choice]}
    match place:
        case "choice":
            choice["usage"] = counts
        case "delta":
            choice["delta"]["usage"] = counts
        case "message":
            choice["message"] = {"content": "Hi", "usage": counts}
        case "chunk":
            chunk["usage"] = counts
    usage = openai_fixtures.stream(chunk).reply.usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (3, 4)


@pytest.mark.parametrize("end", [
    [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
     {"type": "message_stop", "usage": {"output_tokens": 4}}],
    [{"type": "message_delta", "delta": {"stop_reason": "end_turn", "usage": {"output_tokens": 4}}}],
])
def test_claudes_counts_in_odd_places(end: list[object]) -> None:
    """In the last event, or one level deeper."""
    begun = [event for event in anthropic_fixtures.answer(*anthropic_fixtures.text_block(0, "Hi"))
             if event["type"] not in {"message_delta", "message_stop"}]  # type: ignore[index]
    usage = decode(ANTHROPIC, SSE, anthropic_fixtures.sse(*begun, *end)).reply.usage

    assert usage is not None
    assert usage.output_tokens == 4
