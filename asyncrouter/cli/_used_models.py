"""Which models a configuration uses, in which tasks and tiers, and which of them are retired."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Step

if TYPE_CHECKING:
    from asyncrouter import Config, Model


class UsedModel(NamedTuple):
    """A model, and the tasks and tiers whose chains it stands in: "task coding", "tier budget"."""

    model: Model
    used_by: list[str]


def used_models(config: Config) -> list[UsedModel]:
    """Every model that is an entry or stands in a chain, once, in the order of the configuration."""
    used = {name: UsedModel(config.model(name), []) for name in config.models}
    for kind, chains in (("task", config.tasks), ("tier", config.tiers)):
        for name, chain in chains.items():
            for entry in chain.models:
                model = config.model(entry.model if isinstance(entry, Step) else entry)
                used.setdefault(model.name, UsedModel(model, [])).used_by.append(f"{kind} {name}")
    return list(used.values())


def retirement(model: Model) -> str | None:
    """When it was retired, and what to use instead; `None` for a model that is in service."""
    if model.retired is None and model.successor is None:
        return None
    status = "superseded" if model.retired is None else f"retired {model.retired}"
    return status if model.successor is None else f"{status}: use {model.successor}"
