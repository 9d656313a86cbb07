"""Shapes that people have met in the field, through a router: which model answers, with what, and why the first failed.

Each case runs on every wire that can write it: a reply read from a stream, a reply read from one body, and a stream.
The chain is the odd model and a healthy one of another provider, which says "hi".
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Literal

import pytest

from asyncrouter import (
    AttemptError,
    BadReply,
    ConnectionFailed,
    OutOfCredit,
    RateLimited,
    Refused,
    Reply,
    Retry,
    Router,
    StreamInterrupted,
    Unauthorized,
)
from asyncrouter.sim import WIRES, Act, Clock, World
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from asyncrouter import Attempt

MODES = ("chat", "buffered", "stream")
TOOLS = [{"name": name, "arguments": {"at": at}} for name, at in (("look", "sky"), ("see", "sea"))]
CALLS = [("look", '{"at":"sky"}'), ("see", '{"at":"sea"}')]
Got = tuple[object, ...]
GOOD = "sim-openai:good"
HEALTHY: Got = (GOOD, "hi", [], "stop")
"""What a caller gets of the healthy model: its name, the text, the calls and the finish reason."""
TEXT = "Zwö 😀 eyes."
WORDS_OF_AN_INTERRUPTION = (
    "abort", "network_error", "insufficient_system_resource", "cancelled", "timeout", "preempted",
    "OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "Upstream-Error", "engine shutdown: resource exhausted",
)


async def _asked(router: Router, mode: str) -> Reply:
    """The reply in this mode; in a stream, after all its chunks."""
    if mode != "stream":
        return await router.chat(PROMPT, chain=["odd", GOOD], retry=Retry(attempts=1))
    async with router.stream(PROMPT, chain=["odd", GOOD], retry=Retry(attempts=1)) as stream:
        text = "".join([chunk.text async for chunk in stream])
    assert text == stream.reply.text
    return stream.reply


def outcome(world: World, clock: Clock, act: Act, wire: str, mode: str) -> tuple[Got, type[AttemptError] | None]:
    """What a caller gets when the first model does this, and the class of the first attempt's error.

    A failed call is told by its class and, in a stream, by the text that has come.
    """
    world.model("odd", act)
    world.model("good", Act(text="hi"))

    async def scenario() -> tuple[Got, Attempt]:
        config = world.config(wire=wire, defaults={"wire_stream": mode == "chat", "total": 20.0})  # type: ignore[arg-type]
        async with Router(config, transport=world.transport(), wall=clock.wall) as router:
            try:
                reply = await _asked(router, mode)
            except (Refused, StreamInterrupted) as error:
                trace = error.trace or pytest.fail("an error without a trace")
                return (type(error), getattr(error, "partial", "")), trace.attempts[0]
        calls = [(call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls]
        assert len({call["id"] for call in reply.tool_calls if call["id"]}) == len(calls)
        return (reply.model, reply.text, calls, reply.finish_reason), reply.trace.attempts[0]

    got, first = clock.run(scenario())
    return got, None if first.error is None else type(first.error)


# ── what is no answer ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("at", [0, 1, "end"])
def test_an_interruption_goes_to_the_next_model(
    world: World, clock: Clock, wire: str, mode: str, at: int | Literal["end"]
) -> None:
    """A finish reason that says the answer broke off is a `BadReply`, before, among and after its words."""
    act = Act(text="one two", fault="interrupted", at=at)

    assert outcome(world, clock, act, wire, mode) == (HEALTHY, BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(("openai", "anthropic", "gemini"), MODES)])
def test_each_word_of_an_interruption(world: World, clock: Clock, wire: str, mode: str) -> None:
    """Words of an interruption are read by their meaning, on whichever wire they come."""
    for word in WORDS_OF_AN_INTERRUPTION:
        got = outcome(world, clock, Act(text="one two", finish_reason=word), wire, mode)
        assert (word, *got) == (word, HEALTHY, BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize(
    "act",
    [
        Act(tool_calls=TOOLS, fault="interrupted", at=2), Act(tool_calls=TOOLS, fault="interrupted", at="end"),
        Act(text="", pictures=1, fault="interrupted", at="end"),
        Act(text="one two", fault="interrupted", at="end", sse=("one_body",)),
        Act(tool_calls=TOOLS, fault="thoughts_only"), Act(text="one", fault="thoughts_only", sse=("one_body",)),
        Act(tool_calls=TOOLS, fault="bad_arguments", sse=("calls_at_zero", "no_ids")),
        Act(tool_calls=TOOLS, fault="bad_arguments", sse=("whole_message", "repeated_names")),
    ],
    ids=["in calls", "after calls", "picture", "one body", "no calls", "thoughts", "at zero", "twice"],
)
def test_no_answer_in_other_shapes(world: World, clock: Clock, act: Act, wire: str, mode: str) -> None:
    """Whole calls, pictures and unusual forms make no answer of what is none."""
    assert outcome(world, clock, act, wire, mode) == (HEALTHY, BadReply)


@pytest.mark.parametrize("wire", WIRES)
def test_an_interruption_after_text_was_handed_out(world: World, clock: Clock, wire: str) -> None:
    """A stream whose caller has text already cannot go to another model: it fails, and names that text."""
    act = Act(text="one two", gap=1.0, tail=1.0, fault="interrupted", at="end")

    assert outcome(world, clock, act, wire, "stream") == ((StreamInterrupted, "one two"), BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("tools", [(), TOOLS], ids=["words", "calls"])
@pytest.mark.parametrize("at", [0, 1])
def test_content_after_an_end_and_then_a_cut(
    world: World, clock: Clock, wire: str, mode: str, at: int, tools: list[dict[str, object]]
) -> None:
    """Content after a finish reason takes the end back, so the cut that follows is a failed connection."""
    act = Act(text=None if tools else "one two", tool_calls=tools, fault="early_end", at=at)
    expected = (StreamInterrupted, "" if tools else "one two") if mode == "stream" else HEALTHY

    assert outcome(world, clock, act, wire, mode) == (expected, ConnectionFailed)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("finish", [None, "length"])
def test_thoughts_alone_are_no_answer(world: World, clock: Clock, wire: str, mode: str, finish: str | None) -> None:
    """An answer of thoughts alone is a `BadReply`, with a good end and with the limit of tokens reached.

    Google's streams have no event for their end: there the thoughts are handed out before it is known.
    """
    act = Act(text="one two", fault="thoughts_only", finish_reason=finish)
    expected = (StreamInterrupted, "") if (wire, mode) == ("gemini", "stream") else HEALTHY

    assert outcome(world, clock, act, wire, mode) == (expected, BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("tools", [(), TOOLS[:1], TOOLS], ids=["added", "one", "two"])
def test_arguments_that_are_no_json(
    world: World, clock: Clock, wire: str, mode: str, tools: list[dict[str, object]]
) -> None:
    """A call whose arguments are no JSON is a `BadReply`."""
    act = Act(text="one two", fault="bad_arguments", tool_calls=tools)

    assert outcome(world, clock, act, wire, mode) == (HEALTHY, BadReply)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wire", WIRES)
def test_only_the_last_call_may_be_cut_by_the_limit(world: World, clock: Clock, wire: str, mode: str) -> None:
    """At the limit of tokens an earlier call whose arguments are no JSON is a `BadReply` still."""
    act = Act(fault="bad_arguments", tool_calls=TOOLS, finish_reason="length")

    assert outcome(world, clock, act, wire, mode) == (HEALTHY, BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_an_empty_answer(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A good end without anything before it is a `BadReply`."""
    assert outcome(world, clock, Act(text=""), wire, mode) == (HEALTHY, BadReply)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_a_filter(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A filter that let some text through is an end of its own; one that let nothing through refuses the request."""
    for word in ("sensitive", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "SAFETY"):
        some = outcome(world, clock, Act(text="one two", finish_reason=word), wire, mode)
        nothing = outcome(world, clock, Act(text="", finish_reason=word), wire, mode)
        expected: Got = (("odd", "one two", [], "content_filter"), None), ((Refused, ""), Refused)
        assert (word, some, nothing) == (word, *expected)


@pytest.mark.parametrize("style", ["minimax", "zhipu"])
@pytest.mark.parametrize(("sse", "mode"), [*product(((), ("as_text",), ("as_json",)), MODES)])
@pytest.mark.parametrize(
    ("why", "error"), [("credit", OutOfCredit), ("rate_limit", RateLimited), ("key", Unauthorized)]
)
def test_a_number_inside_a_success(
    world: World, clock: Clock, style: str, sse: tuple[str, ...], mode: str, why: str, error: type[AttemptError]
) -> None:
    """A number inside a 200 is the error that it means at its host, under any content type."""
    act = Act(style=style, why=why, fault="error", sse=sse)  # type: ignore[arg-type]

    assert outcome(world, clock, act, "openai", mode) == (HEALTHY, error)


# ── what is an answer ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize(
    ("word", "finish"), [("model_context_window_exceeded", "length"), ("sunset", "other"), ("end_of_day", "other")]
)
def test_other_ends(world: World, clock: Clock, wire: str, mode: str, word: str, finish: str) -> None:
    """A full context window is the limit of tokens, and a word that nobody knows is an end."""
    act = Act(text="one two", finish_reason=word)

    assert outcome(world, clock, act, wire, mode) == (("odd", "one two", [], finish), None)


@pytest.mark.parametrize(("wire", "mode"), [*product(("openai", "responses", "gemini"), MODES)])
@pytest.mark.parametrize(("text", "pictures"), [("", 1), ("", 3), ("see", 2)])
def test_pictures(world: World, clock: Clock, wire: str, mode: str, text: str, pictures: int) -> None:
    """Pictures are an answer, with text and without."""
    act = Act(text=text, pictures=pictures)

    assert outcome(world, clock, act, wire, mode) == (("odd", text, [], "stop"), None)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("tools", [(), TOOLS], ids=["text", "calls"])
@pytest.mark.parametrize("label", ["as_text", "as_json", "one_body"])
def test_a_lying_content_type(
    world: World, clock: Clock, wire: str, mode: str, tools: list[dict[str, object]], label: str
) -> None:
    """Events under another type, and one body under the type of events, are read as what they are."""
    act = Act(text=TEXT, tool_calls=tools, sse=(label,))  # type: ignore[arg-type]
    expected: Got = ("odd", TEXT, CALLS, "tool_calls") if tools else ("odd", TEXT, [], "stop")

    assert outcome(world, clock, act, wire, mode) == (expected, None)
    cut = replace(act, sse=(label, "cuts"))  # type: ignore[arg-type]
    assert outcome(world, clock, cut, wire, mode) == (expected, None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "shapes",
    [
        ("whole_message",), ("usage_in_choice",), ("blank_envelope",), ("calls_at_zero",), ("repeated_names",),
        ("empty_ids",), ("no_ids",), ("placeholder_call",), ("surrogates",), ("calls_at_zero", "empty_ids"),
        ("calls_at_zero", "no_ids"), ("repeated_names", "empty_ids"), ("repeated_names", "no_ids", "whole_message"),
        ("placeholder_call", "no_ids", "blank_envelope"), ("surrogates", "whole_message", "usage_in_choice"),
        ("no_ids", "whole_message", "placeholder_call"),
    ],
    ids="+".join,
)
def test_shapes_of_chat_completions(world: World, clock: Clock, mode: str, shapes: tuple[str, ...]) -> None:
    """Text and calls are what they would be without these shapes, however the bytes are cut."""
    act = Act(reasoning="hm so", text=TEXT, tool_calls=TOOLS)
    for sse in (shapes, (*shapes, "cuts"), (*shapes, "as_json")):
        got = outcome(world, clock, replace(act, sse=sse), "openai", mode)  # type: ignore[arg-type]
        assert got == (("odd", TEXT, CALLS, "tool_calls"), None)
