"""What takes a call to the next model: context windows, `accept`; whose exceptions do not; and what is logged."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import AllModelsFailed, Model, NotAccepted, Reply, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, REJECTED, SPREAD, Tried, ask, asked, call, play, script, tried


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ((8000, 8000, 16_000), ["a failed", "b not_sent", "c won"]),
        ((8000, 4000, 16_000), ["a failed", "b not_sent", "c won"]),
        ((8000, None, 16_000), ["a failed", "b won"]),
        ((None, 4000, 8000), ["a failed", "b won"]),
        ((8000, 8000, 4000), ["a failed", "b not_sent", "c not_sent"]),
    ],
)
def test_prompt_too_long_for_small_windows(
    clock: Clock, world: World, windows: tuple[int | None, ...], expected: list[str]
) -> None:
    """A prompt that is too long goes on only to models with a larger window, or an unknown one."""
    script(world, Act(status=400, code="context_length_exceeded"), HEALTHY, HEALTHY)
    models: dict[str, dict[str, object]] = {name: {"provider": "sim", "id": name} for name in "abc"}
    for name, window in zip("abc", windows, strict=True):
        models[name] |= {} if window is None else {"context": window}

    result = call(clock, world, tables={"models": models})

    assert [f"{one.model} {one.outcome}" for one in tried(result.trace)] == expected
    assert [int(f"{name} won" in expected) for name in "bc"] == asked(world, "bc")
    assert isinstance(result, Reply if "won" in expected[-1] else AllModelsFailed)


def test_unaccepted_reply_escalates(clock: Clock, world: World) -> None:
    """A reply that is not accepted is kept with its cost, is not retried, and the next model is asked."""
    script(world, Act(text="no", first_token=0.5), Act(text="yes", first_token=0.5), HEALTHY)
    price = {"input": 1.0, "output": 1.0}
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": price} for name in "abc"}

    result = call(clock, world, tables={"models": models}, accept=lambda reply: reply.text == "yes")

    assert isinstance(result, Reply)
    assert tried(result.trace) == [
        Tried("a", "first", "not_accepted", "NotAccepted", 200, 0.0, 0.5),
        Tried("b", "escalate", "won", None, 200, 0.5, 1.0),
    ]
    turned_down = result.trace.attempts[0].error
    assert isinstance(turned_down, NotAccepted)
    assert turned_down.reply is not None
    assert (turned_down.reply.text, turned_down.reply.model, turned_down.reply.cost_usd) == ("no", "a", 2e-6)
    assert (result.cost_usd, result.trace.cost_usd) == (2e-6, 4e-6)


@pytest.mark.parametrize("place", range(3))
def test_strangers_exception_propagates(clock: Clock, world: World, place: int) -> None:
    """An exception of `accept` is raised unchanged, nothing else is asked, and nothing is remembered."""
    script(world, *[REJECTED] * place, HEALTHY, HEALTHY, HEALTHY)
    mine = KeyError("mine")

    def accept(reply: Reply) -> bool:
        raise mine

    async def scenario(router: Router) -> None:
        with pytest.raises(KeyError) as caught:
            await router.chat("hello", task="coding", accept=accept)
        assert caught.value is mine
        assert {health.standing for health in router.health().values()} == {"ready"}
        assert {health.in_flight for health in router.health().values()} == {0}

    play(clock, world, scenario)

    assert asked(world) == [1] * (place + 1) + [0] * (2 - place)
    assert world.open == 0


def test_listeners_exception_is_logged(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A listener's exception is logged with its traceback, and the call goes on."""
    script(world, HEALTHY)

    def listener(event: object) -> None:
        raise KeyError("a listener's")

    result = play(clock, world, ask, listeners=(listener,))

    assert isinstance(result, Reply)
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {KeyError}


def test_turned_down_request_is_told_once(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A `Rejected` is one WARNING for each model and message, however often it comes."""
    strange = Act(status=422, message="temperature: out of range")
    script(world, (REJECTED, REJECTED, strange), REJECTED, HEALTHY)

    async def scenario(router: Router) -> None:
        for _ in range(4):
            await ask(router)

    play(clock, world, scenario)

    assert [(record.levelname, record.message) for record in caplog.records if record.levelno > 20] == [
        ("WARNING", "a: The simulated model answers 400. (HTTP 400)"),
        ("WARNING", "b: The simulated model answers 400. (HTTP 400)"),
        ("WARNING", "a: temperature: out of range (HTTP 422)"),
    ]


@pytest.mark.parametrize(
    "act",
    [
        Act(status=401), Act(status=403), Act(status=402, code="insufficient_quota"),
        Act(status=404, code="model_not_found"),
    ],
    ids=lambda act: str(act.status),
)
def test_what_needs_a_person_is_told_once(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, act: Act
) -> None:
    """A bad key, an empty account or a missing model is one WARNING, not one for each call."""
    script(world, act, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> None:
        for _ in range(3):
            await ask(router)
            await asyncio.sleep(1000)

    play(clock, world, scenario, **SPREAD)

    assert [
        record.message for record in caplog.records if record.levelname == "WARNING"
    ] == [f"a: The simulated model answers {act.status}. (HTTP {act.status})"]
    assert len(world.asked("a")) == 3


def test_retired_model_names_its_successor(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The warning about a 404 names the model's successor where one is known."""
    script(world, Act(status=404, code="model_not_found"), HEALTHY)
    old = Model(provider="sim", id="a", name="a", successor="b")

    call(clock, world, chain=[old, "b"])

    assert [
        record.message for record in caplog.records if record.levelname == "WARNING"
    ] == ["a: The simulated model answers 404. (HTTP 404); it has been replaced by b"]
