"""No key, and no header that may hold one, is in any text: a repr, a log, a trace, an exception or what caused it."""

from __future__ import annotations

import asyncio
import logging
from asyncio import gather
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import (
    AttemptError,
    CallError,
    Event,
    Provider,
    Refused,
    Request,
    Router,
    RouterError,
    StreamInterrupted,
    Unauthorized,
)
from asyncrouter._credentials import Credential
from asyncrouter.sim import Act, Clock, Seen, World
from tests.helpers.failing import ONCE
from tests.helpers.loopback import Peer, run, serving
from tests.helpers.planted import CALLERS, HEADER, KEY, PASSWORD, QUERY, ROTATED, SECRETS, chain_of, texts_of

if TYPE_CHECKING:
    from random import Random

ECHO = " ".join(SECRETS)
"""A message with every secret in it."""


def configured(world: World) -> dict[str, object]:
    """A provider with a secret in every place that can hold one."""
    sim = {
        "key": "env:SIM_KEY", "headers": {"X-Auth": HEADER}, "query": {"code": QUERY},
        "proxy": f"http://user:{PASSWORD}@proxy.test:8080",
    }
    return world.config(providers={"sim": sim}, tasks={"default": ["a"]})


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM_KEY", KEY)


def leaks(text: str) -> list[str]:
    """The secrets in a text; the last twelve characters of one are enough, or its first two thirds."""
    return [secret for secret in SECRETS if secret[-12:] in text or secret[: len(secret) * 2 // 3] in text]


# ── what a router shows ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_router_does_not_show_its_secrets(clock: Clock, world: World) -> None:
    """Configuration, router, plan, health, replies and traces hold no secret, before and after a call."""
    world.model("a")

    async def scenario() -> str:
        async with Router(configured(world), transport=world.transport()) as router:
            shown = [repr(router.config), repr(router), str(router.explain()), repr(router.explain())]
            reply = await router.chat("x", headers={"X-User": CALLERS})
            shown += [
                repr(router), repr(router.config), repr(router.config.providers), str(router.health()),
                repr(router.explain()), repr(reply), str(reply.trace), repr(reply.trace), str(reply.raw),
                repr(vars(router)), repr(router._life.engine),
            ]
            async with router.stream("x", headers={"X-User": CALLERS}) as stream:
                async for chunk in stream:
                    shown.append(repr(chunk))
                shown += [repr(stream), repr(stream.trace)]
            return "\n".join(shown)

    assert leaks(clock.run(scenario())) == []
    headers = world.seen[0].headers
    assert (headers["authorization"], headers["x-auth"], headers["x-user"]) == (f"Bearer {KEY}", HEADER, CALLERS)
    assert world.seen[0].url.endswith(f"?code={QUERY}")


def test_a_request_does_not_show_its_content() -> None:
    """Headers, body and proxy of a request are not in its `repr`."""
    request = Request("POST", "http://h/v1", {"Authorization": KEY}, KEY.encode(), proxy=f"http://{PASSWORD}@p")

    assert leaks(repr(request)) == []


def test_a_credential_does_not_show_its_key() -> None:
    """Neither a credential nor its provider shows the key, whether it comes from the environment or a function."""
    for source in ("env:SIM_KEY", lambda: KEY):
        provider = Provider(name="p", base_url="http://h/v1", key=source, headers={"X-Auth": HEADER})
        credential = Credential(provider)
        asyncio.run(credential.fetch())
        key = credential.get()
        assert leaks(f"{credential!r} {provider!r} {key!r} {key}") == []
        assert key == KEY


# ── what a provider echoes ───────────────────────────────────────────────────────────────────────────────────────────

HTML = f"<html><head><title>Bad key {ECHO}</title></head><body>{ECHO}</body></html>".encode()
LONG = f"{'x' * 470} {KEY} and so on {'y' * 200}"
ECHOES = {
    "message": Act(status=401, message=f"Incorrect API key provided: {ECHO}"),
    "code": Act(status=400, code=KEY, type=HEADER, message="no"),
    "metadata": Act(status=502, style="openrouter", message="Provider returned error", metadata={"raw": ECHO}),
    "html": Act(status=403, body=HTML),
    "text": Act(status=400, body=ECHO.encode()),
    "cut short": Act(status=400, message=LONG),
    "redirect": Act(status=302, headers={"location": f"https://h/{KEY}?code={QUERY}&x={HEADER}"}),
    "html in a 200": Act(body=HTML),
    "text in a 200": Act(body=f"{'x' * 190} {KEY} {ECHO}".encode()),
    "error in a 200": Act(fault="error", at=0, message=ECHO),
    "refusal": Act(status=400, code="content_filter", message=ECHO),
    "rate limit": Act(status=429, message=ECHO),
    "out of credit": Act(status=402, message=ECHO),
    "no such model": Act(status=404, message=ECHO),
    "server": Act(status=500, message=ECHO),
}


@pytest.mark.parametrize("name", ECHOES)
def test_what_a_provider_echoes_is_masked(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Error, its causes and traceback, trace, events, log, health and plan hold no secret that an answer repeats."""
    world.model("a", ECHOES[name])
    events: list[Event] = []
    headers = {"X-User": CALLERS, "X-Old": f"Bearer {ROTATED}", "X-Proxy": PASSWORD}

    async def scenario() -> str:
        async with Router(configured(world), transport=world.transport(), listeners=[events.append]) as router:
            with pytest.raises((CallError, Refused)) as caught:
                await router.chat("x", headers=headers, retry=ONCE)
            with pytest.raises((CallError, Refused)):
                await router.chat("x", headers=headers, retry=ONCE)
            assert isinstance(caught.value, RouterError)
            trace = caught.value.trace  # type: ignore[attr-defined]
            return "\n".join([
                texts_of(caught.value), str(trace), repr(trace), str(router.health()), str(router.explain()),
                repr(vars(router)), repr(router._life.engine.policies.holds.keys if router._life.engine else None),
            ])

    with caplog.at_level(logging.DEBUG, "asyncrouter"):
        shown = clock.run(scenario())
    assert leaks(shown) == []
    assert leaks(repr(events)) == []
    assert leaks(caplog.text) == []


def test_only_the_secret_of_a_message_is_masked(clock: Clock, world: World) -> None:
    """The rest of the provider's message stays, and says what is wrong."""
    world.model("a", Act(status=401, message=f"Incorrect API key provided: {KEY}. See the dashboard."))

    async def scenario() -> None:
        async with Router(configured(world), transport=world.transport()) as router:
            await router.chat("x")

    with pytest.raises(CallError) as caught:
        clock.run(scenario())
    message = caught.value.trace.attempts[0].error.message  # type: ignore[union-attr]
    assert message == "Incorrect API key provided: ***. See the dashboard. (key of sim from env:SIM_KEY)"


def test_an_error_in_the_middle_of_a_stream_is_masked(clock: Clock, world: World) -> None:
    """`StreamInterrupted`, its cause and its trace hold no secret."""
    world.model("a", Act(tokens=3, gap=1.0, fault="error", at=1, message=ECHO))

    async def scenario() -> None:
        async with Router(configured(world), transport=world.transport()) as router:
            headers = {"X-User": CALLERS, "X-Old": f"Bearer {ROTATED}", "X-Proxy": PASSWORD}
            async with router.stream("x", headers=headers) as stream:
                async for _ in stream:
                    pass

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert leaks(texts_of(caught.value)) == []


def test_a_list_of_models_that_fails_is_masked(clock: Clock, world: World) -> None:
    """The error of `models()` holds no secret, and says where the key came from."""

    class Echoing:
        """Answers 401 with everything it was sent."""

        def __init__(self) -> None:
            self._inner = world.transport()

        async def send(self, request: Request) -> object:
            world.model("echo", Act(status=401, message=f"{request.headers} {request.url}"))
            asked = Request("POST", "http://h/v1/chat/completions", {}, orjson.dumps({"model": "echo"}))
            return await self._inner.send(asked)

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def scenario() -> None:
        async with Router(configured(world), transport=Echoing()) as router:  # type: ignore[arg-type]
            await router.models()

    with pytest.raises(Unauthorized) as caught:
        clock.run(scenario())
    assert "***" in str(caught.value)
    assert caught.value.message.endswith(" (key of sim from env:SIM_KEY)")
    assert caught.value.provider == "sim"
    assert leaks(texts_of(caught.value)) == []


# ── where a key comes from ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("written", [f"{KEY}\n", f" {KEY} ", f"{KEY}\r\n"])
def test_blanks_around_a_key_are_stripped(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """Blanks and newlines around a key, from the environment or a function, are not sent."""
    monkeypatch.setenv("SIM_KEY", written)
    world.model("a")
    providers = {"sim": {"key": "env:SIM_KEY"}, "other": {"base_url": "http://o.test/v1", "key": lambda: written}}

    async def scenario() -> None:
        async with Router(world.config(providers=providers), transport=world.transport()) as router:
            await router.chat("x", model="a")
            await router.chat("x", model="other:a")

    clock.run(scenario())
    assert [seen.headers["authorization"] for seen in world.seen] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("written", ["", " \n"])
def test_a_blank_key_is_no_key(
    clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """With an empty variable nothing is sent, and the error says that it is not set."""
    monkeypatch.setenv("SIM_KEY", written)
    world.model("a")

    async def scenario() -> None:
        async with Router(configured(world), transport=world.transport()) as router:
            await router.chat("x")

    with pytest.raises(CallError) as caught:
        clock.run(scenario())
    assert caught.value.message == "All default models failed: a: SIM_KEY is not set"
    assert not world.seen


def test_a_key_function_is_asked_again_after_a_401(clock: Clock, world: World) -> None:
    """A rotated key is used at once, and the old one is still masked in answers that come later."""
    keys = iter([KEY, ROTATED])

    def turn(seen: Seen, _: Random) -> Act:
        old = KEY in seen.headers["authorization"]
        return Act(status=401 if old else 200, message=f"bad key {KEY}", first_token=float(seen.number))

    world.model("a", turn)
    config = world.config(providers={"sim": {"key": lambda: next(keys)}})
    events: list[Event] = []

    async def scenario() -> str:
        async with Router(config, transport=world.transport(), listeners=[events.append], seed=1) as router:
            replies = [router.chat("x", model="a") for _ in range(2)]
            return repr([repr(reply.trace) for reply in await gather(*replies)])

    shown = clock.run(scenario())
    assert leaks(shown) == []
    assert leaks(repr(events)) == []
    assert [seen.headers["authorization"].split()[1] for seen in world.seen] == [KEY, KEY, ROTATED, ROTATED]


def test_a_key_function_without_a_new_key(clock: Clock, world: World) -> None:
    """If the function returns nothing after a 401, the 401 stays the reason."""
    keys = iter([KEY, ""])
    world.model("a", Act(status=401, message="bad key"))
    config = world.config(providers={"sim": {"key": lambda: next(keys)}})

    async def scenario() -> None:
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", model="a")

    with pytest.raises(CallError) as caught:
        clock.run(scenario())
    [attempt] = caught.value.trace.attempts
    assert isinstance(attempt.error, Unauthorized)


def test_arguments_that_cannot_be_sent_are_not_quoted(clock: Clock, world: World) -> None:
    """A secret in an argument that is an error is not in the error's text."""

    async def scenario() -> list[str]:
        async with Router(configured(world), transport=world.transport()) as router:
            shown = []
            for asking in (
                {"headers": {"X-User": f"{CALLERS}\n"}},
                {"headers": {"X-User": [CALLERS]}},
                {"headers": [("X-User", CALLERS)]},
                {"params": [CALLERS]},
            ):
                with pytest.raises((TypeError, ValueError)) as caught:
                    await router.chat("x", **asking)  # type: ignore[arg-type]
                shown.append(texts_of(caught.value))
        return shown

    assert leaks("\n".join(clock.run(scenario()))) == []


# ── masking by itself ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_masked() -> None:
    """The key and long header values are masked wherever they stand; short values like "true" are not."""
    provider = Provider(base_url="http://h/v1", key=lambda: KEY, headers={"X-A": HEADER, "X-B": "true"})
    credential = Credential(provider)
    assert credential.mask(f"{KEY} and true") == f"{KEY} and true"  # the key has not been read yet
    asyncio.run(credential.fetch())

    assert credential.mask(f"{KEY} and {KEY} and {HEADER}, true") == "*** and *** and ***, true"
    assert credential.mask(f"cut off: {KEY[:-3]}") == "cut off: ***"
    assert credential.mask(f"cut off: '{KEY[:12]}…'") == "cut off: '***…'"
    assert credential.mask("sk-or") == "sk-or"
    assert credential.mask(f"{CALLERS} then {ROTATED}", CALLERS, None, ROTATED) == "*** then ***"


# ── over real sockets ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["refused", "reset", "cut", "not http", "name", "401"])
def test_no_secret_comes_from_aiohttp(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """aiohttp's exceptions, which hold the headers of the request, are not among the causes of ours."""

    async def handle(peer: Peer) -> None:
        request = await peer.request()
        if how == "reset":
            peer.reset()
        elif how == "cut":
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        elif how == "not http":
            await peer.send(b"SSH-2.0 " + request + b"\r\n\r\n")
        elif how == "401":
            await peer.reply(request, "401 Unauthorized")

    async def main() -> None:
        async with serving(handle) as server:
            port = 9 if how == "refused" else server.port
            host = "name.invalid" if how == "name" else "127.0.0.1"
            sim = {
                "base_url": f"http://{host}:{port}/v1", "key": "env:SIM_KEY", "headers": {"X-Auth": HEADER},
                "query": {"code": QUERY},
            }
            config = {"default_provider": "sim", "providers": {"sim": sim}}
            async with Router(config) as router:
                with pytest.raises(CallError) as caught:
                    await router.chat("x", model="a", headers={"X-User": CALLERS}, retry=ONCE)
                error = caught.value.trace.attempts[0].error
                assert isinstance(error, AttemptError)
                assert leaks(texts_of(caught.value)) == []
                assert leaks(texts_of(error)) == []
                assert not [found for found in chain_of(caught.value) if type(found).__module__.startswith("aiohttp")]

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert leaks(caplog.text) == []
