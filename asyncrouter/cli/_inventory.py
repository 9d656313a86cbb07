"""Which models a configuration uses, and what for; which of them are gone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Step

if TYPE_CHECKING:
    from asyncrouter import Config, Model


class Used(NamedTuple):
    """A model, and the tasks and tiers whose chains it stands in."""

    model: Model
    by: list[str]


def used_models(config: Config) -> list[Used]:
    """Every model that is an entry or stands in a chain, once, in the order in which they are written."""
    used = {name: Used(config.model(name), []) for name in config.models}
    for kind, chains in (("task", config.tasks), ("tier", config.tiers)):
        for name, chain in chains.items():
            for entry in chain.models:
                model = config.model(entry.model if isinstance(entry, Step) else entry)
                by = used.setdefault(model.name, Used(model, [])).by
                by.append(f"{kind} {name}")
    return list(used.values())


def retirement(model: Model) -> str | None:
    """What became of it, and what to use instead; `None` for a model that is in service."""
    if model.retired is None and model.successor is None:
        return None
    fate = "superseded" if model.retired is None else f"retired {model.retired}"
    return fate if model.successor is None else f"{fate}: use {model.successor}"
