"""The limits of a step (connect, first_token, idle, total): when exactly each acts, and what counts as content."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptTimeout,
    CallError,
    Refused,
    Reply,
    Response,
    Router,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, REJECTED, SILENT, Tried, ask, asked, call, script, tried
from tests.helpers.transports import WrappedResponse, WrappingTransport

CHAT, BUFFERED, STREAM = MODES
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}\n\n'
EMPTY = b'data: {"choices":[{"index":0,"delta":{"content":"","tool_calls":[]},"finish_reason":null}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0}}\n\n'
NOTHING = ROLE + EMPTY + USAGE + EMPTY


def half(body: bytes) -> Act:
    """Exactly these bytes as an event stream at once, then silence: a body that hangs stops half-way."""
    return Act(body=body * 2, fault="hang", at="end")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a model does under these limits, which clock fires, and so many seconds after sending."""

    name: str
    act: Act
    limits: dict[str, float]
    clock: str
    fires: float
    told: str
    status: int | None = 200
    modes: tuple[str, ...] = field(default=MODES)


ROWS = [
    Row(name="never connected", act=Act(fault="hang", at="connect"), limits={"connect": 2}, clock="connect", fires=2.0,
        told="the connect clock fired", status=None),
    Row(name="slowly connected", act=Act(connect=2.5), limits={"connect": 2}, clock="connect", fires=2.0,
        told="the connect clock fired", status=None),
    Row(name="connecting counts as silence", act=Act(connect=1.5, fault="hang", at="headers"),
        limits={"connect": 2, "first_token": 3}, clock="first_token", fires=3.0, told="no content within 3 s",
        status=None, modes=(CHAT, STREAM)),
    Row(name="no headers", act=SILENT, limits={"first_token": 3}, clock="first_token", fires=3.0,
        told="no content within 3 s", status=None, modes=(CHAT, STREAM)),
    Row(name="only a role", act=Act(fault="hang"), limits={"first_token": 3, "idle": 1}, clock="first_token",
        fires=3.0, told="no content within 3 s", modes=(CHAT, STREAM)),
    Row(name="only comments", act=Act(fault="hang", comments=0.5), limits={"first_token": 3, "idle": 1},
        clock="first_token", fires=3.0, told="no content within 3 s", modes=(CHAT, STREAM)),
    Row(name="only empty deltas", act=half(NOTHING), limits={"first_token": 3, "idle": 1}, clock="first_token",
        fires=3.0, told="no content within 3 s", modes=(CHAT, STREAM)),
    Row(name="silent after two words", act=Act(text="a b c", first_token=1.0, gap=0.5, fault="hang", at=2),
        limits={"first_token": 3, "idle": 2}, clock="idle", fires=3.5, told="no more content within 2 s",
        modes=(CHAT,)),
    Row(name="comments after two words",
        act=Act(text="a b c", first_token=1.0, gap=0.5, fault="hang", at=2, comments=0.25),
        limits={"idle": 2}, clock="idle", fires=3.5, told="no more content within 2 s", modes=(CHAT,)),
    Row(name="a late end", act=Act(text="a b c", gap=0.5, tail=60.0), limits={"idle": 2}, clock="idle", fires=3.0,
        told="no more content within 2 s", modes=(CHAT,)),
    Row(name="talks for ever", act=Act(fault="endless", text="a b", first_token=1.0, gap=0.5),
        limits={"total": 5, "idle": 1}, clock="total", fires=5.0, told="no end within 5 s", modes=(CHAT, BUFFERED)),
    Row(name="silent under total", act=SILENT, limits={"total": 5}, clock="total", fires=5.0,
        told="no end within 5 s", status=None),
    Row(name="total before first_token", act=SILENT, limits={"total": 5, "first_token": 6}, clock="total", fires=5.0,
        told="no end within 5 s", status=None),
    Row(name="half a body", act=Act(streams=False, fault="hang", at="end"), limits={"total": 5}, clock="total",
        fires=5.0, told="no end within 5 s"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_clock_fires(row: Row) -> None:
    """At its exact instant the clock ends the attempt; the model is not tried again, the next one is asked at once."""
    defaults = {"connect": "none", "first_token": "none", "idle": "none", "total": "none", **row.limits}
    for mode, place in product(row.modes, range(3)):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode, tables={"defaults": {"wire_stream": True, **defaults}}, deadline=None)

        cause, model = "fallback" if place else "first", "abc"[place]
        expected = [Tried(model, cause, "failed", "AttemptTimeout", row.status, 0.0, row.fires)]
        if place < 2:
            expected.append(Tried("abc"[place + 1], "fallback", "won", None, 200, row.fires, row.fires))
        assert (mode, tried(result.trace)[place:]) == (mode, expected)
        error = result.trace.attempts[place].error
        assert isinstance(error, AttemptTimeout)
        assert (error.clock, error.message, error.model, error.provider) == (row.clock, row.told, model, "sim")
        assert isinstance(result, Reply if place < 2 else AllModelsFailed)
        assert [1] * min(place + 2, 3) + [0] * (1 - place) == asked(world)
        assert (clock.now, world.open) == (row.fires, 0)


@pytest.mark.parametrize(
    ("limits", "act", "ends"),
    [
        ({"connect": 2}, Act(connect=1.9), 1.9),
        ({"first_token": 3}, Act(connect=1.0, first_token=1.9), 2.9),
        ({"first_token": 1}, Act(text="a b c d", first_token=0.5, gap=5.0), 15.5),
        ({"first_token": 1}, Act(reasoning="hm", text="a", first_token=0.5, gap=5.0), 5.5),
        ({"first_token": 1, "idle": 2}, Act(tool_calls=[{"name": "f"}], gap=1.5), 1.5),
        ({"idle": 2}, Act(text="a b c d", first_token=9.0, gap=1.9), 9.0 + 1.9 * 3),
        ({"idle": 2}, Act(text="a b", first_token=9.0, tail=1.9), 9.0 + 1.9),
        ({"total": 5}, Act(text="a b c d", first_token=1.0, gap=1.25), 4.75),
    ],
)
@pytest.mark.parametrize("mode", [CHAT, STREAM])
def test_clock_does_not_fire(
    clock: Clock, world: World, mode: str, limits: dict[str, float], act: Act, ends: float
) -> None:
    """A model within its limits is left alone: content of any kind counts, and each limit is about one thing only."""
    defaults = {"connect": "none", "first_token": "none", "idle": "none", "total": "none", "wire_stream": True}
    script(world, act, HEALTHY)

    result = call(clock, world, mode=mode, tables={"defaults": defaults | limits}, chain=["a", "b"])

    assert isinstance(result, Reply)
    assert (result.model, len(result.trace.attempts), clock.now) == ("a", 1, ends)


def test_buffered_wire_knows_no_tokens(clock: Clock, world: World) -> None:
    """Where content cannot be seen before the end, neither first_token nor idle acts."""
    script(world, Act(text="a b c", first_token=10.0, gap=10.0))

    result = call(clock, world, mode=BUFFERED, tables={"defaults": {"first_token": 1, "idle": 1}})

    assert isinstance(result, Reply)
    assert (result.text, clock.now) == ("a b c", 30.0)


class ReadWhenClosed(WrappedResponse):
    """A response whose first content is read only when it is closed: a loop that was late does both at once."""

    def __init__(self, inner: Response) -> None:
        super().__init__(inner)
        self._came: list[bytes] = [WORD]

    async def read(self, rest: float = 0.0) -> bytes:
        await self.closed.wait()
        return self._came.pop() if self._came else await self.closed_while_reading()


@pytest.mark.parametrize("mode", [CHAT, STREAM])
def test_content_in_the_turn_in_which_the_clock_fires(clock: Clock, world: World, mode: str) -> None:
    """When the loop is late and content comes with the timeout, the error is the timeout, not a failed connection."""
    world.model("a")

    async def scenario() -> Reply | CallError | Refused:
        tables = {"defaults": {"first_token": 3.0, "retry": {"attempts": 1}}}
        async with Router(world.config(**tables), transport=WrappingTransport(world, ReadWhenClosed)) as router:
            return await ask(router, mode, model="a")

    result = clock.run(scenario())

    assert isinstance(result, AllModelsFailed)
    assert tried(result.trace) == [Tried("a", "first", "failed", "AttemptTimeout", 200, 0.0, 3.0)]
    error = result.trace.attempts[0].error
    assert isinstance(error, AttemptTimeout)
    assert (error.clock, error.message) == ("first_token", "no content within 3 s")


def test_steps_have_clocks_of_their_own(clock: Clock, world: World) -> None:
    """A step's limit holds for that step alone."""
    script(world, SILENT, SILENT, SILENT)
    chain = [{"model": "a", "first_token": 1.5}, {"model": "b", "total": 2.5}, "c"]

    result = call(clock, world, tables={"tasks": {"coding": {"models": chain, "first_token": 4.0}}})

    assert tried(result.trace) == [
        Tried("a", "first", "failed", "AttemptTimeout", None, 0.0, 1.5),
        Tried("b", "fallback", "failed", "AttemptTimeout", None, 1.5, 4.0),
        Tried("c", "fallback", "failed", "AttemptTimeout", None, 4.0, 8.0),
    ]
    assert [
        attempt.error.clock for attempt in result.trace.attempts if isinstance(attempt.error, AttemptTimeout)
    ] == ["first_token", "total", "first_token"]


def test_clocks_on_the_trace(clock: Clock, world: World) -> None:
    """An attempt says when it queued, was sent, was connected, had its first and last content, and ended."""
    script(world, Act(fault="hang", at=2, text="a b c", connect=0.25, first_token=0.5, gap=0.125), HEALTHY)

    result = call(clock, world, tables={"defaults": {"idle": 1.0}})

    first, second = result.trace.attempts
    assert (
        first.queued, first.sent, first.connected, first.first_content, first.last_content, first.ended,
    ) == (0.0, 0.0, 0.25, 0.75, 0.875, 1.875)  # fmt: skip
    assert (
        second.queued, second.sent, second.connected, second.first_content, second.last_content, second.ended,
    ) == (1.875, 1.875, 1.875, 1.875, 1.875, 1.875)  # fmt: skip
    assert (first.number, second.number, result.trace.seconds) == (1, 2, 1.875)
