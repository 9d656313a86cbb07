"""The plan of a call: which steps it takes, with their models found and all their settings merged."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from asyncrouter._config import checks as check
from asyncrouter._config.arguments_params import NO_PROVIDERS, split_params
from asyncrouter._config.catalog import base_name
from asyncrouter._config.names import check_id, read_as_id
from asyncrouter._config.selection import (
    Candidate,
    Selection,
    select_chain,
    select_for_long_prompts,
    select_model,
    select_task,
    select_tier,
    task_chain,
)
from asyncrouter._config.settings import (
    NOT_GIVEN,
    AutoClock,
    AutoSeconds,
    Hedge,
    NotGiven,
    Retry,
    check_settings,
    merge_hedge,
    merge_retry,
    seconds_of,
)
from asyncrouter._config.shared_members import shared_members
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter._config.aliases import ChainLike, HedgeLike, RetryLike
    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._config.config import Chain, Config, Defaults, Step
    from asyncrouter._config.places import Places
    from asyncrouter._config.pool import Pick

T = TypeVar("T")


class CallSettings(NamedTuple):
    """Settings of `Defaults` that are given with a call, for all its steps; a step's own take precedence."""

    connect: float | NotGiven | None = NOT_GIVEN
    first_token: float | AutoClock | NotGiven | None = NOT_GIVEN
    idle: float | AutoClock | NotGiven | None = NOT_GIVEN
    total: float | NotGiven | None = NOT_GIVEN
    on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN
    on_context: str | Model | NotGiven | None = NOT_GIVEN
    rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN


NO_CALL_SETTINGS = CallSettings()
"""A call without any: the same object every time, so that its plan is found at once."""


class PlannedStep(NamedTuple):
    """A step with all its settings merged. Times are in seconds, `None` for no limit; "auto" is an `AutoSeconds`."""

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
    """Whether `chat()` asks the provider for a stream."""
    params: Mapping[str, object] = MappingProxyType({})
    clocks_of_call: bool = False
    """Whether its clocks were given with the call, not in the configuration."""
    rescue: bool = True
    """Whether another model is started beside an attempt that is far slower than usual."""
    streams_for_readers: bool = False
    """Whether it streams only as somebody may read along: for nothing but "auto" limits."""
    member: str | None = None
    """Of a member of a pool: its name; `name` is the pool's."""
    pool: PlannedPool | None = None
    """Of a pool: its members. `model` and `provider` stand for them."""

    def __repr__(self) -> str:  # a credential may stand among the parameters
        return f"<PlannedStep {self.member or self.name}>"


class PlannedPool(NamedTuple):
    """The members of a pool, as steps, and how one of them is picked."""

    name: str
    pick: Pick
    members: tuple[PlannedStep, ...]
    weights: tuple[float, ...]
    of_keys: bool = False
    """Whether they are one model at one provider, with several keys."""
    providers: str = ""
    """The names of their providers in the configuration."""

    @property
    def key(self) -> tuple[object, ...]:
        """What has the same state: the same members under the same rule."""
        places = tuple((step.model.provider, step.model.id) for step in self.members)
        return self.name, self.pick, places, self.weights


class Plan(NamedTuple):
    """The steps of a call, in order, with the settings for the whole of it."""

    task: str | None
    """The name that the trace carries: the task as it was asked for, or the tier."""
    failure_message: str
    """The first words of the error if every step fails."""
    steps: tuple[PlannedStep, ...]
    params: Mapping[str, object]
    """Parameters of the task; those given with the call take precedence."""
    hedge: Hedge | None
    deadline: float | None
    warning: str | None = None
    """What to warn the caller of, once: an unknown task, for which that of `default` is used."""
    notes: tuple[tuple[str, str], ...] = ()
    """What else to say once, each with the name of the model it is about."""
    ordinary: int = 0
    """How many of the steps are tried in any case; those after them only when the prompt is too long for one."""
    provider_params: Mapping[str, Mapping[str, object]] = NO_PROVIDERS
    """Parameters of the task for one provider, by its name."""
    rescues: bool = True
    """Whether any of the steps may be rescued."""
    races: bool = True
    """Whether a step may be raced with another one, or with itself, by a hedge or by a rescue."""
    keyed: tuple[str, ...] = ()
    """The providers that have several keys, once for each: `openai[OPENAI_KEY_A]`."""

    def __repr__(self) -> str:
        return f"<Plan {self.task or 'chain'}: {', '.join(step.name for step in self.steps)}>"


def resolve(
    config: Config,
    *,
    task: str | None = None,
    tier: str | None = None,
    chain: ChainLike | None = None,
    model: str | Model | Step | None = None,
    deadline: float | NotGiven | None = NOT_GIVEN,
    hedge: HedgeLike | NotGiven = NOT_GIVEN,
    retry: RetryLike | NotGiven = NOT_GIVEN,
    settings: CallSettings = NO_CALL_SETTINGS,
) -> Plan:
    """Plan a call with these arguments; without any, one of the task `default`.

    `model` or `chain` says which models, and `task` adds its parameters, deadline and hedge; `tier` leaves out the
    models of the task above it. Raises `ConfigError` for what cannot be carried out, `ValueError` if the models are
    given in two ways at once.
    """
    if sum(way is not None for way in (tier, chain, model)) > 1:
        raise ValueError("tier, chain and model each say which models are tried: give one of them")
    if task is tier is chain is model is None:
        task = _default_task(config)
    check_settings(settings)
    selection = _select(config, task, tier, chain, model)
    larger = _for_long_prompts(config, selection, settings)
    warning = None if task is None or task in config.tasks else _unknown_task(config, task)
    params = split_params(
        config, {name: value for given in selection.chains for name, value in given.params.items()}
    )
    merged_hedge = _hedge(config.defaults, selection.chains, hedge)
    steps = tuple(
        _step(config, candidate, retry, merged_hedge, settings, of_call=chain is not None or model is not None)
        for candidate in (*selection.candidates, *larger)
    )
    return Plan(
        task=tier if task is None else task,
        failure_message=_failure_message(task, tier, unknown=warning is not None),
        steps=steps,
        params=params.for_all,
        hedge=merged_hedge,
        deadline=_deadline(config.defaults, selection.chains, deadline),
        warning=warning,
        notes=tuple(_notes(config, selection)),
        ordinary=len(selection.candidates),
        provider_params=params.by_provider,
        rescues=(rescues := any(step.rescue for step in steps)),
        races=(merged_hedge is not None or rescues) if _several(selection) else (
            merged_hedge is not None and merged_hedge.same
        ),
        keyed=tuple(dict.fromkeys(
            member.provider.name for one in (*selection.candidates, *larger) if one.places is not None
            for member in one.places.members if member.provider.name != base_name(member.provider.name)
        )),
    )


def whole_only(plan: Plan) -> Plan:
    """The plan of a call whose answer nobody reads as it comes: one JSON body, which takes a tenth of the processor
    time, unless a number for `first_token` or `idle`, or a hedge, needs to see the contents.
    """
    if not any(step.streams_for_readers for step in plan.steps):
        return plan
    return plan._replace(
        steps=tuple(step._replace(streams=step.streams and not step.streams_for_readers) for step in plan.steps)
    )


def _several(selection: Selection) -> bool:
    """Whether a call could be sent to two places at once."""
    return len(selection.candidates) > 1 or any(
        one.places is not None and len(one.places.members) > 1 for one in selection.candidates
    )


def _notes(config: Config, selection: Selection) -> Iterator[tuple[str, str]]:
    """What to say once about the models of a call, each with the name it is about."""
    for one in selection.candidates:
        if one.places is None:
            if (note := read_as_id(one.model, config.providers)) is not None:
                yield one.model.name, note
        elif not one.places.of_keys:
            yield from shared_members(config, one.places)


def _default_task(config: Config) -> str:
    if "default" not in config.tasks:
        raise ConfigError("there is no task named default: a call has to name a task, tier, chain or model", "task")
    return "default"


def _select(
    config: Config, task: str | None, tier: str | None, chain: ChainLike | None, model: str | Model | Step | None
) -> Selection:
    of_task = None if task is None else task_chain(config, task)
    if tier is not None:
        return select_tier(config, tier, of_task)
    if chain is not None:
        return select_chain(config, chain, of_task)
    if model is not None:
        return select_model(config, model, of_task)
    return select_task(config, of_task or task_chain(config, "default"))


def _for_long_prompts(config: Config, selection: Selection, settings: CallSettings) -> list[Candidate]:
    """The models to ask when the prompt is too long for one of the selected."""
    given = (settings.on_context, *(chain.on_context for chain in reversed(selection.chains)))
    name = _first_given(*given, default=config.defaults.on_context)
    return [] if name is None else select_for_long_prompts(config, name, selection)


def _unknown_task(config: Config, task: str) -> str:
    meant = check.closest(task, config.tasks)
    hint = f" (did you mean {meant!r}?)" if meant else ""
    return f'unknown task {task!r}{hint}: taking the chain of "default"'


def _failure_message(task: str | None, tier: str | None, *, unknown: bool) -> str:
    if task is None:
        return "All models failed" if tier is None else "All budget-appropriate models failed"
    return f"task {task!r}: every model failed" if unknown else f"All {task} models failed"


def _hedge(defaults: Defaults, chains: list[Chain], given: object) -> Hedge | None:
    hedge = defaults.hedge
    for chain in chains:
        hedge = merge_hedge(hedge, chain.hedge)
    return merge_hedge(hedge, given)


def _deadline(defaults: Defaults, chains: list[Chain], given: float | NotGiven | None) -> float | None:
    if not isinstance(given, NotGiven):
        check.seconds("deadline", given)
    return _first_given(given, *(chain.deadline for chain in reversed(chains)), default=defaults.deadline)


def _step(
    config: Config, candidate: Candidate, retry: object, hedge: Hedge | None, call: CallSettings, *, of_call: bool
) -> PlannedStep:
    model, step, chain, places = candidate
    base = config.defaults
    provider = config.provider(model.provider) if places is None else places.members[0].provider
    check_id(model, provider)
    given_first = _first_given(step.first_token, call.first_token, chain.first_token, default=base.first_token)
    first_token = seconds_of(given_first)
    idle = seconds_of(_first_given(step.idle, call.idle, chain.idle, default=base.idle))
    wire_stream = _first_given(step.wire_stream, chain.wire_stream, default=base.wire_stream)
    limits = [limit for limit in (first_token, idle) if limit is not None]
    needs_content = hedge is not None or any(not isinstance(limit, AutoSeconds) for limit in limits)
    planned = PlannedStep(
        name=model.name,
        model=model,
        provider=provider,
        connect=_first_given(step.connect, call.connect, chain.connect, default=base.connect),
        first_token=first_token,
        idle=idle,
        total=_first_given(step.total, call.total, chain.total, default=base.total),
        retry=merge_retry(merge_retry(merge_retry(base.retry, chain.retry), retry), step.retry),
        on_refusal=_first_given(step.on_refusal, call.on_refusal, chain.on_refusal, default=base.on_refusal),
        max_response_bytes=_first_given(
            step.max_response_bytes, chain.max_response_bytes, default=base.max_response_bytes
        ),
        streams=needs_content or bool(limits) if wire_stream == "auto" else wire_stream,
        streams_for_readers=wire_stream == "auto" and not needs_content and bool(limits),
        params=step.params,
        rescue=_first_given(step.rescue, call.rescue, chain.rescue, default=base.rescue) == "on",
        clocks_of_call=any(
            isinstance(clock, int | float)
            for given in ((call, step, chain) if of_call else (call,))
            for clock in (given.first_token, given.idle, given.total)
        ),
    )
    return planned if places is None else planned._replace(pool=_pool(planned, places))


def _pool(step: PlannedStep, places: Places) -> PlannedPool:
    for place in places.members:
        check_id(place.model, place.provider)
    members = tuple(
        step._replace(model=place.model, provider=place.provider, member=place.name) for place in places.members
    )
    weights = tuple(place.weight for place in places.members)
    providers = ", ".join(dict.fromkeys(base_name(place.provider.name) for place in places.members))
    return PlannedPool(places.name, places.pick, members, weights, places.of_keys, providers)


def _first_given(*values: T | NotGiven, default: T) -> T:
    return next((value for value in values if not isinstance(value, NotGiven)), default)
