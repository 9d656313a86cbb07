"""The base of `Router`: configuration and state, inspection, opening and closing, how a call begins and ends."""

from __future__ import annotations

import os
import random
import time
from inspect import iscoroutinefunction
from itertools import count
from typing import TYPE_CHECKING, Literal, Self

from asyncrouter._config.arguments import deadline_of, explained_params
from asyncrouter._config.checks import unknown, without_locals
from asyncrouter._config.load import config_from_toml, load
from asyncrouter._config.parameter_names import KNOWN, check_constructor, misspelt
from asyncrouter._config.plan import NO_CALL_SETTINGS, CallSettings
from asyncrouter._config.plan_cache import PlanCache
from asyncrouter._config.response_format import NOT_CHECKED, unchecked
from asyncrouter._config.settings import NOT_GIVEN, AutoClock, NotGiven
from asyncrouter._credentials.secret import forget_locals
from asyncrouter._engine.lifecycle import Lifecycle
from asyncrouter._events import MAX_NAMES, CallEnded, CallStarted, Events, Notice
from asyncrouter._explain import Explanation, ModelHealth, explain_plan, model_health
from asyncrouter._listing import list_models
from asyncrouter._types import Call, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Never

    from asyncrouter._config.aliases import ChainLike, HedgeLike, RetryLike
    from asyncrouter._config.budget import BudgetState
    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._events import Event
    from asyncrouter._transport.api import Transport
    from asyncrouter.shared import Shared


class RouterBase:
    """The part of `Router` that makes no calls."""

    @without_locals
    def __init__(
        self,
        config: Config | Mapping[str, object] | None = None,
        *,
        tables: Literal["current", "classic"] | NotGiven | None = NOT_GIVEN,
        transport: Transport | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
        seed: int | None = None,
        wall: Callable[[], float] = time.time,
        shared: Shared | None = None,
        **unknown_names: Never,
    ) -> None:
        check_constructor(unknown_names)
        if transport is not None and not (hasattr(transport, "send") and hasattr(transport, "aclose")):
            raise TypeError(f"transport: expected something with send() and aclose(), got {type(transport).__name__}")
        if shared is not None and not (hasattr(shared, "admit") and hasattr(shared, "news")):
            raise TypeError(f"shared: expected a Shared, such as a RedisState, got {type(shared).__name__}")
        if callable(listeners) or not all(callable(listener) for listener in listeners):
            raise TypeError(f"listeners: expected a list of functions of an event, got {listeners!r}")
        for listener in listeners:
            if iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004
                raise TypeError(
                    f"listeners: expected plain functions, got the async {listener!r}; a plain one may start a task"
                )
        self._plans = PlanCache(load(config, tables))
        self._events = Events(listeners)
        self._wall = wall
        self._life = Lifecycle(transport, self._events, random.Random(seed), wall, self.config, shared)
        self._ids = map(f"{_prefix(seed)}{{:08x}}".format, count(1))
        self._used: dict[str, PlannedStep] = {}  # the models of past calls, by name

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **options: object) -> Self:
        """A router configured by a TOML file; `options` are keyword arguments of the constructor.

        Raises `ConfigError` with the path of the file if it cannot be read, or of the value that cannot be used.
        """
        return cls(config_from_toml(path), **options)  # type: ignore[arg-type]  # the constructor's own, passed on

    def __repr__(self) -> str:
        return f"<Router {self._life.state}, {self._life.calls} calls in flight>"

    @property
    def transport(self) -> Transport:
        """What sends this router's requests: the transport it was given, or else its own `AiohttpTransport`."""
        return self._life.transport

    @property
    def wall(self) -> Callable[[], float]:
        """The wall clock it was given, in seconds since the epoch; `time.time` by default."""
        return self._wall

    @property
    def config(self) -> Config:
        """The configuration, with the built-in tasks and tiers; `reload()` replaces it."""
        return self._plans.config

    @property
    def shared(self) -> Shared | None:
        """Where limits, holds and the budget are kept for many processes; `None`: this router keeps them for itself."""
        return self._life.shared

    def reload(
        self, config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None, *,
        tables: Literal["current", "classic"] | NotGiven | None = NOT_GIVEN,
    ) -> None:
        """Go on with another configuration: a `Config`, a mapping, or the path of a TOML file.

        New calls use it from now on, those in flight end under the old one. What has been learned stays: connections,
        breakers, holds, latencies, limits that were found, what was spent of a budget. A provider whose entry has
        changed, or the environment variable with its key, begins anew. `tables` is as in the constructor. Options of
        `with_options()` stay, too.

        Call it on the event loop of the router's calls. Raises `ConfigError` for a configuration that cannot be used,
        and then the old one stays.
        """
        given = config_from_toml(config) if isinstance(config, str | os.PathLike) else config
        new = load(given, tables)
        changed = self._life.reload(self.config, new)
        self._plans.reload(new)
        for name in [name for name, step in self._used.items() if step.provider.name in changed]:
            del self._used[name]

    # Inspection.

    async def spending(self, **tags: str) -> BudgetState | None:
        """What has been spent of the budget in its present hour, day or run, and what is reserved for calls in flight.

        `spending(tenant="a")` is about the budget of the tag `tenant` for the value "a". `None`: there is no such
        budget. Raises `ConfigError` for a tag that has none.
        """
        budget = self.config.budget
        for tag in tags:
            if budget is None or tag not in budget.tags:
                known = [] if budget is None else budget.tags
                raise unknown("tag", tag, known, "budget.tags")
        if self.shared is not None and (shared := self._life.open().shared) is not None:
            await shared.ready()
        spending = self._life.spending()
        return None if spending is None else await spending.state(tags)

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
        connect: float | NotGiven | None = NOT_GIVEN,
        first_token: float | AutoClock | NotGiven | None = NOT_GIVEN,
        idle: float | AutoClock | NotGiven | None = NOT_GIVEN,
        total: float | NotGiven | None = NOT_GIVEN,
        on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN,
        on_context: str | Model | NotGiven | None = NOT_GIVEN,
        rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN,
        params: Mapping[str, object] | None = None,
        **provider_params: object,
    ) -> Explanation:
        """The plan of a call with these arguments of `chat()`: steps, timeouts, prices, and whether each could be sent.

        `print()` it. Nothing is sent. The parameters for the provider, such as `tools`, decide between the APIs of one
        that serves two. Raises `ConfigError`, `TypeError` or `ValueError`, as the call would.
        """
        plan = self._plan(
            task, tier, chain, model, hedge, retry, connect, first_token, idle, total, on_refusal, on_context, rescue,
        )
        self._warn_of_plan(plan)
        try:
            merged = explained_params(self.config, plan, params, provider_params)
        except Exception as error:
            params, provider_params = None, {}  # a credential may stand among them, which is why this was raised
            forget_locals(error)
            raise
        return explain_plan(plan, deadline_of(plan, deadline), merged, self._life.engine, self._wall)

    def health(self) -> dict[str, ModelHealth]:
        """The present state of each model of the tasks, the tiers and past calls, by its name. Nothing is sent.

        `print()` it, or let a notebook show it.
        """
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
        if self.shared is not None and (shared := self._life.open().shared) is not None:
            try:
                await shared.ready()
            except BaseException:
                await self._life.leave()
                raise
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
        A cancellation meanwhile is raised when everything is closed. Raises `RuntimeError`, and closes nothing, on
        another event loop than that of its calls while that one is alive.
        """
        await self._life.aclose()

    # The beginning and the end of a call.

    def _plan(
        self, task: str | None, tier: str | None, chain: ChainLike | None, model: str | Model | None,
        hedge: HedgeLike | NotGiven, retry: RetryLike | NotGiven, connect: float | NotGiven | None,
        first_token: float | AutoClock | NotGiven | None, idle: float | AutoClock | NotGiven | None,
        total: float | NotGiven | None, on_refusal: Literal["raise", "next"] | NotGiven,
        on_context: str | Model | NotGiven | None, rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN,
    ) -> Plan:
        if connect is first_token is idle is total is on_refusal is on_context is rescue is NOT_GIVEN:
            settings = NO_CALL_SETTINGS
        else:
            settings = CallSettings(connect, first_token, idle, total, on_refusal, on_context, rescue)
        return self._plans.plan(task, tier, chain, model, hedge, retry, settings)

    def _warn_of_plan(self, plan: Plan, trace: Trace | None = None) -> None:
        if plan.warning is not None:
            self._events.notice(Notice(str(plan.task), plan.warning), trace)
        for subject, note in plan.notes:
            self._events.notice(Notice(subject, note), trace)

    def _begin(self, engine: Engine, call: Call, plan: Plan, tags: Mapping[str, str] | None) -> Trace:
        trace = Trace(plan.task, self._wall(), tags=tags, id=next(self._ids))
        if id(plan) not in engine.plans:
            self._register(engine, plan, trace)
        if call.parse is unchecked:
            self._events.notice(Notice("response_format", NOT_CHECKED), trace)
        if not call.params.keys() <= KNOWN:
            self._warn_of_misspelt(call.params, trace)
        if call.provider_params:
            for params in call.provider_params.values():
                self._warn_of_misspelt(params, trace)
        self._life.calls += 1
        if call.observed:
            self._events.emit(CallStarted(trace))
        return trace

    def _register(self, engine: Engine, plan: Plan, trace: Trace) -> None:
        """Do for a plan what is done once: connect its providers, warn of what is odd, remember its models."""
        self._warn_of_plan(plan, trace)
        engine.connect(plan)
        for step in plan.steps:
            self._warn_of_misspelt(step.params, trace)
            if step.name in self._used or len(self._used) < MAX_NAMES:
                self._used[step.name] = step

    def _warn_of_misspelt(self, params: Mapping[str, object], trace: Trace) -> None:
        for warning in misspelt(params):
            self._events.notice(Notice("parameters", warning), trace)

    def _end(self, engine: Engine, call: Call, trace: Trace, error: BaseException | None) -> None:
        self._life.end_call()
        trace.seconds = engine.time() - call.began  # also where the loop does not run any more
        if call.observed:
            self._events.emit(CallEnded(trace, error))


def _prefix(seed: int | None) -> str:
    """The beginning of the ids of a router's calls: 16 hexadecimal digits that no other router has, unless seeded."""
    return os.urandom(8).hex() if seed is None else f"{random.Random(f'ids of {seed}').getrandbits(64):016x}"
