"""How long, how often, how early: the limits of a step and of a call, and how one lies over another."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import asyncrouter._config.checks as check
from asyncrouter._config.tables import build, lay, read
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from collections.abc import Callable


class NotGiven(enum.Enum):
    """Its one member says that nothing was said, which is not the same as `None` (no limit)."""

    token = 0

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.token


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Retry(ShortRepr, PickledByName):
    """Tries on one model. `attempts` counts the first; pauses are drawn from U(0, min(cap, base · 2ⁿ)) seconds.

    `patience` is the longest Retry-After, in seconds, that is waited out while another model could serve, and the
    longest wait for a turn under a limit; a tenth of it (or two turns) while more requests come than that lets go.
    """

    attempts: int = 2
    base: float = 0.25
    cap: float = 8.0
    patience: float = 2.0

    def __post_init__(self) -> None:
        check.count("attempts", self.attempts)
        for name in ("base", "cap", "patience"):
            check.amount(name, getattr(self, name), "seconds")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Hedge(ShortRepr, PickledByName):
    """Race the next model when the current one is late.

    `after` is seconds since the newest attempt was sent, or "p95"; `cap` bounds a learned delay. `budget` is the share
    of calls that may hedge (a token bucket: that much a call, ten at most). `same` races the same model.
    """

    after: float | Literal["p95"]
    budget: float = 0.05
    cap: float | None = None
    same: bool = False

    def __post_init__(self) -> None:
        if self.after is None or (isinstance(self.after, str) and self.after != "p95"):
            raise check.expected('seconds or "p95"', self.after, "after")
        if self.after != "p95":
            check.positive("after", self.after, "seconds")
        check.share("budget", self.budget)
        check.seconds("cap", self.cap)
        check.flag("same", self.same)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Defaults(ShortRepr, PickledByName):
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

    def __post_init__(self) -> None:
        check_given(self)
        if not isinstance(self.retry, Retry):
            raise check.expected("a Retry", self.retry, "retry")
        if not isinstance(self.hedge, Hedge | None):
            raise check.expected("a Hedge or None", self.hedge, "hedge")


def retry_over(below: Retry, given: object) -> Retry:
    """The retries that hold when `given` is laid over `below`. Raises `ConfigError`."""
    if isinstance(given, NotGiven | Retry):
        return below if isinstance(given, NotGiven) else given
    with check.at("retry"):
        return lay(below, given)


def hedge_over(below: Hedge | None, given: object) -> Hedge | None:
    """The hedge when `given` is laid over `below`; a number or "p95" is its `after`. Raises `ConfigError`."""
    if isinstance(given, NotGiven):
        return below
    if isinstance(given, Hedge | None):
        return given
    with check.at("hedge"):
        if isinstance(given, bool) or (not isinstance(given, Mapping | int | float) and given != "p95"):
            what = 'a table like { after = 1.5 }, seconds, or "p95" (no hedge is None, "none" in a file)'
            raise check.expected(what, given)
        table = given if isinstance(given, Mapping) else {"after": given}
        return build(Hedge, read(Hedge, table)) if below is None else lay(below, table)


def _wire_stream(path: str, value: object) -> None:
    if not isinstance(value, bool) and value != "auto":
        raise check.expected('true, false or "auto"', value, path)


_RULES: dict[str, Callable[[str, object], None]] = {
    "connect": check.seconds,
    "first_token": check.seconds,
    "idle": check.seconds,
    "total": check.seconds,
    "deadline": check.seconds,
    "on_refusal": lambda path, value: check.one_of(path, value, "raise", "next"),
    "breaker": lambda path, value: check.one_of(path, value, "auto", "off"),
    "max_response_bytes": check.count,
    "wire_stream": _wire_stream,
}


def check_given(settings: object) -> None:
    """Check every limit that a step, a chain or the defaults give."""
    for name, rule in _RULES.items():
        if (value := getattr(settings, name, NOT_GIVEN)) is not NOT_GIVEN:
            rule(name, value)
