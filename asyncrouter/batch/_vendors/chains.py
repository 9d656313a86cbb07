"""The first step of a row's chain, which its batch answers, and the rest, which answers live. Pure.

The rest is the chain from its second step on, with the first model at its end: it is asked live only if nobody else
could answer. After a failure that is the row's own (an answer that was not accepted) it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Chain, Model, Pool, Price, Step
from asyncrouter.batch._preflight import choice_of
from asyncrouter.batch._rows import MODEL_ARGUMENTS
from asyncrouter.batch._vendors.codec import offline_chain
from asyncrouter.batch._vendors.registry import vendor_of
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Config, Provider, Router
    from asyncrouter.batch._vendors.api import Vendor

LANE_OPTIONS = ("task", "accept", "params", "response_format")
"""The arguments of `Router.chat` that hold in a batch, beside the chain."""
HALF = 0.5
"""The price of a batch where the price list has none: each of the four vendors takes half."""
MAX_PLANS = 1000
"""How many plans are kept, for batches whose rows choose their models themselves."""


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How the rows with one choice of models are answered. `vendor` is `None` where the first model has no batch API.

    `offline` are the arguments of the call that encodes or decodes; `rest` and `others` those of the live call that
    takes part in a row without a result, with the first model at the end of the chain and without it. `others` is
    `None` where there is no other model.
    """

    vendor: Vendor | None
    provider: Provider
    model: Model
    offline: dict[str, object]
    rest: dict[str, object]
    others: dict[str, object] | None


class _Models(NamedTuple):
    """What a choice of models comes to, for all rows that make it: see `RowPlan`."""

    vendor: Vendor | None
    provider: Provider
    model: Model
    offline: Chain
    rest: Chain
    others: Chain | None


class Plans:
    """Makes the plan of each row. Rows with the same choice of models share their chains, so the router plans once."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._by_choice: dict[bytes, _Models] = {}
        self._last: tuple[dict[str, object] | None, RowPlan | None] = (None, None)

    def of(self, options: dict[str, object]) -> RowPlan:
        """The plan for these arguments of `Router.chat`. Raises what the call would."""
        if self._last[0] is options and self._last[1] is not None:
            return self._last[1]
        plan = self._make(options)
        self._last = (options, plan)
        return plan

    def _make(self, options: dict[str, object]) -> RowPlan:
        choice = choice_of(options)
        key = json_bytes({name: choice.get(name) for name in ("task", *MODEL_ARGUMENTS)})
        if (found := self._by_choice.get(key)) is None:
            if len(self._by_choice) >= MAX_PLANS:
                self._by_choice.clear()
            found = self._by_choice[key] = self._models(choice)
        kept = {name: options[name] for name in LANE_OPTIONS if name in options}
        live = {name: value for name, value in options.items() if name not in MODEL_ARGUMENTS}
        return RowPlan(
            found.vendor, found.provider, found.model, {**kept, "chain": found.offline, "priority": "batch"},
            {**live, "chain": found.rest}, None if found.others is None else {**live, "chain": found.others},
        )

    def _models(self, choice: Mapping[str, object]) -> _Models:
        base, steps, model = self._steps(choice)
        provider = self._router.config.provider(model.provider)
        vendor = vendor_of(provider)
        price = model.usd_per_mtok if vendor is None else batch_price(model.usd_per_mtok, vendor.name)
        model = replace(model, usd_per_mtok=price, rpm=None, tpm=None, max_concurrent=None)
        first, others = steps[0], steps[1:]
        return _Models(
            vendor, provider, model, offline_chain(base, first, model), _chain(base, [*others, first]),
            _chain(base, others) if others else None,
        )

    def _steps(self, choice: Mapping[str, object]) -> tuple[Chain | None, list[Step], Model]:
        """The chain whose settings hold, its steps in the order in which a call tries them, and the first model."""
        config = self._router.config
        explained = self._router.explain(**choice)  # type: ignore[arg-type]  # checked by explain
        chains = _chains(config, choice)
        steps, base = [], None
        for place in explained.steps:
            holder, step = _find(chains, place.model)
            base = base or holder
            steps.append(step or Step(place.model))
        return base, steps, _place_of(config, steps[0].model)


def _chains(config: Config, choice: Mapping[str, object]) -> list[Chain]:
    """The chains that may hold the settings of a call's steps."""
    given, task, tier = choice.get("chain"), choice.get("task"), choice.get("tier")
    found = []
    if isinstance(given, Chain):
        found.append(given)
    elif isinstance(given, list | tuple):
        found.append(Chain(given))
    if isinstance(model := choice.get("model"), Model | Pool):
        found.append(Chain([model]))
    if tier is not None:
        found += config.tiers.values()
    elif not found and "model" not in choice:
        name = task if isinstance(task, str) and task in config.tasks else "default"
        found += [config.tasks[name]] if name in config.tasks else []
    return found


def _find(chains: list[Chain], name: str) -> tuple[Chain | None, Step | None]:
    for chain in chains:
        for step in chain.models:
            step = step if isinstance(step, Step) else Step(step)
            if _name_of(step.model) == name:
                return chain, step
    return None, None


def _name_of(model: str | Model | Pool) -> str:
    return model if isinstance(model, str) else model.name or (model.id if isinstance(model, Model) else "")


def _place_of(config: Config, model: str | Model | Pool) -> Model:
    """The model that is asked in a batch: of a pool, or of several keys, the first one that has a batch API."""
    if (places := config.places(model)) is None:
        return config.model(model)
    found = next((one for one in places.members if vendor_of(one.provider) is not None), places.members[0])
    return replace(found.model, name=places.name)


def _chain(base: Chain | None, steps: list[Step]) -> Chain:
    return Chain(steps) if base is None else replace(base, models=steps)


def batch_price(price: Price | None, vendor: str) -> Price | None:
    """What a model costs in a batch: the price list's, else half; Gemini's cached tokens cost as much as live."""
    if price is None:
        return None
    if (listed := price.tiers.get("batch")) is not None:
        return replace(listed, tiers={"batch": listed})
    half = _halved(price, cached_too=vendor != "gemini")
    return replace(half, tiers={"batch": half})


def _halved(price: Price, *, cached_too: bool) -> Price:
    def part(usd: float | None) -> float | None:
        return None if usd is None else usd * HALF

    cached = price.cached_input if price.cached_input is not None else price.input
    return Price(
        input=price.input * HALF, output=price.output * HALF,
        cached_input=part(price.cached_input) if cached_too else cached,
        cache_write=part(price.cache_write), cache_write_1h=part(price.cache_write_1h),
        long_context_tokens=price.long_context_tokens,
        long_context=None if price.long_context is None else _halved(price.long_context, cached_too=cached_too),
    )


