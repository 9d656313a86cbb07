"""The public `Router`: answers prompts, describes itself, opens at the first call and closes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Literal, Self

from asyncrouter._config.arguments import check_messages, deadline_of, merge_params, new_call
from asyncrouter._config.arguments_headers import seal_headers
from asyncrouter._config.load import config_from_toml, load
from asyncrouter._config.parameter_names import misspelt
from asyncrouter._config.plan_cache import PlanCache
from asyncrouter._config.settings import NOT_GIVEN, NotGiven
from asyncrouter._credentials.secret import forget_locals
from asyncrouter._engine.lifecycle import Lifecycle
from asyncrouter._events import MAX_NAMES, CallEnded, Events, Notice
from asyncrouter._explain import Explanation, ModelHealth, explain_plan, model_health
from asyncrouter._listing import list_models
from asyncrouter._reply_stream import ReplyStream
from asyncrouter._types import Call, Reply, Trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from asyncrouter._config.arguments import Accept, Prompt
    from asyncrouter._config.arguments_headers import Headers
    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import ChainLike, HedgeLike, Plan, PlannedStep, RetryLike
    from asyncrouter._engine.engine import Engine
    from asyncrouter._events import Event
    from asyncrouter._transport.api import Transport
    from asyncrouter._types import Priority


class Router:
    """Answers prompts with chains of models, over one HTTP session. One router serves thousands of concurrent calls.

    ```python
    async with Router() as router:
        reply = await router.chat("Say hello.", task="fast")
    ```

    - `config`: a `Config`, or a mapping of the shape of a TOML file (which `from_toml` reads). `None`: no configuration
      but the built-in tasks and tiers.
    - `tables`: the built-in tasks and tiers, for names that `config` does not have: "current" (models of today),
      "classic" (those of the snippet that asyncrouter grew from, mostly retired) or `None`. Not given: "current"
      without a `config`, `None` with one.
    - `transport`: sends the requests. `None`: an `AiohttpTransport()`. Pass one of your own for a proxy, certificates
      or a session of yours, or to test without a network.
    - `listeners`: functions that are called with every `Event` when it happens, in the event loop, so they should be
      quick. What one raises is logged and ignored.
    - `seed`: of the generator that draws the pauses before retries. `None`: a random one.
    - `wall`: a function that returns the time in seconds since the epoch, for dates in Retry-After and in traces.

    The session opens at the first call, on the event loop of that call. `aclose()` closes it, and so does the end of
    `async with`, which is optional and may be nested. A closed router raises `RouterClosed` until it is entered again,
    on the same or another loop. A call on a second loop while the first one is alive is a `RuntimeError`.

    Raises `ConfigError` for a configuration that cannot be used, `TypeError` for a transport or listener that is none.
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
        self._plans = PlanCache(self.config)
        self._events = Events(listeners)
        self._wall = wall
        breakers = self.config.defaults.breaker == "auto"
        self._life = Lifecycle(transport, self._events, random.Random(seed), wall, breakers=breakers)
        self._used: dict[str, PlannedStep] = {}  # the models of past calls, by name

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **options: object) -> Self:
        """A router configured by a TOML file; `options` are keyword arguments of the constructor.

        Raises `ConfigError` with the path of the file if it cannot be read, or of the value that cannot be used.
        """
        return cls(config_from_toml(path), **options)  # type: ignore[arg-type]  # the constructor's own, passed on

    def __repr__(self) -> str:
        return f"<Router {self._life.state}, {self._life.calls} calls in flight>"

    # Calls.

    async def chat(
        self,
        prompt: Prompt,
        *,
        task: str | None = None,
        tier: str | None = None,
        chain: ChainLike | None = None,
        model: str | Model | None = None,
        system: str | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
        accept: Accept | None = None,
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        headers: Headers | None = None,
        **provider_params: object,
    ) -> Reply:
        """Try the models of a chain in order, and return the first complete answer.

        ```python
        reply = await router.chat("Sort a list in Rust.", task="coding", deadline=30, temperature=0.2)
        print(reply.text, reply.model, reply.cost_usd)
        ```

        - `prompt`: text, which is one message of the user, or a list of Chat Completions messages.
        - `task`: the name of a chain in the configuration. An unknown one uses that of `default`, with one warning; it
          is a `ConfigError` if the configuration has no such task, or `unknown_task = "error"`.
        - `tier`: the models of all tiers up to this one, cheapest first. With `task`: its models up to this tier.
        - `chain`: a list of names, `Model`s and `Step`s, or a `Chain`. `model`: one name or `Model`. A `task` beside
          either adds its parameters, deadline and hedge.
        - `system`: text of a first system message, before one that is there.
        - `deadline`: seconds for the whole call; `None`: no limit.
        - `hedge`: when to start the next model in parallel because the current one is slow: after so many seconds;
          "p95" (or "p99" …), the time within which 95 % of its answers begin, once 100 are measured; or a `Hedge`.
          `None`: never.
        - `retry`: how often the same model is tried: a number, a `Retry`, or a mapping of the fields to change.
        - `accept`: a function of the `Reply`, sync or async. If it returns a false value, the next model is tried.
        - `priority`: "batch" waits behind "interactive" where a model's limits make calls wait.
        - `tags`: text by name, for traces and events. Not sent.
        - `headers`: more header fields for every request, or by provider: `{"openai": {"Authorization": "Bearer …"}}`.
          A credential goes to one provider. What is met under a key of the caller's own is remembered for nobody else.
        - Any other keyword is a parameter for the provider: `temperature=0.2`, `tools=[…]`, `max_tokens=500`. `params`
          is a mapping of the same, for parameters whose names are taken here. `None` leaves a parameter out. Each model
          gets what it can take: what its vendor is known to refuse, or has refused by name, is left out or adapted.

        What is not given comes from the configuration; a call without task, tier, chain and model uses the task
        `default`. If the caller is cancelled, its requests are cancelled, too. Raises

        - `AllModelsFailed` or `DeadlineExceeded`, both with the trace of every attempt;
        - `Refused` if a provider refuses the content of the prompt;
        - `RouterClosed` if the router is closed, or is closed during the call;
        - `ConfigError` for an unknown name or a setting that cannot be used; `ValueError` if more than one of tier,
          chain and model is given; `TypeError` or `ValueError` for what cannot be sent; all before anything is sent;
        - whatever `accept` raises.
        """
        sealed, headers = seal_headers(headers), None  # first: nothing that can raise holds them in plain text
        try:
            plan = self._plan(task, tier, chain, model, hedge, retry)
            engine = self._life.open()
            call = new_call(
                self.config, plan, engine.loop.time(), prompt, system=system, deadline=deadline, accept=accept,
                priority=priority, tags=tags, params=params, headers=sealed, provider_params=provider_params, stream=False,
            )
        except Exception as error:
            params, provider_params = None, {}  # a credential may stand among them, which is why this was raised
            forget_locals(error)
            raise
        trace = self._begin(engine, call, plan, tags)
        try:
            reply = await self._life.race(engine, call, plan, trace).run()
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
        system: str | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
        on_interrupt: Literal["raise", "restart"] = "raise",
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        headers: Headers | None = None,
        **provider_params: object,
    ) -> ReplyStream:
        """Answer like `chat()`, but chunk by chunk: `async with router.stream(…) as stream: async for chunk in stream`.

        The arguments are those of `chat()`, without `accept`. The first content commits the call to its model; until
        then failures move on to the next model. If the answer breaks off later, `on_interrupt` says what happens:

        - "raise": `StreamInterrupted`, with the text so far as `partial`.
        - "restart": a chunk with `restart=True`, upon which the caller drops what it has shown; then the answer begins
          again, from the next model.

        Leaving the block early cancels the request at once. After the last chunk, `stream.reply` is the `Reply`. What
        `chat()` raises is raised when the block is entered; arguments that cannot be used, by this method or then.

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
        sealed, headers = seal_headers(headers), None  # as in `chat()`
        if "accept" in provider_params:
            raise TypeError("accept= cannot be used with stream(): its chunks are yours before the reply is whole")
        if on_interrupt not in {"raise", "restart"}:
            raise ValueError(f'on_interrupt: expected "raise" or "restart", got {on_interrupt!r}')
        plan = self._plan(task, tier, chain, model, hedge, retry)
        messages = check_messages(prompt, system)

        def begin() -> tuple[Engine, Call, Trace]:
            nonlocal params, provider_params
            engine = self._life.open()
            try:
                call = new_call(
                    self.config, plan, engine.loop.time(), messages, system=None, deadline=deadline, accept=None,
                    priority=priority, tags=tags, params=params, headers=sealed, provider_params=provider_params,
                    stream=True,
                )
            except Exception as error:
                params, provider_params = None, {}  # as in `chat()`
                forget_locals(error)
                raise
            return engine, call, self._begin(engine, call, plan, tags)

        return ReplyStream(plan, begin, self._life.race, self._end, restart=on_interrupt == "restart")

    # Inspection.

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
        params: Mapping[str, object] | None = None,
        **provider_params: object,
    ) -> Explanation:
        """The plan of a call with these arguments of `chat()`: steps, timeouts, prices, and whether each could be sent.

        `print()` it. Nothing is sent. The parameters for the provider, such as `tools`, decide between the APIs of one
        that serves two. Raises `ConfigError`, `TypeError` or `ValueError`, as the call would.
        """
        plan = self._plan(task, tier, chain, model, hedge, retry)
        merged = merge_params(plan.params, params, provider_params)
        return explain_plan(plan, deadline_of(plan, deadline), merged, self._life.engine, self._wall)

    def health(self) -> dict[str, ModelHealth]:
        """The present state of each model of the tasks, the tiers and past calls, by its name. Nothing is sent."""
        plans = [self._plans.plan(task=task) for task in self.config.tasks]
        plans += [self._plans.plan(tier=tier) for tier in self.config.tiers]
        steps = {step.name: step for plan in plans for step in plan.steps}
        return model_health((self._used | steps).values(), self._life.engine)

    async def models(self, provider: str | None = None) -> list[str]:
        """Ask a provider for the ids of the models it serves; `None`: the default provider.

        Raises `AttemptError`, after 30 s at most; `ConfigError` for an unknown provider; `RouterClosed`.
        """
        engine, name = self._life.open(), provider or self.config.default_provider
        engine.connect_provider(self.config.provider(name))
        return await list_models(engine.transport, name, engine.wires[name], engine.credentials[name])

    # Opening and closing.

    async def __aenter__(self) -> Self:
        self._life.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._life.leave()

    async def drain(self) -> None:
        """Take no new calls (they raise `RouterClosed`), wait for those in flight to end, then close."""
        await self._life.drain()

    async def aclose(self) -> None:
        """Close all connections, in 2 s at most.

        Calls in flight fail: `chat()` raises `RouterClosed`, a stream `StreamInterrupted`. Closing again does nothing.
        A cancellation meanwhile is raised when everything is closed.
        """
        await self._life.aclose()

    # The beginning and the end of a call.

    def _plan(
        self, task: str | None, tier: str | None, chain: ChainLike | None, model: str | Model | None,
        hedge: HedgeLike | NotGiven, retry: RetryLike | NotGiven,
    ) -> Plan:
        plan = self._plans.plan(task, tier, chain, model, hedge, retry)
        if plan.warning is not None:
            self._events.notice(Notice(str(task), plan.warning))
        return plan

    def _begin(self, engine: Engine, call: Call, plan: Plan, tags: Mapping[str, str] | None) -> Trace:
        if call.params:
            self._warn_of_misspelt(call.params)
        for step in plan.steps:
            if step.name not in self._used or step.provider.name not in engine.wires:
                self._register(engine, step)
        self._life.begin_call()
        return Trace(plan.task, self._wall(), tags=tags)

    def _register(self, engine: Engine, step: PlannedStep) -> None:
        engine.connect_provider(step.provider)
        self._warn_of_misspelt(step.params)
        if len(self._used) < MAX_NAMES:
            self._used[step.name] = step

    def _warn_of_misspelt(self, params: Mapping[str, object]) -> None:
        for warning in misspelt(params):
            self._events.notice(Notice("parameters", warning))

    def _end(self, engine: Engine, call: Call, trace: Trace, error: BaseException | None) -> None:
        self._life.end_call()
        trace.seconds = engine.loop.time() - call.began  # also where the loop does not run any more
        if not self._events.quiet:
            self._events.emit(CallEnded(trace, error))
