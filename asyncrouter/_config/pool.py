"""Pool: one model in several places (keys, regions, deployments, hosts) under one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from asyncrouter._config import checks as check
from asyncrouter._config.catalog import Model
from asyncrouter._config.price import Price, price_from
from asyncrouter._config.tables import build, read, set_frozen
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from typing import TypeAlias

class MemberView(NamedTuple):
    """A member of a pool, as the function of `Pool.pick` sees it.

    - `name`: such as "azure-eu:gpt-6-luna"; `provider`: the provider's name in the configuration; `id`: the model's.
    - `in_flight`: its attempts that are running; `waiting`: calls that wait for their turn under its limits.
    - `seconds`: the median of its whole answers now; `None` while it is not known.
    - `usd_per_mtok`: its `Price`; `None` if unknown. `weight`: as configured.
    """

    name: str
    provider: str
    id: str
    in_flight: int
    waiting: int
    seconds: float | None
    usd_per_mtok: Price | None
    weight: float


PickName = Literal["least-busy", "fastest", "cheapest", "weighted", "first"]
Pick: TypeAlias = "PickName | Callable[[Sequence[MemberView]], object]"
"""A rule of a pool by its name, or a function: it gets the members that could be asked now (`MemberView`), and returns
one of them, or its name."""

OF_MEMBERS = ("context", "max_output", "usd_per_mtok", "drop", "max_concurrent", "rpm", "tpm")
"""Fields of a pool that hold for each of its members that does not say otherwise."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolMember(ShortRepr, PickledByName):
    """A member of a pool with its weight: `PoolMember("azure-eu:gpt-6-luna", weight=2)`.

    - `model`: the name of a model, or a `Model`.
    - `weight`: its share of the calls, in relation to the others; only with `pick="weighted"`. Default 1.

    Raises `ConfigError` for a value that cannot be used.
    """

    model: str | Model
    weight: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model | Pool):
            check.text("model", self.model)
        if self.weight is not None:
            check.positive("weight", self.weight)


@dataclass(frozen=True, slots=True, repr=False)
class Pool(ShortRepr, PickledByName):
    """One model in several places: `Pool(["azure-eu:gpt-6-luna", "openai:gpt-6-luna"], pick="fastest")`.

    In a chain it is one step. A call goes to one member, and to another one before the next step where that fails (to
    all of them, where no other step could be sent); a hedge takes another member first. Each member has its own limits,
    health, price and latency.

    - `any`: the members: names, `Model`s, `PoolMember`s or tables `{ model = …, weight = 2 }`. They may be of several
      vendors and protocols. A member whose provider has several keys stands for as many; a pool stands for its members.
    - `pick`: which member a call goes to, among those that could be asked now:
      "least-busy" (the default): the one with the fewest requests in flight, of those that are about as fast as the
      fastest; "fastest": the one whose whole answers are quickest, with new ones tried in their turn; "cheapest";
      "first": in the order of `any`; "weighted": in proportion to the weights, within one call for each other member,
      in each process by itself. Or a function: it gets the candidates (`MemberView`: `name`, `in_flight`, `waiting`,
      `seconds`, `usd_per_mtok`, `weight`) and returns one of them, or its name.
    - `name`: its name in chains, replies and traces. An entry of `Config.models` takes its key as its name.
    - `rpm`, `tpm`, `max_concurrent`: limits of each member, not of all together.
    - `context`, `max_output`, `usd_per_mtok`, `drop`: as of a `Model`, for the members that do not say so themselves.

    A call with a `session` stays on one member, whatever `pick` says. Raises `ConfigError` for a value that cannot be
    used.
    """

    any: Sequence[str | Model | Pool | PoolMember | Mapping[str, object]]
    pick: Pick = "least-busy"
    name: str = ""
    context: int | None = None
    max_output: int | None = None
    usd_per_mtok: Price | None = None
    drop: tuple[str, ...] = ()
    max_concurrent: int | None = None
    rpm: float | None = None
    tpm: float | None = None

    def __post_init__(self) -> None:
        _check_pick(self.pick)
        given = self.any
        if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray) or not given:
            raise check.expected("a list of at least one model", given, "any")
        members = tuple(_member(f"any[{index}]", one) for index, one in enumerate(given))
        if self.pick != "weighted":
            for index, one in enumerate(members):
                if one.weight is not None:
                    raise check.expected('no weight without pick = "weighted"', one.weight, f"any[{index}].weight")
        set_frozen(self, "any", members)
        if self.name != "":
            check.name("name", self.name)
        else:
            set_frozen(self, "name", self._default_name)
        # The fields have the rules of a model's.
        checked = Model(provider="any", id="any", **{name: getattr(self, name) for name in OF_MEMBERS})
        set_frozen(self, "drop", checked.drop)

    @property
    def _default_name(self) -> str:
        return " | ".join(_name(one.model) for one in self.members)[: check.MAX_NAME_CHARACTERS]

    @property
    def is_unnamed(self) -> bool:
        """Whether nobody has given it a name: then it is called by its members'."""
        return self.name == self._default_name

    @property
    def members(self) -> tuple[PoolMember, ...]:
        """The members with their weights, in order."""
        return self.any  # type: ignore[return-value]  # made so above


def pool_from(given: object) -> Pool:
    """Make a pool from its table. Raises `ConfigError`."""
    values = read(Pool, given)
    price = values.get("usd_per_mtok")
    if not isinstance(price, Price | None):
        with check.at("usd_per_mtok"):
            values["usd_per_mtok"] = price_from(price)
    return build(Pool, values)


def is_pool_table(given: object) -> bool:
    """Whether a table of a configuration describes a pool, not a model."""
    return isinstance(given, Mapping) and ("any" in given or "pick" in given)


def _check_pick(pick: object) -> None:
    names = get_args(PickName)
    if callable(pick):
        if iscoroutinefunction(pick) or iscoroutinefunction(getattr(pick, "__call__", None)):  # noqa: B004
            raise check.expected("a plain function, for a member is picked at once", pick, "pick")
        return
    if not isinstance(pick, str):
        raise check.expected(f"{' or '.join(map(repr, names))}, or a function", pick, "pick")
    if pick not in names:
        raise check.unknown("rule", pick, names, "pick")


def _member(path: str, given: object) -> PoolMember:
    with check.at(path):
        if isinstance(given, PoolMember):
            return given
        if isinstance(given, Mapping):
            values = read(PoolMember, given)
            if "weight" in values and (values["weight"] is None or values["weight"] == inf):
                raise check.expected("a finite number above 0", given["weight"], "weight")
            return build(PoolMember, values)
        if not isinstance(given, Model | Pool) and (not isinstance(given, str) or not given.strip()):
            raise check.expected("a model's name or a table with `model`", given)
        return PoolMember(given)  # type: ignore[arg-type]  # a pool stands for its members


def _name(model: object) -> str:
    return model if isinstance(model, str) else str(getattr(model, "name", "") or getattr(model, "id", ""))
