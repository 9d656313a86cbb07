"""From what a call asks for to the steps it will take: names resolved, clocks laid over one another. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import asyncrouter._config.checks as check
from asyncrouter._config.selection import Candidate, Selection, of_chain, of_model, of_task, of_tier, task_chain
from asyncrouter._config.settings import NOT_GIVEN, Hedge, NotGiven, Retry, hedge_over, retry_over
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._config.config import Chain, Config, Defaults, Step

T = TypeVar("T")


class PlannedStep(NamedTuple):
    """A step with everything settled; seconds, `None` for no limit. `streams`: does `chat()` stream on the wire?"""

    name: str
    model: Model
    provider: Provider
    connect: float | None
    first_token: float | None
    idle: float | None
    total: float | None
    retry: Retry
    on_refusal: Literal["raise", "next"]
    max_response_bytes: int
    streams: bool
    params: Mapping[str, object] = MappingProxyType({})


class Plan(NamedTuple):
    """The steps of a call, in order, with what holds for the whole of it.

    `task` is the name a trace carries (the task as asked for, or the tier), `failed` how the error begins when all
    fail. `params` are the task's, under the caller's. `unknown_task`: nobody knows that task, `default` stands in.
    """

    task: str | None
    failed: str
    steps: tuple[PlannedStep, ...]
    params: Mapping[str, object]
    hedge: Hedge | None
    deadline: float | None
    unknown_task: bool = False


def resolve(
    config: Config,
    *,
    task: str | None = None,
    tier: str | None = None,
    chain: Chain | Sequence[str | Model | Step] | None = None,
    model: str | Model | Step | None = None,
    deadline: float | NotGiven | None = NOT_GIVEN,
    hedge: Hedge | Mapping[str, object] | float | Literal["p95"] | NotGiven | None = NOT_GIVEN,
    retry: Retry | Mapping[str, object] | NotGiven = NOT_GIVEN,
) -> Plan:
    """The plan for what a call asks for; asked for nothing, the task `default`.

    `model` or `chain` says which models, and `task` adds its parameters, deadline and hedge; `tier` leaves out the
    task's models above it. Raises `ConfigError` for what cannot be carried out, `ValueError` for two ways at once of
    saying which models.
    """
    if sum(way is not None for way in (tier, chain, model)) > 1:
        raise ValueError("tier, chain and model each say which models are tried: give one of them")
    if task is tier is chain is model is None:
        task = _default_task(config)
    choice = _choose(config, task, tier, chain, model)
    settled = _hedge(config.defaults, choice.around, hedge)
    return Plan(
        task=tier if task is None else task,
        failed=_failed(task, tier),
        steps=tuple(_step(config, place, retry, settled) for place in choice.places),
        params={name: value for settings in choice.around for name, value in settings.params.items()},
        hedge=settled,
        deadline=_deadline(config.defaults, choice.around, deadline),
        unknown_task=task is not None and task not in config.tasks,
    )


def _default_task(config: Config) -> str:
    if "default" not in config.tasks:
        raise ConfigError("expected a task, tier, chain or model: there is no task named default", "task")
    return "default"


def _choose(
    config: Config, task: str | None, tier: str | None, chain: Chain | Sequence[str | Model | Step] | None,
    model: str | Model | Step | None,
) -> Selection:
    asked = None if task is None else task_chain(config, task)
    if tier is not None:
        return of_tier(config, tier, asked)
    if chain is not None:
        return of_chain(config, chain, asked)
    if model is not None:
        return of_model(config, model, asked)
    return of_task(config, task_chain(config, task or "default"))


def _failed(task: str | None, tier: str | None) -> str:
    if task is not None:
        return f"All {task} models failed"
    return "All models failed" if tier is None else "All budget-appropriate models failed"


def _hedge(defaults: Defaults, around: list[Chain], given: object) -> Hedge | None:
    hedge = defaults.hedge
    for chain in around:
        hedge = hedge_over(hedge, chain.hedge)
    return hedge_over(hedge, given)


def _deadline(defaults: Defaults, around: list[Chain], given: float | NotGiven | None) -> float | None:
    if not isinstance(given, NotGiven):
        check.seconds("deadline", given)
    return _first(given, *(chain.deadline for chain in reversed(around)), last=defaults.deadline)


def _step(config: Config, place: Candidate, retry: object, hedge: Hedge | None) -> PlannedStep:
    model, step, chain = place
    below = config.defaults
    first_token = _first(step.first_token, chain.first_token, last=below.first_token)
    idle = _first(step.idle, chain.idle, last=below.idle)
    wire_stream = _first(step.wire_stream, chain.wire_stream, last=below.wire_stream)
    watched = first_token is not None or idle is not None or hedge is not None
    return PlannedStep(
        name=model.name,
        model=model,
        provider=config.provider(model.provider),
        connect=_first(step.connect, chain.connect, last=below.connect),
        first_token=first_token,
        idle=idle,
        total=_first(step.total, chain.total, last=below.total),
        retry=retry_over(retry_over(retry_over(below.retry, chain.retry), retry), step.retry),
        on_refusal=_first(step.on_refusal, chain.on_refusal, last=below.on_refusal),
        max_response_bytes=_first(step.max_response_bytes, chain.max_response_bytes, last=below.max_response_bytes),
        streams=watched if wire_stream == "auto" else wire_stream,
        params=step.params,
    )


def _first(*given: T | NotGiven, last: T) -> T:
    return next((value for value in given if not isinstance(value, NotGiven)), last)
