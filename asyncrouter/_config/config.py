"""The plans people write: steps, chains, limits, and the configuration that holds them. Data, checked when made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import asyncrouter._config.checks as check
from asyncrouter._config.catalog import Model, Provider, provider_name
from asyncrouter._config.names import find_model, find_provider
from asyncrouter._config.settings import (
    NOT_GIVEN,
    Defaults,
    Hedge,
    NotGiven,
    Retry,
    check_given,
    hedge_over,
    retry_over,
)
from asyncrouter._config.tables import build, entries, parameters, put, read
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOT_GIVEN", "Chain", "Config", "Defaults", "Hedge", "NotGiven", "Retry", "Settings", "Step"]

Named = TypeVar("Named", Provider, Model)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings(ShortRepr, PickledByName):
    """What a step, or a chain for all of its steps, may set over the defaults; a mapping changes only what it names."""

    connect: float | NotGiven | None = NOT_GIVEN
    first_token: float | NotGiven | None = NOT_GIVEN
    idle: float | NotGiven | None = NOT_GIVEN
    total: float | NotGiven | None = NOT_GIVEN
    retry: Retry | Mapping[str, object] | NotGiven = NOT_GIVEN
    on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN
    max_response_bytes: int | NotGiven = NOT_GIVEN
    wire_stream: bool | Literal["auto"] | NotGiven = NOT_GIVEN
    params: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_given(self)
        retry_over(Retry(), self.retry)
        if isinstance(self.retry, Mapping):
            put(self, "retry", dict(self.retry))
        put(self, "params", parameters("params", self.params))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Step(Settings):
    """A model with its clocks inside a chain. `params` are laid over the call's."""

    model: str | Model

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model):
            check.text("model", self.model)
        Settings.__post_init__(self)


@dataclass(frozen=True, slots=True, repr=False)
class Chain(Settings):
    """Models in the order in which they are tried, with what holds for all of them.

    A model may also be a table of `Step`'s fields, as it is in a file.
    """

    models: Sequence[str | Model | Step]
    hedge: Hedge | Mapping[str, object] | float | Literal["p95"] | NotGiven | None = field(
        default=NOT_GIVEN, kw_only=True
    )
    deadline: float | NotGiven | None = field(default=NOT_GIVEN, kw_only=True)

    def __post_init__(self) -> None:
        put(self, "models", _steps(self.models))
        Settings.__post_init__(self)
        hedge_over(_ANY_HEDGE, self.hedge)
        if isinstance(self.hedge, Mapping):
            put(self, "hedge", dict(self.hedge))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Config(ShortRepr, PickledByName):
    """Everything a router knows before its first call. Tiers are in order of price, cheapest first.

    Well-known providers need no entry. Providers and models take their names from their keys. Raises `ConfigError` for
    whatever could not be carried out: a name that stands for nothing, an empty chain, a limit that is none.
    """

    default_provider: str = "openrouter"
    unknown_task: Literal["default", "error"] = "default"
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)
    tasks: Mapping[str, Chain] = field(default_factory=dict)
    tiers: Mapping[str, Chain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check.one_of("unknown_task", self.unknown_task, "default", "error")
        if not isinstance(self.defaults, Defaults):
            raise check.expected("Defaults", self.defaults, "defaults")
        with check.at("providers"):
            put(self, "providers", _named(self.providers, Provider, provider_name))
        with check.at("default_provider"):
            check.text("", self.default_provider)
            self.provider(self.default_provider)
        with check.at("models"):
            put(self, "models", _named(self.models, Model, check.text))
        for name, model in self.models.items():
            with check.at(f"models.{check.quoted(name)}.provider"):
                self.provider(model.provider)
        put(self, "tasks", self._checked_chains("tasks", self.tasks))
        put(self, "tiers", self._checked_chains("tiers", self.tiers))

    def provider(self, name: str) -> Provider:
        """The provider of this name: its entry, or a well-known one. Raises `ConfigError`."""
        return find_provider(name, self.providers)

    def model(self, name: str | Model) -> Model:
        """The model that a name stands for; a `Model` is taken as it is. Raises `ConfigError`."""
        if isinstance(name, Model):
            with check.at("provider"):
                self.provider(name.provider)
            return name if name.name else replace(name, name=name.id)
        return find_model(name, models=self.models, providers=self.providers, default=self.default_provider)

    def _checked_chains(self, path: str, given: Mapping[str, Chain]) -> dict[str, Chain]:
        with check.at(path):
            chains = entries(given)
            for name, chain in chains.items():
                check.text("", name)
                with check.at(check.quoted(name)):
                    if not isinstance(chain, Chain):
                        raise check.expected("a Chain", chain)
                    self._check_chain(chain)
        return dict(given)

    def _check_chain(self, chain: Chain) -> None:
        hedge_over(self.defaults.hedge, chain.hedge)
        for index, entry in enumerate(chain.models):
            where, model = ("model", entry.model) if isinstance(entry, Step) else ("", entry)
            with check.at(check.join(f"models[{index}]", where)):
                self.model(model)


_ANY_HEDGE = Hedge(after="p95")
"""Stands below a chain's hedge until the defaults are known, so that a part of one can be checked."""


def _steps(given: object) -> tuple[str | Model | Step, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray) or not given:
        raise check.expected("a list of at least one model", given, "models")
    return tuple(_step(f"models[{index}]", entry) for index, entry in enumerate(given))


def _step(path: str, entry: object) -> str | Model | Step:
    if isinstance(entry, Model | Step):
        return entry
    with check.at(path):
        if isinstance(entry, Mapping):
            return build(Step, read(Step, entry))
        if not isinstance(entry, str) or not entry.strip():
            raise check.expected("a model's name or a table with `model`", entry)
    return entry


def _named(given: object, cls: type[Named], rule: Callable[[str, object], None]) -> dict[str, Named]:
    named: dict[str, Named] = {}
    for name, thing in entries(given, secret=True).items():
        rule("", name)
        with check.at(check.quoted(name)):
            if not isinstance(thing, cls):
                raise check.withheld(f"a {cls.__name__}")
            if thing.name not in {"", name}:
                raise check.expected(f"{name!r}, as its key, or nothing", thing.name, "name")
            named[name] = replace(thing, name=name)
    return named
