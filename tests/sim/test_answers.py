"""A simulated model's answers through the in-process transport: what comes, and at which instant."""

import json

from asyncrouter.sim import Act, Clock, World
from tests.helpers.simulated import chat_request, contents, events, stream_reads, whole_body


def test_a_stream_comes_at_its_instants(world: World, clock: Clock) -> None:
    """The role comes at once, the first word at `first_token`, each further one a gap later, the end with the last."""
    reads = stream_reads(world, clock, Act(text="one two three", first_token=0.5, gap=0.25))

    assert [at for at, _ in reads] == [0.0, 0.5, 0.75, 1.0, 1.0]
    assert [contents(data) for _, data in reads] == [[], ["one"], [" two"], [" three"], []]
    assert reads[3][1].endswith(b"data: [DONE]\n\n")


def test_connect_headers_and_tail_move_the_instants(world: World, clock: Clock) -> None:
    """The answer's times run from the moment the connection is ready."""
    world.model("m", Act(text="one two", connect=1.0, headers_after=0.25, first_token=0.5, gap=0.5, tail=2.0))

    async def scenario() -> tuple[float, float, list[float]]:
        response = await world.transport().send(chat_request(stream=True))
        headers_at, instants = clock.now, []
        while await response.read():
            instants.append(clock.now)
        return response.connected_at, headers_at, instants

    assert clock.run(scenario()) == (1.0, 1.25, [1.25, 1.5, 2.0, 4.0])


def test_a_body_comes_with_its_headers_at_the_end(world: World, clock: Clock) -> None:
    """A buffered answer takes as long as the stream would have."""
    world.model("m", Act(text="one two three", first_token=0.5, gap=0.25))

    async def scenario() -> tuple[float, str, bytes]:
        response = await world.transport().send(chat_request())
        at, body = clock.now, await response.read()
        assert await response.read() == b""
        return at, response.headers["content-length"], body

    at, length, body = clock.run(scenario())

    assert (at, length) == (1.0, str(len(body)))
    assert json.loads(body)["choices"][0]["message"]["content"] == "one two three"
    assert json.loads(body)["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_usage_is_streamed_when_asked_for(world: World, clock: Clock) -> None:
    """OpenAI sends it for stream_options.include_usage, OpenRouter always."""
    asked = {"stream_options": {"include_usage": True}}

    def usage(reads: list[tuple[float, bytes]]) -> list[dict]:
        return [event["usage"] for _, data in reads for event in events(data) if "usage" in event]

    counted = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert usage(stream_reads(world, clock, Act())) == []
    assert usage(stream_reads(world, clock, Act(), **asked)) == [counted]
    assert usage(stream_reads(world, clock, Act(usage=False), **asked)) == []
    assert usage(stream_reads(world, clock, Act(style="openrouter", cost=0.5)))[0]["cost"] == 0.5


def test_max_tokens_cut_the_answer(world: World, clock: Clock) -> None:
    """The answer stops where the request says, with finish reason length."""
    body = whole_body(world, clock, Act(tokens=9), max_tokens=2)

    assert (body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]) == ("the quick", "length")


def test_reasoning_refusal_and_tools_have_their_fields(world: World, clock: Clock) -> None:
    """Everything a model can say stands where providers put it, whole and streamed."""
    tool = {"name": "look", "arguments": {"at": "sky"}}
    act = Act(reasoning="hm well", text="So.", tool_calls=[tool])
    choice = whole_body(world, clock, act)["choices"][0]
    streamed = b"".join(data for _, data in stream_reads(world, clock, act))
    called = [call for event in events(streamed) for call in event["choices"][0]["delta"].get("tool_calls", [])]

    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"]["reasoning_content"], choice["message"]["content"]) == ("hm well", "So.")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":"sky"}'}
    assert [called[0]["function"]["name"], called[1]["function"]["arguments"]] == ["look", '{"at":"sky"}']
    assert whole_body(world, clock, Act(refusal="no"))["choices"][0]["message"]["refusal"] == "no"


def test_comments_fill_the_silence(world: World, clock: Clock) -> None:
    """Comments come at their interval until there is content."""
    reads = stream_reads(world, clock, Act(first_token=1.0, comments=0.4))

    assert [at for at, _ in reads] == [0.0, 0.4, 0.8, 1.0, 1.0]
    assert reads[1][1] == b": OPENROUTER PROCESSING\n\n"


def test_an_error_has_status_shape_and_headers(world: World, clock: Clock) -> None:
    """An error response comes after first_token, in the words of its style."""
    world.model("m", Act(status=429, message="Slow down", code="rate_limit_exceeded", retry_after=2, first_token=0.5))

    async def scenario() -> tuple[int, str, dict]:
        response = await world.transport().send(chat_request(stream=True))
        body = json.loads(await response.read())
        assert await response.read() == b""
        return response.status, response.headers["retry-after"], body

    error = {"message": "Slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    assert clock.run(scenario()) == (429, "2", {"error": error})
    assert clock.now == 0.5


def test_openrouters_errors_inside_a_200(world: World, clock: Clock) -> None:
    """OpenRouter's errors stand at the top of a body, in a choice with partial content, and in a chunk of a stream."""
    nothing = whole_body(world, clock, Act(style="openrouter", code=502, fault="error"))
    partial = whole_body(world, clock, Act(style="openrouter", text="one two", fault="error", at=1))["choices"][0]
    reads = stream_reads(world, clock, Act(style="openrouter", text="one two", fault="error", at=1))
    last = events(reads[0][1])[-1]

    assert (nothing["error"]["code"], "choices" in nothing) == (502, False)
    assert (partial["message"]["content"], partial["finish_reason"], partial["error"]["code"]) == ("one", "error", 500)
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (500, "error")
