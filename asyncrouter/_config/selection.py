"""The models of a call: those of its task, of the tiers up to one, of its chain, or the one it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config import checks as check
from asyncrouter._config.catalog import Model
from asyncrouter._config.config import Chain, Config, Settings, Step
from asyncrouter._config.pool import Pool
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncrouter._config.places import Places


class Candidate(NamedTuple):
    """A model with its own settings, and the chain whose settings it falls back on.

    `places`: where it can be asked, if in several; then `model` stands for all of them.
    """

    model: Model
    step: Settings
    chain: Chain
    places: Places | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Which model it is, under whatever name: its provider and id; a pool is known by its name."""
        if self.places is not None and not self.places.of_keys:
            return "", self.places.name
        return self.model.provider, self.model.id

    @property
    def price(self) -> float | None:
        """A number to compare prices by: of a million tokens in and a million out; `None` if unknown."""
        rates = self.model.usd_per_mtok
        return None if rates is None else rates.input + rates.output


class Selection(NamedTuple):
    """The models of a call, in order, and the chains with settings for the whole call; later chains take precedence."""

    candidates: list[Candidate]
    chains: list[Chain]


def task_chain(config: Config, name: str) -> Chain:
    """The chain of a task; that of `default` for an unknown task, where that is allowed. Raises `ConfigError`."""
    check.text("task", name)
    if name in config.tasks:
        return config.tasks[name]
    check.name("task", name)
    if config.unknown_task == "error" or "default" not in config.tasks:
        raise check.unknown("task", name, config.tasks, "task")
    return config.tasks["default"]


def select_chain(config: Config, chain: Chain | Sequence[str | Model | Pool | Step], task: Chain | None) -> Selection:
    """Select the models of the chain given with a call; its settings take precedence over those of its task."""
    with check.at("chain"):
        own = chain if isinstance(chain, Chain) else Chain(chain)
        return Selection(_candidates(config, own), [own] if task is None else [task, own])


def select_model(config: Config, model: str | Model | Pool | Step, task: Chain | None) -> Selection:
    """Select the one model given with a call; settings for the whole call come from its task."""
    if isinstance(model, list | tuple):
        raise check.expected("the name of one model (several are chain=[…])", model, "model")
    if not isinstance(model, Model | Pool | Step):
        check.text("model", model)
    own = Chain([model])
    with check.at("model"):
        return Selection([_candidate(config, own, model)], [own] if task is None else [task, own])


def select_task(config: Config, task: Chain) -> Selection:
    """Select the models of a task."""
    return Selection(_candidates(config, task), [task])


def select_tier(config: Config, tier: str, task: Chain | None) -> Selection:
    """Select the task's models up to a tier; without a task, or if none is left, those of the tiers up to it.

    A model of the task is within the tier if it stands in that tier or a cheaper one, or in no tier at all and costs
    no more than the dearest model of these tiers. Raises `ConfigError` for an unknown tier.
    """
    names = list(config.tiers)
    if tier not in names:
        known = f"the tiers are {', '.join(names)}" if names else "the configuration has no tiers"
        raise ConfigError(f"unknown tier {check.show(tier)}; {known}", "tier", tier)
    end = names.index(tier) + 1
    allowed = _in_tiers(config, names[:end])
    if task is None:
        return Selection(allowed, [config.tiers[tier]])
    within = _within(_candidates(config, task), allowed, _in_tiers(config, names[end:]))
    return Selection(within, [task]) if within else Selection(allowed, [config.tiers[tier], task])


def select_for_long_prompts(config: Config, name: str | Model | Pool, selection: Selection) -> list[Candidate]:
    """The models of the task, or the one model, that is asked when the prompt is too long for another one.

    A model has the settings of the call's own chain.
    """
    with check.at("on_context"):
        if not isinstance(name, Model | Pool):
            check.text("", name)
            if name in config.tasks:
                return _candidates(config, config.tasks[name])
        return [_candidate(config, selection.chains[-1], name)]


def _candidates(config: Config, chain: Chain) -> list[Candidate]:
    candidates = []
    for index, entry in enumerate(chain.models):
        with check.at(f"models[{index}]"):
            candidates.append(_candidate(config, chain, entry))
    return candidates


_NO_SETTINGS = Settings()


def _candidate(config: Config, chain: Chain, entry: str | Model | Pool | Step) -> Candidate:
    name, settings = (entry.model, entry) if isinstance(entry, Step) else (entry, _NO_SETTINGS)
    model = config.model(name)  # checks its provider, too
    places = config.places(name)
    return Candidate(model if places is None else places.model, settings, chain, places)


def _in_tiers(config: Config, tiers: Iterable[str]) -> list[Candidate]:
    """The models of some tiers, in order; one of a cheaper tier is not repeated in a dearer one."""
    found: list[Candidate] = []
    for tier in tiers:
        cheaper = {candidate.key for candidate in found}
        found += [each for each in _candidates(config, config.tiers[tier]) if each.key not in cheaper]
    return found


def _within(candidates: list[Candidate], allowed: list[Candidate], above: list[Candidate]) -> list[Candidate]:
    """Those that are in an allowed tier, or in no tier at all and no dearer than the dearest that is allowed."""
    inside = {candidate.key for candidate in allowed}
    outside = {candidate.key for candidate in above}
    dearest = max((candidate.price for candidate in allowed if candidate.price is not None), default=-1.0)

    def affordable(candidate: Candidate) -> bool:
        return candidate.key not in outside and candidate.price is not None and candidate.price <= dearest

    return [candidate for candidate in candidates if candidate.key in inside or affordable(candidate)]
