"""A parameter that the provider names as refused: asked once more without it, at once, and so from then on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Notice, Reply, Retry, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, REJECTED, Tried, ask, asked, call, play, script, tried

if TYPE_CHECKING:
    from collections.abc import Mapping

ONCE = Retry(attempts=1)


def refused(param: str, message: str = "Unsupported parameter: '{}' is not supported with this model.") -> Act:
    """An error in OpenAI's words that names a parameter."""
    return Act(status=400, message=message.format(param), param=param, code="unsupported_parameter")


def bodies(world: World, model: str = "a") -> list[Mapping[str, Any]]:
    """What a model was sent, in order."""
    return [request.body for request in world.asked(model)]


@pytest.mark.parametrize("mode", MODES)
def test_a_named_parameter_is_left_out_at_once(clock: Clock, world: World, mode: str) -> None:
    """The same model is asked again without a pause, and not for one of its attempts; nobody else is asked."""
    script(world, (refused("temperature"), HEALTHY), HEALTHY)

    result = call(clock, world, mode=mode, retry=ONCE, temperature=0.2, top_p=0.5)

    assert tried(result.trace) == [
        Tried("a", "first", "failed", "Rejected", 400, 0.0, 0.0),
        Tried("a", "retry", "won", None, 200, 0.0, 0.0),
    ]
    assert [("temperature" in body, body["top_p"]) for body in bodies(world)] == [(True, 0.5), (False, 0.5)]


@pytest.mark.parametrize("mode", MODES)
def test_it_is_remembered_for_that_model_and_said_once(clock: Clock, world: World, mode: str) -> None:
    """Later calls do not send it to that model any more, but to others; a warning names model and parameter."""
    script(world, (refused("temperature"), HEALTHY), HEALTHY)
    notices: list[Notice] = []
    tables = {"defaults": {"wire_stream": mode != "buffered"}}

    async def scenario(router: Router) -> None:
        for model in ("a", "a", "b"):
            result = await ask(router, "stream" if mode == "stream" else "chat", model=model, temperature=0.2)
            assert isinstance(result, Reply)

    play(clock, world, scenario, listeners=(lambda event: notices.append(event)
                                            if isinstance(event, Notice) else None,), **tables)

    assert ["temperature" in body for body in bodies(world)] == [True, False, False]
    assert ["temperature" in body for body in bodies(world, "b")] == [True]
    assert notices == [Notice("a", "a: temperature is refused by this model and left out from now on; "
                                   "drop = ['temperature'] says so from the start")]


def test_calls_in_flight_together_each_go_once_more(clock: Clock, world: World) -> None:
    """All of them were sent with the parameter, so each is worth another request without it."""
    world.model("a", *[refused("seed")] * 5, HEALTHY)

    async def scenario(router: Router) -> list[object]:
        return await asyncio.gather(*(ask(router, model="a", seed=1, retry=ONCE) for _ in range(5)))

    results = play(clock, world, scenario)

    assert [type(result) for result in results] == [Reply] * 5
    assert ["seed" in body for body in bodies(world)] == [True] * 5 + [False] * 5


def test_each_of_several_parameters_is_named_in_its_turn(clock: Clock, world: World) -> None:
    """A provider names one at a time; three of them are given up for one call, then the next model is asked."""
    script(world, (refused("store"), refused("top_p"), refused("stop"), refused("user"), HEALTHY), HEALTHY)

    result = call(clock, world, retry=ONCE, store=True, top_p=0.5, stop=["x"], user="u")

    assert [(one.model, one.outcome) for one in tried(result.trace)] == [("a", "failed")] * 4 + [("b", "won")]
    assert [sorted({"store", "top_p", "stop", "user"} & body.keys()) for body in bodies(world)] == [
        ["stop", "store", "top_p", "user"], ["stop", "top_p", "user"], ["stop", "user"], ["user"],
    ]


def test_a_complaint_that_leaving_out_does_not_cure(clock: Clock, world: World) -> None:
    """If the provider still names it, it meant something else: the next model is asked, and nothing is remembered."""
    script(world, refused("seed"), HEALTHY)

    async def scenario(router: Router) -> list[object]:
        return [await ask(router, seed=1, retry=ONCE) for _ in range(2)]

    for result in play(clock, world, scenario):
        assert isinstance(result, Reply)
        assert [(one.model, one.status) for one in tried(result.trace)] == [("a", 400), ("a", 400), ("b", 200)]
    assert ["seed" in body for body in bodies(world)] == [True, False, True, False]


@pytest.mark.parametrize("status", [404, 413, 500])
def test_only_errors_about_the_request_teach(clock: Clock, world: World, status: int) -> None:
    """The words of other errors say nothing about how a request should be written."""
    act = Act(status=status, message="Unsupported parameter: 'store' is not supported with this model.")
    script(world, act, HEALTHY)

    call(clock, world, retry=ONCE, store=True)

    assert asked(world) == [1, 1, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]), ("n", 2),
        ("response_format", {"type": "json_object"}), ("modalities", ["text"]),
    ],
)
def test_what_would_change_the_answer_is_not_left_out(clock: Clock, world: World, name: str, value: object) -> None:
    """The next model is asked instead: it may take it."""
    script(world, refused(name), HEALTHY)

    call(clock, world, retry=ONCE, **{name: value})

    assert asked(world) == [1, 1, 0]


def test_messages_are_never_changed(clock: Clock, world: World) -> None:
    """Nor is a field of a message that the provider names."""
    script(world, refused("messages[0].content"), HEALTHY)

    call(clock, world, retry=ONCE)

    assert asked(world) == [1, 1, 0]


def test_a_400_that_names_nothing_goes_to_the_next_model(clock: Clock, world: World) -> None:
    """As it always did."""
    script(world, REJECTED, HEALTHY)

    result = call(clock, world, retry=ONCE, temperature=0.2)

    assert [(one.model, one.status) for one in tried(result.trace)] == [("a", 400), ("b", 200)]


def test_the_deadline_bounds_it(clock: Clock, world: World) -> None:
    """The second request shares the time of its step."""
    script(world, (refused("store"), Act(fault="hang", at="headers")), HEALTHY)

    result = call(clock, world, retry=ONCE, store=True, deadline=10)

    assert isinstance(result, Reply)
    assert [(one.model, one.outcome) for one in tried(result.trace)] == [("a", "failed"), ("a", "failed"), ("b", "won")]


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_stream_is_asked_for_as_one_body(clock: Clock, world: World, mode: str) -> None:
    """OpenAI streams some models only for organisations that it has verified."""
    act = Act(status=400, message="Your organization must be verified to stream this model.", param="stream",
              code="unsupported_value")
    script(world, (act, HEALTHY) if mode != "buffered" else (HEALTHY,), HEALTHY)

    result = call(clock, world, mode=mode, retry=ONCE)

    assert isinstance(result, Reply)
    assert (result.text, result.model) == ("hi", "a")
    assert "stream" not in bodies(world)[-1]
    assert "stream_options" not in bodies(world)[-1]


def test_stream_options_can_be_dropped_from_the_start(clock: Clock, world: World) -> None:
    """`drop` works for what the router itself writes; without `stream` an answer comes in one piece."""
    script(world, HEALTHY, HEALTHY)
    models = {"a": {"provider": "sim", "id": "a", "drop": ["stream_options"]},
              "b": {"provider": "sim", "id": "b", "drop": ["stream"]}}
    for name in "ab":
        result = call(clock, world, mode="stream", tables={"models": models}, model=name)
        assert isinstance(result, Reply)

    assert ("stream" in bodies(world)[0], "stream_options" in bodies(world)[0]) == (True, False)
    assert not {"stream", "stream_options"} & bodies(world, "b")[0].keys()
