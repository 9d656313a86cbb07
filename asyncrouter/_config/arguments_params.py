"""The parameters of a call for its providers: for all of them, and for one provider alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.catalog import base_name
from asyncrouter._config.known_providers import known_names
from asyncrouter._config.parameter_names import check_keywords, check_params

if TYPE_CHECKING:
    from asyncrouter._config.config import Config


class Params(NamedTuple):
    """Parameters for all providers, and by name for those that have some of their own: then all that they get."""

    for_all: Mapping[str, object]
    by_provider: Mapping[str, Mapping[str, object]]

    def of(self, provider: str) -> Mapping[str, object]:
        """The parameters for one provider, also for one of its keys."""
        return self.by_provider.get(base_name(provider), self.for_all)

    def for_keys(self, keyed: Iterable[str]) -> Mapping[str, Mapping[str, object]]:
        """By provider, with those of a provider that has several keys under the name of each, too."""
        of_keys = {name: self.of(name) for name in keyed if base_name(name) in self.by_provider}
        return {**self.by_provider, **of_keys} if of_keys else self.by_provider


NO_PROVIDERS: Mapping[str, Mapping[str, object]] = {}
"""No provider has parameters of its own."""


def split_params(config: Config, params: Mapping[str, object]) -> Params:
    """Part those that stand under the name of a provider from the others. Raises `TypeError`."""
    own: dict[str, Mapping[str, object]] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and (name in config.providers or name in known_names()):
            check_params(value, f"params[{name!r}]")
            own[name] = value
    if not own:
        return Params(params, NO_PROVIDERS)
    return Params({name: value for name, value in params.items() if name not in own}, own)


def merge_params(
    config: Config, of_plan: Params, params: Mapping[str, object] | None, given: Mapping[str, object]
) -> Params:
    """Merge the parameters of a call: those of the plan, of `params=` and of keywords; later ones win.

    Raises `TypeError` for names that mean something to the router, are probably misspelt, or hold a credential.
    """
    check_keywords(given)
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"params: expected a mapping, got {type(params).__name__}")
    check_params(params or {}, "params")
    of_call = split_params(config, params or {})
    for_all = {**of_plan.for_all, **of_call.for_all, **given}
    names = {*of_plan.by_provider, *of_call.by_provider}
    return Params(for_all, NO_PROVIDERS if not names else {
        name: {
            **of_plan.for_all, **of_plan.by_provider.get(name, {}), **of_call.for_all, **given,
            **of_call.by_provider.get(name, {}),
        }
        for name in names
    })
