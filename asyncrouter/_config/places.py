"""The places that a name stands for: the members of a pool, and a model once for each key of its provider."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncrouter._config import checks as check
from asyncrouter._config.catalog import Model
from asyncrouter._config.names import completed, find_provider, model_named
from asyncrouter._config.pool import OF_MEMBERS, Pool
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Provider
    from asyncrouter._config.pool import Pick

WEIGHT = 1.0
"""The weight of a member that says none."""


class Place(NamedTuple):
    """A model at a provider with one key. `name` is that of the member: `azure-eu:gpt`, `openai[OPENAI_KEY_B]:gpt`."""

    name: str
    model: Model
    provider: Provider
    weight: float


class Places(NamedTuple):
    """Several places of one model. `of_keys`: they differ in their key alone, and nobody has called them a pool."""

    name: str
    pick: Pick
    members: tuple[Place, ...]
    of_keys: bool

    @property
    def model(self) -> Model:
        """A model that stands for all of them: with the smallest context window, and the highest price."""
        first = self.members[0].model
        windows = [one.model.context for one in self.members]
        prices = [one.model.usd_per_mtok for one in self.members]
        known = [price for price in prices if price is not None]
        return replace(
            first, name=self.name, context=None if None in windows else min(one for one in windows if one is not None),
            usd_per_mtok=None if None in prices else max(known, key=lambda price: price.input + price.output),
        )


class Names(NamedTuple):
    """What the names of a configuration are looked up in."""

    models: Mapping[str, Model | Pool]
    providers: Mapping[str, Provider]
    default: str


def find_places(given: str | Model | Pool, names: Names) -> Places | None:
    """The places of a pool, or of a model whose provider has several keys; `None` for a model in one place.

    Raises `ConfigError`, for a pool with the path of the member.
    """
    entry = names.models.get(given) if isinstance(given, str) else given
    if isinstance(entry, Pool):
        return _of_pool(entry, names)
    found = _model(entry or given, names, {})
    keyed = find_provider(found.provider, names.providers).each_key()
    if len(keyed) == 1:
        return None
    members = [_place(found, one, WEIGHT / len(keyed)) for one in keyed]
    return Places(found.name, "least-busy", tuple(members), of_keys=True)


def _of_pool(pool: Pool, names: Names) -> Places:
    members = _members(pool, names, (pool,), 1.0, {})
    first: dict[tuple[str, str], str] = {}
    for place in members:
        key = (place.provider.name, place.model.id)
        if key in first:
            both = f"{first[key]} and {place.name}"
            raise ConfigError(f"the same place stands in the pool twice: {both}; leave one out", "any")
        first[key] = place.name
    return Places(pool.name, pool.pick, tuple(members), of_keys=False)


def _members(
    pool: Pool, names: Names, within: tuple[Pool, ...], weight: float, below: Mapping[str, object]
) -> list[Place]:
    """The places of a pool that stands in the pools `within`; all of them together weigh `weight`, if that is not 1."""
    places: list[Place] = []
    fields = {name: getattr(pool, name) or below.get(name) for name in OF_MEMBERS}
    shares = [WEIGHT if one.weight is None else float(one.weight) for one in pool.members]
    scale = 1.0 if len(within) == 1 else weight / sum(shares)
    for index, (member, share) in enumerate(zip(pool.members, shares, strict=True)):
        with check.at(f"any[{index}]"):
            entry = names.models.get(member.model) if isinstance(member.model, str) else member.model
            if isinstance(entry, Pool):
                if any(entry == outer for outer in within):
                    path = " → ".join([*(outer.name for outer in within), entry.name])
                    raise ConfigError(f"a pool cannot stand in itself: {path}")
                places += _members(entry, names, (*within, entry), share * scale, fields)
                continue
            model = _model(entry or member.model, names, fields)
            keyed = find_provider(model.provider, names.providers).each_key()
            label = member.model if isinstance(member.model, str) and len(keyed) == 1 else ""
            places += [_place(model, one, share * scale / len(keyed), label) for one in keyed]
    return places


def _model(given: str | Model | Pool, names: Names, fields: Mapping[str, object]) -> Model:
    """The model of a name, with what a pool says of its members that do not say it themselves."""
    assert not isinstance(given, Pool)
    found = given if isinstance(given, Model) else model_named(
        given, models=names.models, providers=names.providers, default=names.default
    )
    if not found.name:
        found = replace(found, name=found.id)
    missing: dict[str, Any] = {name: value for name, value in fields.items() if value and not getattr(found, name)}
    found = replace(found, **missing) if missing else found
    return found if isinstance(given, Model) and not given.name else completed(found, names.providers)


def _place(model: Model, provider: Provider, weight: float, label: str = "") -> Place:
    name = label or f"{provider.name}:{model.id}"
    return Place(name, replace(model, provider=provider.name, name=name), provider, weight)
