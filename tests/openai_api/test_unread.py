"""A call that no client reads along: one JSON body from the provider, unless a setting needs its contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.openai_api import OpenAIApi
from asyncrouter.openai_api._unread import MAX_CHOICES
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat, respond
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def streamed(clock: Clock, world: World, model: str, tables: dict[str, object], *, stream: bool = False) -> list[bool]:
    """Whether each request asked its provider for a stream."""
    world.model("m", Act(text="one two"))
    answer, _ = respond(clock, world, chat(model, stream=stream), **tables)

    assert answer.status == 200
    return [seen.stream for seen in world.seen]


@pytest.mark.parametrize(("model", "tables", "streams"), [
    ("m", {}, False), ("m,n", {}, False), ("task:t", {"tasks": {"t": ["m"]}}, False),
    ("tier:b", {"tiers": {"b": ["m"]}}, False), ("m", {"defaults": {"total": 9.0, "deadline": 9.0}}, False),
    ("m", {"defaults": {"first_token": "none", "idle": "none"}}, False), ("m", {"defaults": {"idle": 5.0}}, True),
    ("m", {"defaults": {"first_token": 5.0}}, True), ("m", {"defaults": {"hedge": {"after": 1.5}}}, True),
    ("m", {"defaults": {"wire_stream": True}}, True),
    ("task:t", {"tasks": {"t": {"models": ["m"], "first_token": 5.0}}}, True),
    ("task:t", {"tasks": {"t": {"models": ["m"], "hedge": {"after": 1.5}}}}, True),
    ("task:t", {"tasks": {"t": {"models": [{"model": "m", "idle": 5.0}, "n"]}}}, True),
])  # fmt: skip
def test_an_unread_answer_is_one_body(
    clock: Clock, world: World, model: str, tables: dict[str, object], streams: bool
) -> None:
    """Unless a limit on its contents, a hedge, or `wire_stream` is set, on whichever level."""
    world.model("n", Act(text="other"))

    assert streamed(clock, world, model, tables) == [streams]


def test_a_stream_is_a_stream(clock: Clock, world: World) -> None:
    """A client that reads along gets every content as it comes."""
    assert streamed(clock, world, "m", {}, stream=True) == [True]


def test_an_unknown_task_is_that_of_default(clock: Clock, world: World) -> None:
    """Where the configuration lets it be: then it is judged by the chain that it uses."""
    tables: dict[str, object] = {"tasks": {"default": {"models": ["m"], "idle": 5.0}}, "unknown_task": "default"}

    assert streamed(clock, world, "task:nope", tables) == [True]


def test_a_silent_model_costs_its_share_of_the_deadline(clock: Clock, world: World) -> None:
    """Nothing else limits it then, and the next one still answers in time."""
    world.model("silent", Act(fault="hang"))
    world.model("m", Act(text="one"))
    answer, _ = respond(clock, world, chat("silent,m", {"x-asyncrouter-deadline": "10"}))

    assert (answer.status, answer.headers["x-asyncrouter-model"], clock.now) == (200, "m", 5.0)


def test_what_is_remembered_is_bounded(clock: Clock, world: World) -> None:
    """Names come from clients; another configuration is judged anew."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with router_of(world) as router:
            api = OpenAIApi(router)
            for number in range(MAX_CHOICES + 5):
                api._unread.of(router, {"model": f"m{number}"})
            assert len(api._unread._known) <= MAX_CHOICES
            await api.respond(chat())
            router.reload(world.config(defaults={"idle": 5.0}))
            await api.respond(chat())

    clock.run(scenario())

    assert [seen.stream for seen in world.seen] == [False, True]
