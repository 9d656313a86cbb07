"""What each failure does, at every place of a chain: the same model again, the next one, and what the trace says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest

from asyncrouter import AllModelsFailed, Refused, Reply
from asyncrouter.sim import FAULTS, Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, REJECTED, SPREAD, Tried, asked, call, pauses, script, tried

CHAT, BUFFERED, STREAM = MODES
LASTS = 0.125


@dataclass(frozen=True, kw_only=True)
class Row:
    """A failure that shows 0.125 s after the request, the error it is, and when the same model is tried again.

    `again` is "quick" (once, within retry.base), "hint" (after the Retry-After of 1 s), "alone" (within 1 s, if nobody
    else could answer), "overload" (within 1 s if nobody else could answer, else "quick") or `None`.
    """

    name: str
    act: Act
    error: str
    status: int | None = None
    again: str | None = None
    modes: tuple[str, ...] = MODES


def _lost(fault: str, again: str | None = "quick", **when: object) -> Row:
    """A connection that fails in this way."""
    act = Act(fault=fault, **(when or {"connect": LASTS}))  # type: ignore[arg-type]
    return Row(name=fault, act=act, error="ConnectionFailed", again=again)


def _status(status: int, error: str, again: str | None = None, **told: object) -> Row:
    """An error response with this status."""
    name = " ".join([str(status), *(str(value) for value in told.values())])
    act = Act(status=status, first_token=LASTS, **told)  # type: ignore[arg-type]
    return Row(name=name, act=act, error=error, status=status, again=again)


def _reply(
    fault: str, error: str = "BadReply", modes: tuple[str, ...] = MODES, name: str = "", **more: object
) -> Row:
    """A 200 that goes wrong, before any content unless `more` says otherwise."""
    act = Act(fault=fault, first_token=LASTS, **{"text": "one two three", "at": 0, **more})  # type: ignore[arg-type]
    return Row(name=name or f"200 {fault}", act=act, error=error, status=200, again="quick", modes=modes)


TWICE = SPREAD | {"defaults": {"retry": {"attempts": 2}}}
"""With `attempts` given: it bounds the waits that a provider asks for, too."""

ROWS = [
    _lost("refuse"),
    _lost("dns"),
    _lost("tls"),
    _lost("certificate", again=None),
    _lost("cut", at="headers", headers_after=LASTS),
    _lost("reset", at="headers", headers_after=LASTS),
    _reply("cut", "ConnectionFailed"),
    _reply("reset", "ConnectionFailed"),
    _reply("cut", "ConnectionFailed", (CHAT, BUFFERED), "200 cut after content", at=2),
    _reply("reset", "ConnectionFailed", (CHAT, BUFFERED), "200 reset after content", at=2),
    _status(429, "RateLimited", "alone"),
    _status(429, "RateLimited", "hint", retry_after=1),
    _status(529, "RateLimited", "alone"),
    _status(529, "RateLimited", "hint", retry_after=1),
    _status(402, "RateLimited", "hint", retry_after=1),
    *(_status(status, "ServerFailed", "quick") for status in (500, 501, 502, 504, 408, 409, 425, 498, 499)),
    _status(503, "ServerFailed", "overload"),
    _status(503, "ServerFailed", "hint", retry_after=1),
    _reply("html"),
    _reply("error", type="strange"),
    _reply("error", "ServerFailed", name="200 error 500"),
    _reply("truncated"),
    _reply("no_end", "BadReply", (CHAT,)),
    _reply("malformed", "BadReply", (BUFFERED,)),
    _reply("error", "BadReply", (CHAT, BUFFERED), "200 error after content", at=2, type="strange"),
    _reply("truncated", "BadReply", (CHAT, BUFFERED), "200 truncated after content", at=2),
    Row(name="200 empty body", act=Act(body=b"", first_token=LASTS), error="BadReply", status=200, again="quick"),
    Row(name="200 empty answer", act=Act(text="", first_token=LASTS), error="BadReply", status=200, again="quick"),
    Row(name="200 not JSON", act=Act(body=b"ok", first_token=LASTS), error="BadReply", status=200, again="quick"),
    _status(400, "ContextTooLong", code="context_length_exceeded"),
    *(_status(status, "Rejected") for status in (400, 404, 405, 413, 418, 422, 301, 302, 307)),
    _status(401, "Unauthorized"),
    _status(403, "Unauthorized"),
    _status(402, "OutOfCredit"),
    _status(429, "OutOfCredit", code="insufficient_quota"),
]  # fmt: skip

REFUSALS = [
    _status(400, "Refused", code="content_policy_violation"),
    _status(403, "Refused", style="openrouter", metadata={"reasons": ["violence"]}),
    Row(name="200", act=Act(text="", finish_reason="content_filter", first_token=LASTS), error="Refused", status=200),
]


def expected(row: Row, place: int) -> list[Tried]:
    """The trace of a chain of three whose first `place` models turn the request down, and whose next one is `row`."""
    now, last = 0.0, place == 2
    trace = [Tried("abc"[index], "fallback" if index else "first", "failed", "Rejected", 400, 0.0, 0.0)
             for index in range(place)]
    cause = "fallback" if place else "first"
    trace.append(Tried("abc"[place], cause, "failed", row.error, row.status, now, now := now + LASTS))
    limited = pauses(1.0)[0]
    pause = {
        "quick": pauses(0.25)[0], "hint": 1.0, "alone": limited if last else None,
        "overload": limited if last else pauses(0.25)[0],
    }.get(row.again or "")
    if pause is not None:
        sent = now + pause
        trace.append(Tried("abc"[place], "retry", "failed", row.error, row.status, sent, now := sent + LASTS))
    if not last:
        trace.append(Tried("abc"[place + 1], "fallback", "won", None, 200, now, now))
    return trace


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_failure_at_every_place(row: Row) -> None:
    """The same model is retried as its row says, at the exact instant, and then the next one is asked at once."""
    for mode, place in product(row.modes, range(3)):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode, tables=TWICE, deadline=None)

        trace = expected(row, place)
        assert (mode, tried(result.trace)) == (mode, trace)
        assert [sum(one.model == name for one in trace) for name in "abc"] == asked(world)
        assert (clock.now, world.open) == (trace[-1].ended, 0)
        if place < 2:
            assert isinstance(result, Reply)
            assert (result.text, result.model) == ("hi", "abc"[place + 1])
        else:
            assert isinstance(result, AllModelsFailed)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name.replace(" ", "-"))
def test_refusal_is_raised_as_it_is(row: Row) -> None:
    """A refusal ends the call at once, wherever it stands, with the trace of all that was tried."""
    for mode, place in product(MODES, range(3)):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode)

        assert isinstance(result, Refused)
        status = None if row.status == 200 else row.status
        assert (result.model, result.provider, result.status) == ("abc"[place], "sim", status)
        assert (mode, tried(result.trace)) == (mode, expected(row, place)[: place + 1])
        assert asked(world) == [1] * (place + 1) + [0] * (2 - place)
        assert (clock.now, world.open) == (LASTS, 0)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name.replace(" ", "-"))
def test_refusal_moves_on_when_told_to(row: Row) -> None:
    """With `on_refusal="next"` a refusal is a failure like others, and never tried again."""
    for mode, place in product(MODES, range(3)):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode, tables={"defaults": {"on_refusal": "next"}})

        assert (mode, tried(result.trace)) == (mode, expected(row, place))
        assert isinstance(result, Reply if place < 2 else AllModelsFailed)


def test_filtered_words_are_a_reply(clock: Clock, world: World) -> None:
    """A 200 with text is an answer, also when its finish reason is `content_filter`."""
    script(world, Act(text="I cannot", finish_reason="content_filter"), HEALTHY)

    result = call(clock, world, chain=["a", "b"])

    assert isinstance(result, Reply)
    assert (result.text, result.finish_reason) == ("I cannot", "content_filter")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wire_stream", [True, False], ids=["streamed", "buffered"])
def test_whole_answer_or_the_next_model(fault: str, wire_stream: bool) -> None:
    """Whatever happens to a reply, wherever in it and wherever in the chain, `chat()` gives a whole one."""
    places = [0, 1, 3, "end"] if fault not in {"refuse", "dns", "tls", "certificate"} else [0]
    if fault in {"cut", "reset", "hang"}:
        places.append("headers")
    whole = "one two three"
    for at in places:
        for place in range(3):
            clock, world = Clock(), World()
            broken = Act(text=whole, fault=fault, at=at, gap=0.5, pause=3.0, size=2_000_000)  # type: ignore[arg-type]
            healthy = Act(text="all is well", gap=0.5)
            script(world, *[REJECTED] * place, broken, *[healthy] * (3 - place))

            result = call(
                clock, world, chain=list("abcd"),
                tables={"defaults": {"wire_stream": wire_stream, "max_response_bytes": 1_000_000}},
            )

            assert isinstance(result, Reply), (at, place, result)
            assert result.text in {whole, "all is well"}, (at, place)
            assert world.open == 0


def test_several_faults_in_one_chain() -> None:
    """After three models with three different faults the answer is the fourth's, with nothing of the others in it."""
    faults = ["cut", "reset", "error", "truncated", "html", "no_end", "huge", "hang", "refuse"]
    for first, second, third in zip(faults, faults[1:], faults[2:], strict=False):
        clock, world = Clock(), World()
        acts = [Act(text="one two three", fault=fault, at=0 if fault in {"refuse", "html"} else 2)
                for fault in (first, second, third)]
        script(world, *acts, HEALTHY)

        limits = {"max_response_bytes": 1_000_000, "rescue": "off"}
        result = call(clock, world, chain=list("abcd"), tables={"defaults": limits})

        assert isinstance(result, Reply)
        assert (result.text, result.model, world.open) == ("hi", "d", 0)
        assert result.trace.attempts[-1].outcome == "won"
        assert {one.outcome for one in result.trace.attempts[:-1]} == {"failed"}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("mode", MODES)
def test_too_large_a_reply(clock: Clock, world: World, mode: str, place: int) -> None:
    """A reply over `max_response_bytes` is cut off there, retried once, and then the next model is asked."""
    huge = Act(fault="huge", size=400_000, first_token=LASTS)
    script(world, *[REJECTED] * place, huge, *[HEALTHY] * (2 - place))

    result = call(clock, world, mode=mode, tables={"defaults": {"max_response_bytes": 100_000}})

    row = Row(name="huge", act=huge, error="BadReply", status=200, again="quick")
    assert expected(row, place) == tried(result.trace)
    assert result.trace.attempts[place].error.message == "more than max_response_bytes = 100000"  # type: ignore[union-attr]


def test_a_reply_of_the_largest_size() -> None:
    """A body of exactly `max_response_bytes` is accepted; one byte more is not."""
    body = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'
    for spare, expected_kind in ((0, Reply), (-1, AllModelsFailed)):
        clock, world = Clock(), World()
        script(world, Act(body=body, streams=False))

        result = call(clock, world, chain=["a"], tables={"defaults": {"max_response_bytes": len(body) + spare}})

        assert isinstance(result, expected_kind), result
