"""`Router.models`: the models that a provider serves."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from asyncrouter import BadReply, ConfigError, NotSent, Router
from tests.helpers.canned import CannedResponse
from tests.helpers.planted import KEY, ROTATED
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from asyncrouter import Request
    from asyncrouter.sim import Clock, World


def test_models_lists_what_the_provider_serves(clock: Clock, world: World) -> None:
    """It lists the ids of the default provider, or of the one that is named; an unknown one is a `ConfigError`."""
    world.model("a")
    world.model("b")

    async def scenario() -> None:
        async with router_of(world, providers={"other": {"base_url": "http://other.test/v1"}}) as router:
            assert await router.models() == ["a", "b"]
            assert await router.models("other") == ["a", "b"]
            with pytest.raises(ConfigError, match="unknown provider 'nobody'"):
                await router.models("nobody")

    clock.run(scenario())


def test_models_without_a_key(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not set is an error before anything is sent."""
    monkeypatch.delenv("SIM_KEY", raising=False)

    async def scenario() -> None:
        async with router_of(world, providers={"sim": {"key": "env:SIM_KEY"}}) as router:
            with pytest.raises(NotSent, match="SIM_KEY is not set"):
                await router.models()

    clock.run(scenario())
    assert "SIM_KEY" not in os.environ


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_models_renews_a_key(clock: Clock, world: World, seconds: float) -> None:
    """After a 401 an async key function is asked again, and the list once more if it has another key."""
    world.model("a")
    keys = [KEY, ROTATED]
    sent: list[str] = []
    inner = world.transport()

    async def key() -> str:
        await asyncio.sleep(seconds)
        return keys.pop(0)

    class Locked:
        """Turns the first key down."""

        async def send(self, request: Request) -> object:
            sent.append(request.headers["Authorization"].removeprefix("Bearer "))
            if sent[-1] == KEY:
                return CannedResponse((401, "application/json", b"{}"), 99)
            return await inner.send(request)

        async def aclose(self) -> None:
            await inner.aclose()

    async def scenario() -> list[str]:
        config = world.config(providers={"sim": {"key": key}})
        async with Router(config, transport=Locked()) as router:  # type: ignore[arg-type]
            return await router.models()

    assert clock.run(scenario()) == ["a"]
    assert sent == [KEY, ROTATED]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"data":[' + b"[]," * 600_000 + b"1]}", "more values in it than any answer has"),
        (b'{"data":[' + b'{"id":"x"},' * 300_000 + b"1]}", "more values in it than any answer has"),
        (b'{"data":["' + b"x" * (9 << 20) + b'"]}', "a list of models of more than 8388608 bytes"),
    ],
    ids=["lists", "objects", "bytes"],
)
def test_a_list_without_an_end_is_given_up(clock: Clock, body: bytes, message: str) -> None:
    """A hostile list neither fills the memory nor holds the loop."""

    class Hostile:
        async def send(self, request: Request) -> CannedResponse:
            return CannedResponse((200, "application/json", body), 1 << 16)

        async def aclose(self) -> None:
            """Nothing is open."""

    async def scenario() -> None:
        config = {"default_provider": "p", "providers": {"p": {"base_url": "http://h.test/v1"}}}
        async with Router(config, transport=Hostile()) as router:  # type: ignore[arg-type]
            with pytest.raises(BadReply, match=message):
                await router.models()

    clock.run(scenario())
