"""What cannot be sent is refused before anything is sent, and by name; once something was, it costs only its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import ConfigError, Reply, Router
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ask, models_sent, tried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROVIDERS: dict[str, object] = {
    "gemini": {"wire": "gemini", "base_url": "http://gemini.test/v1beta"},
    "anthropic": {"wire": "anthropic", "base_url": "http://anthropic.test/v1"},
}


def routed(clock: Clock, world: World, use: Callable[[Router], Awaitable[Any]]) -> Any:
    world.model("a", Act(status=400, message="no"))
    world.model("b", Act(text="hi"))
    world.model("m", Act(text="hi"))

    async def main() -> Any:
        async with Router(world.config(providers=PROVIDERS), transport=world.transport()) as router:
            return await use(router)

    return clock.run(main())


@pytest.mark.parametrize(
    "name",
    ["gemini:a/../b", "gemini:../v1", "gemini:a?x=1", "gemini:a#b", "gemini:a%2e%2e", "gemini:a//b", "gemini:/a",
     "gemini:a b", "gemini:a\nb", "gemini:a\0", "gemini:é", "a\ud800", "anthropic:\udcff"],
)
@pytest.mark.parametrize("how", ["chat", "stream"])
def test_an_id_that_cannot_be_sent(clock: Clock, world: World, how: str, name: str) -> None:
    """An id that would change an address, or that UTF-8 cannot express, also where it stands last in the chain."""
    with pytest.raises(ConfigError, match=r"^model: expected an id that (can stand in an address|UTF-8 can express)"):
        routed(clock, world, lambda router: ask(router, how, chain=["a", "b", name]))
    assert not world.seen


@pytest.mark.parametrize("name", ["gemini:m", "gemini:models/m", "gemini:tunedModels/m-1", "gemini:a/b.c@1~x+y"])
def test_ids_that_can_be_sent(clock: Clock, world: World, name: str) -> None:
    """Prefixes of Google's and other parts of an address are planned."""
    async def plan(router: Router) -> str:
        return router.explain(model=name).steps[0].provider

    assert routed(clock, world, plan) == "gemini"


@pytest.mark.parametrize("params", [{"tools": 5}, {"response_format": 3}, {"response_format": {"type": "json_schema"}}])
def test_what_only_a_later_api_cannot_write(clock: Clock, world: World, params: dict[str, object]) -> None:
    """The first API has been sent it; so the second model is passed over, says why, and the third one answers."""
    reply = routed(clock, world, lambda router: ask(router, chain=["a", "anthropic:m", "b"], params=params))

    assert isinstance(reply, Reply)
    assert models_sent(reply) == ["a", "b"]
    assert [one.error for one in tried(reply.trace)] == ["Rejected", "NotSent", None]
    message = reply.trace.attempts[1].error.message  # type: ignore[union-attr]
    assert message.startswith(f"the request cannot be written for it: {next(iter(params))}")


def test_what_the_first_api_cannot_write(clock: Clock, world: World) -> None:
    """It is refused, as nothing has been sent yet."""
    with pytest.raises((TypeError, ValueError), match=r"^tools"):
        routed(clock, world, lambda router: ask(router, chain=["anthropic:m", "b"], tools=5))
    assert not world.seen
