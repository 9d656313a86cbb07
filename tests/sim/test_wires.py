"""One world in four languages: each vendor's bodies, streams and errors, and a router that lives with all of them."""

import asyncio
import json
from itertools import product

import pytest

from asyncrouter import (
    AttemptError,
    CallError,
    ConnectionFailed,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    Reply,
    Retry,
    Router,
    ServerFailed,
    StreamInterrupted,
    Unauthorized,
    Usage,
)
from asyncrouter.sim import FAULTS, ODDITIES, RETRY_AS, WHYS, WIRES, Act, Clock, World
from tests.helpers.simulated import PROMPT, events, wire_request

MODES = ("chat", "buffered", "stream")
TOOL = {"name": "look", "arguments": {"at": "sky"}}


def sent(world: World, clock: Clock, act: Act, wire: str, *, stream: bool = True) -> bytes:
    """The body that an act gives."""
    world.model("m", act)

    async def scenario() -> bytes:
        response, body = await world.transport().send(wire_request(wire, stream=stream)), b""
        while data := await response.read():
            body += data
        return body

    return clock.run(scenario())


def ask(clock: Clock, world: World, act: Act, wire: str, mode: str = "chat", **step: object) -> Reply | CallError:
    """What a router makes of a model that does this, with a good one behind it that says "hi"."""
    world.model("bad", act)
    world.model("good", Act(text="hi"))
    defaults = {"total": 20.0, "max_response_bytes": 50_000, "wire_stream": mode == "chat", **step}

    async def scenario() -> Reply | CallError:
        config = world.config(wire=wire, defaults=defaults)  # type: ignore[arg-type]
        async with Router(config, transport=world.transport(), wall=clock.wall) as router:
            try:
                if mode != "stream":
                    return await router.chat(PROMPT, chain=["bad", "good"], retry=Retry(attempts=1))
                async with router.stream(PROMPT, chain=["bad", "good"], retry=Retry(attempts=1)) as stream:
                    async for _ in stream:
                        pass
                return stream.reply
            except (CallError, Refused) as error:
                return error  # type: ignore[return-value]

    answer = clock.run(scenario())
    assert world.open == 0
    return answer


def first_error(answer: Reply | CallError) -> AttemptError | None:
    assert answer.trace is not None
    return answer.trace.attempts[0].error


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_anthropics_events_come_in_their_order(world: World, clock: Clock) -> None:
    """Anthropic's stream has message_start, ping, blocks with their deltas, stop reason and usage, and the end."""
    found = events(sent(world, clock, Act(reasoning="hm", text="So be it.", tool_calls=[TOOL]), "anthropic"))
    kinds = [event["type"] for event in found]
    deltas = [event["delta"]["type"] for event in found if event["type"] == "content_block_delta"]

    assert kinds[:4] == ["message_start", "ping", "content_block_start", "content_block_delta"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert deltas == ["thinking_delta", "signature_delta", *["text_delta"] * 3, "input_json_delta"]
    assert [event["index"] for event in found if event["type"] == "content_block_start"] == [0, 1, 2]
    assert (found[-2]["delta"]["stop_reason"], found[-2]["usage"]["output_tokens"]) == ("tool_use", 6)


def test_googles_events_are_responses_of_their_own(world: World, clock: Clock) -> None:
    """Each event of Google's stream has a candidate; the last one has the finish reason and the usage."""
    data = sent(world, clock, Act(reasoning="hm", text="So.", tool_calls=[TOOL]), "gemini")
    found = events(data)
    parts = [event["candidates"][0]["content"]["parts"][0] for event in found]

    assert parts[:2] == [{"text": "hm", "thought": True}, {"text": "So."}]
    assert parts[2] == {"functionCall": {"name": "look", "args": {"at": "sky"}}}
    assert found[-1]["candidates"][0]["finishReason"] == "STOP"
    assert found[-1]["usageMetadata"] == {
        "promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 6
    }
    assert data.endswith(b"}\r\n\r\n")


def test_the_events_of_the_responses_api_come_in_their_order(world: World, clock: Clock) -> None:
    """The stream announces each item, lets it grow and gives it whole, numbers its events, and ends with the answer."""
    found = events(sent(world, clock, Act(reasoning="hm", text="So be", tool_calls=[TOOL]), "responses"))
    items = [event["item"] for event in found if event["type"] == "response.output_item.done"]

    assert [event["type"].removeprefix("response.") for event in found] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in found] == list(range(20))
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert (items[0]["summary"], items[0]["encrypted_content"]) == ([{"type": "summary_text", "text": "hm"}], "c2lt")
    assert (items[2]["call_id"], items[2]["name"], items[2]["arguments"]) == ("call_0", "look", '{"at":"sky"}')
    assert found[-1]["response"]["output"] == items
    assert found[-1]["response"]["usage"] == {
        "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 8,
    }


@pytest.mark.parametrize(
    ("act", "status", "reason"),
    [
        (Act(), "completed", None),
        (Act(tool_calls=[TOOL]), "completed", None),
        (Act(finish_reason="length"), "incomplete", "max_output_tokens"),
        (Act(finish_reason="content_filter"), "incomplete", "content_filter"),
        (Act(finish_reason="steered"), "incomplete", "steered"),
        (Act(finish_reason="cancelled"), "cancelled", None),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_responses_api_says_how_it_ended(
    world: World, clock: Clock, act: Act, status: str, reason: str | None, stream: bool
) -> None:
    """A response is completed, incomplete for a reason, or has the status that the act names."""
    data = sent(world, clock, act, "responses", stream=stream)
    response = events(data)[-1]["response"] if stream else json.loads(data)
    details = response["incomplete_details"]

    assert (response["status"], details and details["reason"]) == (status, reason)


@pytest.mark.parametrize("style", ["openai", "openrouter", "bare"])
def test_errors_inside_a_200_of_the_responses_api(world: World, clock: Clock, style: str) -> None:
    """An error is a flat event, a nested one, or a response that failed, by the act's style."""
    act = Act(text="one two", why="context", fault="error", at=1, style=style, message="Too long")  # type: ignore[arg-type]
    last = events(sent(world, clock, act, "responses"))[-1]
    error = last if style == "openai" else last["error"] if style == "openrouter" else last["response"]["error"]

    code = 400 if style == "openrouter" else "context_length_exceeded"
    assert last["type"] == ("response.failed" if style == "bare" else "error")
    assert (error["code"], error["message"]) == (code, "Too long")


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_an_act_means_the_same_on_every_wire(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A router reads the same text, reasoning, calls, finish reason and usage from each wire, streamed or not."""
    answer = ask(clock, world, Act(reasoning="hm well", text="So be it.", tool_calls=[TOOL]), wire, mode)
    assert isinstance(answer, Reply)
    [call] = answer.tool_calls

    assert (answer.reasoning, answer.text, answer.finish_reason) == ("hm well", "So be it.", "tool_calls")
    assert call["function"] == {"name": "look", "arguments": '{"at":"sky"}'}
    # Google sends a call in one piece, the others its name first.
    assert answer.usage == Usage(3, 6 if wire == "gemini" else 7, 0, 2)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_limits_filters_and_refusals_on_each_wire(world: World, clock: Clock, wire: str, mode: str) -> None:
    """max_tokens, a content filter, a refusal and a blocked prompt are read alike from each wire."""

    def finish(act: Act) -> tuple[str, str]:
        answer = ask(clock, world, act, wire, mode)
        return (answer.text, answer.finish_reason) if isinstance(answer, Reply) else (type(answer).__name__, "")

    refused = "stop" if wire in {"openai", "responses"} else "content_filter"  # there it is a field of the message
    assert finish(Act(tokens=2, finish_reason="length")) == ("the quick", "length")
    assert finish(Act(tokens=2, finish_reason="content_filter")) == ("the quick", "content_filter")
    assert finish(Act(refusal="I will not")) == ("I will not", refused)
    assert finish(Act(blocked=True)) == ("Refused", "")


@pytest.mark.parametrize("wire", WIRES)
def test_max_tokens_is_read_on_every_wire(world: World, clock: Clock, wire: str) -> None:
    """The answer stops at the request's limit on each wire."""

    async def scenario() -> Reply:
        async with Router(world.config(wire=wire), transport=world.transport()) as router:
            return await router.chat(PROMPT, model="m", max_tokens=16)

    world.model("m", Act(tokens=18))
    answer = clock.run(scenario())

    assert (len(answer.text.split()), answer.finish_reason) == (16, "length")


def test_one_model_is_reached_on_every_wire(world: World, clock: Clock) -> None:
    """`sim-anthropic:m` and `sim-gemini:m` are the model `m`, also with a slash in its name; each wire lists it."""
    world.model("a/m", Act(text="hi"))

    async def scenario() -> list[object]:
        async with Router(world.config(), transport=world.transport()) as router:
            listed = [await router.models(f"sim-{wire}") for wire in WIRES]
            return [*listed, *[(await router.chat("x", model=f"sim-{wire}:a/m")).text for wire in WIRES]]

    assert clock.run(scenario()) == [*[["a/m"]] * len(WIRES), *["hi"] * len(WIRES)]
    assert [seen.wire for seen in world.asked("a/m")] == list(WIRES)
    assert world.requests == len(WIRES)


@pytest.mark.parametrize("wire", WIRES)
def test_the_key_is_logged_not_shown(world: World, clock: Clock, wire: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is read from each wire's own header, and the log entry's repr does not show it."""
    monkeypatch.setenv("SIM_KEY", "k-1")
    config = world.config(wire=wire, providers={"sim": {"key": "env:SIM_KEY"}})  # type: ignore[arg-type]
    world.model("m")

    async def scenario() -> None:
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", model="m")

    clock.run(scenario())

    assert "k-1" in (world.seen[0].key or "")
    assert "k-1" not in repr(world.seen[0])


def test_anthropics_keep_alives_are_pings(world: World, clock: Clock) -> None:
    """Anthropic's keep-alives are ping events, not comments."""
    assert sent(world, clock, Act(first_token=1.0, comments=0.3), "anthropic").count(b"event: ping") == 4


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = {
    "bad_request": Rejected, "key": Unauthorized, "forbidden": Unauthorized, "credit": OutOfCredit,
    "missing": Rejected, "context": ContextTooLong, "policy": Refused, "rate_limit": RateLimited,
    "overloaded": ServerFailed, "server": ServerFailed, "timeout": ServerFailed,
}
DIALECTS = [("openai", "openai"), ("openai", "openrouter"), ("openai", "bare"), ("anthropic", "openai"),
            ("gemini", "openai"), ("gemini", "bare"), ("responses", "openai"), ("responses", "openrouter"),
           ("responses", "bare")]


@pytest.mark.parametrize("why", WHYS)
def test_each_cause_is_understood_on_every_wire(world: World, clock: Clock, why: str) -> None:
    """A cause is the same error on every wire: as a response, in a body, and at both places in a stream."""
    for wire, style in DIALECTS:
        acts = {
            "status": Act(why=why, style=style),
            "start": Act(why=why, style=style, fault="error"),
            "middle": Act(text="one two", why=why, style=style, fault="error", at=1),
        }
        places = [("status", "chat"), ("status", "buffered"), ("start", "chat"), ("start", "buffered")]
        for place, mode in [*places, ("middle", "chat")]:
            if (why, wire, style) == ("forbidden", "openai", "openai") and place != "status":
                continue  # OpenAI's words for it name no status
            expected = RateLimited if (why, wire) == ("overloaded", "anthropic") else KINDS[why]
            error = first_error(ask(clock, world, acts[place], wire, mode))
            assert expected is type(error), (wire, style, place, mode, error)


@pytest.mark.parametrize("wire", WIRES)
def test_errors_have_their_vendors_shape(world: World, clock: Clock, wire: str) -> None:
    """Errors have the envelope, names and details of their vendor, with the act's own fields before them."""
    body = json.loads(sent(world, clock, Act(why="rate_limit", retry_after=3, message="Slow"), wire, stream=False))

    assert body == {
        "openai": {"error": {"message": "Slow", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        "responses": {"error": {"message": "Slow", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}, "request_id": "req-1"},
        "gemini": {"error": {"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]}},
    }[wire]


def test_google_breaks_a_stream_off_with_bare_json(world: World, clock: Clock) -> None:
    """In style "bare" Google's error in a stream is lines of JSON that are no event."""
    data = sent(world, clock, Act(text="one two", fault="error", why="overloaded", style="bare", at=1), "gemini")

    assert b'[\n  {\n    "error": {\n      "code": 503' in data


@pytest.mark.parametrize(("wire", "form"), [*product(WIRES, (None, *RETRY_AS))])
def test_a_pause_is_read_in_every_form(world: World, clock: Clock, wire: str, form: str | None) -> None:
    """A router reads the same pause from every form of `retry_as`."""
    error = first_error(ask(clock, world, Act(why="rate_limit", retry_after=7, retry_as=form), wire))

    assert error is not None
    assert error.retry_after == 7.0


@pytest.mark.parametrize(
    ("act", "seconds"),
    [
        (Act(why="rate_limit"), None),
        (Act(why="rate_limit", retry_after="abc"), None),
        (Act(why="rate_limit", retry_after=""), None),
        (Act(why="rate_limit", retry_after=0), 0.0),
        (Act(why="rate_limit", retry_after=-5), 0.0),
        (Act(why="rate_limit", retry_after=-3600, retry_as="date"), 0.0),
        (Act(why="rate_limit", retry_after=3600, retry_as="date"), 3600.0),
        (Act(why="rate_limit", retry_after=90.5, retry_as="duration"), 90.5),
        (Act(why="rate_limit", retry_after=0.02, retry_as="duration"), 0.02),
        (Act(why="rate_limit", retry_after=30, headers={"Retry-After-Ms": "100"}), 0.1),
    ],
)
def test_odd_pauses(world: World, clock: Clock, act: Act, seconds: float | None) -> None:
    """A Retry-After in an unusual form is read as what it means, and garbage as none."""
    error = first_error(ask(clock, world, act, "openai"))

    assert error is not None
    assert error.retry_after == seconds


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────

HARMLESS = {"no_done", "no_finish", "malformed", "not_utf8"}
"""Faults that may leave the answer whole."""


@pytest.mark.parametrize(("wire", "fault"), [*product(WIRES, FAULTS)])
def test_a_whole_answer_or_the_next_model(world: World, clock: Clock, wire: str, fault: str) -> None:
    """Any fault at any place on any wire gives a whole answer or the next model's, and nothing stays open."""
    whole = {"hi", "one two"} if fault in HARMLESS else {"hi"}
    for at, mode in product((0, 1, "end"), MODES):
        act = Act(text="one two", gap=0.1, fault=fault, at=at, size=100_000, pause=500.0)  # type: ignore[arg-type]
        answer = ask(clock, world, act, wire, mode)
        if isinstance(answer, Reply):
            assert answer.text in whole
        else:
            assert mode == "stream"
            assert isinstance(answer, StreamInterrupted)


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_a_body_may_break_at_any_byte(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A body that ends after any number of bytes gives the whole answer or the next model's."""
    whole = len(sent(world, clock, Act(text="one zwö"), wire, stream=mode != "buffered"))
    for byte, fault in zip(range(0, whole + 9, 7), ("cut", "reset", "truncated", "hang") * whole, strict=False):
        answer = ask(clock, world, Act(text="one zwö", fault=fault, byte=byte), wire, mode)
        if isinstance(answer, Reply):
            assert answer.text in {"hi", "one zwö"}
        else:
            assert (mode, type(answer)) == ("stream", StreamInterrupted)


@pytest.mark.parametrize(
    ("fault", "ending"),
    [("cut", "ConnectionFailed"), ("reset", "ConnectionFailed"), ("truncated", "end"), ("hang", "")],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_body_breaks_at_its_byte(world: World, clock: Clock, fault: str, ending: str, stream: bool) -> None:
    """Exactly `byte` bytes come before the cut, the reset, the early end or the silence."""

    def broken(**where: object) -> tuple[int, str]:
        world.model("m", Act(text="one two", fault=fault, **where))  # type: ignore[arg-type]

        async def scenario() -> tuple[int, str]:
            response, size, how = await world.transport().send(wire_request("openai", stream=stream)), 0, ""
            try:
                async with asyncio.timeout(9.0):
                    while data := await response.read():
                        size += len(data)
                how = "end"
            except (ConnectionFailed, TimeoutError) as error:
                how = type(error).__name__.replace("TimeoutError", "")
            response.close()
            return size, how

        return clock.run(scenario())

    assert broken(byte=100) == (100, ending)
    if fault != "truncated":
        whole, how = broken(at="done")
        assert whole > 200
        assert how == (ending if stream else "end")  # a Content-Length says that it is whole


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["cut", "reset", "hang"])
def test_a_fault_after_the_last_byte_does_not_matter(world: World, clock: Clock, wire: str, fault: str) -> None:
    """A fault after the last byte leaves the answer whole."""
    for mode in MODES:
        answer = ask(clock, world, Act(text="one two", fault=fault, at="done"), wire, mode)
        assert isinstance(answer, Reply)
        assert answer.text == "one two"


ALLOWED = ODDITIES[: ODDITIES.index("bytes") + 1]
"""The oddities that the standard allows; the others are only met."""


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("oddity", ALLOWED)
def test_allowed_forms_of_a_stream_change_nothing(world: World, clock: Clock, wire: str, oddity: str) -> None:
    """Each allowed form, alone and in pairs, leaves the answer the same."""
    tool = {"name": "f", "arguments": {"a": 'b, "c": \n data: {'}}

    def read_with(*sse: str) -> list[object]:
        act = Act(reasoning="hm so", text="data: [DONE] zwö\u2028", tool_calls=[tool], sse=sse)  # type: ignore[arg-type]
        answers = [ask(clock, world, act, wire, mode) for mode in ("chat", "stream")]
        return [
            (answer.reasoning, answer.text, answer.tool_calls[0]["function"], answer.finish_reason, answer.usage)
            for answer in answers
            if isinstance(answer, Reply)
        ]

    plain = read_with()
    assert len(plain) == 2
    for other in ALLOWED[ALLOWED.index(oddity) :]:  # type: ignore[arg-type]
        assert read_with(oddity, other) == plain


def test_oddities_are_written(world: World, clock: Clock) -> None:
    """Each oddity changes the bytes of the stream as it says."""
    text = {oddity: sent(world, clock, Act(text="hi", sse=(oddity,)), "openai") for oddity in ODDITIES}

    assert b"}\r\n\r\n" in text["crlf"]
    assert b"}\r\rdata" in text["cr"]
    assert b'\ndata:{"id"' in text["no_space"]
    assert b"data:\n\n" in text["blank"]
    assert b"\n: so far" in text["chatter"]
    assert b"id: 7\nretry: 3000\n" in text["fields"]
    assert b'data: {\ndata: "id"' in text["multiline"]
    assert text["bom"].startswith(b"\xef\xbb\xbfdata: ")
    assert text["no_blank_line"].endswith(b"data: [DONE]")
    assert text["two_done"].count(b"[DONE]") == 2


@pytest.mark.parametrize("oddity", ["cuts", "bytes"])
def test_a_stream_comes_in_pieces(world: World, clock: Clock, oddity: str) -> None:
    """With "bytes" or "cuts" each read returns one piece."""
    world.model("m", Act(text="hi", sse=(oddity,)))  # type: ignore[arg-type]

    async def scenario() -> list[int]:
        response = await world.transport().send(wire_request("openai", stream=True))
        sizes = []
        while data := await response.read():
            sizes.append(len(data))
        return sizes

    sizes = clock.run(scenario())
    assert {1} == set(sizes) if oddity == "bytes" else 5 < len(set(sizes))
    assert max(sizes) <= 40
    assert world.seen[0].contents == 1
