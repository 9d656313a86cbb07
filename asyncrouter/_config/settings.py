"""Retry, Hedge and Defaults: the limits of a step and of a call, and how given values are merged over defaults."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from asyncrouter._config import checks as check
from asyncrouter._config.catalog import Model
from asyncrouter._config.tables import build, override, read
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from collections.abc import Callable


_QUANTILE: Final = re.compile(r"p[5-9]\d(?:\.\d)?")


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, which marks an argument that was not given, unlike `None`, which means no limit."""

    token = 0

    if not TYPE_CHECKING:
        __hash__ = object.__hash__  # it is in the key of every cached plan, and an enum's own is slow

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.token


class DefaultCount(int):
    """A number that nobody has given: the default."""


class DefaultSeconds(float):
    """Seconds that nobody has given: the default."""


class AutoSeconds(float):
    """An "auto" limit, as `explain()` shows it: the seconds before which it never cuts.

    It follows what the model usually does, if that is longer.
    """


AUTO_CAP = 30.0
"""Seconds below which an "auto" limit never cuts, unless its table gives another `cap`."""
AutoClock = Literal["auto"] | Mapping[str, object]
"""How an "auto" limit is written: "auto", or a table like { auto = true, cap = 120 }."""


def seconds_of(value: object) -> float | None:
    """The seconds of a limit that has been checked: an `AutoSeconds` for "auto"."""
    if isinstance(value, Mapping):
        cap = value.get("cap", AUTO_CAP)
        return AutoSeconds(cap) if isinstance(cap, int | float) else None
    if value == "auto":
        return AutoSeconds(AUTO_CAP)
    return value if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True, repr=False)
class Retry(ShortRepr, PickledByName):
    """How often and when a failed request is sent again to the same model, before the next model is tried: `Retry(3)`.

    - `attempts`: requests to one model at most, the first included. 1 means no retry. Default 2. The default does not
      count waits: a pause that the provider asked for, or a rate limit while no other model could serve. A number that
      is given bounds those, too.
    - `base`, `cap`: seconds. The pause before the n-th retry (n = 0 for the first) is drawn uniformly from 0 to
      min(cap, base · 2ⁿ): exponential backoff with full jitter. Defaults 0.25 and 8.
    - `patience`: seconds, default 2. The longest wait on this model while another one could serve the call: for a
      Retry-After of the provider, or for a turn under a rate limit. (While more requests arrive than that limit lets
      through, a call waits a tenth of it at most, or two turns if that is longer.) For a limit that only 429s tell it
      is a quarter of that. On the last model of a chain a wait may last until the deadline.

    Which failures are retried depends on the error; see the error classes. Raises `ConfigError` for a value that
    cannot be used.
    """

    attempts: int = DefaultCount(2)  # immutable
    _: KW_ONLY
    base: float = 0.25
    cap: float = 8.0
    patience: float = 2.0

    def __post_init__(self) -> None:
        check.count("attempts", self.attempts)
        for name in ("base", "cap", "patience"):
            check.amount(name, getattr(self, name), "seconds")

    @property
    def attempts_given(self) -> bool:
        """Whether somebody has given `attempts`: then it bounds waits, too."""
        return not isinstance(self.attempts, DefaultCount)


@dataclass(frozen=True, slots=True, repr=False)
class Hedge(ShortRepr, PickledByName):
    """When to start the next model beside the current one because it is late: `Hedge(1.5)`, `Hedge("p95")`, "auto".

    An attempt is late in three ways: its first content has not come after `after`; it has been silent between two
    contents for longer than is usual for its model; or it comes so slowly, both by contents and by characters, that the
    other model would be done sooner. In the first case the first content wins, once more of it has come at a usual
    pace; in the others the first whole answer.

    - `after`: seconds from the sending of the newest request. Or "p95", the time within which 95 % of this model's
      recent answers began ("p50" to "p99.9" likewise), or later where the budget cannot pay for so many. Or "auto":
      from there on, where the time that it saves is worth a request; a healthy model is then hardly ever hedged. Until
      300 first contents are measured both mean 3.5 times the median, after the fifth, and at most 8 s.
    - `budget`: the share of calls that may hedge, 0 to 1, default 0.05. It is a token bucket: each call adds this
      much, a hedge takes 1, and it holds at most 10, with which it begins. While it is empty, no hedge is started (the
      event `HedgeDenied`).
    - `cap`: seconds; the longest delay that a quantile or "auto" may come to. `None` (the default): no such limit.
    - `same`: race a second request to the same model instead of the next one. Default `False`.

    Raises `ConfigError` for a value that cannot be used.
    """

    after: float | str
    _: KW_ONLY
    budget: float = 0.05
    cap: float | None = None
    same: bool = False

    def __post_init__(self) -> None:
        named = self.after == "auto" or is_quantile(self.after)
        if self.after is None or (isinstance(self.after, str) and not named):
            raise check.expected('seconds, a quantile like "p95", or "auto"', self.after, "after")
        if not isinstance(self.after, str):
            check.positive("after", self.after, "seconds")
        check.share("budget", self.budget)
        check.seconds("cap", self.cap)
        check.flag("same", self.same)

    @property
    def quantile(self) -> float | None:
        """The quantile that `after` names: 0.95 for "p95" and "auto"; `None` for seconds."""
        if not isinstance(self.after, str):
            return None
        return AUTO_QUANTILE if self.after == "auto" else float(self.after[1:]) / 100.0


AUTO_QUANTILE = 0.95
"""The quantile before which "auto" starts no hedge."""


def is_quantile(text: object) -> bool:
    """Whether a value of `hedge` names a quantile of a model's first contents: "p50" to "p99.9"."""
    return isinstance(text, str) and _QUANTILE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Defaults(ShortRepr, PickledByName):
    """The settings of every step, unless its task or the step itself says otherwise.

    Times are in seconds; `None` ("none" in a file) means no limit.

    - `connect`: until the socket is ready to send on, name look-up and TLS included. Default 5.
    - `first_token`: from sending the request until the first content of the answer; `idle`: between two pieces of
      content. "auto" (the default): a late attempt is raced with the next model, see `rescue`; it is cut only where
      nobody can be raced, after 30 s, or twice as long as one in 100,000 of the model's answers takes, if that is
      longer. A table like `{"auto": True, "cap": 120}` says another number than 30. A number always cuts.
    - `total`: one whole attempt, from sending to the end of the answer. Default 120.
    - `deadline`: one whole call, with all its attempts and pauses. Default 300.
    - `retry`, `hedge`: see `Retry` and `Hedge`. Default: two attempts, no hedging.
    - `on_refusal`: what happens when a provider refuses the content of a prompt: "raise" (the default) raises
      `Refused`, "next" tries the next model.
    - `on_context`: the name of a model or task that is asked next when the prompt is too long for a model. `None` (the
      default): the chain goes on with its models that have a larger context window.
    - `breaker`: "auto" (the default) skips a model or host that keeps failing for some time, "off" never does.
    - `rescue`: "on" (the default) starts the next model beside an attempt that is far slower than usual, or silent,
      even without a hedge; from a budget of its own: 5 % of the calls, 1 % beside a hedge. "off" never does. With
      `priority="batch"` it is off.
    - `max_response_bytes`: a longer response is a `BadReply`. Default 64 MiB.
    - `wire_stream`: whether `chat()` asks the provider for a stream. `True`: always. `False`: for one JSON body, which
      takes a tenth of the processor time, but only `connect` and `total` can be kept, and a provider bills a cancelled
      call in full. "auto" (the default): a stream if there is a hedge or a limit on `first_token` or `idle`. But where
      nobody reads along (`priority="batch"`; a server's unstreamed calls), limits that are "auto" are no reason to
      stream: whether an attempt is late is judged on the whole answer there.

    Raises `ConfigError` for a value that cannot be used.
    """

    connect: float | None = 5.0
    first_token: float | AutoClock | None = "auto"  # noqa: S105  # no secret
    idle: float | AutoClock | None = "auto"
    total: float | None = 120.0
    deadline: float | None = DefaultSeconds(300.0)  # immutable
    retry: Retry = field(default_factory=Retry)
    hedge: Hedge | None = None
    on_refusal: Literal["raise", "next"] = "raise"
    breaker: Literal["auto", "off"] = "auto"
    max_response_bytes: int = 67_108_864
    wire_stream: bool | Literal["auto"] = "auto"
    on_context: str | None = None
    rescue: Literal["on", "off"] = "on"

    def __post_init__(self) -> None:
        check_settings(self)
        if not isinstance(self.retry, Retry):
            raise check.expected("a Retry", self.retry, "retry")
        if not isinstance(self.hedge, Hedge | None):
            raise check.expected("a Hedge or None", self.hedge, "hedge")


def merge_retry(base: Retry, given: object) -> Retry:
    """The `Retry` that holds: `base` with what is given; a number is its `attempts`, a mapping names the fields."""
    if isinstance(given, NotGiven | Retry):
        return base if isinstance(given, NotGiven) else given
    with check.at("retry"):
        if isinstance(given, int) and not isinstance(given, bool):
            given = {"attempts": given}
        if not isinstance(given, Mapping):
            raise check.expected('Retry(attempts=3), {"attempts": 3} or 3', given)
        return override(base, given)


def merge_hedge(base: Hedge | None, given: object) -> Hedge | None:
    """The `Hedge` that holds: `base` with what is given; a number or a quantile stands for its `after`."""
    if isinstance(given, NotGiven):
        return base
    if isinstance(given, Hedge | None):
        return given
    with check.at("hedge"):
        named = given == "auto" or is_quantile(given)
        if isinstance(given, bool) or not (isinstance(given, Mapping | int | float) or named):
            what = 'a table like { after = 1.5 }, seconds, "p95" or "auto" (no hedge is None, "none" in a file)'
            raise check.expected(what, given)
        table = given if isinstance(given, Mapping) else {"after": given}
        return build(Hedge, read(Hedge, table)) if base is None else override(base, table)


def _wire_stream(path: str, value: object) -> None:
    if not isinstance(value, bool) and value != "auto":
        raise check.expected('true, false or "auto"', value, path)


def _clock(path: str, value: object) -> None:
    if value == "auto":
        return
    if not isinstance(value, Mapping):
        if isinstance(value, str):
            raise check.expected('seconds, "auto", or a table like { auto = true, cap = 120 }', value, path)
        check.seconds(path, value)
        return
    for key in value:
        if key not in ("auto", "cap"):
            raise check.unknown("key", str(key), ("auto", "cap"), path)
    if value.get("auto") is not True:
        raise check.expected("auto = true", value.get("auto"), check.join(path, "auto"))
    check.positive(check.join(path, "cap"), value.get("cap", AUTO_CAP), "seconds")


_RULES: dict[str, Callable[[str, object], None]] = {
    "connect": check.seconds,
    "first_token": _clock,
    "idle": _clock,
    "total": check.seconds,
    "deadline": check.seconds,
    "on_refusal": lambda path, value: check.one_of(path, value, "raise", "next"),
    "on_context": lambda path, value: None if value is None or isinstance(value, Model) else check.text(path, value),
    "breaker": lambda path, value: check.one_of(path, value, "auto", "off"),
    "max_response_bytes": check.count,
    "wire_stream": _wire_stream,
    "rescue": lambda path, value: check.one_of(path, value, "on", "off"),
}


def check_settings(settings: object) -> None:
    """Check every setting that a step, a chain or the defaults give. Raises `ConfigError`."""
    for name, rule in _RULES.items():
        if (value := getattr(settings, name, NOT_GIVEN)) is not NOT_GIVEN:
            rule(name, value)
