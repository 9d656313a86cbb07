"""The pace of an answer whose contents change in size: what counts is how fast its characters come."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router
from asyncrouter.sim import Act
from tests.helpers.racing import check_nothing_is_left, timeline

if TYPE_CHECKING:
    from asyncrouter import Reply, Trace
    from asyncrouter.sim import Clock, World

GAP = 1 / 32
WIRES = ("openai", "anthropic", "gemini", "responses")


def answer(contents: int, characters: int, gap: float) -> Act:
    """An answer of so many contents, with so many characters in each, that begins after half a second."""
    return Act(text=" ".join(["x" * (characters - 1)] * contents), first_token=0.5, gap=gap)


SMALL = answer(65, 5, GAP)
"""A healthy answer of 2.5 s: 160 characters a second."""
LARGE = answer(65, 40, GAP)
"""One whose contents are eight times as large: 1,280 characters a second."""
RARER = answer(9, 40, 8 * GAP)
"""Contents eight times as large and as rare as in `SMALL`: as quick as ever."""
SMALLER = answer(520, 5, GAP)
"""As many contents a second as in `LARGE`, and an eighth of its size: it takes 16.7 s instead of 2.5 s."""
THOUGHTS = Act(reasoning=" ".join(["x" * 4] * 520), text="done", first_token=0.5, gap=GAP)
"""The same, but all of it is reasoning."""


def learned(
    clock: Clock, world: World, usual: Act, *acts: Act, wire: str = "openai", hedge: object = None, calls: int = 120,
) -> list[Reply]:
    """The replies of a router that knows so many usual answers of two models, while the first one gives these acts."""
    async def scenario() -> list[Reply]:
        async with Router(world.config(wire=wire), transport=world.transport(), seed=1) as router:  # type: ignore[arg-type]
            for name in "ab":
                world.model(name, usual)
                for _ in range(calls):
                    await router.chat("x", model=name)
            replies = []
            for act in acts:
                world.model("a", act)
                replies.append(await router.chat("x", chain=["a", "b"], hedge=hedge))  # type: ignore[arg-type]
                await asyncio.sleep(0)
                check_nothing_is_left(world, router)
            return replies

    return clock.run(scenario())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("hedge", [None, "p95", "auto"], ids=str)
def test_larger_and_rarer_contents_are_not_late(clock: Clock, world: World, wire: str, hedge: object) -> None:
    """Contents that are eight times as rare and as large are neither raced nor evidence against their model."""
    replies = learned(clock, world, SMALL, *[RARER] * 20, wire=wire, hedge=hedge)

    every = [timeline(reply.trace) for reply in replies]
    assert every == [[("a", "first", "won", 0.0, pytest.approx(2.5))]] * 20


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("hedge", "cause"), [(None, "rescue"), ("p95", "hedge"), ("auto", "hedge")], ids=str)
def test_smaller_contents_at_the_same_rate_are_late(
    clock: Clock, world: World, wire: str, hedge: object, cause: str
) -> None:
    """As many contents a second with an eighth of the characters are a crawl, raced at the second look at it."""
    (reply,) = learned(clock, world, LARGE, SMALLER, wire=wire, hedge=hedge)

    assert timeline(reply.trace) == [
        ("a", "first", "superseded", 0.0, pytest.approx(3.75)), ("b", cause, "won", 1.25, pytest.approx(3.75)),
    ]
    assert reply.trace.attempts[1].why == "a: 0.0312 s for 5 characters; usual 0.00388 s, 99.9 %: 0.00392 s"


def test_reasoning_counts_with_its_characters(clock: Clock, world: World) -> None:
    """Smaller pieces of reasoning at the same rate are a crawl, too."""
    (reply,) = learned(clock, world, LARGE, THOUGHTS)

    assert timeline(reply.trace)[1][:4] == ("b", "rescue", "won", 1.25)


def streamed(clock: Clock, world: World, usual: Act, act: Act, wire: str, calls: int) -> tuple[list[Trace], str]:
    """The traces of so many streams that may begin again, once usual answers of two models are known; why a is slow."""
    async def scenario() -> tuple[list[Trace], str]:
        async with Router(world.config(wire=wire), transport=world.transport(), seed=1) as router:  # type: ignore[arg-type]
            for name in "ab":
                world.model(name, usual)
                for _ in range(120):
                    await router.chat("x", model=name)
            world.model("a", act)
            traces = []
            for _ in range(calls):
                async with router.stream("x", chain=["a", "b"], on_interrupt="restart") as stream:
                    restarts = [chunk.restart async for chunk in stream if chunk.restart]
                    assert restarts == []
                    traces.append(stream.trace)
            return traces, router.health()["a"].why_slow

    return clock.run(scenario())


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_of_larger_and_rarer_contents_is_read_on(clock: Clock, world: World, wire: str) -> None:
    """It neither begins again elsewhere, nor does its model become slow."""
    traces, why_slow = streamed(clock, world, SMALL, RARER, wire, 20)

    assert [timeline(trace) for trace in traces] == [[("a", "first", "won", 0.0, pytest.approx(2.5))]] * 20
    assert why_slow == ""


@pytest.mark.parametrize("wire", WIRES)
def test_streams_of_smaller_contents_make_their_model_slow(clock: Clock, world: World, wire: str) -> None:
    """A stream that flows is not taken from its reader, however slow it is; but soon the next model is asked first."""
    traces, why_slow = streamed(clock, world, LARGE, SMALLER, wire, 7)

    assert [trace.attempts[0].model for trace in traces] == [*"aaaaaa", "b"]
    assert why_slow == "0.0312 s for 5 characters, usual 0.00388 s"


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"name": "weather", "arguments": '{"city":"Paris"}'}
SAID: list[tuple[str, Act, int]] = [
    *((wire, Act(text="Hello there, \u4f60\u597d."), 16) for wire in WIRES),
    *((wire, Act(reasoning="So it is.", text="Yes, it is."), 20) for wire in WIRES),
    *((wire, Act(text="Let me see.", tool_calls=[CALL]), 11 + 7 + 16) for wire in WIRES),
    *((wire, Act(refusal="I cannot help."), 14) for wire in ("openai", "responses")),
]


@pytest.mark.parametrize(("wire", "act", "characters"), SAID)
def test_all_that_is_content_counts_with_its_characters(
    clock: Clock, world: World, wire: str, act: Act, characters: int
) -> None:
    """Text, reasoning, refusals, and names and arguments of tool calls; characters are those of Unicode."""
    async def scenario() -> float:
        async with Router(world.config(wire=wire), transport=world.transport(), seed=1) as router:  # type: ignore[arg-type]
            world.model("a", act)
            await router.chat("x", model="a", tools=TOOLS)
            assert router._life.engine is not None
            (state,) = router._life.engine.policies._models.values()
            return state.streamed.every.words.mean

    assert clock.run(scenario()) == pytest.approx(math.log(characters / 5))
