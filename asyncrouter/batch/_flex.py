"""`tier="flex"`: OpenAI's service tier at the price of a batch, slower, and turned down when there is no room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import ConfigError
from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep, Router

FLEX = "flex"
"""The name of the service tier, as a parameter, in a `Price`, and as a tier of a batch."""
_OTHER_WIRES = frozenset({"anthropic", "gemini"})
"""APIs that are not sent OpenAI's service tiers."""
FLEX_SECONDS = 900.0
"""Seconds that such an answer may take where the caller says nothing else: OpenAI's advice is 15 minutes."""


def with_flex(router: Router, options: dict[str, object]) -> dict[str, object]:
    """Arguments of `Router.chat` in which a `tier` "flex" that is none of the configuration's is the service tier.

    It is asked of each provider whose models in the plan all have a price for it; others are asked as always. Raises
    `BatchError` where none has.
    """
    if options.get("tier") != FLEX or FLEX in router.config.tiers:
        return options
    rest = {name: value for name, value in options.items() if name != "tier"}
    steps = _steps(router, rest)
    providers = _providers(steps)
    if not providers:
        raise BatchError(
            "tier: 'flex': no provider here has a price for the service tier \"flex\" at every model that is asked; "
            "OpenAI's newer models have one, and `usd_per_mtok.tiers.flex` under [models] says that another has"
        )
    given = options.get("params")
    params = dict(given) if isinstance(given, dict) else {}
    if all(step.provider in providers or step.wire in _OTHER_WIRES for step in steps):
        params = {"service_tier": FLEX, **params}  # which a row's own replaces
    else:
        for name in providers:
            theirs = params.get(name)
            params[name] = {"service_tier": FLEX, **(theirs if isinstance(theirs, dict) else {})}
    return {"total": FLEX_SECONDS, **rest, "params": params}


def _steps(router: Router, options: Mapping[str, object]) -> list[ExplainedStep]:
    """The steps of the plan, and where each row names its own task, those of all tasks."""
    choice = {name: options[name] for name in ("task", "chain", "model") if name in options}
    tasks = router.config.tasks
    choices = [choice] if choice or "default" in tasks else [{"task": task} for task in tasks]
    try:
        return [step for each in choices for step in router.explain(**each).steps]  # checked by explain
    except (ConfigError, TypeError, ValueError):  # which the check of the options says better
        return []


def _providers(steps: list[ExplainedStep]) -> list[str]:
    found: dict[str, bool] = {}
    for step in steps:
        has = step.usd_per_mtok is not None and FLEX in step.usd_per_mtok.tiers
        found[step.provider] = found.get(step.provider, True) and has
    return [name for name, all_have in found.items() if all_have]
