"""The simulated world through its in-process front: what comes when, what goes wrong when, and what is logged."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from itertools import product
from random import Random

import pytest

from asyncrouter import AttemptTimeout, ConnectionFailed, Request, Retry, Router, sim
from asyncrouter.sim import FAULTS, Act, Clock, LoggedRequest, SimTransport, World, lognormal

PROMPT = [{"role": "user", "content": "three little words"}]


def request(model: str = "m", *, connect: float | None = None, **body: object) -> Request:
    asked = {"model": model, "messages": PROMPT, **body}
    return Request("POST", "http://sim.test/v1/chat/completions", {"X-Title": "t"}, json.dumps(asked).encode(), connect)


async def fetch(transport: SimTransport, asked: Request, clock: Clock, rest: float = 0.0) -> list[tuple[float, bytes]]:
    """Every read of a response with its instant."""
    response = await transport.send(asked)
    reads = []
    while data := await response.read(rest):
        reads.append((clock.now, data))
    return [*reads, (clock.now, b"")]


def stream(world: World, clock: Clock, act: Act, **body: object) -> list[tuple[float, bytes]]:
    world.model("m", act)
    return clock.run(fetch(world.transport(), request(stream=True, **body), clock))


def whole(world: World, clock: Clock, act: Act, **body: object) -> dict:
    world.model("m", act)
    [(_, data), _] = clock.run(fetch(world.transport(), request(**body), clock))
    return json.loads(data)


def events(data: bytes) -> list[dict]:
    return [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]


def contents(data: bytes) -> list[str]:
    deltas = [choice["delta"] for event in events(data) for choice in event["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_comes_at_its_instants(world: World, clock: Clock) -> None:
    """The role at once, the first word at first_token, the next ones a gap apart, the end with the last."""
    reads = stream(world, clock, Act(text="one two three", first_token=0.5, gap=0.25))

    assert [at for at, _ in reads] == [0.0, 0.5, 0.75, 1.0, 1.0]
    assert [contents(data) for _, data in reads] == [[], ["one"], [" two"], [" three"], []]
    assert reads[3][1].endswith(b"data: [DONE]\n\n")


def test_connect_headers_and_tail_move_the_instants(world: World, clock: Clock) -> None:
    """The answer's times run from the moment the connection is ready."""
    world.model("m", Act(text="one two", connect=1.0, headers_after=0.25, first_token=0.5, gap=0.5, tail=2.0))

    async def scenario() -> tuple[float, float, list[float]]:
        response = await world.transport().send(request(stream=True))
        headers_at, instants = clock.now, []
        while await response.read():
            instants.append(clock.now)
        return response.connected_at, headers_at, instants

    assert clock.run(scenario()) == (1.0, 1.25, [1.25, 1.5, 2.0, 4.0])


def test_a_body_comes_with_its_headers_at_the_end(world: World, clock: Clock) -> None:
    """A buffered answer takes as long as the stream would have."""
    world.model("m", Act(text="one two three", first_token=0.5, gap=0.25))

    async def scenario() -> tuple[float, str, bytes]:
        response = await world.transport().send(request())
        at, body = clock.now, await response.read()
        assert await response.read() == b""
        return at, response.headers["content-length"], body

    at, length, body = clock.run(scenario())

    assert (1.0, str(len(body))) == (at, length)
    assert json.loads(body)["choices"][0]["message"]["content"] == "one two three"
    assert json.loads(body)["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_usage_is_streamed_when_asked_for(world: World, clock: Clock) -> None:
    """OpenAI sends it for stream_options.include_usage, OpenRouter always."""
    asked = {"stream_options": {"include_usage": True}}

    def usage(reads: list[tuple[float, bytes]]) -> list[dict]:
        return [event["usage"] for _, data in reads for event in events(data) if "usage" in event]

    counted = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert usage(stream(world, clock, Act())) == []
    assert [counted] == usage(stream(world, clock, Act(), **asked))
    assert usage(stream(world, clock, Act(usage=False), **asked)) == []
    assert usage(stream(world, clock, Act(style="openrouter", cost=0.5)))[0]["cost"] == 0.5


def test_max_tokens_cut_the_answer(world: World, clock: Clock) -> None:
    """The answer stops where the request says, with finish reason length."""
    body = whole(world, clock, Act(tokens=9), max_tokens=2)

    assert (body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]) == ("the quick", "length")


def test_reasoning_refusal_and_tools_have_their_fields(world: World, clock: Clock) -> None:
    """Everything a model can say stands where providers put it, whole and streamed."""
    tool = {"name": "look", "arguments": {"at": "sky"}}
    act = Act(reasoning="hm well", text="So.", tool_calls=[tool])
    choice = whole(world, clock, act)["choices"][0]
    streamed = b"".join(data for _, data in stream(world, clock, act))
    called = [call for event in events(streamed) for call in event["choices"][0]["delta"].get("tool_calls", [])]

    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"]["reasoning_content"], choice["message"]["content"]) == ("hm well", "So.")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":"sky"}'}
    assert [called[0]["function"]["name"], called[1]["function"]["arguments"]] == ["look", '{"at":"sky"}']
    assert whole(world, clock, Act(refusal="no"))["choices"][0]["message"]["refusal"] == "no"


def test_comments_fill_the_silence(world: World, clock: Clock) -> None:
    """Comments come that far apart until there is something to say."""
    reads = stream(world, clock, Act(first_token=1.0, comments=0.4))

    assert [at for at, _ in reads] == [0.0, 0.4, 0.8, 1.0, 1.0]
    assert reads[1][1] == b": OPENROUTER PROCESSING\n\n"


def test_an_error_has_status_shape_and_headers(world: World, clock: Clock) -> None:
    """An error response comes after first_token, in the words of its style."""
    world.model("m", Act(status=429, message="Slow down", code="rate_limit_exceeded", retry_after=2, first_token=0.5))

    async def scenario() -> tuple[int, str, dict]:
        response = await world.transport().send(request(stream=True))
        body = json.loads(await response.read())
        assert await response.read() == b""
        return response.status, response.headers["retry-after"], body

    error = {"message": "Slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    assert (429, "2", {"error": error}) == clock.run(scenario())
    assert clock.now == 0.5


def test_openrouters_errors_inside_a_200(world: World, clock: Clock) -> None:
    """At the top of a body, in a choice with partial content, and in a chunk of a stream."""
    nothing = whole(world, clock, Act(style="openrouter", code=502, fault="error"))
    partial = whole(world, clock, Act(style="openrouter", text="one two", fault="error", at=1))["choices"][0]
    reads = stream(world, clock, Act(style="openrouter", text="one two", fault="error", at=1))
    last = events(reads[0][1])[-1]

    assert (nothing["error"]["code"], "choices" in nothing) == (502, False)
    assert (partial["message"]["content"], partial["finish_reason"], partial["error"]["code"]) == ("one", "error", 500)
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (500, "error")


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("act", "at", "said", "again"),
    [
        (Act(fault="refuse", connect=0.5), 0.5, "connection refused", "quick"),
        (Act(fault="dns"), 0.0, "name not resolved", "quick"),
        (Act(fault="tls", connect=0.25), 0.25, "TLS handshake failed", "quick"),
        (Act(fault="certificate"), 0.0, "certificate verify failed", "never"),
        (Act(fault="cut", at="headers", headers_after=1.0), 1.0, "connection closed early", "quick"),
        (Act(fault="reset", at="headers"), 0.0, "connection reset by peer", "quick"),
        (Act(text="a b c", fault="cut", at=2, first_token=1.0, gap=0.5), 2.0, "connection closed early", "quick"),
        (Act(text="a b c", fault="reset", at=1, first_token=1.0, gap=0.5), 1.5, "connection reset by peer", "quick"),
        (Act(text="a b", fault="cut", at="end", gap=0.5, tail=0.25), 0.75, "connection closed early", "quick"),
    ],
)
def test_a_connection_fails_at_its_instant(
    world: World, clock: Clock, act: Act, at: float, said: str, again: str
) -> None:
    """Whatever the phase, the failure comes at exactly its instant and nothing stays open."""
    with pytest.raises(ConnectionFailed, match=said) as caught:
        stream(world, clock, act)

    assert (at, again, 0, False) == (clock.now, caught.value.again, world.open, world.seen[0].gone)


@pytest.mark.parametrize("act", [Act(connect=5.0), Act(fault="hang", at="connect"), Act(fault="refuse", connect=9.0)])
def test_the_connect_clock_fires_exactly(world: World, clock: Clock, act: Act) -> None:
    """A connection that is not ready when the clock fires is an AttemptTimeout at that instant."""
    world.model("m", act)

    with pytest.raises(AttemptTimeout) as caught:
        clock.run(fetch(world.transport(), request(connect=2.5), clock))

    assert (caught.value.clock, clock.now, world.open) == ("connect", 2.5, 0)


def test_a_connection_ready_in_time_is_no_timeout(world: World, clock: Clock) -> None:
    """Ready at the clock's own instant is in time."""
    world.model("m", Act(connect=2.5))

    assert clock.run(fetch(world.transport(), request(connect=2.5), clock))[-1][0] == 2.5


@pytest.mark.parametrize(("at", "reads"), [("headers", 0), (0, 1), (2, 2), ("end", 3)])
def test_a_hang_is_silent_from_its_phase_on(world: World, clock: Clock, at: int | str, reads: int) -> None:
    """Before the headers, the first content, in the middle or before the end: then nothing, for ever."""
    world.model("m", Act(text="one two three", gap=1.0, fault="hang", at=at))
    came: list[bytes] = []

    async def scenario() -> None:
        async with asyncio.timeout(1000):
            response = await world.transport().send(request(stream=True))
            try:
                while data := await response.read():
                    came.append(data)
            finally:
                response.close()

    with pytest.raises(TimeoutError):
        clock.run(scenario())

    assert (1000.0, reads, 0, True) == (clock.now, len(came), world.open, world.seen[0].gone)


def test_a_stall_goes_on_after_its_pause(world: World, clock: Clock) -> None:
    """All later contents are late by the pause."""
    reads = stream(world, clock, Act(text="one two three", gap=1.0, fault="stall", at=1, pause=10.0))

    assert [at for at, _ in reads] == [0.0, 11.0, 12.0, 12.0]


def test_good_events_survive_a_malformed_one(world: World, clock: Clock) -> None:
    """The stream goes on after an event that is no JSON, and nothing else is lost."""
    data = stream(world, clock, Act(text="one two three", fault="malformed", at=1))[0][1]
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]

    def broken(line: bytes) -> bool:
        try:
            json.loads(line)
        except ValueError:
            return True
        return False

    assert [broken(line) for line in lines] == [False, False, True, False, False, False]


def test_missing_ends(world: World, clock: Clock) -> None:
    """Finish reason and [DONE] can be missing, each alone and both."""

    def found(fault: str | None) -> tuple[bool, bool]:
        data = stream(world, clock, Act(fault=fault))[0][1]
        return b'"finish_reason":"stop"' in data, b"[DONE]" in data

    ends = [found(None), found("no_finish"), found("no_done"), found("no_end")]

    assert ends == [(True, True), (False, True), (True, False), (False, False)]


def test_huge_and_endless_bodies_come_bit_by_bit(world: World, clock: Clock) -> None:
    """A line of 100 MB or a stream without end costs the memory of one read."""
    sizes = [len(data) for _, data in stream(world, clock, Act(fault="huge", size=100_000_000))]
    world.model("m", Act(fault="endless", gap=0.5))

    async def scenario() -> None:
        response = await world.transport().send(request(stream=True))
        for _ in range(1000):
            await response.read()
        response.close()

    assert 100_000_000 < sum(sizes) < 100_001_000
    assert max(sizes) < 2_000_000
    clock.run(scenario())
    assert clock.now == 999 * 0.5


@pytest.mark.parametrize("fault", FAULTS)
def test_a_router_survives_every_fault(world: World, clock: Clock, fault: str) -> None:
    """No fault at any place keeps a chain from its second model, nor leaves anything open."""
    for at, streaming in product((0, 1, 2, "end"), (True, False)):
        world.model("bad", Act(text="one two", fault=fault, at=at, size=100_000, pause=500.0))
        world.model("good", Act(text="hi"))

        async def scenario(streaming: bool = streaming) -> str:
            limits = {"total": 20.0, "max_response_bytes": 50_000, "wire_stream": streaming}
            async with Router(world.config(defaults=limits), transport=world.transport()) as router:
                return (await router.chat("hello", chain=["bad", "good"], retry=Retry(attempts=1))).text

        harmless = {"no_done", "no_finish", "malformed", "not_utf8"}
        assert clock.run(scenario()) in ({"hi", "one two"} if fault in harmless else {"hi"})
        assert world.open == 0


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rest_takes_all_that_has_come(world: World, clock: Clock) -> None:
    """After a rest one read brings everything since; if nothing came it waits for the first byte."""
    world.model("m", Act(text="one two three four", gap=1.0))

    async def scenario() -> list[tuple[float, int]]:
        response = await world.transport().send(request(stream=True))
        reads = []
        while data := await response.read(0.0 if not reads else 1.5):
            reads.append((clock.now, len(contents(data))))
        return reads

    assert clock.run(scenario()) == [(0.0, 1), (1.5, 1), (3.0, 2)]


@pytest.mark.parametrize("rest", [0.0, 100.0])
def test_closing_wakes_a_read_at_once(world: World, clock: Clock, rest: float) -> None:
    """A read that waits, or rests, raises in the same instant as it is closed under it."""
    world.model("m", Act(fault="hang"))

    async def scenario() -> float:
        response = await world.transport().send(request(stream=True))
        await response.read()
        reading = asyncio.create_task(response.read(rest))
        asyncio.get_running_loop().call_at(2.0, response.close)
        with pytest.raises(ConnectionFailed, match="closed while reading"):
            await reading
        response.close()
        return clock.now

    assert clock.run(scenario()) == 2.0
    assert (world.seen[0].gone, world.seen[0].ended, world.open) == (True, 2.0, 0)


def test_a_read_after_the_close_raises(world: World, clock: Clock) -> None:
    """What was closed gives nothing more, not even what had come."""

    async def scenario() -> None:
        response = await world.transport().send(request(stream=True))
        response.close()
        await response.read()

    world.model("m")
    with pytest.raises(ConnectionFailed):
        clock.run(scenario())


def test_a_cancelled_send_leaves_nothing_open(world: World, clock: Clock) -> None:
    """Cancelled while connecting or waiting for headers, the connection is given up in that instant."""
    world.model("m", Act(connect=1.0, headers_after=1.0))

    async def scenario() -> None:
        for after in (0.5, 1.5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(after):
                    await world.transport().send(request(stream=True))

    clock.run(scenario())

    assert [(seen.ended, seen.gone) for seen in world.seen] == [(0.5, True), (2.0, True)]
    assert world.open == 0


def test_closing_the_transport_closes_what_is_open(world: World, clock: Clock) -> None:
    """`aclose` gives up every connection and may be called again."""
    world.model("m", Act(fault="hang"))

    async def scenario() -> tuple[int, int]:
        transport = world.transport()
        for _ in range(3):
            await transport.send(request(stream=True))
        live = world.open
        await transport.aclose()
        await transport.aclose()
        return live, world.open

    assert clock.run(scenario()) == (3, 0)


def test_closing_the_transport_wakes_a_send(world: World, clock: Clock) -> None:
    """A request that still waits for its connection or its headers fails in the instant of the close."""
    world.model("m", Act(fault="hang", at="connect"), Act(fault="hang", at="headers"))

    async def scenario() -> list[object]:
        transport = world.transport()
        sends = [asyncio.create_task(transport.send(request())) for _ in range(2)]
        await asyncio.sleep(1.5)
        await transport.aclose()
        return [str(error) for error in await asyncio.gather(*sends, return_exceptions=True)]

    assert clock.run(scenario()) == ["closed while sending"] * 2
    assert [(seen.ended, seen.gone) for seen in world.seen] == [(1.5, True)] * 2


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_script_goes_act_by_act_and_its_last_repeats(world: World, clock: Clock) -> None:
    """One act a request; `then` adds to it, a new script replaces it."""
    world.model("m", Act(text="one")).then(Act(text="two"))

    async def texts(count: int) -> list[str]:
        found = [await fetch(world.transport(), request(), clock) for _ in range(count)]
        return [json.loads(reads[0][1])["choices"][0]["message"]["content"] for reads in found]

    assert clock.run(texts(3)) == ["one", "two", "two"]
    world.model("m", Act(text="healed"))
    assert clock.run(texts(1)) == ["healed"]


def test_a_behaviour_sees_the_request(world: World, clock: Clock) -> None:
    """A function may decide by the request, the instant and the model's own dice."""

    def behave(seen: LoggedRequest, random: Random) -> Act:
        return Act(text=f"{seen.body['messages'][0]['content']} at {seen.at} {seen.stream} {random.random() < 2}")

    world.model("m", behave)

    async def scenario() -> bytes:
        await asyncio.sleep(1.5)
        return (await fetch(world.transport(), request(), clock))[0][1]

    body = json.loads(clock.run(scenario()))
    assert body["choices"][0]["message"]["content"] == "three little words at 1.5 False True"


def test_the_log_of_a_request(world: World, clock: Clock) -> None:
    """Model, body, headers by lower-case name, instants, contents sent, and who went away."""
    world.model("m", Act(text="one two three", connect=0.5, gap=1.0))

    async def scenario() -> None:
        response = await world.transport().send(request(stream=True, temperature=0.5))
        await asyncio.sleep(1.2)
        assert world.open == 1
        response.close()

    clock.run(scenario())
    [seen] = world.asked("m")

    assert (seen.number, seen.model, seen.stream) == (1, "m", True)
    assert (seen.body["temperature"], seen.headers["x-title"]) == (0.5, "t")
    assert (seen.at, seen.connected, seen.ended) == (0.0, 0.5, 1.7)
    assert (seen.status, seen.contents, seen.gone) == (200, 2, True)


def test_whoever_reads_to_the_end_did_not_go_away(world: World, clock: Clock) -> None:
    """Closing after the last byte, read or not, is no leaving early."""

    async def scenario(reads: int) -> None:
        response = await world.transport().send(request(stream=True))
        for _ in range(reads):
            await response.read()
        response.close()

    world.model("m")
    for reads in range(3):
        clock.run(scenario(reads))

    assert [seen.gone for seen in world.seen] == [False, False, False]


def test_what_the_world_does_not_have_is_a_404(world: World, clock: Clock) -> None:
    """An unknown model is answered as a provider would, with the names there are; so is an unknown path."""
    world.model("m")

    async def scenario(asked: Request) -> tuple[int, dict]:
        response = await world.transport().send(asked)
        body = json.loads(await response.read())
        response.close()
        return response.status, body

    status, body = clock.run(scenario(request("x")))
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "this world has m" in body["error"]["message"]
    assert clock.run(scenario(Request("POST", "http://sim.test/nowhere", {}, b"{}")))[0] == 404
    status, body = clock.run(scenario(Request("GET", "http://sim.test/v1/models", {}, b"")))
    assert (status, [model["id"] for model in body["data"]]) == (200, ["m"])


def test_the_configuration_names_the_world_as_a_provider(world: World) -> None:
    """In each language; overrides are laid over ours; a provider's table adds to it."""
    given = {"sim": {"ca": "c"}, "b": {"key": "k"}}
    config = world.config(base_url="http://x/v1", wire="gemini", unknown_task="error", providers=given)

    assert config == {
        "default_provider": "sim",
        "unknown_task": "error",
        "providers": {
            "sim": {"wire": "gemini", "base_url": "http://x/v1beta", "ca": "c"},
            "sim-openai": {"wire": "openai", "base_url": "http://x/v1"},
            "sim-anthropic": {"wire": "anthropic", "base_url": "http://x/v1"},
            "sim-gemini": {"wire": "gemini", "base_url": "http://x/v1beta"},
            "b": {"key": "k"},
        },
    }


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Act(fault="explode"), "fault: expected one of refuse"),
        (lambda: Act(fault="cut", at="connect"), "at='connect' goes with fault='hang', not 'cut'"),
        (lambda: Act(fault="html", at="headers"), "at='headers' goes with"),
        (lambda: Act(comments=0), "comments: expected seconds above 0, got 0"),
        (lambda: Act(fault="hang", byte=3, at="done"), "byte=3 and at='done' say two places"),
        (lambda: Act(fault="html", byte=3), "byte=3 goes with fault='cut'"),
        (lambda: Act(why="moods"), "why: expected one of bad_request"),
        (lambda: Act(sse=["dots"]), "sse: expected one of crlf"),
        (lambda: Act(retry_as="poem"), "retry_as: expected one of seconds"),
    ],
)
def test_acts_that_cannot_be_are_refused(make: Callable[[], Act], said: str) -> None:
    """A typo in a script fails where it stands, not as a strange answer."""
    with pytest.raises(ValueError, match=said):
        make()


def test_one_seed_gives_one_world() -> None:
    """Two worlds with one seed and the same requests send the same bytes at the same instants; another seed others."""

    def history(seed: int) -> str:
        clock, world = Clock(), World(seed)
        law = lognormal(0.5, 0.5, stragglers=0.1)
        world.model("a", Act(tokens=5, first_token=law, gap=law))
        world.model("b", lambda _, random: Act(status=random.choice([200, 500]), first_token=random.random()))

        async def scenario() -> list[object]:
            asked = [request(name, stream=True) for name in "ab" * 20]
            return await asyncio.gather(*(fetch(world.transport(), one, clock) for one in asked))

        told = [clock.run(scenario()), [repr(seen) for seen in world.seen]]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_one_models_traffic_does_not_move_another(clock: Clock) -> None:
    """Each model has dice of its own, from the world's seed and its name."""

    def instants(also: bool) -> list[float]:
        clock, world = Clock(), World(7)
        world.model("m", Act(first_token=lognormal(1.0, 0.5)))
        world.model("other", Act(first_token=lognormal(1.0, 0.5)))

        async def scenario() -> list[float]:
            took = []
            for _ in range(5):
                if also:
                    await fetch(world.transport(), request("other"), clock)
                began = clock.now
                took.append(round((await fetch(world.transport(), request(), clock))[-1][0] - began, 9))
            return took

        return clock.run(scenario())

    assert instants(False) == instants(True)


def test_stragglers_leave_the_other_draws_alone() -> None:
    """A share of stragglers multiplies some latencies and changes no other."""
    plain, heavy = Random(3), Random(3)
    pairs = [(lognormal(1.0, 0.5)(plain), lognormal(1.0, 0.5, stragglers=0.2)(heavy)) for _ in range(500)]
    factors = [round(slow / quick, 9) for quick, slow in pairs]

    assert set(factors) == {1.0, 20.0}
    assert 70 < factors.count(20.0) < 130


def test_the_docstrings_example(world: World, clock: Clock) -> None:
    """The first test a user reads is one that passes."""
    names = {"Act": Act, "Retry": Retry, "Router": Router}
    exec(sim.__doc__.split("```")[1].removeprefix("python"), names)

    names["test_a_dead_model_costs_no_time"](clock, world)

    assert [seen.model for seen in world.seen] == ["a", "b"]


def test_the_log_can_be_kept_short(clock: Clock) -> None:
    """`keep` bounds the log for long runs; what is open is counted all the same."""
    world = World(keep=2)
    world.model("m")

    async def scenario() -> None:
        for _ in range(5):
            await fetch(world.transport(), request(), clock)

    clock.run(scenario())

    assert [seen.number for seen in world.seen] == [4, 5]
    assert world.open == 0
