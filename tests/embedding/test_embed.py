"""`Router.embed` over simulated models: order, parts, limits, failures, costs, traces, events, cancellation."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptEnded,
    CallEnded,
    CallError,
    CallStarted,
    DeadlineExceeded,
    Embeddings,
    NotSent,
    Router,
    RouterClosed,
    Usage,
)
from asyncrouter.sim import Act, World

if TYPE_CHECKING:

    from asyncrouter.sim import Clock, LoggedRequest

SMALL = {"provider": "sim", "id": "e", "usd_per_mtok": {"input": 0.02, "output": 0.0}}


def embed(
    clock: Clock, world: World, texts: object, config: dict[str, object] | None = None, **given: object
) -> Embeddings:
    """The vectors of these texts, by the model `e` unless another one is given."""

    async def scenario() -> Embeddings:
        async with Router(world.config(**(config or {})), transport=world.transport(), seed=1) as router:
            return await router.embed(texts, **{"model": "e", **given})  # type: ignore[arg-type]

    return clock.run(scenario())


def failed(clock: Clock, world: World, texts: object, **given: object) -> CallError:
    """The error of a call for these texts."""
    with pytest.raises(CallError) as caught:
        embed(clock, world, texts, **given)
    return caught.value


def sizes(world: World) -> list[int]:
    """How many texts each request had."""
    return [len(request.body.get("input", request.body.get("requests"))) for request in world.seen]  # type: ignore[arg-type]


# One request.


@pytest.mark.parametrize("wire", ["openai", "responses", "gemini"])
def test_the_vectors_of_some_texts(clock: Clock, world: World, wire: str) -> None:
    """One for each text, in order, with model, usage, cost and trace."""
    world.model("e", Act(first_token=0.5))
    config = {"models": {"small": {**SMALL, "provider": f"sim-{wire}"}}}
    vectors = embed(clock, world, ["a red fox", "a whale", "a red fox"], config, model="small")

    assert (len(vectors), vectors.dimensions, vectors.model, vectors[0] == vectors[2], vectors[0] == vectors[1]) == (
        3, 8, "small", True, False)
    assert (vectors.usage, vectors.cost_usd) == (Usage(8, 0), 8 * 0.02 / 1e6)
    assert vectors.trace.cost_usd == 8 * 0.02 / 1e6
    assert [(one.outcome, one.sent, one.first_content, one.ended) for one in vectors.trace.attempts] == [
        ("won", 0.0, 0.5, 0.5)]
    assert list(vectors) == vectors.vectors == vectors[:]
    assert repr(vectors) == "<Embeddings of 3 texts by small, 8 dimensions>"
    assert pickle.loads(pickle.dumps(vectors)) == vectors


def test_dimensions_are_asked_for(clock: Clock, world: World) -> None:
    """On both wires, and every vector has that length."""
    world.model("e")

    models = ("e", "sim-gemini:e")

    assert [embed(clock, world, ["a"], model=model, dimensions=3).dimensions for model in models] == [3, 3]


def test_a_model_that_fails_is_tried_again(clock: Clock, world: World) -> None:
    """Retries, limits of attempts and causes are those of a chat."""
    world.model("e", Act(status=500), Act(status=500), Act())
    vectors = embed(clock, world, "a", retry=3)

    assert [(one.cause, one.outcome) for one in vectors.trace.attempts] == [
        ("first", "failed"), ("retry", "failed"), ("retry", "won")]


@pytest.mark.parametrize(("act", "kind"), [
    (Act(why="key"), "Unauthorized"), (Act(why="credit"), "OutOfCredit"), (Act(why="missing"), "Rejected"),
    (Act(why="policy"), "Refused"), (Act(why="context"), "ContextTooLong"), (Act(fault="html"), "BadReply"),
    (Act(fault="truncated"), "BadReply"), (Act(fault="malformed"), "BadReply"), (Act(fault="error"), "ServerFailed"),
    (Act(fault="refuse"), "ConnectionFailed"), (Act(body=b'{"data": []}'), "BadReply"),
    (Act(status=501), "ServerFailed"),
])
@pytest.mark.parametrize("model", ["e", "sim-gemini:e"])
def test_every_failure_is_a_call_error(clock: Clock, world: World, act: Act, kind: str, model: str) -> None:
    """With its trace, also where the content is refused: there is no other model to raise it for."""
    world.model("e", act)
    if act.why == "key" and model != "e":
        kind = "Unauthorized"
    error = failed(clock, world, "a", model=model)

    assert (type(error), type(error.last).__name__, error.vectors) == (AllModelsFailed, kind, ())


@pytest.mark.parametrize(("given", "kind", "at"), [
    ({"deadline": 2.0}, DeadlineExceeded, 2.0), ({"total": 2.5}, AllModelsFailed, 2.5),
    ({"deadline": 4.0, "total": 1.0}, AllModelsFailed, 1.0),
])
def test_its_clocks(clock: Clock, world: World, given: dict[str, object], kind: type, at: float) -> None:
    """The deadline and the attempt's `total` hold to the instant; no clock waits for a first token."""
    world.model("e", Act(fault="hang"))
    error = failed(clock, world, "a", retry=1, **given)

    assert (type(error), clock.now) == (kind, at)


def test_a_slow_answer_is_not_cut_as_silent(clock: Clock, world: World) -> None:
    """An answer in one piece has no first token: 45 s is no failure, though `first_token` is 30 s."""
    world.model("e", Act(first_token=45.0))
    embed(clock, world, "a")

    assert clock.now == 45.0


def test_no_stream_is_asked_for(clock: Clock, world: World) -> None:
    """The request is for one JSON body, whatever the configuration says of streams."""
    world.model("e")
    embed(clock, world, "a", {"defaults": {"wire_stream": True}})

    (request,) = world.seen
    assert (request.headers["accept"], request.stream, request.url) == (
        "application/json", False, "http://sim.test/v1/embeddings")


def test_usage_that_is_not_told_is_estimated(clock: Clock, world: World) -> None:
    """Google's older models report none: four characters are a token, and the cost says that it is a guess."""
    world.model("e", Act(usage=False))
    vectors = embed(clock, world, "x" * 4000, {"models": {"e": SMALL}})

    assert (vectors.usage, vectors.cost_usd, vectors.trace.cost_estimated) == (None, 1001 * 0.02 / 1e6, True)


# Parts.


@pytest.mark.parametrize(("model", "texts", "expected"), [
    ("e", 2048, [2048]), ("e", 2049, [2048, 1]), ("e", 5000, [2048, 2048, 904]),
    ("sim-gemini:e", 100, [100]), ("sim-gemini:e", 250, [100, 100, 50]),
])
def test_many_texts_are_split_by_the_limits(
    clock: Clock, model: str, texts: int, expected: list[int]
) -> None:
    """OpenAI's 2,048 and Google's 100 texts a request, and the vectors stay in order: a strict model takes all."""
    world = World(strict=True)
    world.model("e", Act(first_token=1.0))
    given = [f"text {number}" for number in range(texts)]
    vectors = embed(clock, world, given, model=model)
    last = embed(clock, world, given[-1], model=model)

    assert sizes(world) == [*expected, 1]
    assert (len(vectors), vectors[-1], vectors.usage) == (texts, last[0], Usage(2 * texts, 0))
    assert clock.now == 2.0


def test_many_tokens_are_split_by_the_limits(clock: Clock) -> None:
    """300,000 tokens a request at OpenAI: of texts of 1,000 tokens 300 go into one."""
    world = World(strict=True)
    world.model("e")
    embed(clock, world, ["abc " * 1000] * 700)

    assert sizes(world) == [300, 300, 100]


def test_parts_run_at_once_but_not_all(clock: Clock, world: World) -> None:
    """Eight requests of a call run at once; twenty of 1 s each take 3 s."""
    world.model("e", Act(first_token=1.0))
    embed(clock, world, ["a"] * 2000, model="sim-gemini:e")

    assert ([request.at for request in world.seen], clock.now) == ([0.0] * 8 + [1.0] * 8 + [2.0] * 4, 3.0)


def test_parts_keep_the_models_own_limits(clock: Clock, world: World) -> None:
    """`max_concurrent` holds for the parts of one call, too."""
    world.model("e", Act(first_token=1.0))
    config = {"models": {"small": {"provider": "sim-gemini", "id": "e", "max_concurrent": 2}}}
    embed(clock, world, ["a"] * 500, config, model="small")

    assert [request.at for request in world.seen] == [0.0, 0.0, 1.0, 1.0, 2.0]


def test_tokens_a_minute_are_those_of_the_texts(clock: Clock, world: World) -> None:
    """A limit of tokens counts the texts and no answer: a call of 300 has half a minute's worth of 600 (98 % of it)."""
    world.model("e", Act(usage={"prompt_tokens": 300}))
    config = {"models": {"e": {**SMALL, "tpm": 600}}}

    async def scenario() -> list[float]:
        async with Router(world.config(**config), transport=world.transport()) as router:
            for _ in range(2):
                await router.embed("abcd" * 299, model="e")
        return [round(request.at, 3) for request in world.seen]

    assert clock.run(scenario()) == [0.0, round(30 / 0.98, 3)]


def test_a_request_that_is_too_long_is_halved(clock: Clock) -> None:
    """More tokens than estimated: the halves are asked, in order, and later calls begin with as many texts."""
    world = World(strict=True)
    world.model("e")

    async def scenario() -> Embeddings:
        async with Router(world.config(), transport=world.transport()) as router:
            vectors = await router.embed([f"{number} " + "a " * 400 for number in range(1000)], model="e")
            await router.embed(["b"] * 1000, model="e")
            return vectors

    vectors = clock.run(scenario())

    assert sizes(world) == [1000, 500, 500, 500, 500]
    assert (len({tuple(vector) for vector in vectors}), vectors.usage) == (1000, Usage(401 * 1000, 0))
    assert [one.outcome for one in vectors.trace.attempts] == ["failed", "won", "won"]


def test_an_answer_over_max_response_bytes_is_halved(clock: Clock, world: World) -> None:
    """The limit of the answer's size bounds a request, not the call; the next call tries as many texts again."""
    world.model("e", Act(dimensions=64))
    config = {"defaults": {"max_response_bytes": 20_000, "retry": {"attempts": 1}}}
    vectors = embed(clock, world, [f"{number}" for number in range(20)], config)

    assert (len(vectors), sizes(world)) == (20, [20, 10, 10])


def test_one_text_that_is_too_long_fails_the_call(clock: Clock, world: World) -> None:
    """It is found by halving, the others are done, and the error has their vectors in place."""

    def limited(request: LoggedRequest, random: object) -> Act:
        return Act(why="context") if any(len(text) > 9 for text in request.body["input"]) else Act()  # type: ignore[attr-defined]

    world.model("e", limited)
    error = failed(clock, world, ["a", "b", "c", "x" * 10, "d"])

    assert [vector is not None for vector in error.vectors] == [True, True, True, False, False]
    assert type(error.last).__name__ == "ContextTooLong"


def test_a_text_that_the_provider_names_is_not_looked_for(clock: Clock, world: World) -> None:
    """Where the error says which text is too long, nothing more is sent."""
    world.model("e", Act(status=400, message="Invalid 'input[3]': maximum input length is 8192 tokens."))
    failed(clock, world, ["a", "b", "c", "x" * 10])

    assert sizes(world) == [4]


def test_a_failed_part_fails_the_call_and_carries_the_others(clock: Clock, world: World) -> None:
    """Those under way are finished, no further one begins, and the error says how many are done."""

    def second_fails(request: LoggedRequest, random: object) -> Act:
        return Act(status=400) if request.number == 2 else Act(first_token=1.0)

    world.model("e", second_fails)
    error = failed(clock, world, ["a"] * 1000, model="sim-gemini:e", deadline=None)

    assert (type(error), clock.now, len(world.seen)) == (AllModelsFailed, 1.0, 8)
    done = [vector is not None for vector in error.vectors]
    assert done == [True] * 100 + [False] * 100 + [True] * 600 + [False] * 200
    assert error.message == (
        "All models failed: sim-gemini:e: The simulated model answers 400. (HTTP 400) "
        "(700 of 1000 texts are done: `vectors` of this error)"
    )
    assert [(one.number, one.outcome) for one in error.trace.attempts] == [
        (number, "failed" if number == 2 else "won") for number in range(1, 9)]
    assert pickle.loads(pickle.dumps(error)).vectors == error.vectors


def test_the_deadline_ends_all_parts(clock: Clock, world: World) -> None:
    """Every part is cut at the same instant, and what is done by then is carried."""
    world.model("e", lambda request, random: Act(first_token=1.0 if request.number == 1 else 9.0))
    error = failed(clock, world, ["a"] * 300, model="sim-gemini:e", deadline=5.0)

    assert (type(error), clock.now) == (DeadlineExceeded, 5.0)
    assert sum(vector is not None for vector in error.vectors) == 100


def test_parts_of_two_lengths_are_an_error(clock: Clock, world: World) -> None:
    """A provider that answers two parts with two models gives no vectors that can be compared."""
    world.model("e", Act(dimensions=8), Act(dimensions=4))
    error = failed(clock, world, ["a"] * 200, model="sim-gemini:e")

    assert error.message == (
        "the parts of the call have come back in 4 and 8 dimensions: the provider has answered with two models")


def test_a_cancelled_caller_leaves_nothing(clock: Clock, world: World) -> None:
    """All parts are cancelled at that instant, and their connections closed."""
    world.model("e", Act(first_token=9.0))
    events: list[object] = []

    async def scenario() -> tuple[float, int, int]:
        async with Router(world.config(), transport=world.transport(), listeners=[events.append]) as router:
            task = asyncio.create_task(router.embed(["a"] * 1000, model="sim-gemini:e"))
            await asyncio.sleep(2.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return clock.now, world.open, len(world.seen)

    assert clock.run(scenario()) == (2.0, 0, 8)
    (ended,) = [event for event in events if isinstance(event, CallEnded)]
    assert {attempt.outcome for attempt in ended.trace.attempts} == {"cancelled"}


def test_a_router_that_closes_ends_the_call(clock: Clock, world: World) -> None:
    """`aclose()` during the call is a `RouterClosed`; a closed router refuses the next one."""
    world.model("e", Act(first_token=9.0))

    async def scenario() -> list[str]:
        router, raised = Router(world.config(), transport=world.transport()), []
        task = asyncio.create_task(router.embed(["a"] * 1000, model="sim-gemini:e"))
        await asyncio.sleep(1.0)
        await router.aclose()
        for call in (task, router.embed("a", model="e")):
            try:
                await call
            except RouterClosed as error:
                raised.append(type(error).__name__)
        return raised

    assert clock.run(scenario()) == ["RouterClosed", "RouterClosed"]


# What others see.


def test_events_and_trace_have_one_id(clock: Clock, world: World) -> None:
    """A call of three requests begins once and ends once, and every event has its id."""
    world.model("e")
    events: list[object] = []

    async def scenario() -> Embeddings:
        async with Router(world.config(), transport=world.transport(), listeners=[events.append]) as router:
            return await router.embed(["a"] * 300, model="sim-gemini:e", tags={"a": "b"})

    vectors = clock.run(scenario())

    assert {event.trace.id for event in events} == {vectors.trace.id}  # type: ignore[attr-defined]
    counted = [sum(isinstance(event, kind) for event in events) for kind in (CallStarted, AttemptEnded, CallEnded)]
    assert counted == [1, 3, 1]
    assert [attempt.number for attempt in vectors.trace.attempts] == [1, 2, 3]
    assert vectors.trace.tags == {"a": "b"}


def test_what_is_learned_holds_for_both(clock: Clock, world: World) -> None:
    """A key that is turned down for embeddings is out for chats, too: it is the same account."""
    world.model("e", Act(why="key"))

    async def scenario() -> type | None:
        config = world.config(providers={"sim": {"key": "env:SIM_KEY"}})
        async with Router(config, transport=world.transport()) as router:
            for call in (router.embed("a", model="e"), router.chat("a", model="other")):
                try:
                    await call
                except AllModelsFailed as error:
                    last = error.last
            return type(last)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIM_KEY", "k")
        assert clock.run(scenario()) is NotSent


def test_health_has_the_model(clock: Clock, world: World) -> None:
    """A model that was asked for embeddings is among those of `health()`."""
    world.model("e")

    async def scenario() -> list[str]:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.embed("a", model="e")
            return list(router.health())

    assert clock.run(scenario()) == ["e"]


@pytest.mark.parametrize("name", ["text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"])
def test_known_models_have_a_price(clock: Clock, world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's embedding models cost what its price list says."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    world.model(name)

    async def scenario() -> float | None:
        async with Router({}, transport=world.transport()) as router:
            return (await router.embed("a b c", model=f"openai:{name}")).cost_usd

    prices = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.1}
    assert clock.run(scenario()) == 3 * prices[name] / 1e6
