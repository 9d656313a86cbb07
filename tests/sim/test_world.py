"""The simulated world: scripts, the log of its requests, its configuration, its seed."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from asyncrouter import Request, sim
from asyncrouter.sim import Act, Clock, LoggedRequest, World, lognormal
from tests.helpers.simulated import chat_request, timed_reads


def test_a_script_goes_act_by_act_and_its_last_repeats(world: World, clock: Clock) -> None:
    """Each request gets the next act of the script, and the last one repeats; `then` adds acts."""
    world.model("m", Act(text="one")).then(Act(text="two"))

    async def texts(count: int) -> list[str]:
        found = [await timed_reads(world.transport(), chat_request(), clock) for _ in range(count)]
        return [json.loads(reads[0][1])["choices"][0]["message"]["content"] for reads in found]

    assert clock.run(texts(3)) == ["one", "two", "two"]
    world.model("m", Act(text="healed"))
    assert clock.run(texts(1)) == ["healed"]


def test_a_behaviour_sees_the_request(world: World, clock: Clock) -> None:
    """A function may decide by the request, the instant and the model's own generator."""

    def behave(seen: LoggedRequest, random: Random) -> Act:
        return Act(text=f"{seen.body['messages'][0]['content']} at {seen.at} {seen.stream} {random.random() < 2}")

    world.model("m", behave)

    async def scenario() -> bytes:
        await asyncio.sleep(1.5)
        return (await timed_reads(world.transport(), chat_request(), clock))[0][1]

    body = json.loads(clock.run(scenario()))
    assert body["choices"][0]["message"]["content"] == "three little words at 1.5 False True"


def test_the_log_of_a_request(world: World, clock: Clock) -> None:
    """The log has model, body, headers by lower-case name, instants, contents sent, and whether the client left."""
    world.model("m", Act(text="one two three", connect=0.5, gap=1.0))

    async def scenario() -> None:
        response = await world.transport().send(chat_request(stream=True, temperature=0.5, headers={"X-Title": "t"}))
        await asyncio.sleep(1.2)
        assert world.open == 1
        response.close()

    clock.run(scenario())
    [seen] = world.asked("m")

    assert (seen.number, seen.model, seen.stream) == (1, "m", True)
    assert (seen.body["temperature"], seen.headers["x-title"]) == (0.5, "t")
    assert (seen.at, seen.connected, seen.ended) == (0.0, 0.5, 1.7)
    assert (seen.status, seen.contents, seen.gone) == (200, 2, True)


def test_a_response_read_to_its_end_was_not_left_early(world: World, clock: Clock) -> None:
    """A response closed after its last byte has come, read or not, does not count as left early."""

    async def scenario(reads: int) -> None:
        response = await world.transport().send(chat_request(stream=True))
        for _ in range(reads):
            await response.read()
        response.close()

    world.model("m")
    for reads in range(3):
        clock.run(scenario(reads))

    assert [seen.gone for seen in world.seen] == [False, False, False]


def test_what_the_world_does_not_have_is_a_404(world: World, clock: Clock) -> None:
    """An unknown model or path is a 404, and the list of models names those there are."""
    world.model("m")

    async def scenario(asked: Request) -> tuple[int, dict]:
        response = await world.transport().send(asked)
        body = json.loads(await response.read())
        response.close()
        return response.status, body

    status, body = clock.run(scenario(chat_request("x")))
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "this world has m" in body["error"]["message"]
    assert clock.run(scenario(Request("POST", "http://sim.test/nowhere", {}, b"{}")))[0] == 404
    status, body = clock.run(scenario(Request("GET", "http://sim.test/v1/models", {}, b"")))
    assert (status, [model["id"] for model in body["data"]]) == (200, ["m"])


def test_the_configuration_names_the_world_as_a_provider(world: World) -> None:
    """`config` has a provider for each wire; overrides replace tables, and a provider's table adds to ours."""
    given = {"sim": {"ca": "c"}, "b": {"key": "k"}}
    config = world.config(base_url="http://x/v1", wire="gemini", unknown_task="error", providers=given)

    assert config == {
        "default_provider": "sim",
        "unknown_task": "error",
        "providers": {
            "sim": {"wire": "gemini", "base_url": "http://x/v1beta", "ca": "c"},
            "sim-openai": {"wire": "openai", "base_url": "http://x/v1"},
            "sim-responses": {"wire": "responses", "base_url": "http://x/v1"},
            "sim-anthropic": {"wire": "anthropic", "base_url": "http://x/v1"},
            "sim-gemini": {"wire": "gemini", "base_url": "http://x/v1beta"},
            "b": {"key": "k"},
        },
    }


@pytest.mark.parametrize(
    ("make", "message"),
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
        (lambda: Act(first_token="0.5"), "first_token: expected seconds, 0 or more, or a distribution of them"),
        (lambda: Act(gap=-1.0), "gap: expected seconds, 0 or more"),
        (lambda: Act(connect=float("nan")), "connect: expected seconds, 0 or more"),
        (lambda: Act(tokens=-1), "tokens: expected a whole number, 0 or more, got -1"),
        (lambda: Act(status="500"), "status: expected a whole number, 100 or more, got '500'"),
        (lambda: Act(dimensions=0), "dimensions: expected a whole number, 1 or more, got 0"),
        (lambda: Act(text=3), "text: expected text, got 3"),
    ],
)
def test_invalid_acts_are_refused(make: Callable[[], Act], message: str) -> None:
    """An act that cannot be is a `ValueError` where it is made."""
    with pytest.raises(ValueError, match=message):
        make()


def test_one_seed_gives_one_world() -> None:
    """Worlds with one seed send the same bytes at the same instants, and worlds with another seed do not."""

    def history(seed: int) -> str:
        clock, world = Clock(), World(seed)
        law = lognormal(0.5, 0.5, stragglers=0.1)
        world.model("a", Act(tokens=5, first_token=law, gap=law))
        world.model("b", lambda _, random: Act(status=random.choice([200, 500]), first_token=random.random()))

        async def scenario() -> list[object]:
            asked = [chat_request(name, stream=True) for name in "ab" * 20]
            return await asyncio.gather(*(timed_reads(world.transport(), one, clock) for one in asked))

        seen_and_read = [clock.run(scenario()), [repr(seen) for seen in world.seen]]
        return hashlib.sha256(repr(seen_and_read).encode()).hexdigest()

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_one_models_traffic_does_not_move_another(clock: Clock) -> None:
    """The requests to one model do not change what another one draws."""

    def instants(also: bool) -> list[float]:
        clock, world = Clock(), World(7)
        world.model("m", Act(first_token=lognormal(1.0, 0.5)))
        world.model("other", Act(first_token=lognormal(1.0, 0.5)))

        async def scenario() -> list[float]:
            took = []
            for _ in range(5):
                if also:
                    await timed_reads(world.transport(), chat_request("other"), clock)
                began = clock.now
                took.append(round((await timed_reads(world.transport(), chat_request(), clock))[-1][0] - began, 9))
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
    """The example of the package's docstring is a test that passes."""
    names: dict[str, Any] = {}
    exec(sim.__doc__.split("```")[1].removeprefix("python"), names)

    names["test_a_dead_model_costs_no_time"](clock, world)

    assert [seen.model for seen in world.seen] == ["a", "b"]


def test_the_log_can_be_kept_short(clock: Clock) -> None:
    """`keep` bounds the log, and open connections are counted all the same."""
    world = World(keep=2)
    world.model("m")

    async def scenario() -> None:
        for _ in range(5):
            await timed_reads(world.transport(), chat_request(), clock)

    clock.run(scenario())

    assert [seen.number for seen in world.seen] == [4, 5]
    assert world.open == 0


@pytest.mark.parametrize("wrong", [[Act(), Act()], "silent", {"text": "hi"}, None, 200])
def test_a_wrong_script_is_refused_at_once(world: World, wrong: Any) -> None:
    """A list of acts, or anything else that is no act, is a `TypeError` where it is written, not at the first call."""
    message = f"script: expected Act\\(…\\), Act\\(…\\) or a function of a request, got {type(wrong).__name__}"
    model = world.model("b")
    for write in (partial(world.model, "a"), model.does, model.then, partial(model.at, 1)):
        with pytest.raises(TypeError, match=message):
            write(wrong)


async def later(request: object, random: object) -> Act:
    return Act()


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda request: Act(), "must take two arguments: the request, and a random.Random"),
    (lambda: Act(), "must take two arguments"),
    (later, "got the async <function later"),
])
def test_a_wrong_function_is_refused_at_once(world: World, wrong: Any, message: str) -> None:
    """One that takes other arguments, or is async, is a `TypeError` where it is written; so it is as a rule."""
    for write in (partial(world.model, "a"), world.model("b").then, world.rule):
        with pytest.raises(TypeError, match=message):
            write(wrong)


def test_a_function_that_returns_no_act_is_named(world: World, clock: Clock) -> None:
    """What it returned is said where the call is made."""
    world.model("a", lambda request, random: None)  # type: ignore[arg-type,return-value]

    with pytest.raises(TypeError, match="must return an Act, and returned NoneType"):
        clock.run(timed_reads(world.transport(), chat_request(model="a"), clock))
