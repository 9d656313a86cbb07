"""The router: opens and closes everything, opens the trace of each call, and answers questions about itself."""

from __future__ import annotations

import asyncio
import random
import time
from functools import lru_cache, partial
from math import inf
from typing import TYPE_CHECKING, Literal, Self

from asyncrouter._config.arguments import check_headers, check_messages, check_tags, merge_params
from asyncrouter._config.checks import near, seconds
from asyncrouter._config.config import NOT_GIVEN, Config, NotGiven
from asyncrouter._config.load import config_from_toml, load
from asyncrouter._config.plan import Plan, PlannedStep, resolve
from asyncrouter._credentials import Credential
from asyncrouter._engine.engine import Engine
from asyncrouter._engine.race import Race
from asyncrouter._engine.timers import Timers
from asyncrouter._errors import RouterClosed
from asyncrouter._events import REMEMBERED, CallEnded, Events, Notice
from asyncrouter._explain import Explanation, ModelHealth, explain_plan, model_health
from asyncrouter._reply_stream import ReplyStream
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._types import Call, Reply, Trace

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Chain, Hedge, Retry, Step
    from asyncrouter._events import Event
    from asyncrouter._transport.api import Transport
    from asyncrouter._types import Priority

    ChainLike = Chain | Sequence[str | Model | Step]
    HedgeLike = Hedge | Mapping[str, object] | float | Literal["p95"] | None
    RetryLike = Retry | Mapping[str, object]
    Prompt = str | Sequence[Mapping[str, object]]
    Accept = Callable[[Reply], bool | Awaitable[bool]]


class Router:
    """Answers prompts with chains of models over one session. One router serves thousands of concurrent calls.

    `config` is a `Config`, a mapping of the TOML's shape, or `None` for the built-in tables. `tables` names the
    built-in tables to use: "current", "classic" (the founding document's, to the letter) or `None`; not given, it is
    "current" without a config and `None` with one. `transport` carries the requests (default: aiohttp). `listeners`
    are called with every event. `seed` fixes the jitter; `wall` is the wall clock, for the dates of Retry-After.

    `async with` is optional: the session opens at the first call, and `aclose()` ends it. Raises `ConfigError`.
    """

    def __init__(
        self,
        config: Config | Mapping[str, object] | None = None,
        *,
        tables: Literal["current", "classic"] | NotGiven | None = NOT_GIVEN,
        transport: Transport | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
        seed: int | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if transport is not None and not (hasattr(transport, "send") and hasattr(transport, "aclose")):
            raise TypeError(f"transport: expected something with send() and aclose(), got {type(transport).__name__}")
        if callable(listeners) or not all(callable(listener) for listener in listeners):
            raise TypeError(f"listeners: expected a list of functions of an event, got {listeners!r}")
        self.config = load(config, tables)
        self._events = Events(listeners)
        self._transport = transport
        self._random = random.Random(seed)
        self._wall = wall
        self._engine: Engine | None = None
        # By type, too: `True` is no number of seconds, though it equals one.
        self._resolve = lru_cache(REMEMBERED, typed=True)(partial(resolve, self.config))
        self._used: dict[str, PlannedStep] = {}
        self._entered = 0
        self._calls = 0
        self._idle: asyncio.Event | None = None
        self._closed = False

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **options: object) -> Self:
        """A router configured by a TOML file; `options` are the constructor's. Raises `ConfigError` with the path."""
        return cls(config_from_toml(path), **options)  # type: ignore[arg-type]  # the constructor's own, passed on

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._engine is not None else "not opened"
        return f"<Router {state}, {self._calls} calls in flight>"

    # Asking.

    async def chat(
        self,
        prompt: Prompt,
        *,
        task: str | None = None,
        tier: str | None = None,
        chain: ChainLike | None = None,
        model: str | Model | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
        accept: Accept | None = None,
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        **provider_params: object,
    ) -> Reply:
        """The first whole answer of a chain of models.

        `prompt` is text or Chat Completions messages. `task`, `tier`, `chain` or `model` pick the models (none: the
        task "default"); `tier` means the tiers up to and including it. `deadline` is seconds for the whole call, `None`
        for no limit. `hedge` races the next model when one is late (a number: after so many seconds; "p95": later than
        95 % of its answers). `accept(reply)`, sync or async, may turn a reply down; then the next model is asked.
        `tags` go into the trace. Everything else goes to the provider; `params` says the same for names that mean
        something here, `headers` go with every attempt.

        Raises `AllModelsFailed`, `DeadlineExceeded`, `Refused`, `RouterClosed`, `ConfigError`; `TypeError` or
        `ValueError` for arguments that cannot be sent; whatever `accept` raises, unchanged.
        """
        plan = self._plan(task, tier, chain, model, hedge, retry)
        engine = self._open()
        call, trace = self._begin(
            engine, plan, prompt, deadline, accept, priority, tags, params, headers, provider_params
        )
        try:
            reply = await Race(engine, call, plan, trace).run()
        except BaseException as error:
            self._end(engine, call, trace, error)
            raise
        self._end(engine, call, trace, None)
        return reply  # type: ignore[return-value]  # a race that does not stream ends in a reply

    def stream(
        self,
        prompt: Prompt,
        *,
        task: str | None = None,
        tier: str | None = None,
        chain: ChainLike | None = None,
        model: str | Model | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
        on_interrupt: Literal["raise", "restart"] = "raise",
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        **provider_params: object,
    ) -> ReplyStream:
        """The same, chunk by chunk: `async with router.stream(…) as stream: async for chunk in stream: …`.

        The call is committed to a model by its first content. If that model breaks later, `StreamInterrupted` carries
        what had come; with `on_interrupt="restart"` one chunk with `restart=True` tells the caller to drop what it has
        shown, and the steps after the broken one begin again. Leaving the block early cancels the reply at once.

        A FastAPI route that streams to a browser as server-sent events; `app.state.router` is opened by the
        application's lifespan. When the browser leaves, the reply is cancelled:

        ```python
        import json
        from fastapi.responses import StreamingResponse

        @app.get("/story")
        async def story(request: Request, about: str):
            async def events():
                try:
                    async with request.app.state.router.stream(f"A story about {about}.", task="creative") as stream:
                        async for chunk in stream:
                            yield f"data: {json.dumps(chunk.text)}\\n\\n"
                except RouterError:  # the status 200 has gone out already: a failure must be an event
                    yield "event: failed\\ndata: {}\\n\\n"
                else:
                    yield "event: done\\ndata: {}\\n\\n"

            return StreamingResponse(events(), media_type="text/event-stream")
        ```
        """
        if "accept" in provider_params:
            raise TypeError("accept= cannot be used with stream(): its chunks are yours before the reply is whole")
        if on_interrupt not in {"raise", "restart"}:
            raise ValueError(f'on_interrupt: expected "raise" or "restart", got {on_interrupt!r}')
        plan = self._plan(task, tier, chain, model, hedge, retry)
        messages = check_messages(prompt)

        def begin() -> tuple[Engine, Call, Trace]:
            engine = self._open()
            return engine, *self._begin(
                engine, plan, messages, deadline, None, priority, tags, params, headers, provider_params, stream=True
            )

        return ReplyStream(plan, begin, self._end, restart=on_interrupt == "restart")

    # Looking.

    def explain(
        self,
        *,
        task: str | None = None,
        tier: str | None = None,
        chain: ChainLike | None = None,
        model: str | Model | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
    ) -> Explanation:
        """What a call with these arguments would do now: steps, clocks, standing, price. Nothing is sent."""
        plan = self._plan(task, tier, chain, model, hedge, retry)
        return explain_plan(plan, _deadline(plan, deadline), self._engine)

    def health(self) -> dict[str, ModelHealth]:
        """How each model of the tasks, the tiers and past calls stands: what holds it, its attempts now."""
        plans = [self._plan(task, None, None, None, NOT_GIVEN, NOT_GIVEN) for task in self.config.tasks]
        plans += [self._plan(None, tier, None, None, NOT_GIVEN, NOT_GIVEN) for tier in self.config.tiers]
        steps = {step.name: step for plan in plans for step in plan.steps}
        return model_health((self._used | steps).values(), self._engine)

    async def models(self, provider: str | None = None) -> list[str]:
        """The ids a provider (default: the default one) lists now. Raises `AttemptError`, `ConfigError`."""
        from asyncrouter._listing import list_models  # seldom needed

        engine, name = self._open(), provider or self.config.default_provider
        self._speak(engine, name)
        return await list_models(engine.transport, name, engine.wires[name], engine.credentials[name])

    # Life.

    async def __aenter__(self) -> Self:
        if self._entered == 0 or (self._closed and self._engine is None):
            self._closed = False
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered == 0:
            await self.aclose()

    async def drain(self) -> None:
        """Take no new calls, wait for those in flight, then close."""
        self._closed = True
        if self._calls:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection. Calls still in flight fail. Idempotent; bounded to 2 s; entering again reopens."""
        from asyncrouter._engine.shutdown import close  # anyio: two milliseconds at import

        self._closed = True
        engine, self._engine = self._engine, None
        if engine is None:
            return
        engine.close()
        await close(engine)

    # One call.

    def _plan(
        self, task: str | None, tier: str | None, chain: ChainLike | None, model: str | Model | None,
        hedge: HedgeLike | NotGiven, retry: RetryLike | NotGiven,
    ) -> Plan:
        if isinstance(chain, list):
            chain = tuple(chain)
        try:
            plan = self._resolve(task=task, tier=tier, chain=chain, model=model, hedge=hedge, retry=retry)
        except TypeError:  # what has a table in it cannot be remembered; any other mistake is raised again
            plan = resolve(self.config, task=task, tier=tier, chain=chain, model=model, hedge=hedge, retry=retry)
        if plan.unknown_task:
            meant = near(str(task), self.config.tasks)
            hint = f" (did you mean {meant!r}?)" if meant else ""
            self._events.notice(Notice(str(task), f'unknown task {task!r}{hint}: taking the chain of "default"'))
        return plan

    def _open(self) -> Engine:
        """What attempts share, made at the first call and bound to its loop."""
        if self._closed:
            raise RouterClosed("the router is closed; enter it again (`async with router:`) to open it")
        loop, engine = asyncio.get_running_loop(), self._engine
        if engine is not None and engine.loop is loop:
            return engine
        if engine is not None and not engine.loop.is_closed():
            raise RuntimeError("this router is open on another event loop; close it there, or use one for each loop")
        from asyncrouter._policies.facade import Policies  # three milliseconds at import

        transport = self._transport if self._transport is not None else AiohttpTransport()
        breakers = self.config.defaults.breaker == "auto"
        policies = Policies(loop, self._random, self._events, breakers=breakers)
        self._engine = engine = Engine(loop, transport, {}, {}, policies, self._events, self._random, Timers(loop))
        return engine

    def _begin(
        self, engine: Engine, plan: Plan, prompt: Prompt, deadline: float | NotGiven | None,
        accept: Accept | None, priority: Priority, tags: Mapping[str, str] | None, params: Mapping[str, object] | None,
        headers: Mapping[str, str] | None, given: dict[str, object], *, stream: bool = False,
    ) -> tuple[Call, Trace]:
        if priority not in {"interactive", "batch"}:
            raise ValueError(f'priority: expected "interactive" or "batch", got {priority!r}')
        if accept is not None and not callable(accept):
            raise TypeError(f"accept: expected a function of a reply, got {type(accept).__name__}")
        messages = check_messages(prompt)
        merged = merge_params(plan.params, params, given)
        check_tags(tags)
        limit = _deadline(plan, deadline)
        for step in plan.steps:
            if step.name not in self._used or step.model.provider not in engine.wires:
                self._get_ready(engine, step)
        now = engine.loop.time()
        until = inf if limit is None else now + limit
        call = Call(messages, merged, check_headers(headers), now, until, stream, accept, priority)
        self._calls += 1
        return call, Trace(plan.task, self._wall(), tags=tags)

    def _end(self, engine: Engine, call: Call, trace: Trace, error: BaseException | None) -> None:
        self._calls -= 1
        if self._calls == 0 and self._idle is not None:
            self._idle.set()
            self._idle = None
        trace.seconds = engine.loop.time() - call.began  # also where no loop runs any more
        if not self._events.quiet:
            self._events.emit(CallEnded(trace, error))

    def _get_ready(self, engine: Engine, step: PlannedStep) -> None:
        """Remember a model that is used for the first time."""
        self._speak(engine, step.model.provider)
        if len(self._used) < REMEMBERED:
            self._used[step.name] = step

    def _speak(self, engine: Engine, name: str) -> None:
        """Get ready to speak with a provider."""
        if name in engine.wires:
            return
        from asyncrouter._wire.registry import wire_for  # eight milliseconds at import

        provider = self.config.provider(name)
        engine.wires[name] = wire_for(provider, self._wall)
        engine.credentials[name] = Credential(provider)


def _deadline(plan: Plan, given: float | NotGiven | None) -> float | None:
    if isinstance(given, NotGiven):
        return plan.deadline
    seconds("deadline", given)
    return given
