"""What each failure does, at every place of a chain: the same model again, the next one, and what the trace says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from failing import HEALTHY, MODES, REJECTED, Tried, ask, asked, call, pauses, play, script, tried

from asyncrouter import AllModelsFailed, Model, NotAccepted, Refused, Reply, Router
from asyncrouter.sim import FAULTS, Act, Clock, World

CHAT, BUFFERED, STREAM = MODES
LASTS = 0.125


@dataclass(frozen=True, kw_only=True)
class Row:
    """A failure that shows 0.125 s after the request, the error it is, and when the same model is tried again.

    `again` is "quick" (once, within retry.base), "hint" (after the Retry-After of 1 s), "alone" (within 1 s, if nobody
    else could answer) or `None`.
    """

    name: str
    act: Act
    error: str
    status: int | None = None
    again: str | None = None
    modes: tuple[str, ...] = MODES


def _lost(fault: str, again: str | None = "quick", error: str = "ConnectionFailed") -> Row:
    return Row(name=fault, act=Act(fault=fault, connect=LASTS), error=error, again=again)  # type: ignore[arg-type]


def _status(status: int, error: str, again: str | None = None, **told: object) -> Row:
    name = " ".join([str(status), *(str(value) for value in told.values())])
    act = Act(status=status, first_token=LASTS, **told)  # type: ignore[arg-type]
    return Row(name=name, act=act, error=error, status=status, again=again)


def _reply(
    fault: str, error: str = "BadReply", modes: tuple[str, ...] = MODES, name: str = "", told: int = 200, **more: object
) -> Row:
    """A 200 that goes wrong, if `more` does not say otherwise before any content."""
    act = Act(fault=fault, first_token=LASTS, **{"text": "one two three", "at": 0, **more})  # type: ignore[arg-type]
    return Row(name=name or f"200 {fault}", act=act, error=error, status=told, again="quick", modes=modes)


ROWS = [
    _lost("refuse"),
    _lost("dns"),
    _lost("tls"),
    _lost("certificate", again=None),
    Row(name="cut headers", act=Act(fault="cut", at="headers", headers_after=LASTS), error="ConnectionFailed", again="quick"),
    Row(name="reset headers", act=Act(fault="reset", at="headers", headers_after=LASTS), error="ConnectionFailed", again="quick"),
    _reply("cut", "ConnectionFailed"),
    _reply("reset", "ConnectionFailed"),
    _reply("cut", "ConnectionFailed", (CHAT, BUFFERED), "200 cut after content", at=2),
    _reply("reset", "ConnectionFailed", (CHAT, BUFFERED), "200 reset after content", at=2),
    _status(429, "RateLimited", "alone"),
    _status(429, "RateLimited", "hint", retry_after=1),
    _status(529, "RateLimited", "alone"),
    _status(529, "RateLimited", "hint", retry_after=1),
    _status(402, "RateLimited", "hint", retry_after=1),
    *(_status(status, "ServerFailed", "quick") for status in (500, 501, 502, 503, 504, 408, 409, 425, 498, 499)),
    _status(503, "ServerFailed", "hint", retry_after=1),
    _reply("html"),
    _reply("error", type="strange"),
    _reply("error", "ServerFailed", name="200 error 500", told=500),
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

SPREAD = {"providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in "xyz"},
          "models": {name: {"provider": provider, "id": name} for name, provider in zip("abc", "xyz", strict=True)}}
"""Each model at a provider of its own, so that no key is shared."""


def expected(row: Row, place: int) -> list[Tried]:
    """The trace of a chain of three whose first `place` models turn the request down, and whose next one is `row`."""
    now, last = 0.0, place == 2
    trace = [Tried("abc"[index], "fallback" if index else "first", "failed", "Rejected", 400, 0.0, 0.0)
             for index in range(place)]
    cause = "fallback" if place else "first"
    trace.append(Tried("abc"[place], cause, "failed", row.error, row.status, now, now := now + LASTS))
    pause = {"quick": pauses(0.25)[0], "hint": 1.0, "alone": pauses(1.0)[0] if last else None}.get(row.again or "")
    if pause is not None:
        sent = now + pause
        trace.append(Tried("abc"[place], "retry", "failed", row.error, row.status, sent, now := sent + LASTS))
    if not last:
        trace.append(Tried("abc"[place + 1], "fallback", "won", None, 200, now, now))
    return trace


def case(row: Row, mode: str) -> object:
    return pytest.param(row, mode, id=f"{row.name} {mode}".replace(" ", "-"))


@pytest.mark.parametrize(("row", "mode"), [case(row, mode) for row in ROWS for mode in row.modes])
def test_failure_at_every_place(row: Row, mode: str) -> None:
    """The same model is tried again when its row says so, at the exact instant, then the next one at once."""
    for place in range(3):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode, tables=SPREAD, deadline=None)

        trace = expected(row, place)
        assert trace == tried(result.trace)  # type: ignore[arg-type]  # an attempt's error has no trace until raised
        assert [sum(one.model == name for one in trace) for name in "abc"] == asked(world)
        assert (trace[-1].ended, 0) == (clock.now, world.open)
        if place < 2:
            assert isinstance(result, Reply)
            assert ("hi", "abc"[place + 1]) == (result.text, result.model)
        else:
            assert isinstance(result, AllModelsFailed)


@pytest.mark.parametrize(("row", "mode"), [case(row, mode) for row in REFUSALS for mode in MODES])
def test_refusal_is_raised_as_it_is(row: Row, mode: str) -> None:
    """A refusal ends the call at once, wherever it stands, with the trace of all that was tried."""
    for place in range(3):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode)

        assert isinstance(result, Refused)
        assert ("abc"[place], "sim", row.status if row.status != 200 else None) == (
            result.model, result.provider, result.status)
        assert expected(row, place)[: place + 1] == tried(result.trace)  # type: ignore[arg-type]
        assert [1] * (place + 1) + [0] * (2 - place) == asked(world)
        assert (LASTS, 0) == (clock.now, world.open)


@pytest.mark.parametrize(("row", "mode"), [case(row, mode) for row in REFUSALS for mode in MODES])
def test_refusal_moves_on_when_told_to(row: Row, mode: str) -> None:
    """With `on_refusal="next"` a refusal is a failure like others, and never tried again."""
    for place in range(3):
        clock, world = Clock(), World()
        script(world, *[REJECTED] * place, row.act, *[HEALTHY] * (2 - place))

        result = call(clock, world, mode=mode, tables={"defaults": {"on_refusal": "next"}})

        assert expected(row, place) == tried(result.trace)  # type: ignore[arg-type]
        assert isinstance(result, Reply if place < 2 else AllModelsFailed)


def test_filtered_words_are_a_reply(clock: Clock, world: World) -> None:
    """A 200 with text is an answer, although its finish reason is `content_filter`."""
    script(world, Act(text="I cannot", finish_reason="content_filter"), HEALTHY)

    result = call(clock, world, chain=["a", "b"])

    assert isinstance(result, Reply)
    assert ("I cannot", "content_filter") == (result.text, result.finish_reason)


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
            assert 0 == world.open


@pytest.mark.parametrize(
    ("windows", "expected_requests"),
    [
        ((8, 8, 16), [1, 0, 1]),
        ((8, 4, 16), [1, 0, 1]),
        ((8, None, 16), [1, 1, 0]),
        ((None, 4, 8), [1, 1, 0]),
        ((8, 8, 8), [1, 0, 0]),
    ],
)
def test_prompt_too_long_for_small_windows(
    clock: Clock, world: World, windows: tuple[int | None, ...], expected_requests: list[int]
) -> None:
    """A prompt over the window goes on only to a larger window, or one that nobody knows."""
    script(world, Act(status=400, code="context_length_exceeded"), HEALTHY, HEALTHY)
    models = {name: {"provider": "sim", "id": name, **({"context": window * 1000} if window else {})}
              for name, window in zip("abc", windows, strict=True)}

    result = call(clock, world, tables={"models": models})

    assert expected_requests == asked(world)
    assert isinstance(result, Reply if sum(expected_requests) > 1 else AllModelsFailed)
    passed_over = [one for one in tried(result.trace) if one.outcome == "not_sent"]  # type: ignore[arg-type]
    smaller = [name for name, window in zip("bc", windows[1:], strict=True)
               if windows[0] and window and window <= windows[0] and (name != "c" or expected_requests[1] == 0)]
    assert [Tried(name, "fallback", "not_sent", "NotSent", ended=0.0) for name in smaller] == passed_over


def test_unaccepted_reply_escalates(clock: Clock, world: World) -> None:
    """A reply that `accept` turns down is kept with its cost, is not tried again, and the next model is asked."""
    script(world, Act(text="no", first_token=0.5), Act(text="yes", first_token=0.5), HEALTHY)
    price = {"input": 1.0, "output": 1.0}
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": price} for name in "abc"}

    result = call(clock, world, tables={"models": models}, accept=lambda reply: reply.text == "yes")

    assert isinstance(result, Reply)
    assert [
        Tried("a", "first", "not_accepted", "NotAccepted", 200, 0.0, 0.5),
        Tried("b", "escalate", "won", None, 200, 0.5, 1.0),
    ] == tried(result.trace)
    turned_down = result.trace.attempts[0].error
    assert isinstance(turned_down, NotAccepted)
    assert turned_down.reply is not None
    assert ("no", "a", 2e-6) == (turned_down.reply.text, turned_down.reply.model, turned_down.reply.cost_usd)
    assert (2e-6, 4e-6) == (result.cost_usd, result.trace.cost_usd)


@pytest.mark.parametrize("place", range(3))
def test_strangers_exception_propagates(clock: Clock, world: World, place: int) -> None:
    """What `accept` raises is the caller's: it comes out unchanged, nothing else is asked, nothing is remembered."""
    script(world, *[REJECTED] * place, HEALTHY, HEALTHY, HEALTHY)
    mine = KeyError("mine")

    def accept(reply: Reply) -> bool:
        raise mine

    async def scenario(router: Router) -> None:
        with pytest.raises(KeyError) as caught:
            await router.chat("hello", task="coding", accept=accept)
        assert mine is caught.value
        assert {"ready"} == {health.standing for health in router.health().values()}
        assert {0} == {health.in_flight for health in router.health().values()}

    play(clock, world, scenario)

    assert [1] * (place + 1) + [0] * (2 - place) == asked(world)
    assert 0 == world.open


def test_listeners_exception_is_logged(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises is told of with its traceback; the call goes on."""
    script(world, HEALTHY)

    def listener(event: object) -> None:
        raise KeyError("a listener's")

    result = play(clock, world, ask, listeners=(listener,))

    assert isinstance(result, Reply)
    assert {KeyError} == {record.exc_info[0] for record in caplog.records if record.exc_info}


def test_turned_down_request_is_told_once(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A `Rejected` that moves on is one WARNING for each model and message, however often it comes."""
    strange = Act(status=422, message="temperature: out of range")
    script(world, (REJECTED, REJECTED, strange), REJECTED, HEALTHY)

    async def scenario(router: Router) -> None:
        for _ in range(4):
            await ask(router)

    play(clock, world, scenario)

    assert [
        ("WARNING", "a: The simulated model answers 400. (HTTP 400)"),
        ("WARNING", "b: The simulated model answers 400. (HTTP 400)"),
        ("WARNING", "a: temperature: out of range (HTTP 422)"),
    ] == [(record.levelname, record.message) for record in caplog.records if record.levelno > 20]


@pytest.mark.parametrize(
    "act", [Act(status=401), Act(status=403), Act(status=402), Act(status=404)], ids=lambda act: str(act.status)
)
def test_what_needs_a_person_is_told_once(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, act: Act
) -> None:
    """A bad key, an empty account, a missing model: one WARNING, not one a call."""
    script(world, act, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> None:
        for _ in range(3):
            await ask(router)
            await asyncio.sleep(1000)

    play(clock, world, scenario, **SPREAD)

    assert [f"a: The simulated model answers {act.status}. (HTTP {act.status})"] == [
        record.message for record in caplog.records if record.levelname == "WARNING"
    ]
    assert 3 == len(world.asked("a"))


def test_retired_model_names_its_successor(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A 404 for a model whose successor is known says which one that is."""
    script(world, Act(status=404), HEALTHY)
    old = Model(provider="sim", id="a", name="a", successor="b")

    call(clock, world, chain=[old, "b"])

    assert ["a: The simulated model answers 404. (HTTP 404); it has been replaced by b"] == [
        record.message for record in caplog.records if record.levelname == "WARNING"
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", range(3))
def test_too_large_a_reply(clock: Clock, world: World, mode: str, place: int) -> None:
    """A reply over `max_response_bytes` is cut off as it passes the limit, tried again once, then the next model."""
    huge = Act(fault="huge", size=400_000, first_token=LASTS)
    script(world, *[REJECTED] * place, huge, *[HEALTHY] * (2 - place))

    result = call(clock, world, mode=mode, tables={"defaults": {"max_response_bytes": 100_000}})

    row = Row(name="huge", act=huge, error="BadReply", status=200, again="quick")
    assert expected(row, place) == tried(result.trace)  # type: ignore[arg-type]
    assert "more than max_response_bytes = 100000" == result.trace.attempts[place].error.message  # type: ignore[union-attr]


def test_a_reply_of_the_largest_size() -> None:
    """A body of exactly `max_response_bytes` is taken; one byte more is not."""
    body = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'
    for spare, expected_kind in ((0, Reply), (-1, AllModelsFailed)):
        clock, world = Clock(), World()
        script(world, Act(body=body))

        result = call(clock, world, chain=["a"], tables={"defaults": {"max_response_bytes": len(body) + spare}})

        assert isinstance(result, expected_kind), result


def test_several_faults_in_one_chain() -> None:
    """Three models with three different faults: the whole answer is the fourth's, and nothing of the others is in it."""
    faults = ["cut", "reset", "error", "truncated", "html", "no_end", "huge", "hang", "refuse"]
    for first, second, third in zip(faults, faults[1:], faults[2:], strict=False):
        clock, world = Clock(), World()
        acts = [Act(text="one two three", fault=fault, at=0 if fault in {"refuse", "html"} else 2)
                for fault in (first, second, third)]
        script(world, *acts, HEALTHY)

        result = call(clock, world, chain=list("abcd"), tables={"defaults": {"max_response_bytes": 1_000_000}})

        assert isinstance(result, Reply)
        assert ("hi", "d", 0) == (result.text, result.model, world.open)
        assert "won" == result.trace.attempts[-1].outcome
        assert {"failed"} == {one.outcome for one in result.trace.attempts[:-1]}
