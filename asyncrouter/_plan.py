"""From what a call asks for to the steps it will take: names resolved, clocks laid over one another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from asyncrouter._catalog import Model, Provider
from asyncrouter._config import Hedge, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
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
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a call, in order, with what holds for the whole of it.

    `task` is the name a trace carries (the task as asked for, or the tier), `failed` how the error begins when all fail.
    `params` are the task's, under the caller's.
    """

    task: str | None
    failed: str
    steps: tuple[PlannedStep, ...]
    params: Mapping[str, object]
    hedge: Hedge | None
    deadline: float | None


# resolve(config, *, task=None, tier=None, chain=None, model=None, deadline=NOT_GIVEN, hedge=NOT_GIVEN, retry=NOT_GIVEN) -> Plan
