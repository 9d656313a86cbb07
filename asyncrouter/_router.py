"""The public `Router`: its calls, streams and plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from asyncrouter._config.arguments import new_call
from asyncrouter._config.arguments_headers import seal_headers
from asyncrouter._config.arguments_messages import check_messages
from asyncrouter._config.arguments_options import (
    CHAT_ONLY,
    EMBEDDED,
    MODEL_CHOICES,
    NOT_EXPLAINED,
    STREAM_ONLY,
    merge_options,
    sealed_options,
)
from asyncrouter._config.catalog import Model
from asyncrouter._config.plan import whole_only
from asyncrouter._config.settings import NOT_GIVEN, AutoClock, NotGiven
from asyncrouter._credentials.secret import SealedHeaders, forget_locals
from asyncrouter._embedding.router import EmbeddingRouter
from asyncrouter._reply_stream import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from asyncrouter._config.aliases import Accept, ChainLike, Headers, HedgeLike, Prompt, RetryLike
    from asyncrouter._config.arguments_embed import Texts
    from asyncrouter._embedding.result import Embeddings
    from asyncrouter._engine.engine import Engine
    from asyncrouter._explain import Explanation
    from asyncrouter._types import Call, Priority, Reply, Trace


class Router(EmbeddingRouter):
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
      quick; none of them async. What one raises is logged and ignored.
    - `seed`: of the generator that draws the pauses before retries. `None`: a random one.
    - `shared`: a `Shared`, where limits, holds and the budget are kept for many processes, such as
      `asyncrouter.integrations.redis.RedisState("redis://…")`. `None`: this router keeps them for itself.
    - `wall`: a function that returns the time in seconds since the epoch, for dates in Retry-After and in traces.

    The session opens at the first call, on the event loop of that call. `aclose()` closes it, and so does the end of
    `async with`, which is optional and may be nested. A closed router raises `RouterClosed` until it is entered again,
    on the same or another loop. A call on a second loop while the first one is alive is a `RuntimeError`.

    Raises `ConfigError` for a configuration that cannot be used, `TypeError` for a transport or listener that is none.
    """

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
        connect: float | NotGiven | None = NOT_GIVEN,
        first_token: float | AutoClock | NotGiven | None = NOT_GIVEN,
        idle: float | AutoClock | NotGiven | None = NOT_GIVEN,
        total: float | NotGiven | None = NOT_GIVEN,
        on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN,
        on_context: str | Model | NotGiven | None = NOT_GIVEN,
        rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN,
        accept: Accept | None = None,
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
        params: Mapping[str, object] | None = None,
        headers: Headers | None = None,
        **provider_params: object,
    ) -> Reply:
        """Try the models of a chain in order, and return the first complete answer.

        ```python
        reply = await router.chat("Sort a list in Rust.", task="coding", deadline=30, temperature=0.2)
        print(reply.text, reply.model, reply.cost_usd)
        ```

        - `prompt`: text, which is one message of the user, or a list of messages: Chat Completions dicts, replies, or
          message objects of the vendors' SDKs.
        - `task`: the name of a chain in the configuration. An unknown one uses that of `default`, with one warning; it
          is a `ConfigError` if the configuration has no such task, or `unknown_task = "error"`.
        - `tier`: the models of all tiers up to this one, cheapest first. With `task`: its models up to this tier.
        - `chain`: a list of names, `Model`s and `Step`s, or a `Chain`. `model`: one name or `Model`. A `task` beside
          either adds its parameters, deadline and hedge.
        - `system`: text of a first system message, before one that is there.
        - `deadline`: seconds for the whole call; `None`: no limit.
        - `hedge`: when to start the next model in parallel because the current one is slow: after so many seconds;
          "p95" (or "p99" …), the time within which 95 % of its answers begin; "auto", where it is worth its price; or
          a `Hedge`. `None`: only when it is far slower than usual (`rescue`).
        - `retry`: how often the same model is tried: a number, a `Retry`, or a mapping of the fields to change.
        - `connect`, `first_token`, `idle`, `total`: seconds for each attempt, as in `Defaults`; `None`: no limit.
        - `on_refusal`: when a provider refuses the content of the prompt: "raise", or "next": the next model is tried.
        - `on_context`: the name of a model or task to ask next when the prompt is too long for a model.
        - `response_format`: a pydantic model, a dataclass, a TypedDict or a JSON schema. Each model is asked for it in
          the way that it takes; an answer that does not fit is not accepted, and the next model is tried.
          `reply.parsed` is the value. `help("asyncrouter.schema")` has the rules.
        - `rescue`: "off" starts no model beside one that is far slower than usual, or silent; see `Defaults`.
        - `accept`: a function of the `Reply`, sync or async. If it returns a false value, or raises a
          `ValueError` (a `ValidationError` is one), the next model is tried.
        - `priority`: "batch" waits behind "interactive" where a model's limits make calls wait, is not rescued, and is
          asked for in one JSON body where a stream would serve "auto" limits alone.
        - `tags`: text by name, for traces and events. Not sent.
        - `session`: a name for the conversation, such as a user's id. Its calls go to one member of a pool, where they
          meet its prompt cache; providers that know such a key are told a hash of it (`prompt_cache_key` …).
        - `headers`: more header fields for every request, or by provider: `{"openai": {"Authorization": "Bearer …"}}`.
          A credential goes to one provider. What is met under a key of the caller's own is remembered for nobody else.
        - Any other keyword is a parameter for the provider: `temperature=0.2`, `tools=[…]`, `max_tokens=500`. `params`
          is a mapping of the same, for parameters whose names are taken here, and for those of one provider:
          `{"openai": {"service_tier": "flex"}}`. `None` leaves a parameter out. Each model
          gets what it can take: what its vendor is known to refuse, or has refused by name, is left out or adapted.

        What is not given comes from the configuration; a call without task, tier, chain and model uses the task
        `default`. If the caller is cancelled, its requests are cancelled, too. Raises

        - `AllModelsFailed` or `DeadlineExceeded`, both with the trace of every attempt;
        - `Refused` if a provider refuses the content of the prompt;
        - `RouterClosed` if the router is closed, or is closed during the call;
        - `ConfigError` for an unknown name or a setting that cannot be used; `ValueError` if more than one of tier,
          chain and model is given; `TypeError` or `ValueError` for what cannot be sent; all before anything is sent;
        - whatever else `accept` raises.
        """
        sealed, headers = seal_headers(headers), None  # first: nothing that can raise holds them in plain text
        try:
            plan = self._plan(
                task, tier, chain, model, hedge, retry, connect, first_token, idle, total, on_refusal, on_context,
                rescue,
            )
            if priority == "batch":
                plan = whole_only(plan)
            engine = self._life.open()
            call = new_call(
                self.config, plan, engine.time(), prompt, system=system, deadline=deadline, accept=accept,
                priority=priority, tags=tags, params=params, headers=sealed, provider_params=provider_params,
                stream=False, observed=not self._events.quiet, session=session,
            )
        except Exception as error:
            params, provider_params = None, {}  # a credential may stand among them, which is why this was raised
            forget_locals(error)
            raise
        del params, provider_params
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
        connect: float | NotGiven | None = NOT_GIVEN,
        first_token: float | AutoClock | NotGiven | None = NOT_GIVEN,
        idle: float | AutoClock | NotGiven | None = NOT_GIVEN,
        total: float | NotGiven | None = NOT_GIVEN,
        on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN,
        on_context: str | Model | NotGiven | None = NOT_GIVEN,
        rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN,
        on_interrupt: Literal["raise", "restart"] = "raise",
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
        params: Mapping[str, object] | None = None,
        headers: Headers | None = None,
        **provider_params: object,
    ) -> ReplyStream:
        """Answer like `chat()`, but chunk by chunk: `async with router.stream(…) as stream: async for chunk in stream`.

        The arguments are those of `chat()`, without `accept`. The first content commits the call to its model; until
        then failures move on to the next model. If the answer breaks off later, `on_interrupt` says what happens:

        - "raise": `StreamInterrupted`, with the text so far as `partial`.
        - "restart": a chunk with `restart=True`, upon which the caller drops what it has shown; then the answer begins
          again, from another member of its pool or the next model. That happens, too, when no more content comes for
          much longer than is usual for the model: the next one is asked at once, under the rules of hedges and rescues,
          and its first content restarts the answer; if the silent model goes on sooner, the other one is cancelled.

        A `response_format` is checked at the end: an answer that does not fit is one that breaks off there.

        Leaving the block early cancels the request at once. After the last chunk, `stream.reply` is the `Reply`. What
        `chat()` raises is raised when the block is entered; arguments that cannot be used, by this method or then.

        A FastAPI route that streams to a browser as server-sent events; `app.state.router` is opened by the
        application's lifespan. When the browser leaves, the reply is cancelled:

        ```python
        import json
        from fastapi.responses import StreamingResponse

        @app.get("/story")
        async def story(request: Request, about: str) -> StreamingResponse:
            async def events() -> AsyncIterator[str]:
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
        plan = self._plan(
            task, tier, chain, model, hedge, retry, connect, first_token, idle, total, on_refusal, on_context, rescue,
        )
        messages = check_messages(prompt, system)

        def begin() -> tuple[Engine, Call, Trace]:
            nonlocal params, provider_params
            engine = self._life.open()
            try:
                call = new_call(
                    self.config, plan, engine.time(), messages, system=None, deadline=deadline, accept=None,
                    priority=priority, tags=tags, params=params, headers=sealed, provider_params=provider_params,
                    stream=True, observed=not self._events.quiet, session=session,
                )
            except Exception as error:
                params, provider_params = None, {}  # as in `chat()`
                forget_locals(error)
                raise
            return engine, call, self._begin(engine, call, plan, tags)

        return ReplyStream(plan, begin, self._life.begin_stream, self._end, restart=on_interrupt == "restart")

    def with_options(self, **options: object) -> Router:
        """A view of this router with defaults for its calls: keyword arguments of `chat()` or `stream()`.

        ```python
        quick = router.with_options(task="fast", deadline=5, system="Be brief.", temperature=0.2)
        reply = await quick.chat("Say hello.")
        ```

        What is given with a call takes precedence. `tags`, `headers`, `params` and parameters for the provider are
        merged name by name; a `model`, `chain` or `tier` with a call replaces all three, a `task` replaces `model` and
        `chain`. The view shares everything else with its router: connections, limits, health, and being closed. Raises
        `ConfigError`, `TypeError` or `ValueError` for options that no call could be made with.
        """
        try:
            return RouterWithOptions(self, options)
        except Exception as error:
            options = {}  # as in `chat()`
            forget_locals(error)
            raise


class RouterWithOptions(Router):
    """What `Router.with_options` returns: the same router with defaults for its calls."""

    def __init__(self, router: Router, options: Mapping[str, object]) -> None:
        vars(self).update(vars(router))
        before: Mapping[str, object] = getattr(router, "_options", {})
        self._options = merge_options(before, sealed_options(options))
        self._check()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, with {', '.join(self._options) or 'no'} options>"

    async def chat(self, prompt: Prompt, **options: Any) -> Reply:
        """As `Router.chat`, with the defaults of this view."""
        options = self._merged(sealed_options(options), without=STREAM_ONLY)
        try:
            return await super().chat(prompt, **options)
        except Exception:
            options = {}  # as there
            raise

    def stream(self, prompt: Prompt, **options: Any) -> ReplyStream:
        """As `Router.stream`, with the defaults of this view."""
        options = self._merged(sealed_options(options), without=CHAT_ONLY)
        try:
            return super().stream(prompt, **options)
        except Exception:
            options = {}  # as there
            raise

    async def embed(self, texts: Texts, **options: Any) -> Embeddings:
        """As `Router.embed`, with this view's deadline, retry, clocks, priority, tags and headers."""
        options = self._merged(sealed_options(options), without=self._options.keys() - EMBEDDED)
        try:
            return await super().embed(texts, **options)
        except Exception:
            options = {}  # as there
            raise

    def explain(self, **options: Any) -> Explanation:
        """As `Router.explain`, with the defaults of this view."""
        return super().explain(**self._merged(options, without=NOT_EXPLAINED))

    def _merged(self, options: Mapping[str, object], without: AbstractSet[str]) -> dict[str, Any]:
        defaults = {name: value for name, value in self._options.items() if name not in without}
        return merge_options(defaults, options)

    def _check(self) -> None:
        """Raise what a call with these options would raise."""
        plan_only = self._merged({}, NOT_EXPLAINED)
        if not any(plan_only.get(name) is not None for name in ("task", *MODEL_CHOICES)):
            plan_only["model"] = Model(provider=self.config.default_provider, id="any")
        super().explain(**plan_only)
        headers = self._options.get("headers")
        if isinstance(headers, SealedHeaders) and headers.fault is not None:
            raise headers.fault
