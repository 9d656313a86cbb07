"""Which models a call may use, and in what order: its task's, its tiers', or those it names itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import asyncrouter._config.checks as check
from asyncrouter._config.catalog import Model
from asyncrouter._config.config import Chain, Config, Settings, Step
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Candidate(NamedTuple):
    """A model where it stands: with its own settings, and those of its chain under them."""

    model: Model
    step: Settings
    chain: Chain

    @property
    def key(self) -> tuple[str, str]:
        """Which model it is, whatever it is called."""
        return self.model.provider, self.model.id

    @property
    def price(self) -> float | None:
        """What a million tokens each way cost, to compare models by; `None` when unknown."""
        rates = self.model.usd_per_mtok
        return None if rates is None else rates.input + rates.output


class Selection(NamedTuple):
    """The models of a call, and the chains that hold for the whole of it, the nearer ones last."""

    places: list[Candidate]
    around: list[Chain]


def task_chain(config: Config, name: str) -> Chain:
    """A task's chain, the one of `default` for a task nobody knows. Raises `ConfigError` where that is not allowed."""
    check.text("task", name)
    if name in config.tasks:
        return config.tasks[name]
    if config.unknown_task == "error" or "default" not in config.tasks:
        raise check.unknown("task", name, config.tasks, "task")
    return config.tasks["default"]


def of_chain(config: Config, chain: Chain | Sequence[str | Model | Step], task: Chain | None) -> Selection:
    """The models of the chain that a call brings, with its task around it."""
    with check.at("chain"):
        own = chain if isinstance(chain, Chain) else Chain(chain)
        return Selection(_places(config, own), [own] if task is None else [task, own])


def of_model(config: Config, model: str | Model | Step, task: Chain | None) -> Selection:
    """The one model that a call names, with its task around it."""
    if not isinstance(model, Model | Step):
        check.text("model", model)
    own = Chain([model])
    with check.at("model"):
        return Selection([_place(config, own, model)], [own] if task is None else [task, own])


def of_task(config: Config, task: Chain) -> Selection:
    """The models of a task."""
    return Selection(_places(config, task), [task])


def of_tier(config: Config, tier: str, task: Chain | None) -> Selection:
    """The models up to a tier: the task's that are within it, else (no task, or none is) the tiers' own."""
    names = list(config.tiers)
    if tier not in names:
        raise ConfigError(f"unknown tier {check.show(tier)}; the tiers are {', '.join(names) or 'none'}", "tier", tier)
    reach = names.index(tier) + 1
    ladder = _ladder(config, names[:reach])
    if task is None:
        return Selection(ladder, [config.tiers[tier]])
    within = _within(_places(config, task), ladder, _ladder(config, names[reach:]))
    return Selection(within, [task]) if within else Selection(ladder, [config.tiers[tier], task])


def _places(config: Config, chain: Chain) -> list[Candidate]:
    places = []
    for index, entry in enumerate(chain.models):
        with check.at(f"models[{index}]"):
            places.append(_place(config, chain, entry))
    return places


_NOTHING = Settings()


def _place(config: Config, chain: Chain, entry: str | Model | Step) -> Candidate:
    if isinstance(entry, Step):
        return Candidate(config.model(entry.model), entry, chain)
    return Candidate(config.model(entry), _NOTHING, chain)


def _ladder(config: Config, tiers: Iterable[str]) -> list[Candidate]:
    """The models of some tiers, one after the other; what stands in a cheaper tier is not repeated in a dearer one."""
    ladder: list[Candidate] = []
    for tier in tiers:
        below = {place.key for place in ladder}
        ladder += [place for place in _places(config, config.tiers[tier]) if place.key not in below]
    return ladder


def _within(places: list[Candidate], ladder: list[Candidate], above: list[Candidate]) -> list[Candidate]:
    """Those that stand on the ladder, or in no tier at all and are no dearer than its dearest."""
    inside = {place.key for place in ladder}
    outside = {place.key for place in above}
    dearest = max((place.price for place in ladder if place.price is not None), default=-1.0)

    def affordable(place: Candidate) -> bool:
        return place.key not in outside and place.price is not None and place.price <= dearest

    return [place for place in places if place.key in inside or affordable(place)]
