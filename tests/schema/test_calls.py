"""Calls with a `response_format`, over every wire: a right value, or the next model, whatever went wrong before."""

from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import (
    AllModelsFailed,
    CallError,
    NotAccepted,
    Reply,
    Router,
    Step,
    StreamInterrupted,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import tried
from tests.helpers.shapes import BAD, ENVELOPE, GOOD, INVOICE, MISFITS, Invoice, Line, Point, Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping

WIRES = ("openai", "responses", "anthropic", "gemini")
VALUE = Invoice(number="A-1", lines=[Line(amount=3)])
AS_JSON = {"number": "A-1", "lines": [{"amount": 3}]}
PRICES: dict[str, object] = {
    name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": 1.0, "output": 2.0}} for name in ("a", "b")
}


def routed(
    clock: Clock, world: World, how: str = "chat", *, chain: list[str | Step],
    config: Mapping[str, object] | None = None, **options: Any,
) -> Reply:
    async def main() -> Reply:
        async with Router(world.config(**(config or {})), transport=world.transport()) as router:
            if how == "chat":
                return await router.chat("x", chain=chain, **options)
            async with router.stream("x", chain=chain, **options) as stream:
                async for _ in stream:
                    pass
            return stream.reply

    return clock.run(main())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["chat", "stream"])
@pytest.mark.parametrize(("shape", "text", "expected"), [
    (Invoice, GOOD, VALUE), (INVOICE, GOOD, AS_JSON), (ENVELOPE, GOOD, AS_JSON), (Point, '{"x": 1}', Point(1)),
    (Shelf, '{"owner": "me"}', {"owner": "me"}),
], ids=["model", "schema", "openai", "dataclass", "typed dict"])
def test_an_answer_that_fits(
    clock: Clock, world: World, how: str, wire: str, shape: object, text: str, expected: object
) -> None:
    """`reply.parsed` is the value; text and trace are as ever."""
    world.model("m", Act(text=text))
    reply = routed(clock, world, how, chain=[f"sim-{wire}:m"], response_format=shape)

    assert reply.parsed == expected
    assert reply.text == text
    assert [one.outcome for one in tried(reply.trace)] == ["won"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("shape", [Invoice, INVOICE, ENVELOPE], ids=["model", "schema", "openai"])
@pytest.mark.parametrize("text", [text for text, _ in MISFITS.values()], ids=MISFITS)
def test_an_answer_that_does_not_fit(clock: Clock, world: World, wire: str, shape: object, text: str) -> None:
    """It is not accepted, and the next model is asked."""
    world.model("a", Act(text=text))
    world.model("b", Act(text=GOOD))
    reply = routed(clock, world, chain=[f"sim-{wire}:a", f"sim-{wire}:b"], response_format=shape)

    assert reply.parsed == (VALUE if shape is Invoice else AS_JSON)
    assert [(one.cause, one.outcome) for one in tried(reply.trace)] == [("first", "not_accepted"), ("escalate", "won")]


FAILURES: dict[str, Act] = {
    "status": Act(status=500), "rejected": Act(status=400), "limit": Act(why="rate_limit", retry_after=60),
    "key": Act(why="key"), "context": Act(why="context"), "refused connection": Act(fault="refuse"),
    "cut": Act(text=GOOD, fault="cut", at=2), "reset": Act(text=GOOD, fault="reset", at=2),
    "truncated": Act(text=GOOD, fault="truncated", at=2), "no finish": Act(text=GOOD, fault="no_end"),
    "interrupted": Act(text=GOOD, fault="interrupted"), "error": Act(text=GOOD, fault="error", at=2),
    "html": Act(fault="html"), "empty": Act(text=""), "thoughts": Act(fault="thoughts_only"),
    "silent": Act(fault="hang"), "stalled": Act(text=GOOD, fault="hang", at=2), "malformed": Act(fault="malformed"),
    "out of tokens": Act(text=GOOD[:-9], finish_reason="length"), "refusal": Act(refusal="I will not say."),
    "filtered": Act(text=GOOD[:-9], finish_reason="content_filter"),
}
"""Everything that may happen to an answer beside its not fitting."""


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("act", FAILURES.values(), ids=FAILURES)
def test_whatever_happens_to_an_answer(clock: Clock, world: World, wire: str, act: Act) -> None:
    """Half an answer is never a value: the next model is asked."""
    world.model("a", act)
    world.model("b", Act(text=GOOD))
    chain: list[str | Step] = [Step(f"sim-{wire}:a", first_token=5, idle=5), "b"]
    reply = routed(clock, world, chain=chain, response_format=Invoice, retry=1)

    assert reply.parsed == VALUE
    assert tried(reply.trace)[0].outcome in {"failed", "not_accepted"}
    assert tried(reply.trace)[-1].outcome == "won"


def test_an_answer_cut_at_its_limit_says_so(clock: Clock, world: World) -> None:
    """The cure is a higher `max_tokens`."""
    world.model("a", Act(text=GOOD[:-9], finish_reason="length"))

    with pytest.raises(AllModelsFailed) as caught:
        routed(clock, world, chain=["a"], response_format=Invoice)
    error = caught.value.last
    assert isinstance(error, NotAccepted)
    assert error.message.endswith("; it ends at its limit of tokens")
    assert error.reply is not None
    assert error.reply.text == GOOD[:-9]


def test_when_no_answer_fits(clock: Clock, world: World) -> None:
    """The error has every reason, with its place and its answer; what the answers cost counts."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text="no"))

    with pytest.raises(AllModelsFailed) as caught:
        routed(clock, world, chain=["a", "b"], response_format=Invoice, config={"models": PRICES})
    errors = [error for error in caught.value.errors if isinstance(error, NotAccepted)]
    assert [error.path for error in errors] == ["lines[0].amount", ""]
    assert [error.reply and error.reply.text for error in errors] == [BAD, "no"]
    assert caught.value.http_status == 502
    assert [attempt.cost_usd for attempt in caught.value.trace.attempts] == [1.1e-5, 3e-6]


def test_accept_sees_the_value(clock: Clock, world: World) -> None:
    """It is asked about answers that fit, and no others; what it says no to is no answer either."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text=GOOD))
    world.model("c", Act(text=GOOD.replace("A-1", "A-2")))
    seen: list[object] = []

    def accept(reply: Reply) -> bool:
        seen.append(reply.parsed)
        return bool(reply.parsed.number == "A-2")

    reply = routed(clock, world, chain=["a", "b", "c"], response_format=Invoice, accept=accept)

    assert seen == [VALUE, Invoice(number="A-2", lines=[Line(amount=3)])]
    assert [one.outcome for one in tried(reply.trace)] == ["not_accepted", "not_accepted", "won"]


def test_a_step_of_tool_calls_is_no_value_yet(clock: Clock, world: World) -> None:
    """A tool loop with a shape goes on: the calls pass, the last answer is checked."""
    world.model("a", Act(text="", tool_calls=[{"name": "f", "arguments": "{}"}]), Act(text=BAD))
    world.model("b", Act(text=GOOD))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]

    first = routed(clock, world, chain=["a", "b"], response_format=Invoice, tools=tools)
    second = routed(clock, world, chain=["a", "b"], response_format=Invoice, tools=tools)

    assert (first.parsed, len(first.tool_calls)) == (None, 1)
    assert (second.parsed, second.model) == (VALUE, "b")


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_is_checked_at_its_end(clock: Clock, world: World, wire: str) -> None:
    """Its chunks were the caller's before: it breaks with the reason, and `stream.reply` is none."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text=GOOD))

    with pytest.raises(StreamInterrupted) as caught:
        routed(clock, world, "stream", chain=[f"sim-{wire}:a", f"sim-{wire}:b"], response_format=Invoice)
    assert caught.value.partial == BAD
    assert isinstance(caught.value.__cause__, NotAccepted)
    assert caught.value.__cause__.path == "lines[0].amount"
    assert [one.outcome for one in tried(caught.value.trace)] == ["not_accepted"]


def test_a_stream_that_may_restart(clock: Clock, world: World) -> None:
    """The next model begins the answer again."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text=GOOD))
    reply = routed(clock, world, "stream", chain=["a", "b"], response_format=Invoice, on_interrupt="restart")

    assert (reply.parsed, reply.model) == (VALUE, "b")
    assert [one.cause for one in tried(reply.trace)] == ["first", "restart"]


def test_a_stream_whose_caller_stops_early(clock: Clock, world: World) -> None:
    """Nothing is checked, and nothing raised."""
    world.model("a", Act(text=BAD))

    async def main() -> int:
        async with Router(world.config(), transport=world.transport()) as router:
            async with router.stream("x", model="a", response_format=Invoice) as stream:
                async for _ in stream:
                    break
            return world.open

    assert clock.run(main()) == 0


@pytest.mark.parametrize("first", [BAD, GOOD])
def test_a_hedge(clock: Clock, world: World, first: str) -> None:
    """The answer that comes first is checked; if it does not fit, the other model, which still runs, may win."""
    world.model("a", Act(first_token=5.0, text=GOOD))
    world.model("b", Act(first_token=0.1, text=first))
    reply = routed(clock, world, chain=["a", "b"], response_format=Invoice, hedge=1.0)

    assert reply.parsed == VALUE
    expected = [("a", "superseded"), ("b", "won")] if first == GOOD else [("a", "won"), ("b", "not_accepted")]
    assert [(one.model, one.outcome) for one in tried(reply.trace)] == expected
    assert clock.now == (pytest.approx(1.1) if first == GOOD else pytest.approx(5.0))


def test_one_json_body(clock: Clock, world: World) -> None:
    """It makes no difference whether the answer is streamed on the wire."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text=GOOD))
    reply = routed(clock, world, chain=["a", "b"], response_format=Invoice,
                   config={"defaults": {"wire_stream": False}})

    assert reply.parsed == VALUE


def test_a_miss_is_held_against_nobody(clock: Clock, world: World) -> None:
    """Ten misses in a row open no breaker and hold nothing."""
    world.model("a", Act(text=BAD))
    world.model("b", Act(text=GOOD))

    async def main() -> list[str | None]:
        async with Router(world.config(), transport=world.transport()) as router:
            replies = [await router.chat("x", chain=["a", "b"], response_format=Invoice) for _ in range(10)]
            return [one.outcome for reply in replies for one in reply.trace.attempts]

    assert clock.run(main()) == ["not_accepted", "won"] * 10


@pytest.mark.parametrize("given", [{"type": "json_object"}, {"type": "text"}, None])
def test_formats_that_say_nothing_to_check(clock: Clock, world: World, given: object) -> None:
    """They pass as they are."""
    world.model("m", Act(text="no JSON"))
    reply = routed(clock, world, chain=["m"], response_format=given)

    assert (reply.text, reply.parsed) == ("no JSON", None)
    assert world.seen[-1].body.get("response_format") == given


@pytest.mark.parametrize("where", ["params", "step", "task"])
def test_what_stands_among_the_parameters_is_the_providers(clock: Clock, world: World, where: str) -> None:
    """It is sent as it is, and not checked."""
    world.model("m", Act(text="no JSON"))
    given = {"response_format": ENVELOPE}
    if where == "params":
        reply = routed(clock, world, chain=["m"], params=given)
    elif where == "step":
        reply = routed(clock, world, chain=[Step("m", params=given)])
    else:
        reply = routed(clock, world, chain=["m"], task="t", config={"tasks": {"t": {"models": ["m"], "params": given}}})

    assert reply.parsed is None
    assert world.seen[-1].body["response_format"] == ENVELOPE


@pytest.mark.parametrize("shape", [
    {"type": ["object", "null"], "required": ["number"]}, MappingProxyType(INVOICE), MappingProxyType(ENVELOPE), {},
    {"json_schema": {"schema": INVOICE}, "type": "json_schema"},
])
@pytest.mark.parametrize("wire", WIRES)
def test_odd_forms_of_a_schema(clock: Clock, world: World, wire: str, shape: object) -> None:
    """A list of types, a mapping that is no dict, a schema that says nothing, an envelope without a name."""
    world.model("m", Act(text=GOOD))

    assert routed(clock, world, chain=[f"sim-{wire}:m"], response_format=shape).parsed == AS_JSON


def test_options_of_a_view(clock: Clock, world: World) -> None:
    """`with_options(response_format=…)` holds for every call of the view, and a call may ask for another."""
    world.model("m", Act(text='{"x": 1}'))

    async def main() -> list[object]:
        async with Router(world.config(), transport=world.transport()) as router:
            view = router.with_options(model="m", response_format=Point)
            replies = [await view.chat("x"), await view.chat("x", response_format={"required": ["x"]})]
            return [reply.parsed for reply in replies]

    assert clock.run(main()) == [Point(1), {"x": 1}]


def test_a_validator_that_breaks_ends_the_call(clock: Clock, world: World) -> None:
    """Its exception is the caller's own and goes to the caller; nothing is left open."""
    from tests.schema.test_texts import Limited

    world.model("m", Act(text='{"name": "z"}'))

    with pytest.raises(KeyError):
        routed(clock, world, chain=["m", "m"], response_format=Limited)
    with pytest.raises(KeyError):
        routed(clock, world, "stream", chain=["m", "m"], response_format=Limited)
    assert (world.requests, world.open) == (2, 0)


def test_a_reply_with_a_value_can_be_pickled(clock: Clock, world: World) -> None:
    """Where its class can."""
    world.model("m", Act(text='{"x": 1}'))
    reply = routed(clock, world, chain=["m"], response_format=Point)

    assert pickle.loads(pickle.dumps(reply)).parsed == Point(1)


def test_an_error_can_be_pickled(clock: Clock, world: World) -> None:
    """With its place and its answer."""
    world.model("m", Act(text=BAD))

    with pytest.raises(AllModelsFailed) as caught:
        routed(clock, world, chain=["m"], response_format=Invoice)
    error = pickle.loads(pickle.dumps(caught.value)).last
    assert (error.path, error.reply.text) == ("lines[0].amount", BAD)


def test_an_error_shows_control_characters_of_the_answer(clock: Clock, world: World) -> None:
    """What a model writes may be hostile to a terminal."""
    world.model("m", Act(text=GOOD.replace("3", '"\\u001b]0;x\\u0007\\u202e"')))

    with pytest.raises(CallError) as caught:
        routed(clock, world, chain=["m"], response_format=INVOICE)
    assert not {"\x1b", "\x07", "\u202e"} & set(str(caught.value))


def test_a_cheap_model_first(clock: Clock, world: World) -> None:
    """It misses three of ten, a dear one stands after it: every call succeeds, at two fifths of the dear one's cost."""
    usage = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
    texts = ([GOOD] * 7 + [text for text, _ in MISFITS.values()][:3]) * 2
    world.model("cheap", *(Act(text=text, usage=usage) for text in texts))
    world.model("dear", Act(text=GOOD, usage=usage))
    prices = {
        name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": price, "output": price}}
        for name, price in (("cheap", 1.0), ("dear", 10.0))
    }

    async def main(chain: list[str]) -> tuple[int, float]:
        async with Router(world.config(models=prices), transport=world.transport()) as router:
            replies = [await router.chat("x", chain=chain, response_format=Invoice) for _ in texts]
            return sum(reply.parsed == VALUE for reply in replies), sum(reply.trace.cost_usd or 0 for reply in replies)

    assert clock.run(main(["dear"])) == (20, pytest.approx(0.04))
    assert clock.run(main(["cheap", "dear"])) == (20, pytest.approx(0.004 + 0.3 * 0.04))
