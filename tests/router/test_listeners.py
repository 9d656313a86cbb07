"""Listeners are plain functions: an async one would never run, so it is refused, or said in the log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Router
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


async def listen(event: object) -> None: ...


class Listener:
    async def __call__(self, event: object) -> None: ...

    async def method(self, event: object) -> None: ...


@pytest.mark.parametrize("listener", [listen, Listener(), Listener().method, partial(listen)])
def test_an_async_listener_is_refused(listener: Any) -> None:
    """A function, an object with an async `__call__`, a method, a partial: a `TypeError` when the router is made."""
    with pytest.raises(TypeError, match="listeners: expected plain functions, got the async "):
        Router(listeners=[print, listener])


def test_a_coroutine_from_a_plain_listener_is_said(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be seen before is logged, and the call goes on; no coroutine is left that was never awaited."""
    world.model("a", Act(text="hi"))

    async def scenario() -> str:
        listeners: list[Any] = [lambda event: listen(event)]
        async with Router(world.config(), transport=world.transport(), listeners=listeners) as router:
            return (await router.chat("x", model="a")).text

    assert clock.run(scenario()) == "hi"
    assert "it returned a coroutine, which nobody runs" in caplog.text
