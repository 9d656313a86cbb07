"""The plans people write: steps, chains, limits, and the configuration that holds them. Pure data, checked when made."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from asyncrouter._catalog import Model, Provider


class NotGiven(enum.Enum):
    """Its one member says that nothing was said, which is not the same as `None` (no limit)."""

    token = 0

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.token


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Tries on one model. `attempts` counts the first; pauses are drawn from U(0, min(cap, base · 2ⁿ)) seconds.

    `patience` is the longest Retry-After, in seconds, that is waited out while another model could serve.
    """

    attempts: int = 2
    base: float = 0.25
    cap: float = 8.0
    patience: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """Race the next model when the current one is late.

    `after` is seconds since the newest attempt was sent, or "p95"; `cap` bounds a learned delay. `budget` is the share
    of calls that may hedge (a token bucket: that much a call, ten at most). `same` races the same model.
    """

    after: float | Literal["p95"]
    budget: float = 0.05
    cap: float | None = None
    same: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for every step unless a task or the step says otherwise; seconds, `None` for no limit.

    `connect` is until the socket is ready, `first_token` from sending until the first content, `idle` between contents,
    `total` the whole attempt; `deadline` is the whole call.
    """

    connect: float | None = 5.0
    first_token: float | None = 30.0
    idle: float | None = 30.0
    total: float | None = 120.0
    deadline: float | None = 300.0
    retry: Retry = field(default_factory=Retry)
    hedge: Hedge | None = None
    on_refusal: Literal["raise", "next"] = "raise"
    breaker: Literal["auto", "off"] = "auto"
    max_response_bytes: int = 67_108_864
    wire_stream: bool | Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a step, or a chain for all of its steps, may set over the defaults; a mapping changes only what it names."""

    connect: float | None | NotGiven = NOT_GIVEN
    first_token: float | None | NotGiven = NOT_GIVEN
    idle: float | None | NotGiven = NOT_GIVEN
    total: float | None | NotGiven = NOT_GIVEN
    retry: Retry | Mapping[str, object] | NotGiven = NOT_GIVEN
    on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN
    max_response_bytes: int | NotGiven = NOT_GIVEN
    wire_stream: bool | Literal["auto"] | NotGiven = NOT_GIVEN
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Settings):
    """A model with its clocks inside a chain. `params` are laid over the call's."""

    model: str | Model


@dataclass(frozen=True, slots=True)
class Chain(Settings):
    """Models in the order in which they are tried, with what holds for all of them."""

    models: Sequence[str | Model | Step]
    hedge: Hedge | Mapping[str, object] | float | None | NotGiven = field(default=NOT_GIVEN, kw_only=True)
    deadline: float | None | NotGiven = field(default=NOT_GIVEN, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a router knows before its first call. Tiers are in order of price, cheapest first."""

    default_provider: str = "openrouter"
    unknown_task: Literal["default", "error"] = "default"
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)
    tasks: Mapping[str, Chain] = field(default_factory=dict)
    tiers: Mapping[str, Chain] = field(default_factory=dict)
