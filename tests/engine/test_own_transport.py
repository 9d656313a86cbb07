"""Transports of the caller's own that raise in their own way, and a router that closes while they wait."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp
import pytest

from asyncrouter import (
    AiohttpTransport,
    AttemptEnded,
    AttemptError,
    ConnectionFailed,
    Hedge,
    Reply,
    Request,
    Response,
    Router,
    RouterClosed,
    StreamInterrupted,
)
from asyncrouter.sim import Act
from tests.helpers.failing import ONCE, Tried, tried
from tests.helpers.transports import WrappedResponse, WrappingTransport

if TYPE_CHECKING:
    from asyncrouter import Event, Trace
    from asyncrouter.sim import Clock, World

ERRORS = [
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError(),
    OSError("an error of its own"),
    asyncio.IncompleteReadError(b"", 1),
]


class Failing(WrappingTransport):
    """A transport whose `send` raises `error` for model a, after 0.5 s."""

    def __init__(self, world: World, error: BaseException) -> None:
        super().__init__(world, lambda response: response)
        self.error = error

    async def send(self, request: Request) -> Response:
        if b'"a"' in request.body:
            await asyncio.sleep(0.5)
            raise self.error
        return await super().send(request)


class Breaking(WrappedResponse):
    """A response of model a that raises `error` when it is read after its first piece."""

    def __init__(self, inner: Response, error: BaseException, after: int) -> None:
        super().__init__(inner)
        self._error, self._after = error, after

    async def read(self, rest: float = 0.0) -> bytes:
        if self._after == 0:
            raise self._error
        self._after -= 1
        return await super().read(rest)


async def answer(
    router: Router, first: str = "a", second: str = "b", *, streams: bool, hedge: Hedge | None = None
) -> tuple[str, Trace]:
    """The text and the trace of one call of two models."""
    chain = [first, second]
    if streams:
        async with router.stream("hello", chain=chain, retry=ONCE, hedge=hedge) as stream:
            async for _ in stream:
                pass
            return stream.reply.text, stream.trace
    reply = await router.chat("hello", chain=chain, retry=ONCE, hedge=hedge)
    return reply.text, reply.trace


@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.25)], ids=["alone", "hedged"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_os_error_of_a_transport_is_a_lost_connection(
    clock: Clock, world: World, *, error: Exception, hedge: Hedge | None, streams: bool
) -> None:
    """What an own transport's `send` raises about its connection fails the attempt, and the next model answers."""
    world.model("a")
    world.model("b", Act(text="hi", first_token=2.0))

    async def scenario() -> tuple[str, list[Tried]]:
        async with Router(world.config(), transport=Failing(world, error), seed=0) as router:
            text, trace = await answer(router, streams=streams, hedge=hedge)
            return text, tried(trace)

    sent, cause = (0.25, "hedge") if hedge else (0.5, "fallback")
    assert clock.run(scenario()) == (
        "hi",
        [
            Tried("a", "first", "failed", "ConnectionFailed", None, 0.0, 0.5),
            Tried("b", cause, "won", None, 200, sent, sent + 2.0),
        ],
    )


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_os_error_of_a_response_is_a_lost_connection(
    clock: Clock, world: World, *, error: Exception, after: int
) -> None:
    """What an own transport's `read` raises, at once or in the middle, fails the attempt of a call."""
    world.model("a", Act(tokens=3, gap=1.0))
    world.model("b", Act(text="hi"))
    wrapped: list[Response] = []

    def wrap(response: Response) -> Response:
        wrapped.append(response)
        return Breaking(response, error, after) if len(wrapped) == 1 else response

    async def scenario() -> tuple[str, list[str | None]]:
        async with Router(world.config(), transport=WrappingTransport(world, wrap), seed=0) as router:
            text, trace = await answer(router, streams=False)
            return text, [one.error for one in tried(trace)]

    assert clock.run(scenario()) == ("hi", ["ConnectionFailed", None])


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_os_error_in_a_stream_interrupts_it(
    clock: Clock, world: World, *, error: Exception, restart: bool
) -> None:
    """What an own transport's `read` raises in the middle of a stream interrupts it, or begins it anew."""
    world.model("a", Act(text="one two three", tokens=3, gap=1.0))
    world.model("b", Act(text="hi"))
    wrapped: list[Response] = []

    def wrap(response: Response) -> Response:
        wrapped.append(response)
        return Breaking(response, error, 2) if len(wrapped) == 1 else response

    async def scenario() -> tuple[str, list[str | None]]:
        async with Router(world.config(), transport=WrappingTransport(world, wrap), seed=0) as router:
            stream = router.stream(
                "hello", chain=["a", "b"], retry=ONCE, on_interrupt="restart" if restart else "raise"
            )
            try:
                async with stream:
                    async for _ in stream:
                        pass
                    text = stream.reply.text
            except StreamInterrupted as interrupted:
                text = f"{interrupted.partial!r} {type(interrupted.__cause__).__name__}"
            return text, [one.error for one in tried(stream.trace)]

    expected = ("hi", ["ConnectionFailed", None]) if restart else ("'one two' ConnectionFailed", ["ConnectionFailed"])
    assert clock.run(scenario()) == expected


def test_an_os_error_after_the_finish_reason_cuts_nothing_off(clock: Clock, world: World) -> None:
    """A read that raises an `OSError` after the whole answer makes it no worse."""
    world.model("a", Act(text="hi", tail=1.0))

    class Late(WrappedResponse):
        async def read(self, rest: float = 0.0) -> bytes:
            data = await super().read(rest)
            if b"data: [DONE]" in data:
                return data.replace(b"data: [DONE]\n\n", b"")
            if not data:
                raise OSError("gone")
            return data

    async def scenario() -> str:
        async with Router(world.config(), transport=WrappingTransport(world, Late), seed=0) as router:
            return (await router.chat("hello", chain=["a"])).text

    assert clock.run(scenario()) == "hi"


# ── exceptions that are nobody's failure ──────────────────────────────────────────────────────────────────────────────


def noted(trace: Trace) -> list[tuple[str, str | None, str | None, str | None]]:
    """Each attempt: its model, its outcome, the message of its error and its scope."""
    return [
        (one.model, one.outcome, None if one.error is None else one.error.message, one.scope) for one in trace.attempts
    ]


def logged(caplog: pytest.LogCaptureFixture) -> list[object]:
    """The arguments of the exceptions that were logged."""
    return [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]]


@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
def test_an_exception_of_a_hedge_does_not_vanish(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, *, streams: bool
) -> None:
    """When a hedge raises and the first model answers all the same, the exception is logged and on its attempt."""
    world.model("b", Act(text="hi", first_token=2.0))
    world.model("a")
    caplog.set_level(logging.ERROR, "asyncrouter")

    async def scenario() -> tuple[str, Trace]:
        async with Router(world.config(), transport=Failing(world, ZeroDivisionError("a slip")), seed=0) as router:
            return await answer(router, "b", "a", streams=streams, hedge=Hedge(after=0.25))

    text, trace = clock.run(scenario())

    assert text == "hi"
    assert noted(trace) == [("b", "won", None, None), ("a", "failed", "ZeroDivisionError: a slip", "call")]
    assert logged(caplog) == [("a slip",)]


@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("loser_is_the_hedge", [False, True])
def test_a_loser_that_raises_while_it_is_stopped_takes_nothing_from_the_winner(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, *, streams: bool, loser_is_the_hedge: bool
) -> None:
    """An exception of a loser's transport, in answer to being cancelled, is logged, and the winner's answer stands."""
    world.model("a", Act(first_token=60.0, headers_after=60.0))
    world.model("b", Act(text="hi there", tokens=2, first_token=2.0, gap=1.0))
    caplog.set_level(logging.ERROR, "asyncrouter")

    class Clumsy(WrappingTransport):
        async def send(self, request: Request) -> Response:
            try:
                return await super().send(request)
            except asyncio.CancelledError:
                raise ZeroDivisionError("a slip") from None

    async def scenario() -> tuple[str, Trace, int]:
        me = asyncio.current_task()
        assert me is not None
        chain = ("b", "a") if loser_is_the_hedge else ("a", "b")
        async with Router(world.config(), transport=Clumsy(world, lambda response: response), seed=0) as router:
            return *await answer(router, *chain, streams=streams, hedge=Hedge(after=1.0)), me.cancelling()

    text, trace, cancelling = clock.run(scenario())

    assert (text, cancelling) == ("hi there", 0)
    assert {one.model: one.outcome for one in trace.attempts} == {"a": "superseded", "b": "won"}
    assert logged(caplog) == [("a slip",)]


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
def test_an_exception_of_a_response_is_on_its_attempt(
    clock: Clock, world: World, *, streams: bool, after: int
) -> None:
    """What a response raises that is about no connection goes to the caller unchanged, and stands on its attempt."""
    world.model("a", Act(text="one two three", tokens=3, gap=1.0))
    ended: list[AttemptEnded] = []

    def listen(event: Event) -> None:
        if isinstance(event, AttemptEnded):
            ended.append(event)

    async def scenario() -> None:
        transport = WrappingTransport(world, lambda response: Breaking(response, ZeroDivisionError("a slip"), after))
        async with Router(world.config(), transport=transport, seed=0, listeners=[listen]) as router:
            with pytest.raises(ZeroDivisionError, match="a slip"):
                await answer(router, "a", "a", streams=streams)
            assert not any(model.in_flight for model in router.health().values())

    clock.run(scenario())

    assert [noted(event.trace) for event in ended] == [[("a", "failed", "ZeroDivisionError: a slip", "call")]]


def test_an_exception_of_accept_is_on_its_attempt(clock: Clock, world: World) -> None:
    """What `accept` raises goes to the caller unchanged, and its attempt says what it was."""
    world.model("a", Act(text="hi"))
    traces: list[Trace] = []

    def accept(reply: Reply) -> bool:
        assert reply.trace is not None
        traces.append(reply.trace)
        raise ZeroDivisionError("a slip")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport(), seed=0) as router:
            await router.chat("hello", chain=["a"], accept=accept)

    with pytest.raises(ZeroDivisionError, match="a slip"):
        clock.run(scenario())
    assert noted(traces[0]) == [("a", "failed", "ZeroDivisionError: a slip", "call")]


# ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streams", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.02)], ids=["alone", "hedged"])
def test_closing_during_a_name_lookup_cancels_nobody(
    monkeypatch: pytest.MonkeyPatch, world: World, *, hedge: Hedge | None, streams: bool
) -> None:
    """A call that is looking a name up when the router closes raises `RouterClosed`: nobody has cancelled it."""
    asked = asyncio.Semaphore(0)

    async def getaddrinfo(*_: object, **__: object) -> None:
        asked.release()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "getaddrinfo", getaddrinfo)
    spread = {"a": {"provider": "x", "id": "a"}, "b": {"provider": "y", "id": "b"}}
    providers = {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in "xy"}

    async def main() -> None:
        router = Router({"providers": providers, "models": spread}, transport=AiohttpTransport())
        calling = asyncio.ensure_future(answer(router, streams=streams, hedge=hedge))
        for _ in range(2 if hedge else 1):
            await asked.acquire()
        await router.aclose()
        with pytest.raises(RouterClosed):
            await calling
        assert calling.cancelling() == 0

    asyncio.run(main())


def test_a_cancelled_call_stays_cancelled_when_the_router_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that its caller has cancelled at the same instant raises `CancelledError`, and nothing else."""

    async def getaddrinfo(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "getaddrinfo", getaddrinfo)
    tables = {"providers": {"x": {"wire": "openai", "base_url": "http://x.test/v1"}}}

    async def main() -> None:
        router = Router({**tables, "models": {"a": {"provider": "x", "id": "a"}}}, transport=AiohttpTransport())
        calling = asyncio.ensure_future(router.chat("hello", chain=["a"]))
        await asyncio.sleep(0.02)
        closing = asyncio.ensure_future(router.aclose())
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await closing

    asyncio.run(main())


@pytest.mark.parametrize("given", [False, True], ids=["own-session", "given-session"])
def test_a_list_of_models_that_waits_for_a_name_fails(monkeypatch: pytest.MonkeyPatch, *, given: bool) -> None:
    """`models()` that looks a name up when the router closes raises `ConnectionFailed`: nobody has cancelled it."""
    asked = asyncio.Semaphore(0)

    async def getaddrinfo(*_: object, **__: object) -> None:
        asked.release()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "getaddrinfo", getaddrinfo)
    tables = {"providers": {"x": {"wire": "openai", "base_url": "http://x.test/v1"}}}

    async def main() -> None:
        session = aiohttp.ClientSession() if given else None
        router = Router(tables, transport=AiohttpTransport(session=session))
        calling = asyncio.ensure_future(router.models("x"))
        await asked.acquire()
        await router.aclose()
        if session is not None:
            await session.close()
        with pytest.raises(ConnectionFailed):
            await calling

    asyncio.run(main())


@pytest.mark.parametrize("error", ERRORS[1:], ids=lambda error: type(error).__name__)
def test_an_os_error_of_a_list_of_models_is_a_failed_attempt(world: World, error: Exception) -> None:
    """What an own transport raises while `models()` waits is an `AttemptError`, too."""

    class Broken(WrappingTransport):
        async def send(self, request: Request) -> Response:
            raise error

    async def main() -> None:
        async with Router(world.config(), transport=Broken(world, lambda response: response)) as router:
            with pytest.raises(AttemptError):
                await router.models()

    asyncio.run(main())
