"""The list of what may stand as `model` in a request: models, tasks and tiers of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from asyncrouter import Config, Model, Step
from asyncrouter.openai_api._answer import JSON, Answer
from asyncrouter.openai_api._request import unknown_name

if TYPE_CHECKING:
    from asyncrouter import Pool
    from asyncrouter.openai_api._request import MayUse


def answer(config: Config, wanted: str, may_use: MayUse | None) -> Answer:
    """The list, or with `wanted` (a part of a path, percent-encoded) one of it. Raises `Problem` for an unknown one."""
    names = [name for name in known_names(config) if may_use is None or may_use(name)]
    if not wanted:
        return _json({"object": "list", "data": [_entry(name) for name in names]})
    if (name := unquote(wanted)) not in names:
        raise unknown_name(config, name, may_use)
    return _json(_entry(name))


def known_names(config: Config) -> list[str]:
    """The names in a configuration: its models, those of its chains, `task:NAME` and `tier:NAME`."""
    chains = [*config.tasks.values(), *config.tiers.values()]
    steps = [step.model if isinstance(step, Step) else step for chain in chains for step in chain.models]
    of_chains = [_name(step) for step in steps]
    tasks, tiers = [f"task:{name}" for name in config.tasks], [f"tier:{name}" for name in config.tiers]
    return list(dict.fromkeys([*config.models, *of_chains, *tasks, *tiers]))


def _name(step: str | Model | Pool) -> str:
    if isinstance(step, str):
        return step
    return step.name or (step.id if isinstance(step, Model) else "")


def _entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "asyncrouter"}


def _json(document: object) -> Answer:
    return Answer(200, {"content-type": JSON}, orjson.dumps(document))
