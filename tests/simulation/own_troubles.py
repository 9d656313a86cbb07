"""Troubles of single callers: prompts that a model dislikes, keys that callers bring along, prompts asked again.

They are drawn beside the rest of a scenario, from a source of chance of their own. What a caller's own prompt or key
meets says nothing about the model, and must change nothing for the others (`check_blame.py`).
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .behaviour import Behaviour
    from .scenario import ModelProfile

PROMPT_KINDS = ("404_prompt", "402_prompt", "403_prompt", "500_prompt")
"""What a model may answer to one prompt, in words that leave open whether it is about the prompt alone."""
TENANT = "sk-of-tenant-"
"""How the keys of callers begin."""
TENANT_KINDS = (None, None, "401", "402", "403", "404", "429", "429_money")
"""What a caller's own key meets; `None`: it works."""
KEY_HEADERS: Mapping[str, str] = {
    "openai": "Authorization", "responses": "Authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key",
}


def draw_own_troubles(
    seed: int, calls: Sequence[Behaviour], config: Mapping[str, object], models: Mapping[str, ModelProfile]
) -> tuple[list[Behaviour], frozenset[str]]:
    """The calls with their own troubles, and the models that dislike some prompts."""
    random = Random(f"own troubles {seed}")
    disliked = random.choice([0.0, 0.0, random.uniform(0.0, 0.15), random.uniform(0.0, 0.6)])
    own_keys = random.choice([0.0, 0.0, random.uniform(0.0, 0.1), random.uniform(0.0, 0.5)])
    bursts = random.random() < 0.3  # prompts of one instant are disliked together
    kind, picky = random.choice(PROMPT_KINDS), frozenset(name for name in sorted(models) if random.random() < 0.5)
    wires = {task: _only_wire(task, config, models) for task in config["tasks"]}  # type: ignore[attr-defined]
    drawn, together, last = [], False, -1.0
    for call in calls:
        if call.at != last or not bursts:
            together, last = random.random() < disliked, call.at
        one_kind = kind if random.random() < 0.8 else random.choice(PROMPT_KINDS)
        wire, tenant = wires[call.task], random.choice(range(len(TENANT_KINDS)))
        if random.random() < own_keys and wire is not None:
            key = f"{TENANT}{tenant}"
            value = f"Bearer {key}" if KEY_HEADERS[wire] == "Authorization" else key
            call = replace(call, key=key, options={**call.options, "headers": {KEY_HEADERS[wire]: value}})
        drawn.append(replace(call, disliked=one_kind) if together else call)
    return drawn, picky


def tenant_kind(key: str) -> str | None:
    """What the key of a caller meets."""
    return TENANT_KINDS[int(key.removeprefix(TENANT))]


def _only_wire(task: str, config: Mapping[str, object], models: Mapping[str, ModelProfile]) -> str | None:
    """The wire of the one provider of a task; `None` where a caller's key would be sent to several."""
    steps = config["tasks"][task]["models"]  # type: ignore[index]
    names = {step if isinstance(step, str) else step["model"] for step in steps}
    providers = {models[name].provider: models[name].wire for name in names}
    return next(iter(providers.values())) if len(providers) == 1 else None
