"""What is no answer on the Responses wire: cuts, errors, failures, thoughts alone, something lost on the way."""

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
from tests.helpers.decoding import JSON, SSE, decode, decode_cuts
from tests.helpers.responses_fixtures import (
    ANSWERS,
    LOOSE_WIRE,
    WIRE,
    Item,
    call,
    events,
    events_of,
    incomplete,
    message,
    reasoning,
    response,
    stream_of,
    without,
)

CREATED = {"type": "response.created", "response": response(status="in_progress", usage=None)}
HALF = events_of(ANSWERS["text"])[:7]


def end_of(*documents: Item, params: Item | None = None) -> AttemptError | None:
    """What is wrong with a stream of these events."""
    return decode(WIRE, SSE, events(*documents), params).close()

NOTHING = "empty: neither text nor tool call (finish reason 'completed')"
LOOSE_HALF = without(HALF, "output_index")
TWO = events_of(ANSWERS["two messages"])
SECOND = [event for event in TWO if event.get("output_index") == 1]
SWAPPED = [CREATED, *SECOND, *(event for event in TWO[1:] if event not in SECOND)]
"""Two messages, of which the second came first."""
MIXED = [*(event for event in TWO if event["type"] == "response.output_item.added"), *SWAPPED]
"""Two messages, announced in their order, of which the second speaks first."""


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_cut_anywhere_is_no_success(name: str) -> None:
    """At every byte: nothing but the blank line of the last event may be missing."""
    data = stream_of(ANSWERS[name])
    whole = decode(WIRE, SSE, data).reply
    successes = []
    for length, decoder in decode_cuts(WIRE, SSE, data):
        error = decoder.close()
        assert error is None or isinstance(error, BadReply)
        if error is None:
            successes.append(length)
            assert decoder.reply == whole
            assert decoder.reply.raw == whole.raw

    assert successes == list(range(len(data) - 2, len(data) + 1))


@pytest.mark.parametrize("name", ["reasoned", "call"])
def test_a_body_cut_anywhere_is_no_success(name: str) -> None:
    """Half a JSON document says nothing."""
    data = orjson.dumps(ANSWERS[name])

    assert [length for length, decoder in decode_cuts(WIRE, JSON, data) if decoder.close() is None] == [len(data)]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_without_its_last_event_is_cut(name: str) -> None:
    """Whole items are not yet a whole answer; `[DONE]`, which only Chat Completions has, does not change that."""
    told = events_of(ANSWERS[name])[:-1]

    for data in (events(*told), events(*told) + b"data: [DONE]\n\n"):
        error = decode(WIRE, SSE, data).close()
        assert (type(error), getattr(error, "message", "")) == (
            BadReply, "truncated: the last event has not come")


def test_a_mark_behind_the_last_event_is_tolerated() -> None:
    """Some hosts add `[DONE]`."""
    assert decode(WIRE, SSE, stream_of(ANSWERS["text"]) + b"data: [DONE]\n\n").close() is None


@pytest.mark.parametrize(("documents", "told"), [
    ([], "no response came"),
    ([{"type": "keepalive"}], "no response came"),
    ([CREATED], "truncated: the last event has not come"),
    ([*HALF, {"type": "response.cancelled", "response": response(status="cancelled")}],
     "no answer: the response is 'cancelled'"),
    ([CREATED, {"type": "response.completed", "response": response(message("x"), status="in_progress")}],
     "no answer: the response is 'in_progress'"),
    ([CREATED, {"type": "response.completed", "response": response(message("x"), status="queued")}],
     "no answer: the response is 'queued'"),
    ([*HALF, {"type": "response.completed", "response": response(message("Something else."))}],
     "something was lost on the way: the pieces of an item do not add up to it"),
    ([*HALF, {"type": "response.created", "response": response(id="resp_2")}, events_of(ANSWERS["text"])[-1]],
     "something was lost on the way: more than one response"),
    ([*HALF, {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": 3},
      events_of(ANSWERS["text"])[-1]], "something was lost on the way: a piece of an item"),
    ([*HALF, {"type": "response.function_call_arguments.delta", "item_id": "msg_1", "output_index": 0, "delta": "{"},
      events_of(ANSWERS["text"])[-1]], "something was lost on the way: a piece of an item"),
    ([*HALF, {"delta": "x"}, events_of(ANSWERS["text"])[-1]],
     "something was lost on the way: an event without a type"),
    ([*HALF, {"type": ["response.output_text.delta"], "delta": "x"}, events_of(ANSWERS["text"])[-1]],
     "something was lost on the way: an event without a type"),
    ([*HALF, {"type": "response.completed"}], "something was lost on the way: its response"),
    ([*HALF, {"type": "response.completed", "response": response(status=["completed"])}],
     "something was lost on the way: its status"),
    ([*HALF, {"type": "response.incomplete", "response": response(
        message("Hello there, é🙂!"), status="incomplete", incomplete_details={"reason": ["max_output_tokens"]})}],
     "something was lost on the way: its status"),
    ([*HALF, {"type": "response.completed", "response": response(output={})}],
     "something was lost on the way: its output"),
    ([*HALF, {"type": "response.completed", "response": response(call("f", "{}"))}],
     "something was lost on the way: the pieces of an item do not add up to it"),
    ([*LOOSE_HALF, {"type": "response.completed", "response": response(message("Hi", id="msg_9"))}],
     "something was lost on the way: the response does not hold the items that have come"),
    ([CREATED, {"type": "response.completed", "response": response(message(content=[{"type": "output_text"}]))}],
     "something was lost on the way: an item"),
    ([CREATED, {"type": "response.completed", "response": response(message(content="Hi"))}],
     "something was lost on the way: an item"),
    ([CREATED, {"type": "response.completed", "response": response(call("f", {"a": 1}))}],  # type: ignore[arg-type]
     "something was lost on the way: an item"),
    ([CREATED, {"type": "response.completed", "response": response({**message("Hi"), "type": None})}],
     "something was lost on the way: an item"),
    (MIXED, "something was lost on the way: its messages came out of order"),
    (SWAPPED, "something was lost on the way: the response does not hold the items that have come"),
    ([CREATED, {"type": "response.completed", "response": response("x")}],  # type: ignore[arg-type]
     "something was lost on the way: an item"),
    ([CREATED, {"type": "response.completed", "response": response(call("", "{}"))}],
     "a tool call without a tool's name"),
    ([CREATED, {"type": "response.completed", "response": response(call("f", '{"a": "b'))}],
     "a tool call whose arguments are no JSON object"),
    ([CREATED, {"type": "response.completed", "response": response(call("f", "[1]"))}],
     "a tool call whose arguments are no JSON object"),
    ([CREATED, {"type": "response.completed", "response": response(call("f", "{}"), call("g", "oops", 2))}],
     "a tool call whose arguments are no JSON object"),
    ([CREATED, {"type": "response.incomplete", "response": incomplete("content_filter", call("f", '{"a'))}],
     "a tool call whose arguments are no JSON object"),
    ([CREATED, {"type": "response.completed", "response": response()}], "empty: 8 of 20 output tokens went into "
     "reasoning, none into an answer; max_tokens may be too low"),
    ([CREATED, {"type": "response.completed", "response": response(usage=None)}], NOTHING),
    ([CREATED, {"type": "response.completed", "response": response(message(), usage=None)}], NOTHING),
    ([CREATED, {"type": "response.completed", "response": response(
        {"type": "web_search_call", "id": "ws_1", "status": "completed"}, usage=None)}], NOTHING),
    ([CREATED, {"type": "response.incomplete", "response": incomplete("server_aborted", message("Half"))}],
     "the provider did not finish the answer: finish reason 'server_aborted'"),
    ([CREATED, {"type": "response.incomplete", "response": incomplete("timeout", message("Half"))}],
     "the provider did not finish the answer: finish reason 'timeout'"),
])
def test_what_is_no_whole_answer(documents: list[Item], told: str) -> None:
    """A `BadReply` that says what is missing; the chain goes on."""
    error = end_of(*documents)

    assert (type(error), getattr(error, "message", "")) == (BadReply, told)


def test_a_response_that_still_runs_is_no_answer() -> None:
    """`background` answers with a ticket."""
    error = decode(WIRE, JSON, response(status="queued", usage=None)).close()

    assert (type(error), getattr(error, "message", "")) == (BadReply, "no answer: the response is 'queued'")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("answer", [
    response(reasoning("Hm.")), response(reasoning()), incomplete("max_output_tokens", reasoning("Hm.")),
    incomplete("max_output_tokens", reasoning(), message()), incomplete("steered", reasoning()),
])
def test_thoughts_alone_are_no_answer(answer: Item, streamed: bool) -> None:
    """The error says where the tokens went, and the same model is not asked again: it would think as long."""
    data = stream_of(answer) if streamed else orjson.dumps(answer)
    error = decode(WIRE, SSE if streamed else JSON, data, {"max_tokens": 20}).close()
    cut = answer["incomplete_details"] == {"reason": "max_output_tokens"}

    assert isinstance(error, BadReply)
    assert error.again == "never"
    assert error.message == "empty: 8 of 20 output tokens went into reasoning, none into an answer" + (
        "; the limit of tokens was reached, so max_tokens may be too low" if cut else "; max_tokens may be too low")


@pytest.mark.parametrize(("limit", "usage", "whole"), [
    ({"max_tokens": 1}, None, True), ({"max_completion_tokens": 16}, None, True),
    ({"max_output_tokens": 16}, None, True), ({"max_tokens": 17}, None, False), ({}, None, False),
])
def test_nothing_within_a_few_tokens_is_a_reply(limit: Item, usage: object, whole: bool) -> None:
    """Whoever warms a model up asks for no more."""
    error = decode(WIRE, JSON, incomplete("max_output_tokens", message(), usage=usage), limit).close()

    assert (error is None) is whole


@pytest.mark.parametrize("streamed", [True, False])
def test_a_prompt_that_is_filtered_is_refused(streamed: bool) -> None:
    """With half a text it would be a reply whose finish reason is content_filter."""
    answer = incomplete("content_filter", usage=None)
    data = stream_of(answer) if streamed else orjson.dumps(answer)
    error = decode(WIRE, SSE if streamed else JSON, data).close()

    assert (type(error), getattr(error, "code", "")) == (Refused, "content_filter")


ERRORS: list[tuple[Item, type[AttemptError]]] = [
    ({"code": "context_length_exceeded", "message": "Your input exceeds the context window of this model."},
     ContextTooLong),
    ({"code": "insufficient_quota", "message": "You exceeded your current quota."}, OutOfCredit),
    ({"code": "rate_limit_exceeded", "message": "Rate limit reached. Please try again in 1.5s."}, RateLimited),
    ({"code": "server_error", "message": "An error occurred."}, ServerFailed),
    ({"code": "invalid_prompt", "message": "Invalid prompt: it was flagged."}, Refused),
    ({"code": "bio_policy", "message": "This content was flagged."}, Refused),
    ({"code": "misalignment_policy_violation", "message": "Stopped."}, Refused),
    ({"code": "invalid_api_key", "message": "Incorrect API key provided."}, Unauthorized),
    ({"code": "invalid_image_format", "message": "Invalid image."}, Rejected),
    ({"code": "image_too_large", "message": "The image is too large."}, Rejected),
    ({"code": "vector_store_timeout", "message": "The vector store timed out."}, ServerFailed),
    ({"code": "unknown_thing", "message": "Something."}, BadReply),
    ({"message": "Something."}, BadReply),
]


@pytest.mark.parametrize(("told", "kind"), ERRORS)
@pytest.mark.parametrize("form", ["flat", "nested", "bare", "failed", "named", "body", "body failed"])
def test_errors_inside_a_200_are_classified_by_their_code(form: str, told: Item, kind: type[AttemptError]) -> None:
    """The documented flat event, the nested one that is seen, a response that failed; before or after words."""
    failed = response(status="failed", error=told, usage=None)
    documents: dict[str, list[Item]] = {
        "flat": [*HALF, {"type": "error", "param": None, "sequence_number": 3, **told}],
        "nested": [*HALF, {"type": "error", "sequence_number": 3, "error": {"type": "x", "param": None, **told}}],
        "bare": [*HALF, {"error": told}],
        "failed": [CREATED, {"type": "response.failed", "response": failed}],
    }
    if form == "named":
        data = events(*HALF) + b"event: error\ndata: %b\n\n" % orjson.dumps(told)
    elif form.startswith("body"):
        data = orjson.dumps(failed if "failed" in form else {"error": told})
    else:
        data = events(*documents[form])
    error = decode(WIRE, JSON if form.startswith("body") else SSE, data).close()

    assert type(error) is kind
    assert error.message == told["message"]
    if "code" in told:
        assert error.code == told["code"]


def test_the_wait_that_an_error_names_is_read() -> None:
    """From its words, where it has no field for it."""
    error = end_of(CREATED, {"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 1.5s."})

    assert (type(error), getattr(error, "retry_after", None)) == (RateLimited, 1.5)


def test_nothing_is_read_after_an_error() -> None:
    """A response that failed repeats it."""
    failed = response(status="failed", error={"code": "server_error", "message": "x"})
    decoder = decode(WIRE, SSE, events(
        *HALF, {"type": "error", "code": "rate_limit_exceeded", "message": "slow down"},
        {"type": "response.failed", "response": failed}))

    assert (decoder.done, type(decoder.close())) == (True, RateLimited)


def test_a_response_that_failed_without_a_word() -> None:
    """Some hosts give no reason."""
    error = end_of(CREATED, {"type": "response.failed", "response": response(status="failed")})

    assert (type(error), getattr(error, "message", "")) == (BadReply, "the response failed")


@pytest.mark.parametrize(("status", "document", "kind", "told"), [
    (400, {"error": {"message": "No tool output found for function call call_1.", "type": "invalid_request_error",
                     "param": "input", "code": None}}, Rejected, "No tool output found for function call call_1."),
    (401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "param": None,
                     "code": "invalid_api_key"}}, Unauthorized, "Incorrect API key provided"),
    (429, {"error": {"message": "Rate limit reached", "type": "requests", "param": None,
                     "code": "rate_limit_exceeded"}}, RateLimited, "Rate limit reached"),
    (400, {"code": "Client specified an invalid argument", "error": "Model not found: grok-9"}, Rejected,
     "Model not found: grok-9"),  # xAI
    (404, {"error": {"message": "Item with id 'rs_1' not found.", "type": "invalid_request_error", "param": "input",
                     "code": None}}, Rejected, "Item with id 'rs_1' not found."),
    (400, {"error": {"code": 400, "message": "too many"}, "metadata": None, "error_type": "x"}, Rejected, "too many"),
])
def test_failed_responses_are_classified(status: int, document: Item, kind: type[AttemptError], told: str) -> None:
    """As on the Chat Completions wire."""
    error = WIRE.failure(status, {}, orjson.dumps(document))

    assert (type(error), error.message, error.status) == (kind, told, status)


@pytest.mark.parametrize(("limit", "spent", "finish"), [
    (None, 6, "stop"), (20, 19, "stop"), (20, 20, "length"), (20, 21, "length"), (6, 6, "length"), (6, 10, "stop"),
    (6, 16, "length"),
])
def test_an_answer_that_was_cut_although_completed(limit: int | None, spent: int, finish: str) -> None:
    """llama.cpp's status is always completed: tokens at the limit say that it was cut."""
    answer = response(message("Half a"), usage={"input_tokens": 3, "output_tokens": spent})
    params: Item = {} if limit is None else {"max_tokens": limit}
    replies = [decode(wire, JSON, answer, params).reply.finish_reason for wire in (LOOSE_WIRE, WIRE)]

    assert replies == [finish, "stop"]  # OpenAI says itself when it was


def test_a_call_that_was_cut_although_completed() -> None:
    """Its arguments may break off then; at a host that says so itself they may not."""
    answer = response(call("f", "{"), usage={"input_tokens": 3, "output_tokens": 16})

    assert decode(LOOSE_WIRE, JSON, answer, {"max_tokens": 16}).close() is None
    assert decode(LOOSE_WIRE, JSON, answer, {"max_tokens": 99}).close() is not None
    assert decode(WIRE, JSON, answer, {"max_tokens": 16}).close() is not None


@pytest.mark.parametrize("document", [
    [], {}, {"object": "response.input_tokens", "input_tokens": 12}, {"choices": []}, [response(message("a"))] * 2,
    {"output": [3]}, "x", 3, None, {"message": "no"},
])
def test_a_document_that_is_no_response(document: object) -> None:
    """Whatever it is, it is a `BadReply` and raises nothing."""
    assert isinstance(decode(WIRE, JSON, orjson.dumps(document)).close(), BadReply)


WEIRD: list[object] = [
    None, 0, "", "x", [], {}, [[]], {"a": 1}, True, 1.5, [None], [{"type": 3}], [{"type": "message"}],
]


@pytest.mark.parametrize("value", WEIRD)
@pytest.mark.parametrize("name", ["reasoned", "two calls", "refused"])
def test_no_value_in_any_field_raises(name: str, value: object) -> None:
    """Every field of every event, replaced: a reply or an `AttemptError`, never another exception."""
    told = events_of(ANSWERS[name])
    for position, event in enumerate(told):
        for path in _paths(event):
            changed = [*told[:position], _replaced(event, path, value), *told[position + 1 :]]
            decoder = decode(WIRE, SSE, events(*[e if isinstance(e.get("type"), str) else {**e, "type": "x"}
                                                 for e in changed]), chunks=[])
            assert isinstance(decoder.close(), AttemptError | None)
            decoder.final()
            orjson.dumps(decoder.reply.raw)


def _paths(value: object) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in ((key,), *((key, *rest) for rest in _paths(item)))]


def _replaced(value: object, path: tuple[object, ...], by: object) -> Item:
    if not path:
        return by  # type: ignore[return-value]
    copied = dict(value) if isinstance(value, dict) else list(value)  # type: ignore[call-overload]
    copied[path[0]] = _replaced(copied[path[0]], path[1:], by)
    return copied  # type: ignore[no-any-return]
