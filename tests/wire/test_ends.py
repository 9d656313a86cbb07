"""The words with which providers end an answer: one table for all wires, and what comes of each in a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import BadReply, Notice, Refused, StreamInterrupted
from asyncrouter._config.catalog import Provider
from asyncrouter._wire.decoding.ends import is_word, meaning
from asyncrouter._wire.registry import wire_for
from tests.helpers.wires import WIRES, Said, WireName, two_models

if TYPE_CHECKING:
    from asyncrouter import AttemptError, Chunk, Event, Reply
    from asyncrouter.sim import Clock

INTERRUPTED = (
    "abort", "network_error", "insufficient_system_resource", "cancelled", "timeout", "preempted", "error", "OTHER",
    "USER_CANCEL", "time_limit", "server_overloaded", "request-aborted", "Engine Failure", "worker_killed",
    "502", "max_wall_time", "watchdog", "paused", "premature_close", "model_unloaded", "EOF", "user_stop",
    "userStopped", "modelUnloaded", "kTIMED_OUT", "turn_detected", "barge_in", "speech_started", "forced_stop",
    "manual_stop", "server_busy", "too_many_requests", "out_of_credits", "payment_required", "unauthorized",
    "upstream", "superseded", "scale_down", "RAG_QUERY_WHEN_RAG_DISABLED", "hardware_fault", "bad_request",
)
MALFORMED = (
    "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "malformed_model_output", "invalid_tool_call",
    "MISSING_THOUGHT_SIGNATURE", "malformed_tool_use", "schema_violation",
)
FILTERED = (
    "sensitive", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "SAFETY", "content_filtered",
    "guardrail_intervened", "ERROR_TOXIC", "moderation", "data_inspection_failed", "risk_control", "nsfw",
    "hate", "political", "terms_violation", "banned_content", "age_restricted", "dmca", "privacy", "pii_detected",
)
CUT = ("model_context_window_exceeded", "MAX_TOKENS", "max_output_tokens", "token_limit", "REASON_MAX_LEN",
       "max_completion_tokens", "out_of_tokens", "max_seq_len", "maximum_tokens", "maxPredictedTokensReached",
       "contextLengthReached", "output_too_long", "context", "step_limit", "turn_limit", "recursion_limit",
       "max_depth", "max_rounds", "repetition_truncation", "max_tool_calls", "tool_call_limit",
       "context_overflow", "ran_out_of_context",
       "exceeded_context_size", "max_model_len", "num_predict", "tokens_exceeded")
STOPPED = (
    "stop", "eos_token", "COMPLETE", "stop-sequence", "FINISH_REASON_STOP", "kEND_ID", "stop_by_eos", "eosFound",
    "stopStringFound", "finish_eos", "eos_id", "stop_id", "end_token", "eot_token", "natural_stop",
    "completed_naturally", "response_complete", "message_stop", "final_answer", "stop_phrase", "stop_regex",
    "compaction",
)
CALLED = ("tool_calls", "TOOL_CALL", "functionCall", "function", "awaiting_tool", "action")
UNKNOWN = ("banana", "repetition", "default", "something_new", "unknown", "videos", "meow")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (INTERRUPTED, "interrupted"), (MALFORMED, "malformed"), (FILTERED, "content_filter"), (CUT, "length"),
        (UNKNOWN, "other"), (STOPPED, "stop"), (CALLED, "tool_calls"),
    ],
)
def test_words_are_read_by_their_meaning(words: tuple[str, ...], expected: str) -> None:
    """Case, hyphens, underscores and blanks make no difference."""
    assert {word: meaning(word) for word in words} == dict.fromkeys(words, expected)


@pytest.mark.parametrize("word", [
    "", "null", "None", "FINISH_REASON_UNSPECIFIED", "not_finished", "streaming", "undefined",
])
def test_some_words_say_nothing(word: str) -> None:
    """They stand where no reason has come."""
    assert not is_word(word)


def said_by(clock: Clock, wire: WireName, said: Said, *listeners: object, streamed: bool, **params: object) -> Reply:
    """The reply of `chat()` where the first model says this."""

    async def scenario() -> Reply:
        answer = said.bytes(wire, streamed=streamed)
        async with two_models(wire, answer, *listeners, size=40) as router:  # type: ignore[arg-type]
            return await router.chat("Hi", **params)

    return clock.run(scenario())


def streamed_by(clock: Clock, wire: WireName, said: Said, **params: object) -> list[Chunk]:
    """The chunks of `stream()` where the first model says this."""

    async def scenario() -> list[Chunk]:
        router = two_models(wire, said.bytes(wire, streamed=True), size=40)
        async with router, router.stream("Hi", **params) as stream:
            return [chunk async for chunk in stream]

    return clock.run(scenario())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("word", [*INTERRUPTED[:9], *MALFORMED[:3]])
def test_half_an_answer_that_was_interrupted_is_none(clock: Clock, wire: WireName, streamed: bool, word: str) -> None:
    """The next model answers, and the attempt says which word it was."""
    reply = said_by(clock, wire, Said("half a text", end=word), streamed=streamed)
    error = reply.trace.attempts[0].error

    assert isinstance(error, BadReply)
    assert word.lower() in error.message.lower()
    assert reply.text == "good"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("word", ["abort", "network_error", "MALFORMED_RESPONSE"])
def test_a_stream_that_was_interrupted_breaks(clock: Clock, wire: WireName, word: str) -> None:
    """Its reader has had the half, and gets no other model's answer after it."""
    with pytest.raises(StreamInterrupted) as raised:
        streamed_by(clock, wire, Said("half a text", end=word))

    assert isinstance(raised.value.__cause__, BadReply)
    assert raised.value.partial == "half a text"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("word", [*FILTERED[:6], "guardrail_intervened"])
def test_a_filtered_answer_is_a_reply(clock: Clock, wire: WireName, streamed: bool, word: str) -> None:
    """With text it is a reply that says so."""
    reply = said_by(clock, wire, Said("half", end=word), streamed=streamed)

    assert (reply.text, reply.finish_reason) == ("half", "content_filter")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("thoughts", ["", "hm"])
@pytest.mark.parametrize("word", [*FILTERED[:6], "guardrail_intervened"])
def test_a_filtered_answer_without_a_word_is_refused(
    clock: Clock, wire: WireName, streamed: bool, thoughts: str, word: str
) -> None:
    """Thoughts are no answer, so nothing was said."""
    with pytest.raises(Refused):
        said_by(clock, wire, Said(thoughts=thoughts, end=word), streamed=streamed)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("word", CUT)
def test_an_answer_cut_by_its_length_is_a_reply(clock: Clock, wire: WireName, streamed: bool, word: str) -> None:
    """Whichever limit it was."""
    reply = said_by(clock, wire, Said("half", end=word), streamed=streamed)

    assert (reply.text, reply.finish_reason) == ("half", "length")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("word", UNKNOWN)
def test_a_word_that_nobody_knows_is_a_reply(clock: Clock, wire: WireName, streamed: bool, word: str) -> None:
    """It says "other", `raw` has the word, and one warning names model and word."""
    seen: list[Event] = []
    reply = said_by(clock, wire, Said("text", end=word), seen.append, streamed=streamed)
    choice = reply.raw["choices"][0]  # type: ignore[index]
    [notice] = [event for event in seen if isinstance(event, Notice)]

    assert (reply.text, reply.finish_reason) == ("text", "other")
    assert choice.get("native_finish_reason", choice["finish_reason"]).lower() == word
    assert (notice.subject, word in notice.text.lower()) == ("first", True)


@pytest.mark.parametrize("wire", WIRES)
def test_the_last_chunk_says_other(clock: Clock, wire: WireName) -> None:
    """A reader of the stream sees it as well."""
    chunks = streamed_by(clock, wire, Said("text", end="banana"))

    assert ("".join(chunk.text for chunk in chunks), chunks[-1].finish_reason) == ("text", "other")


def test_an_unknown_word_is_warned_about_once(clock: Clock) -> None:
    """For each model and word."""
    seen: list[Event] = []

    async def scenario() -> None:
        async with two_models("openai", Said("x", end="banana").bytes("openai", streamed=True), seen.append) as router:
            for _ in range(3):
                await router.chat("Hi")

    clock.run(scenario())

    assert len([event for event in seen if isinstance(event, Notice)]) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("end", ["stop", "length"])
def test_thoughts_alone_are_no_answer(clock: Clock, wire: WireName, streamed: bool, end: str) -> None:
    """The next model answers; this one is not asked again, and its error says where the tokens went."""
    word = {"anthropic": {"stop": "end_turn", "length": "max_tokens"}, "openai": {},
            "gemini": {"stop": "STOP", "length": "MAX_TOKENS"}}[wire].get(end, end)
    reply = said_by(clock, wire, Said(thoughts="let me see", end=word), streamed=streamed, max_tokens=16)
    first, second = reply.trace.attempts
    assert first.error is not None

    assert (reply.text, second.cause) == ("good", "fallback")
    assert "into reasoning" in first.error.message
    assert "max_tokens" in first.error.message
    assert (type(first.error), first.error.again) == (BadReply, "never")


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_of_thoughts_alone_breaks(clock: Clock, wire: WireName) -> None:
    """Its reader has seen the thoughts."""
    with pytest.raises(StreamInterrupted) as raised:
        streamed_by(clock, wire, Said(thoughts="let me see", end="max_tokens"))

    assert isinstance(raised.value.__cause__, BadReply)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("limit", "expected"), [(1, ""), (16, ""), (17, "good"), (None, "good")])
def test_an_empty_answer_at_the_limit(
    clock: Clock, wire: WireName, streamed: bool, limit: int | None, expected: str
) -> None:
    """It is what a warm-up asks for, and no answer to anything else."""
    params = {} if limit is None else {"max_tokens": limit}
    said = Said(end="MAX_TOKENS" if wire == "gemini" else "max_tokens")

    assert said_by(clock, wire, said, streamed=streamed, **params).text == expected


@pytest.mark.parametrize("wire", WIRES)
def test_blanks_after_thoughts_are_no_answer(clock: Clock, wire: WireName) -> None:
    """Some models end their thoughts with an empty line."""
    for streamed in (True, False):
        assert said_by(clock, wire, Said("\n\n", "let me see", "stop"), streamed=streamed).text == "good"


@pytest.mark.parametrize("wire", WIRES)
def test_every_cut_of_an_answer_is_none(clock: Clock, wire: WireName) -> None:
    """Only with its end it is a success."""
    status, kind, body = Said("text", "hm", {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}[wire]).bytes(
        wire, streamed=True
    )
    end = body.rindex(b"stop_reason" if wire == "anthropic" else b"STOP" if wire == "gemini" else b'"stop"')

    async def scenario() -> set[str]:
        texts = set()
        for cut in range(end):
            async with two_models(wire, (status, kind, body[:cut])) as router:
                texts.add((await router.chat("Hi")).text)
        return texts

    assert clock.run(scenario()) == {"good"}


def _gateway_answer(finish: str, native: str, *, streamed: bool) -> bytes:
    """Half an answer, or a whole one, with the end as a gateway writes it: its own word and the vendor's."""
    ends = {"finish_reason": finish, "native_finish_reason": native}
    if not streamed:
        return orjson.dumps({"choices": [{"message": {"role": "assistant", "content": "Half"}, **ends}]})
    parts = [{"choices": [{"delta": {"content": "Half"}}]}, {"choices": [{"delta": {}, **ends}]}]
    return b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts) + b"data: [DONE]\n\n"


def _gateway_error(finish: str, native: str, *, streamed: bool) -> AttemptError | None:
    kind = "text/event-stream" if streamed else "application/json"
    wire = wire_for(Provider(name="p", base_url="https://p.test/v1", wire="openai"), lambda: 0.0)
    decoder = wire.decoder({"content-type": kind}, {})
    decoder.feed(_gateway_answer(finish, native, streamed=streamed))
    return decoder.close()


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("native", ["MALFORMED_FUNCTION_CALL", "error", "network_error", "cancelled", "OTHER"])
def test_a_vendors_bad_end_counts_behind_a_gateways_good_one(native: str, streamed: bool) -> None:
    """A gateway that writes "stop" over the vendor's word for a broken answer does not make it whole."""
    error = _gateway_error("stop", native, streamed=streamed)

    assert isinstance(error, BadReply)
    assert native in str(error)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("finish", "native"), [("stop", "end_turn"), ("stop", "STOP"), ("stop", "completed"), ("stop", "new-word"),
                           ("length", "incomplete"), ("content_filter", "incomplete")],
)
def test_a_vendors_reason_beside_a_gateways_end_breaks_nothing(finish: str, native: str, streamed: bool) -> None:
    """A vendor's good word, an unknown one, or one that explains the gateway's cut leaves the reply a reply."""
    assert _gateway_error(finish, native, streamed=streamed) is None
