"""Which models a configuration uses, in which tasks and tiers, and which of them are retired."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Step

if TYPE_CHECKING:
    from asyncrouter import Config, Model


class UsedModel(NamedTuple):
    """A model, and the tasks and tiers whose chains it stands in: "task coding", "tier budget".

    `members`: the places of a pool, or of a model whose provider has several keys; else the model alone.
    """

    model: Model
    used_by: list[str]
    members: tuple[Model, ...]

    @property
    def providers(self) -> list[str]:
        """The names of the providers that it is asked at."""
        return list(dict.fromkeys(member.provider.partition("[")[0] for member in self.members))


def used_models(config: Config) -> list[UsedModel]:
    """Every model that is an entry or stands in a chain, once, in the order of the configuration."""
    used = {name: UsedModel(config.model(name), [], config.members(name)) for name in config.models}
    for kind, chains in (("task", config.tasks), ("tier", config.tiers)):
        for name, chain in chains.items():
            for entry in chain.models:
                named = entry.model if isinstance(entry, Step) else entry
                model = config.model(named)
                new = UsedModel(model, [], config.members(named))
                used.setdefault(model.name, new).used_by.append(f"{kind} {name}")
    return list(used.values())


def retirement(model: Model) -> str | None:
    """When it was retired, and what to use instead; `None` for a model that is in service."""
    if model.retired is None and model.successor is None:
        return None
    status = "superseded" if model.retired is None else f"retired {model.retired}"
    return status if model.successor is None else f"{status}: use {model.successor}"
